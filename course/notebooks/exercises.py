"""The exercises of a lesson: where each stands, what it asks, who checks it, what solves it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nbformat import NotebookNode

from course_utils.answers import name_of

__all__ = ["Exercise", "exercises", "is_exercise"]

_TITLE = re.compile(r"^### Exerci[cs]e (\d+) – (.+)$", re.MULTILINE)
_SOLUTION = re.compile(r"<details>\s*<summary>Solution</summary>(.*?)</details>", re.DOTALL)
_CODE = re.compile(r"```python\n(.*?)```|`([^`]+)`", re.DOTALL)
_CALL = re.compile(r"^check\.check_\w+\(.*\)$", re.MULTILINE)
_EFFORT = re.compile(r"(★+)☆*, (\d+)\s+minutes?\b")


class Exercise(NamedTuple):
    """An exercise of a lesson.

    Attributes:
        number: in the lesson, from 1.
        title: its heading, without the number.
        id: of the cell that a reader fills.
        checker: the name of the function that checks it.
        call: the call of its checker, at the end of that cell.
        cell: what that cell holds.
        solution: what the folded solution says to write there.
        difficulty: its stars, 1 to 3; 1 where the lesson gives none.
        minutes: how long it takes, as the lesson says; None where it does not.
    """

    number: int
    title: str
    id: str
    checker: str
    call: str
    cell: str
    solution: str
    difficulty: int
    minutes: int | None


def is_exercise(cell: NotebookNode) -> bool:
    """Whether a cell is one that a reader fills."""
    return cell.cell_type == "code" and "exercise" in cell.metadata.get("tags", [])


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The exercises of a lesson, in order.

    Args:
        notebook: an edition of a lesson, with its solutions or without.
    """
    return list(_found(notebook))


def _found(notebook: NotebookNode) -> Iterator[Exercise]:
    above = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            above += f"{cell.source}\n\n"
        elif is_exercise(cell):
            title = list(_TITLE.finditer(above))[-1]
            text = above[title.end() :]
            folded = _SOLUTION.findall(text)
            code = _CODE.search(folded[-1]) if folded else None
            effort = _EFFORT.search(text)
            yield Exercise(
                number=int(title[1]),
                title=title[2].strip(),
                id=cell.id,
                checker=name_of(cell),
                call=_CALL.findall(cell.source)[-1],
                cell=cell.source,
                solution=(code[1] or code[2]) if code else "",
                difficulty=len(effort[1]) if effort else 1,
                minutes=int(effort[2]) if effort else None,
            )
            above = ""
