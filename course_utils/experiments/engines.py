"""Where runs are done: on this machine, on a Dask cluster, in jobs of a Slurm cluster."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.arguments import whole_number
from course_utils.experiments.clusters import dask_executor
from course_utils.experiments.jobs import slurm_executor
from course_utils.experiments.processes import ending
from course_utils.experiments.spec import Spec
from course_utils.experiments.sweeping import local_executor
from course_utils.i18n import _

__all__ = ["Engine", "job_options"]

MINUTES = 60  # that a job of submitit may last, unless told otherwise


def job_options(
    cluster: str | None, partition: str | None, minutes: int | None, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Partition and time of jobs by the names that submitit, or Dask's launcher, has for them.

    Raises:
        ValueError, TypeError: a time that is not a whole number of minutes from 1 on.

    >>> job_options(None, "long", 90, {}), job_options("slurm", "long", 90, {})
    ({'slurm_partition': 'long', 'timeout_min': 90}, {'queue': 'long', 'walltime': '01:30:00'})
    """
    options: dict[str, Any] = {}
    if partition is not None:
        options["queue" if cluster else "slurm_partition"] = partition
    if minutes is not None:
        hours, rest = divmod(whole_number("--time", minutes, at_least=1), 60)
        clock = f"{hours:02}:{rest:02}:00"
        options |= {"walltime": clock} if cluster else {"timeout_min": minutes}
    return options | dict(others)


@dataclass(frozen=True)
class Engine:
    """Where the runs are done.

    Attributes:
        workers: processes of this machine, or of the cluster that is started; None for as many
            as pay.
        per_gpu: runs that share a GPU.
        cluster: of Dask: an address, a ``scheduler.json``, ``"local"`` or ``"slurm"``.
        slurm: of submitit: ``"slurm"``, or ``"local"`` for processes in their place.
        options: handed on to the cluster that is started.
        folder: for the logs of jobs.
        patience: minutes to wait for a worker where a Dask cluster has none; None for ever.

    Raises:
        ValueError, TypeError: numbers below 1, or choices that exclude each other.
    """

    workers: int | None = None
    per_gpu: int = 1
    cluster: str | None = None
    slurm: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path("build/jobs")
    patience: int | None = None

    def __post_init__(self) -> None:
        for option, value in (
            ("--workers", self.workers),
            ("--per-gpu", self.per_gpu),
            ("--patience", self.patience),
            ("timeout_min", self.options.get("timeout_min")),
            ("jobs", self.options.get("jobs")),
        ):
            if value is not None:
                whole_number(option, value, at_least=1)
        if self.cluster and self.slurm:
            raise ValueError(_("Choose one of --cluster (Dask) and --slurm (submitit), not both."))
        if self.cluster and self.per_gpu > 1:
            raise ValueError(
                _(
                    "--per-gpu is for this machine and for --slurm: a Dask cluster does as many "
                    "runs on a GPU as it has workers there."
                )
            )
        if self.options and not (self.slurm or self.cluster in ("local", "slurm")):
            raise ValueError(
                _(
                    "--partition, --time and --cluster-option are for jobs and workers that the "
                    "sweep starts itself: add --slurm, or --cluster slurm."
                )
            )

    @property
    def is_here(self) -> bool:
        """Whether the runs are done on this machine."""
        return (self.cluster or self.slurm or "local") == "local"

    @property
    def time_limit(self) -> str | None:
        """How long a job of Slurm may last, as Slurm is told; None without jobs or limit."""
        if self.slurm == "slurm":
            return f"{self.options.get('timeout_min', MINUTES)} min"
        if self.cluster == "slurm":
            importlib.import_module("dask_jobqueue")  # brings its settings
            config = importlib.import_module("dask").config
            limit = self.options.get("walltime") or config.get("jobqueue.slurm.walltime")
            return None if limit is None else str(limit)
        return None

    @contextlib.contextmanager
    def start(self, specs: Sequence[Spec]) -> Iterator[tuple[Executor, int]]:
        """An executor for these runs, and how many it does at once."""
        threads, device = max(spec.threads for spec in specs), specs[0].device
        options = dict(self.options)
        if self.cluster:
            if self.cluster in ("local", "slurm"):
                options.setdefault("jobs", min(len(specs), self.workers or 2))
            if self.cluster == "slurm":
                options.setdefault("job_cpu", threads)
            patience = None if self.patience is None else 60.0 * self.patience
            with dask_executor(self.cluster, specs, patience=patience, **options) as started:
                yield started
        elif self.slurm:
            options = {"timeout_min": MINUTES, "cpus_per_task": threads * self.per_gpu, **options}
            if device == "cuda":
                options.setdefault("gpus_per_node", 1)
            with slurm_executor(
                self.folder, cluster=self.slurm, per_job=self.per_gpu, **options
            ) as jobs:
                yield jobs, len(specs)
        else:
            local = local_executor(
                len(specs), threads, device=device, per_gpu=self.per_gpu, workers=self.workers
            )
            with ending(local):
                yield local, local.workers
