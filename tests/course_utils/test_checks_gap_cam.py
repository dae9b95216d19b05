"""Lesson 2's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from checking import Check, Each, each_accepted, each_refused
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import gap_cam as checks

Box = tuple[float, float, float, float]


def pooled_by_loops(x: Tensor) -> Tensor:
    rows = [[f.sum() / f.numel() for f in image] for image in x]
    return torch.stack([torch.stack(row) for row in rows])


POOLING: dict[str, object] = {
    "right shape but not the right values": lambda x: x.sum((2, 3)) / 16,
    "no gradient": Each([lambda x: x.detach().mean((2, 3)), lambda x: x.mean((2, 3)).tolist()]),
    "of shape (2, 80), and should return a tensor of shape (2, 5)": lambda x: x.flatten(1),
    "of shape (7,), and should return a tensor of shape (1, 7)": lambda x: x.mean((2, 3)).squeeze(),
    "changes its own input": lambda x: x.sub_(1).add(1).mean((2, 3)),
}


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


MAP: dict[str, object] = {
    "of shape (2, 4, 5), and should return a tensor of shape (2, 3, 4, 5)": lambda f, w, b: (
        cam_einsum(f, w, b)[:, 0]
    ),
    "not the right values": lambda f, w, b: cam_einsum(f, w, b).mul(2),
    "changes its own input": lambda f, w, b: cam_einsum(f, w, b.neg_()),
}

EIGHT = np.ones((3, 3))


def box_by_numpy(cam: Tensor, threshold: float) -> tuple[Any, ...]:
    return largest_of(labelled(cam, threshold))


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


def labelled(cam: Tensor, threshold: float, structure: Any = EIGHT) -> Any:
    return ndimage.label(np.asarray(cam) >= threshold, structure)[0]


def largest_of(labels: Any) -> tuple[int, int, int, int]:
    return around(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def of_the_maximum(cam: Tensor, threshold: float) -> tuple[int, int, int, int]:
    labels = labelled(cam, threshold)
    return around(labels == labels.ravel()[cam.argmax()])


def widest(cam: Tensor, threshold: float) -> tuple[int, int, int, int]:
    labels = labelled(cam, threshold)
    boxes = [(ys.stop - ys.start) * (xs.stop - xs.start) for ys, xs in ndimage.find_objects(labels)]
    return around(labels == 1 + int(np.argmax(boxes)))


def moved(turn: Callable[..., object]) -> Callable[..., object]:
    return lambda cam, threshold: turn(*box_by_numpy(cam, threshold))


ONE_DIAGONAL = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]])

BOX: dict[str, object] = {
    "all the pixels above the threshold": lambda m, t: around(np.asarray(m) >= t),
    "touch only at a corner": lambda m, t: largest_of(labelled(m, t, None)),
    "equal to the threshold": lambda m, t: largest_of(labelled(m, t + 1e-3)),
    "a share of the maximum": lambda m, t: largest_of(labelled(m, t * float(m.max()))),
    "contains the maximum": of_the_maximum,
    "first component": lambda m, t: around(labelled(m, t) == 1),
    "the largest box instead of the one with the most pixels": widest,
    "rows and columns": moved(lambda x0, y0, x1, y1: (y0, x0, y1, x1)),
    "one pixel too late": moved(lambda x0, y0, x1, y1: np.array([x0, y0, x1 + 1, y1 + 1])),
    "a width and a height": moved(lambda x0, y0, x1, y1: [x0, y0, x1 - x0 + 1, y1 - y0 + 1]),
    "returns (5; 4), and should return (5; 4; 10; 8)": lambda m, t: box_by_numpy(m, t)[:2],
    "returns (5.37; 4.37; 10.37; 8.37)": lambda m, t: np.array(box_by_numpy(m, t)) + 0.37,
    "and should return (": Each(
        [
            lambda m, t: (0, 0, 1, 1),
            lambda m, t: largest_of(labelled(m, 0.5)),  # the threshold ignored
            lambda m, t: largest_of(labelled(m - m.min(), t)),  # a background above zero
            lambda m, t: largest_of(labelled(m, t, ONE_DIAGONAL)),
            lambda m, t: largest_of(labelled(m, t, ONE_DIAGONAL[::-1])),
        ]
    ),
}


def parts(a: Box, b: Box, one: int = 1) -> tuple[float, float, float, float]:
    """Width and height in common, not clamped, and the two areas."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + one
    height = min(a[3], b[3]) - max(a[1], b[1]) + one
    areas = [(x1 - x0 + one) * (y1 - y0 + one) for x0, y0, x1, y1 in (a, b)]
    return width, height, areas[0], areas[1]


