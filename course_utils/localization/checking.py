"""Maps, boxes, masks and thresholds as the measures take them, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.i18n import _, number

__all__ = [
    "CONVENTIONS",
    "as_boxes",
    "as_numbers",
    "checked_boxes",
    "checked_deltas",
    "checked_levels",
    "checked_maps",
    "checked_masks",
]

CONVENTIONS = ("standard", "published")

# Rounding of an interpolation may leave [0, 1] by this much.
RANGE_SLACK = 1e-6


def as_numbers(values: Any, what: str) -> Tensor:
    """``values`` as a finite tensor on the CPU, in float32 or float64."""
    try:
        if isinstance(values, list | tuple) and any(isinstance(v, Tensor) for v in values):
            tensor = torch.stack(list(values))
        else:
            array = values if isinstance(values, Tensor) else np.asarray(values)
            tensor = torch.as_tensor(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            _("{what} are not a regular array of numbers: {reason}.").format(
                what=what, reason=str(error).rstrip(".")
            )
        ) from error
    if tensor.is_complex():
        raise TypeError(_("{what} contain complex numbers, and should be real.").format(what=what))
    is_wide = tensor.dtype == torch.float64 or not tensor.is_floating_point()
    tensor = tensor.detach().cpu().to(torch.float64 if is_wide else torch.float32)
    if not torch.isfinite(tensor).all():
        raise ValueError(_("{what} contain NaN or infinite values.").format(what=what))
    return tensor


def checked_maps(maps: Any, *, unit: bool) -> Tensor:
    """Maps as ``(N, H, W)``; with ``unit``, in [0, 1]."""
    stack = as_numbers(maps, _("The maps"))
    if stack.dim() != 3 or stack.numel() == 0:
        raise ValueError(
            _(
                "The maps have shape {shape} instead of (N, H, W): give at least one map, one "
                "class per image, at the size of the images."
            ).format(shape=tuple(stack.shape))
        )
    low, high = float(stack.min()), float(stack.max())
    if unit and (low < -RANGE_SLACK or high > 1 + RANGE_SLACK):
        raise ValueError(
            _(
                "The maps range from {low} to {high} instead of from 0 to 1: CAM.normalized() "
                "gives maps that do."
            ).format(low=number(low, 6), high=number(high, 6))
        )
    return stack.clamp(0, 1) if unit else stack


def checked_levels(values: Any, what: str, interval: str = "[0, 1]") -> Tensor:
    """Increasing numbers in the interval, as float64 ``(T,)``."""
    levels = as_numbers(values, what).double()
    levels = levels[None] if levels.dim() == 0 else levels
    if levels.dim() != 1 or len(levels) == 0:
        raise ValueError(
            _("{what} have shape {shape}: give at least one number, in one dimension.").format(
                what=what, shape=tuple(levels.shape)
            )
        )
    low, high = float(levels.min()), float(levels.max())
    if low < 0 or high > 1 or (low == 0 and interval.startswith("(")):
        raise ValueError(
            _("{what} range from {low} to {high}: they must lie in {interval}.").format(
                what=what, low=number(low, 6), high=number(high, 6), interval=interval
            )
        )
    if (levels.diff() <= 0).any():
        place = int((levels.diff() <= 0).nonzero()[0])
        raise ValueError(
            _(
                "{what} are out of order, with {second} after {first}: give each once, from the "
                "lowest to the highest."
            ).format(
                what=what,
                first=number(float(levels[place]), 6),
                second=number(float(levels[place + 1]), 6),
            )
        )
    return levels


def checked_deltas(deltas: Any) -> list[float]:
    """IoUs to reach, increasing, in (0, 1]."""
    checked: list[float] = checked_levels(deltas, _("The IoUs to reach"), "(0, 1]").tolist()
    return checked


def as_boxes(boxes: Any, what: str) -> Tensor:
    """Boxes as float64 ``(..., 4)`` that end where they begin or later."""
    corners = as_numbers(boxes, what).double()
    if corners.dim() == 0 or corners.shape[-1] != 4:
        raise ValueError(
            _("{what} have shape {shape}: give four numbers per box, x0, y0, x1, y1.").format(
                what=what, shape=tuple(corners.shape)
            )
        )
    backwards = (corners[..., 2:] < corners[..., :2]).any(-1)
    if backwards.any():
        raise ValueError(
            _(
                "{what} contain {box}, which ends before it begins: boxes need x0 <= x1 and y0 "
                "<= y1, with the last pixels inside."
            ).format(what=what, box=_printed(corners[backwards][0]))
        )
    return corners


def checked_boxes(boxes: Any, size: Sequence[int], count: int | None = None) -> Tensor:
    """Boxes as float64 ``(N, D, 4)`` inside images of ``size``; ``count`` of them, if given."""
    corners = as_boxes(boxes, _("The boxes"))
    height, width = size
    if corners.dim() not in (2, 3) or corners.numel() == 0:
        raise ValueError(
            _("The boxes have shape {shape}, and should have (N, 4) or (N, D, 4).").format(
                shape=tuple(corners.shape)
            )
        )
    if count is not None and len(corners) != count:
        raise ValueError(
            _(
                "There must be as many maps as images with boxes: there are {maps} and {boxes}."
            ).format(boxes=len(corners), maps=count)
        )
    if corners.dim() == 2:
        corners = corners[:, None]
    limits = torch.tensor([width - 1, height - 1])
    outside = ((corners[..., :2] < 0) | (corners[..., 2:] > limits)).any(-1)  # (N, D)
    if outside.any():
        raise ValueError(
            _(
                "The box {box} of image {image} lies outside its {width}×{height} pixels: boxes "
                "need 0 <= x0 <= x1 <= {right} and 0 <= y0 <= y1 <= {bottom}."
            ).format(
                image=int(outside.nonzero()[0, 0]),
                box=_printed(corners[outside][0]),
                width=width,
                height=height,
                right=width - 1,
                bottom=height - 1,
            )
        )
    return corners


def checked_masks(masks: Any, stack: Tensor, what: str) -> Tensor:
    """Masks as bool ``(N, H, W)``, the union of several for one image."""
    values = as_numbers(masks, what)
    if not ((values == 0) | (values == 1)).all():
        raise ValueError(
            _("{what} contain values other than 0 and 1: give boolean masks.").format(what=what)
        )
    foreground = values.bool()
    if foreground.dim() == 4:
        foreground = foreground.any(1)
    if foreground.shape != stack.shape:
        raise ValueError(
            _("{what} have shape {shape} and the maps {maps}: the two should be the same.").format(
                what=what, shape=tuple(values.shape), maps=tuple(stack.shape)
            )
        )
    return foreground


def _printed(box: Tensor) -> str:
    """A box as its reader would write it."""
    return "(" + ", ".join(f"{side:g}" for side in box.tolist()) + ")"
