"""Measure how well a map locates an object: boxes, pixels, the maximum and the energy.

Maps are ``(N, H, W)`` and at the size of the images; boxes are ``(x0, y0, x1, y1)``, inclusive
pixels: a box of one pixel has ``x0 == x1``. Every measure answers something that ``float()`` takes
and that carries the details, the level of chance among them. Chance is that of the measure: a pixel
anywhere for what looks at pixels, a box of the true size anywhere for what looks at boxes.

Two conventions are offered where they differ. ``"standard"`` follows the definitions of Choe et
al. 2020: a pixel is foreground when its value is at least the threshold, and the box is the
tightest one around the component with the most pixels. ``"published"`` reproduces the evaluation
code released with that paper: maps are cut to 8 bits; a pixel must be strictly above the
threshold's share of the map's own maximum, cut to an integer; the largest component is the one
whose outline encloses the largest area, measured between pixel centres; boxes end one pixel late,
where the image allows; a map without a component gives the top left pixel; and the second version
matches every outline, those of holes included. Both join pixels by their eight neighbours and
count a box as found when its IoU is at least ``delta``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from course_utils.arguments import checked_size, one_of
from course_utils.i18n import _, number

__all__ = [
    "BoxAccuracy",
    "BoxAccuracyV2",
    "CenterBaseline",
    "Game",
    "PixelPrecision",
    "boxes_from_map",
    "center_baseline",
    "center_map",
    "energy_game",
    "iou",
    "max_box_accuracy",
    "max_box_accuracy_v2",
    "pixel_average_precision",
    "pointing_game",
    "stored_runs",
]

CONVENTIONS = ("standard", "published")
DELTAS = (0.3, 0.5, 0.7)
NO_BOX = (-1, -1, -1, -1)
PUBLISHED_NO_BOX = (0, 0, 0, 0)

# Rounding of an interpolation may leave [0, 1] by this much.
RANGE_SLACK = 1e-6
# Pixels labelled at once: bounds the memory, whatever the number of maps and thresholds.
PIXELS_AT_ONCE = 1 << 23
# The published code's default: thresholds from 0, a thousandth apart.
PUBLISHED_STEP = 0.001

STORED = Path(__file__).with_suffix(".json")

# Neighbours within one map of a stack (M, H, W), never from one map to the next.
EIGHT_NEIGHBOURS = np.zeros((3, 3, 3), bool)
EIGHT_NEIGHBOURS[1] = True
FOUR_NEIGHBOURS = np.zeros((3, 3, 3), bool)
FOUR_NEIGHBOURS[1] = ndimage.generate_binary_structure(2, 1)


# ----------------------------------------------------------------------------------- the answers


class _Score:
    """What has a value that ``float()`` and format strings take."""

    value: float

    def __float__(self) -> float:
        return self.value

    def __format__(self, specification: str) -> str:
        return format(self.value, specification) if specification else str(self)


@dataclass(frozen=True, eq=False)
class BoxAccuracy(_Score):
    """Share of images whose box is found, at the best of the thresholds.

    Attributes:
        value: the accuracy, at ``threshold``.
        threshold: the best threshold, one for the whole data set; the lowest if several are.
        thresholds: those tried, ``(T,)``.
        curve: the accuracy at each, ``(T,)``.
        delta: the IoU from which a box is found.
        convention: ``"standard"`` or ``"published"``.
        chance: share of images found, on average, by a box of the true size at a random place.
        best_iou: IoU of the best match of each image at ``threshold``, ``(N,)``.
    """

    value: float
    threshold: float
    thresholds: Tensor = field(repr=False)
    curve: Tensor = field(repr=False)
    delta: float
    convention: str
    chance: float
    best_iou: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class BoxAccuracyV2(_Score):
    """Mean of the box accuracies at several IoUs, the best threshold being chosen for each.

    Attributes:
        value: the mean.
        at: the ``BoxAccuracy`` for each IoU ``delta``.
        convention: ``"standard"``, the largest component, or ``"published"``, any of them.
        chance: the mean of theirs.
    """

    value: float
    at: dict[float, BoxAccuracy] = field(repr=False)
    convention: str
    chance: float


@dataclass(frozen=True, eq=False)
class PixelPrecision(_Score):
    """Area under the precision-recall curve of the pixels, pooled over the data set.

    Attributes:
        value: the area.
        thresholds: from the highest to the lowest, ``(T,)``.
        precision, recall: at each threshold, ``(T,)``.
        convention: ``"standard"`` or ``"published"``.
        chance: share of the pixels that are foreground, the area for maps that say nothing.
    """

    value: float
    thresholds: Tensor = field(repr=False)
    precision: Tensor = field(repr=False)
    recall: Tensor = field(repr=False)
    convention: str
    chance: float


@dataclass(frozen=True, eq=False)
class Game(_Score):
    """Mean over the images of a score in [0, 1] each.

    Attributes:
        value: the mean.
        scores: each image's own, ``(N,)``.
        chance: mean share of the image that its boxes cover: the score of a pixel at random, and
            of energy spread evenly.
        center: the same score for maps that show the image's centre and nothing else.
        flat: images whose map cannot answer (the same value everywhere, or no energy), ``(N,)``.
    """

    value: float
    scores: Tensor = field(repr=False)
    chance: float
    center: float
    flat: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class CenterBaseline(_Score):
    """What the best box at the centre of every image finds, without looking at any.

    Attributes:
        value: share of images found; with several IoUs, the mean over them.
        at: that share for each IoU ``delta``.
        sizes: height and width of the best box for each IoU ``delta``, in pixels.
        chance: as ``value``, of a box of the true size at a random place instead.
    """

    value: float
    at: dict[float, float]
    sizes: dict[float, tuple[int, int]]
    chance: float


# ------------------------------------------------------------------------------------------ boxes


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
    first, second = _as_boxes(a, _("The first boxes")), _as_boxes(b, _("The second boxes"))
    try:
        first, second = torch.broadcast_tensors(first, second)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ValueError(
            _(
                "Boxes of shapes {a} and {b} cannot be compared pair by pair: give as many of "
                "each, or write iou(a[:, None], b) to compare each with each."
            ).format(a=tuple(first.shape), b=tuple(second.shape))
        ) from error
    return _iou(first, second)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """``iou`` of boxes already checked; a box that ends before it begins has no pixel."""
    start = torch.maximum(a[..., :2], b[..., :2])
    end = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (end - start + 1).clamp(min=0).prod(-1)
    union = _area(a) + _area(b) - shared
    return shared / union.clamp(min=1)


def _area(boxes: Tensor) -> Tensor:
    """Number of pixels of boxes ``(..., 4)``."""
    return (boxes[..., 2:] - boxes[..., :2] + 1).prod(-1)


def boxes_from_map(maps: Any, thresholds: Any, *, convention: str = "standard") -> Tensor:
    """The box around the largest connected component of each map, at each threshold.

    On a map whose maximum is 1, a threshold of 0.2 is the rule of Zhou et al. 2016: above 20% of
    the maximum.

    Args:
        maps: ``(N, H, W)`` or ``(H, W)``, in [0, 1].
        thresholds: one number, or ``T`` increasing ones, in [0, 1].
        convention: ``"standard"`` or ``"published"``, see the module.

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
    values = _as_numbers(maps, _("The maps"))
    stack = _checked_maps(values[None] if values.dim() == 2 else values, unit=True)
    levels = _checked_levels(thresholds, _("The thresholds"))
    one_of("convention", convention, CONVENTIONS)
    outlines = _outlines(stack, levels, convention, every=False)
    none = NO_BOX if convention == "standard" else PUBLISHED_NO_BOX
    chosen = torch.tensor(none).repeat(len(outlines.image), 1)  # (M, 4)
    chosen[outlines.mask] = outlines.boxes
    found = chosen[outlines.mask_of]  # (N, T, 4)
    if np.ndim(thresholds) == 0:
        found = found[:, 0]
    return found[0] if values.dim() == 2 else found


