"""Where runs are done: on this machine, on a Dask cluster, in jobs of a Slurm cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from course_utils.experiments.families import FAMILIES
from course_utils.experiments.processes import Processes
from course_utils.experiments.spec import Spec
from course_utils.experiments.sweeping import local_executor
from course_utils.i18n import _

__all__ = ["Engine", "JobExecutor", "dask_executor", "job_options", "slurm_executor"]

POLL = 1.0  # seconds between two looks at the jobs
TRIMMING = "MALLOC_TRIM_THRESHOLD_"

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Answer = tuple[Literal["answer", "error"], Any]


class JobExecutor(Executor):
    """Makes a ``concurrent.futures.Executor`` of submitit's, whose jobs are no futures.

    submitit runs a job on a cluster and is asked now and then whether it has ended. Here each call
    is a ``Future`` that a thread fulfils when its job ends; a job that dies answers its calls with
    ``BrokenProcessPool``, as a process of this machine would.

    Args:
        jobs: submitit's executor, with its parameters set.
        per_job: calls that share a job, each in a process of its own: runs packed on one GPU.
        poll: seconds between two looks at the jobs.
    """

    def __init__(self, jobs: Any, per_job: int = 1, poll: float = POLL) -> None:
        self._jobs, self._per_job, self._poll = jobs, per_job, poll
        self._waiting: list[tuple[Future[Any], Call]] = []
        self._running: list[tuple[Any, list[Future[Any]]]] = []
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do ``fn(*args, **kwargs)`` in a job, submitted within ``poll`` seconds."""
        if self._ended.is_set():
            raise RuntimeError(_("This executor is shut down."))
        future: Future[Any] = Future()
        with self._guard:
            self._waiting.append((future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the jobs end; without ``wait``, cancel those there are."""
        if cancel_futures or not wait:
            with self._guard:
                futures = [future for future, _call in self._waiting]
                futures += [future for _job, members in self._running for future in members]
            for future in futures:
                future.cancel()
        self._ended.set()
        self._thread.join()  # it answers or cancels what is left

    def _follow(self) -> None:
        while not self._ended.wait(self._poll) or self._waiting or self._running:
            with self._guard:
                while self._waiting:
                    self._start(self._waiting[: self._per_job])
                    del self._waiting[: self._per_job]
                for entry in list(self._running):
                    if self._settled(*entry):
                        self._running.remove(entry)

    def _start(self, members: Sequence[tuple[Future[Any], Call]]) -> None:
        wanted = [(future, call) for future, call in members if not future.cancelled()]
        if not wanted:
            return
        try:
            job = self._jobs.submit(_do_all, [call for _future, call in wanted])
        except Exception as error:  # whatever the cluster's own commands say
            for future, _call in wanted:
                _fulfil(future, ("error", error))
        else:
            self._running.append((job, [future for future, _call in wanted]))

    def _settled(self, job: Any, futures: list[Future[Any]]) -> bool:
        """Whether a job needs no more looking at: it ended, or nobody waits for it."""
        if all(future.cancelled() for future in futures):
            job.cancel(check=False)
            return True
        if not job.done():
            return False
        try:
            answers: list[Answer] = job.result()
        except Exception as error:  # submitit has several for a job that ended without an answer
            lost = BrokenProcessPool(_("job {job}: {reason}").format(job=job.job_id, reason=error))
            answers = [("error", lost)] * len(futures)
        for future, answer in zip(futures, answers, strict=True):
            _fulfil(future, answer)
        return True


def _fulfil(future: Future[Any], answer: Answer) -> None:
    if future.set_running_or_notify_cancel():
        kind, value = answer
        if kind == "answer":
            future.set_result(value)
        else:
            future.set_exception(value)


def _do_all(calls: list[Call]) -> list[Answer]:
    """In a job: do the calls, at once if there are several."""
    if len(calls) == 1:
        fn, args, kwargs = calls[0]
        return [_answer(lambda: fn(*args, **kwargs))]
    with Processes(len(calls)) as executor:
        futures = [executor.submit(fn, *args, **kwargs) for fn, args, kwargs in calls]
        return [_answer(future.result) for future in futures]


def _answer(ask: Callable[[], Any]) -> Answer:
    try:
        return "answer", ask()
    except Exception as error:  # it is handed to whoever waits for the answer
        return "error", error


@contextlib.contextmanager
def slurm_executor(
    folder: Path, *, cluster: str = "slurm", per_job: int = 1, **parameters: Any
) -> Iterator[JobExecutor]:
    """Jobs of a Slurm cluster, ended with the block.

    Args:
        folder: for the jobs' scripts and logs; every node must see it.
        cluster: ``"slurm"``, or ``"local"`` for processes of this machine in their place.
        per_job: runs that share a job.
        parameters: submitit's, such as ``timeout_min``, ``slurm_partition``, ``cpus_per_task``.

    Raises:
        ModuleNotFoundError: submitit is not installed.
        RuntimeError: there is no Slurm here.
    """
    submitit = importlib.import_module("submitit")
    jobs = submitit.AutoExecutor(folder, cluster=cluster)
    jobs.update_parameters(**parameters)
    executor = JobExecutor(jobs, per_job, POLL if cluster == "slurm" else POLL / 10)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False)
        raise
    executor.shutdown()


@contextlib.contextmanager
def dask_executor(
    address: str, specs: Iterable[Spec] = (), **parameters: Any
) -> Iterator[tuple[Executor, int]]:
    """The executor of a Dask cluster and its number of workers, let go of with the block.

    Args:
        address: that of the scheduler, ``tcp://…``; the path of its ``scheduler.json``;
            ``"local"`` for processes of this machine; or ``"slurm"`` for workers that are jobs of
            a Slurm cluster.
        specs: the runs; files of the reader's own nets are sent to the workers.
        parameters: of ``distributed.LocalCluster`` or ``dask_jobqueue.SLURMCluster``; ``jobs`` is
            the number of workers.

    Raises:
        ModuleNotFoundError: Dask is not installed.
        OSError: nobody answers at that address.
    """
    distributed = importlib.import_module("distributed")
    with contextlib.ExitStack() as stack:
        if address in ("local", "slurm"):
            cluster = stack.enter_context(_own_cluster(distributed, address, **parameters))
            client = stack.enter_context(distributed.Client(cluster))
            client.wait_for_workers(parameters.get("jobs", 1) if address == "local" else 1)
        elif address.endswith(".json"):
            client = stack.enter_context(distributed.Client(scheduler_file=address))
        else:
            try:
                client = stack.enter_context(distributed.Client(address))
            except (OSError, ValueError) as error:
                raise OSError(
                    _("No Dask scheduler answers at {address} ({reason}).").format(
                        address=address, reason=error
                    )
                ) from error
        for file in _own_files(specs):
            client.upload_file(str(file))
        # Not pure: a run that failed is run again, and not answered with its old error.
        yield client.get_executor(pure=False), sum(client.nthreads().values())


def _own_cluster(distributed: Any, kind: str, *, jobs: int = 1, **parameters: Any) -> Any:
    if kind == "local":
        with _memory_kept():
            return distributed.LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.ERROR,  # that a worker needed a nudge to end is no news
                **parameters,
            )
    cluster = importlib.import_module("dask_jobqueue").SLURMCluster(
        **{"cores": 1, "processes": 1, "memory": "4GB", **parameters}
    )
    cluster.scale(jobs=jobs)
    return cluster


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


def job_options(
    cluster: str | None, partition: str | None, minutes: int | None, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Partition and time of jobs by the names that submitit, or Dask's launcher, has for them.

    >>> job_options(None, "long", 90, {}), job_options("slurm", "long", 90, {})
    ({'slurm_partition': 'long', 'timeout_min': 90}, {'queue': 'long', 'walltime': '01:30:00'})
    """
    options: dict[str, Any] = {}
    if partition is not None:
        options["queue" if cluster else "slurm_partition"] = partition
    if minutes is not None:
        clock = f"{minutes // 60:02}:{minutes % 60:02}:00"
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
        options: handed on to the cluster.
        folder: for the logs of jobs.
    """

    workers: int | None = None
    per_gpu: int = 1
    cluster: str | None = None
    slurm: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path("build/jobs")

    def __post_init__(self) -> None:
        if self.cluster and self.slurm:
            raise ValueError(_("Choose one of --cluster (Dask) and --slurm (submitit), not both."))
        if self.cluster and self.per_gpu > 1:
            raise ValueError(
                _(
                    "--per-gpu is for this machine and for --slurm: a Dask cluster does as many "
                    "runs on a GPU as it has workers there."
                )
            )

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
            with dask_executor(self.cluster, specs, **options) as (executor, workers):
                yield executor, workers
        elif self.slurm:
            options = {"timeout_min": 60, "cpus_per_task": threads * self.per_gpu, **options}
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
            try:
                yield local, local.workers
            except BaseException:
                local.shutdown(wait=False, cancel_futures=True)
                raise
            local.shutdown()
