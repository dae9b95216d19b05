"""Whatever dies, a sweep loses no record, doubles none, and says what happened."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import own_gated_runs
import pytest
from making_records import record, tiny
from test_degradation_sweep import Inline

import course_utils
from course_utils.degradation import Spec, sweep, sweeping
from course_utils.experiments import Record, Store, SweepError
from course_utils.experiments.claims import FILE, Claims
from course_utils.experiments.engines import TRIMMING, JobExecutor, dask_executor, slurm_executor
from course_utils.experiments.processes import Processes
from course_utils.experiments.progress import Progress

# Processes that load torch take seconds, and minutes on a machine that is busy with other things.
pytestmark = pytest.mark.timeout(900)
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


class Notes(Progress):
    """Remembers what the sweep said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        self.said.append((f"{spec}: {reason}", again))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 600
    while not done():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the gated runs say who does them, with the gate shut."""
    folder = tmp_path / "gated"
    folder.mkdir()
    (folder / "gate").touch()
    monkeypatch.setenv(own_gated_runs.FOLDER, str(folder))
    return folder


def environment() -> dict[str, str]:
    roots = [Path(course_utils.__file__).parents[1], Path(__file__).parent]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots)), "COURSE_LANG": "en"}


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
    assert notes.said == [("plain-8, seed 1: RuntimeError: a passing cloud", True)]
    assert names(tmp_path) == {f"{spec.hash}.json" for spec in specs}


def test_a_run_that_fails_twice_is_recorded_as_failed_until_it_succeeds(tmp_path: Path) -> None:
    reasons = iter(["no room", "no room\nand no chair"])

    def work(spec: Spec) -> Record:
        raise MemoryError(next(reasons))

    store, notes = Store(tmp_path), Notes()
    with pytest.raises(SweepError, match=r"plain-8, seed 0 first \(MemoryError: no room and no ch"):
        sweep([tiny()], tmp_path, Inline(work), progress=notes)
    assert [again for _said, again in notes.said] == [True, False]
    assert names(tmp_path) == {f"{tiny().hash}.failed"}
    text = store.read_failure(tiny())
    assert text is not None and text.startswith("plain-8, seed 0\n")
    assert "- MemoryError: no room\n- MemoryError: no room and no chair\n" in text
    assert store.records() == []

    executor = Inline(record)
    assert sweep([tiny()], tmp_path, executor, progress=False) == [record(tiny())]
    assert executor.ran == [tiny()]
    assert names(tmp_path) == {f"{tiny().hash}.json"}
    assert store.read_failure(tiny()) is None


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


# --- a worker that is killed ---------------------------------------------------------------


@contextlib.contextmanager
def killing_the_first_to_build(depth: int, folder: Path) -> Iterator[None]:
    """Kill whoever first builds a net of that depth, once all nets are being built."""

    def kill() -> None:
        try:
            wait_until(lambda: {"8-0", "14-0"} <= names(folder))
            wait_until(lambda: (folder / f"{depth}-0").read_text(encoding="utf-8") != "")
            os.kill(int((folder / f"{depth}-0").read_text(encoding="utf-8")), signal.SIGKILL)
            wait_until(lambda: f"{depth}-1" in names(folder))  # it is tried again
        finally:
            (folder / "gate").unlink()

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


GATED = [tiny("own_gated_runs:gated", depth, family_options={}) for depth in (8, 14)]


@posix
def test_a_worker_killed_in_its_run_costs_that_run_alone_and_it_is_done_again(
    tmp_path: Path, folder: Path
) -> None:
    notes = Notes()
    with killing_the_first_to_build(8, folder), Processes(2) as executor:
        found = sweep(GATED, tmp_path / "store", executor, progress=notes)
    assert [one.spec for one in found] == GATED
    assert names(folder) == {"8-0", "8-1", "14-0"}  # the other run was not disturbed
    assert len(notes.said) == 1
    said, again = notes.said[0]
    assert said.startswith("own_gated_runs:gated-8, seed 0: its process died") and again
    assert names(tmp_path / "store") == {f"{spec.hash}.json" for spec in GATED}


def test_a_dask_worker_keeps_its_memory_from_step_to_step() -> None:
    pytest.importorskip("distributed")  # which brings the setting
    import dask

    variables = dask.config.get("distributed.nanny.pre-spawn-environ")
    assert TRIMMING in variables  # or there is nothing to undo any more
    with dask_executor("local", jobs=1) as (executor, _workers):
        assert executor.submit(os.environ.get, TRIMMING).result() is None
    assert dask.config.get("distributed.nanny.pre-spawn-environ") == variables


@posix
def test_a_dask_worker_killed_in_its_run_costs_that_run_alone_and_it_is_done_again(
    tmp_path: Path, folder: Path
) -> None:
    with (
        dask_executor("local", GATED, jobs=2) as (executor, workers),
        killing_the_first_to_build(8, folder),
    ):
        assert workers == 2
        found = sweep(GATED, tmp_path / "store", executor, progress=False)
        # A run that fails is run again, and its reason comes back.
        wrong = tiny("own_gated_runs:refusing", family_options={})
        with pytest.raises(SweepError, match="RuntimeError: the pixels ran away"):
            sweep([wrong], tmp_path / "store", executor, progress=False)
    assert [one.spec for one in found] == GATED
    assert names(folder) == {"8-0", "8-1", "14-0"}
    text = Store(tmp_path / "store").read_failure(wrong)
    assert text is not None and text.count("RuntimeError: the pixels ran away") == 2
    here = [sweep([spec], tmp_path / "here", Inline(), progress=False)[0] for spec in GATED]
    assert [one.science() for one in found] == [one.science() for one in here]


@posix
def test_leaving_the_processes_ends_them_in_their_work(folder: Path) -> None:
    executor = Processes(1)
    running = executor.submit(own_gated_runs.gated, 8)
    waiting = executor.submit(abs, -1)
    wait_until(lambda: "8-0" in names(folder))
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(BrokenProcessPool):
        running.result(60)
    assert waiting.cancelled()


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


# --- jobs ----------------------------------------------------------------------------------


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


@posix
def test_submitits_own_local_jobs_do_the_runs_two_in_a_job(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    specs = [tiny(seed=seed) for seed in (0, 1)]
    with slurm_executor(tmp_path / "jobs", cluster="local", per_job=2, timeout_min=10) as executor:
        found = sweep(specs, tmp_path / "store", executor, progress=False)
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 1
    here = sweep(specs, tmp_path / "here", Inline(), progress=False)
    assert [one.science() for one in found] == [one.science() for one in here]


# --- two sweeps, one store -----------------------------------------------------------------


def test_a_claim_is_one_sweeps_until_it_ends(tmp_path: Path) -> None:
    first, second = tiny(seed=0), tiny(seed=1)
    with Claims(tmp_path) as theirs:
        with Claims(tmp_path) as ours:
            assert ours.take(first) and ours.take(first)
            assert not theirs.take(first)
            assert theirs.take(second) and not ours.take(second)
        assert theirs.take(first)
        assert names(tmp_path) == {FILE}
    assert names(tmp_path) == set()
    with Claims(tmp_path):
        assert names(tmp_path) == set()  # nothing is written until something is claimed


def test_two_sweeps_of_one_process_share_the_runs(tmp_path: Path) -> None:
    specs = [tiny(seed=seed) for seed in range(3)]
    begun, go = threading.Event(), threading.Event()
    ran: list[Spec] = []

    def work(spec: Spec) -> Record:
        ran.append(spec)
        begun.set()
        assert go.wait(60)
        return record(spec)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(sweep, specs, tmp_path, Inline(work), progress=False)
        assert begun.wait(60)
        second = Inline(record)
        threading.Timer(0.2, go.set).start()
        # What the first sweep has not begun is done here, and then each has what the other has.
        with pytest.warns(UserWarning, match="Another sweep is doing"):
            found = sweep(specs, tmp_path, second, progress=False)
        assert found == first.result(60) == [record(spec) for spec in specs]
    assert [spec.seed for spec in ran] == [0]
    assert [spec.seed for spec in second.ran] == [1, 2]
    assert names(tmp_path) == {f"{spec.hash}.json" for spec in specs}


SCRIPT = """
import sys, warnings
from test_degradation_engines import GATED
from course_utils.degradation import sweep

