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


@pytest.mark.parametrize("columns", [200, 80, 50])
def test_a_table_fits_the_terminal_and_breaks_no_word(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    cells = ["residual-110", "several words that say where it comes from", "1\u202f730\u202f714"]
    headers = ["net", "estimated from", "training error, as a share of all images"]
    lines = str(tables.Table(headers, [cells])).splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) == 2 or columns < 200
    words = " ".join(lines).split()
    assert sorted(words) == sorted(word for text in [*headers, *cells] for word in text.split())


def test_a_word_wider_than_the_terminal_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    assert "incomprehensibilities" in str(tables.Table(["a"], [["incomprehensibilities"]]))