def iou_by_hand(a: Box, b: Box, one: int = 1, area_one: int = 1) -> float:
    shared = common(a, b, one)
    return shared / (sum(parts(a, b, area_one)[2:]) - shared)


def common(a: Box, b: Box, one: int = 1) -> float:
    width, height, *_areas = parts(a, b, one)
    return max(0, width) * max(0, height)


def iou_by_pixels(a: Box, b: Box) -> Tensor:
    masks = torch.zeros(2, 12, 12, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, (a, b), strict=True):
        mask[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = True
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


def iou_unclamped(a: Box, b: Box) -> float:
    w, h, first, second = parts(a, b)
    return w * h / (first + second - w * h)


def iou_half_clamped(a: Box, b: Box, clamped: int) -> float:
    *sides, first, second = parts(a, b)
    sides[clamped] = max(0, sides[clamped])
    return sides[0] * sides[1] / (first + second - sides[0] * sides[1])


IOU: dict[str, object] = {
    "last pixel is not counted": Each(
        [
            lambda a, b: iou_by_hand(a, b, 0, 0),
            lambda a, b: iou_by_hand(a, b, 0, 1),
            lambda a, b: iou_by_hand(a, b, 1, 0),
        ]
    ),
    "two negative numbers": iou_unclamped,
    "iou((0, 0, 9, 2), (1, 6, 9, 8))` returns −0.3214, and should return 0": lambda a, b: (
        iou_half_clamped(a, b, 0)
    ),
    "iou((0, 0, 2, 9), (5, 0, 8, 9))` returns −0.2222, and should return 0": lambda a, b: (
        iou_half_clamped(a, b, 1)
    ),
    "iou((0, 0, 3, 3), (2, 2, 5, 4))` returns 0.5367, and should return 0.1667": lambda a, b: (
        iou_by_hand(a, b) + 0.37
    ),
}

THRESHOLD: dict[str, object] = {
    "returns 0.92, and should return 0.55": lambda elsewhere, here: here[elsewhere.argmax()] + 0.37,
}


def epoch_by_hand(net, optimizer, images, labels, batches, *lines: str, answer: str = "mean"):  # type: ignore[no-untyped-def]
    """The loop with the lines given, done for each batch in their order."""
    losses = []
    net.train("eval" not in lines)
    for batch in batches:
        x, y = (images, labels) if "all" in lines else (images[batch], labels[batch])
        loss = nn.CrossEntropyLoss()(net(x), y)
        for line in lines:
            if line == "zero":
                net.zero_grad()
            elif line == "backward":
                loss.backward()
            elif line == "step":
                optimizer.step()
            elif line == "by hand":
                with torch.no_grad():
                    for weight in net.parameters():
                        weight -= 0.5 * weight.grad
        losses.append((len(batch), loss.item()))
        if "return" in lines:
            return loss.item()
    counts, values = zip(*losses, strict=True)
    answers = {
        "mean": np.mean(values),
        "images": np.average(values, weights=counts),
        "sum": sum(values),
        "last": values[-1],
        "none": None,
        "text": "0.7",
        "list": list(values),
    }
    return answers[answer]


def epoch(*lines: str, answer: str = "mean") -> Callable[..., object]:
    return lambda *given: epoch_by_hand(*given, *lines, answer=answer)


def epoch_with_a_tensor(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    batches: Sequence[Tensor],
) -> Tensor:
    total = torch.zeros(())
    net.train()
    for batch in batches:
        loss = F.nll_loss(net(images[batch]).log_softmax(1), labels[batch])
        optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total = total + loss.detach()
    return total / len(batches)


def epoch_on_probabilities(
    net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, batches: Any
) -> object:
    return epoch("zero", "backward", "step")(
        nn.Sequential(net, nn.Softmax(1)), optimizer, images, labels, batches
    )


def one_step_at_the_end(net: nn.Module, optimizer: torch.optim.Optimizer, *given: Any) -> object:
    answer = epoch("zero", "backward")(net, optimizer, *given)
    optimizer.step()
    return answer


EPOCH: dict[str, object] = {
    "no step changes them": Each(
        [epoch(), epoch("zero", "backward"), epoch("step"), epoch("backward", "zero", "step")]
    ),
    "in eval mode": epoch("zero", "backward", "step", "eval"),
    "add up": epoch("backward", "step"),
    "only one step": one_step_at_the_end,
    "overwritten values that the gradient needs": epoch("step", "zero", "backward"),
    "probabilities": epoch_on_probabilities,
    "the first batch only": epoch("zero", "backward", "step", "return"),
    "uses all the images": epoch("zero", "backward", "step", "all"),
    "with the weights that one step per batch gives": epoch("zero", "backward", "step", "step"),
    "does not return the mean of the losses": Each(
        [epoch("zero", "backward", "step", answer=one) for one in ("sum", "last", "list")]
    ),
}

WRONG: dict[Check, dict[str, object]] = {
    checks.check_global_average_pooling: POOLING,
    checks.check_cam_by_hand: MAP,
    checks.check_box_from_map: BOX,
    checks.check_iou: IOU,
    checks.check_fair_accuracy: THRESHOLD,
    checks.check_one_epoch: EPOCH,
}
RIGHT: dict[Check, dict[str, object]] = {
    checks.check_global_average_pooling: {
        "mean": lambda x: x.mean((2, 3)),
        "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        "flatten": lambda x: x.flatten(2).mean(2),
        "twice": lambda x: x.float().mean(-1).mean(-1),
        "loops": pooled_by_loops,
    },
    checks.check_cam_by_hand: {
        "einsum": cam_einsum,
        "linear": cam_linear,
        "loops": cam_loop,
        "no gradient": lambda f, w, b: cam_linear(f, w, b).detach(),
    },
    checks.check_box_from_map: {
        "NumPy": box_by_numpy,
        "flooding": box_by_flooding,
        "list": moved(lambda *box: list(box)),
        "array": moved(lambda *box: np.array(box)),
    },
    checks.check_iou: {"by hand": iou_by_hand, "pixels": iou_by_pixels},
    checks.check_fair_accuracy: {
        "tensor": lambda elsewhere, here: here[elsewhere.argmax()],
        "number": lambda elsewhere, here: float(here[int(elsewhere.argmax())]),
        "list": lambda elsewhere, here: here[elsewhere.tolist().index(max(elsewhere))],
    },
    checks.check_one_epoch: {
        "forgets first": epoch("zero", "backward", "step"),
        "forgets last": epoch("backward", "step", "zero"),
        "by hand": epoch("zero", "backward", "by hand"),
        "mean of the images": epoch("zero", "backward", "step", answer="images"),
        "tensor": epoch_with_a_tensor,
    },
}


test_a_wrong_answer_is_told_what_is_wrong = each_refused(WRONG)
test_a_right_answer_is_accepted_in_whatever_style = each_accepted(RIGHT)


def test_a_loop_that_answers_nothing_is_not_filled_in_yet() -> None:
    assert checks.check_one_epoch(epoch(answer="none")).passed is None
    assert checks.check_one_epoch(epoch("zero", "backward", "step", answer="none")).passed is None
