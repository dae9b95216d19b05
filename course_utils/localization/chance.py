"""What the centre of an image is worth without looking at it, and what chance is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from course_utils.arguments import checked_size
from course_utils.localization.boxes import area_of, pairwise_iou
from course_utils.localization.checking import checked_boxes, checked_deltas
from course_utils.localization.outlines import PIXELS_AT_ONCE
from course_utils.localization.scores import CenterBaseline

__all__ = [
    "center_baseline",
    "center_map",
    "covered_share",
    "inside_of",
    "random_box",
]


def center_map(size: int | Sequence[int]) -> Tensor:
    """A map that falls from 1 at the image's centre to 0 at its corners, ``(H, W)`` float64.

    Given to the measures in the place of each map, it says what the centre alone is worth.

    Args:
        size: height and width in pixels, or one number for both.

    Raises:
        TypeError, ValueError: the size is not one or two positive integers.

    >>> center_map((1, 3))
    tensor([[0., 1., 0.]], dtype=torch.float64)
    """
    height, width = checked_size(size)
    rows = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    columns = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    distance = torch.hypot(rows[:, None], columns)  # (H, W)
    return 1 - distance / distance.max().clamp(min=1 / 2)


def center_baseline(
    boxes: Any, size: int | Sequence[int], *, delta: float | Sequence[float] = 0.5
) -> CenterBaseline:
    """Share of images found by the best box at the centre, the same for all of them.

    Every height and width is tried (the box begins on half a pixel where the image asks for it), so
    that this is the most that can be found without looking at an image. With several IoUs, the mean
    of the shares, the best box being chosen for each: to be put beside MaxBoxAccV2.

    Args:
        boxes: ``(N, 4)`` or ``(N, D, 4)``, inclusive pixels; any of the ``D`` may be met.
        size: height and width of the images in pixels, or one number for both.
        delta: IoU from which a box is found, in (0, 1], or several, increasing.

    Raises:
        TypeError, ValueError: an argument of the wrong type, shape or range, or a box outside the
            image.

    >>> best = center_baseline([[1, 1, 2, 2], [0, 0, 1, 1]], 4, delta=0.9)
    >>> float(best), best.sizes[0.9], best.chance  # a box of 2×2 has nine places in 4×4 pixels
    (0.5, (2, 2), 0.1111111111111111)
    """
    height, width = checked_size(size)
    deltas = checked_deltas(delta)
    truth = checked_boxes(boxes, (height, width))  # (N, D, 4)
    sides = torch.arange(1, width + 1, dtype=torch.float64)
    left = (width - sides) / 2  # (W,)
    shares = torch.zeros(len(deltas), height, width, dtype=torch.float64)
    for side in range(1, height + 1):
        top = torch.full_like(left, (height - side) / 2)
        centred = torch.stack([left, top, left + sides - 1, top + side - 1], 1)  # (W, 4)
        best = pairwise_iou(centred, truth[:, :, None]).amax(1)  # (N, W)
        for row, level in enumerate(deltas):
            shares[row, side - 1] = (best >= level).double().mean(0)
    at, sizes = {}, {}
    for level, share in zip(deltas, shares, strict=True):
        chosen = int(share.argmax())
        at[level] = float(share.flatten()[chosen])
        sizes[level] = (chosen // width + 1, chosen % width + 1)
    by_chance = random_box(truth, (height, width), deltas)
    return CenterBaseline(sum(at.values()) / len(at), at, sizes, sum(by_chance) / len(deltas))


def random_box(truth: Tensor, size: Sequence[int], deltas: Sequence[float]) -> list[float]:
    """Share of images found, for each IoU, by a box as large as a true one at a random place.

    Every place in the image counts once; of several true boxes ``(N, D, 4)``, any may be met, and
    each lends its size in turn.
    """
    height, width = size
    found = torch.zeros(len(deltas), dtype=torch.float64)
    for part in torch.split(truth, max(1, PIXELS_AT_ONCE // (height * width))):
        for sides in (part[..., 2:] - part[..., :2] + 1).unbind(1):  # (n, 2)
            columns, across = _overlaps(part[..., 0::2], sides[:, 0], width)
            rows, down = _overlaps(part[..., 1::2], sides[:, 1], height)
            shared = down[..., :, None] * across[..., None, :]  # (n, D, H, W)
            union = (sides.prod(1)[:, None] + area_of(part))[..., None, None] - shared
            best = (shared / union).amax(1) * (rows[:, :, None] & columns[:, None, :])
            places = (rows.sum(1) * columns.sum(1)).double()
            for row, level in enumerate(deltas):
                found[row] += ((best >= level).sum((1, 2)) / places).sum()
    shares: list[float] = (found / truth.shape[:2].numel()).tolist()
    return shares


def _overlaps(ends: Tensor, side: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Where a side may begin, bool ``(n, length)``, and the pixels that it then shares with each.

    Args:
        ends: ``(n, D, 2)``, the first and the last pixel of the true boxes.
        side: ``(n,)``, in pixels.
        length: of the image.

    Returns:
        The places, and ``(n, D, length)`` pixels in common.
    """
    start = torch.arange(length, dtype=torch.float64)
    end = start + side[:, None] - 1  # (n, length)
    first, last = ends[..., 0, None], ends[..., 1, None]  # (n, D, 1)
    shared = torch.minimum(end[:, None], last) - torch.maximum(start, first) + 1
    return end < length, shared.clamp(min=0)


def inside_of(truth: Tensor, size: Sequence[int]) -> Tensor:
    """Which pixels of each image lie in one of its boxes ``(N, D, 4)``: bool ``(N, H, W)``."""
    height, width = size
    rows = torch.arange(height)[:, None]  # (H, 1)
    columns = torch.arange(width)
    inside = torch.zeros(len(truth), height, width, dtype=torch.bool)
    for x0, y0, x1, y1 in truth.permute(1, 2, 0)[..., None, None]:  # each (N, 1, 1)
        inside |= (columns >= x0) & (columns <= x1) & (rows >= y0) & (rows <= y1)
    return inside


def covered_share(inside: Tensor) -> float:
    """The mean share of the image that its boxes cover."""
    return float(inside.double().mean())
