"""Sheets of digits: what is on them, and which windows hold none."""

from __future__ import annotations

import pytest
import torch

from course_utils.datasets import Split, load
from course_utils.datasets.digit_sheets import Sheet, digit_sheet, random_windows, without_digit


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits", size=20).test


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


def inked(*digits: list[tuple[int, int]]) -> Sheet:
    """Digits made of pixels at these places, in windows at (0, 0), (0, 20), … of a sheet."""
    image = torch.zeros(1, 40, 60)
    for place in (place for digit in digits for place in digit):
        image[0][place] = 1
    corners = [[0, 20 * index] for index in range(len(digits))]
    return Sheet(image, torch.tensor(corners), torch.zeros(len(digits), dtype=torch.int64))


def test_a_window_with_a_quarter_of_a_digit_does_not_pass_for_empty() -> None:
    # Four pixels of ink on a line: a window that begins at row r holds those from row r on.
    sheet = inked([(2, 9), (6, 9), (10, 9), (14, 9)])
    empty = without_digit(sheet, 20)
    assert [row for row in range(21) if not empty[row, 0]] == list(range(15))
    # Five: one of them is a fifth, and the window passes.
    sheet = inked([(2, 9), (6, 9), (10, 9), (14, 9), (18, 9)])
    empty = without_digit(sheet, 20)
    assert [row for row in range(21) if not empty[row, 0]] == list(range(15))


def test_pieces_of_two_digits_are_no_digit_and_strides_are_followed() -> None:
    five = [(row, 3) for row in range(0, 20, 4)]
    sheet = inked(five, [(row, column + 20) for row, column in five])
    every = without_digit(sheet, 20)
    assert bool(every[17].all())  # the last pixel of either: two fifths of a digit, of two digits
    assert not every[:13, 3].any() and not every[0, 4:23].any()
    assert torch.equal(without_digit(sheet, 20, stride=3), every[::3, ::3])


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


def test_empty_windows_have_less_than_a_quarter_of_the_digit(digits: Split) -> None:
    sheet = digit_sheet(digits, seed=0, rows=1, columns=1, n_digits=1, cell=48)
    ink = random_windows(sheet, 20, 500, seed=1, empty=True).sum((1, 2, 3))
    assert 0 < float(ink.max()) < float(sheet.image.sum()) / 4
    off_centre = random_windows(sheet, 20, 500, seed=1).sum((1, 2, 3))
    assert float(off_centre.max()) > float(sheet.image.sum()) / 2
