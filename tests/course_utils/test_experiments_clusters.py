"""A Dask cluster does the runs; when nobody is left to do them, that is said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import own_gated_runs
import pytest
from making_records import record, tiny
from running_sweeps import (
    GATED,
    Inline,
    Notes,
    environment,
    killing_the_first_to_build,
    names,
    posix,
    wait_until,
)

from course_utils.experiments import Record, Spec, SweepError, clusters, sweep
from course_utils.experiments.clusters import TRIMMING, DaskExecutor, dask_executor
from course_utils.experiments.estimating import estimate

# Processes that load torch take seconds, and minutes on a machine that is busy with other things.
pytestmark = pytest.mark.timeout(900)


# --- nobody is left ------------------------------------------------------------------------


class Client:
    """Stands for Dask's: a cluster of which the test says how many workers it has."""

    def __init__(self, *workers: int) -> None:
        self._workers = list(workers)

    def nthreads(self) -> dict[str, int]:
        now = self._workers.pop(0) if len(self._workers) > 1 else self._workers[0]
        return {f"tcp://{number}": 1 for number in range(now)}

    def get_executor(self, pure: bool) -> Executor:
        assert not pure
        return Inline(record)


@pytest.fixture
def always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "LOOK", 0.0)


def test_workers_that_come_and_go_are_told_once_each_time(always_looking: None) -> None:
    executor = DaskExecutor(Client(0, 0, 2, 2, 0, 0, 1, 1))
    told = [executor.news() for _look in range(8)]
    assert [bool(news) for news in told] == [True, False, True, False, True, False, True, False]
    assert told[0] == "The cluster has no worker yet, and the runs are waiting for one."
    assert told[2] == "Workers of the cluster: 2."
    assert told[4].startswith("The cluster has no worker left, and the runs are waiting for one.")


def test_a_worker_that_goes_while_another_stays_is_told(always_looking: None) -> None:
    executor = DaskExecutor(Client(2, 1, 1))
    lost = "Workers lost: 1; their runs start again. Workers of the cluster: 1."
    assert [executor.news() for _look in range(3)] == ["", lost, ""]


def test_a_cluster_to_which_no_worker_can_come_any_more_ends_the_sweep(
    always_looking: None,
) -> None:
    with pytest.raises(
        SweepError, match=r"no worker left, and Slurm has no job .*\. What is done is saved"
    ):
        DaskExecutor(Client(0), may_come=lambda: False).news()


def test_a_run_that_kills_worker_after_worker_is_a_sentence(tmp_path: Path) -> None:
    killed = pytest.importorskip("distributed").scheduler.KilledWorker

    def work(_spec: Spec) -> Record:
        raise killed("run-1", None, 3)

    with pytest.raises(
        SweepError, match=r"\(every worker that took it died, perhaps for lack of memory or"
    ):
        sweep([tiny()], tmp_path, Inline(work), progress=False)


def test_the_workers_are_not_asked_after_without_end() -> None:
    executor = DaskExecutor(Client(0, 2))
    assert executor.news() and not executor.news()  # looked at again after two seconds


def test_a_cluster_without_workers_ends_a_sweep_and_an_estimate_after_so_long(
    tmp_path: Path, always_looking: None, capsys: pytest.CaptureFixture[str]
) -> None:
    class Waiting(Client):
        def get_executor(self, pure: bool) -> Executor:
            return Never()

    class Never(Executor):
        """Nobody does what it is given."""

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return clusters.Future()

    notes = Notes()
    with pytest.raises(SweepError, match=r"had no worker for .*\. What is done is saved"):
        sweep([tiny()], tmp_path, DaskExecutor(Waiting(0), patience=0.1), progress=notes)
    assert notes.news == ["The cluster has no worker yet, and the runs are waiting for one."]
    assert names(tmp_path) == set()
    with pytest.raises(SweepError, match="had no worker for"):
        estimate([tiny()], [], DaskExecutor(Waiting(0), patience=0.1))
    assert "The cluster has no worker yet" in capsys.readouterr().err


