"""A sweep does each run once, whatever happens, and loses no record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from making_records import record, tiny
from running_sweeps import HALF_GATED, Inline, Notes, environment, names, posix, wait_until

from course_utils.experiments import Record, Spec, Store, SweepError, sweep, sweeping
from course_utils.experiments.claims import Claims

# --- what a sweep does ---------------------------------------------------------------------


def test_a_sweep_answers_in_the_order_of_the_specs_and_runs_the_deepest_first(
    tmp_path: Path,
) -> None:
    specs = [tiny(depth=depth, seed=seed) for depth in (8, 20, 14) for seed in (1, 0)]
    executor = Inline(record)
    found = sweep(specs, tmp_path, executor, progress=False)
    assert [one.spec for one in found] == specs
    assert [spec.depth for spec in executor.ran] == [20, 20, 14, 14, 8, 8]
    assert names(tmp_path) == {f"{spec.hash}.json" for spec in specs}


def test_what_is_in_the_store_is_not_run_again_nor_written_again(tmp_path: Path) -> None:
    specs = [tiny(seed=seed) for seed in range(4)]
    first = sweep(specs[:2], tmp_path, Inline(record), progress=False)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    executor = Inline(lambda spec: record(spec, 0.75))
    found = sweep(specs, tmp_path, executor, progress=False)
    assert executor.ran == specs[2:]
    assert found[:2] == first
    assert [one.train_error for one in found] == [0.25, 0.25, 0.75, 0.75]
    assert {path: path.stat().st_mtime_ns for path in written} == written
    again = Inline(record)
    assert sweep(specs, tmp_path, again, progress=False) == found
    assert again.ran == []


def test_a_finished_sweep_starts_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(tmp_path).write(record(tiny()))
    monkeypatch.setattr(sweeping, "local_executor", None)
    assert sweep([tiny()], tmp_path, progress=False) == [record(tiny())]
    assert sweep([], tmp_path, progress=False) == []


def test_a_run_asked_for_twice_is_done_once_and_answered_twice(tmp_path: Path) -> None:
    executor = Inline(record)
    specs = [tiny(seed=1), tiny(seed=0), tiny(seed=1)]
    found = sweep(specs, tmp_path, executor, progress=False)
    assert [one.spec.seed for one in found] == [1, 0, 1]
    assert len(executor.ran) == 2


def test_a_damaged_record_is_run_again(tmp_path: Path) -> None:
    Store(tmp_path).path_of(tiny()).write_text(record(tiny()).to_json()[:50], encoding="utf-8")
    executor = Inline(record)
    with pytest.warns(UserWarning, match="its run is repeated") as caught:
        assert sweep([tiny()], tmp_path, executor, progress=False) == [record(tiny())]
    assert executor.ran == [tiny()]
    assert caught[0].filename == __file__  # the warning points at the reader's own line


def test_a_run_that_fails_does_not_stop_the_others_and_is_named(tmp_path: Path) -> None:
    def work(spec: Spec) -> Record:
        if spec.depth == 14:
            raise RuntimeError("the pixels ran away")
        return record(spec)

    specs = [tiny(depth=depth) for depth in (8, 14, 20)]
    with pytest.raises(SweepError) as failure:
        sweep(specs, tmp_path, Inline(work), progress=False)
    sentence = str(failure.value)
    assert sentence.startswith("plain-14, seed 0 gave no record (RuntimeError: the pixels ran")
    assert "The records of 2 other runs are saved" in sentence and "\n" not in sentence
    assert [found.spec.depth for found in Store(tmp_path).records()] == [8, 20]
    executor = Inline(record)
    assert len(sweep(specs, tmp_path, executor, progress=False)) == 3
    assert [spec.depth for spec in executor.ran] == [14]


def test_a_disk_that_fills_up_stops_the_sweep_and_what_nobody_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Queue(Executor):
        """The first run ends at once, the others wait."""

        def __init__(self) -> None:
            self.futures: list[Future[Record]] = []

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Record] = Future()
            if not self.futures:
                future.set_result(record(args[0]))
            self.futures.append(future)
            return future

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    queue = Queue()
    with pytest.raises(OSError, match="could not be written"):
        sweep([tiny(seed=seed) for seed in range(3)], tmp_path, queue, progress=False)
    assert [future.cancelled() for future in queue.futures] == [False, True, True]
    assert names(tmp_path) == set()


def test_progress_is_shown_only_when_asked_and_when_there_is_something_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep([tiny()], tmp_path, Inline(record), progress=False)
    sweep([tiny()], tmp_path, Inline(record))
    assert capsys.readouterr() == ("", "")
    sweep([tiny(seed=1)], tmp_path, Inline(record))
    assert "run" in capsys.readouterr().err


def test_only_so_many_runs_are_claimed_and_handed_over_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Executor):
        """Ends a run each time the sweep looks for news of the executor."""

        def __init__(self) -> None:
            self.waiting: list[tuple[Spec, Future[Record]]] = []
            self.most = self.free = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Record] = Future()
            self.waiting.append((args[0], future))
            self.most = max(self.most, len(self.waiting))
            return future

        def news(self) -> str:
            with Claims(tmp_path) as others:
                self.free = max(self.free, sum(map(others.take, specs[-4:])))
            if self.waiting:
                spec, future = self.waiting.pop(0)
                future.set_result(record(spec))
            return ""

    monkeypatch.setattr(sweeping, "UNDER_WAY", 3)
    monkeypatch.setattr(sweeping, "PATIENCE", 0)
    specs, executor = [tiny(seed=seed) for seed in range(8)], Slow()
    assert [one.spec for one in sweep(specs, tmp_path, executor, progress=False)] == specs
    assert executor.most == 3
    assert executor.free == 4  # another sweep might have begun with the last ones


# --- a run that fails ----------------------------------------------------------------------


def test_a_run_that_fails_once_is_tried_again_and_recorded(tmp_path: Path) -> None:
    failing = {tiny(seed=1)}

    def work(spec: Spec) -> Record:
        if spec in failing:
            failing.remove(spec)
            raise RuntimeError("a passing cloud")
        return record(spec)

    specs, executor, notes = [tiny(seed=seed) for seed in range(3)], Inline(work), Notes()
    assert len(sweep(specs, tmp_path, executor, progress=notes)) == 3
    assert sorted(spec.seed for spec in executor.ran) == [0, 1, 1, 2]
    assert notes.failures == [("plain-8, seed 1: RuntimeError: a passing cloud", True)]
    assert names(tmp_path) == {f"{spec.hash}.json" for spec in specs}


def test_a_run_that_fails_twice_is_recorded_as_failed_until_it_succeeds(tmp_path: Path) -> None:
    reasons = iter(["no room", "no room\nand no chair"])

    def work(spec: Spec) -> Record:
        raise MemoryError(next(reasons))

    store, notes = Store(tmp_path), Notes()
    with pytest.raises(
        SweepError, match=r"plain-8, seed 0 gave no record \(MemoryError: no room and no ch"
    ):
        sweep([tiny()], tmp_path, Inline(work), progress=notes)
    assert [again for _said, again in notes.failures] == [True, False]
    assert names(tmp_path) == {f"{tiny().hash}.failed"}
    text = (tmp_path / f"{tiny().hash}.failed").read_text(encoding="utf-8")
    assert text.startswith("plain-8, seed 0\n")
    assert "- MemoryError: no room\n- MemoryError: no room and no chair\n" in text
    assert store.records() == []

    executor = Inline(record)
    assert sweep([tiny()], tmp_path, executor, progress=False) == [record(tiny())]
    assert executor.ran == [tiny()]
    assert names(tmp_path) == {f"{tiny().hash}.json"}


def test_a_broken_executor_of_the_readers_is_a_sentence_and_no_run_is_called_failed(
    tmp_path: Path,
) -> None:
    class Broken(Executor):
        """Takes one run, and dies."""

        submitted = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.submitted += 1
            if self.submitted > 1:
                raise BrokenProcessPool("a child process terminated abruptly")
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("gone"))
            return future

    with pytest.raises(SweepError, match="2 run"):
        sweep([tiny(seed=0), tiny(seed=1)], tmp_path, Broken(), progress=False)
    assert names(tmp_path) == set()


def test_a_run_that_the_executor_gives_up_is_tried_again(tmp_path: Path) -> None:
    class Forgetful(Inline):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if not self.ran:
                self.ran.append(args[0])
                future: Future[Any] = Future()
                future.cancel()
                future.set_running_or_notify_cancel()
                return future
            return super().submit(fn, *args)

    executor = Forgetful(record)
    assert sweep([tiny()], tmp_path, executor, progress=False) == [record(tiny())]
    assert executor.ran == [tiny(), tiny()]


def test_without_resuming_every_run_is_done_again_and_its_record_replaced(tmp_path: Path) -> None:
    sweep([tiny()], tmp_path, Inline(record), progress=False)
    again = Inline(lambda spec: record(spec, 0.75))
    (found,) = sweep([tiny()], tmp_path, again, progress=False, resume=False)
    assert found.train_error == 0.75 and again.ran == [tiny()]
    assert Store(tmp_path).records() == [found]


def test_a_sweep_in_a_script_that_a_worker_reads_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = sweeping.multiprocessing.current_process()
    monkeypatch.setattr(process, "_inheriting", True, raising=False)
    with pytest.raises(RuntimeError, match="__main__"):
        sweep([tiny()], tmp_path, progress=False)


# --- killed --------------------------------------------------------------------------------


SCRIPT = """
import sys

