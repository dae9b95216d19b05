"""The teacher's guide counts what the lessons say, and names what they have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons
from course.notebooks.normaliser import write_notebook
from course.site import teaching
from course.site.sources import _TEMPLATES
from course.site.teaching import Chosen, guide
from course_utils.i18n import speaking

RESULTS = REPOSITORY / "benchmarks" / "results"
FOLD = "<details>\n<summary>Hint</summary>\n\nWords that nobody reads at first.\n\n</details>"
STUB = "def half(x): ...\n\n\ncheck.check_half(half)"


def page(language: str, results: Path = RESULTS) -> str:
    with speaking(language):
        counted = guide(find_lessons(REPOSITORY, language), results)
        return _TEMPLATES.get_template(f"teaching.{language}.md").render(counted)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_its_plans_and_misconceptions_lead_to_headings_that_the_lessons_have(language: str) -> None:
    lessons = find_lessons(REPOSITORY, language)
    counted = guide(lessons, RESULTS)
    headings = "\n".join(lesson.path.read_text(encoding="utf-8") for lesson in lessons)
    places = [row for plan in counted["plans"].values() for each in plan for row in each["rows"]]
    places += counted["myths"]
    assert {myth.lesson for myth in counted["myths"]} == {2, 3, 4, 5}  # lesson 1 has no such part
    assert [place for place in places if f"## {place.heading}" not in headings] == []


def test_both_languages_have_the_same_rows_questions_and_commands() -> None:
    french, english = page("fr"), page("en")
    for pattern in (
        r"^\|",
        r"^\d+\. ",
        r"^#+ ",
        r"lessons/\w+\.ipynb",
        r"(?:make \w+|course \w+ --section [\w ]+)",
    ):
        counts = [len(re.findall(pattern, text, re.MULTILINE)) for text in (french, english)]
        assert counts[0] == counts[1] > 0, pattern


def test_minutes_are_those_of_words_of_cells_and_of_exercises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "PLANS", {"one": ((Chosen(1, ("1",)),),)})
    shown = [new_output("stream", name="stdout", text="1")]
    cells = [
        new_markdown_cell("# 1. Halves\n\n**Time**: about 3 minutes of computing."),
        # 396 words and the heading's two: two minutes; two cells that show something: one.
        new_markdown_cell("## 1. Words\n\n" + "word " * 396),
        new_code_cell("1", outputs=shown),
        new_code_cell("2", outputs=shown),
        new_markdown_cell(f"### Exercise 1 – half\n\n*Difficulty ★★☆, 15 minutes.*\n\n{FOLD}"),
        new_code_cell(STUB, metadata={"tags": ["exercise"]}, outputs=shown),
        new_markdown_cell("## 2. Not taken\n\n" + "word " * 1000),
    ]
    path = tmp_path / "01_halves.ipynb"
    write_notebook(path, new_notebook(cells=cells))
    counted = guide([LessonFile(1, path.stem, "en", path)], RESULTS)
    ((session,),) = counted["plans"].values()
    assert session["minutes"] == 2 + 1 + 1 + 15  # the exercise's own ten words begin a minute
    (lesson,) = counted["lessons"]
    assert (lesson["points"], lesson["solving"], lesson["computing"]) == (2, 15, 3)


@pytest.mark.parametrize(("language", "mark", "unit"), [("fr", ",", "Go"), ("en", ".", "GB")])
def test_the_table_has_the_memory_of_each_lesson_that_was_measured(
    language: str, mark: str, unit: str, tmp_path: Path
) -> None:
    stems = [lesson.stem for lesson in find_lessons(REPOSITORY, language)]
    peaks = {stem: 1_500_000_000 + 10**9 * place for place, stem in enumerate(stems)}
    said = {stem: f"{1 + place}{mark}5 {unit}" for place, stem in enumerate(stems)}
    for measured, shown in (
        ([], []),
        (stems[1:], ["–", *(said[stem] for stem in stems[1:])]),
        (stems, list(said.values())),
    ):
        results = json.dumps({"peak_bytes": {stem: peaks[stem] for stem in measured}})
        (tmp_path / "lessons_time.json").write_text(results, encoding="utf-8")
        lines = page(language, tmp_path).split("\n## ")[1].splitlines()
        head, rule, *rows = [re.findall(r"[^|]+", line) for line in lines if line[:1] == "|"]
        assert {len(row) for row in (head, rule, *rows)} == {7 if measured else 6}
        assert [row[6].strip() for row in rows if measured] == shown


def test_a_plan_for_a_section_that_is_gone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "PLANS", {"one": ((Chosen(1, ("99",)),),)})
    with pytest.raises(ValueError, match="no section 99"):
        guide(find_lessons(REPOSITORY, "en"), RESULTS)
