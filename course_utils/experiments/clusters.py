"""Runs on a Dask cluster, whose workers may be anywhere, come late and go early."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any

from course_utils.experiments.families import FAMILIES
from course_utils.experiments.slurm import is_queued, job_array
from course_utils.experiments.spec import Spec
from course_utils.experiments.sweeping import SweepError
from course_utils.i18n import _, duration

__all__ = ["DaskExecutor", "dask_executor"]

LOOK = 2.0  # seconds between two looks at the workers
ASK = 30.0  # seconds between two questions whether one may come, where there is none
TRIMMING = "MALLOC_TRIM_THRESHOLD_"


class DaskExecutor(Executor):
    """The executor of a Dask client, which tells of workers that go and of having none.

    Dask's own would wait for ever without a word.

    Args:
        client: Dask's, of the cluster.
        patience: seconds to wait for a worker before giving up; None for ever.
        may_come: asked, where there is no worker, whether one may still come.
    """

    def __init__(
        self,
        client: Any,
        patience: float | None = None,
        may_come: Callable[[], bool] | None = None,
    ) -> None:
        self._client, self._patience, self._may_come = client, patience, may_come
        # Not pure: a run that failed is run again, and not answered with its old error.
        self._executor: Executor = client.get_executor(pure=False)
        self._looked, self._asked = -LOOK, -ASK
        self._deserted: float | None = None
        self._seen: set[str] = set()

    @property
    def workers(self) -> int:
        """Calls that the cluster can do at once, now."""
        return sum(self._client.nthreads().values())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do ``fn(*args, **kwargs)`` in a worker, as soon as there is one."""
        return self._executor.submit(fn, *args, **kwargs)

    def news(self) -> str:
        """What has become of the workers since the last look, in a sentence; mostly nothing.

        Raises:
            SweepError: there was none for longer than ``patience``, none may come, or the
                scheduler is gone.
        """
        now = time.monotonic()
        if now - self._looked < LOOK:
            return ""
        self._looked = now
        try:
            there = set(self._client.nthreads())
        except OSError as error:
            raise SweepError(
                _(
                    "The Dask scheduler no longer replies ({reason}). What is done is saved, "
                    "and the same command goes on from there."
                ).format(reason=error)
            ) from error
        lost, self._seen = self._seen - there, there
        was_deserted = self._deserted is not None
        if there:
            self._deserted = None
            told = []
            if lost:
                told.append(
                    _("Workers lost: {number}; their runs start again.").format(number=len(lost))
                )
            if lost or was_deserted:
                told.append(_("Workers of the cluster: {number}.").format(number=len(there)))
            return " ".join(told)
        self._deserted = self._deserted or now
        self._check_worth_waiting(now, now - self._deserted)
        if was_deserted:
            return ""
        if not lost:
            return _("The cluster has no worker yet, and the runs are waiting for one.")
        return _(
            "The cluster has no worker left, and the runs are waiting for one. If none will "
            "come, stop with Ctrl-C: what is done is saved, and the same command goes on from "
            "there."
        )

    def _check_worth_waiting(self, now: float, waited: float) -> None:
        """Refuse to wait for a worker where none can come, or any longer than ``patience``."""
        if self._may_come is not None and now - self._asked >= ASK:
            self._asked = now
            if not self._may_come():
                raise SweepError(
                    _(
                        "The cluster has no worker left, and Slurm has no job left that could "
                        "bring one: the jobs' logs say why. What is done is saved, and the same "
                        "command goes on from there."
                    )
                )
        if self._patience is not None and waited >= self._patience:
            raise SweepError(
                _(
                    "The cluster had no worker for {time}, so the sweep has ended. What is done "
                    "is saved, and the same command goes on from there."
                ).format(time=duration(waited))
            )


