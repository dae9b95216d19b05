"""Lesson 1's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from checking import Check, Each, each_accepted, each_refused
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import conv_1x1 as checks


def head_parameters(maps: int, side: int, hidden: int, classes: int) -> tuple[int, int]:
    dense = maps * side * side * hidden + hidden + hidden * hidden + hidden
    return dense + hidden * classes + classes, maps * classes + classes


def head_parameters_by_torch(maps: int, side: int, hidden: int, classes: int) -> list[int]:
    with torch.device("meta"):
        sizes = (maps * side**2, hidden, hidden, classes)
        dense = [nn.Linear(one, other) for one, other in itertools.pairwise(sizes)]
        nets = nn.Sequential(*dense), nn.Linear(maps, classes)
    return [sum(p.numel() for p in net.parameters()) for net in nets]


HEADS: dict[str, object] = {
    "returns 123,642,856, and should return (123,642,856; 513,000)": lambda *sizes: head_parameters(
        *sizes
    )[0],
    # Far below any relative tolerance.
    "(123,641,856; 513,000), and should return (123,642,856; 513,000)": lambda m, s, h, c: (
        head_parameters(m, s, h, c)[0] - c,
        (m + 1) * c,
    ),
}


def test_vggs_two_heads_are_counted_right() -> None:
    feedback = checks.check_head_parameters(head_parameters)
    # torchvision's VGG-16: 102,764,544 + 16,781,312 + 4,097,000.
    assert "123,642,856" in feedback.message and "513,000" in feedback.message


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


def by_a_layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    layer = nn.Conv2d(x.shape[1], len(weight), 1)
    layer.weight.data, layer.bias.data = weight[:, :, None, None], bias
    return layer(x)


CONV_1X1: dict[str, object] = {
    "you read the channels with `reshape`": scrambled_on_the_way_in,
    "you put the channels back with `reshape`": scrambled_on_the_way_out,
    "of shape (2, 1, 5, 3)": lambda x, w, b: by_einsum(x, w, b)[:, :1],
    "not the right values": lambda x, w, b: by_einsum(x, w, b) + 0.5,
    "changes its own input": lambda x, w, b: by_einsum(x.mul_(2), w / 2, b),
    "one of torch's convolutions": Each(
        [
            lambda x, w, b: F.conv2d(x, w[:, :, None, None], b),
            lambda x, w, b: F.conv1d(x.flatten(2), w[:, :, None], b).unflatten(2, x.shape[2:]),
            lambda x, w, b: F.conv_transpose2d(x, w.T[:, :, None, None], b),
            lambda x, w, b: F.conv3d(x[:, :, None], w[:, :, None, None, None], b)[:, :, 0],
            lambda x, w, b: torch.convolution(
                x, w[:, :, None, None], b, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
            ),
            by_a_layer,
        ]
    ),
    "RuntimeError | Two types meet": lambda x, w, b: by_einsum(x, w.double(), b),
    "of shape (6, 2, 7), and should return a tensor of shape (1, 6, 2, 7)": lambda x, w, b: (
        by_einsum(x, w, b).squeeze(0)
    ),
}


def fold(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    return w2 @ w1, w2 @ b1 + b2


def fold_by_probing(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> list[Tensor]:
    def both(x: Tensor) -> Tensor:
        return F.linear(F.linear(x, w1, b1), w2, b2)

    bias = both(torch.zeros(w1.shape[1]))
    return [(both(torch.eye(w1.shape[1])) - bias).T, bias]


FOLD: dict[str, object] = {
    "not the right values": lambda w1, b1, w2, b2: ((w2 @ w1).T, w2 @ b1 + b2),
    "a tensor of shape (4, 4), and should return (a tensor of shape": lambda w1, b1, w2, b2: (
        w2 @ w1
    ),
    "(a tensor of shape (4, 4); 0)": lambda w1, b1, w2, b2: (w2 @ w1, 0.0),
    "changes its own input": lambda w1, b1, w2, b2: (w2 @ w1, b2.add_(w2 @ b1)),
}


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


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def doubled(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = Doubled(channels, linear.out_features, (height, width))
    conv.load_state_dict(linear_to_conv(linear, channels, height, width).state_dict())
    return conv


def spoiling(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    conv = linear_to_conv(linear, channels, height, width)
    linear.weight.data.zero_()
    return conv


CONVERSION: dict[str, object] = {
    "has 1 × Conv2d 60→7, 1×1 too many": lambda linear, c, h, w: nn.Conv2d(c * h * w, 7, 1),
    "in the order (height, width)": lambda linear, c, h, w: nn.Conv2d(c, 7, (w, h)),
    "does not have the weights": conv_with(),
    "has 1 × Conv2d 1→7, 4×5 too many": conv_with(in_channels=1),
    "has padding (1, 1) instead of (0, 0)": conv_with(padding=1),
    "has no bias": conv_with(bias=False),
    "(height, width, channels)": read_as(lambda c, h, w: (h, w, c), (3, 1, 2)),
    "(channels, width, height)": read_as(lambda c, h, w: (c, w, h), (1, 3, 2)),
    "not the bias": read_as(lambda c, h, w: (c, h, w), (1, 2, 3), bias=False),
    "of type `Linear`": lambda linear, c, h, w: linear,
    "but computes something else": doubled,
    "has stride (2, 2) instead of (1, 1)": conv_with(stride=2),
    "changes its own input": spoiling,
    "has 1 × Conv2d 2→7, 5×3 too many": lambda linear, c, h, w: (
        linear_to_conv(linear, c, h, w) if linear.out_features == 7 else nn.Conv2d(c, 7, (h, w))
    ),
}


def window_of(row: int, column: int, kernels: Any, strides: Any) -> tuple[int, ...]:
    side, jump = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side += (kernel - 1) * jump
        jump *= stride
    return window(row, column, jump, side)


def window_of_backwards(row: int, column: int, kernels: Any, strides: Any) -> list[int]:
    top, left, bottom, right = row, column, row, column
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        top, left = top * stride, left * stride
        bottom, right = bottom * stride + kernel - 1, right * stride + kernel - 1
    return [top, left, bottom, right]


def window(row: int, column: int, jump: int, side: int) -> tuple[int, ...]:
    return row * jump, column * jump, row * jump + side - 1, column * jump + side - 1


def popping(row: int, column: int, kernels: Any, strides: Any) -> tuple[int, ...]:
    answer = window_of(row, column, kernels, strides)
    if isinstance(kernels, list):
        kernels.pop()
    return answer


WINDOW: dict[str, object] = {
    "returns (6; 10), and should return (6; 10; 25; 29)": lambda r, c, k, s: window_of(r, c, k, s)[
        :2
    ],
    "window_of(3, 5, (5, 2, 3, 6), (1, 2, 1, 1))": lambda r, c, k, s: (0, 0, 19, 19),
    "changes its own input | `pop`": popping,
}


def nin_block(i: int, o: int, kernel_size: int, last_relu: bool = True) -> nn.Sequential:
    return block_of(0, 1, 2, 3, 4)(i, o, kernel_size, last_relu)


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
    *order: int, second: int = 1, relu: Callable[[], nn.Module] = nn.ReLU, **options: Any
) -> Callable[..., nn.Sequential]:
    """The layers numbered in ``order``, and the last ReLU."""

    def make(i: int, o: int, kernel_size: int, last_relu: bool = True) -> nn.Sequential:
        layers: list[nn.Module] = [
            nn.Conv2d(i, o, kernel_size, **({"padding": kernel_size // 2} | options)),
            relu(),
            nn.Conv2d(o, o, second, padding=second // 2),
            relu(),
            nn.Conv2d(o, o, 1),
        ]
        return nn.Sequential(*(layers[place] for place in order), *[relu()] * last_relu)

    return make


BLOCK: dict[str, object] = {
    "it lacks 1 × Conv2d 6→6, 1×1": block_of(0, 1, 2),
    "has 1 × Conv2d 6→6, 3×3 too many": block_of(0, 1, 2, 3, 4, second=3),
    "has padding (0, 0) instead of (2, 2)": block_of(0, 1, 2, 3, 4, padding=0),
    "the convolution `0` has no bias": block_of(0, 1, 2, 3, 4, bias=False),
    "number and the names of the arguments": lambda i, o, k: nin_block(i, o, k),
    "but computes something else": block_of(0, 1, 2, 3, 4, relu=nn.ReLU6),
}


WRONG: dict[Check, dict[str, object]] = {
    checks.check_head_parameters: HEADS,
    checks.check_conv_1x1: CONV_1X1,
    checks.check_fold: FOLD,
    checks.check_linear_to_conv: CONVERSION,
    checks.check_nin_block: BLOCK,
    checks.check_window_of: WINDOW,
}
RIGHT: dict[Check, dict[str, object]] = {
    checks.check_head_parameters: {"formula": head_parameters, "torch": head_parameters_by_torch},
    checks.check_conv_1x1: {
        "einsum": by_einsum,
        "linear": by_linear,
        "matrix product": by_matrix_product,
        "loops": by_loops,
        "no gradient": lambda x, w, b: by_linear(x, w, b).detach(),
        "float32 alone": lambda x, w, b: by_linear(x, w, b + torch.zeros(len(b))),
    },
    checks.check_fold: {
        "matrix products": fold,
        "probing": fold_by_probing,
        "no gradient": lambda *tensors: [part.detach() for part in fold(*tensors)],
    },
    checks.check_linear_to_conv: {"copy": linear_to_conv, "data": linear_to_conv_by_data},
    checks.check_nin_block: {"function": nin_block, "class": NinBlock},
    checks.check_window_of: {"forwards": window_of, "backwards": window_of_backwards},
}


test_a_wrong_answer_is_told_what_is_wrong = each_refused(WRONG)
test_a_right_answer_is_accepted_in_whatever_style = each_accepted(RIGHT)
