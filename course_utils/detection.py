"""Find the digits of a sheet in a map of scores, and count what was found and what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from course_utils.datasets.digit_sheets import REACH, Sheet
from course_utils.i18n import _

__all__ = ["Finding", "Tally", "find_digits", "tally"]


@dataclass(frozen=True)
class Finding:
    """A detected digit: the first pixel of its window, its class, its score."""

    row: int
    column: int
    label: int
    score: float


@dataclass(frozen=True)
class Tally:
    """What became of the digits of some sheets.

    Attributes:
        found: digits detected at their place with their class.
        missed: the other digits.
        false_alarms: detections that are no digit's.
        sheets: number of sheets.
    """

    found: int
    missed: int
    false_alarms: int
    sheets: int

    @property
    def recall(self) -> float:
        """Share of the digits that were found, in [0, 1]."""
        return self.found / (self.found + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and of the share of detections that are right, in [0, 1].

        >>> Tally(found=6, missed=2, false_alarms=4, sheets=1).f1  # recall 6/8, precision 6/10
        0.6666666666666666
        """
        return 2 * self.found / (2 * self.found + self.missed + self.false_alarms)


def find_digits(
    scores: Tensor, labels: Tensor, threshold: float, *, stride: int, apart: int = 8
) -> list[Finding]:
    """The peaks of a map of scores: positions higher than all their neighbours.

    Args:
        scores: ``(rows, columns)``, the score of the best class at each position.
        labels: ``(rows, columns)`` int64, that class.
        threshold: the least score of a peak.
        stride: pixels of the image from one position to the next.
        apart: how far around a peak, in pixels, nothing may be higher.

    >>> import torch
    >>> scores = torch.tensor([[0.1, 0.9, 0.2, 0.1, 0.1, 0.7]])
    >>> classes = torch.tensor([[3, 4, 4, 4, 1, 1]])
    >>> find_digits(scores, classes, 0.5, stride=4)
    [Finding(row=0, column=4, label=4, score=0.8999...), Finding(row=0, column=20, label=1, ...)]
    """
    reach = max(1, apart // stride)
    highest = F.max_pool2d(scores[None], 2 * reach + 1, stride=1, padding=reach)[0]
    peaks = ((scores == highest) & (scores >= threshold)).nonzero().tolist()
    return [
        Finding(row * stride, column * stride, int(labels[row, column]), float(scores[row, column]))
        for row, column in peaks
    ]


def tally(findings: Sequence[Sequence[Finding]], sheets: Sequence[Sheet]) -> Tally:
    """Compare the detections with the digits that are there, each found once at most.

    Args:
        findings: for each sheet, the detections.
        sheets: one for each list of findings.

    Raises:
        ValueError: another number of sheets.
    """
    if len(findings) != len(sheets):
        raise ValueError(
            _("Give one list of findings per sheet: there are {found} for {wanted}.").format(
                found=len(findings), wanted=len(sheets)
            )
        )
    found = detected = 0
    for detections, sheet in zip(findings, sheets, strict=True):
        left = list(zip(sheet.corners.tolist(), sheet.labels.tolist(), strict=True))
        for one in sorted(detections, key=lambda one: -one.score):
            for digit in left:
                (row, column), label = digit
                apart = max(abs(row - one.row), abs(column - one.column))
                if label == one.label and apart <= REACH:
                    left.remove(digit)
                    found += 1
                    break
        detected += len(detections)
    digits = sum(len(sheet.labels) for sheet in sheets)
    return Tally(found, digits - found, detected - found, len(sheets))
