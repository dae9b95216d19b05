"""Two sweeps on one store share the runs, in one process or in two, even if one is killed."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from making_records import record, tiny
from running_sweeps import GATED, Inline, environment, names, posix, wait_until

from course_utils.experiments import Record, Spec, Store, claims, sweep
from course_utils.experiments.claims import FILE, Claims


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


@posix
def test_where_the_file_system_has_no_locks_every_claim_is_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_arguments: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims.fcntl, "lockf", unsupported)
    with Claims(tmp_path) as ours:
        assert ours.take(tiny())
    assert names(tmp_path) == set()


def test_a_file_removed_by_its_last_user_holds_no_claim(tmp_path: Path) -> None:
    with Claims(tmp_path) as ours:
        assert ours.take(tiny(seed=0))
        ours.drop(tiny(seed=0))
        (tmp_path / FILE).unlink()  # as another process does, which sees no claim
        assert ours.take(tiny(seed=1))
        assert names(tmp_path) == {FILE}


def open_files() -> int:
    return sum(1 for _descriptor in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_thousand_claims_hold_one_file_open(tmp_path: Path) -> None:
    before = open_files()
    with Claims(tmp_path) as ours:
        assert all(ours.take(tiny(seed=seed)) for seed in range(1000))
        assert open_files() == before + 1
    assert open_files() == before


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
        with pytest.warns(UserWarning, match="Another sweep is already doing"):
            found = sweep(specs, tmp_path, second, progress=False)
        assert found == first.result(60) == [record(spec) for spec in specs]
    assert [spec.seed for spec in ran] == [0]
    assert [spec.seed for spec in second.ran] == [1, 2]
    assert names(tmp_path) == {f"{spec.hash}.json" for spec in specs}


SCRIPT = """
import sys, warnings
from running_sweeps import GATED

from course_utils.experiments import sweep

if __name__ == "__main__":
    warnings.showwarning = lambda message, *_more: print(message, flush=True)
    print("started", flush=True)
    print(len(sweep(GATED, sys.argv[1], progress=False)), "records", flush=True)
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("first_is_killed", [False, True])
def test_two_sweeps_started_on_one_store_do_each_run_once_even_if_one_is_killed(
    tmp_path: Path, gated: Path, first_is_killed: bool
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
    wait_until(lambda: "8-0" in names(gated) or "14-0" in names(gated))
    second = start()
    assert second.stdout is not None and first.stdout is not None
    assert second.stdout.readline() == "started\n"
    assert second.stdout.readline() == (
        f"Another sweep is already doing some of these runs in {store}, 2 in all: this one "
        "waits for their records.\n"
    )
    if first_is_killed:
        first.kill()
        first.wait()
    (gated / "gate").unlink()
    assert second.communicate()[0] == "2 records\n"
    if not first_is_killed:
        assert first.communicate()[0] == "started\n2 records\n"
        assert names(gated) == {"8-0", "14-0"}
    assert names(store) == {f"{spec.hash}.json" for spec in GATED}
    assert {one.spec for one in Store(store).records()} == set(GATED)
