"""A run gives the same numbers everywhere, and a sweep does each run once, whatever happens."""

from __future__ import annotations

import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from making_records import record, tiny

import course_utils
from course_utils import i18n
from course_utils.datasets import load
from course_utils.degradation import Spec, run, sweep, sweeping
from course_utils.experiments import Record, Store, SweepError, build, local_executor

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


class Inline(Executor):
    """Runs at once what is submitted, here, and remembers it."""

    def __init__(self, work: Callable[[Spec], Record] | None = None) -> None:
        self.work = work
        self.ran: list[Spec] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        (spec,) = args
        self.ran.append(spec)
        future: Future[Any] = Future()
        try:
            future.set_result((self.work or fn)(spec))
        except Exception as error:
            future.set_exception(error)
        return future


# --- one run -------------------------------------------------------------------------------


def test_plain_and_residual_runs_of_one_seed_start_from_the_same_weights() -> None:
    data = load("digits", size=8)
    plain = build(tiny("plain", seed=4), data).state_dict()
    residual = build(tiny("residual", seed=4), data).state_dict()
    other = build(tiny("plain", seed=5), data).state_dict()
    assert all(torch.equal(plain[name], residual[name]) for name in plain)
    assert not torch.equal(plain["linear.weight"], other["linear.weight"])
    assert plain["stem.0.weight"].shape == (2, 1, 3, 3)  # width 2, grey images
    assert plain["linear.weight"].shape == (10, 8)


def test_a_run_leaves_torchs_generator_and_threads_as_they_were() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    before = torch.get_num_threads()
    run(tiny(threads=before + 1))
    assert torch.get_num_threads() == before
    assert torch.equal(torch.rand(2), expected)
    with pytest.raises(TypeError, match="no option"):
        run(tiny(threads=before + 1, dataset_options={"sise": 8}))
    assert torch.get_num_threads() == before


def test_a_record_says_what_was_measured_and_what_it_cost() -> None:
    spec = tiny(steps=None, epochs=3, evaluate_every=2, batch_size=512)  # 2 steps an epoch
    found = run(spec)
    assert found.spec == spec
    assert found.epochs == (2, 3)
    assert found.steps == 6 and not found.diverged
    assert len(found.losses) == len(found.learning_rates) == len(found.running_errors) == 3
    assert found.train_error == found.train_errors[-1]
    assert found.test_error == found.test_errors[-1]
    # Errors are counts of 1,437 and 360 images.
    assert found.train_error * 1437 == pytest.approx(round(found.train_error * 1437))
    assert found.test_error * 360 == pytest.approx(round(found.test_error * 360))
    # Width 2, one block a stage, 8×8, 4×4 and 2×2 pixels; each BN has two parameters a map.
    pairs = [2 + 4 + 4, 8 + 16, 32 + 64]  # maps in × maps out, stem and stage by stage
    maps = 2 + 2 * 2 + 4 * 2 + 8 * 2
    assert found.parameters == 9 * sum(pairs) + 2 * maps + 8 * 10 + 10
    assert found.macs == 9 * (64 * pairs[0] + 16 * pairs[1] + 4 * pairs[2]) + 8 * 10


def test_a_run_that_diverges_is_a_record_and_not_a_crash() -> None:
    found = run(tiny(steps=None, epochs=2, batch_size=512, learning_rate=1e20))
    assert found.diverged
    assert found.steps < 4 or not math.isfinite(found.losses[-1])
    assert found.train_error == 1
    assert Record.from_json(found.to_json()).science() == found.science()


def test_a_record_names_the_machine_but_neither_the_host_nor_the_user() -> None:
    found = run(tiny())
    said = {str(value) for value in found.machine.values()}
    assert not said & {platform.node(), str(Path.home()), Path.home().name}
    assert found.machine["torch"] == torch.__version__
    assert found.machine["precision"] == "fp32"
    assert found.machine["memory_format"] == "channels_last"


# --- what a sweep does ---------------------------------------------------------------------


def test_a_sweep_answers_in_the_order_of_the_specs_and_runs_the_deepest_first(
    tmp_path: Path,
) -> None:
    specs = [tiny(depth=depth, seed=seed) for depth in (8, 20, 14) for seed in (1, 0)]
    executor = Inline(record)
    found = sweep(specs, tmp_path, executor, progress=False)
    assert [one.spec for one in found] == specs
    assert [spec.depth for spec in executor.ran] == [20, 20, 14, 14, 8, 8]
    assert {path.name for path in tmp_path.iterdir()} == {f"{spec.hash}.json" for spec in specs}


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
    with pytest.warns(UserWarning, match="its run is done again") as caught:
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
    assert sentence.startswith("1 run(s) gave no record, plain-14, seed 0 first")
    assert "RuntimeError: the pixels ran away" in sentence
    assert "The 2 that did are saved" in sentence and "\n" not in sentence
    assert [found.spec.depth for found in Store(tmp_path).records()] == [8, 20]
    executor = Inline(record)
    assert len(sweep(specs, tmp_path, executor, progress=False)) == 3
    assert [spec.depth for spec in executor.ran] == [14]


def test_a_family_that_refuses_its_options_is_named_in_the_sentence(tmp_path: Path) -> None:
    wrong = tiny(family_options={"widht": 2})
    with pytest.raises(SweepError, match=r"plain-8, seed 0 first \(TypeError: .*widht"):
        sweep([wrong], tmp_path, Inline(), progress=False)


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
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_only_when_asked_and_when_there_is_something_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep([tiny()], tmp_path, Inline(record), progress=False)
    sweep([tiny()], tmp_path, Inline(record))
    assert capsys.readouterr() == ("", "")
    sweep([tiny(seed=1)], tmp_path, Inline(record))
    assert "run" in capsys.readouterr().err


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


