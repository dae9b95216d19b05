"""An edition for a class: the lessons with their folded solutions taken out."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from course.lessons import find_lessons
from course.notebooks.normaliser import read_notebook, write_notebook

__all__ = ["without_solutions", "write_student_edition"]

# The word is the same in both languages; a number or a few words may follow it.
_SOLUTION = re.compile(
    r"\n*<details\b[^>]*>\s*<summary>\s*Solutions?\b[^<]*</summary>.*?</details>[ \t]*\n*",
    re.IGNORECASE | re.DOTALL,
)


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy of a lesson for those who are to solve its exercises.

    Folded solutions go, and so do code cells tagged ``solution``; hints, checkers and the quiz
    stay. An exercise loses the output stored when its stub was run; measurements and figures stay.

    Args:
        notebook: an edition of a lesson; it is not changed.
    """
    answer = copy.deepcopy(notebook)
    cells = []
    for cell in answer.cells:
        tags = cell.metadata.get("tags", [])
        if "solution" in tags:
            continue
        cell.metadata.pop("translation_of", None)
        if cell.cell_type == "markdown":
            cell.source = _SOLUTION.sub("\n\n", cell.source).strip()
            if not cell.source:
                continue
        elif "exercise" in tags:
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
    answer.cells = cells
    return answer


def write_student_edition(
    root: Path, language: str, numbers: Sequence[int] | None = None
) -> list[Path]:
    """Write the lessons without their solutions to ``build/student/<language>/``.

    Args:
        root: the folder of the course.
        language: ``"fr"``, ``"en"`` or ``"all"``.
        numbers: only the lessons with these numbers; all by default.

    Returns:
        The notebooks written.

    Raises:
        ValueError: there is no such language or lesson, or a file is not a notebook.
        OSError: the folder cannot be written.
    """
    written = []
    for lesson in find_lessons(root, language, numbers):
        path = root / "build" / "student" / lesson.language / lesson.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_notebook(path, without_solutions(read_notebook(lesson.path)))
        written.append(path)
    return written
