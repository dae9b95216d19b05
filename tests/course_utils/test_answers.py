"""Answers are kept by the exercise's name, in a file that is read whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from course.files import notebook_paths
from course_utils.answers import Answers, changed_cells, name_of, read_answers, write_answers

LESSONS = [json.loads(path.read_text(encoding="utf-8")) for path in notebook_paths([])]


def test_no_two_cells_of_a_lesson_have_one_name() -> None:
    for lesson in LESSONS:
        names = [name_of(cell) for cell in lesson["cells"]]
        assert len(set(names)) == len(names)


def test_every_exercise_is_known_by_its_checker_the_same_one_in_both_languages() -> None:
    names = [
        [
            name_of(cell)
            for cell in lesson["cells"]
            if "exercise" in cell["metadata"].get("tags", [])
        ]
        for lesson in LESSONS
    ]
    assert sorted(names[: len(names) // 2]) == sorted(names[len(names) // 2 :])
    assert sum(map(len, names)) == 2 * 32
    assert all(name.startswith("check_") for each in names for name in each)


def test_what_differs_from_the_lesson_is_an_answer_and_a_cell_of_ones_own_is_none() -> None:
    lesson = LESSONS[0]["cells"]
    mine = json.loads(json.dumps(lesson))
    assert changed_cells(mine, lesson) == {}
    exercise = next(cell for cell in mine if "exercise" in cell["metadata"].get("tags", []))
    name = name_of(exercise)
    exercise["source"] = "# I took the call of the checker out"
    mine.append({"id": "mine", "cell_type": "markdown", "metadata": {}, "source": "A note."})
    assert changed_cells(mine, lesson) == {name: "# I took the call of the checker out"}


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    answers = Answers(
        "03_degradation", {"check_stage": "def étage():\n    return «\u202f»", "bet": ""}
    )
    write_answers(tmp_path / "a.json", answers)
    assert read_answers(tmp_path / "a.json") == answers


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"answers": {}}', '{"format": 1, "lesson": "a", "answers": 3}'],
)
def test_what_is_no_file_of_answers_is_refused_in_a_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json is not a file of answers, or it is damaged"):
        read_answers(tmp_path / "a.json")


@pytest.mark.parametrize("said", [{"format": 2}, {"format": 1, "answers": {"bet": 3}}])
def test_a_form_of_a_newer_course_is_refused_in_a_sentence(said: dict, tmp_path: Path) -> None:
    whole = {"lesson": "a", "answers": {}, **said}
    (tmp_path / "a.json").write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(ValueError, match="in a form that this course does not know"):
        read_answers(tmp_path / "a.json")