# -------------------------------------------------------------------------------------- measures


def max_box_accuracy(
    maps: Any, boxes: Any, *, thresholds: Any, delta: float = 0.5, convention: str = "standard"
) -> BoxAccuracy:
    """MaxBoxAcc: share of images whose box is found, at the best threshold for the data set.

    ``BoxAcc(t, delta)`` is the share of images whose box at threshold ``t`` has an IoU of at least
    ``delta`` with a box of the truth; the answer is its maximum over ``t``, one for all the images:
    the best threshold of each image would need the truth. With one threshold, chosen on other
    images, it is the plain ``BoxAcc``.

    Args:
        maps: ``(N, H, W)``, in [0, 1].
        boxes: ``(N, 4)`` or ``(N, D, 4)``, inclusive pixels; any of the ``D`` may be met.
        thresholds: increasing numbers in [0, 1], or one.
        delta: IoU from which a box is found, in (0, 1].
        convention: ``"standard"`` or ``"published"``, see the module.

    Raises:
        TypeError, ValueError: an argument of the wrong type, shape, range or order, or a box
            outside the image.

    Source: Choe et al. 2020, arXiv 2001.07437, section 4.1.

    >>> maps = torch.zeros(1, 4, 4)
    >>> maps[0, 1:3, 1:3] = 1
    >>> float(max_box_accuracy(maps, [[1, 1, 2, 2]], thresholds=[0.5]))
    1.0
    """
    (delta,) = _checked_deltas([delta])
    best, levels, truth, size = _best_ious(maps, boxes, thresholds, convention, every=False)
    (chance,) = _random_box(truth, size, [delta])
    return _box_accuracy(best, levels, delta, convention, chance)


