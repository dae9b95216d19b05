"""Jobs of Slurm are an executor like any other; those that die are answers too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from making_records import tiny
from running_sweeps import Inline, posix, wait_until

from course_utils.experiments import sweep
from course_utils.experiments.jobs import JobExecutor, slurm_executor


class Job:
    """A job that ends when it is told to."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.job_id, self.work = "17", work
        self.ready, self.cancelled = threading.Event(), False

    def done(self) -> bool:
        return self.ready.is_set()

    def result(self) -> Any:
        return self.work()

    def cancel(self, check: bool = True) -> None:
        self.cancelled = True


class Jobs:
    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, fn: Any, *args: Any) -> Job:
        self.jobs.append(Job(lambda: fn(*args)))
        return self.jobs[-1]


def test_a_call_is_answered_when_its_job_has_ended_and_not_before() -> None:
    jobs = Jobs()
    with JobExecutor(jobs, poll=0.01) as executor:
        futures = [executor.submit(abs, -2), executor.submit(int, "two")]
        wait_until(lambda: len(jobs.jobs) == 2)
        assert not any(future.done() for future in futures)
        jobs.jobs[0].ready.set()
        assert futures[0].result(60) == 2
        jobs.jobs[1].ready.set()
        with pytest.raises(ValueError, match="two"):
            futures[1].result(60)


def test_a_job_that_dies_and_a_cluster_that_refuses_are_answers_too() -> None:
    class Dead(Jobs):
        def submit(self, fn: Any, *args: Any) -> Job:
            if self.jobs:
                raise OSError("sbatch: error: invalid partition")

            def die() -> Any:
                raise RuntimeError("Job 17 not requeued: timed out")

            self.jobs.append(Job(die))
            self.jobs[-1].ready.set()
            return self.jobs[-1]

    with JobExecutor(Dead(), poll=0.01) as executor:
        with pytest.raises(BrokenProcessPool, match="job 17: Job 17 not requeued"):
            executor.submit(abs, -2).result(60)
        with pytest.raises(OSError, match="invalid partition"):
            executor.submit(abs, -2).result(60)


def test_leaving_the_jobs_cancels_them() -> None:
    jobs = Jobs()
    executor = JobExecutor(jobs, poll=0.01)
    future = executor.submit(abs, -2)
    wait_until(lambda: len(jobs.jobs) == 1)
    executor.shutdown(wait=False)
    assert future.cancelled() and jobs.jobs[0].cancelled
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(abs, -2)


def test_no_job_holds_fewer_than_one_call() -> None:
    with pytest.raises(ValueError, match="per_job must be at least 1 and is 0"):
        JobExecutor(Jobs(), per_job=0)


@posix
@pytest.mark.slow
def test_submitits_own_local_jobs_do_the_runs_two_in_a_job(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    specs = [tiny(seed=seed) for seed in (0, 1)]
    with slurm_executor(tmp_path / "jobs", cluster="local", per_job=2, timeout_min=10) as executor:
        found = sweep(specs, tmp_path / "store", executor, progress=False)
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 1
    here = sweep(specs, tmp_path / "here", Inline(), progress=False)
    assert [one.science() for one in found] == [one.science() for one in here]
