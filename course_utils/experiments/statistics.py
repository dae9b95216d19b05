"""What a few numbers are worth: their range, and the interval of a mean of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, stdev

from scipy.stats import t as student

from course_utils.i18n import _, bracketed, current_language, ngettext, percent

__all__ = ["CONFIDENCE", "interval_text", "paired_interval", "points", "points_text", "spread"]

CONFIDENCE = 0.95


def paired_interval(
    differences: Sequence[float],
    confidence: float = CONFIDENCE,
    *,
    least_deviation: float = 0.0,
) -> tuple[float, float] | None:
    """Student's confidence interval for the mean of paired differences.

    Args:
        differences: one number a pair, taken as draws of a normal distribution.
        confidence: in (0, 1).
        least_deviation: the standard deviation is taken to be no less than this.

    Returns:
        ``(low, high)``, or None with fewer than two pairs, where nothing tells the spread.

    >>> paired_interval([1.0, 2.0, 3.0])[0] < 0 < paired_interval([1.9, 2.0, 2.1])[0]
    True
    """
    n = len(differences)
    if n < 2:
        return None
    deviation = max(stdev(differences), least_deviation)
    half = student.ppf((1 + confidence) / 2, n - 1) * deviation / n**0.5
    mean = fmean(differences)
    return float(mean - half), float(mean + half)


def spread(shares: Sequence[float]) -> str:
    """The median of shares in percent; the lowest and the highest too where there are several.

    >>> spread([0.25]), spread([0.5, 0.125, 0.25])
    ('25.0%', '25.0%  [12.5%, 50.0%]')
    """
    middle = percent(float(median(shares)))
    if len(shares) == 1:
        return middle
    return f"{middle}  {bracketed(percent(min(shares)), percent(max(shares)))}"


def points(share: float, decimals: int = 1) -> str:
    """A change in points, with its sign, written as the reader's language does.

    >>> points(-0.0125), points(-0.0001), points(-0.0001, 2)
    ('−1.2', '+0.0', '−0.01')
    """
    rounded = round(100 * share, decimals) + 0.0  # without the minus of a rounded zero
    text = f"{rounded:+.{decimals}f}".replace("-", "−")
    return text.replace(".", ",") if current_language() == "fr" else text


def points_text(share: float) -> str:
    """A change in points with its unit, which French keeps in the singular below two.

    >>> points_text(-0.007)
    '−0.7 points'
    """
    whole = int(abs(round(100 * share, 1)))
    return ngettext("{number} points", "{number} points", whole).format(number=points(share))


def interval_text(low: float, high: float) -> str:
    """An interval in points, with as many decimals as it takes to tell its ends apart.

    >>> interval_text(-0.012, 0.5), interval_text(0.0, 0.0002)
    ('−1.2 to +50.0', '+0.00 to +0.02')
    """
    decimals = 1
    while points(low, decimals) == points(high, decimals) and low < high and decimals < 4:
        decimals += 1
    return _("{low} to {high}").format(low=points(low, decimals), high=points(high, decimals))
