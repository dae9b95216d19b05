"""Tables show what they were given, in a notebook and in a terminal."""

from __future__ import annotations

import pytest
from making_records import record, tiny

from course_utils import i18n, tables


def test_a_table_has_header_cells_and_escapes_what_it_shows() -> None:
    html = tables.Table(["net", "a < b"], [["plain", 1]])._repr_html_()
    assert '<th scope="col">a &lt; b</th>' in html
    assert "<td>plain</td><td>1</td>" in html


def test_in_a_terminal_the_columns_are_aligned() -> None:
    assert str(tables.Table(["a", "long"], [["word", 1]])).splitlines() == ["a     long", "word  1"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="A row of 1 cells does not fit 2 columns"):
        tables.Table(["a", "b"], [["alone"]])


def test_results_give_the_median_and_the_range_of_the_seeds() -> None:
    records = [record(tiny(seed=seed), error) for seed, error in enumerate((0.1, 0.2, 0.6))]
    ((name, seeds, train, test, parameters, seconds),) = tables.results(records).rows
    assert (name, seeds, train) == ("plain-8", 3, "20.0%  [10.0%, 60.0%]")
    assert (test, parameters, seconds) == ("50.0%  [50.0%, 50.0%]", "1,234", "2")


def test_one_seed_has_no_range_and_french_has_its_comma() -> None:
    i18n.set_language("fr")
    (row,) = tables.results([record(tiny(), 0.125)]).rows
    assert row[2].replace("\u202f", " ") == "12,5 %"
