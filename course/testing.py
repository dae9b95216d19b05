"""The project's own checks, one after the other: lint, types, tests, the lessons run through."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from course.chromium import find_chromium
from course.lessons import find_lessons
from course.running import inject_profile
from course_utils.i18n import _

__all__ = [
    "Part",
    "Result",
    "Skipped",
    "in_jupyterlab",
    "on_slurm",
    "parts_of",
    "run_parts",
    "table",
]

# A lesson's longest cell trains for minutes, and on a slow machine several times longer.
CELL_TIMEOUT = 1200  # seconds


@dataclass(frozen=True)
class Part:
    """One check: its name, and what runs it and answers whether it passed."""

    name: str
    passes: Callable[[], bool]


@dataclass(frozen=True)
class Result:
    """How a part ended, and how long it took in seconds.

    ``passed`` is None for one that was skipped, and ``why`` then says why.
    """

    name: str
    passed: bool | None
    seconds: float
    why: str = ""


class Skipped(Exception):
    """Ends a part that this machine cannot do; its sentence says what is missing."""


def parts_of(root: Path, *, fast: bool = False) -> list[Part]:
    """Every check of the course, the quickest first.

    The French edition runs as it is stored, at its default settings; the English one at the
    profile ``quick``, in copies under ``build/test-en/``.

    Args:
        root: the folder of the course.
        fast: only lint, types and the tests that are not marked ``slow``.
    """

    def python(*arguments: str) -> bool:
        return _python(root, *arguments)

    def lessons(notebooks: Sequence[Path]) -> bool:
        return python(
            *("pytest", "--nbval-lax", "--nbval-current-env", "--timeout=0"),
            f"--nbval-cell-timeout={CELL_TIMEOUT}",
            *(notebook.relative_to(root).as_posix() for notebook in notebooks),
        )

    def english() -> bool:
        return lessons(inject_profile(root, "en", "quick", root / "build" / "test-en"))

    quickest = [
        Part(_("Lint"), lambda: python("ruff", "check", ".")),
        Part(_("Layout of the code"), lambda: python("ruff", "format", "--check", ".")),
        Part(_("Types"), lambda: python("mypy")),
    ]
    if fast:
        return [
            *quickest,
            Part(_("Fast tests and doctests"), lambda: python("pytest", "-m", "not slow")),
        ]
    return [
        *quickest,
        Part(_("Unit tests and doctests"), lambda: python("pytest")),
        Part(
            _("Lessons in French, default settings"),
            lambda: lessons([lesson.path for lesson in find_lessons(root, "fr")]),
        ),
        Part(_("Lessons in English, quick profile"), english),
        on_slurm(root),
        in_jupyterlab(root),
    ]


def in_jupyterlab(root: Path, *, fetch: bool = False) -> Part:
    """Every lesson run, read and clicked through in JupyterLab, in a browser.

    Args:
        root: the folder of the course.
        fetch: whether to fetch Chromium where there is none; the part is skipped otherwise.
    """

    def passes() -> bool:
        if find_chromium() is None:
            if not fetch:
                raise Skipped(_("there is no Chromium; `make test-browser` downloads one"))
            if not _python(root, "playwright", "install", "chromium"):
                raise OSError(
                    _(
                        "Chromium could not be downloaded: install Chromium or Chrome, or give "
                        "its path in the variable CHROMIUM."
                    )
                )
        return _python(root, "pytest", "tests/course/lessons_in_lab.py")

    return Part(_("Lessons in JupyterLab, quick profile"), passes)


SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def slurm_programs_missing() -> list[str]:
    """What a Slurm of this machine's own would need and is not installed."""
    programs = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
    return [name for name in programs if shutil.which(name, path=SYSTEM_PATH) is None]


def on_slurm(root: Path) -> Part:
    """Sweeps on a Slurm of one node, started for them: jobs cancelled, out of time, and so on."""

    def passes() -> bool:
        if missing := slurm_programs_missing():
            raise Skipped(
                _(
                    "there is no Slurm ({missing}); Debian's packages slurm-wlm and munge "
                    "provide it"
                ).format(missing=", ".join(missing))
            )
        return _python(root, "pytest", "tests/cluster/on_slurm.py")

    return Part(_("Sweeps on a Slurm of one node"), passes)


def _python(root: Path, *arguments: str) -> bool:
    """Run a module with this Python at the root; whether it ended well."""
    command = [sys.executable, "-m", *arguments]
    print("python", *command[1:], flush=True)
    return subprocess.run(command, cwd=root).returncode == 0


def run_parts(parts: Sequence[Part]) -> list[Result]:
    """Run every part, those after a failed one too.

    A part that raises ``ValueError`` or ``OSError`` has failed: its sentence is printed. One that
    raises :class:`Skipped` has neither passed nor failed.

    >>> [result.passed for result in run_parts([Part("one", lambda: False),
    ...                                         Part("two", lambda: True)])]
    <BLANKLINE>
    == one
    <BLANKLINE>
    == two
    [False, True]
    """
    results = []
    for part in parts:
        print(f"\n== {part.name}", flush=True)
        start = time.perf_counter()
        passed, why = None, ""
        try:
            passed = part.passes()
        except Skipped as missing:
            why = str(missing)
        except (ValueError, OSError) as error:
            print(error, flush=True)
            passed = False
        results.append(Result(part.name, passed, time.perf_counter() - start, why))
    return results


def table(results: Sequence[Result]) -> str:
    """What passed and what did not, a line each.

    >>> print(table([Result("Lint", True, 0.6), Result("Types", False, 12.0),
    ...              Result("Browser", None, 0.0, "there is none")]))
    Lint     passed     1 s
    Types    FAILED    12 s
    Browser  skipped: there is none
    """
    width = max(len(result.name) for result in results)
    words = {True: _("passed"), False: _("FAILED")}
    longest = max(map(len, words.values()))
    return "\n".join(
        f"{result.name:{width}}  "
        + (
            _("skipped: {why}").format(why=result.why)
            if result.passed is None
            else f"{words[result.passed]:{longest}}  {result.seconds:4.0f} s"
        )
        for result in results
    )