def max_box_accuracy_v2(
    maps: Any,
    boxes: Any,
    *,
    thresholds: Any,
    deltas: Sequence[float] = DELTAS,
    convention: str = "standard",
) -> BoxAccuracyV2:
    """MaxBoxAccV2: the mean of MaxBoxAcc over IoUs of 0.3, 0.5 and 0.7.

    The threshold is chosen for each IoU separately. Under ``"standard"`` the box of the largest
    component must match, as for ``max_box_accuracy``; under ``"published"`` that of *any* outline
    of the map may, as in the published code. Only the latter stands beside published numbers.

    Args:
        maps, boxes, thresholds, convention: as for ``max_box_accuracy``.
        deltas: increasing IoUs in (0, 1].

    Raises:
        TypeError, ValueError: as ``max_box_accuracy``.

    Source: Choe et al. 2020, "Evaluation for Weakly Supervised Object Localization: Protocol,
    Metrics, and Datasets", arXiv 2007.04178.

    >>> maps = torch.zeros(1, 4, 4)
    >>> maps[0, 1:3, 1:3] = 1
    >>> v2 = max_box_accuracy_v2(maps, [[1, 1, 2, 3]], thresholds=[0.5])  # IoU 4/6
    >>> f"{v2:.3f}", [float(accuracy) for accuracy in v2.at.values()]
    ('0.667', [1.0, 1.0, 0.0])
    """
    checked = _checked_deltas(deltas)
    every = convention == "published"
    best, levels, truth, size = _best_ious(maps, boxes, thresholds, convention, every=every)
    at = {
        delta: _box_accuracy(best, levels, delta, convention, chance)
        for delta, chance in zip(checked, _random_box(truth, size, checked), strict=True)
    }
    accuracies = at.values()
    mean, chance = (
        sum(getattr(one, name) for one in accuracies) / len(at) for name in ("value", "chance")
    )
    return BoxAccuracyV2(mean, at, convention, chance)


