"""An interval is Student's, and a spread says the median and the range."""

from __future__ import annotations

import pytest
from scipy import stats

from course_utils.experiments import paired_interval
from course_utils.experiments.statistics import points, spread
from course_utils.i18n import speaking


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 3.0], [0.5, -0.25], [-3.0, 4.0, 8.5, 0.0, 1.25], [0.6, 0.62, 0.61]]
)
def test_the_interval_is_students_as_scipy_computes_it(
    values: list[float], confidence: float
) -> None:
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    interval = paired_interval(values, confidence)
    assert interval == pytest.approx((expected.low, expected.high))


def test_the_interval_of_three_differences_by_hand() -> None:
    # Mean 2, standard deviation 1; the table's t for 2 degrees of freedom at 97.5% is 4.3027.
    half = 4.3027 / 3**0.5
    assert paired_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - half, 2 + half), abs=1e-4)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_differences_have_no_interval(values: list[float]) -> None:
    assert paired_interval(values) is None


def test_equal_differences_have_an_interval_of_no_width() -> None:
    assert paired_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_a_deviation_is_taken_to_be_no_less_than_what_is_asked() -> None:
    assert paired_interval([1.0, 2.0, 3.0], least_deviation=0.5) == paired_interval([1.0, 2.0, 3.0])
    half = stats.t.ppf(0.975, 2) * 2 / 3**0.5
    at_least = paired_interval([1.0, 2.0, 3.0], least_deviation=2.0)
    assert at_least == pytest.approx((2 - half, 2 + half))


def test_a_spread_is_the_median_and_the_range_in_the_readers_language() -> None:
    assert spread([0.1, 0.6, 0.2]) == "20.0%  [10.0%, 60.0%]"
    assert spread([0.125]) == "12.5%"
    with speaking("fr"):
        assert spread([0.125]).replace("\u202f", " ") == "12,5 %"
        assert points(0.0251) == "+2,5"
