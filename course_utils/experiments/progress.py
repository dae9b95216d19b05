"""What a sweep shows while it is at work."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

from tqdm.auto import tqdm

from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.i18n import _, duration, listed, named, percent

__all__ = ["Bar", "Progress", "news_of"]


def news_of(executor: object) -> str:
    """What an executor has to tell of its workers; an empty text for most, which tell nothing.

    Raises:
        RuntimeError: nobody is left to do the work, and that has lasted too long.
    """
    news: Callable[[], str] = getattr(executor, "news", str)
    return news()


class Progress:
    """What a sweep tells of its work; this one shows nothing, and others fill in what they show."""

    def start(self, found: Sequence[Record], missing: Sequence[Spec]) -> None:
        """The sweep begins: these records are there, these runs are to be done."""

    def finished(self, record: Record) -> None:
        """A run has ended and its record is saved."""

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        """A run gave no record; ``again`` says whether it is tried again."""

    def told(self, sentence: str) -> None:
        """Something happened that the reader should know of, whatever else is shown."""
        warnings.warn(sentence, stacklevel=2)

    def tick(self) -> None:
        """Time has passed."""

    def stop(self) -> None:
        """The sweep has ended, one way or another."""


class Bar(Progress):
    """One line: how many runs are done, and the time left.

    Args:
        seconds: how long a run takes, as far as that is known; by default time goes with depth.
        workers: runs done at once.
        lines: say of each run what it gave, in a line of its own. Where the output is a log and
            not a terminal, these lines are all there is, each with the time left.
    """

    def __init__(
        self, seconds: Mapping[Spec, float] | None = None, workers: int = 1, lines: bool = False
    ) -> None:
        self._seconds, self._workers, self._lines = dict(seconds or {}), max(1, workers), lines
        self._bar: tqdm | None = None
        self._runs = self._saved = 0
        self._work = self._done = self._started = 0.0
        self._is_known = False

    def start(self, found: Sequence[Record], missing: Sequence[Spec]) -> None:
        """Show the bar, unless there is nothing to do."""
        self._runs, self._saved = len(found) + len(missing), len(found)
        self._is_known = self._seconds.keys() >= set(missing)
        self._work = sum(map(self._cost, missing))
        self._started = time.monotonic()
        if missing and (sys.stderr.isatty() or not self._lines):
            # It moves by what a run costs, not by one: the longest come first.
            self._bar = tqdm(
                total=self._work, bar_format="{percentage:3.0f}%|{bar}| {desc}", leave=False
            )
            self._refresh()

    def finished(self, record: Record) -> None:
        """Move the bar on."""
        self._saved += 1
        self._done += self._cost(record.spec)
        if self._lines:
            self.told(
                _("{spec}: training error {train}, test error {test}, {time}").format(
                    spec=record.spec,
                    train=percent(record.train_error),
                    test=percent(record.test_error),
                    time=duration(record.seconds),
                )
            )
        self._refresh()

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        """Say which run it was, and why."""
        if not again:
            self._done += self._cost(spec)
        outcome = _("tried again") if again else _("given up")
        self.told(listed([named(spec, reason), outcome]))
        self._refresh()

    def told(self, sentence: str) -> None:
        """A line that stays, above the bar."""
        if self._bar is not None:
            self._bar.write(sentence, file=sys.stderr)
        else:
            print(f"{self._state()} | {sentence}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Let the clock go on, where the bar is a line and not a log."""
        if sys.stderr.isatty():
            self._refresh()

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.n = min(self._done, self._work)
            self._bar.set_description_str(self._state())

    def _cost(self, spec: Spec) -> float:
        return self._seconds.get(spec, float(spec.depth))

    def _state(self) -> str:
        counted = _("{done} of {runs} runs").format(done=self._saved, runs=self._runs)
        elapsed = time.monotonic() - self._started
        if self._done:
            left = elapsed * (self._work - self._done) / self._done
        elif self._is_known:
            left = max(0.0, self._work / self._workers - elapsed)
        else:
            return counted
        return counted + ", " + _("{time} left").format(time=duration(left))
