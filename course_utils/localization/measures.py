"""Boxes, pixels, the maximum and the energy of maps, against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.arguments import one_of
from course_utils.i18n import _
from course_utils.localization.boxes import PUBLISHED_NO_BOX, pairwise_iou
from course_utils.localization.chance import center_map, covered_share, inside_of, random_box
from course_utils.localization.checking import (
    CONVENTIONS,
    checked_boxes,
    checked_deltas,
    checked_levels,
    checked_maps,
    checked_masks,
)
from course_utils.localization.outlines import outlines_of
from course_utils.localization.scores import BoxAccuracy, BoxAccuracyV2, Game, PixelPrecision

__all__ = [
    "energy_game",
    "max_box_accuracy",
    "max_box_accuracy_v2",
    "pixel_average_precision",
    "pointing_game",
]

DELTAS = (0.3, 0.5, 0.7)

# The published code's default: thresholds from 0, a thousandth apart.
PUBLISHED_STEP = 0.001


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
        convention: ``"standard"`` or ``"published"``, see :mod:`course_utils.localization`.

    Raises:
        TypeError, ValueError: an argument of the wrong type, shape, range or order, or a box
            outside the image.

    Source: Choe et al. 2020, arXiv 2001.07437, section 4.1.

    >>> maps = torch.zeros(1, 4, 4)
    >>> maps[0, 1:3, 1:3] = 1
    >>> float(max_box_accuracy(maps, [[1, 1, 2, 2]], thresholds=[0.5]))
    1.0
    """
    (delta,) = checked_deltas([delta])
    best, levels, truth, size = _best_ious(maps, boxes, thresholds, convention, every=False)
    (chance,) = random_box(truth, size, [delta])
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
    checked = checked_deltas(deltas)
    every = convention == "published"
    best, levels, truth, size = _best_ious(maps, boxes, thresholds, convention, every=every)
    at = {
        delta: _box_accuracy(best, levels, delta, convention, chance)
        for delta, chance in zip(checked, random_box(truth, size, checked), strict=True)
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
    stack = checked_maps(maps, unit=True)
    levels = checked_levels(thresholds, _("The thresholds"))
    one_of("convention", convention, CONVENTIONS)
    truth = checked_boxes(boxes, stack.shape[1:], len(stack))  # (N, D, 4)
    outlines = outlines_of(stack, levels, convention, every=every)
    best = torch.zeros(len(outlines.image), dtype=torch.float64)  # (M,)
    if convention == "published":
        corner = torch.tensor(PUBLISHED_NO_BOX, dtype=torch.float64)
        occupied = torch.zeros(len(best), dtype=torch.bool)
        occupied[outlines.mask] = True
        best[~occupied] = pairwise_iou(corner, truth).amax(1)[outlines.image[~occupied]]
    targets = truth[outlines.image[outlines.mask]]
    matches = pairwise_iou(outlines.boxes[:, None].double(), targets).amax(1)
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
    stack = checked_maps(maps, unit=True)
    one_of("convention", convention, CONVENTIONS)
    foreground = checked_masks(masks, stack, _("The masks"))
    counted = torch.ones_like(foreground)
    if ignore is not None:
        counted = ~checked_masks(ignore, stack, _("The masks to ignore"))
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
        levels = checked_levels(given, _("The thresholds"))
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
    stack = checked_maps(maps, unit=False)
    inside = inside_of(checked_boxes(boxes, stack.shape[1:], len(stack)), stack.shape[1:])
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
    stack = checked_maps(maps, unit=False)
    inside = inside_of(checked_boxes(boxes, stack.shape[1:], len(stack)), stack.shape[1:])
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
    return Game(float(scores.mean()), scores, covered_share(inside), float(center.mean()), flat)
