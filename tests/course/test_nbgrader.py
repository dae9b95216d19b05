"""nbgrader itself takes the assignments, runs what students hand in, and gives the same marks."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from handing_in import WRONG, handed_in, written
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course.files import REPOSITORY
from course.lessons import find_lessons, lesson_parameters
from course.notebooks.exercises import exercises
from course.notebooks.normaliser import read_notebook, write_notebook

(LESSON,) = find_lessons(REPOSITORY, "en", [3])
CHECKED = [exercise.checker for exercise in exercises(read_notebook(LESSON.path))]

# What a student may write below a blank stub to have every checker say yes.
REDEFINED = f"""\
import course_utils.checks.degradation as module
for name in {CHECKED}:
    setattr(module, name, lambda *answer: True)
check = module
"""


def quick(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the settings of the profile `quick`, so that it runs in seconds."""
    (values,) = lesson_parameters(REPOSITORY, [LESSON], "quick").values()
    (cell,) = [each for each in notebook.cells if "parameters" in each.metadata.get("tags", [])]
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    return notebook


def cheating() -> NotebookNode:
    notebook = handed_in(LESSON, {})
    place = [cell.id for cell in notebook.cells].index("setup") + 1
    notebook.cells.insert(place, new_code_cell(REDEFINED))
    return notebook


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nbgrader_gives_full_marks_to_the_solved_copy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nbgrader", reason="nbgrader is not there: pip install nbgrader")
    course = written("assignments", LESSON, tmp_path, monkeypatch)
    copies = {
        "solved": handed_in(LESSON),
        "blank": handed_in(LESSON, {}),
        "wrong": handed_in(LESSON, WRONG),
        "cheating": cheating(),
    }
    # One that loses a cell that marks, by mistake or not, is marked all the same.
    cells = copies["solved"].cells
    cells.remove(next(cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")))
    for student, notebook in copies.items():
        path = course / "submitted" / student / LESSON.stem / LESSON.path.name
        path.parent.mkdir(parents=True)
        write_notebook(path, quick(notebook))
    # It calls alembic by its name: as in an environment that is active.
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    activated = os.environ | {"PATH": os.pathsep.join(folders)}
    for command in (
        ["generate_assignment", LESSON.stem],
        ["autograde", LESSON.stem],
        ["export"],
    ):
        subprocess.run(
            [sys.executable, "-m", "nbgrader", *command], cwd=course, env=activated, check=True
        )
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        marks = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    most = sum(each.difficulty for each in exercises(read_notebook(LESSON.path)))
    assert marks == {"solved": most, "blank": 0, "wrong": 0, "cheating": 0}
