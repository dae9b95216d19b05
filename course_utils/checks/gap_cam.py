"""Checkers for the exercises of lesson 2: pooling, training, maps, boxes, a fair threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import (
    require_answers,
    require_differentiable,
    require_function,
    wrong_answers,
)
from course_utils.checks.feedback import Feedback, correct, is_blank, reject, unfilled
from course_utils.checks.running import checker
from course_utils.i18n import _

__all__ = [
    "check_box_from_map",
    "check_cam_by_hand",
    "check_fair_accuracy",
    "check_global_average_pooling",
    "check_iou",
    "check_one_epoch",
]


@checker
def check_global_average_pooling(function: object) -> Feedback:
    """Check ``global_average_pooling(x)``: ``(B, K, h, w)`` to ``(B, K)``, for any h and w.

    >>> print(check_global_average_pooling(lambda x: x.mean((2, 3))).verdict)
    Correct
    """
    name = "global_average_pooling"
    one_number = _("One number is left per feature map: which dimensions are averaged over?")
    mistakes = wrong_answers(
        lambda x: x.mean((2, 3), keepdim=True),
        _("the positions are still there, as two dimensions of length 1."),
        _("A linear layer takes `(B, K)`: check `keepdim`, or use `flatten(1)`."),
        lambda x: x.mean(1),
        _("you average over the channels, not over the positions."),
        lambda x: x.mean((0, 2, 3)),
        _("you average the images of the batch together, but each has its own output."),
        lambda x: x.mean(),
        _("you average everything into one number."),
        lambda x: x.mean(3),
        _("you average over the columns only."),
        lambda x: x.mean(2),
        _("you average over the rows only."),
        lambda x: x.amax((2, 3)),
        _("this is the maximum of each map: global *max* pooling."),
        lambda x: x.sum((2, 3)),
        _("this is the sum over the positions, which grows with the map's size."),
        _("Divide by the number of positions, however many there are."),
    )
    cases = [(torch.randn(s),) for s in ((2, 5, 4, 4), (3, 5, 6, 2), (1, 7, 1, 3), (1, 1, 3, 5))]
    require_answers(function, name, cases, lambda x: x.mean((2, 3)), mistakes, one_number)
    require_differentiable(require_function(function, name)(cases[0][0].requires_grad_()), name)
    return correct(_("your function takes one mean per map, whatever the size of the maps."))


Epoch = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor, Sequence[Tensor]], object]


def _one_epoch(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    batches: Sequence[Tensor],
    *,
    trains: bool = True,
    forgets: bool = True,
    steps: str = "each",
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    answer: Callable[[list[float]], float] = lambda losses: sum(losses) / len(losses),
) -> float:
    """The loop, right by default; ``steps`` are done after "each" batch, the "last", or "never"."""
    net.train(trains)
    losses = []
    for number, batch in enumerate(batches, 1):
        one = loss(net(images[batch]), labels[batch])
        if forgets:
            optimizer.zero_grad()
        one.backward()  # type: ignore[no-untyped-call]
        if steps == "each" or (steps == "last" and number == len(batches)):
            optimizer.step()
        losses.append(one.item())
    return answer(losses)


def _trained(loop: Epoch) -> tuple[Tensor, object]:
    """The weights and statistics of a small net after ``loop``, and what it answered."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    images, labels = torch.randn(14, 1, 3, 3), torch.randint(3, (14,))
    answer = loop(net, optimizer, images, labels, torch.split(torch.randperm(14), 4))
    return torch.cat([value.flatten().double() for value in net.state_dict().values()]), answer


