"""Lesson 1's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from checking import ABSURD, ABSURD_ANSWERS, BLANKS, Check, accepted, refused, told_where_it_broke
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import conv_1x1 as checks

ALL: dict[str, Check] = {name: getattr(checks, name) for name in checks.__all__}


# --- what holds for all of them ---------------------------------------------------------------


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_stub_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "absurd",
    [
        *ABSURD,
        *ABSURD_ANSWERS,
        lambda *args, **options: nn.ReLU(),
        lambda *args, **options: nn.ReLU,
        lambda *args, **options: (torch.ones(2), "text"),
    ],
    ids=repr,
)
def test_an_absurd_answer_is_refused_without_an_exception(check: Check, absurd: object) -> None:
    assert check(absurd).passed is False


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_code_that_raises_is_told_where(check: Check) -> None:
    told_where_it_broke(check)


# --- 1. head_parameters -----------------------------------------------------------------------


def head_parameters(maps: int, side: int, hidden: int, classes: int) -> tuple[int, int]:
    dense = maps * side * side * hidden + hidden + hidden * hidden + hidden
    return dense + hidden * classes + classes, maps * classes + classes


def head_parameters_by_torch(maps: int, side: int, hidden: int, classes: int) -> list[int]:
    with torch.device("meta"):
        sizes = (maps * side**2, hidden, hidden, classes)
        dense = [nn.Linear(one, other) for one, other in itertools.pairwise(sizes)]
        nets = nn.Sequential(*dense), nn.Linear(maps, classes)
    return [sum(p.numel() for p in net.parameters()) for net in nets]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda m, s, h, c: (m * s * s * h + h * h + h * c, m * c),
            "the biases are missing",
        ),
        (
            lambda m, s, h, c: ((m * s * s + 1) * h + (h + 1) * c, (m + 1) * c),
            "second hidden layer",
        ),
        (
            lambda m, s, h, c: ((m + 1) * h + (h + 1) * h + (h + 1) * c, (m + 1) * c),
            "only one number a map",
        ),
        (
            lambda m, s, h, c: ((m * s + 1) * h + (h + 1) * h + (h + 1) * c, (m + 1) * c),
            "`side` rows *and* `side` columns",
        ),
        (
            lambda m, s, h, c: (head_parameters(m, s, h, c)[0], (m * s * s + 1) * c),
            "still sees every position",
        ),
        (lambda *sizes: head_parameters(*sizes)[::-1], "swapped"),
        (lambda *sizes: head_parameters(*sizes)[0], "of shape ()"),
        (lambda *sizes: (head_parameters(*sizes)[0] + 1, 1), "not the right values"),
    ],
)
def test_a_wrong_count_is_told(answer: object, words: str) -> None:
    refused(checks.check_head_parameters, answer, words)


def test_vggs_two_heads_are_counted_right() -> None:
    feedback = checks.check_head_parameters(head_parameters)
    # torchvision's VGG-16: 102,764,544 + 16,781,312 + 4,097,000.
    assert "123,642,856" in feedback.message and "513,000" in feedback.message


# --- 2. conv_1x1 ------------------------------------------------------------------------------


def by_einsum(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("oc,bchw->bohw", weight, x) + bias.view(1, -1, 1, 1)


def by_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


def by_matrix_product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (weight @ x.flatten(2) + bias[:, None]).unflatten(2, x.shape[2:])


def by_loops(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    maps = [
        sum(weight[o, c] * x[:, c] for c in range(x.shape[1])) + bias[o] for o in range(len(weight))
    ]
    return torch.stack(maps, 1)


def scrambled_on_the_way_in(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return F.linear(x.reshape(-1, channels), weight, bias).reshape(batch, -1, height, width)


def scrambled_on_the_way_out(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mixed = F.linear(x.permute(0, 2, 3, 1), weight, bias)
    return mixed.reshape(len(x), len(weight), x.shape[2], x.shape[3])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, w, b: torch.einsum("oc,bchw->bohw", w, x), "the bias is missing"),
        (lambda x, w, b: by_einsum(x, w.T, b), "the weight is transposed"),
        (lambda x, w, b: F.linear(x.movedim(1, -1), w, b), "the channels come last"),
        (scrambled_on_the_way_in, "read with `reshape`"),
        (scrambled_on_the_way_out, "come back with `reshape`"),
        (lambda x, w, b: by_einsum(x, w / w.shape[1], b), "divided by their number"),
        (lambda x, w, b: by_einsum(x, w, b).relu(), "a ReLU follows"),
        (lambda x, w, b: by_einsum(x, w, b).mean((2, 3)), "averaged away"),
        (lambda x, w, b: by_einsum(x, w, b)[:, :1], "of shape (2, 1, 5, 3)"),
        (lambda x, w, b: by_einsum(x, w, b) + 0.5, "not the right values"),
        (lambda x, w, b: by_einsum(x.detach(), w, b), "no gradient goes back"),
        (lambda x, w, b: by_einsum(x.mul_(2), w / 2, b), "changes its own input"),
    ],
)
def test_a_wrong_1x1_convolution_is_told(answer: object, words: str) -> None:
    refused(checks.check_conv_1x1, answer, words)


# --- 3. fold ----------------------------------------------------------------------------------


def fold(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    return w2 @ w1, w2 @ b1 + b2


def fold_by_probing(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> list[Tensor]:
    def both(x: Tensor) -> Tensor:
        return F.linear(F.linear(x, w1, b1), w2, b2)

    bias = both(torch.zeros(w1.shape[1]).to(w1))
    return [(both(torch.eye(w1.shape[1]).to(w1)) - bias).T, bias]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda w1, b1, w2, b2: (w1 @ w2, w2 @ b1 + b2), "multiplied in the wrong order"),
        (lambda w1, b1, w2, b2: (w1 @ w2, w1 @ b2 + b1), "folded in the wrong order"),
        (lambda w1, b1, w2, b2: (w2 @ w1, b2), "the first bias is forgotten"),
        (lambda w1, b1, w2, b2: (w2 @ w1, b1 + b2), "the biases are added as they are"),
        (lambda w1, b1, w2, b2: (w2 @ w1, w2 @ b1), "the second bias is forgotten"),
        (lambda w1, b1, w2, b2: (w2 + w1, b1 + b2), "is no sum"),
        (lambda w1, b1, w2, b2: (w2 * w1, w2 @ b1 + b2), "number by number"),
        (lambda w1, b1, w2, b2: ((w2 @ w1).T, w2 @ b1 + b2), "not the right values"),
        (lambda w1, b1, w2, b2: w2 @ w1, "should give back two tensors"),
        (lambda w1, b1, w2, b2: (w2 @ w1, 0.0), "a `float` as bias"),
        (lambda w1, b1, w2, b2: (w2 @ b1 + b2, w2 @ w1), "a weight of shape (4,)"),
    ],
)
def test_a_wrong_fold_is_told(answer: object, words: str) -> None:
    refused(checks.check_fold, answer, words)


# --- 4. linear_to_conv ------------------------------------------------------------------------


def linear_to_conv(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, linear.out_features, (height, width))
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view(-1, channels, height, width))
        conv.bias.copy_(linear.bias)
    return conv


def linear_to_conv_by_data(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, linear.out_features, (height, width), padding="valid")
    conv.weight.data = linear.weight.data.unflatten(1, (channels, height, width))
    conv.bias = linear.bias
    return conv


def conv_with(**options: Any) -> Callable[..., nn.Conv2d]:
    """A convolution made with other arguments, its weights left as they come."""

    def make(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
        arguments = {"in_channels": channels, "out_channels": 7, "kernel_size": (height, width)}
        return nn.Conv2d(**(arguments | options))

    return make


def read_as(
    shape: Callable[[int, int, int], tuple[int, ...]], order: tuple[int, ...], bias: bool = True
) -> Callable[..., nn.Conv2d]:
    """The weights read in another shape and put back in order."""

    def make(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
        conv = nn.Conv2d(channels, 7, (height, width))
        read = linear.weight.view(7, *shape(channels, height, width)).permute(0, *order)
        with torch.no_grad():
            conv.weight.copy_(read)
            if bias:
                conv.bias.copy_(linear.bias)
        return conv

    return make


def one_by_one(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = nn.Conv2d(linear.in_features, 7, 1)
    conv.weight.data = linear.weight.data[:, :, None, None]
    return conv


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def doubled(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = Doubled(channels, 7, (height, width))
    conv.load_state_dict(linear_to_conv(linear, channels, height, width).state_dict())
    return conv


def spoiling(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = linear_to_conv(linear, channels, height, width)
    linear.weight.data.zero_()
    return conv


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (one_by_one, "a kernel of 1×1; 4×5 is expected"),
        (
            lambda linear, c, h, w: nn.Conv2d(c, 7, (w, h)),
            "`kernel_size` is (height, width)",
        ),
        (conv_with(), "does not have the weights"),
        (conv_with(in_channels=1), "goes from 1 channels"),
        (conv_with(padding=1), "pads its input"),
        (conv_with(bias=False), "has no bias"),
        (read_as(lambda c, h, w: (h, w, c), (3, 1, 2)), "(height, width, channels)"),
        (read_as(lambda c, h, w: (c, w, h), (1, 3, 2)), "(channels, width, height)"),
        (read_as(lambda c, h, w: (c, h, w), (1, 2, 3), bias=False), "not the bias"),
        (lambda linear, c, h, w: linear, "gives a `Linear`"),
        (doubled, "another answer"),
        (conv_with(stride=2), "a stride of 2×2"),
        (spoiling, "changes the weights of the linear layer"),
    ],
)
def test_a_wrong_conversion_is_told(answer: object, words: str) -> None:
    refused(checks.check_linear_to_conv, answer, words)


# --- 5. nin_block -----------------------------------------------------------------------------


def nin_block(i: int, o: int, kernel_size: int, last_relu: bool = True) -> nn.Sequential:
    layers = [
        nn.Conv2d(i, o, kernel_size, padding=kernel_size // 2),
        nn.ReLU(),
        nn.Conv2d(o, o, 1),
        nn.ReLU(),
        nn.Conv2d(o, o, 1),
    ]
    return nn.Sequential(*layers, *[nn.ReLU()] * last_relu)


class NinBlock(nn.Module):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, last_relu: bool = True
    ) -> None:
        super().__init__()
        self.mlp = nn.ModuleList(nn.Conv2d(out_channels, out_channels, 1) for _n in range(2))
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding="same")
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        x = self.mlp[1](F.relu(self.mlp[0](x)))
        return x.clamp(min=0) if self.last_relu else x


def block_of(
    *order: int, ends: bool = True, second: int = 1, **options: Any
) -> Callable[..., nn.Sequential]:
    """The layers numbered in ``order``; the last ReLU follows ``last_relu`` unless ``ends``."""

    def make(i: int, o: int, kernel_size: int, last_relu: bool = True) -> nn.Sequential:
        arguments = {"padding": kernel_size // 2} | options
        layers = [
            nn.Conv2d(i, o, kernel_size, **arguments),
            nn.ReLU(),
            nn.Conv2d(o, o, second, padding=second // 2),
            nn.ReLU(),
            nn.Conv2d(o, o, 1),
        ]
        chosen: list[nn.Module] = [layers[place] for place in order]
        return nn.Sequential(*chosen, *[nn.ReLU()] * (last_relu if ends else 1))

    return make


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (block_of(0, 2, 4), "no ReLUs between the convolutions"),
        (block_of(0, 1, 2, 4), "no ReLU between the two 1×1"),
        (block_of(0, 2, 3, 4), "no ReLU after the first"),
        (lambda i, o, k, last_relu=True: nin_block(i, o, k, False), "the last ReLU is missing"),
        (block_of(0, 1, 2, 3, 4, ends=False), "although `last_relu=False`"),
        (block_of(0, 1, 2), "Missing: 1 × Conv2d 6→6, 1×1"),
        (block_of(0, 1, 2, 3, 4, second=3), "Not expected: 1 × Conv2d 6→6, 3×3"),
        (block_of(0, 1, 2, 3, 4, padding=0), "has padding (0, 0); (2, 2) is expected"),
        (block_of(0, 1, 2, 3, 4, bias=False), "the convolution `0` has no bias"),
        (lambda i, o, k: nin_block(i, o, k), "names and number of the arguments"),
    ],
)
def test_a_wrong_block_is_told(answer: object, words: str) -> None:
    refused(checks.check_nin_block, answer, words)


# --- 6. window_of -----------------------------------------------------------------------------


def window_of(row: int, column: int, kernels: Any, strides: Any) -> tuple[int, ...]:
    side, jump = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side += (kernel - 1) * jump
        jump *= stride
    return row * jump, column * jump, row * jump + side - 1, column * jump + side - 1


def window_of_backwards(row: int, column: int, kernels: Any, strides: Any) -> list[int]:
    top, left, bottom, right = row, column, row, column
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        top, left = top * stride, left * stride
        bottom, right = bottom * stride + kernel - 1, right * stride + kernel - 1
    return [top, left, bottom, right]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda r, c, k, s: [
                sum(pair) for pair in zip(window_of(r, c, k, s), (0, 0, 1, 1), strict=True)
            ],
            "one too far",
        ),
        (lambda r, c, k, s: window_of(c, r, k, s), "rows and columns are swapped"),
        (
            lambda r, c, k, s: [
                v - w + x
                for v, w, x in zip(
                    window_of(r, c, k, s), 2 * window_of(r, c, k, s)[:2], (r, c, r, c), strict=True
                )
            ],
            "moves by one pixel a position",
        ),
        (
            lambda r, c, k, s: [
                v - w + x * sum(s)
                for v, w, x in zip(
                    window_of(r, c, k, s), 2 * window_of(r, c, k, s)[:2], (r, c, r, c), strict=True
                )
            ],
            "they multiply",
        ),
        (
            lambda r, c, k, s: (
                r * math.prod(s),
                c * math.prod(s),
                r * math.prod(s) + sum(k) - len(k),
                c * math.prod(s) + sum(k) - len(k),
            ),
            "no account of the strides",
        ),
        (
            lambda r, c, k, s: (
                r * math.prod(s),
                c * math.prod(s),
                r * math.prod(s) + sum(k) - 1,
                c * math.prod(s) + sum(k) - 1,
            ),
            "the sum of the kernels",
        ),
        (
            lambda r, c, k, s: (
                *window_of(r, c, k, s)[:2],
                *2 * (window_of(0, 0, k, s)[2] + 1,),
            ),
            "the sides of the window",
        ),
        (lambda r, c, k, s: window_of(r, c, k, s)[:2], "of shape (2,)"),
        (lambda r, c, k, s: (0, 0, 19, 19), "not the right values"),
    ],
)
def test_a_wrong_window_is_told(answer: object, words: str) -> None:
    refused(checks.check_window_of, answer, words)


def test_a_stride_that_comes_in_too_early_is_told() -> None:
    def early(row: int, column: int, kernels: Any, strides: Any) -> tuple[int, ...]:
        side, jump = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            jump *= stride
            side += (kernel - 1) * jump
        return row * jump, column * jump, row * jump + side - 1, column * jump + side - 1

    refused(checks.check_window_of, early, "comes in too early")


# --- what is right ----------------------------------------------------------------------------

SOLUTIONS: dict[Check, list[Callable[..., Any]]] = {
    checks.check_head_parameters: [head_parameters, head_parameters_by_torch],
    checks.check_conv_1x1: [by_einsum, by_linear, by_matrix_product, by_loops],
    checks.check_fold: [fold, fold_by_probing],
    checks.check_linear_to_conv: [linear_to_conv, linear_to_conv_by_data],
    checks.check_nin_block: [nin_block, NinBlock],
    checks.check_window_of: [window_of, window_of_backwards],
}


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        pytest.param(check, answer, id=answer.__name__)
        for check, answers in SOLUTIONS.items()
        for answer in answers
    ],
)
def test_a_solution_is_accepted_in_whatever_style(check: Check, answer: object) -> None:
    accepted(check, answer)


def test_every_checker_has_solutions_here() -> None:
    assert set(SOLUTIONS) == set(ALL.values())
