"""Every exercise of every lesson, handed in solved, blank and wrong, in both editions.

`make test` does this for one lesson, in `test_grading.py`; the weekly workflow for all.
"""

from __future__ import annotations

import pytest
from handing_in import WRONG, handed_in

from course.files import REPOSITORY
from course.grading import Mark, grade
from course.lessons import LessonFile, find_lessons

EXERCISES = {1: 6, 2: 5, 3: 9, 4: 6, 5: 5}


def checked(marks: list[Mark]) -> dict[str, tuple[int, int]]:
    return {mark.checker: (mark.points, mark.out_of) for mark in marks}


@pytest.mark.parametrize(
    "lesson", find_lessons(REPOSITORY, "all"), ids=lambda each: f"{each.language}-{each.stem}"
)
def test_a_solved_copy_has_full_marks_and_a_blank_or_wrong_one_none(lesson: LessonFile) -> None:
    solved = grade(REPOSITORY, handed_in(lesson), "solved")
    assert len(solved) == EXERCISES[lesson.number]
    assert [mark for mark in solved if mark.points != mark.out_of or mark.points < 1] == []
    blank = grade(REPOSITORY, handed_in(lesson, {}), "blank")
    assert [mark for mark in blank if mark.points] == []
    wrong = checked(grade(REPOSITORY, handed_in(lesson, WRONG), "wrong"))
    assert {name: wrong[name][0] for name in WRONG.keys() & wrong.keys()} == dict.fromkeys(
        WRONG.keys() & wrong.keys(), 0
    )


def test_the_wrong_answers_are_ten_and_each_is_to_an_exercise() -> None:
    asked = {
        mark.checker
        for lesson in find_lessons(REPOSITORY, "en")
        for mark in grade(REPOSITORY, handed_in(lesson, {}), "blank")
    }
    assert len(WRONG.keys() & asked) == 10
