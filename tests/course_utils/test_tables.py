"""Tables show what they were given, in a notebook and in a terminal."""

from __future__ import annotations

import pytest

from course_utils import tables


def test_a_table_has_header_cells_and_escapes_what_it_shows() -> None:
    html = tables.Table(["net", "a < b"], [["plain", 1]])._repr_html_()
    assert '<th scope="col">a &lt; b</th>' in html
    assert "<td>plain</td><td>1</td>" in html


def test_in_a_terminal_the_columns_are_aligned() -> None:
    assert str(tables.Table(["a", "long"], [["word", 1]])).splitlines() == ["a     long", "word  1"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="A row of 1 cells does not fit 2 columns"):
        tables.Table(["a", "b"], [["alone"]])
