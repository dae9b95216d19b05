"""Any experiment: spec → net → run → record → store → sweep, on whatever machine there is."""

from course_utils.experiments.ablation import Ablation, Difference, Effect, ablate, compare
from course_utils.experiments.families import FAMILIES, composed, net_name
from course_utils.experiments.own import own, own_or
from course_utils.experiments.record import Record
from course_utils.experiments.results import results
from course_utils.experiments.running import build, run, train
from course_utils.experiments.spec import Spec, grid
from course_utils.experiments.statistics import paired_interval
from course_utils.experiments.store import Store
from course_utils.experiments.sweeping import SweepError, local_executor, sweep

__all__ = [
    "FAMILIES",
    "Ablation",
    "Difference",
    "Effect",
    "Record",
    "Spec",
    "Store",
    "SweepError",
    "ablate",
    "build",
    "compare",
    "composed",
    "grid",
    "local_executor",
    "net_name",
    "own",
    "own_or",
    "paired_interval",
    "results",
    "run",
    "sweep",
    "train",
]
