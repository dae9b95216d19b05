"""Sheets of digits: what is on them, and which positions are a digit's."""

from __future__ import annotations

import pytest
import torch

from course_utils.datasets import Split, load
from course_utils.datasets.digit_sheets import Sheet, digit_positions, digit_sheet, random_windows


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits", size=20).test


def blank(corners: list[list[int]], labels: list[int]) -> Sheet:
    return Sheet(torch.zeros(1, 60, 60), torch.tensor(corners), torch.tensor(labels))


def test_every_digit_stands_whole_at_its_corner_and_nothing_else_is_there(digits: Split) -> None:
    sheet = digit_sheet(digits, seed=3, n_digits=7)
    known = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(digits.images, digits.labels, strict=True)
    }
    rest = sheet.image.clone()
    for (row, column), label in zip(sheet.corners.tolist(), sheet.labels.tolist(), strict=True):
        window = sheet.image[:, row : row + 20, column : column + 20].contiguous()
        assert known[window.numpy().tobytes()] == label
        rest[:, row : row + 20, column : column + 20] = 0
    assert float(rest.sum()) == 0


def test_a_seed_makes_one_sheet(digits: Split) -> None:
    one, same, other = (digit_sheet(digits, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(one.image, same.image) and torch.equal(one.corners, same.corners)
    assert not torch.equal(one.image, other.image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_digits": 25}, "25 digits do not fit into 24 cells"),
        ({"cell": 19}, "cell must be at least 20"),
        ({"rows": 0}, "rows must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused(
    digits: Split, options: dict[str, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        digit_sheet(digits, **{"seed": 0, **options})


def test_positions_within_four_pixels_are_a_digits() -> None:
    near = digit_positions(blank([[10, 20]], [3]), 30, 30, stride=2)
    rows, columns = near.nonzero().unbind(1)
    assert sorted(set((2 * rows).tolist())) == [6, 8, 10, 12, 14]
    assert sorted(set((2 * columns).tolist())) == [16, 18, 20, 22, 24]


def test_random_windows_are_never_a_digits_own(digits: Split) -> None:
    sheet = digit_sheet(digits, seed=0, rows=1, columns=1, n_digits=1, cell=34)
    # The sheet numbers its own pixels: a window tells where it was cut out.
    numbered = Sheet(torch.arange(34.0 * 34).view(1, 34, 34), sheet.corners, sheet.labels)
    windows = random_windows(numbered, 20, 500, seed=1)
    assert windows.shape == (500, 1, 20, 20)
    first = windows[:, 0, 0, 0].long()
    away = torch.stack([first // 34, first % 34], 1) - sheet.corners[0]
    assert bool((away.abs().amax(1) > 4).all())
    assert len(first.unique()) > 50