def _best_ious(
    maps: Any, boxes: Any, thresholds: Any, convention: str, *, every: bool
) -> tuple[Tensor, Tensor, Tensor, torch.Size]:
    """IoU of the best match at each threshold ``(N, T)``; thresholds, boxes and size as checked."""
    stack = _checked_maps(maps, unit=True)
    levels = _checked_levels(thresholds, _("The thresholds"))
    one_of("convention", convention, CONVENTIONS)
    truth = _checked_boxes(boxes, stack.shape[1:], len(stack))  # (N, D, 4)
    outlines = _outlines(stack, levels, convention, every=every)
    best = torch.zeros(len(outlines.image), dtype=torch.float64)  # (M,)
    if convention == "published":
        corner = torch.tensor(PUBLISHED_NO_BOX, dtype=torch.float64)
        occupied = torch.zeros(len(best), dtype=torch.bool)
        occupied[outlines.mask] = True
        best[~occupied] = _iou(corner, truth).amax(1)[outlines.image[~occupied]]
    matches = _iou(outlines.boxes[:, None].double(), truth[outlines.image[outlines.mask]]).amax(1)
    best.scatter_reduce_(0, outlines.mask, matches, "amax")
    return best[outlines.mask_of], levels, truth, stack.shape[1:]


def _box_accuracy(
    best: Tensor, levels: Tensor, delta: float, convention: str, chance: float
) -> BoxAccuracy:
    """The accuracy at the best of the thresholds, from the IoUs ``(N, T)``."""
    curve = (best >= delta).double().mean(0)
    chosen = int(curve.argmax())
    return BoxAccuracy(
        float(curve[chosen]),
        float(levels[chosen]),
        levels,
        curve,
        delta,
        convention,
        chance,
        best[:, chosen],
    )


def pixel_average_precision(
    maps: Any,
    masks: Any,
    *,
    thresholds: Any = None,
    ignore: Any = None,
    convention: str = "standard",
) -> PixelPrecision:
    """PxAP: area under the pixels' precision-recall curve, scores pooled over the data set.

    ``sum over t of precision(t) * (recall(t) - recall(previous t))``, the thresholds going down.

    Args:
        maps: ``(N, H, W)``, in [0, 1].
        masks: bool ``(N, H, W)``, or ``(N, D, H, W)`` whose union is the foreground.
        thresholds: increasing numbers in [0, 1], or one; ``None`` for every value that occurs
            (under ``"published"``, every thousandth).
        ignore: bool ``(N, H, W)``, pixels that do not count; ``None`` counts all.
        convention: ``"published"`` adds the threshold 1 and forgets the pixels below the lowest
            threshold.

    Raises:
        TypeError, ValueError: an argument of the wrong type, shape, range or order, or no
            foreground at all.

    Source: Choe et al. 2020, arXiv 2001.07437, section 4.1.

    >>> float(pixel_average_precision([[[0.9, 0.8], [0.3, 0.1]]], [[[True, False], [True, False]]]))
    0.8333333333333333
    """
    stack = _checked_maps(maps, unit=True)
    one_of("convention", convention, CONVENTIONS)
    foreground = _checked_masks(masks, stack, _("The masks"))
    counted = torch.ones_like(foreground)
    if ignore is not None:
        counted = ~_checked_masks(ignore, stack, _("The masks to ignore"))
    scores, positive = stack[counted], foreground[counted]  # (P,), (P,)
    if not positive.any():
        raise ValueError(
            _("The masks hold no pixel of an object, and precision and recall need at least one.")
        )
    if thresholds is None and convention == "standard":
        levels, place = torch.unique(scores, return_inverse=True)
        place = place + 1
    else:
        given = np.arange(0, 1, PUBLISHED_STEP) if thresholds is None else thresholds
        levels = _checked_levels(given, _("The thresholds"))
        if convention == "published":
            if levels[-1] < 1:
                levels = torch.cat([levels, torch.ones(1, dtype=levels.dtype)])
            scores = scores.double()
        place = torch.searchsorted(levels.to(scores.dtype), scores, right=True)  # levels reached
    # Pixels that reach each level, from the highest to the lowest: (T,)
    bins = len(levels) + 1
    reached = place.bincount(minlength=bins)[1:].flip(0).cumsum(0).double()
    true = place[positive].bincount(minlength=bins)[1:].flip(0).cumsum(0).double()
    total = true[-1] if convention == "published" else positive.sum().double()
    precision, recall = true / reached.clamp(min=1), true / total.clamp(min=1)
    steps = recall.diff(prepend=torch.zeros(1, dtype=recall.dtype))
    return PixelPrecision(
        float((precision * steps).sum()),
        levels.double().flip(0),
        precision,
        recall,
        convention,
        float(positive.double().mean()),
    )


