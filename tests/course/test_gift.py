"""The quizzes come back from Moodle's format as they stand in the lessons."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from handing_in import written
from nbformat.v4 import new_markdown_cell, new_notebook

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons
from course.notebooks.gift import Option, Question, gift, quiz
from course.notebooks.normaliser import read_notebook

LESSONS = find_lessons(REPOSITORY, "all")
FOLDED = "<details>\n<summary>{}</summary>\n\n{}\n\n</details>"


def lesson(*options: tuple[str, str], before: str = "") -> str:
    folded = "\n\n".join(FOLDED.format(text, said) for text, said in options)
    return (
        f"# A lesson\n\n{before}## Quiz\n\nOpen each.\n\n**1. Why?**\n\n{folded}\n\n## Next\n\nEnd."
    )


def asked(text: str) -> list[Question]:
    return quiz(new_notebook(cells=[new_markdown_cell(text)]))


def read_back(text: str) -> dict[str, list[tuple[str, str, str]]]:
    """A GIFT file as Moodle's own reader takes it apart: title, then mark, answer and feedback."""
    found = {}
    marks = r"(?<!\\)(?:\\\\)*"  # what no backslash takes the meaning from
    for block in re.split(r"\n\s*\n", text.strip())[1:]:
        title, stem, inside = re.fullmatch(
            rf"::(.*?){marks}::\[html\](.*?){marks}\{{(.*){marks}\}}", block, re.DOTALL
        ).groups()
        answers = re.findall(
            r"^\s*([=~])((?:\\.|[^\\#\n])*)#((?:\\.|[^\\\n])*)$", inside, re.MULTILINE
        )
        found[plain(title)] = [("", plain(stem), "")] + [
            (mark, plain(answer), plain(said)) for mark, answer, said in answers
        ]
    return found


def plain(text: str) -> str:
    """The words alone: escapes undone, HTML's marks taken away."""
    whole = re.sub(r"\\(.)", lambda mark: "\n" if mark[1] == "n" else mark[1], text)
    return words(unescape(re.sub(r"<[^<>]+>", "", whole)))


def words(text: str) -> str:
    """Markdown's marks and the dollars and brackets of formulas taken away, and all spaces."""
    return re.sub(r"[\s*`$]|\\[()\[\]]|</?code>|</?em>", "", text)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda each: f"{each.language}-{each.stem}")
def test_each_quiz_comes_back_with_the_feedback_of_every_option(lesson: LessonFile) -> None:
    notebook = read_notebook(lesson.path)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    section = text.partition("## Quiz")[2].partition("\n## ")[0]
    questions = quiz(notebook)
    assert len(questions) == len(re.findall(r"^\*\*\d+\. ", section, re.MULTILINE))
    assert sum(len(each.options) for each in questions) == section.count("<summary>")
    back = read_back(gift("A title: {1}", questions))
    assert list(back) == [f"Atitle:{{1}}–{n + 1}" for n in range(len(questions))]
    for question, found in zip(questions, back.values(), strict=True):
        assert found == [
            ("", words(question.text), ""),
            *(
                ("=" if option.right else "~", words(option.text), words(option.feedback))
                for option in question.options
            ),
        ]


def test_marks_of_the_format_are_words_in_an_answer() -> None:
    hard = Question(
        "Is {a} = ~b: #1?", (Option("$x=\\alpha$", True, "Yes."), Option("12.", False, "No: \\n"))
    )
    ((stem, right, wrong),) = read_back(gift("T", [hard])).values()
    assert stem[1] == "Is{a}=~b:#1?"
    assert right == ("=", "x=\\alpha", "Yes.")
    assert wrong == ("~", "12.", "No:\\n")  # no list, and no new line


def test_an_answer_in_french_is_right_by_its_first_word() -> None:
    (question,) = asked(lesson(("a. Un", "Non : deux."), ("b. Deux", "Oui, exactement.")))
    assert question == Question(
        "Why?", (Option("Un", False, "Non : deux."), Option("Deux", True, "Oui, exactement."))
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lesson(("a. 1", "Yes."), ("b. 2", "Yes too.")), "exactly one right answer"),
        (lesson(("a. 1", "Yes."), ("b. 2", "Perhaps.")), "whether answer b is"),
        ("# A lesson\n\nNo question.", "has no quiz"),
    ],
)
def test_a_quiz_that_moodle_could_not_mark_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        asked(text)


def test_the_command_writes_the_quiz_of_the_lesson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lesson,) = find_lessons(REPOSITORY, "en", [1])
    (path,) = written("gift", lesson, tmp_path, monkeypatch).iterdir()
    assert path.name == "01_conv_1x1.gift"
    assert "$CATEGORY: $course$/top/1. The 1×1 convolution\n" in path.read_text("utf-8")
