"""Each run has a process of its own, so that one that dies takes no other with it."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import own_gated_runs
import pytest
from running_sweeps import GATED, Notes, killing_the_first_to_build, names, posix, wait_until

from course_utils.experiments import local_executor, sweep, sweeping
from course_utils.experiments.processes import Processes


@pytest.mark.parametrize(
    ("runs", "threads", "cores", "workers"),
    [(10, 1, 2, 2), (1, 1, 8, 1), (10, 4, 8, 2), (10, 16, 8, 1)],
)
def test_there_is_one_process_for_each_group_of_cores_and_no_more_than_runs(
    monkeypatch: pytest.MonkeyPatch, runs: int, threads: int, cores: int, workers: int
) -> None:
    monkeypatch.setattr(sweeping, "_cores", lambda: cores)
    with local_executor(runs, threads) as executor:
        assert vars(executor)["_max_workers"] == workers


@pytest.mark.parametrize("number", [{"workers": 0}, {"workers": -1}, {"per_gpu": 0}])
def test_fewer_than_one_process_is_refused(number: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        local_executor(3, **number)  # type: ignore[arg-type]


# --- a worker that is killed ---------------------------------------------------------------


@posix
@pytest.mark.slow
def test_a_worker_killed_in_its_run_costs_that_run_alone_and_it_is_done_again(
    tmp_path: Path, gated: Path
) -> None:
    notes = Notes()
    with killing_the_first_to_build(8, gated), Processes(2) as executor:
        found = sweep(GATED, tmp_path / "store", executor, progress=notes)
    assert [one.spec for one in found] == GATED
    assert names(gated) == {"8-0", "8-1", "14-0"}  # the other run was not disturbed
    ((said, again),) = notes.failures
    assert said.startswith("own_gated_runs:gated-8, seed 0: its process died") and again
    assert names(tmp_path / "store") == {f"{spec.hash}.json" for spec in GATED}


@posix
@pytest.mark.slow
def test_leaving_the_processes_ends_them_in_their_work(gated: Path) -> None:
    executor = Processes(1)
    running = executor.submit(own_gated_runs.gated, 8)
    waiting = executor.submit(abs, -1)
    wait_until(lambda: "8-0" in names(gated))
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(BrokenProcessPool):
        running.result(60)
    assert waiting.cancelled()


@pytest.mark.slow
def test_processes_give_each_its_own_variables() -> None:
    with Processes(1, [{"CUDA_VISIBLE_DEVICES": "3"}]) as executor:
        assert executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "3"


@pytest.mark.parametrize(
    ("runs", "gpus", "per_gpu", "workers", "devices"),
    [(9, 2, 1, 2, ["0", "1"]), (9, 2, 3, 6, ["0", "1"]), (1, 4, 2, 1, ["0", "1", "2", "3"])],
)
def test_runs_are_packed_on_gpus_each_seeing_one(
    monkeypatch: pytest.MonkeyPatch,
    runs: int,
    gpus: int,
    per_gpu: int,
    workers: int,
    devices: list[str],
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(sweeping, "_cores", lambda: 16)
    monkeypatch.setattr(sweeping.torch.cuda, "device_count", lambda: gpus)
    with sweeping.local_executor(runs, device="cuda", per_gpu=per_gpu) as executor:
        assert vars(executor)["_max_workers"] == workers
        taken = [next(executor._variables)["CUDA_VISIBLE_DEVICES"] for _gpu in range(gpus)]
    assert taken == devices
