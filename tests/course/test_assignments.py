"""Assignments are the lessons without solutions, with a locked cell below each exercise."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
from handing_in import written

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons
from course.notebooks.assignments import assignment
from course.notebooks.exercises import exercises
from course.notebooks.normaliser import read_notebook
from course_utils.checks import conv_1x1

(LESSON_1,) = find_lessons(REPOSITORY, "en", [1])
# What format 3 of nbgrader asks of a cell that it marks.
KEYS = {"cell_type", "grade", "grade_id", "locked", "points", "schema_version", "solution", "task"}


@pytest.mark.parametrize(
    "lesson", find_lessons(REPOSITORY, "all"), ids=lambda each: f"{each.language}-{each.stem}"
)
def test_a_locked_cell_follows_each_stub_and_no_solution_is_left(lesson: LessonFile) -> None:
    own = read_notebook(lesson.path)
    cells = assignment(own).cells
    assert not any("<summary>Solution" in cell.source for cell in cells)
    places = {cell.id: place for place, cell in enumerate(cells)}
    names = []
    for exercise in exercises(own):
        stub, locked = cells[places[exercise.id]], cells[places[exercise.id] + 1]
        assert stub.source == exercise.cell
        assert stub.metadata["nbgrader"].keys() == KEYS - {"points"}
        assert stub.metadata["nbgrader"]["solution"] and not stub.metadata["nbgrader"]["locked"]
        about = locked.metadata["nbgrader"]
        assert about.keys() == KEYS and about["locked"] and about["grade"]
        assert about["points"] == exercise.difficulty
        names += [about["grade_id"], stub.metadata["nbgrader"]["grade_id"]]
    assert len(set(names)) == len(names) == 2 * len(exercises(own))


def points(answer: object) -> object:
    """What the locked cell of `check_fold` answers in a notebook that has made `check` its own."""
    (cell,) = [
        cell for cell in assignment(read_notebook(LESSON_1.path)).cells if cell.id == "ex3-points"
    ]
    names = {"fold": answer, "check": SimpleNamespace(check_fold=lambda *parts: True)}
    *lines, last = ast.parse(cell.source).body
    exec(ast.unparse(lines), names)
    return eval(ast.unparse(last), names)


def test_the_locked_cell_takes_the_checkers_anew_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conv_1x1, "check_fold", lambda *parts: True)
    fold = {each.checker: each for each in exercises(read_notebook(LESSON_1.path))}["check_fold"]
    assert points(lambda w1, b1, w2, b2: (w2 @ w1, w2 @ b1 + b2)) == fold.difficulty
    monkeypatch.setattr(conv_1x1, "check_fold", lambda *parts: True)
    assert points(lambda w1, b1, w2, b2: (w1 @ w2, b1)) == 0
    assert points(...) == 0


def test_the_command_writes_a_course_for_nbgrader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = written("assignments", LESSON_1, tmp_path, monkeypatch)
    assert read_notebook(course / "source" / "01_conv_1x1" / "01_conv_1x1.ipynb").cells
    settings = SimpleNamespace(
        GenerateAssignment=SimpleNamespace(),
        Execute=SimpleNamespace(),
        OverwriteCells=SimpleNamespace(),
    )
    text = (course / "nbgrader_config.py").read_text(encoding="utf-8")
    exec(text, {"get_config": lambda: settings})
    # It would put one text of its own in the place of every stub.
    kept = settings.GenerateAssignment.preprocessors
    assert "nbgrader.preprocessors.SaveCells" in kept
    assert not any("ClearSolutions" in name for name in kept)
