"""What a lesson asks of its reader, and which cells that ran are the answers."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.answers import CHECK, name_of

__all__ = ["Question", "answered", "questions_of"]


@dataclass(frozen=True)
class Question:
    """A cell of a lesson that the reader fills.

    Attributes:
        name: as :func:`~course_utils.answers.name_of` gives it.
        title: of an exercise, the heading above it; of a prediction, what it gives a value to.
        stub: the text of the cell, blank.
        blanks: what a prediction gives a value to, each with the kind of statement that does.
    """

    name: str
    title: str
    stub: str
    blanks: frozenset[tuple[str, str]] = frozenset()

    def answers(self, text: str) -> bool:
        """Whether a cell with this text answers the question, in whatever way."""
        if text.strip() == self.stub.strip():
            return False
        if not self.blanks:
            checked = CHECK.search(text)
            return checked is not None and checked[1] == self.name
        return self.blanks <= {statement[:2] for statement in _assignments(text)}


def questions_of(notebook: Path) -> list[Question]:
    """What a lesson asks, in its order.

    Raises:
        OSError, ValueError: the file cannot be read, or is no notebook.
    """
    found, heading = [], ""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            titles = [line for line in text.splitlines() if line.startswith("### ")]
            heading = titles[-1][4:] if titles else heading
        elif "exercise" in cell["metadata"].get("tags", []):
            found.append(Question(name_of(cell), heading, text))
        else:
            said = _assignments(text)
            blanks = frozenset((kind, target) for kind, target, value in said if _is_blank(value))
            if blanks:
                title = ", ".join(sorted(target for _kind, target in blanks))
                found.append(Question(name_of(cell), title, text, blanks))
    return found


def answered(questions: Sequence[Question], ran: Sequence[str]) -> dict[str, str]:
    """The last answer to each question, by its name.

    Args:
        questions: those of the lesson.
        ran: the texts of the cells that ran, the oldest first.
    """
    last = {
        question.name: next(filter(question.answers, reversed(ran)), None) for question in questions
    }
    return {name: text for name, text in last.items() if text is not None}


def _assignments(text: str) -> list[tuple[str, str, ast.expr]]:
    """Of each assignment of a cell, the kind of statement, the target and the value."""
    try:
        statements = ast.parse(text).body
    except SyntaxError:  # IPython's magics, or a slip
        return []
    return [
        (type(one).__name__, ast.unparse(target), one.value)
        for one in statements
        if isinstance(one, ast.Assign | ast.AugAssign)
        for target in (one.targets if isinstance(one, ast.Assign) else [one.target])
    ]


def _is_blank(value: ast.expr) -> bool:
    """Whether a value is ``...``, or a list or a table of some."""
    if isinstance(value, ast.Dict):
        return any(map(_is_blank, value.values))
    if isinstance(value, ast.List | ast.Tuple):
        return any(map(_is_blank, value.elts))
    return isinstance(value, ast.Constant) and value.value is ...
