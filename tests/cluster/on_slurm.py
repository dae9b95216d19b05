"""Sweeps on a real Slurm: whatever befalls the jobs, no record is lost, doubled or half-written.

Its name keeps this file out of what pytest collects by itself: `make test-cluster` runs it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import own_gated_runs
import pytest
from running_sweeps import environment, names, wait_until
from slurm import Slurm, needs_slurm, one_node_slurm

from course_utils import cli
from course_utils.experiments import Store, clusters
from course_utils.experiments.running import run

pytestmark = [needs_slurm, pytest.mark.timeout(900)]

GATED = "--family own_gated_runs:gated --depths 8 14"
HALF_GATED = "--family plain own_gated_runs:gated --depths 8"

LOST = "Workers lost: 1; their runs start again."
DESERTED = "The cluster has no worker left, and the runs are waiting for one."


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with one_node_slurm() as slurm:
        yield slurm


class Place:
    """Where the sweeps of one test are: their store, and the gate at which their runs wait."""

    def __init__(self, folder: Path, slurm: Slurm) -> None:
        self.slurm, self.store, self.gated = slurm, folder / "store", folder / "gated"
        self.gated.mkdir()
        self.gate = self.gated / "gate"
        self.gate.touch()
        self.jobs = folder / "jobs"
        self._over = threading.Event()

    def words(self, more: str = "", nets: str = GATED, *, by_slurm: bool = True) -> list[str]:
        """A sweep of two nets, by workers in jobs or where it is started."""
        how = f"--seeds 0 --size 8 --steps 2 --no-estimate --workers 2 --store {self.store}"
        where = f"--cluster slurm --jobs-folder {self.jobs} --cluster-option interface=lo"
        return f"sweep {nets} {how} {where if by_slurm else ''} {more}".split()

    def wait_for(self, *nets: str) -> None:
        """Until these nets, ``<depth>-<number of the try>``, are being built."""
        wait_until(lambda: all(map(self._builder, nets)) or self._over.is_set())
        assert all(map(self._builder, nets)), "the sweep has ended before"

    def _builder(self, net: str) -> str:
        path = self.gated / net
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def job_of(self, net: str) -> str:
        """The job of an array that builds a net, ``12_3``."""
        text = Path(f"/proc/{self._builder(net)}/environ").read_text(encoding="utf-8")
        variables = dict(line.partition("=")[::2] for line in text.split("\0"))
        return f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"

    def kill(self, net: str) -> None:
        """Kill the worker that builds a net, as a lack of memory does."""
        os.kill(int(self._builder(net)), signal.SIGKILL)

    @contextlib.contextmanager
    def meanwhile(self, befall: Callable[[], None]) -> Iterator[None]:
        """Have something happen while the sweep in the block runs, and then open the gate."""

        def happen() -> None:
            try:
                befall()
            finally:
                self.gate.unlink(missing_ok=True)

        with ThreadPoolExecutor(1) as threads:
            happened = threads.submit(happen)
            try:
                yield
            finally:
                self._over.set()
            happened.result()

    def check_whole(self, *nets: str) -> None:
        """Each run has its record, that of a run done here, and these nets were built, no other."""
        assert names(self.gated) == set(nets)
        records = Store(self.store).records()
        assert len(records) == 2
        assert names(self.store) == {f"{record.spec.hash}.json" for record in records}
        for record in records:
            assert record.science() == run(record.spec).science()


@pytest.fixture
def place(tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(tmp_path, slurm)
    variables = {"SLURM_CONF": slurm.configuration, own_gated_runs.FOLDER: place.gated}
    for name, value in environment().items() | variables.items():
        monkeypatch.setenv(name, str(value))
    yield place
    wait_until(slurm.is_empty, 300)  # a sweep leaves nothing in the queue


Said = pytest.CaptureFixture[str]


def said(capsys: Said) -> str:
    """What the reader saw beside the results, in which there is no trace of Python's."""
    error = capsys.readouterr().err
    assert "Traceback" not in error and "distributed" not in error and "slurm_" not in error
    return error


@pytest.mark.parametrize("more", ["--time 30", "--per-gpu 2"], ids=["two jobs", "one job of two"])
def test_a_sweep_leaves_its_records_and_no_job(place: Place, capsys: Said, more: str) -> None:
    place.gate.unlink()
    assert cli.main(place.words(more)) == 0
    place.check_whole("8-0", "14-0")
    assert len(names(place.jobs)) == (2 if "time" in more else 1)  # a log a job
    out, err = capsys.readouterr()
    assert ("A Slurm job lasts 30 min at most" in out) == ("time" in more)
    assert "0 of 2 runs | The cluster has no worker yet, and the runs are waiting for one." in err
    assert "2 of 2 runs, 0 s left | own_gated_runs:gated-" in err


def test_a_job_that_slurm_refuses_is_a_sentence_and_nothing_is_written(
    place: Place, capsys: Said
) -> None:
    assert cli.main(place.words("--partition nowhere")) == 2
    (sentence,) = said(capsys).splitlines()
    assert sentence.startswith("Slurm refuses these jobs: ") and "nowhere" in sentence
    assert not place.store.exists()


