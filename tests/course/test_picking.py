"""A part of a lesson taken alone has all the names that it reads."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from course import cli
from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons
from course.notebooks.dependencies import names_of
from course.notebooks.exercises import exercises
from course.notebooks.normaliser import read_notebook
from course.notebooks.picking import parts, pick

LESSONS = find_lessons(REPOSITORY, "all")
each_lesson = pytest.mark.parametrize(
    "lesson", LESSONS, ids=lambda each: f"{each.language}-{each.stem}"
)


def unbound(notebook: NotebookNode) -> set[str]:
    """The names that a notebook reads and nothing in it has bound by then."""
    bound, missing = {*dir(builtins), "display"}, set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            names = names_of(cell.source)
            missing |= names.read - bound
            bound |= names.bound
    return missing


@each_lesson
def test_every_section_and_exercise_brings_what_it_needs(lesson: LessonFile) -> None:
    notebook = read_notebook(lesson.path)
    assert unbound(notebook) == set()
    names = [part.heading.partition(".")[0] for part in parts(notebook) if part.level == 2]
    for name in names:
        assert unbound(pick(notebook, [name])) == set(), name
    for exercise in exercises(notebook):
        picked = pick(notebook, exercises=[exercise.number])
        assert unbound(picked) == set(), exercise.title
        ids = [cell.id for cell in picked.cells]
        assert exercise.id in ids and len(ids) < len(notebook.cells) / 4
        assert f"– {exercise.title}" in picked.cells[0].source


def test_cut_at_its_headings_a_lesson_loses_no_word() -> None:
    for lesson in LESSONS:
        notebook = read_notebook(lesson.path)
        cut = [cell for part in parts(notebook) for cell in part.cells]
        assert len({cell.id for cell in cut}) == len(cut)
        texts = ["".join(cell.source.split()) for cell in notebook.cells]
        assert "".join("".join(cell.source.split()) for cell in cut) == "".join(texts)


@pytest.mark.parametrize(
    ("source", "read", "bound"),
    [
        ("x = x + 1", {"x"}, {"x"}),
        ("for i in rows:\n    print(i)", {"rows", "print"}, {"i"}),
        ("[n for n in rows if n > m]", {"rows", "m"}, set()),
        ("def f(a, b=c):\n    d = a\n    return d + e", {"c", "e"}, {"f"}),
        ("def f():\n    return later\n\n\nlater = 1", set(), {"f", "later"}),
        ("counts['a'] = 1", {"counts"}, {"counts"}),
        ("import a.b as c, d.e", set(), {"c", "d"}),
        ("class A(B):\n    def f(self):\n        return A, g", {"B", "g"}, {"A"}),
        ("with open(p) as f:\n    f.read()", {"open", "p"}, {"f"}),
        ("try:\n    h()\nexcept E as e:\n    print(e)", {"h", "E", "print"}, {"e"}),
        ("total += part", {"total", "part"}, {"total"}),
    ],
)
def test_names_are_read_and_bound_as_python_does(
    source: str, read: set[str], bound: set[str]
) -> None:
    assert names_of(source) == (read, bound)


@pytest.mark.slow
def test_the_command_writes_a_notebook_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "mine.ipynb"
    command = ["pick", "--language", "en", "--lesson", "3", "--exercise", "4", "6"]
    assert cli.main([*command, "--student", "--output", str(path)]) == 0
    picked = read_notebook(path)
    assert not any("<summary>Solution" in cell.source for cell in picked.cells)
    NotebookClient(picked, timeout=300).execute()
    said = [cell.outputs for cell in picked.cells if "exercise" in cell.metadata.get("tags", [])]
    assert len(said) == 2
    assert all("Not filled in yet" in str(outputs) for outputs in said)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [([], "You chose nothing"), (["--section", "77"], "no section 77"), (["--exercise", "9"], "9")],
)
def test_what_a_lesson_does_not_have_is_refused(
    chosen: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.ipynb"
    command = ["pick", "--language", "en", "--lesson", "5", *chosen, "--output", str(path)]
    assert cli.main(command) == 2
    assert words in capsys.readouterr().err
    assert not path.exists()
