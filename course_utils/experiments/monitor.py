"""What a sweep shows in a terminal: a plan before it, a live table and the time left during it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from tqdm import tqdm

from course_utils.experiments.estimating import Estimate
from course_utils.experiments.progress import Progress
from course_utils.experiments.record import Record
from course_utils.experiments.results import results
from course_utils.experiments.spec import Spec
from course_utils.i18n import _, number, percent
from course_utils.tables import Table

__all__ = ["LiveTable", "duration", "plan"]


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(0.84), duration(42), duration(90), duration(4000), duration(100_000)
    ('0.84 s', '42 s', '2 min', '1 h 7 min', '1 d 4 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 59.5:
        return _("{seconds} s").format(seconds=number(seconds, 2))
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    if hours < 24:
        return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
    return _("{days} d {hours} h").format(days=hours // 24, hours=hours % 24)


def _net(spec: Spec) -> str:
    return f"{spec.family}-{spec.depth}"


def _by_net(specs: Sequence[Spec]) -> dict[str, list[Spec]]:
    groups: dict[str, list[Spec]] = {}
    for spec in sorted(dict.fromkeys(specs), key=lambda spec: (spec.family, spec.depth)):
        groups.setdefault(_net(spec), []).append(spec)
    return groups


def plan(
    specs: Sequence[Spec], found: Mapping[Spec, Record], estimates: Mapping[Spec, Estimate]
) -> Table:
    """One line a net: how many runs are there and to be done, and what one costs."""
    sources = {"records": _("records in the store"), "steps": _("a few steps, timed")}
    rows = []
    for net, group in _by_net(specs).items():
        one = next((estimates[spec] for spec in group if spec in estimates), None)
        memory = None if one is None or one.megabytes is None else f"{one.megabytes:.0f} MB"
        done = sum(spec in found for spec in group)
        rows.append(
            [
                net,
                done,
                len(group) - done,
                "–" if one is None else duration(one.seconds),
                memory or "–",
                "–" if one is None else sources[one.source],
            ]
        )
    return Table(
        [_("net"), _("in the store"), _("to do"), _("a run"), _("memory"), _("estimated from")],
        rows,
    )


class LiveTable(Progress):
    """A table of the nets and a bar with the time left, drawn anew as runs end.

    Where the output is a log and not a terminal, each event is a line.

    Args:
        specs: every run asked for.
        estimates: what a run costs, as far as is known.
        workers: runs done at once.
        stream: where to draw.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        estimates: Mapping[Spec, Estimate],
        workers: int,
        stream: TextIO | None = None,
    ) -> None:
        self._groups, self._specs = _by_net(specs), set(specs)
        self._seconds = {
            spec: estimates[spec].seconds if spec in estimates else float(spec.depth)
            for spec in self._specs
        }
        self._known = self._specs <= estimates.keys()
        self._workers = max(1, workers)
        self._stream = stream or sys.stderr
        self._records: dict[Spec, Record] = {}
        self._failed: set[Spec] = set()
        self._work = self._done = 0.0
        self._lines = 0
        self._started = self._drawn = time.monotonic()

    def start(self, found: Sequence[Record], missing: Sequence[Spec]) -> None:
        """Draw the table as it is."""
        self._records = {record.spec: record for record in found}
        self._work = sum(self._seconds[spec] for spec in missing)
        self._started = time.monotonic()
        if missing and self._stream.isatty():
            self._draw()

    def finished(self, record: Record) -> None:
        """Put the record into the table."""
        self._records[record.spec] = record
        self._done += self._seconds[record.spec]
        self._failed.discard(record.spec)
        self._show(
            _("{spec}: training error {train}, test error {test}, {time}").format(
                spec=record.spec,
                train=percent(record.train_error),
                test=percent(record.test_error),
                time=duration(record.seconds),
            )
        )

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        """Say which run failed and why."""
        if not again:
            self._failed.add(spec)
            self._done += self._seconds[spec]
        verdict = _("tried again") if again else _("given up")
        self._show(f"{spec}: {reason}; {verdict}", lasting=True)

    def tick(self) -> None:
        """Let the clock go on, once a second."""
        if self._stream.isatty() and time.monotonic() - self._drawn > 1:
            self._draw()

    def stop(self) -> None:
        """Take the table away: what follows it says the same and more."""
        self._erase()

    def _show(self, event: str, lasting: bool = False) -> None:
        if self._stream.isatty():
            if lasting:
                self._erase()
                print(event, file=self._stream)
            self._draw()
        else:
            print(f"{self._count()}, {self._left()} | {event}", file=self._stream, flush=True)

    def _count(self) -> str:
        return _("{done} of {runs} runs").format(done=len(self._records), runs=len(self._specs))

    def _left(self) -> str:
        elapsed = time.monotonic() - self._started
        if self._done:
            return _("{time} left").format(
                time=duration(elapsed * (self._work - self._done) / self._done)
            )
        if self._known:
            return _("{time} left").format(
                time=duration(max(0.0, self._work / self._workers - elapsed))
            )
        return _("time left unknown")

    def _erase(self) -> None:
        if self._lines:
            print(f"\x1b[{self._lines}F\x1b[J", end="", file=self._stream, flush=True)
            self._lines = 0

    def _draw(self) -> None:
        rows = []
        for net, group in self._groups.items():
            runs = [self._records[spec] for spec in group if spec in self._records]
            errors = results(runs).rows[0][2:4] if runs else ["–", "–"]
            failed = sum(spec in self._failed for spec in group)
            rows.append([net, f"{len(runs)}/{len(group)}", failed or "", *errors])
        headers = [_("net"), _("runs"), _("failed"), _("training error"), _("test error")]
        width = shutil.get_terminal_size().columns
        text = [line[: width - 1] for line in str(Table(headers, rows)).splitlines()]
        text.append(
            tqdm.format_meter(
                self._done,
                self._work or 1,
                time.monotonic() - self._started,
                ncols=width - 1,
                bar_format=f"{{percentage:3.0f}}%|{{bar}}| {self._count()}, {self._left()}",
            )
        )
        self._erase()
        print("\n".join(text), file=self._stream, flush=True)
        self._lines, self._drawn = len(text), time.monotonic()
