"""The commands for teaching a class: assignments, marks, quizzes, slides, parts of a lesson."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course.files import REPOSITORY
from course.grading import grade_folder
from course.lessons import find_lessons
from course.notebooks import markdown
from course.notebooks.assignments import CONFIG, assignment
from course.notebooks.gift import gift, quiz
from course.notebooks.normaliser import notebook_text, read_notebook, write_notebook
from course.notebooks.picking import pick
from course.notebooks.student import without_solutions
from course.slides import REVEAL, slides
from course_utils.commands import FAILED, add_command
from course_utils.i18n import LANGUAGES, _, current_language, ngettext, speaking
from course_utils.whole import write_whole

__all__ = ["add_classroom"]

Files = dict[str, str]
"""Texts, each by its place below ``build/<command>/<language>/``."""


def _student(notebook: NotebookNode, stem: str) -> Files:
    return {f"{stem}.ipynb": notebook_text(without_solutions(notebook))}


def _assignments(notebook: NotebookNode, stem: str) -> Files:
    text = notebook_text(assignment(notebook))
    return {f"source/{stem}/{stem}.ipynb": text, "nbgrader_config.py": CONFIG}


def _gift(notebook: NotebookNode, stem: str) -> Files:
    title = markdown.headings(notebook.cells[0].source)[0].text
    return {f"{stem}.gift": gift(title, quiz(notebook))}


def _slides(notebook: NotebookNode, stem: str) -> Files:
    beside = {
        f"{REVEAL.name}/{path.relative_to(REVEAL).as_posix()}": path.read_text(encoding="utf-8")
        for path in REVEAL.rglob("*")
        if path.is_file()
    }
    return {f"{stem}.html": slides(notebook, current_language()), **beside}


def add_classroom(commands: Any) -> None:
    """Add these commands to those of ``python -m course``."""
    for name, about, files in (
        (
            "student",
            _("Write the lessons without their solutions to build/student/."),
            _student,
        ),
        (
            "assignments",
            _("Write the lessons as nbgrader assignments to build/assignments/."),
            _assignments,
        ),
        (
            "gift",
            _("Write the quizzes of the lessons, for Moodle, to build/gift/."),
            _gift,
        ),
        (
            "slides",
            _("Write the lessons as slides, which open without a network, to build/slides/."),
            _slides,
        ),
    ):
        written = add_command(
            commands,
            name,
            about,
            f"course {name} --language all",
            partial(_write, name, files),
            editions=(*LANGUAGES, "all"),
        )
        written.add_argument(
            "--lesson",
            dest="numbers",
            type=int,
            nargs="+",
            metavar="N",
            help=_("numbers of the lessons to write; every lesson by default"),
        )
    _add_grade(commands)
    _add_pick(commands)


def _add_grade(commands: Any) -> None:
    grade = add_command(
        commands,
        "grade",
        _("Mark the notebooks of a folder, and write marks.csv and exercises.csv into it."),
        "course grade submitted",
        _grade,
    )
    grade.add_argument(
        "folder",
        type=Path,
        metavar=_("FOLDER"),
        help=_("what the students handed in, each in a folder or a file with their name"),
    )


def _add_pick(commands: Any) -> None:
    picked = add_command(
        commands,
        "pick",
        _("Write a notebook with parts of a lesson and everything that they need to run."),
        "course pick --lesson 3 --section 1 5 --exercise 4 --output mine.ipynb",
        _pick,
        editions=LANGUAGES,
    )
    picked.add_argument(
        "--lesson", type=int, required=True, metavar="N", help=_("the lesson to take from")
    )
    picked.add_argument(
        "--section",
        dest="sections",
        nargs="+",
        default=[],
        metavar=_("NAME"),
        help=_("numbers of sections, or the beginning of their headings, such as quiz"),
    )
    picked.add_argument(
        "--exercise",
        dest="exercises",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help=_("numbers of exercises, each with its text and its checker"),
    )
    picked.add_argument("--student", action="store_true", help=_("leave the folded solutions out"))
    picked.add_argument(
        "--output", type=Path, required=True, metavar=_("PATH"), help=_("the notebook to write")
    )


def _write(
    name: str, files: Callable[[NotebookNode, str], Files], arguments: argparse.Namespace
) -> int:
    """Write the files of each lesson that was asked for to ``build/<name>/<language>/``."""
    made: dict[Path, str] = {}
    for lesson in find_lessons(REPOSITORY, arguments.language or "fr", arguments.numbers):
        folder = REPOSITORY / "build" / name / lesson.language
        notebook = read_notebook(lesson.path)
        try:
            with speaking(lesson.language):
                texts = files(notebook, lesson.stem)
        except ValueError as error:
            raise ValueError(f"{lesson.path}: {error}") from error
        made |= {folder / place: text for place, text in texts.items()}
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode("utf-8"))
        print(_("{path}: written").format(path=path.relative_to(REPOSITORY)))
    return 0


def _grade(arguments: argparse.Namespace) -> int:
    marks, faults = grade_folder(REPOSITORY, arguments.folder)
    for fault in faults:
        print(fault, file=sys.stderr)
    students = len({mark.student for mark in marks})
    print(
        ngettext("{n} student marked: {path}", "{n} students marked: {path}", students).format(
            n=students, path=arguments.folder / "marks.csv"
        )
    )
    return FAILED if faults else 0


def _pick(arguments: argparse.Namespace) -> int:
    (lesson,) = find_lessons(REPOSITORY, arguments.language or "fr", [arguments.lesson])
    notebook = read_notebook(lesson.path)
    if arguments.student:
        notebook = without_solutions(notebook)
    write_notebook(arguments.output, pick(notebook, arguments.sections, arguments.exercises))
    print(_("{path}: written").format(path=arguments.output))
    return 0