from running_sweeps import HALF_GATED

from course_utils.experiments import sweep

if __name__ == "__main__":
    sweep(HALF_GATED, sys.argv[1], progress=False)
"""


def is_running(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] not in "ZX"
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


@posix
@pytest.mark.slow
def test_a_sweep_killed_and_started_again_repeats_no_run_and_loses_none(
    tmp_path: Path, gated: Path
) -> None:
    script, store = tmp_path / "own_sweep.py", tmp_path / "store"
    script.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script), str(store)], env=environment())
    try:
        # The runs of depth 14 come first; those of depth 8 wait at the gate.
        wait_until(lambda: process.poll() is not None or len(list(store.glob("*.json"))) == 2)
        wait_until(lambda: process.poll() is not None or "8-0" in names(gated))
        assert process.poll() is None, "the sweep ended by itself"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = {path: path.stat() for path in store.glob("*.json")}
    # Another process gave the files the names that their specs have here.
    assert {path.stem for path in finished} == {spec.hash for spec in HALF_GATED[2:]}
    if sys.platform == "linux":  # its workers do not outlive it
        workers = [int(path.read_text("utf-8")) for path in gated.glob("8-*")]
        wait_until(lambda: not any(map(is_running, workers)))

    (gated / "gate").unlink()
    executor = Inline()
    found = sweep(HALF_GATED, store, executor, progress=False)
    assert executor.ran == HALF_GATED[:2]
    for path, before in finished.items():
        now = path.stat()
        assert (now.st_mtime_ns, now.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert names(store) == {f"{spec.hash}.json" for spec in HALF_GATED}

    never_killed = sweep(HALF_GATED, tmp_path / "other", Inline(), progress=False)
    assert [one.science() for one in found] == [one.science() for one in never_killed]