# --- the same numbers everywhere -----------------------------------------------------------


OWN = """
import os

from course_utils.i18n import current_language
from course_utils.models import cifar_net


def build(depth, in_channels, num_classes):
    if depth == 2:  # only to hear from the worker
        raise RuntimeError(f"{current_language()} in {os.getcwd()}")
    return cifar_net(depth, "B", 2, in_channels, num_classes)
"""


def test_a_spec_gives_the_same_numbers_here_in_threads_and_in_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a notebook: the reader has changed folder, and imports from the one they are in.
    folder = tmp_path / "lesson"
    folder.mkdir()
    (folder / "own_in_worker.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend("")
    monkeypatch.setattr(i18n, "_chosen", "fr")
    monkeypatch.setattr(sweeping, "_cores", lambda: 1)
    options: dict[str, Any] = {"steps": 5, "augmentation": "crop_flip", "family_options": {}}
    plain = tiny(steps=5, augmentation="crop_flip")
    own = tiny("own_in_worker:build", **options)
    speaks = tiny("own_in_worker:build", 2, **options)

    with pytest.raises(SweepError) as failure:
        sweep([plain, own, speaks], tmp_path / "store", progress=False)
    assert f"RuntimeError: fr in {Path.cwd()}" in str(failure.value)

    in_worker = [one.science() for one in Store(tmp_path / "store").records()]
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert [run(spec).science() for spec in (own, plain)] == in_worker
    finally:
        torch.set_num_threads(before)

    with ThreadPoolExecutor(4) as pool:
        threaded = sweep([own, plain], tmp_path / "threads", pool, progress=False)
    assert [one.science() for one in threaded] == in_worker


# --- killed --------------------------------------------------------------------------------


DEADLY = """
import multiprocessing, os, signal

from course_utils.models import cifar_net


def build(depth, **options):
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return cifar_net(depth, **options)
"""


@posix
def test_a_worker_that_is_killed_is_a_sentence_and_what_was_done_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_deadly.py").write_text(DEADLY, encoding="utf-8")
    monkeypatch.setattr(sweeping, "_cores", lambda: 1)  # so that the deepest ends before
    specs = [tiny("own_deadly:build", 8), tiny("plain", 14)]
    store = tmp_path / "store"
    with pytest.raises(SweepError) as failure:
        sweep(specs, store, progress=False)
    sentence = str(failure.value)
    assert sentence.startswith("1 run(s) gave no record, own_deadly:build-8, seed 0 first (its pro")
    assert "The 1 that did are saved" in sentence
    assert [found.spec for found in Store(store).records()] == specs[1:]


GATED = """
import time
from pathlib import Path

from course_utils.models import cifar_net

GATE = Path(__file__).with_name("gate")


def build(depth, **options):
    while depth == 8 and GATE.exists():
        time.sleep(0.02)
    return cifar_net(depth, **options)
"""

SCRIPT = """
import sys

from making_records import tiny

from course_utils.degradation import sweep

if __name__ == "__main__":
    specs = [tiny("own_gated:build", depth, seed) for depth in (8, 14) for seed in (0, 1)]
    sweep(specs, sys.argv[1], progress=False)
"""


def children_of(pid: int) -> set[int]:
    """The living processes whose parent is ``pid``."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        state, parent = state_and_parent(stat)
        if state not in "ZX" and parent == pid:
            found.add(int(stat.parent.name))
    return found


def state_and_parent(stat: Path) -> tuple[str, int]:
    try:
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0  # it ended while we looked
    return fields[0], int(fields[1])


def wait_until(done: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + 240
    while not done():
        assert process is None or process.poll() is None, "the sweep ended by itself"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


@posix
def test_a_sweep_killed_and_started_again_repeats_no_run_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_gated.py").write_text(GATED, encoding="utf-8")
    (tmp_path / "own_sweep.py").write_text(SCRIPT, encoding="utf-8")
    gate, store = tmp_path / "gate", tmp_path / "store"
    gate.touch()
    roots = [Path(course_utils.__file__).parents[1], Path(__file__).parent, tmp_path]
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "own_sweep.py"), str(store)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots))},
    )
    try:
        # The runs of depth 14 come first; those of depth 8 wait at the gate.
        wait_until(lambda: len(list(store.glob("*.json"))) == 2, process)
        workers = children_of(process.pid) if sys.platform == "linux" else set()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    specs = [tiny("own_gated:build", depth, seed) for depth in (8, 14) for seed in (0, 1)]
    finished = {path: path.stat() for path in store.glob("*.json")}
    # Another process gave the files the names that their specs have here.
    assert {path.stem for path in finished} == {spec.hash for spec in specs[2:]}
    if sys.platform == "linux":
        assert workers
        wait_until(
            lambda: all(state_and_parent(Path(f"/proc/{p}/stat"))[0] in "ZX" for p in workers)
        )

    gate.unlink()
    executor = Inline()
    found = sweep(specs, store, executor, progress=False)
    assert executor.ran == specs[:2]
    for path, before in finished.items():
        now = path.stat()
        assert (now.st_mtime_ns, now.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert {path.name for path in store.iterdir()} == {f"{spec.hash}.json" for spec in specs}

    never_killed = sweep(specs, tmp_path / "other", Inline(), progress=False)
    assert [one.science() for one in found] == [one.science() for one in never_killed]