@checker
def check_one_epoch(function: object) -> Feedback:
    """Check ``one_epoch(net, optimizer, images, labels, batches)``: a pass over all the batches.

    Each batch holds the places of its images. The answer is the mean of the batches' losses, as a
    number; that of the images counts as right too.

    >>> check_one_epoch(lambda *given: None).passed is None
    True
    """
    name = "one_epoch"
    order = _(
        "For each batch, compute the loss, reset the gradients, then call `backward` and `step`."
    )
    loop = require_function(function, name)
    weights, answer = _trained(loop)
    if is_blank(answer):
        unfilled(name)
    wanted, mean = _trained(_one_epoch)
    mistakes = wrong_answers(
        partial(_one_epoch, steps="never"),
        _("the weights are what they were before: no step changes them."),
        order,
        partial(_one_epoch, trains=False),
        _("the network is in eval mode, so its normalisation does not look at the batches."),
        _("Call `net.train()` before the loop."),
        partial(_one_epoch, forgets=False),
        _("the gradients of all batches add up, so each step also uses those of earlier batches."),
        _("Call `zero_grad` once per batch."),
        partial(_one_epoch, steps="last"),
        _("there is only one step, after the last batch."),
        order,
        partial(_one_epoch, loss=lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)),
        _("the loss receives probabilities, but it takes logits and applies the softmax itself."),
        partial(_one_epoch, loss=partial(F.cross_entropy, reduction="sum")),
        _("the loss is the sum over the batch, and should be the mean."),
        lambda net, optimizer, images, labels, batches: _one_epoch(
            net, optimizer, images, labels, batches[:1]
        ),
        _("the network learns from the first batch only."),
        _("Is the `return` inside the loop, or after it?"),
        lambda net, optimizer, images, labels, batches: _one_epoch(
            net, optimizer, images, labels, [torch.arange(len(images))] * len(batches)
        ),
        _("each step uses all the images, but `batch` says which ones to take."),
    )
    for mistake in mistakes:
        if torch.allclose(weights, _trained(mistake.answer)[0], atol=1e-6):
            reject(f"`{name}` – {mistake.message}", mistake.hint or order)
    if not torch.allclose(weights, wanted, atol=1e-6):
        reject(
            _("`{name}` does not end with the weights that one step per batch gives.").format(
                name=name
            ),
            order,
        )
    of_images = _trained(
        partial(_one_epoch, answer=lambda losses: (sum(losses) * 4 - losses[-1] * 2) / 14)
    )[1]
    _require_mean(name, answer, [mean, of_images])
    return correct(_("your loop takes one step per batch, and returns the mean of the losses."))


def _require_mean(name: str, answer: object, accepted: Sequence[object]) -> None:
    """End the check unless the answer is one of the accepted numbers, up to rounding."""
    try:
        value = float(answer.detach() if isinstance(answer, Tensor) else answer)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not any(math.isclose(value, float(mean), rel_tol=1e-4) for mean in accepted):  # type: ignore[arg-type]
        reject(
            _(
                "`{name}` ends with the right weights, but does not return the mean of the losses."
            ).format(name=name),
            _(
                "Keep the loss of each batch (`loss.item()`), and divide the sum by the number "
                "of batches."
            ),
        )


