"""Train and measure a classifier: batches of tensors, no worker processes, seeded throughout."""

from course_utils.training.augmentation import Augmentation, random_crop, random_flip
from course_utils.training.fitting import Evaluation, History, fit, stream_seed
from course_utils.training.hardware import (
    Precision,
    best_device,
    best_precision,
    memory_format,
)
from course_utils.training.measuring import Metrics, evaluate, reestimate_batch_norm
from course_utils.training.schedule import WARM_UNTIL, WARM_WINDOW, Schedule, learning_rate_at

__all__ = [
    "WARM_UNTIL",
    "WARM_WINDOW",
    "Augmentation",
    "Evaluation",
    "History",
    "Metrics",
    "Precision",
    "Schedule",
    "best_device",
    "best_precision",
    "evaluate",
    "fit",
    "learning_rate_at",
    "memory_format",
    "random_crop",
    "random_flip",
    "reestimate_batch_norm",
    "stream_seed",
]
