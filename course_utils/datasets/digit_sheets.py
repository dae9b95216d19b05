"""Sheets of paper with several digits on them, at known places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.arguments import whole_number
from course_utils.datasets.containers import Split
from course_utils.i18n import _

__all__ = ["REACH", "Sheet", "digit_sheet", "random_windows", "without_digit"]

# A window this far from a digit's own, in pixels and in either direction, still counts as its.
REACH = 4


@dataclass(frozen=True)
class Sheet:
    """A picture larger than a classifier's window, with digits at known places.

    Attributes:
        image: ``(1, H, W)`` float32 in [0, 1]; ink is 1, paper 0.
        corners: ``(D, 2)`` int64, row and column of the first pixel of each digit's own window.
        labels: ``(D,)`` int64.
    """

    image: Tensor
    corners: Tensor
    labels: Tensor


def digit_sheet(
    split: Split, seed: int, *, rows: int = 4, columns: int = 6, n_digits: int = 10, cell: int = 28
) -> Sheet:
    """A sheet of digits drawn from ``split``, at most one a cell, at a random place in it.

    Args:
        split: grey images ``(N, 1, side, side)`` in [0, 1], ink on paper of 0, with a margin of
            paper around the digit, which keeps digits of neighbouring cells apart.
        seed: of everything random here.
        rows, columns: of the cells.
        n_digits: D, digits on the sheet.
        cell: side of the cells in pixels, no smaller than the images.

    Raises:
        TypeError, ValueError: a number that is not whole or too small, more digits than cells.

    >>> from course_utils.datasets import load
    >>> sheet = digit_sheet(load("digits", size=20).test, seed=0)
    >>> tuple(sheet.image.shape), len(sheet.labels)
    ((1, 112, 168), 10)
    """
    side = split.images.shape[-1]
    rows, columns = (
        whole_number("rows", rows, at_least=1),
        whole_number("columns", columns, at_least=1),
    )
    n_digits = whole_number("n_digits", n_digits, at_least=1)
    cell = whole_number("cell", cell, at_least=side)
    if n_digits > rows * columns:
        raise ValueError(
            _("{n_digits} digits do not fit into {cells} cells, with one digit per cell.").format(
                n_digits=n_digits, cells=rows * columns
            )
        )
    generator = torch.Generator().manual_seed(whole_number("seed", seed, at_least=0))
    chosen = torch.randperm(rows * columns, generator=generator)[:n_digits]
    which = torch.randint(len(split), (n_digits,), generator=generator)
    place = torch.randint(cell - side + 1, (n_digits, 2), generator=generator)
    corners = torch.stack([chosen // columns, chosen % columns], 1) * cell + place  # (D, 2)
    image = torch.zeros(1, rows * cell, columns * cell)
    for (row, column), digit in zip(corners.tolist(), split.images[which], strict=True):
        image[:, row : row + side, column : column + side] = digit
    return Sheet(image, corners, split.labels[which])


def random_windows(
    sheet: Sheet, side: int, count: int, seed: int, *, empty: bool = False
) -> Tensor:
    """Windows of the sheet that are not a digit's own: blank paper, pieces, digits off centre.

    Args:
        sheet: see :func:`digit_sheet`.
        side: of the windows in pixels.
        count: how many, one at least.
        seed: of their places.
        empty: only those of :func:`without_digit`, and no digit off centre.

    Returns:
        ``(count, 1, side, side)``, each more than 4 pixels away, in one direction at least, from
        every digit's own window.
    """
    generator = torch.Generator().manual_seed(seed)
    windows = sheet.image.unfold(1, side, 1).unfold(2, side, 1)[0]  # (rows, columns, side, side)
    others = without_digit(sheet, side) if empty else ~_own(sheet, *windows.shape[:2])
    places = others.nonzero()
    kept = places[torch.randint(len(places), (count,), generator=generator)]
    return windows[kept[:, 0], kept[:, 1]][:, None].clone()


def _own(sheet: Sheet, rows: int, columns: int) -> Tensor:
    """bool ``(rows, columns)``: which windows are a digit's own, give or take 4 pixels."""
    row = torch.arange(rows)[None, :] - sheet.corners[:, :1]  # (D, rows)
    column = torch.arange(columns)[None, :] - sheet.corners[:, 1:]  # (D, columns)
    near = (row.abs() <= REACH)[:, :, None] & (column.abs() <= REACH)[:, None, :]
    return near.any(0)


def without_digit(sheet: Sheet, side: int, stride: int = 1) -> Tensor:
    """Which windows of a sheet hold no digit: less than a quarter of the ink of each.

    Args:
        sheet: see :func:`digit_sheet`.
        side: of the windows in pixels, that of the digits' own.
        stride: pixels from one window to the next.

    Returns:
        bool ``(rows, columns)``.
    """
    alone = torch.zeros(len(sheet.labels), *sheet.image.shape)  # (D, 1, H, W), a digit each
    for one, (row, column) in zip(alone, sheet.corners.tolist(), strict=True):
        place = slice(None), slice(row, row + side), slice(column, column + side)
        one[place] = sheet.image[place]
    ink = F.avg_pool2d(alone, side, stride)[:, 0] * side**2  # (D, rows, columns)
    return (ink < alone.sum((2, 3))[..., None] / 4).all(0)
