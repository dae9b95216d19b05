"""Checkers for the exercises of lesson 1: counting heads, 1×1 convolutions, dense layers, NIN."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import (
    Mistake,
    operators_of,
    require_answers,
    require_function,
    require_kept,
    wrong_answers,
)
from course_utils.checks.building import build
from course_utils.checks.feedback import Feedback, correct, kind_of, reject
from course_utils.checks.modules import require_layers, require_modules
from course_utils.checks.running import checker
from course_utils.i18n import _, number
from course_utils.models.convolutionalise import linear_to_conv
from course_utils.models.nin import mlpconv

__all__ = [
    "check_conv_1x1",
    "check_fold",
    "check_head_parameters",
    "check_linear_to_conv",
    "check_nin_block",
    "check_window_of",
]

Layers = Sequence[int]


def _heads(
    maps: int,
    side: int,
    hidden: int,
    classes: int,
    *,
    bias: int = 1,
    middle: int = 1,
    seen: int = 1,
) -> tuple[int, int]:
    dense = (maps * side**2 + bias) * hidden + middle * (hidden + bias) * hidden
    return dense + (hidden + bias) * classes, (maps * seen + bias) * classes


@checker
def check_head_parameters(function: object) -> Feedback:
    """Check ``head_parameters(maps, side, hidden, classes)``: those of a dense head and of GAP's.

    >>> def head_parameters(maps, side, hidden, classes):
    ...     dense = maps * side**2 * hidden + hidden + hidden**2 + hidden + hidden * classes
    ...     return dense + classes, maps * classes + classes
    >>> print(check_head_parameters(head_parameters).verdict)
    Correct
    """
    layers = _("A linear layer with n inputs and m units has n·m weights and m biases.")
    vgg = 512, 7, 4096, 1000
    mistakes = wrong_answers(
        partial(_heads, bias=0),
        _("the biases are missing: every layer has one per unit."),
        layers,
        lambda *sizes: (_heads(*sizes)[0], _heads(*sizes, bias=0)[1]),
        _("the biases of the second head are missing: it has one per class."),
        partial(_heads, middle=0),
        _("the second hidden layer, from `hidden` units to `hidden` units, is missing."),
        lambda maps, side, *units: _heads(maps, 1, *units),
        _("the dense head counts one number per map; once flattened, a map has side × side."),
        lambda maps, side, *units: (
            _heads(maps * side, 1, *units)[0],
            _heads(maps, 1, *units)[1],
        ),
        _("a map has `side` rows *and* `side` columns, so side × side numbers."),
        lambda maps, side, *units: _heads(maps, side, *units, seen=side**2),
        _("the second head still sees every position, but after GAP one number per map is left."),
        _("GAP has no parameters, and passes on one number per map."),
        lambda *sizes: _heads(*sizes)[::-1],
        _("the two numbers are swapped: the dense head comes first."),
    )
    cases = [vgg, (64, 8, 256, 10), (3, 2, 5, 4)]
    require_answers(function, "head_parameters", cases, _heads, mistakes, layers)
    dense, gap = (number(count, 9) for count in _heads(*vgg))
    return correct(
        _("for the head of VGG, that makes {dense} parameters against {gap}.").format(
            dense=dense, gap=gap
        )
    )


def _conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight[:, :, None, None], bias)


def _pixelwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x.movedim(1, -1), weight, bias)  # (B, H, W, O)


def _misread(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    mixed = F.linear(x.reshape(batch, height, width, channels), weight, bias)
    return mixed.reshape(batch, len(weight), height, width)


@checker
def check_conv_1x1(function: object) -> Feedback:
    """Check ``conv_1x1(x, weight, bias)``: ``(B, C, H, W)`` to ``(B, O, H, W)``, weight (O, C).

    >>> def conv_1x1(x, weight, bias):
    ...     return torch.einsum("oc,bchw->bohw", weight, x) + bias[:, None, None]
    >>> print(check_conv_1x1(conv_1x1).verdict)
    Correct
    """
    name = "conv_1x1"

    def case(batch: int, channels: int, out: int, height: int, width: int) -> tuple[Tensor, ...]:
        shapes = ((batch, channels, height, width), (out, channels), (out,))
        return tuple(map(torch.randn, shapes))

    pixel = _("At each position, compute `weight @ x[b, :, i, j] + bias`, a vector of O numbers.")
    order = _(
        "`reshape` and `view` only cut the same row of numbers differently; `permute` and "
        "`movedim` move a dimension."
    )
    mistakes = wrong_answers(
        lambda x, w, b: _conv(x, w, torch.zeros_like(b)),
        _("the bias is missing."),
        _("Add one number per output map at every position, as `bias[:, None, None]`."),
        lambda x, w, b: _conv(x, w.T, b),
        _("the weight is transposed: its rows are the output maps, its columns the input's."),
        _pixelwise,
        _("the values are right, but the channels come last: (B, H, W, O)."),
        order,
        _misread,
        _("you read the channels with `reshape`, which mixes up positions."),
        order,
        lambda x, w, b: _pixelwise(x, w, b).reshape(len(x), len(w), *x.shape[2:]),
        _("you put the channels back with `reshape`, which mixes up positions."),
        order,
        lambda x, w, b: _conv(x, w / w.shape[1], b),
        _("you divide the sum over the channels by their number, but it should be a sum."),
        lambda x, w, b: _conv(x, w, b).relu(),
        _("a ReLU follows, but the 1×1 convolution itself is linear."),
        lambda x, w, b: _conv(x, w, b).mean((2, 3)),
        _("you average the positions away, but each keeps its own output."),
    )
    # With as many maps out as in, a transposed weight fits too, and can be told apart.
    cases = [case(2, 4, 4, 5, 3), case(1, 6, 6, 2, 7), case(3, 5, 2, 4, 6), case(1, 3, 4, 1, 1)]
    require_answers(function, name, cases, _conv, mistakes, pixel)
    operators = operators_of(lambda: require_function(function, name)(*cases[0]))
    if any(re.search("conv(?!ert)", operator) for operator in operators):
        reject(
            _(
                "`{name}` returns the right output, but one of torch's convolutions computes it."
            ).format(name=name),
            pixel,
        )
    return correct(_("your convolution equals torch's own, at every pixel."))


@checker
def check_fold(function: object) -> Feedback:
    """Check ``fold(weight1, bias1, weight2, bias2)``: the weight and bias of the two in a row.

    >>> def fold(weight1, bias1, weight2, bias2):
    ...     return weight2 @ weight1, weight2 @ bias1 + bias2
    >>> print(check_fold(fold).verdict)
    Correct
    """

    def case(maps: int, between: int, out: int) -> tuple[Tensor, ...]:
        return tuple(map(torch.randn, ((between, maps), (between,), (out, between), (out,))))

    algebra = _("Expand `weight2 @ (weight1 @ x + bias1) + bias2`.")
    mistakes = wrong_answers(
        lambda w1, b1, w2, b2: (w1 @ w2, w2 @ b1 + b2),
        _("you multiply the weights in the wrong order: the second acts last."),
        lambda w1, b1, w2, b2: (w1 @ w2, w1 @ b2 + b1),
        _("you fold the two convolutions in the wrong order: the second acts last."),
        lambda w1, b1, w2, b2: (w2 @ w1, b2),
        _("you forgot the first bias, which goes through the second convolution."),
        lambda w1, b1, w2, b2: (w2 @ w1, b1 + b2),
        _("the biases are added as they are, but the first one goes through the second weight."),
        lambda w1, b1, w2, b2: (w2 @ w1, w2 @ b1),
        _("you forgot the second bias."),
        lambda w1, b1, w2, b2: (w2 + w1, b1 + b2),
        _(
            "you add the weights and the biases, but applying one layer after the other is not "
            "a sum."
        ),
        lambda w1, b1, w2, b2: (w2 * w1, w2 @ b1 + b2),
        _("you multiply the weights number by number (`*`), where a matrix product is needed."),
        _("In Python the matrix product is `@`."),
        lambda w1, b1, w2, b2: (w2 @ b1 + b2, w2 @ w1),
        _("the two answers are swapped: the weight comes first, then the bias."),
    )
    # With equal sizes a product in the wrong order fits too, and can be told apart.
    cases = [case(4, 4, 4), case(3, 3, 3), case(3, 5, 2), case(2, 1, 6)]
    require_answers(
        function,
        "fold",
        cases,
        lambda w1, b1, w2, b2: (w2 @ w1, w2 @ b1 + b2),
        mistakes,
        algebra,
    )
    return correct(_("your single convolution does what the two do in a row."))


@checker
def check_linear_to_conv(function: object) -> Feedback:
    """Check ``linear_to_conv(linear, channels, height, width)``: the convolution equal to it.

    >>> print(check_linear_to_conv(linear_to_conv).verdict)
    Correct
    """
    shape = _(
        "The kernel is as large as the map, in the order (height, width). Maps come in, and one "
        "map per unit of the linear layer goes out."
    )
    for units, *sizes in ((7, 3, 4, 5), (7, 6, 1, 1), (4, 2, 5, 3)):
        linear = nn.Linear(math.prod(sizes), units)
        given = deepcopy(linear)
        conv = build(function, "linear_to_conv", given, *sizes)
        label = f"linear_to_conv(linear, {', '.join(map(str, sizes))})"
        require_kept(linear.state_dict(), given.state_dict(), label)
        if not isinstance(conv, nn.Conv2d):
            reject(
                _(
                    "`{label}` returns a value of type `{kind}`, and should return an `nn.Conv2d`."
                ).format(label=label, kind=kind_of(conv))
            )
        wanted = linear_to_conv(linear, *sizes)
        require_layers(conv, wanted, label, shape)
        _require_weights(conv, linear, sizes, label)
        x = torch.randn(2, sizes[0], sizes[1] + 2, sizes[2] + 1)
        if not torch.allclose(conv(x), wanted(x), atol=1e-5):
            reject(
                _("`{label}` has the right weights, but computes something else.").format(
                    label=label
                ),
                _("A plain `nn.Conv2d` is enough, with torch's own `forward`."),
            )
    return correct(
        _("your convolution has the weights of the linear layer, and takes images of any size.")
    )


def _require_weights(conv: nn.Conv2d, linear: nn.Linear, sizes: Sequence[int], label: str) -> None:
    names = ("channels", "height", "width")
    for order in itertools.permutations(range(3)):
        read = linear.weight.view(-1, *(sizes[place] for place in order))
        if torch.allclose(conv.weight, read.permute(0, *(1 + order.index(n) for n in range(3)))):
            break
    else:
        reject(
            _("`{label}` does not have the weights of the linear layer.").format(label=label),
            _("Copy them under `torch.no_grad()`: `conv.weight.copy_(…)`."),
        )
    if order != (0, 1, 2):
        reject(
            _(
                "`{label}` reads the rows of the matrix in the order ({given}), and "
                "`nn.Flatten` lays them out as (channels, height, width)."
            ).format(label=label, given=", ".join(names[place] for place in order)),
            _("Each row of `linear.weight` is one flattened (C, H, W) block."),
        )
    assert conv.bias is not None
    if not torch.allclose(conv.bias, linear.bias):
        reject(
            _("`{label}` has the weights, but not the bias of the linear layer.").format(
                label=label
            ),
            _("Copy the bias as well: it has the same shape in both layers."),
        )


def _reach(kernels: Layers, strides: Layers, *, early: bool = False) -> tuple[int, int]:
    """The side of a window, and the pixels from one position to the next."""
    side = jump = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side += (kernel - 1) * (jump * stride if early else jump)
        jump *= stride
    return side, jump


def _window(row: int, column: int, side: int, jump: int, end: int = 1) -> tuple[int, ...]:
    top, left = row * jump, column * jump
    return top, left, top + side - end, left + side - end


def _window_of(row: int, column: int, kernels: Layers, strides: Layers) -> tuple[int, ...]:
    return _window(row, column, *_reach(kernels, strides))


@checker
def check_window_of(function: object) -> Feedback:
    """Check ``window_of(row, column, kernels, strides)``: first and last pixel, top left first.

    >>> def window_of(row, column, kernels, strides):
    ...     side, jump = 1, 1
    ...     for kernel, stride in zip(kernels, strides):
    ...         side, jump = side + (kernel - 1) * jump, jump * stride
    ...     top, left = row * jump, column * jump
    ...     return top, left, top + side - 1, left + side - 1
    >>> print(check_window_of(window_of).verdict)
    Correct
    """
    rule = _(
        "Moving by one cell in a layer's output means moving by `stride` cells in its input: "
        "follow this jump, and the side of the window, layer by layer from the image on."
    )
    mistakes = wrong_answers(
        lambda r, c, k, s: _window(r, c, *_reach(k, s), end=0),
        _("the last pixel is one too far: it should be the last one *inside* the window."),
        _("A window of 20 pixels that starts at pixel 0 ends at pixel 19."),
        lambda r, c, k, s: _window_of(c, r, k, s),
        _("you swapped rows and columns: your order is top, left, bottom, right."),
        lambda r, c, k, s: _window(r, c, _reach(k, s)[0], 1),
        _("your window moves by one pixel per position, whatever the strides."),
        lambda r, c, k, s: _window(r, c, _reach(k, s)[0], sum(s)),
        _("you add the strides, but they multiply."),
        lambda r, c, k, s: _window(r, c, sum(k) - len(k) + 1, math.prod(s)),
        _("the side of your window ignores the strides."),
        lambda r, c, k, s: _window(r, c, sum(k), math.prod(s)),
        _("the side of your window is the sum of the kernels."),
        lambda r, c, k, s: _window(r, c, *_reach(k, s, early=True)),
        _("the stride of a layer is counted too early: its own kernel still moves over its input."),
        lambda r, c, k, s: (*_window_of(r, c, k, s)[:2], *2 * _reach(k, s)[:1]),
        _("the last two numbers are the sides of the window, not its last row and column."),
    )
    cases = [
        (3, 5, (5, 2, 3, 6), (1, 2, 1, 1)),
        (0, 2, [3, 3, 2, 3], [2, 1, 2, 1]),
        (4, 1, (7, 3, 3), (2, 2, 2)),
        (2, 3, [1, 4], [3, 2]),
    ]
    require_answers(function, "window_of", cases, _window_of, mistakes, rule)
    return correct(_("the product of the strides moves the window, and every kernel widens it."))


@checker
def check_nin_block(function: object) -> Feedback:
    """Check ``nin_block(in_channels, out_channels, kernel_size, last_relu=True)``.

    >>> def nin_block(in_channels, out_channels, kernel_size, last_relu=True):
    ...     return mlpconv(in_channels, 3 * (out_channels,), kernel_size, last_relu=last_relu)
    >>> print(check_nin_block(nin_block).verdict)
    Correct
    """

    def reference(maps: int, out: int, kernel: int, last_relu: bool = True) -> nn.Sequential:
        return mlpconv(maps, (out, out, out), kernel, last_relu=last_relu)

    def mistakes(maps: int, out: int, kernel: int, last_relu: bool = True) -> list[Mistake]:
        first, relu, second, _relu, third = reference(maps, out, kernel, last_relu=False)
        end = [relu] * last_relu
        linear = _("Without a ReLU between them, two consecutive convolutions fold into one.")
        return wrong_answers(
            nn.Sequential(first, second, third),
            _("there is no ReLU at all."),
            linear,
            nn.Sequential(first, relu, second, third, *end),
            _("there is no ReLU between the two 1×1 convolutions."),
            linear,
            nn.Sequential(first, second, relu, third, *end),
            _("there is no ReLU after the first convolution."),
            linear,
            nn.Sequential(first, second, third, *end),
            _("there are no ReLUs between the convolutions."),
            linear,
            reference(maps, out, kernel, not last_relu),
            _("the last ReLU is missing.")
            if last_relu
            else _("the block ends with a ReLU, although `last_relu=False` asks for none."),
        )

    cases = [(3, 6, 5), (3, 6, 3), (5, 4, 3, {"last_relu": False})]
    require_modules(function, "nin_block", cases, reference, mistakes)
    return correct(
        _(
            "your block runs a convolution, then two 1×1 convolutions, with a ReLU after each "
            "unless you ask otherwise."
        )
    )
