"""Ctrl-C ends a sweep between two steps of its work: no lock stays taken, no record is lost."""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from making_records import tiny
from running_sweeps import Inline

from course_utils.experiments import Store, estimating, sweep, sweeping
from course_utils.experiments.interrupting import postponed


@pytest.fixture(autouse=True)
def pythons_own_answer() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("work", "name"), [(sweeping._Sweep, "_end_those_done"), (estimating, "wait")]
)
def test_a_wait_that_has_begun_is_not_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Any, name: str
) -> None:
    waits = []

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        waits.append(work)  # with all its locks let go of
        return wait(*arguments)

    wait = getattr(work, name)
    monkeypatch.setattr(work, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        if work is sweeping._Sweep:
            sweep([tiny(seed=0), tiny(seed=1)], tmp_path / "store", Inline(), progress=False)
        else:
            estimating.estimate([tiny()], [], Inline())
    assert waits == [work]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if work is sweeping._Sweep:  # what was done when it came is saved
        assert len(Store(tmp_path / "store").records()) == 2


def test_what_was_held_back_is_let_through_at_the_end() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), postponed():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done


def test_a_second_ctrl_c_waits_for_nothing() -> None:
    with pytest.raises(KeyboardInterrupt), postponed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it was held back")


def test_another_answer_to_ctrl_c_stays_in_its_place() -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        with postponed() as let_through:
            signal.raise_signal(signal.SIGINT)
            let_through()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [True]


def test_off_the_main_thread_nothing_is_changed() -> None:
    answers = []

    def work() -> None:
        with postponed():
            answers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [signal.default_int_handler]