def pointing_game(maps: Any, boxes: Any) -> Game:
    """Share of images whose map has its maximum inside a box.

    Where several pixels share the maximum, the image scores the share of them that lies inside:
    what picking one at random would give, so that a flat map scores chance.

    Args:
        maps: ``(N, H, W)``, any finite values.
        boxes: ``(N, 4)`` or ``(N, D, 4)``, inclusive pixels; any of the ``D`` may be met.

    Raises:
        TypeError, ValueError: an argument of the wrong type or shape, or a box outside the image.

    Source: Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop", arXiv 1608.00507,
    section 4.1 (here without its margin of 15 pixels).

    >>> float(pointing_game([[[0.0, 1.0], [0.0, 0.0]]], [[1, 0, 1, 1]]))
    1.0
    """
    stack = _checked_maps(maps, unit=False)
    inside = _inside(_checked_boxes(boxes, stack.shape[1:], len(stack)), stack.shape[1:])
    highest = stack.amax((1, 2), keepdim=True)
    flat = stack.amin((1, 2)) == highest[:, 0, 0]
    return _game(_share_inside((stack == highest).double(), inside), inside, flat)


def energy_game(maps: Any, boxes: Any) -> Game:
    """Share of the map's energy that lies inside the boxes, averaged over the images.

    The energy is the sum of the map's non-negative part: negative values count as zero. A map
    without any energy points nowhere, and scores 0.

    Args:
        maps: ``(N, H, W)``, any finite values.
        boxes: ``(N, 4)`` or ``(N, D, 4)``, inclusive pixels; a pixel in several counts once.

    Raises:
        TypeError, ValueError: an argument of the wrong type or shape, or a box outside the image.

    Source: Wang et al. 2020, "Score-CAM", arXiv 1910.01279, section 4.3.

    >>> float(energy_game([[[1.0, 3.0], [-5.0, 0.0]]], [[1, 0, 1, 1]]))
    0.75
    """
    stack = _checked_maps(maps, unit=False)
    inside = _inside(_checked_boxes(boxes, stack.shape[1:], len(stack)), stack.shape[1:])
    energy = stack.double().clamp(min=0)
    return _game(_share_inside(energy, inside), inside, energy.amax((1, 2)) == 0)


def _share_inside(energy: Tensor, inside: Tensor) -> Tensor:
    """Share of each map's energy ``(N, H, W)`` that is inside, zero where there is none."""
    # Divided by the maximum first: the energy of huge values must not overflow.
    energy = energy / energy.amax((1, 2), keepdim=True).clamp(min=torch.finfo(energy.dtype).tiny)
    return (energy * inside).sum((1, 2)) / energy.sum((1, 2)).clamp(min=1)


def _game(scores: Tensor, inside: Tensor, flat: Tensor) -> Game:
    """The answer of a game, with the same game played at the centre of each image."""
    middle = center_map(inside.shape[-2:])
    center = _share_inside((middle == middle.max()).double()[None], inside)
    return Game(float(scores.mean()), scores, _chance(inside), float(center.mean()), flat)