def _cam(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(features, weight[:, :, None, None], bias)


def _unit(maps: Tensor) -> Tensor:
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / (high - low)


@checker
def check_cam_by_hand(function: object) -> Feedback:
    """Check ``cam_by_hand(features, weight, bias)``: the maps ``(B, C, h, w)`` of all classes.

    >>> def cam_by_hand(features, weight, bias):
    ...     return torch.einsum("ck,bkhw->bchw", weight, features) + bias[:, None, None]
    >>> print(check_cam_by_hand(cam_by_hand).verdict)
    Correct
    """
    definition = _("At each position, the value of map c is Σ_k W[c, k] · f[k] plus b[c].")
    mistakes = wrong_answers(
        lambda f, w, b: _cam(f, w, 0 * b),
        _("the bias is missing: the mean of each map is its logit minus the bias."),
        _("Add one number per class at every position, as `bias[:, None, None]`."),
        lambda f, w, b: _cam(f, w, b / f[0, 0].numel()),
        _("you divide the bias by the number of positions, and the mean divides it again."),
        _("What must be added at every position for the *mean* to grow by b[c]?"),
        lambda f, w, b: _cam(f, w, b).mean((2, 3)),
        _("these are the logits: the positions have been averaged away."),
        lambda f, w, b: _cam(f, w, b).relu(),
        _("the negative values are gone, but they are evidence against the class."),
        _("Without them, the mean of a map is no longer its logit."),
        lambda f, w, b: _unit(_cam(f, w, b)),
        _("the maps are rescaled to [0, 1], and should keep their raw, signed values."),
        lambda f, w, b: _cam(f, w, b) / f.shape[1],
        _("you divide the sum over the feature maps by their number."),
        lambda f, w, b: _cam(f, w, b).flatten(2),
        _("the positions are right, but laid out in a row, as `(B, C, h·w)`."),
        _("`unflatten` or `reshape` gives them back their rows and columns."),
    )
    sizes = ((2, 6, 3, 4, 5), (1, 4, 10, 3, 3), (3, 5, 1, 1, 7))
    cases = [
        (torch.randn(batch, maps, height, width), torch.randn(classes, maps), torch.randn(classes))
        for batch, maps, classes, height, width in sizes
    ]
    require_answers(function, "cam_by_hand", cases, _cam, mistakes, definition)
    return correct(_("your maps are the linear layer applied at every position, for all classes."))


Box = tuple[int, int, int, int]


def _drawn(*patches: tuple[float, slice, slice], background: float = 0.0) -> Tensor:
    """A map of 10×14 with rectangles on it: a height, rows and columns each."""
    cam = torch.full((10, 14), background)
    for height, rows, columns in patches:
        cam[rows, columns] = height
    return cam


def _islands() -> list[tuple[Tensor, float]]:
    """Maps on which every way to go wrong shows, each with a threshold."""
    s = slice
    one = _drawn(
        (1.0, s(1, 3), s(1, 3)),  # holds the maximum, comes first, is small
        (0.6, s(5, 9), s(6, 10)),
        (0.6, s(4, 5), s(10, 11)),  # touches the one above by a corner
        (0.5, s(5, 9), s(5, 6)),  # as high as the threshold
        (0.7, s(8, 10), s(12, 14)),  # comes last, is small
    )
    two = _drawn(
        (0.4, s(2, 8), s(1, 3)),
        (0.28, s(4, 5), s(3, 6)),  # below the threshold, but above that share of the maximum
        (0.9, s(0, 2), s(4, 7)),  # holds the maximum
        (0.5, s(0, 1), s(0, 1)),  # comes first
    )
    # Above zero everywhere and above one at most; corners that touch in the other direction too.
    three = _drawn(
        (3.0, s(0, 2), s(0, 3)),
        (2.0, s(4, 6), s(4, 8)),
        (2.0, s(6, 7), s(8, 9)),
        (2.0, s(3, 4), s(3, 4)),
        (2.0, s(7, 9), s(9, 11)),
        (1.5, s(9, 10), s(0, 7)),
        background=0.4,
    )
    # The long one, of 7 pixels, has the largest box of the three; the one of 12 comes second.
    steps = [(0.5, s(row, row + 1), s(row, row + 1)) for row in range(7)]
    five = _drawn(*steps, (0.4, s(6, 9), s(9, 13)), (0.9, s(8, 10), s(0, 2)))
    four = _drawn((0.25, s(2, 4), s(3, 9)), (-0.5, s(5, 8), s(1, 3)), background=-1.0)
    return [
        *((one, 0.5), (two, 0.3), (three, 2.0), (four, 0.125), (five, 0.3)),
        (three[:, :9].clone(), 1.25),
    ]


def _box_of(mask: Tensor) -> Box:
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _largest(labels: Tensor, cam: Tensor) -> int:
    return int(labels.flatten().bincount()[1:].argmax()) + 1


def _widest(labels: Tensor, cam: Tensor) -> int:
    def area(label: int) -> int:
        x0, y0, x1, y1 = _box_of(labels == label)
        return (x1 - x0 + 1) * (y1 - y0 + 1)

    return max(range(1, int(labels.max()) + 1), key=area)


def _component(
    cam: Tensor,
    threshold: float,
    *,
    corners: bool = True,
    above: Callable[[Tensor, float], Tensor] = torch.ge,
    choose: Callable[[Tensor, Tensor], int] = _largest,
) -> Box:
    """The box of the component of the map that ``choose`` picks among the numbered ones."""
    structure = np.ones((3, 3)) if corners else None
    labels = torch.from_numpy(ndimage.label(above(cam, threshold).numpy(), structure)[0])
    return _box_of(labels == choose(labels, cam))


@checker
def check_box_from_map(function: object) -> Feedback:
    """Check ``box_from_map(cam, threshold)``: the box around the largest component.

    The map is ``(H, W)``; the answer is x0, y0, x1, y1, the first and last column and row with a
    pixel of the largest 8-connected group of pixels of at least ``threshold``.

    >>> from course_utils.localization import boxes_from_map
    >>> check_box_from_map(lambda cam, threshold: boxes_from_map(cam, threshold).tolist()).passed
    False
    """
    order = _(
        "A box is (x0, y0, x1, y1): its first column and row, then its last ones, which are inside."
    )
    largest = _(
        "The largest component is the one with the most pixels: `np.bincount` counts the labels."
    )

    def moved(turn: Callable[[int, int, int, int], tuple[int, ...]]) -> Callable[..., object]:
        return lambda cam, threshold: turn(*_component(cam, threshold))

    mistakes = wrong_answers(
        lambda cam, threshold: _box_of(cam >= threshold),
        _("the box goes around all the pixels above the threshold, not one component."),
        _("`ndimage.label` gives a number to each group of touching pixels."),
        partial(_component, corners=False),
        _(
            "pixels that touch only at a corner are not joined (you count 4 neighbours instead "
            "of 8)."
        ),
        _("Look at the second argument of `ndimage.label`: `structure`."),
        partial(_component, above=torch.gt),
        _("a pixel equal to the threshold is left out, but it belongs to the object."),
        _("“At least” is `>=`."),
        partial(_component, above=lambda cam, level: cam >= level * cam.max()),
        _("the threshold is taken as a share of the maximum, but it is a value of the map."),
        partial(_component, choose=lambda labels, cam: int(labels.flatten()[cam.argmax()])),
        _("this is the component that contains the maximum instead of the largest one."),
        largest,
        partial(_component, choose=lambda labels, cam: 1),
        _("this is the first component in reading order, not the largest."),
        largest,
        partial(_component, choose=_widest),
        _("this is the component with the largest box instead of the one with the most pixels."),
        largest,
        moved(lambda x0, y0, x1, y1: (y0, x0, y1, x1)),
        _("you swapped rows and columns: x is the column, and y the row."),
        moved(lambda x0, y0, x1, y1: (x0, y0, x1 + 1, y1 + 1)),
        _("the box ends one pixel too late: x1 and y1 are the last pixels inside."),
        moved(lambda x0, y0, x1, y1: (x0, y0, x1 - x0 + 1, y1 - y0 + 1)),
        _("the last two numbers are a width and a height, not the last column and row."),
    )
    require_answers(function, "box_from_map", _islands(), _component, mistakes, order)
    return correct(_("your box is the one of the largest component, with its last pixels inside."))


def _iou(
    a: Sequence[int],
    b: Sequence[int],
    *,
    of: Callable[[float, int, int], float] = lambda shared, first, second: first + second - shared,
    more: int = 1,
    area_more: int = 1,
    least: float = 0,
) -> float:
    """Pixels shared over ``of`` them and those of each box; a side has ``more`` than its ends."""
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + more for i in (0, 1)]
    shared = max(sides[0], least) * max(sides[1], least)
    areas = [(box[2] - box[0] + area_more) * (box[3] - box[1] + area_more) for box in (a, b)]
    return shared / of(shared, *areas)


