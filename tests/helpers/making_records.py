"""Records made up for tests of what is done with them, without any training."""

from __future__ import annotations

from typing import Any

from course_utils.degradation import Spec
from course_utils.experiments import Record

__all__ = ["record", "tiny"]


def tiny(family: str = "plain", depth: int = 8, seed: int = 0, **options: Any) -> Spec:
    """A spec whose run takes a fraction of a second."""
    small: dict[str, Any] = {
        "steps": 2,
        "dataset_options": {"size": 8},
        "family_options": {"width": 2},
    }
    return Spec(family=family, depth=depth, seed=seed, **{**small, **options})


def record(spec: Spec, train_error: float = 0.25, **changes: Any) -> Record:
    """A record of ``spec`` as a run could have given it."""
    values: dict[str, Any] = {
        "train_error": train_error,
        "test_error": 0.5,
        "epochs": (3, 6),
        "train_errors": (0.75, train_error),
        "test_errors": (0.75, 0.5),
        "running_errors": (0.9, 0.8),
        "losses": (2.3, 1.1),
        "learning_rates": (0.1, 0.05),
        "parameters": 1234,
        "macs": 56789,
        "steps": 132,  # six passes over some 1,400 images, 64 at a time
        "diverged": False,
        "seconds": 1.5,
        "images_per_second": 99.5,
        "machine": {"processor": "an abacus", "cores": 2},
    }
    return Record(spec=spec, **{**values, **changes})
