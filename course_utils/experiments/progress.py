"""What a sweep shows while it is at work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm

from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.i18n import _

__all__ = ["Bar", "Progress"]


class Progress:
    """What a sweep tells of its work; this one shows nothing, and others fill in what they show."""

    def start(self, found: Sequence[Record], missing: Sequence[Spec]) -> None:
        """The sweep begins: these records are there, these runs are to be done."""

    def finished(self, record: Record) -> None:
        """A run has ended and its record is saved."""

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        """A run gave no record; ``again`` says whether it is tried again."""

    def tick(self) -> None:
        """Time has passed."""

    def stop(self) -> None:
        """The sweep has ended, one way or another."""


class Bar(Progress):
    """One line: how many runs are done, and the time left.

    Args:
        seconds: how long a run will take, as far as is known; only the ratios matter. By default
            time goes with depth.
    """

    def __init__(self, seconds: Callable[[Spec], float] = lambda spec: spec.depth) -> None:
        self._seconds = seconds
        self._bar: tqdm | None = None
        self._runs = self._done = 0

    def start(self, found: Sequence[Record], missing: Sequence[Spec]) -> None:
        """Show the bar, unless there is nothing to do."""
        self._runs, self._done = len(found) + len(missing), len(found)
        if missing:
            # It moves by what a run costs, not by one: the longest come first.
            self._bar = tqdm(
                total=sum(map(self._seconds, missing)),
                bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
                smoothing=0,
                leave=False,
            )
            self._say("")

    def finished(self, record: Record) -> None:
        """Move the bar on."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(min(self._seconds(record.spec), self._bar.total - self._bar.n))
        self._say(str(record.spec))

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        """Say which run it was."""
        self._say((_("{spec} is tried again") if again else _("{spec} failed")).format(spec=spec))

    def tick(self) -> None:
        """Let the clock of the bar go on, where the bar is a line and not a log."""
        if self._bar is not None and sys.stderr.isatty():
            self._bar.refresh()

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _say(self, what: str) -> None:
        if self._bar is not None:
            counted = _("{done} of {runs} runs").format(done=self._done, runs=self._runs)
            self._bar.set_postfix_str(f"{counted}, {what}" if what else counted)
