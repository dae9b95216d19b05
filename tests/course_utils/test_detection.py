"""What a map of scores announces on a sheet of digits, and how it is counted."""

from __future__ import annotations

import pytest
import torch

from course_utils.datasets.digit_sheets import Sheet
from course_utils.detection import Finding, Tally, find_digits, tally


def blank(corners: list[list[int]], labels: list[int]) -> Sheet:
    return Sheet(torch.zeros(1, 60, 60), torch.tensor(corners), torch.tensor(labels))


def test_a_peak_is_higher_than_what_is_around_it_and_than_the_threshold() -> None:
    scores = torch.zeros(10, 10)
    scores[2, 2], scores[2, 4], scores[8, 8], scores[5, 9] = 0.9, 0.8, 0.6, 0.3
    classes = torch.arange(100).view(10, 10)
    found = find_digits(scores, classes, 0.5, stride=3, apart=6)
    assert [(one.row, one.column, one.label) for one in found] == [(6, 6, 22), (24, 24, 88)]


def test_each_digit_is_found_once_by_its_class_near_its_place() -> None:
    sheets = [blank([[10, 10], [10, 40]], [3, 5]), blank([[0, 0]], [7])]
    findings = [
        [
            Finding(14, 6, 3, 0.9),  # four pixels away: found
            Finding(10, 10, 3, 0.8),  # the same digit again: a false alarm
            Finding(10, 40, 6, 0.9),  # another class: a false alarm, and the digit is missed
        ],
        [Finding(5, 0, 7, 0.9)],  # five pixels away: a false alarm
    ]
    counted = tally(findings, sheets)
    assert counted == Tally(found=1, missed=2, false_alarms=3, sheets=2)
    assert counted.recall == pytest.approx(1 / 3)
    # Precision 1/4, recall 1/3: their harmonic mean.
    assert counted.f1 == pytest.approx(2 / (4 + 3))


def test_findings_of_another_number_of_sheets_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 1 for 2"):
        tally([[]], [blank([[0, 0]], [1])] * 2)
