"""Finds the files of the course, and replaces one whole or not at all."""

from __future__ import annotations

import os
import tempfile
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
    "write_whole",
]

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in ``path`` so that a reader sees the old file or the new one, never half.

    Args:
        path: the file to write or replace; its folder exists.
        content: the bytes of the whole file.

    Raises:
        OSError: the folder cannot be written; the old file is untouched.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", b"whole")
    ...     [(file.name, file.read_bytes()) for file in Path(folder).iterdir()]
    [('a.txt', b'whole')]
    """
    # A link is followed, so that the file it points to changes and the link stays.
    path = path.resolve()
    # Beside the target: replacing is atomic only within one file system.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files private; a document keeps the permissions it had, or the usual ones.
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
