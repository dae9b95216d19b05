"""What a few numbers are worth: their range, and the interval of a mean of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, stdev

from scipy.stats import t as student

from course_utils.i18n import current_language, percent

__all__ = ["CONFIDENCE", "paired_interval", "points", "spread"]

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
    return f"{middle}  [{percent(min(shares))}, {percent(max(shares))}]"


def points(share: float) -> str:
    """A change in points, with its sign, written as the reader's language does.

    >>> points(-0.0125), points(-0.0001)
    ('−1.2', '+0.0')
    """
    rounded = round(100 * share, 1) + 0.0  # without the minus of a rounded zero
    text = f"{rounded:+.1f}".replace("-", "−")
    return text.replace(".", ",") if current_language() == "fr" else text
