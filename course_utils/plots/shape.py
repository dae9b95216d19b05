"""The shape of a line in words, for those who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from course_utils.i18n import _, number

__all__ = ["shape_of"]

Numbers = npt.NDArray[np.float64]

NEGLIGIBLE = 0.1
"""Of the line's range: how far a straight stroke may be from the line that it stands for."""

STROKES = 4
"""The most that a sentence tells of."""


def _plain(value: float) -> str:
    return number(value, 3)


def shape_of(
    values: Sequence[float] | Numbers,
    where: Sequence[float] | Numbers,
    *,
    logarithmic: bool = False,
    write: Callable[[float], str] = _plain,
) -> str:
    """Where a line rises, falls and stays level, with the values there.

    The line is told as a few straight strokes (Ramer, Douglas and Peucker).

    Args:
        values: ``(n,)``, one at least.
        where: ``(n,)`` positions, rising.
        logarithmic: whether the line is drawn, and so seen, on a logarithmic scale.
        write: how a value is written.

    >>> shape_of([0, 49, 98, 0], [0, 0.3, 0.6, 1])
    'starts at 0, rises to 98 at 0.6, then falls to 0 at 1'
    >>> shape_of([100, 50, 2, 2, 3, 2], range(6))
    'starts at 100, falls to 2 at 2, then stays near 2 until 5'
    """
    kept = np.isfinite(np.asarray(values, float))
    x, y = np.asarray(where, float)[kept], np.asarray(values, float)[kept]
    seen = np.log10(np.maximum(y, np.finfo(float).tiny)) if logarithmic else y
    slack = NEGLIGIBLE * float(np.ptp(seen))
    corners = _corners(x, seen, slack)
    while len(corners) > STROKES + 1:
        slack *= 1.25
        corners = _corners(x, seen, slack)
    strokes, last = [], 0.0
    for before, after in pairwise(corners):
        change = seen[after] - seen[before]
        slope = 0.0 if abs(change) <= slack else float(change / (x[after] - x[before]))
        said = _in_words(slope, last)
        strokes.append(said.format(value=write(float(y[after])), place=_plain(float(x[after]))))
        last = slope
    told = _(", then ").join(strokes)
    if abs(seen[corners[1]] - seen[0]) <= slack:  # a level line says itself where it is
        return told
    return _("starts at {value}, {strokes}").format(value=write(float(y[0])), strokes=told)


def _in_words(slope: float, last: float) -> str:
    """One stroke after another, which goes on in its direction or not."""
    if not slope:
        return _("stays near {value} until {place}")
    if slope * last > 0:
        is_slower = abs(slope) < abs(last)
        return (
            _("more slowly to {value} at {place}")
            if is_slower
            else _("faster to {value} at {place}")
        )
    return _("rises to {value} at {place}") if slope > 0 else _("falls to {value} at {place}")


def _corners(x: Numbers, y: Numbers, slack: float) -> list[int]:
    """Indices of the points between which straight strokes keep within ``slack`` of the line."""
    chord = np.interp(x, x[[0, -1]], y[[0, -1]])
    far = int(np.argmax(np.abs(y - chord)))
    if abs(y[far] - chord[far]) <= slack:
        return [0, len(x) - 1]
    right = _corners(x[far:], y[far:], slack)
    return _corners(x[: far + 1], y[: far + 1], slack)[:-1] + [far + corner for corner in right]
