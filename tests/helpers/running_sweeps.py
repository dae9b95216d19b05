"""What several tests of sweeps need: an executor without processes, processes, and patience."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from making_records import tiny

import course_utils
from course_utils.experiments import Record, Spec
from course_utils.experiments.progress import Progress

__all__ = [
    "GATED",
    "HALF_GATED",
    "Inline",
    "Notes",
    "environment",
    "killing_the_first_to_build",
    "names",
    "posix",
    "wait_until",
]

GATED = [tiny("own_gated_runs:gated", depth, family_options={}) for depth in (8, 14)]
HALF_GATED = [
    *(tiny("own_gated_runs:gated", 8, seed, family_options={}) for seed in (0, 1)),
    *(tiny("plain", 14, seed) for seed in (0, 1)),
]

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


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


class Notes(Progress):
    """Remembers what the sweep said of runs that failed, and what else it told."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, bool]] = []
        self.news: list[str] = []

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        self.failures.append((f"{spec}: {reason}", again))

    def told(self, sentence: str) -> None:
        self.news.append(sentence)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def wait_until(done: Callable[[], object], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """That of a process which finds the package, these helpers, and what lies in ``folders``."""
    roots = [Path(course_utils.__file__).parents[1], Path(__file__).parent, *folders]
    path = os.pathsep.join(map(str, roots))
    return {**os.environ, "PYTHONPATH": path, "COURSE_LANGUAGE": "en", **variables}


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
