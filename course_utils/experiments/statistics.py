"""Means of few numbers, with what they are worth: the interval of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.stats import t as student

from course_utils.i18n import current_language

__all__ = ["CONFIDENCE", "paired_interval", "points"]

CONFIDENCE = 0.95


def paired_interval(
    differences: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Student's confidence interval for the mean of paired differences.

    Args:
        differences: one number a pair, taken as draws of a normal distribution.
        confidence: in (0, 1).

    Returns:
        ``(low, high)``, or None with fewer than two pairs, where nothing tells the spread.

    >>> paired_interval([1.0, 2.0, 3.0])[0] < 0 < paired_interval([1.9, 2.0, 2.1])[0]
    True
    """
    n = len(differences)
    if n < 2:
        return None
    half = student.ppf((1 + confidence) / 2, n - 1) * stdev(differences) / n**0.5
    mean = fmean(differences)
    return float(mean - half), float(mean + half)


def points(share: float) -> str:
    """A change in points, with its sign, written as the reader's language does."""
    rounded = round(100 * share, 1) + 0.0  # without the minus of a rounded zero
    text = f"{rounded:+.1f}".replace("-", "−")
    return text.replace(".", ",") if current_language() == "fr" else text
