"""A line's shape in words: where it turns, and what it is worth there."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.i18n import percent, speaking
from course_utils.plots.shape import STROKES, shape_of


@pytest.mark.parametrize(
    ("values", "where", "said"),
    [
        ([0, 20, 98, 0], [0, 0.2, 0.6, 1], "faster to 98 at 0.6, then falls to 0 at 1"),
        ([98, 2, 2, 2, 2], [1, 5, 10, 20, 30], "falls to 2 at 5, then stays near 2 until 30"),
        ([100, 40, 20, 0], [0, 1, 2, 4], "falls to 40 at 1, then more slowly to 0 at 4"),
        ([3, 3, 3], [1, 2, 3], "stays near 3 until 3"),
        ([1, 1, 1, 5], [1, 2, 3, 4], "stays near 1 until 3, then rises to 5 at 4"),
        ([7], [1], "stays near 7 until 1"),
    ],
)
def test_it_says_where_a_line_turns_and_how_high_it_is_there(
    values: list[float], where: list[float], said: str
) -> None:
    assert shape_of(values, where).endswith(said)


def test_a_line_that_ends_where_it_began_is_not_said_to_go_from_a_value_to_itself() -> None:
    x = np.linspace(0, 1, 101)
    hat = np.interp(x, [0, 0.3, 1], [0, 0.9, 0])
    assert shape_of(hat, x) == "starts at 0, rises to 0.9 at 0.3, then falls to 0 at 1"


def test_noise_does_not_make_a_sentence_longer_than_a_few_strokes() -> None:
    noise = np.random.default_rng(0)
    for _draw in range(20):
        line = noise.normal(size=200).cumsum()
        told = shape_of(line, range(200)).split(", ")
        assert len(told) <= 1 + STROKES
    trend = np.linspace(100, 0, 50) + noise.normal(scale=2, size=50)
    assert shape_of(trend, range(50)).count(", ") == 1


def test_on_a_logarithmic_scale_a_straight_line_is_one_stroke() -> None:
    line = 10.0 ** np.linspace(3, -1, 55)
    assert shape_of(line, range(55), logarithmic=True) == "starts at 1,000, falls to 0.1 at 54"
    assert "more slowly" in shape_of(line, range(55))


def test_what_is_no_number_is_left_out() -> None:
    assert shape_of([1, float("nan"), 3], [0, 1, 2]) == "starts at 1, rises to 3 at 2"


def test_it_is_said_in_the_readers_language_and_in_the_unit_that_is_asked_for() -> None:
    with speaking("fr"):
        said = shape_of([0.675, 0.02, 0.02], [1, 5, 14], write=percent)
    assert said.replace("\u202f", " ") == (
        "part de 67,5 %, descend à 2,0 % vers 5, puis reste près de 2,0 % jusqu'à 14"
    )
