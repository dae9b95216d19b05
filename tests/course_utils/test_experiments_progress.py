"""A sweep shows how far it is: a bar on a terminal and in a notebook, a line a run in a log."""

from __future__ import annotations

import sys
import warnings

import pytest
from making_records import record, tiny

from course_utils.experiments.progress import Bar, Progress, news_of

SPECS = [tiny(seed=0), tiny(seed=1), tiny("residual")]
MINUTE_EACH = dict.fromkeys(SPECS, 60.0)


def tell(progress: Progress) -> None:
    """Of three runs one is there; one fails, then is given up; the other ends."""
    progress.start([record(tiny(seed=0))], [tiny(seed=1), tiny("residual")])
    progress.failed(tiny("residual"), "MemoryError: no room", again=True)
    progress.failed(tiny("residual"), "MemoryError: no room", again=False)
    progress.finished(record(tiny(seed=1), 0.5))
    progress.tick()
    progress.stop()


def test_in_a_log_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Bar(MINUTE_EACH, workers=2, lines=True))
    again, gave_up, ended = capsys.readouterr().err.splitlines()
    # Two runs of a minute, two at a time.
    assert again.startswith("1 of 3 runs, 1 min left | ")
    assert again.endswith("residual-8, seed 0: MemoryError: no room; tried again")
    assert gave_up.endswith("residual-8, seed 0: MemoryError: no room; given up")
    assert ended.startswith("2 of 3 runs, 0 s left | plain-8, seed 1: training error 50.0%")


def test_on_a_terminal_what_happened_stays_above_a_bar_that_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell(Bar(MINUTE_EACH, workers=2, lines=True))
    drawn = capsys.readouterr().err
    assert "  0%|" in drawn and "1 of 3 runs, 1 min left" in drawn
    assert "100%|" in drawn and "2 of 3 runs, 0 s left" in drawn
    lasting = [line.rpartition("\r")[2].strip() for line in drawn.split("\n")]
    assert [line.partition(":")[0] for line in lasting] == [
        *["residual-8, seed 0"] * 2,
        "plain-8, seed 1",
        "",  # where the bar was
    ]


def test_in_a_notebook_a_run_that_ends_moves_the_bar_and_one_that_fails_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(Bar())
    drawn = capsys.readouterr().err
    assert "2 of 3 runs" in drawn and "MemoryError: no room; given up" in drawn
    assert "training error" not in drawn


def test_without_progress_nothing_is_shown_but_what_must_be_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell(Progress())
    assert capsys.readouterr() == ("", "")
    with pytest.warns(UserWarning, match=r"Nobody is left\."):
        Progress().told("Nobody is left.")


def test_most_executors_have_no_news() -> None:
    assert news_of(object()) == "" and news_of(None) == ""
