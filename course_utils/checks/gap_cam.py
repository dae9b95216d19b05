"""Checkers for the exercises of lesson 2: pooling, a map by hand, boxes, a fair threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.answers import Wrong, require_answers, require_function
from course_utils.checks.equivalence import require_differentiable
from course_utils.checks.feedback import Feedback, checker, correct
from course_utils.i18n import _
from course_utils.localization import boxes_from_map, iou

__all__ = [
    "check_box_from_map",
    "check_cam_by_hand",
    "check_fair_accuracy",
    "check_global_average_pooling",
    "check_iou",
]

# --- 1. global average pooling ----------------------------------------------------------------


@checker
def check_global_average_pooling(function: object) -> Feedback:
    """Check ``global_average_pooling(x)``: ``(B, K, h, w)`` to ``(B, K)``, for any h and w.

    >>> print(check_global_average_pooling(lambda x: x.mean((2, 3))).verdict)
    Correct
    """
    name = "global_average_pooling"
    shapes = ((2, 5, 4, 4), (3, 5, 6, 2), (1, 7, 1, 3))
    cases = [(torch.randn(shape, dtype=torch.float64),) for shape in shapes]
    one_number = _("One number is left of each feature map: which dimensions are averaged over?")
    require_answers(
        function,
        name,
        cases,
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        [
            Wrong(
                lambda x: x.mean((2, 3), keepdim=True),
                _("the positions are still there, as two dimensions of length 1."),
                _("A linear layer takes `(B, K)`: look at `keepdim`, or at `flatten(1)`."),
            ),
            Wrong(lambda x: x.mean(1), _("the channels are averaged, not the positions.")),
            Wrong(
                lambda x: x.mean((0, 2, 3)),
                _("the images of the batch are averaged together; each has its own answer."),
                one_number,
            ),
            Wrong(lambda x: x.mean(), _("everything is averaged into one number."), one_number),
            Wrong(lambda x: x.mean(3), _("only the columns are averaged."), one_number),
            Wrong(lambda x: x.mean(2), _("only the rows are averaged."), one_number),
            Wrong(
                lambda x: x.amax((2, 3)),
                _("this is the maximum of each map: global *max* pooling."),
            ),
            Wrong(
                lambda x: x.sum((2, 3)),
                _("this is the sum over the positions, which grows with the map's size."),
                _("Divide by the number of positions, whatever it is."),
            ),
        ],
        one_number,
    )
    x = cases[0][0].clone().requires_grad_()
    require_differentiable(require_function(function, name)(x), name)
    return correct(_("one mean a map, whatever the maps' size."))


# --- 2. a class activation map ----------------------------------------------------------------


@checker
def check_cam_by_hand(function: object) -> Feedback:
    """Check ``cam_by_hand(features, weight, bias)``: the maps ``(B, C, h, w)`` of all classes.

    >>> def cam_by_hand(features, weight, bias):
    ...     return torch.einsum("ck,bkhw->bchw", weight, features) + bias[:, None, None]
    >>> print(check_cam_by_hand(cam_by_hand).verdict)
    Correct
    """
    cases = []
    for batch, maps, classes, height, width in ((2, 6, 3, 4, 5), (1, 4, 10, 3, 3)):
        features = torch.randn(batch, maps, height, width, dtype=torch.float64)
        weight = torch.randn(classes, maps, dtype=torch.float64)
        cases.append((features, weight, torch.randn(classes, dtype=torch.float64)))

    def cam(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(features, weight[:, :, None, None], bias)

    def without_bias(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(features, weight[:, :, None, None])

    def shared_bias(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        positions = features.shape[2] * features.shape[3]
        return F.conv2d(features, weight[:, :, None, None], bias / positions)

    def normalised(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        maps = cam(features, weight, bias)
        low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        return (maps - low) / (high - low)

    definition = _("The value of map c at a position is Σ_k W[c, k] · f[k] there, plus b[c].")
    require_answers(
        function,
        "cam_by_hand",
        cases,
        cam,
        [
            Wrong(
                without_bias,
                _("the bias is missing: the mean of each map is its logit less the bias."),
                _("One number a class, added at every position: `bias[:, None, None]`."),
            ),
            Wrong(
                shared_bias,
                _("the bias is divided by the number of positions, and the mean divides again."),
                _("What must be added at every position for the *mean* to grow by b[c]?"),
            ),
            Wrong(
                lambda f, w, b: cam(f, w, b).mean((2, 3)),
                _("these are the logits: the positions have been averaged away."),
                definition,
            ),
            Wrong(
                lambda f, w, b: cam(f, w, b).relu(),
                _("the negative values are gone; they are evidence against the class."),
                _("Without them the mean of the map is no longer the logit."),
            ),
            Wrong(
                normalised,
                _("the maps are brought to [0, 1]; the raw, signed values are asked for."),
            ),
            Wrong(
                lambda f, w, b: cam(f, w, b) / f.shape[1],
                _("the sum over the feature maps is divided by their number."),
                definition,
            ),
            Wrong(
                lambda f, w, b: cam(f, w, b).flatten(2),
                _("the positions are right, but laid out in a row: `(B, C, h·w)`."),
                _("`unflatten` or `reshape` gives them back their rows and columns."),
            ),
        ],
        definition,
    )
    return correct(_("equal to the linear layer applied at every position, for all classes."))


# --- 3. and 4. boxes --------------------------------------------------------------------------


def _islands() -> list[tuple[Tensor, float]]:
    """Maps on which every way to go wrong shows, each with a threshold."""
    one = torch.zeros(10, 14)
    one[1:3, 1:3] = 1.0  # holds the maximum, comes first, is small
    one[5:9, 6:10] = 0.6
    one[4, 10] = 0.6  # touches the one above by a corner
    one[5:9, 5] = 0.5  # as high as the threshold
    one[8:10, 12:14] = 0.7  # comes last, is small
    two = torch.zeros(9, 7)
    two[2:8, 1:3] = 0.4
    two[0:2, 4:7] = 0.9  # holds the maximum
    two[0, 0] = 0.5  # comes first
    return [(one.double(), 0.5), (two.double(), 0.3)]


def _box_of(mask: Tensor) -> tuple[int, int, int, int]:
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _component(mask: Tensor, corners: bool, choose: Callable[[Tensor, int], int]) -> Tensor:
    """The component of ``mask`` whose number, from 1, ``choose`` picks from all the labels."""
    structure = np.ones((3, 3)) if corners else None
    labels, count = ndimage.label(mask.numpy(), structure)
    found = torch.from_numpy(labels)
    return found == choose(found, count)


def _largest(labels: Tensor, count: int) -> int:
    return int(labels.flatten().bincount(minlength=count + 1)[1:].argmax()) + 1


@checker
def check_box_from_map(function: object) -> Feedback:
    """Check ``box_from_map(cam, threshold)``: the box around the largest component.

    The map is ``(H, W)``; the answer is x0, y0, x1, y1, the first and last column and row with a
    pixel of the largest 8-connected group of pixels of at least ``threshold``.

    >>> print(check_box_from_map(lambda cam, threshold: boxes_from_map(cam, threshold)).verdict)
    Correct
    """

    def box(cam: Tensor, threshold: float) -> tuple[int, int, int, int]:
        return _box_of(_component(cam >= threshold, True, _largest))

    def by_corners(cam: Tensor, threshold: float) -> tuple[int, int, int, int]:
        return _box_of(_component(cam >= threshold, False, _largest))

    def highest(cam: Tensor, threshold: float) -> tuple[int, int, int, int]:
        peak = int(cam.argmax())
        return _box_of(
            _component(cam >= threshold, True, lambda found, count: int(found.flatten()[peak]))
        )

    order = _("A box is x0, y0, x1, y1: column, row, column, row, first and last included.")
    require_answers(
        function,
        "box_from_map",
        _islands(),
        lambda cam, threshold: boxes_from_map(cam, threshold),
        [
            Wrong(
                lambda cam, threshold: _box_of(cam >= threshold),
                _("the box goes around all the pixels above the threshold, not one component."),
                _("`ndimage.label` gives a number to each group of pixels that touch."),
            ),
            Wrong(
                by_corners,
                _("pixels that touch by a corner are not joined (4 neighbours instead of 8)."),
                _("Look at the second argument of `ndimage.label`: `structure`."),
            ),
            Wrong(
                lambda cam, threshold: _box_of(_component(cam > threshold, True, _largest)),
                _("a pixel as high as the threshold is left out; it belongs to the object."),
                _("“At least” is `>=`."),
            ),
            Wrong(
                highest,
                _("this is the component that holds the maximum; the largest one is asked for."),
                _("Largest: with the most pixels. `np.bincount` counts the labels."),
            ),
            Wrong(
                lambda cam, threshold: _box_of(
                    _component(cam >= threshold, True, lambda found, count: 1)
                ),
                _("this is the first component in reading order, not the largest."),
                _("Largest: with the most pixels. `np.bincount` counts the labels."),
            ),
            Wrong(
                lambda cam, threshold: [box(cam, threshold)[place] for place in (1, 0, 3, 2)],
                _("rows and columns are swapped: x is the column, y the row."),
                order,
            ),
            Wrong(
                lambda cam, threshold: np.add(box(cam, threshold), (0, 0, 1, 1)),
                _("the box ends one pixel late: x1 and y1 are the last pixels inside."),
                order,
            ),
            Wrong(
                lambda cam, threshold: np.subtract(
                    box(cam, threshold), (0, 0, *np.subtract(box(cam, threshold)[:2], 1))
                ),
                _("the last two numbers are a width and a height, not the last column and row."),
                order,
            ),
        ],
        order,
    )
    return correct(_("the box of the largest component, its pixels included."))


@checker
def check_iou(function: object) -> Feedback:
    """Check ``iou(a, b)`` of two boxes of inclusive pixels, as four numbers each.

    >>> print(check_iou(iou).verdict)
    Correct
    """
    cases = [
        ((0, 0, 3, 3), (2, 2, 5, 4)),  # a corner in common
        ((2, 1, 7, 8), (2, 1, 7, 8)),  # the same
        ((0, 0, 9, 9), (2, 3, 4, 5)),  # one inside the other
        ((4, 3, 6, 8), (1, 0, 9, 9)),  # the other way round
        ((0, 0, 3, 3), (3, 0, 6, 3)),  # one column in common
        ((0, 0, 2, 2), (5, 6, 8, 9)),  # apart in both directions
        ((0, 0, 2, 9), (5, 0, 8, 9)),  # apart in one
    ]

    def measured(
        a: Sequence[int], b: Sequence[int], *, one: int = 1, clamp: bool = True
    ) -> tuple[float, float, float]:
        """The area shared, and that of each box."""
        sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + one for i in (0, 1)]
        if clamp:
            sides = [max(0, side) for side in sides]
        areas = [(box[2] - box[0] + one) * (box[3] - box[1] + one) for box in (a, b)]
        return sides[0] * sides[1], areas[0], areas[1]

    def exclusive(a: Sequence[int], b: Sequence[int]) -> float:
        shared, first, second = measured(a, b, one=0)
        return shared / (first + second - shared)

    def unclamped(a: Sequence[int], b: Sequence[int]) -> float:
        shared, first, second = measured(a, b, clamp=False)
        return shared / (first + second - shared)

    def of_sum(a: Sequence[int], b: Sequence[int]) -> float:
        shared, first, second = measured(a, b)
        return shared / (first + second)

    def of_first(a: Sequence[int], b: Sequence[int]) -> float:
        shared, first, _second = measured(a, b)
        return shared / first

    def of_second(a: Sequence[int], b: Sequence[int]) -> float:
        shared, _first, second = measured(a, b)
        return shared / second

    def of_smaller(a: Sequence[int], b: Sequence[int]) -> float:
        shared, first, second = measured(a, b)
        return shared / min(first, second)

    union = _("The union counts the pixels shared once: first area + second area − intersection.")
    require_answers(
        function,
        "iou",
        cases,
        iou,
        [
            Wrong(
                exclusive,
                _("the last pixel is not counted: from 2 to 5 there are four pixels, not three."),
                _("The boxes are inclusive: a width is x1 − x0 + 1."),
            ),
            Wrong(
                unclamped,
                _("boxes apart in both directions seem to overlap: two negatives multiplied."),
                _("A width or a height in common is never below 0: look at `max(0, …)`."),
            ),
            Wrong(of_sum, _("the pixels shared are counted twice in the union."), union),
            Wrong(of_first, _("the intersection is divided by the first box alone."), union),
            Wrong(of_second, _("the intersection is divided by the second box alone."), union),
            Wrong(of_smaller, _("the intersection is divided by the smaller box alone."), union),
        ],
        union,
    )
    return correct(_("shared pixels over all pixels, apart, nested or the same."))


# --- 5. a threshold chosen fairly -------------------------------------------------------------


@checker
def check_fair_accuracy(function: object) -> Feedback:
    """Check ``fair_accuracy(elsewhere, here)``: the score here, at the threshold best elsewhere.

    Both are curves ``(T,)`` of the box accuracy at the same thresholds, on two sets of scenes.

    >>> print(check_fair_accuracy(lambda elsewhere, here: here[elsewhere.argmax()]).verdict)
    Correct
    """
    elsewhere = torch.tensor([0.10, 0.45, 0.70, 0.62, 0.20], dtype=torch.float64)
    here = torch.tensor([0.12, 0.40, 0.55, 0.66, 0.25], dtype=torch.float64)
    cases = [(elsewhere, here), (here.flip(0), elsewhere.flip(0))]
    rule = _("The threshold is chosen on one set of scenes; the score is read on the other.")
    require_answers(
        function,
        "fair_accuracy",
        cases,
        lambda elsewhere, here: here[elsewhere.argmax()],
        [
            Wrong(
                lambda elsewhere, here: here.max(),
                _("the threshold is chosen on the very scenes that judge it: this is MaxBoxAcc."),
                rule,
            ),
            Wrong(
                lambda elsewhere, here: elsewhere.max(),
                _("this is the score on the scenes that chose the threshold."),
                rule,
            ),
            Wrong(
                lambda elsewhere, here: elsewhere[here.argmax()],
                _("the two sets of scenes are swapped."),
                rule,
            ),
            Wrong(
                lambda elsewhere, here: elsewhere.argmax(),
                _("this is the place of the threshold, not the score reached there."),
                rule,
            ),
            Wrong(
                lambda elsewhere, here: here[(elsewhere + here).argmax()],
                _("both sets of scenes have a say in the threshold; only the other one may."),
                rule,
            ),
            Wrong(
                lambda elsewhere, here: (elsewhere.max() + here.max()) / 2,
                _("this is a mean of two best scores; no threshold reaches it on new scenes."),
                rule,
            ),
        ],
        rule,
    )
    return correct(_("the threshold comes from other scenes, the score from these."))