def test_a_job_that_is_cancelled_costs_its_run_alone_and_slurm_begins_another(
    place: Place, capsys: Said
) -> None:
    def cancel() -> None:
        place.wait_for("8-0", "14-0")
        place.slurm.command("scancel", place.job_of("8-0"))
        place.wait_for("8-1")

    with place.meanwhile(cancel):
        assert cli.main(place.words()) == 0
    place.check_whole("8-0", "8-1", "14-0")
    assert LOST in said(capsys)


def test_a_job_that_runs_out_of_time_costs_its_run_alone_and_slurm_begins_another(
    place: Place, capsys: Said
) -> None:
    def end() -> None:
        place.wait_for("8-0", "14-0")
        job = place.job_of("14-0")
        place.slurm.command("scontrol", "update", f"JobId={job}", "EndTime=now+1")
        place.wait_for("14-1")
        assert "TIME LIMIT" in "".join(log.read_text() for log in place.jobs.iterdir())

    with place.meanwhile(end):
        assert cli.main(place.words("--time 30")) == 0
    place.check_whole("8-0", "14-0", "14-1")
    assert LOST in said(capsys)


def test_a_drained_node_ends_no_run_and_the_sweep_waits_until_it_is_back(
    place: Place, capsys: Said
) -> None:
    def state(name: str) -> None:
        update = ["scontrol", "update", f"NodeName={place.slurm.node}", f"State={name}"]
        place.slurm.command(*update, "Reason=tests")

    def drain() -> None:
        place.wait_for("14-0")
        state("drain")
        place.slurm.command("scancel", place.job_of("14-0"))
        wait_until(lambda: DESERTED in told())
        state("resume")
        wait_until(lambda: names(place.gated) > {"gate", "14-0"})  # either run may be the next

    def told() -> str:
        heard.append(capsys.readouterr().err)
        return "".join(heard)

    heard: list[str] = []
    with place.meanwhile(drain):
        assert cli.main(place.words("--workers 1")) == 0
    place.check_whole("8-0", "14-0", "14-1")
    assert "Workers of the cluster: 1." in told() and "Traceback" not in told()


def test_a_sweep_whose_jobs_are_all_cancelled_ends_with_a_sentence(
    place: Place, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "ASK", 0.0)

    def cancel() -> None:
        place.wait_for("8-0", "14-0")
        place.slurm.command("scancel", "--name=sweep")

    with place.meanwhile(cancel):
        assert cli.main(place.words()) == 1
    assert said(capsys).splitlines()[-1] == (
        "The cluster has no worker left, and Slurm has no job left that could bring one: the "
        "jobs' logs say why. What is done is saved, and the same command goes on from there."
    )
    assert names(place.store) == set()


def test_a_sweep_that_is_killed_leaves_no_job_and_goes_on_when_it_is_started_again(
    place: Place, capsys: Said
) -> None:
    words = place.words(nets=HALF_GATED)
    command = [sys.executable, "-m", "course_utils", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: place.store.exists() and len(list(place.store.glob("*.json"))) == 1)
        place.wait_for("8-0")
    finally:
        process.kill()
        process.wait()
        place.gate.unlink()
    wait_until(place.slurm.is_empty, 300)
    assert cli.main(words) == 0
    place.check_whole("8-0", "8-1")
    assert "2 of 2 runs" in said(capsys)


def test_a_controller_that_is_restarted_is_not_noticed_and_begins_what_was_lost_meanwhile(
    place: Place, capsys: Said
) -> None:
    def restart() -> None:
        place.wait_for("8-0", "14-0")
        place.slurm.stop_controller()
        place.kill("8-0")
        place.slurm.start_controller()
        place.wait_for("8-1")

    with place.meanwhile(restart):
        assert cli.main(place.words()) == 0
    place.check_whole("8-0", "8-1", "14-0")
    assert LOST in said(capsys)


def test_a_sweep_that_ends_without_the_controller_says_how_its_jobs_end(
    place: Place, capsys: Said
) -> None:
    def stop() -> None:
        place.wait_for("8-0", "14-0")
        place.slurm.stop_controller()

    with place.meanwhile(stop):
        assert cli.main(place.words()) == 0
    place.slurm.start_controller()
    place.check_whole("8-0", "14-0")
    assert "Slurm could not be told that the sweep is over (scancel: error:" in said(capsys)


def test_an_array_of_sweeps_needs_no_process_beside_slurm(place: Place, capsys: Said) -> None:
    """What CLUSTERS.md says for long runs: each job does its part, and all write into one store."""
    nets = "--family own_gated_runs:gated --depths 8"
    part = " ".join(place.words("--seeds $SLURM_ARRAY_TASK_ID", nets, by_slurm=False))
    job = f"{sys.executable} -m course_utils {part}"
    place.slurm.command("sbatch", "--array=0-1", "--output=/dev/null", f"--wrap={job}")
    place.wait_for("8-0", "8-1")
    place.slurm.command("scancel", place.job_of("8-0"))
    place.gate.unlink()
    wait_until(place.slurm.is_empty, 300)
    assert len(list(place.store.glob("*.json"))) == 1

    assert cli.main(place.words("--seeds 0 1", nets, by_slurm=False)) == 0
    place.check_whole("8-0", "8-1", "8-2")
    assert "2 of 2 runs" in said(capsys)
