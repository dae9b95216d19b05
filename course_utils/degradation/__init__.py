"""The degradation experiment: what it shows, what was published, what larger runs gave.

What serves any experiment is in :mod:`course_utils.experiments`, and can be had here too.
"""

from course_utils.degradation.fidelity import fidelity_notes
from course_utils.degradation.judging import Change, Verdict, verdict
from course_utils.degradation.published import PublishedResult, published
from course_utils.degradation.references import Reference, references
from course_utils.experiments import (
    FAMILIES,
    Ablation,
    Difference,
    Effect,
    Record,
    Spec,
    Store,
    SweepError,
    ablate,
    build,
    compare,
    composed,
    grid,
    local_executor,
    own,
    own_or,
    paired_interval,
    run,
    sweep,
    train,
)

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
    "compare",
    "composed",
    "fidelity_notes",
    "grid",
    "local_executor",
    "own",
    "own_or",
    "paired_interval",
    "published",
    "references",
    "run",
    "sweep",
    "train",
    "verdict",
]
