"""What several tests of sweeps need: an executor without processes, processes, and patience."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

import course_utils
from course_utils.degradation import Spec
from course_utils.experiments import Record

__all__ = ["Inline", "environment", "names", "posix", "wait_until"]

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
