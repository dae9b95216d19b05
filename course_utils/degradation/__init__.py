"""The degradation experiment: spec → run → record → store → verdict."""

from course_utils.degradation.ablation import Ablation, Difference, Effect, ablate
from course_utils.degradation.families import FAMILIES, composed
from course_utils.degradation.judging import Change, Verdict, paired_interval, verdict
from course_utils.degradation.published import PublishedResult, published
from course_utils.degradation.record import Record
from course_utils.degradation.references import Reference, references
from course_utils.degradation.running import build, run
from course_utils.degradation.spec import Spec, grid
from course_utils.degradation.store import Store
from course_utils.degradation.sweeping import SweepError, local_executor, sweep

__all__ = [
    "FAMILIES",
    "Ablation",
    "Change",
    "Difference",
    "Effect",
    "PublishedResult",
    "Record",
    "Reference",
    "Spec",
    "Store",
    "SweepError",
    "Verdict",
    "ablate",
    "build",
    "composed",
    "grid",
    "local_executor",
    "paired_interval",
    "published",
    "references",
    "run",
    "sweep",
    "verdict",
]
