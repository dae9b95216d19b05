"""Lesson 2's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checking import ABSURD, ABSURD_ANSWERS, BLANKS, Check, accepted, refused, told_where_it_broke
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks import gap_cam as checks

Box = tuple[float, float, float, float]

ALL: dict[str, Check] = {name: getattr(checks, name) for name in checks.__all__}


# --- what holds for all of them ---------------------------------------------------------------


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_stub_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("absurd", [*ABSURD, *ABSURD_ANSWERS], ids=repr)
def test_an_absurd_answer_is_refused_without_an_exception(check: Check, absurd: object) -> None:
    assert check(absurd).passed is False


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_code_that_raises_is_told_where(check: Check) -> None:
    told_where_it_broke(check)


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_the_wrong_values_in_the_right_shape_are_told(check: Check) -> None:
    right = SOLUTIONS[check][0]
    refused(check, lambda *a: torch.as_tensor(np.asarray(right(*a))) + 0.37, "right shape")


# --- 1. global average pooling ----------------------------------------------------------------


def by_loops(x: Tensor) -> Tensor:
    rows = [[f.sum() / f.numel() for f in image] for image in x]
    return torch.stack([torch.stack(row) for row in rows])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: F.adaptive_avg_pool2d(x, 1), "dimensions of length 1"),
        (lambda x: x.mean(1), "channels are averaged"),
        (lambda x: x.mean((0, 2, 3)), "images of the batch"),
        (lambda x: x.mean(), "into one number"),
        (lambda x: x.mean(-1), "only the columns"),
        (lambda x: x.mean(2), "only the rows"),
        (lambda x: x.amax((2, 3)), "global *max* pooling"),
        (lambda x: x.sum((2, 3)), "grows with the map's size"),
        (lambda x: x.sum((2, 3)) / 16, "right shape, but not the right values"),
        (lambda x: x.detach().mean((2, 3)), "no gradient"),
        (lambda x: x.mean((2, 3)).tolist(), "no gradient"),
        (lambda x: x.flatten(1), "of shape"),
        (lambda x: x.sub_(1).add(1).mean((2, 3)), "changes its own input"),
    ],
)
def test_a_wrong_pooling_is_told(answer: Callable[[Tensor], object], words: str) -> None:
    refused(checks.check_global_average_pooling, answer, words)


# --- 2. the map by hand -----------------------------------------------------------------------


def cam_einsum(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("ck,bkhw->bchw", weight, features) + bias[:, None, None]


def cam_linear(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(features.movedim(1, -1), weight, bias).movedim(-1, 1)


def cam_loop(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    maps = [
        sum((w * features[:, k] for k, w in enumerate(row)), torch.zeros(())) + b
        for row, b in zip(weight, bias, strict=True)
    ]
    return torch.stack(maps, dim=1)


def unit(maps: Tensor) -> Tensor:
    low, high = maps.amin((2, 3), True), maps.amax((2, 3), True)
    return (maps - low) / (high - low)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda f, w, b: cam_einsum(f, w, 0 * b), "bias is missing"),
        (
            lambda f, w, b: cam_einsum(f, w, b / (f.shape[2] * f.shape[3])),
            "divided by the number of positions",
        ),
        (lambda f, w, b: F.linear(f.mean((2, 3)), w, b), "these are the logits"),
        (lambda f, w, b: cam_einsum(f, w, b).relu(), "negative values are gone"),
        (lambda f, w, b: unit(cam_einsum(f, w, b)), "brought to [0, 1]"),
        (lambda f, w, b: cam_einsum(f, w, b) / f.shape[1], "divided by their number"),
        (lambda f, w, b: cam_einsum(f, w, b).flatten(2), "laid out in a row"),
        (lambda f, w, b: cam_einsum(f, w, b)[:, 0], "of shape"),
        (lambda f, w, b: cam_einsum(f, w, b).mul(2), "not the right values"),
    ],
)
def test_a_wrong_map_is_told(answer: Callable[..., object], words: str) -> None:
    refused(checks.check_cam_by_hand, answer, words)


# --- 3. the box of a map ----------------------------------------------------------------------


def box_by_numpy(cam: Tensor, threshold: float) -> tuple[Any, ...]:
    labels, _n = ndimage.label(np.asarray(cam) >= threshold, structure=np.ones((3, 3)))
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    ys, xs = (labels == largest).nonzero()
    return xs.min(), ys.min(), xs.max(), ys.max()


def box_by_flooding(cam: Tensor, threshold: float) -> Tensor:
    todo = {(int(y), int(x)) for y, x in (cam >= threshold).nonzero()}
    best: set[tuple[int, int]] = set()
    while todo:
        front = {todo.pop()}
        island = set(front)
        while front:
            around = {(y + i, x + j) for y, x in front for i in (-1, 0, 1) for j in (-1, 0, 1)}
            front = around & todo
            todo -= front
            island |= front
        best = max(best, island, key=len)
    ys, xs = zip(*best, strict=True)
    return torch.tensor([min(xs), min(ys), max(xs), max(ys)])


def around(mask: Any) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def labelled(cam: Tensor, threshold: float, structure: Any = None) -> Any:
    return ndimage.label(np.asarray(cam) >= threshold, structure)[0]


def largest_of(labels: Any) -> tuple[int, int, int, int]:
    return around(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


EIGHT = np.ones((3, 3))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda m, t: around(np.asarray(m) >= t), "all the pixels above the threshold"),
        (lambda m, t: largest_of(labelled(m, t)), "touch by a corner"),
        (lambda m, t: largest_of(labelled(m, t + 1e-9, EIGHT)), "as high as the threshold"),
        (
            lambda m, t: around(labelled(m, t, EIGHT) == labelled(m, t, EIGHT).ravel()[m.argmax()]),
            "holds the maximum",
        ),
        (lambda m, t: around(labelled(m, t, EIGHT) == 1), "first component"),
        (lambda m, t: [box_by_numpy(m, t)[i] for i in (1, 0, 3, 2)], "rows and columns"),
        (lambda m, t: np.add(box_by_numpy(m, t), (0, 0, 1, 1)), "one pixel late"),
        (
            lambda m, t: np.add(
                box_by_numpy(m, t), (0, 0, *(1 - np.array(box_by_numpy(m, t)[:2])))
            ),
            "a width and a height",
        ),
        (lambda m, t: box_by_numpy(m, t)[:2], "of shape"),
        (lambda m, t: (0, 0, 1, 1), "not the right values"),
    ],
)
def test_a_wrong_box_is_told(answer: Callable[..., object], words: str) -> None:
    refused(checks.check_box_from_map, answer, words)


# --- 4. intersection over union ---------------------------------------------------------------


def iou_by_hand(a: Box, b: Box) -> float:
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in (a, b)]
    return width * height / (sum(areas) - width * height)


def iou_by_pixels(a: Box, b: Box) -> Tensor:
    masks = torch.zeros(2, 12, 12, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, (a, b), strict=True):
        mask[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = True
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


def parts(a: Box, b: Box, one: int = 1) -> tuple[float, float, float, float]:
    """Width and height in common, not clamped, and the two areas."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + one
    height = min(a[3], b[3]) - max(a[1], b[1]) + one
    areas = [(x1 - x0 + one) * (y1 - y0 + one) for x0, y0, x1, y1 in (a, b)]
    return width, height, areas[0], areas[1]


