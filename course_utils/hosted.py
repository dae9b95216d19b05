"""Readies a notebook that somebody else's machine runs (Colab, Kaggle): what is missing, no more.

Only the standard library is imported, since nothing else is sure to be there yet.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from course_utils.i18n import _

__all__ = ["constraints", "missing", "prepare"]

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# A version as pip reads it; a constraint it cannot read would stop the installation.
_VERSION = re.compile(r"\d[\w.!+-]*")


def prepare(root: Path | None = None) -> list[str]:
    """Install what a lesson imports and this Python lacks, and let new processes find the course.

    Nothing that is installed changes: every installed version is a constraint on what pip chooses.

    Args:
        root: the folder of the course; the one this package lies in by default.

    Returns:
        The requirements installed, none on most days.

    Raises:
        OSError: pip could not install them; its own words follow the sentence.
    """
    root = root or Path(__file__).resolve().parents[1]
    # The processes of a sweep start anew, and look there for the package.
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(root) not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, known)])
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = missing(project["dependencies"])
    if wanted:
        _install(wanted)
        importlib.invalidate_caches()
    return wanted


def missing(requirements: Iterable[str]) -> list[str]:
    """Those requirements of a lesson of which no version is installed.

    Args:
        requirements: as in ``pyproject.toml``.

    >>> missing(["torch>=2", "no-such-package>=1,<2"])
    ['no-such-package>=1,<2']
    """
    answer = []
    for requirement in requirements:
        name = _distribution(requirement)
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            answer.append(requirement)
    return answer


def constraints() -> list[str]:
    """A line for pip for each installed package: its name and the version to keep.

    Where a package is there twice, as on Colab, it is the version that Python imports: the first.
    """
    installed: dict[str, str] = {}
    for distribution in metadata.distributions():
        # What an interrupted installation left behind may have neither name nor version.
        if distribution.metadata["Name"] and _VERSION.fullmatch(distribution.version or ""):
            installed.setdefault(_normal(distribution.name), distribution.version)
    return [f"{name}=={version}" for name, version in sorted(installed.items())]


def _distribution(requirement: str) -> str:
    match = _NAME.match(requirement)
    return _normal(match[0]) if match else requirement


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _install(requirements: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "constraints.txt"
        kept.write_text("\n".join(constraints()), encoding="utf-8")
        answer = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(kept), *requirements],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    if answer.returncode:
        raise OSError(
            _(
                "pip could not install {requirements} beside what this machine already has: "
                "start a new session with internet access, and run the first cell again. pip "
                "says: {words}"
            ).format(requirements=", ".join(requirements), words=answer.stdout.strip())
        )
