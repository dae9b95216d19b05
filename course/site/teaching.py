"""The teacher's guide: what of it is counted from the lessons, and the page that says it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbformat import NotebookNode

from course.address import repository
from course.lessons import LessonFile
from course.notebooks import markdown
from course.notebooks.exercises import Exercise, exercises, is_exercise
from course.notebooks.normaliser import read_notebook
from course.notebooks.picking import Part, parts
from course_utils.i18n import number

__all__ = ["PLANS", "Chosen", "guide"]

WORDS_A_MINUTE = 200  # of a text that one stops at
LOOKING = 0.5  # minutes, at what a cell shows
SOLVING = 10  # minutes, for an exercise that does not say

_FOLDED = re.compile(r"<details\b.*?</details>", re.DOTALL)
_COMPUTING = re.compile(r"\*\*(?:Durée|Time)\*\*.*?(\d+)")
_MYTH = re.compile(r'\*\*[«"“]\s?(.+?)\s?[»"”]\*\*(.*?)(?=\*\*[«"“]|\Z)', re.DOTALL)
_MYTHS = re.compile(r"Idées reçues|Misconceptions")
_PART = re.compile(r"\b[Pp]art(?:ie)? (\d+)")


class Chosen(NamedTuple):
    """What a plan takes of a lesson: sections, and exercises of other sections."""

    lesson: int
    sections: tuple[str, ...]
    exercises: tuple[int, ...] = ()


PLANS: dict[str, tuple[tuple[Chosen, ...], ...]] = {
    "half_day": ((Chosen(3, ("1", "2", "3", "5", "6", "quiz")),),),
    "three_sessions": (
        (Chosen(1, ("1", "2", "3", "4", "quiz")), Chosen(2, ("1", "3", "4", "5", "6", "quiz"))),
        (Chosen(3, ("1", "2", "3", "4", "5", "6", "quiz")),),
        (Chosen(4, ("1", "2", "quiz")), Chosen(5, ("1", "4", "5", "6", "quiz"))),
    ),
}
"""The two schedules of the guide, each as sessions, each of these as parts of lessons."""


class Row(NamedTuple):
    """A part of a session: its place on the site, its heading, and its minutes."""

    lesson: int
    heading: str
    link: str
    minutes: int


class Myth(NamedTuple):
    """A misconception, and the place in the lesson that answers it."""

    text: str
    lesson: int
    heading: str
    link: str


def guide(lessons: Sequence[LessonFile], results: Path) -> dict[str, Any]:
    """What the page of the teachers shows, counted from the lessons of one edition, as it speaks.

    Args:
        lessons: all those of the edition.
        results: the folder of what the benchmarks measured.

    Raises:
        ValueError: a plan names a section that a lesson does not have.
        OSError: a file cannot be read.
    """
    read = {lesson.number: (lesson, read_notebook(lesson.path)) for lesson in lessons}
    measured = json.loads((results / "lessons_time.json").read_text(encoding="utf-8"))
    return {
        "lessons": [_row(lesson, notebook, measured) for lesson, notebook in read.values()],
        "plans": {
            name: [_session(session, read) for session in sessions]
            for name, sessions in PLANS.items()
        },
        "myths": [myth for lesson, notebook in read.values() for myth in _myths(lesson, notebook)],
        "repository": repository() or "OWNER/NAME",
    }


def _row(lesson: LessonFile, notebook: NotebookNode, measured: dict[str, Any]) -> dict[str, Any]:
    """A lesson as the table of the lessons has it."""
    asked = exercises(notebook)
    computing = _COMPUTING.search(notebook.cells[0].source)
    peak = measured.get("peak_bytes", {}).get(lesson.stem)
    return {
        "number": lesson.number,
        "stem": lesson.stem,
        "title": markdown.headings(notebook.cells[0].source)[0].text.partition(". ")[2],
        "computing": int(computing[1]) if computing else 0,
        "reading": _reading(parts(notebook)),
        "exercises": len(asked),
        "solving": sum(_solving(each) for each in asked),
        "points": sum(each.difficulty for each in asked),
        "gigabytes": number(peak / 1e9, 2) if peak else "",
    }


def _session(
    session: Sequence[Chosen], read: dict[int, tuple[LessonFile, NotebookNode]]
) -> dict[str, Any]:
    """The parts of a session in order, their minutes, and the commands that make its notebooks."""
    rows: list[Row] = []
    commands = []
    for chosen in session:
        lesson, notebook = read[chosen.lesson]
        rows += _rows(chosen, lesson, notebook)
        commands.append(
            f"python -m course pick --language {lesson.language} --lesson {chosen.lesson} "
            f"--section {' '.join(chosen.sections)} --output {lesson.stem}.ipynb"
        )
    return {"rows": rows, "minutes": sum(row.minutes for row in rows), "commands": commands}


def _rows(chosen: Chosen, lesson: LessonFile, notebook: NotebookNode) -> Iterator[Row]:
    minutes = {each.number: _solving(each) for each in exercises(notebook)}
    every = parts(notebook)
    for name in chosen.sections:
        starts = [place for place, part in enumerate(every) if part.is_called(name)]
        if not starts:
            raise ValueError(f"{lesson.path}: there is no section {name}")
        (start,) = starts
        taken = [every[start]]
        for part in every[start + 1 :]:
            if part.level <= 2:
                break
            taken.append(part)
        solving = sum(minutes[part.exercise] for part in taken if part.exercise)
        heading = every[start].heading
        yield Row(chosen.lesson, heading, _link(lesson, heading), _reading(taken) + solving)


def _reading(taken: Sequence[Part]) -> int:
    """The minutes that texts and what cells show take; of what is folded, a quiz alone is read."""
    minutes = 0.0
    for part in taken:
        for cell in part.cells:
            if cell.cell_type == "markdown":
                quiz = part.heading == "Quiz"
                text = cell.source if quiz else _FOLDED.sub("", cell.source)
                minutes += len(markdown.prose(text).split()) / WORDS_A_MINUTE
            else:
                minutes += LOOKING if cell.outputs and not is_exercise(cell) else 0
    return math.ceil(minutes)


def _solving(exercise: Exercise) -> int:
    return SOLVING if exercise.minutes is None else exercise.minutes


def _link(lesson: LessonFile, heading: str) -> str:
    """The address of a heading on the site, as GitHub and MyST make it from its words."""
    words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    return f"lessons/{lesson.stem}.ipynb#{words}"


def _myths(lesson: LessonFile, notebook: NotebookNode) -> Iterator[Myth]:
    """The misconceptions that a lesson ends with, each with the part that answers it."""
    every = parts(notebook)
    sections = {
        found[1]: part.heading
        for part in every
        if part.level == 2 and (found := re.match(r"(\d+)\. ", part.heading))
    }
    for part in every:
        if part.level != 2 or not _MYTHS.search(part.heading):
            continue
        text = "\n\n".join(cell.source for cell in part.cells if cell.cell_type == "markdown")
        for said, answer in _MYTH.findall(text):
            named = _PART.search(answer.partition("\n\n")[0])
            heading = sections.get(named[1], part.heading) if named else part.heading
            yield Myth(said.strip().rstrip("."), lesson.number, heading, _link(lesson, heading))