def test_a_scheduler_that_is_gone_ends_the_sweep_in_a_sentence(always_looking: None) -> None:
    class Gone(Client):
        def nthreads(self) -> dict[str, int]:
            raise OSError("ConnectionPool closing.")

    with pytest.raises(SweepError, match=r"no longer replies \(Conn.*\)\. What is done is saved"):
        DaskExecutor(Gone()).news()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask scheduler of our own, without workers."""
    pytest.importorskip("distributed")
    words = "distributed.cli.dask_scheduler --host 127.0.0.1 --port 0 --no-dashboard"
    file = tmp_path / "scheduler.json"
    process = subprocess.Popen(
        [sys.executable, "-m", *words.split(), "--scheduler-file", str(file)],
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: file.exists() and file.read_text(encoding="utf-8").endswith("}"))
        yield re.findall(r"tcp://[\d.:]+", file.read_text(encoding="utf-8"))[0]
    finally:
        process.kill()
        process.wait()


@posix
@pytest.mark.slow
def test_a_sweep_whose_last_worker_dies_says_so_and_ends_when_told(
    tmp_path: Path, scheduler: str, gated: Path
) -> None:
    words = f"distributed.cli.dask_worker {scheduler} --nthreads 1 --no-nanny --no-dashboard"
    worker = subprocess.Popen(
        [sys.executable, "-m", *words.split()],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    notes = Notes()
    try:
        with dask_executor(scheduler, GATED[:1], patience=3) as (executor, _workers):
            assert executor.submit(int).result(300) == 0  # the worker has come
            wait_until(lambda: executor.news() == "" and executor.workers == 1)

            def kill() -> None:
                wait_until(lambda: "8-0" in names(gated))
                worker.kill()

            threading.Thread(target=kill).start()
            with pytest.raises(SweepError, match="had no worker for"):
                sweep(GATED[:1], tmp_path / "store", executor, progress=notes)
    finally:
        worker.kill()
        worker.wait()
    assert len(notes.news) == 1
    assert notes.news[0].startswith("The cluster has no worker left")


# --- a worker that is killed, and others go on ---------------------------------------------


def memory_limit() -> object:
    """That of the worker of Dask's that is asked."""
    return pytest.importorskip("distributed").get_worker().memory_manager.memory_limit


@pytest.mark.slow
def test_a_dask_worker_keeps_its_memory_from_step_to_step() -> None:
    pytest.importorskip("distributed")  # which brings the setting
    import dask

    variables = dask.config.get("distributed.nanny.pre-spawn-environ")
    assert TRIMMING in variables  # or there is nothing to undo any more
    with dask_executor("local", GATED, jobs=1) as (executor, _workers):
        assert executor.submit(os.environ.get, TRIMMING).result() is None
        assert executor.submit(memory_limit).result() is None  # or it would be paused near it
    assert Path(str(own_gated_runs.__file__)).exists()  # the workers have a copy, not the reader
    assert dask.config.get("distributed.nanny.pre-spawn-environ") == variables


@posix
@pytest.mark.slow
def test_a_dask_worker_killed_in_its_run_costs_that_run_alone_and_it_is_done_again(
    tmp_path: Path, gated: Path
) -> None:
    with (
        dask_executor("local", GATED, jobs=2) as (executor, workers),
        killing_the_first_to_build(8, gated),
    ):
        assert workers == 2
        found = sweep(GATED, tmp_path / "store", executor, progress=Notes())
        # A run that fails is run again, and its reason comes back.
        wrong = tiny("own_gated_runs:refusing", family_options={})
        with pytest.raises(SweepError, match="RuntimeError: the pixels ran away"):
            sweep([wrong], tmp_path / "store", executor, progress=False)
    assert [one.spec for one in found] == GATED
    assert names(gated) == {"8-0", "8-1", "14-0"}
    text = (tmp_path / "store" / f"{wrong.hash}.failed").read_text(encoding="utf-8")
    assert text.count("RuntimeError: the pixels ran away") == 2
    here = [sweep([spec], tmp_path / "here", Inline(), progress=False)[0] for spec in GATED]
    assert [one.science() for one in found] == [one.science() for one in here]