if __name__ == "__main__":
    warnings.showwarning = lambda message, *_more: print(message, flush=True)
    print("started", flush=True)
    print(len(sweep(GATED, sys.argv[1], progress=False)), "records", flush=True)
"""


@posix
@pytest.mark.parametrize("first_is_killed", [False, True])
def test_two_sweeps_started_on_one_store_do_each_run_once_even_if_one_is_killed(
    tmp_path: Path, folder: Path, first_is_killed: bool
) -> None:
    script, store = tmp_path / "own_two_sweeps.py", tmp_path / "store"
    script.write_text(SCRIPT, encoding="utf-8")

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(script), str(store)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    first = start()
    wait_until(lambda: "8-0" in names(folder) or "14-0" in names(folder))
    second = start()
    assert second.stdout is not None and first.stdout is not None
    assert second.stdout.readline() == "started\n"
    assert second.stdout.readline() == (
        f"Another sweep is doing 2 of these runs in {store}: they are left to it, and waited for.\n"
    )
    if first_is_killed:
        first.kill()
        first.wait()
    (folder / "gate").unlink()
    assert second.communicate()[0] == "2 records\n"
    if not first_is_killed:
        assert first.communicate()[0] == "started\n2 records\n"
        assert names(folder) == {"8-0", "14-0"}
    assert names(store) == {f"{spec.hash}.json" for spec in GATED}
    assert {one.spec for one in Store(store).records()} == set(GATED)


# --- a disk that is full -------------------------------------------------------------------

FULL = """
import resource, sys
from course_utils import cli

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    sys.exit(cli.main(sys.argv[1:]))
"""


@posix
def test_a_disk_that_takes_no_more_ends_the_sweep_in_a_sentence_and_keeps_what_was_saved(
    tmp_path: Path,
) -> None:
    # No file may grow beyond 1,000 bytes: the system itself refuses to write a record whole.
    saved = tiny(seed=1)
    Store(tmp_path / "store").write(record(saved))
    before = (tmp_path / "store" / f"{saved.hash}.json").read_bytes()
    script = tmp_path / "own_full_disk.py"
    script.write_text(FULL, encoding="utf-8")
    words = "sweep --family plain --depths 8 --seeds 0 --epochs 1 --size 8"
    ended = subprocess.run(
        [sys.executable, str(script), *words.split(), "--store", str(tmp_path / "store")],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert "The record of plain-8, seed 0 could not be written" in last
    assert "(File too large)" in last
    assert names(tmp_path / "store") == {f"{saved.hash}.json"}
    assert (tmp_path / "store" / f"{saved.hash}.json").read_bytes() == before
