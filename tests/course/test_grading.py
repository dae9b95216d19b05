"""Marks: full for what the lesson itself says, none for a blank, and no way round the checkers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from handing_in import WRONG, handed_in
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course import cli
from course.files import REPOSITORY
from course.grading import grade, reaches_beyond
from course.lessons import find_lessons
from course.notebooks.exercises import exercises
from course.notebooks.normaliser import read_notebook, write_notebook

(LESSON_1,) = find_lessons(REPOSITORY, "fr", [1])
(LESSON_5,) = find_lessons(REPOSITORY, "en", [5])
ANSWERS = [
    (lesson, exercise)
    for lesson in find_lessons(REPOSITORY, "all")
    for exercise in exercises(read_notebook(lesson.path))
]

# Each gives full marks to whoever runs the checker in the notebook afterwards.
CHEATS = [
    "check.check_fold = lambda *answer: True",
    "from types import SimpleNamespace\ncheck = SimpleNamespace(check_fold=lambda *a: True)",
    "def check(): ...\ncheck.check_fold = lambda *answer: True",
    "import course_utils.checks.conv_1x1 as c\nc.check_fold = lambda *answer: True",
    "from course_utils import checks\nchecks.Feedback.__bool__ = lambda self: True",
    "import course_utils\ncourse_utils.checks.Feedback.passed = True",
    "import sys\nsys.modules['course_utils.checks.conv_1x1'] = sys",
    "import importlib\nimportlib.import_module('course_utils.checks.conv_1x1').check_fold = print",
    "setattr(check, 'check_fold', print)",
    "torch.testing.assert_close = print",
    "torch.Tensor.equal = lambda *a: True",
    "class Same:\n    def __eq__(self, other):\n        return True",
    "exec('check.check_fold = print')",
    "get_ipython().ast_transformers.append(print)",
    "from torch import nn as n\nn.Linear.forward = print",
    "().__class__.__base__.__subclasses__()",
]


@pytest.mark.parametrize("source", CHEATS, ids=range(len(CHEATS)))
def test_an_answer_cannot_put_hands_on_what_marks_it(source: str) -> None:
    assert reaches_beyond(source, {"check", "torch", "nn", "course_utils", "n", "c"}) is not None


def test_no_solution_of_a_lesson_is_taken_for_such_a_one() -> None:
    imported = {"check", "torch", "nn", "np", "F"}
    refused = [
        (lesson.stem, exercise.checker, reaches_beyond(exercise.solution, imported))
        for lesson, exercise in ANSWERS
    ]
    assert [each for each in refused if each[2]] == []


def with_cells(notebook: NotebookNode, *sources: str) -> NotebookNode:
    """The notebook with cells of the student's own after its setup."""
    place = [cell.id for cell in notebook.cells].index("setup") + 1
    notebook.cells[place:place] = [new_code_cell(source) for source in sources]
    return notebook


@pytest.mark.slow
def test_each_student_is_marked_for_their_own_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    helped = {
        "check_fold": "def fold(*parts):\n    return folded(*parts)",
        "check_conv_1x1": "raise SystemExit",
        "check_linear_to_conv": "check.check_linear_to_conv = lambda *answer: True",
    }
    own = (
        "def folded(w1, b1, w2, b2):\n    return w2 @ w1, w2 @ b1 + b2",
        "%time 1",
        "check = type('Kind', (), {'check_nin_block': lambda *a: True})",
    )
    copies = {
        "ada": handed_in(LESSON_1),
        "wrong": handed_in(LESSON_1, WRONG),
        "own": with_cells(handed_in(LESSON_1, helped), *own),
    }
    for student, notebook in copies.items():
        path = tmp_path / student / LESSON_1.stem / LESSON_1.path.name
        path.parent.mkdir(parents=True)
        write_notebook(path, notebook)
    assert cli.main(["grade", str(tmp_path)]) == 0
    assert "3 students" in capsys.readouterr().out
    with (tmp_path / "exercises.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    by_student = {
        student: {row["checker"]: row for row in rows if row["student"] == student}
        for student in copies
    }
    points = {
        student: sum(int(row["points"]) for row in found.values())
        for student, found in by_student.items()
    }
    most = sum(int(row["out_of"]) for row in by_student["ada"].values())
    fold = int(by_student["ada"]["check_fold"]["out_of"])
    assert points == {"ada": most, "wrong": 0, "own": fold}
    # Those after the one that ended its Python are marked too, and all are told in French.
    assert by_student["own"]["check_conv_1x1"]["feedback"]
    assert "Pas encore rempli" in by_student["own"]["check_nin_block"]["feedback"]
    assert "`check" in by_student["own"]["check_linear_to_conv"]["feedback"]
    with (tmp_path / "marks.csv").open(encoding="utf-8-sig", newline="") as file:
        totals = {row["student"]: row["points"] for row in csv.DictReader(file)}
    assert totals == {student: str(number) for student, number in points.items()}


@pytest.mark.slow
def test_a_broken_network_exchanged_for_a_sound_one_is_not_mended() -> None:
    sound = "broken = [conv(16, stride=2), gap_head()]\nmended = [conv(16), gap_head()]"
    marks = grade(REPOSITORY, handed_in(LESSON_5, {"check_mended": sound}), "eve")
    assert {mark.checker: mark.points for mark in marks}["check_mended"] == 0


def test_what_is_no_lesson_is_said_and_the_rest_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = handed_in(LESSON_1, {})
    stranger.cells = [cell for cell in stranger.cells if cell.cell_type == "markdown"]
    write_notebook(tmp_path / "eve.ipynb", stranger)
    assert cli.main(["grade", str(tmp_path)]) == 1
    assert "eve.ipynb" in capsys.readouterr().err
    assert cli.main(["grade", str(tmp_path / "nowhere")]) == 2