@checker
def check_iou(function: object) -> Feedback:
    """Check ``iou(a, b)`` of two boxes of inclusive pixels, as four numbers each.

    >>> from course_utils.localization import iou
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
        ((0, 0, 9, 2), (1, 6, 9, 8)),  # apart in the other
        ((3, 4, 3, 4), (3, 4, 3, 4)),  # one pixel
        ([0, 0, 3, 3], [4, 1, 6, 3]),  # side by side, in lists
    ]
    pixels = _("The last pixel is inside the box: a width is x1 − x0 + 1.")
    union = _("The union counts the pixels shared once: first area + second area − intersection.")
    last = _("the last pixel is not counted: from 2 to 5, there are four pixels, not three.")
    mistakes = wrong_answers(
        partial(_iou, more=0, area_more=0),
        last,
        pixels,
        partial(_iou, more=0),
        last,
        pixels,
        partial(_iou, area_more=0),
        last,
        pixels,
        partial(_iou, least=-np.inf),
        _("boxes apart in both directions seem to overlap: two negative numbers were multiplied."),
        _("A shared width or height is never negative: think of `max(0, …)`."),
        partial(_iou, of=lambda shared, first, second: first + second),
        _("you count the shared pixels twice in the union."),
        partial(_iou, of=lambda shared, first, second: first),
        _("you divide the intersection by the first box alone."),
        partial(_iou, of=lambda shared, first, second: second),
        _("you divide the intersection by the second box alone."),
        partial(_iou, of=lambda shared, first, second: min(first, second)),
        _("you divide the intersection by the smaller box alone."),
    )
    require_answers(function, "iou", cases, _iou, mistakes, union)
    return correct(
        _(
            "your function divides the shared pixels by all pixels, whether boxes are apart, "
            "nested or equal."
        )
    )


@checker
def check_fair_accuracy(function: object) -> Feedback:
    """Check ``fair_accuracy(elsewhere, here)``: the score here, at the threshold best elsewhere.

    Both are curves ``(T,)`` of the box accuracy at the same thresholds, on two sets of scenes.

    >>> print(check_fair_accuracy(lambda elsewhere, here: here[elsewhere.argmax()]).verdict)
    Correct
    """
    first = torch.tensor([0.10, 0.45, 0.70, 0.62, 0.20])
    second = torch.tensor([0.12, 0.40, 0.55, 0.66, 0.25])
    cases = [(first, second), (second.flip(0), first.flip(0)), (first[:3], second[2:])]
    rule = _("The threshold is chosen on one set of scenes, and the score is read on the other.")
    mistakes = wrong_answers(
        lambda elsewhere, here: here.max(),
        _("the threshold is chosen on the very scenes that judge it: this is MaxBoxAcc."),
        lambda elsewhere, here: elsewhere.max(),
        _("this is the score on the scenes that chose the threshold."),
        lambda elsewhere, here: elsewhere[here.argmax()],
        _("the two sets of scenes are swapped."),
        lambda elsewhere, here: elsewhere.argmax(),
        _("this is the position of the threshold, not the score reached there."),
        lambda elsewhere, here: here[(elsewhere + here).argmax()],
        _("both sets of scenes help to choose the threshold, but only the other one may."),
        lambda elsewhere, here: (elsewhere.max() + here.max()) / 2,
        _("this is a mean of two best scores, and no threshold reaches it on new scenes."),
    )
    require_answers(
        function,
        "fair_accuracy",
        cases,
        lambda elsewhere, here: here[elsewhere.argmax()],
        mistakes,
        rule,
    )
    return correct(_("the threshold comes from other scenes, and the score from these."))
