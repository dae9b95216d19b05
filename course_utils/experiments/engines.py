"""Where runs are done: on this machine, or on a Dask cluster, its workers in jobs of Slurm too."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.arguments import whole_number
from course_utils.experiments.clusters import dask_executor
from course_utils.experiments.processes import ending
from course_utils.experiments.spec import Spec
from course_utils.experiments.sweeping import local_executor
from course_utils.i18n import _

__all__ = ["Engine"]


@dataclass(frozen=True)
class Engine:
    """Where the runs are done.

    Attributes:
        workers: runs at once, on this machine or on the cluster that is started; None for as many
            as pay here, and two there.
        per_gpu: runs that share a GPU.
        cluster: of Dask: an address, a ``scheduler.json``, ``"local"`` or ``"slurm"``.
        options: handed on to the cluster that is started; for jobs of Slurm, those of ``sbatch``.
        folder: for the logs of jobs.
        patience: minutes to wait for a worker where a Dask cluster has none; None for ever.

    Raises:
        ValueError, TypeError: numbers below 1, or choices that exclude each other.
    """

    workers: int | None = None
    per_gpu: int = 1
    cluster: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path("build/jobs")
    patience: int | None = None

    def __post_init__(self) -> None:
        for option, value in (
            ("--workers", self.workers),
            ("--per-gpu", self.per_gpu),
            ("--patience", self.patience),
        ):
            if value is not None:
                whole_number(option, value, at_least=1)
        if self.cluster not in (None, "slurm") and self.per_gpu > 1:
            raise ValueError(
                _(
                    "--per-gpu is for this machine and for --cluster slurm: on another Dask "
                    "cluster, a GPU does as many runs at once as it has workers."
                )
            )
        of_jobs = self.options.keys() & {"partition", "time"}
        if self.options and self.cluster != "slurm" and (self.cluster != "local" or of_jobs):
            raise ValueError(
                _(
                    "--partition, --time and --cluster-option are for jobs and workers that the "
                    "sweep starts itself: add --cluster slurm."
                )
            )

    @property
    def is_here(self) -> bool:
        """Whether the runs are done on this machine."""
        return self.cluster in (None, "local")

    @property
    def time_limit(self) -> str | None:
        """How long a job of Slurm may last, as it was told; None for no jobs, or its own limit."""
        limit = self.options.get("time") if self.cluster == "slurm" else None
        return f"{limit} min" if isinstance(limit, int) else limit

    @contextlib.contextmanager
    def start(self, specs: Sequence[Spec]) -> Iterator[tuple[Executor, int]]:
        """An executor for these runs, and how many it does at once."""
        threads, device = max(spec.threads for spec in specs), specs[0].device
        if self.cluster is None:
            local = local_executor(
                len(specs), threads, device=device, per_gpu=self.per_gpu, workers=self.workers
            )
            with ending(local):
                yield local, local.workers
            return
        options: dict[str, Any] = {}
        if self.cluster == "slurm":
            options["cpus-per-task"] = threads * self.per_gpu
            if device == "cuda":
                options["gres"] = "gpu:1"
        with dask_executor(
            self.cluster,
            specs,
            jobs=math.ceil(min(len(specs), self.workers or 2) / self.per_gpu),
            per_job=self.per_gpu,
            folder=self.folder,
            patience=None if self.patience is None else 60.0 * self.patience,
            options=options | dict(self.options),  # of an option said twice, sbatch takes the last
        ) as started:
            yield started
