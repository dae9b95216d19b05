"""Finds the files of the course."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from course_utils.i18n import LANGUAGES, _

__all__ = [
    "NOTEBOOKS",
    "REPOSITORY",
    "Pair",
    "lesson_pairs",
    "notebook_paths",
    "pair_of",
    "short_name",
]

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"


class Pair(NamedTuple):
    """The two editions of a lesson; either file may be missing."""

    french: Path
    english: Path


def pair_of(path: Path) -> Pair:
    """The two editions of the lesson of which ``path`` is one.

    Args:
        path: ``…/fr/NN_name.ipynb`` or ``…/en/NN_name.ipynb``; it need not exist.

    Raises:
        ValueError: the folder is not that of an edition.

    >>> pair_of(Path("notebooks/en/01_conv_1x1.ipynb")).french.as_posix()
    'notebooks/fr/01_conv_1x1.ipynb'
    """
    if path.suffix != ".ipynb" or path.parent.name not in LANGUAGES:
        raise ValueError(
            _(
                "{path} is not an edition of a lesson: give a notebook in a folder `fr` or `en`, "
                "such as notebooks/fr/03_degradation.ipynb."
            ).format(path=path)
        )
    editions = path.parent.parent
    return Pair(editions / "fr" / path.name, editions / "en" / path.name)


def notebook_paths(paths: Sequence[Path], default: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks named by ``paths`` or lying in folders among them, in order, each once.

    Args:
        paths: notebooks and folders.
        default: the folder searched when there are none.

    Raises:
        ValueError: one of them does not exist, or is a file of another kind.
    """
    found: dict[Path, None] = {}
    for path in paths or [default]:
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            # Jupyter keeps copies in hidden folders.
            found |= dict.fromkeys(
                file
                for file in inside
                if not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
        elif path.suffix == ".ipynb" and path.is_file():
            found[path] = None
        elif paths:
            raise ValueError(_("There is no notebook {path}.").format(path=path))
    return list(found)


def lesson_pairs(paths: Sequence[Path], default: Path = NOTEBOOKS) -> list[Pair]:
    """The lessons of which ``paths`` name an edition, in order, each once.

    Args:
        paths: notebooks and folders.
        default: the folder searched when there are none.

    Raises:
        ValueError: one of them does not exist, or is not an edition of a lesson.
    """
    return list(dict.fromkeys(pair_of(path) for path in notebook_paths(paths, default)))


def short_name(path: Path) -> str:
    """An edition's name for messages: its folder and its file.

    >>> short_name(Path("notebooks/en/01_conv_1x1.ipynb"))
    'en/01_conv_1x1.ipynb'
    """
    return f"{path.parent.name}/{path.name}"