# -------------------------------------------------------------------------------------- baselines


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
    deltas = _checked_deltas(delta)
    truth = _checked_boxes(boxes, (height, width))  # (N, D, 4)
    sides = torch.arange(1, width + 1, dtype=torch.float64)
    left = (width - sides) / 2  # (W,)
    shares = torch.zeros(len(deltas), height, width, dtype=torch.float64)
    for side in range(1, height + 1):
        top = torch.full_like(left, (height - side) / 2)
        centred = torch.stack([left, top, left + sides - 1, top + side - 1], 1)  # (W, 4)
        best = _iou(centred, truth[:, :, None]).amax(1)  # (N, W)
        for row, level in enumerate(deltas):
            shares[row, side - 1] = (best >= level).double().mean(0)
    at, sizes = {}, {}
    for level, share in zip(deltas, shares, strict=True):
        chosen = int(share.argmax())
        at[level] = float(share.flatten()[chosen])
        sizes[level] = (chosen // width + 1, chosen % width + 1)
    by_chance = _random_box(truth, (height, width), deltas)
    return CenterBaseline(sum(at.values()) / len(at), at, sizes, sum(by_chance) / len(deltas))


def _random_box(truth: Tensor, size: Sequence[int], deltas: Sequence[float]) -> list[float]:
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
            union = (sides.prod(1)[:, None] + _area(part))[..., None, None] - shared
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


def _inside(truth: Tensor, size: Sequence[int]) -> Tensor:
    """Which pixels of each image lie in one of its boxes ``(N, D, 4)``: bool ``(N, H, W)``."""
    height, width = size
    rows = torch.arange(height)[:, None]  # (H, 1)
    columns = torch.arange(width)
    inside = torch.zeros(len(truth), height, width, dtype=torch.bool)
    for x0, y0, x1, y1 in truth.permute(1, 2, 0)[..., None, None]:  # each (N, 1, 1)
        inside |= (columns >= x0) & (columns <= x1) & (rows >= y0) & (rows <= y1)
    return inside


def _chance(inside: Tensor) -> float:
    """The mean share of the image that its boxes cover."""
    return float(inside.double().mean())


# ------------------------------------------------------------------------------------------ stored


def stored_runs() -> list[dict[str, Any]]:
    """What the maps find of nets that lesson 2 has no time to train, one row for each map.

    ``benchmarks/localisation.py`` makes them. Each names its ``case``, its ``seed``, the ``error``
    of its net on scenes never seen, and the pixels from one cell to the next (``jump``); then come
    the measures, shares in [0, 1], and the median ``width`` and ``height`` of the box found over
    those of the true one. Those that end in ``stretched`` are of maps stretched to the image.

    >>> sorted({run["seed"] for run in stored_runs()})
    [0, 1, 2, 3]
    """
    runs: list[dict[str, Any]] = json.loads(STORED.read_text(encoding="utf-8"))["runs"]
    return runs


# ------------------------------------------------------------------------------------- components


@dataclass(frozen=True, eq=False)
class _Outlines:
    """Boxes found in the distinct masks that the thresholds cut out of the maps."""

    image: Tensor  # (M,) the image of each mask
    mask_of: Tensor  # (N, T) the mask of each image at each threshold
    mask: Tensor  # (L,) the mask of each box
    boxes: Tensor  # (L, 4) int64


def _outlines(stack: Tensor, levels: Tensor, convention: str, *, every: bool) -> _Outlines:
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
    return _Outlines(image, mask_of, torch.from_numpy(every_mask), torch.from_numpy(every_box))


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


# ----------------------------------------------------------------------------------------- checks


def _as_numbers(values: Any, what: str) -> Tensor:
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


def _checked_maps(maps: Any, *, unit: bool) -> Tensor:
    """Maps as ``(N, H, W)``; with ``unit``, in [0, 1]."""
    stack = _as_numbers(maps, _("The maps"))
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


def _checked_levels(values: Any, what: str, interval: str = "[0, 1]") -> Tensor:
    """Increasing numbers in the interval, as float64 ``(T,)``."""
    levels = _as_numbers(values, what).double()
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


def _checked_deltas(deltas: Any) -> list[float]:
    """IoUs to reach, increasing, in (0, 1]."""
    checked: list[float] = _checked_levels(deltas, _("The IoUs to reach"), "(0, 1]").tolist()
    return checked


def _as_boxes(boxes: Any, what: str) -> Tensor:
    """Boxes as float64 ``(..., 4)`` that end where they begin or later."""
    corners = _as_numbers(boxes, what).double()
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


def _checked_boxes(boxes: Any, size: Sequence[int], count: int | None = None) -> Tensor:
    """Boxes as float64 ``(N, D, 4)`` inside images of ``size``; ``count`` of them, if given."""
    corners = _as_boxes(boxes, _("The boxes"))
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


def _checked_masks(masks: Any, stack: Tensor, what: str) -> Tensor:
    """Masks as bool ``(N, H, W)``, the union of several for one image."""
    values = _as_numbers(masks, what)
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