def iou_exclusive(a: Box, b: Box) -> float:
    w, h, first, second = parts(a, b, one=0)
    shared = max(0, w) * max(0, h)
    return shared / (first + second - shared)


def iou_unclamped(a: Box, b: Box) -> float:
    w, h, first, second = parts(a, b)
    return w * h / (first + second - w * h)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (iou_exclusive, "last pixel is not counted"),
        (iou_unclamped, "two negatives"),
        (
            lambda a, b: max(0, parts(a, b)[0]) * max(0, parts(a, b)[1]) / sum(parts(a, b)[2:]),
            "counted twice",
        ),
        (
            lambda a, b: max(0, parts(a, b)[0]) * max(0, parts(a, b)[1]) / parts(a, b)[2],
            "the first box alone",
        ),
        (
            lambda a, b: max(0, parts(a, b)[0]) * max(0, parts(a, b)[1]) / parts(a, b)[3],
            "the second box alone",
        ),
        (
            lambda a, b: max(0, parts(a, b)[0]) * max(0, parts(a, b)[1]) / min(parts(a, b)[2:]),
            "the smaller box alone",
        ),
    ],
)
def test_a_wrong_iou_is_told(answer: Callable[..., object], words: str) -> None:
    refused(checks.check_iou, answer, words)


# --- 5. a threshold chosen elsewhere ----------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda elsewhere, here: max(here), "this is MaxBoxAcc"),
        (lambda elsewhere, here: max(elsewhere), "that chose the threshold"),
        (lambda elsewhere, here: elsewhere[here.argmax()], "swapped"),
        (lambda elsewhere, here: elsewhere.argmax(), "not the score"),
        (lambda elsewhere, here: here[(elsewhere + here).argmax()], "only the other one"),
        (lambda elsewhere, here: (max(elsewhere) + max(here)) / 2, "mean of two best"),
    ],
)
def test_an_unfair_threshold_is_told(answer: Callable[..., object], words: str) -> None:
    refused(checks.check_fair_accuracy, answer, words)


# --- right answers ----------------------------------------------------------------------------

SOLUTIONS: dict[Check, list[Callable[..., Any]]] = {
    checks.check_global_average_pooling: [
        lambda x: x.mean((2, 3)),
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda x: x.flatten(2).mean(2),
        lambda x: x.float().mean(-1).mean(-1),
        by_loops,
    ],
    checks.check_cam_by_hand: [cam_einsum, cam_linear, cam_loop],
    checks.check_box_from_map: [
        box_by_numpy,
        box_by_flooding,
        lambda m, t: list(box_by_numpy(m, t)),
        lambda m, t: np.array(box_by_numpy(m, t)),
    ],
    checks.check_iou: [iou_by_hand, iou_by_pixels],
    checks.check_fair_accuracy: [
        lambda elsewhere, here: here[elsewhere.argmax()],
        lambda elsewhere, here: float(here[int(elsewhere.argmax())]),
        lambda elsewhere, here: here[elsewhere.tolist().index(max(elsewhere))],
    ],
}


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_right_answers_are_accepted_however_written(check: Check) -> None:
    for solution in SOLUTIONS[check]:
        accepted(check, solution)
