"""Every folded solution, typed into its exercise as a reader would, is accepted by its checker."""

from __future__ import annotations

import re
from typing import Any

import pytest

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons, lesson_parameters
from course.notebooks import markdown
from course.notebooks.normaliser import read_notebook

PARAMETERS = lesson_parameters(REPOSITORY, find_lessons(REPOSITORY, "all"), "quick")
_SOLUTION = re.compile(r"<details>\s*<summary>\s*Solution.*?</summary>(.*?)</details>", re.DOTALL)


def code_of(text: str) -> str:
    """The first code of a solution: a block, or a piece of a line."""
    blocks = [fence.code for fence in markdown.fences(text)]
    spans = [token.content for token in markdown.tokens(text) if token.type == "code_inline"]
    return (blocks or spans)[0]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", PARAMETERS, ids=lambda each: f"{each.language}-{each.stem}")
def test_every_folded_solution_is_accepted(lesson: LessonFile) -> None:
    cells = read_notebook(lesson.path).cells
    names: dict[str, Any] = {}
    for tag in ("parameters", "setup"):
        for cell in cells:
            if tag in cell.metadata.get("tags", []):
                exec(cell.source, names)
        names |= PARAMETERS[lesson]
    solution, verdicts = "", {}
    for cell in cells:
        if cell.cell_type == "markdown":
            for text in _SOLUTION.findall(cell.source):
                solution = code_of(text)
        elif "exercise" in cell.metadata.get("tags", []):
            exec(cell.source, names)  # unfilled
            exec(solution, names)
            (call,) = re.findall(r"^check\..*", cell.source, re.MULTILINE | re.DOTALL)
            feedback = eval(call, names)
            verdicts[cell.id] = feedback.passed or str(feedback)
    assert verdicts and set(verdicts.values()) == {True}, verdicts
