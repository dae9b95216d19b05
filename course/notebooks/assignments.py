"""The lessons to hand out and to mark: nbgrader's notebooks, which `course grade` reads as well."""

from __future__ import annotations

import re

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course.notebooks.exercises import Exercise, exercises
from course.notebooks.student import without_solutions
from course_utils.i18n import ngettext

__all__ = ["CONFIG", "assignment", "checkers_module"]

_CHECKERS = re.compile(r"^from course_utils\.checks import (\w+) as check$", re.MULTILINE)

# For nbgrader, where a teacher has it: run there, it makes and marks the same notebooks.
CONFIG = """\
c = get_config()  # noqa: F821
# The stubs are the lessons' own, and the first cells may train for minutes.
c.GenerateAssignment.preprocessors = [
    f"nbgrader.preprocessors.{name}"
    for name in ("LockCells", "ComputeChecksums", "SaveCells", "CheckCellMetadata")
]
c.Execute.timeout = 1200
# A student who takes a cell out that marks takes no mark out.
c.OverwriteCells.add_missing_cells = True
"""


def checkers_module(notebook: NotebookNode) -> str:
    """The name of the module of ``course_utils.checks`` that checks a lesson's exercises."""
    found = [
        match[1]
        for cell in notebook.cells
        if cell.cell_type == "code" and (match := _CHECKERS.search(cell.source))
    ]
    return found[0]


def assignment(notebook: NotebookNode) -> NotebookNode:
    """A lesson without its solutions, with a locked cell behind each exercise that marks it.

    The stub stays, and so does the reader's own call of the checker. The locked cell takes the
    checkers anew, whatever the notebook has made of the name `check`, and answers points: as many
    as the exercise has stars, or none. It raises nothing.

    Args:
        notebook: an edition of a lesson; it is not changed.
    """
    module = checkers_module(notebook)
    by_id = {exercise.id: exercise for exercise in exercises(notebook)}
    answer = without_solutions(notebook)
    cells = []
    for cell in answer.cells:
        cells.append(cell)
        if cell.id in by_id:
            exercise = by_id[cell.id]
            cell.metadata["nbgrader"] = _about(exercise.checker, solution=True)
            cells.append(_marking(exercise, module))
    answer.cells = cells
    return answer


def _marking(exercise: Exercise, module: str) -> NotebookNode:
    points = exercise.difficulty
    said = ngettext("# {points} point", "# {points} points", points).format(points=points)
    call = exercise.call.removeprefix("check.")
    source = (
        f"{said}\nfrom importlib import reload\n\nfrom course_utils.checks import {module}\n\n"
        f"{points} if reload({module}).{call} else 0"
    )
    about = _about(f"{exercise.checker}-points", grade=True, points=points)
    cell: NotebookNode = new_code_cell(
        source, id=f"{exercise.id}-points", metadata={"nbgrader": about, "editable": False}
    )
    return cell


def _about(name: str, *, solution: bool = False, grade: bool = False, points: int = 0) -> object:
    """What nbgrader's format 3 says of a cell."""
    said = {
        "cell_type": "code",
        "grade": grade,
        "grade_id": name,
        "locked": grade,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return said | ({"points": points} if grade else {})
