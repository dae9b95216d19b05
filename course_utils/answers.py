"""What a reader wrote in the cells of a lesson, apart from the lesson, so that it outlives it.

An answer is the text of a cell. Its name is that of the exercise's checker, which stays in newer
versions of the lesson and is the same in both languages. A file of answers is JSON; the records of
runs are there where a session of the lesson was saved:

    {"format": 1, "lesson": "03_degradation", "answers": {"check_fold": "def fold(…", "bet": …},
     "records": […]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.i18n import _
from course_utils.whole import write_whole

__all__ = [
    "CHECK",
    "Answers",
    "changed_cells",
    "name_of",
    "parse_answers",
    "read_answers",
    "verdicts",
    "write_answers",
]

FORMAT = 1
CHECK = re.compile(r"^check\.(check_\w+)\(", re.MULTILINE)
"""The call of a checker, by which an exercise is known."""

verdicts: dict[str, bool | None] = {}
"""What each checker, by its name, last said in this process."""


@dataclass(frozen=True)
class Answers:
    """The answers of a reader to one lesson.

    Attributes:
        lesson: the stem of its file, such as ``03_degradation``.
        cells: the text of each answered cell, by its name, as :func:`name_of` gives it.
        records: runs of the reader's experiments, as plain data.
    """

    lesson: str
    cells: Mapping[str, str] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()


def name_of(cell: Mapping[str, Any]) -> str:
    """The name of a notebook's cell: of an exercise, that of its checker, else the cell's id.

    Args:
        cell: as in a notebook's JSON.

    >>> exercise = {"tags": ["exercise"]}
    >>> name_of({"id": "ex4", "metadata": exercise, "source": "check.check_identity_block(Mine)"})
    'check_identity_block'
    >>> name_of({"id": "bet", "metadata": {}, "source": 'my_bet = "a"'})
    'bet'
    """
    if "exercise" in cell["metadata"].get("tags", []):
        checked = CHECK.search(_text(cell))
        if checked:
            return checked[1]
    return str(cell["id"])


def changed_cells(
    mine: Iterable[Mapping[str, Any]], lesson: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """The cells of a lesson that a reader changed, each with its name and the reader's text.

    Args:
        mine: the cells of the reader's copy; those that the lesson does not have are left out.
        lesson: the cells of the lesson as the copy was made from it.
    """
    names = {cell["id"]: (name_of(cell), _text(cell)) for cell in lesson}
    return {
        names[cell["id"]][0]: _text(cell)
        for cell in mine
        if cell["id"] in names and _text(cell) != names[cell["id"]][1]
    }


def read_answers(path: Path) -> Answers:
    """The answers in a file.

    Raises:
        ValueError: it is no file of answers, or one of a newer course than this.
        OSError: it cannot be read.
    """
    return parse_answers(path.read_bytes(), str(path))


def parse_answers(content: bytes, name: str) -> Answers:
    """The answers in the content of a file.

    Args:
        content: all of it.
        name: what to call the file.

    Raises:
        ValueError: it is no file of answers, or one of a newer course than this.
    """
    try:
        said = json.loads(content)
        known = said["format"] == FORMAT
        records = tuple(map(dict, said.get("records", ())))
        answers = Answers(str(said["lesson"]), dict(said["answers"]), records) if known else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            _("{path} is not a file of answers, or it is damaged.").format(path=name)
        ) from error
    if answers is None or not all(isinstance(text, str) for text in answers.cells.values()):
        raise ValueError(
            _(
                "{path} has answers in a form that this course does not know: update the course."
            ).format(path=name)
        )
    return answers


def write_answers(path: Path, answers: Answers) -> None:
    """Write answers to a file, whole or not at all.

    Raises:
        OSError: the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "answers.json"
    ...     write_answers(path, Answers("01_conv_1x1", {"bet": 'my_bet = "a"'}))
    ...     read_answers(path).cells
    {'bet': 'my_bet = "a"'}
    """
    said = {"format": FORMAT, "lesson": answers.lesson, "answers": dict(answers.cells)}
    if answers.records:
        said["records"] = list(answers.records)
    write_whole(path, json.dumps(said, ensure_ascii=False, indent=1).encode("utf-8"))


def _text(cell: Mapping[str, Any]) -> str:
    """The source of a cell: a text, or a list of lines as it lies on disk."""
    return "".join(cell["source"])
