"""Every exercise of both editions: its stub is told apart, its folded solution accepted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course.lessons import LessonFile, find_lessons
from course.notebooks.exercises import Exercise
from course.notebooks.exercises import exercises as exercises_of
from course.notebooks.normaliser import read_notebook
from course_utils.checks import Feedback, your_network
from course_utils.i18n import speaking

LESSONS = find_lessons(Path(__file__).parents[2], "all")
IN_LESSONS = {1: 6, 2: 6, 3: 9, 4: 6, 5: 5}


def exercises(lesson: LessonFile) -> list[Exercise]:
    return exercises_of(read_notebook(lesson.path))


def imported(lesson: LessonFile) -> dict[str, Any]:
    """The names that the lesson imports, and nothing else of it run."""
    names: dict[str, Any] = {}
    for cell in nbformat.read(lesson.path, as_version=4).cells:
        if cell.cell_type == "code" and not cell.source.startswith("%"):
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.Import | ast.ImportFrom):
                    exec(ast.unparse(line), names)
    return names


def checked(source: str, names: dict[str, Any]) -> Feedback:
    """Run a cell that ends with the call of a checker, and give what it answers."""
    *lines, call = ast.parse(source).body
    exec(ast.unparse(lines), names)
    feedback = eval(ast.unparse(call), names)
    assert isinstance(feedback, Feedback)
    return feedback


@pytest.fixture(params=LESSONS, ids=[f"{lesson.language}-{lesson.stem}" for lesson in LESSONS])
def lesson(request: pytest.FixtureRequest) -> Iterator[LessonFile]:
    with speaking(request.param.language):
        yield request.param


def test_each_lesson_has_its_exercises(lesson: LessonFile) -> None:
    assert len(exercises(lesson)) == IN_LESSONS[lesson.number]


def test_an_unfilled_exercise_is_told_so_in_the_lessons_language(lesson: LessonFile) -> None:
    names = imported(lesson)
    for exercise in exercises(lesson):
        feedback = checked(exercise.cell, names)
        assert feedback.passed is None, str(feedback)
        with speaking("en"):
            english = checked(exercise.cell, names).message
        assert (feedback.message == english) == (lesson.language == "en")


def test_the_folded_solution_of_each_exercise_is_accepted(lesson: LessonFile) -> None:
    names = imported(lesson)
    for exercise in exercises(lesson):
        checked(exercise.cell, names)
        call = ast.unparse(ast.parse(exercise.cell).body[-1])
        feedback = checked(f"{exercise.solution}\n{call}", names)
        assert feedback.passed is True, str(feedback)


def test_the_broken_design_is_the_one_that_its_checker_knows() -> None:
    for lesson in LESSONS:
        if lesson.number == 5:
            names = imported(lesson)
            checked(exercises(lesson)[0].cell, names)
            assert names["broken"] == list(your_network.BROKEN)
