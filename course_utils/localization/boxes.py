"""Boxes of inclusive pixels: how much two overlap, and those that a map's thresholds give."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.arguments import one_of
from course_utils.i18n import _
from course_utils.localization.checking import (
    CONVENTIONS,
    as_boxes,
    as_numbers,
    checked_levels,
    checked_maps,
)
from course_utils.localization.outlines import outlines_of

__all__ = [
    "PUBLISHED_NO_BOX",
    "area_of",
    "boxes_from_map",
    "iou",
    "pairwise_iou",
]

NO_BOX = (-1, -1, -1, -1)
PUBLISHED_NO_BOX = (0, 0, 0, 0)


def iou(a: Any, b: Any) -> Tensor:
    """Intersection over union of boxes of inclusive pixels, pair by pair.

    Args:
        a, b: boxes ``(..., 4)`` as ``x0, y0, x1, y1``; the leading dimensions broadcast, so that
            ``iou(a[:, None], b)`` compares each with each.

    Returns:
        The IoU of each pair, ``(...)``, float64.

    Raises:
        ValueError: boxes have not four numbers, are not finite, end before they begin, or do not
            broadcast.

    >>> iou([0, 0, 1, 1], [1, 1, 2, 2])  # one pixel of seven
    tensor(0.1429, dtype=torch.float64)
    """
    first, second = as_boxes(a, _("The first boxes")), as_boxes(b, _("The second boxes"))
    try:
        first, second = torch.broadcast_tensors(first, second)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ValueError(
            _(
                "Boxes of shapes {a} and {b} cannot be compared pair by pair: give as many of "
                "each, or write iou(a[:, None], b) to compare each with each."
            ).format(a=tuple(first.shape), b=tuple(second.shape))
        ) from error
    return pairwise_iou(first, second)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """``iou`` of boxes already checked; a box that ends before it begins has no pixel."""
    start = torch.maximum(a[..., :2], b[..., :2])
    end = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (end - start + 1).clamp(min=0).prod(-1)
    union = area_of(a) + area_of(b) - shared
    return shared / union.clamp(min=1)


def area_of(boxes: Tensor) -> Tensor:
    """Number of pixels of boxes ``(..., 4)``."""
    return (boxes[..., 2:] - boxes[..., :2] + 1).prod(-1)


def boxes_from_map(maps: Any, thresholds: Any, *, convention: str = "standard") -> Tensor:
    """The box around the largest connected component of each map, at each threshold.

    On a map whose maximum is 1, a threshold of 0.2 is the rule of Zhou et al. 2016: above 20% of
    the maximum.

    Args:
        maps: ``(N, H, W)`` or ``(H, W)``, in [0, 1].
        thresholds: one number, or ``T`` increasing ones, in [0, 1].
        convention: ``"standard"`` or ``"published"``, see :mod:`course_utils.localization`.

    Returns:
        Boxes ``(N, T, 4)`` int64, without the dimensions of one map or one threshold given alone;
        where no pixel reaches the threshold, -1 four times. Of components of the same size, the
        one that begins first in reading order (last, under ``"published"``).

    Raises:
        TypeError, ValueError: maps or thresholds of the wrong type, shape, range or order.

    Source: Choe et al. 2020, "Evaluating Weakly Supervised Object Localization Methods Right",
    arXiv 2001.07437, section 4.1.

    >>> boxes_from_map([[0.0, 0.9, 1.0], [0.0, 0.0, 0.0], [0.3, 0.0, 0.0]], 0.2)
    tensor([1, 0, 2, 0])
    """
    values = as_numbers(maps, _("The maps"))
    stack = checked_maps(values[None] if values.dim() == 2 else values, unit=True)
    levels = checked_levels(thresholds, _("The thresholds"))
    one_of("convention", convention, CONVENTIONS)
    outlines = outlines_of(stack, levels, convention, every=False)
    none = NO_BOX if convention == "standard" else PUBLISHED_NO_BOX
    chosen = torch.tensor(none).repeat(len(outlines.image), 1)  # (M, 4)
    chosen[outlines.mask] = outlines.boxes
    found = chosen[outlines.mask_of]  # (N, T, 4)
    if np.ndim(thresholds) == 0:
        found = found[:, 0]
    return found[0] if values.dim() == 2 else found
