"""The reader's own copies of the lessons, in ``work/``: made once, and then kept up to date.

Beside each copy, in ``work/.lessons/``, lies the lesson as the copy was made from it: what differs
from it is what the reader wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from nbformat import NotebookNode

from course.lessons import LessonFile
from course.notebooks.normaliser import notebook_text, read_notebook
from course_utils.answers import Answers, changed_cells, name_of, write_answers
from course_utils.whole import write_whole

__all__ = ["FOLDER", "Copy", "prepare_copies", "updated"]

FOLDER = "work"


@dataclass(frozen=True)
class Copy:
    """A reader's copy of a lesson.

    Attributes:
        path: where it is.
        news: ``"made"``, ``"updated"`` to a newer version of the lesson, ``"afresh"`` where an
            older copy was set aside, or an empty text where nothing changed.
        earlier: the copy as it was before, where the reader had worked in it.
    """

    path: Path
    news: str = ""
    earlier: Path | None = None


def prepare_copies(
    root: Path, lessons: list[LessonFile], afresh: tuple[int, ...] = ()
) -> Iterator[Copy]:
    """Make the copies that are not there, and bring those of older versions up to date.

    Args:
        root: the folder of the course.
        lessons: those to have copies of.
        afresh: numbers of lessons to begin again; their copies are set aside.

    Yields:
        Each copy, once it is there.

    Raises:
        ValueError: a copy is no longer a notebook, or has lost the lesson that it was made from.
        OSError: ``work/`` cannot be written.
    """
    folder = root / FOLDER
    for lesson in lessons:
        copy, source = (
            place / lesson.language / lesson.path.name for place in (folder, folder / ".lessons")
        )
        for path in (copy, source):
            path.parent.mkdir(parents=True, exist_ok=True)
        now = lesson.path.read_bytes()
        if not copy.exists():
            news, earlier = "made", None
            write_whole(copy, now)
        elif lesson.number in afresh:
            news, earlier = "afresh", _set_aside(copy, source, folder / "earlier")
            write_whole(copy, now)
        elif source.exists() and source.read_bytes() == now:
            yield Copy(copy)
            continue
        elif source.exists() and source.read_bytes() == copy.read_bytes():
            news, earlier = "updated", None  # never worked in
            write_whole(copy, now)
        else:
            # A copy without the lesson it was made from is one that the reader wrote throughout.
            base = read_notebook(source if source.exists() else lesson.path)
            news, earlier = "updated", _set_aside(copy, source, folder / "earlier")
            newer = updated(read_notebook(copy), base, read_notebook(lesson.path))
            write_whole(copy, notebook_text(newer).encode("utf-8"))
        # Last: a copy that was not finished is brought up to date again.
        write_whole(source, now)
        yield Copy(copy, news, earlier)


def updated(mine: NotebookNode, base: NotebookNode, lesson: NotebookNode) -> NotebookNode:
    """A newer version of a lesson with all that the reader wrote in an older one.

    A cell that the reader changed keeps the reader's text; where the lesson changed it too and it
    is no exercise, both stand one after the other. The reader's own cells stand where they stood.

    Args:
        mine: the reader's copy.
        base: the lesson as the copy was made from it.
        lesson: the lesson as it is now.
    """
    written = changed_cells(mine.cells, base.cells)
    before = {name_of(cell): cell for cell in base.cells}
    names = {cell.id: name for name, cell in before.items()}
    theirs = {names[cell.id]: cell for cell in mine.cells if cell.id in names}
    cells = []
    taken = set()  # whose text is the reader's
    for cell in lesson.cells:
        name = name_of(cell)
        same = name in before and before[name].source == cell.source
        answered = name in written and "exercise" in cell.metadata.get("tags", [])
        if name in theirs and (same or answered):
            taken.add(name)
            cells.append(NotebookNode({**theirs[name], "id": cell.id}))
        else:
            cells.append(cell)
    places = {name_of(cell): cell.id for cell in lesson.cells}
    anchor = None
    for cell in mine.cells:
        name = names.get(cell.id, "")
        if name and (name in taken or name not in written):
            anchor = places.get(name, anchor)
        else:
            anchor = _insert_after(cells, places.get(name, anchor), cell, new_id=bool(name))
    return NotebookNode({**lesson, "cells": cells})


def _insert_after(
    cells: list[NotebookNode], anchor: str | None, cell: NotebookNode, *, new_id: bool
) -> str:
    """Put a cell after another, under an id that is its own, and answer that."""
    ids = [each.id for each in cells]
    own = uuid4().hex[:8] if new_id or cell.id in ids else cell.id
    cells.insert(0 if anchor is None else ids.index(anchor) + 1, NotebookNode({**cell, "id": own}))
    return own


def _set_aside(copy: Path, source: Path, folder: Path) -> Path:
    """Keep a copy as it is, and beside it the answers in it; where the notebook then lies."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    earlier = folder / f"{copy.stem}-{copy.parent.name}-{stamp}.ipynb"
    shutil.copy2(copy, earlier)
    if source.exists():
        try:
            cells = changed_cells(read_notebook(copy).cells, read_notebook(source).cells)
        except ValueError:
            return earlier  # a copy that is no notebook is set aside as it is
        write_answers(earlier.with_suffix(".json"), Answers(copy.stem, cells))
    return earlier
