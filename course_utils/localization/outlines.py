"""Boxes around the connected components of thresholded maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

__all__ = [
    "PIXELS_AT_ONCE",
    "Outlines",
    "outlines_of",
]

# Pixels labelled at once: bounds the memory, whatever the number of maps and thresholds.
PIXELS_AT_ONCE = 1 << 23

# Neighbours within one map of a stack (M, H, W), never from one map to the next.
EIGHT_NEIGHBOURS = np.zeros((3, 3, 3), bool)
EIGHT_NEIGHBOURS[1] = True
FOUR_NEIGHBOURS = np.zeros((3, 3, 3), bool)
FOUR_NEIGHBOURS[1] = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, eq=False)
class Outlines:
    """Boxes found in the distinct masks that the thresholds cut out of the maps."""

    image: Tensor  # (M,) the image of each mask
    mask_of: Tensor  # (N, T) the mask of each image at each threshold
    mask: Tensor  # (L,) the mask of each box
    boxes: Tensor  # (L, 4) int64


def outlines_of(stack: Tensor, levels: Tensor, convention: str, *, every: bool) -> Outlines:
    """The largest component of each mask, or every outline in it, for all images and thresholds."""
    values = stack.flatten(1)  # (N, H * W)
    cuts = levels.to(values.dtype).expand(len(values), -1)  # (N, T)
    if convention == "published":
        # Cut to 8 bits; strictly above an integer is the same as at least the next one.
        values = (values * 255).to(torch.uint8)
        cuts = (levels * values.amax(1, keepdim=True)).floor() + 1
        values, cuts = values.to(torch.int16), cuts.to(torch.int16)
    # Masks are nested as the threshold grows: those with as many pixels are the same.
    ascending = values.sort(1).values
    sizes = values.shape[1] - torch.searchsorted(ascending, cuts.contiguous())  # (N, T)
    new = torch.ones_like(sizes, dtype=torch.bool)
    new[:, 1:] = sizes[:, 1:] != sizes[:, :-1]
    image, level = new.nonzero(as_tuple=True)  # (M,), (M,)
    mask_of = new.flatten().cumsum(0).sub(1).view_as(new)

    at_once = max(1, PIXELS_AT_ONCE // values.shape[1])
    masks, boxes = [], []
    for start in range(0, len(image), at_once):
        part = slice(start, start + at_once)
        above = values[image[part]] >= cuts[image[part], level[part], None]
        cut_out = above.view(-1, *stack.shape[1:]).numpy()
        mask, box = _all_outlines(cut_out) if every else _largest(cut_out, convention)
        masks.append(mask + start)
        boxes.append(box)
    every_mask, every_box = np.concatenate(masks), np.concatenate(boxes)
    if convention == "published":  # x + w instead of x + w - 1, as far as the image goes
        height, width = stack.shape[1:]
        every_box[:, 2:] = np.minimum(every_box[:, 2:] + 1, (width - 1, height - 1))
    return Outlines(image, mask_of, torch.from_numpy(every_mask), torch.from_numpy(every_box))


Found = tuple[NDArray[np.int64], NDArray[np.int64]]  # masks (L,), boxes (L, 4)


def _largest(masks: NDArray[np.bool_], convention: str) -> Found:
    """The box of the largest component of each mask ``(M, H, W)`` that has one."""
    if convention == "published":
        masks = _without_holes(masks)
    labels, count = ndimage.label(masks, EIGHT_NEIGHBOURS)
    mask, boxes, pixels = _components(masks, labels, count)
    # Labels follow the reading order: of equals, the first is kept, or the last.
    number = np.arange(count)
    if convention == "published":
        order = np.lexsort((-number, -_enclosed_area(masks, labels, count), mask))
    else:
        order = np.lexsort((number, -pixels, mask))
    _masks, leading = np.unique(mask[order], return_index=True)
    chosen = order[leading]
    return mask[chosen], boxes[chosen]


def _all_outlines(masks: NDArray[np.bool_]) -> Found:
    """The boxes of all outlines of each mask: around every component and around every hole."""
    mask, boxes, _pixels = _components(masks, *ndimage.label(masks, EIGHT_NEIGHBOURS))
    # An island in a hole leaves the hole in one piece, so each is found once.
    holes = _without_holes(masks) & ~masks
    hole_mask, hole_boxes, _pixels = _components(holes, *ndimage.label(holes, FOUR_NEIGHBOURS))
    # The outline of a hole runs through the pixels around it, one further on each side.
    around = hole_boxes + np.array([-1, -1, 1, 1])
    return np.concatenate([mask, hole_mask]), np.concatenate([boxes, around])


def _without_holes(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The masks with everything filled that the outside does not reach, by sides of pixels."""
    outside = np.pad(~masks, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    labels, _count = ndimage.label(outside, FOUR_NEIGHBOURS)
    reached = labels == labels[:, :1, :1]
    return np.ascontiguousarray(~reached[:, 1:-1, 1:-1])


def _components(
    masks: NDArray[np.bool_], labels: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The mask ``(L,)``, the box ``(L, 4)`` and the number of pixels ``(L,)`` of each label.

    Rows are read as runs of foreground: there are far fewer of them than pixels.
    """
    _count, height, width = masks.shape
    steps = np.diff(np.pad(masks.reshape(-1, width).view(np.int8), ((0, 0), (1, 1))))
    row, x0 = np.divmod(np.flatnonzero(steps == 1), width + 1)
    x1 = np.flatnonzero(steps == -1) % (width + 1) - 1
    label = labels.reshape(-1, width)[row, x0] - 1
    y = row % height
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2] = max(height, width)
    boxes[:, 2:] = -1
    np.minimum.at(boxes[:, 0], label, x0)
    np.minimum.at(boxes[:, 1], label, y)
    np.maximum.at(boxes[:, 2], label, x1)
    np.maximum.at(boxes[:, 3], label, y)
    mask = np.empty(count, np.int64)
    mask[label] = row // height
    pixels = np.bincount(label, x1 - x0 + 1, minlength=count).astype(np.int64)
    return mask, boxes, pixels


def _enclosed_area(
    masks: NDArray[np.bool_], labels: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """The area inside each component's outline, drawn from pixel centre to pixel centre.

    Four pixels of a component in a square enclose an area of 1, three one of 1/2.
    """
    corners = [
        (slice(None), slice(y, masks.shape[1] - 1 + y), slice(x, masks.shape[2] - 1 + x))
        for y in (0, 1)
        for x in (0, 1)
    ]
    a, b, c, d = (masks[corner].view(np.int8) for corner in corners)
    filled = a + b + c + d
    enclosing = filled >= 3
    # Of three pixels in a square, at least one is in its upper row.
    top_left, top_right = labels[corners[0]][enclosing], labels[corners[1]][enclosing]
    label = np.maximum(top_left, top_right) - 1  # pixels that touch are of one component
    area = (filled[enclosing] - 2) / 2
    return np.asarray(np.bincount(label, area, minlength=count), np.float64)
