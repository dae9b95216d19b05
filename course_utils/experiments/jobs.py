"""Runs in jobs of a Slurm cluster, by submitit."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal

from course_utils.arguments import whole_number
from course_utils.experiments.processes import Processes, ending
from course_utils.i18n import _

__all__ = ["JobExecutor", "slurm_executor"]

POLL = 1.0  # seconds between two looks at the jobs

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
        self._jobs, self._poll = jobs, poll
        self._per_job = whole_number("per_job", per_job, at_least=1)
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
    poll = POLL if cluster == "slurm" else POLL / 10
    with ending(JobExecutor(jobs, per_job, poll)) as executor:
        yield executor