@contextlib.contextmanager
def dask_executor(
    address: str,
    specs: Sequence[Spec] = (),
    *,
    jobs: int = 1,
    per_job: int = 1,
    folder: Path = Path("build/jobs"),
    patience: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[tuple[DaskExecutor, int]]:
    """The executor of a Dask cluster and its number of workers, let go of with the block.

    Args:
        address: that of the scheduler, ``tcp://…``; the path of its ``scheduler.json``;
            ``"local"`` for processes of this machine; or ``"slurm"`` for workers that are jobs of
            a Slurm cluster, which come when its queue lets them.
        specs: the runs; files of the reader's own nets are sent to the workers.
        jobs: processes of this machine, or jobs at once.
        per_job: workers in each job of Slurm.
        folder: for the logs of Slurm's jobs.
        patience: seconds to wait for a worker where there is none; None for ever.
        options: of ``distributed.LocalCluster``, or of ``sbatch``; for Slurm ``interface`` is that
            of this machine on which its nodes reach it.

    Raises:
        ModuleNotFoundError: Dask is not installed.
        OSError: nobody answers at that address, or Slurm takes no such jobs.
    """
    distributed = importlib.import_module("distributed")
    options, may_come = dict(options or {}), None
    with contextlib.ExitStack() as stack:
        if address == "local":
            cluster = stack.enter_context(_own_cluster(distributed, jobs, **options))
            client = stack.enter_context(distributed.Client(cluster))
            client.wait_for_workers(jobs)
        elif address == "slurm":
            here = _reached_on(options.pop("interface", None))
            cluster = stack.enter_context(_own_cluster(distributed, 0, **here))
            client = stack.enter_context(distributed.Client(cluster))
            array = stack.enter_context(
                job_array(
                    cluster.scheduler_address,
                    jobs,
                    len(specs),
                    per_job=per_job,
                    folder=folder,
                    options=options,
                )
            )
            may_come = partial(is_queued, array)
        else:
            where = {"scheduler_file" if address.endswith(".json") else "address": address}
            try:
                client = stack.enter_context(distributed.Client(**where))
            except (OSError, ValueError) as error:
                raise OSError(
                    _("No Dask scheduler replies at {address} ({reason}).").format(
                        address=address, reason=error
                    )
                ) from error
            jobs = 1
        # Not by the client's upload_file: it has the scheduler, which may be in this very process,
        # import its copy of the file in the place of the reader's.
        upload = importlib.import_module("distributed.diagnostics.plugin").UploadFile
        for file in map(str, _own_files(specs)):
            client.register_plugin(upload(file), name=file)
        executor = DaskExecutor(client, patience, may_come)
        yield executor, max(jobs * per_job, executor.workers)


def _own_cluster(distributed: Any, workers: int, **options: Any) -> Any:
    with _memory_kept():
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # None listens at 8787 all the same, for everybody
            silence_logs=logging.ERROR,  # that a worker needed a nudge to end is no news
            **{"memory_limit": 0, **options},  # near one, a worker would be paused, and for good
        )


def _reached_on(interface: str | None) -> dict[str, str]:
    """Where a scheduler of this machine listens for workers of other machines."""
    if interface is not None:
        return {"interface": interface}
    return {"host": importlib.import_module("distributed.utils").get_ip()}


def _memory_kept() -> contextlib.AbstractContextManager[Any]:
    """Workers that are started meanwhile keep the memory that a step has let go of.

    By default Dask has theirs given back to the system at once, so that a step takes each of its
    maps anew from there, page by page: a third more time for the nets of the course.
    """
    config = importlib.import_module("dask").config
    key = "distributed.nanny.pre-spawn-environ"
    variables = {name: each for name, each in config.get(key).items() if name != TRIMMING}
    kept: contextlib.AbstractContextManager[Any] = config.set({key: variables})
    return kept


def _own_files(specs: Iterable[Spec]) -> list[Path]:
    """The files of the reader's own nets."""
    modules = {spec.family.split(":")[0] for spec in specs if spec.family not in FAMILIES}
    files = (getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules))
    return [Path(file) for file in files if file]
