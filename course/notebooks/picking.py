"""A notebook of one's own from parts of a lesson, with all that these need to run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course.notebooks import markdown
from course.notebooks.dependencies import needed
from course.notebooks.exercises import is_exercise
from course_utils.i18n import _

__all__ = ["Part", "parts", "pick"]

_SECTION = re.compile(r"(\d+)\. ")
_EXERCISE = re.compile(r"Exerci[cs]e (\d+) – ")


@dataclass
class Part:
    """What stands under one heading of a lesson, up to the next.

    Attributes:
        level: of the heading, 1 for the title.
        heading: its text.
        cells: the heading's own cell first; a cell with two headings is cut in two.
    """

    level: int
    heading: str
    cells: list[NotebookNode] = field(default_factory=list)

    @property
    def exercise(self) -> int | None:
        """The number of the exercise that the heading names."""
        found = _EXERCISE.match(self.heading)
        return int(found[1]) if found and self.level == 3 else None

    def is_called(self, name: str) -> bool:
        """Whether it is a section, and of that number or with a heading that begins so."""
        number = _SECTION.match(self.heading)
        begins = self.heading.casefold().startswith(name.casefold())
        return self.level == 2 and (name == number[1] if number else begins)


def parts(notebook: NotebookNode) -> list[Part]:
    """A lesson cut at its headings, in order; the setup belongs to the title.

    Args:
        notebook: an edition of a lesson; it is not changed.
    """
    found: list[Part] = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            found[-1].cells.append(cell)
            continue
        for number, text in enumerate(_cut(cell.source)):
            heading = markdown.headings(text)[:1]
            own = cell.id if number == 0 else f"{cell.id}-{number}"
            if heading and text.startswith("#"):
                found.append(Part(heading[0].level, heading[0].text))
            found[-1].cells.append(NotebookNode({**cell, "id": own, "source": text}))
    return found


def _cut(text: str) -> Iterator[str]:
    """The pieces of a cell, each but the first with the heading that it begins with."""
    lines = text.splitlines()
    starts = [0, *(line for line in markdown.heading_lines(text) if line > 0), len(lines)]
    for start, end in pairwise(starts):
        yield "\n".join(lines[start:end]).strip()


def pick(
    notebook: NotebookNode, sections: Sequence[str] = (), exercises: Sequence[int] = ()
) -> NotebookNode:
    """The chosen parts of a lesson, its setup, and the cells that the chosen ones need.

    Args:
        notebook: an edition of a lesson, with solutions or without; it is not changed.
        sections: numbers, or how the headings begin, such as ``"5"`` and ``"quiz"``.
        exercises: numbers of exercises; one goes with its text, hints and checker.

    Raises:
        ValueError: nothing is chosen, or what the lesson does not have.
    """
    every = parts(notebook)
    wanted = set(_places(every, sections, exercises))
    cells = [cell for part in every for cell in part.cells]
    chosen = [
        place in wanted or place == 0 for place, part in enumerate(every) for _cell in part.cells
    ]
    sources = [cell.source if cell.cell_type == "code" else "" for cell in cells]
    runs = [place for place, kept in enumerate(chosen) if kept]
    first = _about(every, sorted(wanted))
    answer = NotebookNode({**notebook, "cells": [first]})
    for place in sorted({*runs, *needed(sources, runs)} - {0}):
        cell = NotebookNode({**cells[place], "metadata": dict(cells[place].metadata)})
        cell.metadata.pop("translation_of", None)
        if not chosen[place] and not is_exercise(cell):
            cell.metadata["jupyter"] = {"source_hidden": True}
        answer.cells.append(cell)
    return answer


def _places(
    every: Sequence[Part], sections: Sequence[str], exercises: Sequence[int]
) -> Iterator[int]:
    if not sections and not exercises:
        raise ValueError(_("You chose nothing: name sections or exercises."))
    for name in sections:
        starts = [place for place, part in enumerate(every) if part.is_called(name)]
        if not starts:
            there = "; ".join(part.heading for part in every if part.level == 2)
            raise ValueError(
                _("The lesson has no section {name}; its sections are {there}.").format(
                    name=name, there=there
                )
            )
        for start in starts:
            yield start
            for place in range(start + 1, len(every)):
                if every[place].level <= 2:
                    break
                yield place
    for number in exercises:
        found = [place for place, part in enumerate(every) if part.exercise == number]
        if not found:
            there = ", ".join(str(part.exercise) for part in every if part.exercise)
            raise ValueError(
                _("The lesson has no exercise {number}; its exercises are {there}.").format(
                    number=number, there=there
                )
            )
        yield from found


def _about(every: Sequence[Part], wanted: Sequence[int]) -> NotebookNode:
    """The first cell: the lesson's title, and what of it is here."""
    title, *_rest = every
    lines = [f"# {title.heading}", "", _("From this lesson:"), ""]
    lines += [
        f"- {every[place].heading}"
        for place in wanted
        if every[place].level == 2 or every[place].exercise
    ]
    cell: NotebookNode = new_markdown_cell("\n".join(lines), id=title.cells[0].id)
    return cell
