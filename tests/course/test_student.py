"""The edition for a class has the exercises and hints of the lessons, and no solution."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course import classroom, cli
from course.notebooks.normaliser import write_notebook
from course.notebooks.student import without_solutions

FOLDED = "<details>\n<summary>{}</summary>\n\n{}\n\n</details>"
EXERCISE = "### Exercise 1\n\nWrite it.\n\n{}\n\n{}".format(
    FOLDED.format("Hint", "Think."), FOLDED.format("Solution", "```python\nx = 42\n```")
)


def lesson() -> NotebookNode:
    output = new_output("stream", name="stdout", text="x\n")
    return new_notebook(
        cells=[
            new_markdown_cell(EXERCISE, id="text"),
            new_code_cell(
                "x = ...",
                id="stub",
                metadata={"tags": ["exercise"], "translation_of": "0"},
                outputs=[output],
                execution_count=1,
            ),
            new_code_cell("x = 42", id="answer", metadata={"tags": ["solution"]}),
            new_code_cell("x", id="shown", outputs=[output], execution_count=2),
            new_markdown_cell(FOLDED.format("Solution 2", "No more."), id="alone"),
            new_markdown_cell(
                "## Quiz\n\n" + FOLDED.format("a. The solution of 1.", "Yes."), id="quiz"
            ),
        ]
    )


def test_solutions_go_and_all_else_stays() -> None:
    before = lesson()
    after = without_solutions(before)
    assert [cell.id for cell in after.cells] == ["text", "stub", "shown", "quiz"]
    assert after.cells[0].source == "### Exercise 1\n\nWrite it.\n\n" + FOLDED.format(
        "Hint", "Think."
    )
    assert after.cells[1].source == "x = ..."
    assert after.cells[2] == before.cells[3]
    assert after.cells[3].source == before.cells[5].source
    assert before == lesson()


def test_a_stub_is_handed_out_unrun_and_a_figure_stays() -> None:
    cells = without_solutions(lesson()).cells
    assert (cells[1].outputs, cells[1].execution_count) == ([], None)
    assert cells[2].outputs
    assert "translation_of" not in cells[1].metadata


def test_a_hint_after_the_solution_stays_apart_from_the_text_before() -> None:
    text = "Do it.\n\n{}\n\n{}".format(FOLDED.format("Solution", "1"), FOLDED.format("Hint", "2"))
    (cell,) = without_solutions(new_notebook(cells=[new_markdown_cell(text, id="a")])).cells
    assert cell.source == "Do it.\n\n" + FOLDED.format("Hint", "2")


def test_the_command_writes_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for language in ("fr", "en"):
        for name in ("01_one.ipynb", "02_two.ipynb"):
            path = tmp_path / "notebooks" / language / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_notebook(path, lesson())
    monkeypatch.setattr(classroom, "REPOSITORY", tmp_path)
    build = tmp_path / "build" / "student"
    assert cli.main(["student", "--language", "en", "--lesson", "2"]) == 0
    assert list(build.rglob("*.ipynb")) == [build / "en" / "02_two.ipynb"]
    assert "build/student/en/02_two.ipynb" in capsys.readouterr().out.replace("\\", "/")
    assert cli.main(["student", "--language", "all"]) == 0
    assert len(list(build.rglob("*.ipynb"))) == 4
    assert cli.main(["student", "--language", "en", "--lesson", "7"]) == 2
    assert "There is no lesson 7" in capsys.readouterr().err
