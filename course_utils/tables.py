"""Small tables that a notebook shows as tables and a terminal as text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import NoReturn

from course_utils.i18n import _
from course_utils.moved import moved_name

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """A table: one header a column, one text a cell.

    In a terminal that is too narrow for it, columns become narrower and their texts several lines.

    Args:
        headers: the columns' names.
        rows: as many cells a row as there are headers; each is shown as ``str`` shows it.

    Raises:
        ValueError: a row of another length.

    >>> print(Table(["net", "error"], [["plain-8", "1%"]]))
    net      error
    plain-8  1%
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(
                    _("A row of {found} cells does not fit {wanted} columns: {row}.").format(
                        found=len(row), wanted=len(self.headers), row=row
                    )
                )

    def _texts(self) -> list[list[str]]:
        return [list(map(str, self.headers)), *(list(map(str, row)) for row in self.rows)]

    def __str__(self) -> str:
        texts = self._texts()
        widths = _widths(texts, shutil.get_terminal_size().columns)
        return "\n".join(
            "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
            for row in texts
            for line in zip_longest(
                *(_wrapped(text, width) for text, width in zip(row, widths, strict=True)),
                fillvalue="",
            )
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, *body = (
            "".join(f"<{tag}>{escape(text)}</{end}>" for text in row)
            for row, tag, end in self._tagged()
        )
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        return f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"

    def _tagged(self) -> Iterable[tuple[list[str], str, str]]:
        for index, row in enumerate(self._texts()):
            yield (row, 'th scope="col"', "th") if index == 0 else (row, "td", "td")


def _widths(texts: Sequence[Sequence[str]], room: int) -> list[int]:
    """How wide each column is so that all fit in ``room``, if they can without a broken word."""
    columns = list(zip(*texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(len(word) for text in column for word in text.split(" ")) for column in columns]
    while sum(widths) + 2 * (len(widths) - 1) > room:
        excess = [width - word for width, word in zip(widths, least, strict=True)]
        if max(excess) <= 0:
            break
        widths[excess.index(max(excess))] -= 1
    return widths


def _wrapped(text: str, width: int) -> list[str]:
    """A cell's lines; words and numbers stay whole."""
    if len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def __getattr__(name: str) -> NoReturn:
    raise moved_name(__name__, name, {"results": "course_utils.experiments"})
