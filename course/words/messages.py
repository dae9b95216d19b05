"""The catalogues of French messages, one a house, kept by Babel's own command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from babel.messages.frontend import CommandLineInterface

from course.files import REPOSITORY

__all__ = ["HOUSES", "catalogue", "update_messages"]

HOUSES = ("course_utils", "course")


def catalogue(house: str, root: Path = REPOSITORY) -> Path:
    """The French catalogue of a house, as text; what is compiled from it lies beside it."""
    return root / house / "locale" / "fr" / "LC_MESSAGES" / f"{house}.po"


def update_messages(root: Path = REPOSITORY, houses: Sequence[str] = HOUSES) -> None:
    """Bring each catalogue in line with the code, and compile it.

    A new message has an empty text, to be filled in by hand before this is called again.

    Args:
        root: the folder of the course.
        houses: the packages, each with a catalogue.
    """
    with TemporaryDirectory() as folder:
        for house in houses:
            found, kept = Path(folder) / f"{house}.pot", catalogue(house, root)
            _babel("extract", "--no-location", "--sort-output", "-o", found, root / house)
            _babel(
                *("update", "--ignore-obsolete", "--no-fuzzy-matching", "--no-wrap"),
                *("--ignore-pot-creation-date", "-l", "fr", "-i", found, "-o", kept),
            )
            _babel("compile", "--statistics", "-l", "fr", "-i", kept, "-o", kept.with_suffix(".mo"))


def _babel(*arguments: str | Path) -> None:
    CommandLineInterface().run(  # type: ignore[no-untyped-call]
        ["pybabel", "--quiet", *map(str, arguments)]
    )
