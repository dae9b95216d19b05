"""Lesson 3's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checking import (
    ABSURD,
    BLANKS,
    Check,
    accepted,
    random_state_kept,
    refused,
    told_where_it_broke,
)
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import degradation as checks

ALL: dict[str, Check] = {name: getattr(checks, name) for name in checks.__all__}
FUNCTIONS = (checks.check_pad_shortcut, checks.check_paired_change)
MODULES = {name: check for name, check in ALL.items() if check not in FUNCTIONS}


# --- What holds for all of them ---------------------------------------------------------------


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_stub_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", MODULES.values(), ids=MODULES)
def test_a_class_left_as_it_is_in_the_notebook_is_not_filled_in_yet(check: Check) -> None:
    class Stub(nn.Module):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__()
            ...

        def forward(self, x: Tensor) -> Tensor: ...

    assert check(Stub).passed is None
    assert check(lambda *args, **kwargs: Stub()).passed is None


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("absurd", ABSURD, ids=repr)
def test_an_absurd_answer_is_refused_without_an_exception(check: Check, absurd: object) -> None:
    assert check(absurd).passed is False


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_code_that_raises_is_told_where(check: Check) -> None:
    told_where_it_broke(check)


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_a_forward_that_raises_is_told_where(check: Check) -> None:
    class Broken(nn.Module):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return self.missing(x)

    feedback = check(Broken)
    assert feedback.passed is False
    if check in MODULES.values():
        assert "self.missing(x)" in feedback.message


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_the_readers_random_state_is_left_alone(check: Check) -> None:
    with random_state_kept():
        for answer in SOLUTIONS[check].values():
            check(answer)


def test_a_module_the_reader_keeps_is_left_alone() -> None:
    kept = conv_bn_relu_sequential(3, 8)
    state = copy.deepcopy(kept.state_dict())
    checks.check_conv_bn_relu(lambda *args, **kwargs: kept)
    checks.check_conv_bn_relu(kept)
    assert kept.training
    assert all(p.grad is None and p.dtype is torch.float32 for p in kept.parameters())
    assert all(torch.equal(value, state[name]) for name, value in kept.state_dict().items())


# --- 1. conv_bn_relu --------------------------------------------------------------------------


def conv_bn_relu_sequential(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class ConvBNReLUClass(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(out_channels)
        self.conv = nn.LazyConv2d(out_channels, 3, stride, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).clamp(min=0)


def conv(i: int, o: int, k: int = 3, s: int = 1, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, s, **{"padding": k // 2, "bias": False, **options})


def bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)


WRONG_CONV_BN_RELU: dict[str, tuple[object, str]] = {
    "bias": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride, bias=True), bn(o), nn.ReLU()),
        "has a bias",
    ),
    "no padding": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride, padding=0), bn(o), nn.ReLU()),
        "has padding (0, 0); (1, 1) is expected",
    ),
    "no relu": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride), bn(o)),
        "the ReLU is missing",
    ),
    "relu before bn": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride), nn.ReLU(), bn(o)),
        "the ReLU comes before the batch normalisation",
    ),
    "no bn": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride), nn.ReLU()),
        "the batch normalisation is missing",
    ),
    "conv alone": (
        lambda i, o, stride=1: conv(i, o, 3, stride),
        "the batch normalisation and the ReLU are missing",
    ),
    "stride ignored": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o), bn(o), nn.ReLU()),
        "has stride (1, 1); (2, 2) is expected",
    ),
    "1x1": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 1, stride), bn(o), nn.ReLU()),
        "Missing: 1 × Conv2d 3→8, 3×3. Not expected: 1 × Conv2d 3→8, 1×1",
    ),
    "norm of the input": (
        lambda i, o, stride=1: nn.Sequential(bn(i), conv(i, o, 3, stride), nn.ReLU()),
        "Missing: 1 × BatchNorm2d(8). Not expected: 1 × BatchNorm2d(3)",
    ),
    "norm too narrow": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride), bn(i), nn.ReLU()),
        "The channels that a layer receives are not those it was made for",
    ),
    "no stride argument": (
        lambda i, o: nn.Sequential(conv(i, o), bn(o), nn.ReLU()),
        "names and number of the arguments",
    ),
    "another activation": (
        lambda i, o, stride=1: nn.Sequential(conv(i, o, 3, stride), bn(o), nn.LeakyReLU()),
        "gives negative values",
    ),
    "the class": (lambda i, o, stride=1: nn.Sequential, "gives back the class `Sequential`"),
}


@pytest.mark.parametrize("wrong", WRONG_CONV_BN_RELU)
def test_conv_bn_relu_explains(wrong: str) -> None:
    refused(checks.check_conv_bn_relu, *WRONG_CONV_BN_RELU[wrong])


# --- 2. identity_layer ------------------------------------------------------------------------


def identity_layer_dirac(channels: int) -> Any:
    layer = conv_bn_relu_sequential(channels, channels)
    nn.init.dirac_(layer[0].weight)
    nn.init.constant_(layer[1].weight, math.sqrt(1 + layer[1].eps))
    return layer


class IdentityLayerByHand(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.conv.bias.zero_()
            self.conv.weight.zero_()
            for channel in range(channels):
                self.conv.weight[channel, channel, 1, 1] = 1
            self.norm.running_var.fill_(1 - self.norm.eps)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


def identity_layer_with(
    weight: Callable[[Tensor], object], gain: float = math.sqrt(1 + 1e-5), relu: bool = True
) -> Callable[[int], nn.Module]:
    """A layer whose kernel is zero, then changed by ``weight``."""

    def identity_layer(channels: int) -> nn.Module:
        layers = [conv(channels, channels), bn(channels)]
        with torch.no_grad():
            weight(layers[0].weight.zero_())
            layers[1].weight.fill_(gain)
        return nn.Sequential(*layers, *[nn.ReLU()] * relu)

    return identity_layer


def _shifted(weight: Tensor) -> None:
    weight[range(len(weight)), range(len(weight)), 0, 0] = 1


def _blurred(weight: Tensor) -> None:
    weight[range(len(weight)), range(len(weight))] = 1 / 9


def _all_centres(weight: Tensor) -> None:
    weight[:, :, 1, 1] = 1


def _biased(channels: int) -> nn.Module:
    layer = identity_layer_dirac(channels)
    nn.init.constant_(layer[1].bias, 0.1)
    return layer


def _no_statistics(channels: int) -> nn.Module:
    layer = identity_layer_dirac(channels)
    layer[1] = nn.BatchNorm2d(channels, track_running_stats=False)
    return layer


WRONG_IDENTITY_LAYER: dict[str, tuple[object, str]] = {
    "eps forgotten": (identity_layer_with(nn.init.dirac_, gain=1.0), "1/√(1 + ε)"),
    "random kernel": (lambda c: conv_bn_relu_sequential(c, c), "mixes the maps"),
    "ones": (identity_layer_with(nn.init.ones_), "mixes the maps"),
    "all centres": (identity_layer_with(_all_centres), "mixes the maps"),
    "corner": (identity_layer_with(_shifted), "moves the image"),
    "blur": (identity_layer_with(_blurred), "spreads a lit pixel over its neighbours"),
    "twice": (identity_layer_with(nn.init.dirac_, gain=2.0), "a pixel of 1 comes out as 2"),
    "zeros": (identity_layer_with(nn.init.zeros_), "gives zeros"),
    "no relu": (identity_layer_with(nn.init.dirac_, relu=False), "its ReLU is missing"),
    "bias": (_biased, "answers to an empty image with something else than zeros"),
    "nn.Identity": (lambda c: nn.Identity(), "that run are: none"),
    "1x1": (
        lambda c: nn.Sequential(conv(c, c, 1), bn(c), nn.ReLU()),
        "should be one 3×3 convolution",
    ),
    "no statistics": (_no_statistics, "with the statistics of each batch"),
    "no padding": (
        lambda c: nn.Sequential(conv(c, c, padding=0), bn(c), nn.ReLU()),
        "of shape (4, 3, 7, 7); (4, 3, 9, 9) is expected",
    ),
    "outside no_grad": (
        lambda c: nn.Sequential(conv(c, c)).apply(
            lambda m: m.weight.zero_() if hasattr(m, "weight") else None
        ),
        "`torch.no_grad()`",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_IDENTITY_LAYER)
def test_identity_layer_explains(wrong: str) -> None:
    refused(checks.check_identity_layer, *WRONG_IDENTITY_LAYER[wrong])


# --- 3. IdentityBlock -------------------------------------------------------------------------


class IdentityBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.bn1 = bn(channels)
        self.conv2 = conv(channels, channels)
        self.bn2 = bn(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(x + y)


class IdentityBlockShuffled(nn.Module):
    """Norms first, the second convolution before the first, in-place where it does no harm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([bn(channels), bn(channels)])
        self.second = nn.Conv2d(channels, channels, 3, padding="same", bias=False)
        self.first = nn.Conv2d(channels, channels, 3, padding="same", bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.norms[1](self.first(x)))
        out = self.norms[0](self.second(out))
        out += x
        return self.relu(out)


def identity_block_function(channels: int) -> nn.Module:
    class Add(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return (super().forward(x) + x).relu()

    return Add(conv_bn_relu_sequential(channels, channels), conv(channels, channels), bn(channels))


def identity_block_that(forward: Callable[[Any, Tensor], Tensor]) -> type[nn.Module]:
    return type("IdentityBlock", (IdentityBlock,), {"forward": forward})


class BiasedIdentityBlock(IdentityBlock):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv2 = conv(channels, channels, bias=True)


class UnpaddedIdentityBlock(IdentityBlock):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv1 = conv(channels, channels, padding=0)


class LateSuper(IdentityBlock):
    def __init__(self, channels: int) -> None:
        self.conv1 = conv(channels, channels)
        super().__init__(channels)


class ListedLayers(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = [conv_bn_relu_sequential(channels, channels), conv(channels, channels)]
        self.bn = bn(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.layers[1](self.layers[0](x))) + x)


class GroupNormed(IdentityBlock):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bn1 = nn.GroupNorm(1, channels)


class OneConvolution(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels), bn(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(x)) + x)


def _relu_in_place_on_input(b: Any, x: Tensor) -> Tensor:
    y = b.bn1(b.conv1(F.relu_(x)))
    return F.relu(b.bn2(b.conv2(F.relu(y))) + x)


def _overwritten(b: Any, x: Tensor) -> Tensor:
    x = F.relu(b.bn1(b.conv1(x)))
    return F.relu(b.bn2(b.conv2(x)) + x)


def _overwritten_twice(b: Any, x: Tensor) -> Tensor:
    x = F.relu(b.bn1(b.conv1(x)))
    x = b.bn2(b.conv2(x))
    return F.relu(x + x)


WRONG_IDENTITY_BLOCK: dict[str, tuple[object, str]] = {
    "no addition": (
        identity_block_that(lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))))),
        "the addition is missing",
    ),
    "addition after relu": (
        identity_block_that(lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))))) + x),
        "the last ReLU comes before the addition",
    ),
    "no last relu": (
        identity_block_that(lambda b, x: b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))) + x),
        "the ReLU after the addition is missing",
    ),
    "relu twice": (
        identity_block_that(
            lambda b, x: F.relu(F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))))) + x)
        ),
        "a ReLU just before the addition",
    ),
    "no inner relu": (
        identity_block_that(lambda b, x: F.relu(b.bn2(b.conv2(b.bn1(b.conv1(x)))) + x)),
        "no ReLU between the convolutions",
    ),
    "relu on the shortcut": (
        identity_block_that(
            lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))) + F.relu(x))
        ),
        "a ReLU acts on the shortcut",
    ),
    "relu before bn": (
        identity_block_that(lambda b, x: F.relu(b.bn2(b.conv2(b.bn1(F.relu(b.conv1(x))))) + x)),
        "a ReLU comes before its batch normalisation",
    ),
    "bn after addition": (
        identity_block_that(lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))) + x))),
        "the last batch normalisation comes after the addition",
    ),
    "pre-activation": (
        identity_block_that(lambda b, x: b.conv2(F.relu(b.bn2(b.conv1(F.relu(b.bn1(x)))))) + x),
        "pre-activation",
    ),
    "x overwritten": (identity_block_that(_overwritten), "the output of its first layers"),
    "x overwritten twice": (
        identity_block_that(_overwritten_twice),
        "the main path is added to itself",
    ),
    "in place": (identity_block_that(_relu_in_place_on_input), "changes its own input"),
    "concatenation": (
        identity_block_that(
            lambda b, x: F.relu(torch.cat([b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))), x], dim=1))
        ),
        "concatenated rather than added",
    ),
    "shared bn": (
        identity_block_that(lambda b, x: F.relu(b.bn1(b.conv2(F.relu(b.bn1(b.conv1(x))))) + x)),
        "`bn1` (BatchNorm2d(4)), runs 2 times",
    ),
    "shared convolution": (
        identity_block_that(lambda b, x: F.relu(b.bn2(b.conv1(F.relu(b.bn1(b.conv1(x))))) + x)),
        "`conv1` (Conv2d 4→4, 3×3), runs 2 times",
    ),
    "norm forgotten": (
        identity_block_that(lambda b, x: F.relu(b.conv2(F.relu(b.bn1(b.conv1(x)))) + x)),
        "`bn2` (BatchNorm2d(4)) is made but never runs",
    ),
    "bias": (BiasedIdentityBlock, "the convolution `conv2` has a bias"),
    "no padding": (UnpaddedIdentityBlock, "`conv1` (Conv2d 4→4, 3×3) has padding (0, 0)"),
    "one convolution": (OneConvolution, "Missing: 1 × Conv2d 4→4, 3×3; 1 × BatchNorm2d(4)"),
    "super too late": (LateSuper, "must come before the first layer"),
    "detached": (
        identity_block_that(
            lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))).detach() + x)
        ),
        "no gradient reaches",
    ),
    "plain list": (ListedLayers, "keeps layers in a Python list, `layers`"),
    "dropout": (
        identity_block_that(lambda b, x: F.dropout(IdentityBlock.forward(b, x), 0.5, b.training)),
        "right in eval mode, but not in training mode",
    ),
    "group norm": (GroupNormed, "Not expected: 1 × GroupNorm(weight, bias)"),
    "fixed type": (
        identity_block_that(lambda b, x: IdentityBlock.forward(b, x.float())),
        "computes in float64",
    ),
    "an instance": (IdentityBlock(4), "already made"),
    "a tuple": (identity_block_that(lambda b, x: (x, x)), "answers with a `tuple`"),
}


@pytest.mark.parametrize("wrong", WRONG_IDENTITY_BLOCK)
def test_identity_block_explains(wrong: str) -> None:
    refused(checks.check_identity_block, *WRONG_IDENTITY_BLOCK[wrong])


# --- 4. ProjectionBlock -----------------------------------------------------------------------


class ProjectionBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn1 = bn(out_channels)
        self.conv2 = conv(out_channels, out_channels)
        self.bn2 = bn(out_channels)
        self.shortcut = self.make_shortcut(in_channels, out_channels, stride)

    def make_shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        return nn.Sequential(conv(in_channels, out_channels, 1, stride), bn(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ProjectionBlockShortcutFirst(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__()
        self.norms = nn.ModuleList(bn(out_channels) for _n in range(3))
        self.around = conv(in_channels, out_channels, 1, stride)
        self.first = conv(in_channels, out_channels, 3, stride)
        self.second = conv(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        total = self.norms[2](self.around(x))
        total = total + self.norms[0](self.second(self.norms[1](self.first(x)).relu()))
        return total.relu()


def projection_block_with(shortcut: Callable[[int, int, int], nn.Module]) -> type[nn.Module]:
    return type(
        "ProjectionBlock",
        (ProjectionBlock,),
        {"make_shortcut": lambda self, i, o, s: shortcut(i, o, s)},
    )


def projection_block_that(forward: Callable[[Any, Tensor], Tensor]) -> type[nn.Module]:
    return type("ProjectionBlock", (ProjectionBlock,), {"forward": forward})


class StrideOnTheSecond(ProjectionBlock):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, out_channels, stride)
        self.conv1 = conv(in_channels, out_channels)
        self.conv2 = conv(out_channels, out_channels, 3, stride)


class StrideOnBoth(ProjectionBlock):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, out_channels, stride)
        self.conv2 = conv(out_channels, out_channels, 3, stride)


WRONG_PROJECTION_BLOCK: dict[str, tuple[object, str]] = {
    "no bn in the shortcut": (
        projection_block_with(lambda i, o, s: conv(i, o, 1, s)),
        "the projection has no batch normalisation of its own",
    ),
    "bias in the shortcut": (
        projection_block_with(lambda i, o, s: conv(i, o, 1, s, bias=True)),
        "the convolution `shortcut` has a bias",
    ),
    "3x3 shortcut": (
        projection_block_with(lambda i, o, s: nn.Sequential(conv(i, o, 3, s), bn(o))),
        "the projection is a 3×3 convolution",
    ),
    "pooled shortcut": (
        projection_block_with(lambda i, o, s: nn.Sequential(nn.AvgPool2d(s), conv(i, o, 1), bn(o))),
        "the shortcut averages pixels",
    ),
    "padded shortcut": (
        projection_block_with(lambda i, o, s: _Pad(o, s)),
        "padded with empty maps (option A)",
    ),
    "relu in the shortcut": (
        projection_block_with(lambda i, o, s: nn.Sequential(conv(i, o, 1, s), bn(o), nn.ReLU())),
        "a ReLU acts on the shortcut",
    ),
    "shortcut without stride": (
        projection_block_with(lambda i, o, s: nn.Sequential(conv(i, o, 1), bn(o))),
        "`shortcut.0` (Conv2d 6→8, 1×1) has stride (1, 1); (2, 2) is expected",
    ),
    "identity shortcut": (
        projection_block_with(lambda i, o, s: nn.Identity()),
        "Two tensors that meet have different shapes",
    ),
    "shortcut forgotten": (
        projection_block_that(lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))))),
        "`shortcut.0` (Conv2d 6→8, 1×1) is made but never runs",
    ),
    "addition after relu": (
        projection_block_that(
            lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))))) + b.shortcut(x)
        ),
        "the last ReLU comes before the addition",
    ),
    "no last relu": (
        projection_block_that(
            lambda b, x: b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))) + b.shortcut(x)
        ),
        "the ReLU after the addition is missing",
    ),
    "stride on the second": (
        StrideOnTheSecond,
        "`conv1` (Conv2d 6→8, 3×3) has stride (1, 1); (2, 2) is expected",
    ),
    "stride on both": (
        StrideOnBoth,
        "`conv2` (Conv2d 8→8, 3×3) has stride (2, 2); (1, 1) is expected",
    ),
    "stride ignored": (
        lambda i, o, stride=2: ProjectionBlock(i, o, 2),
        "`ProjectionBlock(6, 8, stride=1)` – the layer `conv1` (Conv2d 6→8, 3×3) has stride (2, 2)",
    ),
}


class _Pad(nn.Module):
    def __init__(self, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return pad_shortcut(x, self.out_channels, self.stride)


@pytest.mark.parametrize("wrong", WRONG_PROJECTION_BLOCK)
def test_projection_block_explains(wrong: str) -> None:
    refused(checks.check_projection_block, *WRONG_PROJECTION_BLOCK[wrong])


# --- 5. pad_shortcut --------------------------------------------------------------------------


def pad_shortcut(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def pad_shortcut_cat(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    x = F.max_pool2d(x, kernel_size=1, stride=stride)
    batch, channels, height, width = x.shape
    return torch.cat([x, x.new_zeros(batch, out_channels - channels, height, width)], dim=1)


def pad_shortcut_both_sides(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    extra = out_channels - x.shape[1]
    x = x[..., ::stride, ::stride]
    return F.pad(x, (0, 0, 0, 0, extra // 2, extra - extra // 2))


def _pad_in_float32(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    x = x[:, :, ::stride, ::stride]
    batch, channels, height, width = x.shape
    return torch.cat([x, torch.zeros(batch, out_channels - channels, height, width)], dim=1)


def _pad(x: Tensor, out_channels: int) -> Tensor:
    return F.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def _pad_in_place(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    y = pad_shortcut(x, out_channels, stride)
    with torch.no_grad():
        x.zero_()
    return y


WRONG_PAD_SHORTCUT: dict[str, tuple[object, str]] = {
    "average": (
        lambda x, out, stride=2: _pad(F.avg_pool2d(x, stride), out),
        "the pixels are averaged",
    ),
    "maximum": (
        lambda x, out, stride=2: _pad(F.max_pool2d(x, stride), out),
        "the largest pixel is taken",
    ),
    "stride ignored": (lambda x, out, stride=2: _pad(x, out), "the stride is not applied"),
    "no maps": (
        lambda x, out, stride=2: x[:, :, ::stride, ::stride],
        "no map is added",
    ),
    "offset": (
        lambda x, out, stride=2: _pad(x[:, :, stride - 1 :: stride, stride - 1 :: stride], out),
        "start at pixel 0",
    ),
    "corner": (
        lambda x, out, stride=2: _pad(x[:, :, : 6 // stride, : 6 // stride], out),
        "a corner of the map is cut out",
    ),
    "copies": (
        lambda x, out, stride=2: torch.cat([x, x], 1)[:, :out, ::stride, ::stride],
        "copies of those of `x`",
    ),
    "padded in space": (
        lambda x, out, stride=2: F.pad(x[:, :, ::stride, ::stride], (0, out - x.shape[1])),
        "of shape (2, 4, 3, 7); (2, 8, 3, 3) is expected",
    ),
    "stride written in": (
        lambda x, out, stride=2: _pad(x[:, :, ::2, ::2], out),
        "`pad_shortcut(x, 6, stride=1)` gives a tensor of shape (2, 6, 3, 3)",
    ),
    "noise": (
        lambda x, out, stride=2: torch.randn(2, out, 6 // stride, 6 // stride),
        "the right shape, but not the right values",
    ),
    "detached": (
        lambda x, out, stride=2: pad_shortcut(x.detach(), out, stride),
        "no gradient goes back",
    ),
    "in place": (_pad_in_place, "changes its own input"),
    "a class": (_Pad, "should be a function"),
}


@pytest.mark.parametrize("wrong", WRONG_PAD_SHORTCUT)
def test_pad_shortcut_explains(wrong: str) -> None:
    refused(checks.check_pad_shortcut, *WRONG_PAD_SHORTCUT[wrong])


def test_zeros_of_a_fixed_type_are_accepted_with_a_remark() -> None:
    assert accepted(checks.check_pad_shortcut, pad_shortcut).hint is None
    remark = accepted(checks.check_pad_shortcut, _pad_in_float32).hint
    assert remark is not None
    assert "new_zeros" in remark


# --- 6. BottleneckBlock -----------------------------------------------------------------------


class BottleneckBlock(nn.Module):
    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(in_channels, width, 1), bn(width)
        self.conv2, self.bn2 = conv(width, width), bn(width)
        self.conv3, self.bn3 = conv(width, out_channels, 1), bn(out_channels)
        self.shortcut = self.make_shortcut(in_channels, out_channels)

    def make_shortcut(self, in_channels: int, out_channels: int) -> nn.Module:
        if in_channels == out_channels:
            return nn.Identity()
        return nn.Sequential(conv(in_channels, out_channels, 1), bn(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def bottleneck_function(in_channels: int, width: int, out_channels: int) -> nn.Module:
    """Shortcut first, projection declared first, one `Sequential` for the rest."""

    class Bottleneck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = in_channels != out_channels
            if self.project:
                self.bn_s = bn(out_channels)
                self.conv_s = conv(in_channels, out_channels, 1)
            self.body = nn.Sequential(
                conv(in_channels, width, 1),
                bn(width),
                nn.ReLU(inplace=True),
                conv_bn_relu_sequential(width, width),
                conv(width, out_channels, 1),
                bn(out_channels),
            )

        def forward(self, x: Tensor) -> Tensor:
            shortcut = self.bn_s(self.conv_s(x)) if self.project else x
            return torch.relu(shortcut + self.body(x))

    return Bottleneck()


def bottleneck_that(**members: object) -> type[nn.Module]:
    return type("BottleneckBlock", (BottleneckBlock,), members)


class WideBottleneck(BottleneckBlock):
    """The 3×3 first, then the two 1×1."""

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__(in_channels, width, out_channels)
        self.conv1, self.conv2 = conv(in_channels, width, 3), conv(width, width, 1)


class UnpaddedBottleneck(BottleneckBlock):
    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__(in_channels, width, out_channels)
        self.conv2 = nn.Conv2d(width, width, 3, bias=False)


class NoLastNorm(BottleneckBlock):
    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__(in_channels, width, out_channels)
        self.bn3 = nn.Identity()


WRONG_BOTTLENECK: dict[str, tuple[object, str]] = {
    "addition missing": (
        bottleneck_that(
            forward=lambda b, x: F.relu(
                b.bn3(b.conv3(F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))))))
            )
        ),
        "the addition is missing",
    ),
    "addition after relu": (
        bottleneck_that(
            forward=lambda b, x: (
                F.relu(b.bn3(b.conv3(F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))))))))
                + b.shortcut(x)
            )
        ),
        "the last ReLU comes before the addition",
    ),
    "no last relu": (
        bottleneck_that(
            forward=lambda b, x: (
                b.bn3(b.conv3(F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))))))) + b.shortcut(x)
            )
        ),
        "the ReLU after the addition is missing",
    ),
    "no second relu": (
        bottleneck_that(
            forward=lambda b, x: F.relu(
                b.bn3(b.conv3(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))))) + b.shortcut(x)
            )
        ),
        "the ReLU after batch normalisation number 2 is missing",
    ),
    "no first relu": (
        bottleneck_that(
            forward=lambda b, x: F.relu(
                b.bn3(b.conv3(F.relu(b.bn2(b.conv2(b.bn1(b.conv1(x))))))) + b.shortcut(x)
            )
        ),
        "the ReLU after batch normalisation number 1 is missing",
    ),
    "no relu inside": (
        bottleneck_that(
            forward=lambda b, x: F.relu(
                b.bn3(b.conv3(b.bn2(b.conv2(b.bn1(b.conv1(x)))))) + b.shortcut(x)
            )
        ),
        "no ReLU between the convolutions",
    ),
    "always projects": (
        bottleneck_that(make_shortcut=lambda b, i, o: nn.Sequential(conv(i, o, 1), bn(o))),
        "projects although the shape does not change",
    ),
    "never projects": (
        bottleneck_that(make_shortcut=lambda b, i, o: nn.Identity()),
        "Two tensors that meet have different shapes",
    ),
    "no bn in the shortcut": (
        bottleneck_that(make_shortcut=lambda b, i, o: nn.Identity() if i == o else conv(i, o, 1)),
        "the projection has no batch normalisation of its own",
    ),
    "order of kernels": (WideBottleneck, "Missing: 1 × Conv2d 12→4, 1×1; 1 × Conv2d 4→4, 3×3"),
    "no padding": (UnpaddedBottleneck, "`conv2` (Conv2d 4→4, 3×3) has padding (0, 0)"),
    "no last norm": (NoLastNorm, "Missing: 1 × BatchNorm2d(12)"),
    "two arguments": (IdentityBlock, "names and number of the arguments"),
}


@pytest.mark.parametrize("wrong", WRONG_BOTTLENECK)
def test_bottleneck_block_explains(wrong: str) -> None:
    refused(checks.check_bottleneck_block, *WRONG_BOTTLENECK[wrong])


# --- 7. resnet_stage --------------------------------------------------------------------------


def _plain_block(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Sequential(
        conv_bn_relu_sequential(in_channels, out_channels, stride),
        conv_bn_relu_sequential(out_channels, out_channels),
    )


class _PaddedBlock(nn.Module):
    """Option A as a block: nothing to learn in the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu_sequential(in_channels, out_channels, stride),
            conv(out_channels, out_channels),
            bn(out_channels),
        )
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + pad_shortcut(x, self.out_channels, self.stride))


def resnet_stage(
    n_blocks: int,
    in_channels: int,
    out_channels: int,
    stride: int,
    *,
    identity: Callable[[int], nn.Module] = IdentityBlock,
    projection: Callable[[int, int, int], nn.Module] = ProjectionBlock,
    number: Callable[[int], int] = lambda n: n,
    first_stride: Callable[[int], int] = lambda stride: stride,
) -> nn.Sequential:
    stride = first_stride(stride)
    keeps = stride == 1 and in_channels == out_channels
    first = identity(in_channels) if keeps else projection(in_channels, out_channels, stride)
    return nn.Sequential(first, *(identity(out_channels) for _n in range(number(n_blocks) - 1)))


class ResNetStageLoop(nn.Module):
    """A loop over a list that holds the first block last, each block in another style."""

    def __init__(self, n_blocks: int, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(IdentityBlockShuffled(out_channels) for _ in range(n_blocks))
        if stride != 1 or in_channels != out_channels:
            self.blocks[-1] = ProjectionBlockShortcutFirst(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        for block in reversed(self.blocks):
            x = block(x)
        return x


def stage_with(**options: Any) -> Callable[..., nn.Module]:
    return lambda *sizes: resnet_stage(*sizes, **options)


def _all_project(n: int, i: int, o: int, stride: int) -> nn.Module:
    return nn.Sequential(
        ProjectionBlock(i, o, stride), *(ProjectionBlock(o, o, 1) for _n in range(n - 1))
    )


def _all_take_the_stride(n: int, i: int, o: int, stride: int) -> nn.Module:
    return nn.Sequential(
        ProjectionBlock(i, o, stride), *(ProjectionBlock(o, o, stride) for _n in range(n - 1))
    )


def _first_always_projects(n: int, i: int, o: int, stride: int) -> nn.Module:
    return nn.Sequential(ProjectionBlock(i, o, stride), *(IdentityBlock(o) for _n in range(n - 1)))


def _last_changes_the_shape(n: int, i: int, o: int, stride: int) -> nn.Module:
    return nn.Sequential(*(IdentityBlock(i) for _n in range(n - 1)), ProjectionBlock(i, o, stride))


def _others_repeated(n: int, i: int, o: int, stride: int) -> nn.Module:
    first = resnet_stage(1, i, o, stride)
    return nn.Sequential(first, *[IdentityBlock(o)] * (n - 1))


def _one_layer_for_two(n: int, i: int, o: int, stride: int) -> nn.Module:
    def block(channels: int) -> nn.Module:
        block = IdentityBlock(channels)
        block.conv2 = block.conv1
        return block

    return resnet_stage(n, i, o, stride, identity=block)


def _only_first_runs(n: int, i: int, o: int, stride: int) -> nn.Module:
    class Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = resnet_stage(n, i, o, stride)

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                return block(x)
            return x

    return Stage()


SHARED = "one and the same block stands at several places"

WRONG_STAGE: dict[str, tuple[Any, ...]] = {
    "every block takes the stride": (
        _all_take_the_stride,
        "blocks after the first take the stride too: the side of the maps goes from 8 to 4, 2, 1",
    ),
    "every block projects": (_all_project, "3 blocks project; the first alone changes the shape"),
    "one too many": (
        stage_with(number=lambda n: n + 1),
        "the number of blocks that run is 4 (two 3×3 convolutions each); 3 are expected",
        "The first block is one of the `n_blocks`",
    ),
    "one too few": (
        stage_with(number=lambda n: n - 1),
        "the number of blocks that run is 2",
        "Count the turns of your loop",
    ),
    "first block only": (
        lambda *sizes: resnet_stage(*sizes)[0],
        "the number of blocks that run is 1",
        "Do the other blocks reach the answer?",
    ),
    "return in the loop": (_only_first_runs, "the number of blocks that run is 1", "`return`"),
    "no block": (lambda *sizes: nn.Identity(), "the number of blocks that run is 0"),
    "others repeated": (_others_repeated, SHARED, "`[block] * n`"),
    "first repeated": (
        lambda n, i, o, s: nn.Sequential(*[resnet_stage(1, i, o, s)] * n),
        SHARED,
    ),
    "one layer for two": (_one_layer_for_two, "`1.conv1` (Conv2d 8→8, 3×3), runs 2 times"),
    "first made again": (
        lambda n, i, o, s: nn.Sequential(*(ProjectionBlock(i, o, s) for _n in range(n))),
        "3 of its 3×3 convolutions are made for 4 maps; only the first of all receives so many",
    ),
    "stride ignored": (
        stage_with(first_stride=lambda stride: 1),
        "the stride is ignored: the maps keep their side of 8 pixels",
    ),
    "stride fixed": (
        stage_with(first_stride=lambda stride: 2),
        "`resnet_stage(2, 4, 4, 1)` – the side of the maps goes from 8 to 4, 4; 8, 8 are expected",
    ),
    "last changes the shape": (
        _last_changes_the_shape,
        "the side of the maps goes from 8 to 8, 8, 4; 4, 4, 4 are expected",
    ),
    "plain": (
        lambda n, i, o, s: nn.Sequential(
            _plain_block(i, o, s), *(_plain_block(o, o, 1) for _n in range(n - 1))
        ),
        "the blocks are plain: nothing is added",
    ),
    "plain after the first": (
        stage_with(identity=WRONG_IDENTITY_BLOCK["no addition"][0]),
        "the blocks that keep the shape add nothing",
    ),
    "first always projects": (
        _first_always_projects,
        "`resnet_stage(2, 4, 4, 1)` – a block projects although neither the size nor the number",
    ),
    "never projects": (
        lambda n, i, o, s: nn.Sequential(*(IdentityBlock(o) for _n in range(n))),
        "The channels that a layer receives",
    ),
    "option A": (stage_with(projection=_PaddedBlock), "option A"),
    "bare projection": (
        stage_with(projection=WRONG_PROJECTION_BLOCK["no bn in the shortcut"][0]),
        "the projections have no batch normalisation of their own",
    ),
    "list": (
        lambda *sizes: list(resnet_stage(*sizes)),
        "gives back the blocks in a `list`",
        "`nn.Sequential`",
    ),
    "module list": (
        lambda *sizes: nn.ModuleList(resnet_stage(*sizes)),
        "gives back the blocks in a `ModuleList`",
    ),
    "list in Sequential": (
        lambda *sizes: nn.Sequential(list(resnet_stage(*sizes))),  # type: ignore[call-overload]
        "TypeError",
    ),
    "empty list": (lambda *sizes: [], "gives back a `list`"),
    "odd convolutions": (
        lambda n, i, o, s: nn.Sequential(conv_bn_relu_sequential(i, o, s)),
        "does not have the layers expected",
    ),
    "unpadded": (stage_with(identity=UnpaddedIdentityBlock), "has padding (0, 0)"),
    "one argument": (IdentityBlock, "names and number of the arguments"),
}


@pytest.mark.parametrize("wrong", WRONG_STAGE)
def test_stage_explains(wrong: str) -> None:
    refused(checks.check_stage, *WRONG_STAGE[wrong])


def test_a_stage_with_blocks_still_to_write_is_not_filled_in_yet() -> None:
    assert checks.check_stage(lambda *sizes: [IdentityBlock(8), ...]).passed is None


# --- 8. resnet --------------------------------------------------------------------------------


def resnet(
    depth: int,
    *,
    widths: tuple[int, ...] = (16, 32, 64),
    strides: tuple[int, ...] = (1, 2, 2),
    blocks: Callable[[int], int] = lambda depth: (depth - 2) // 6,
    identity: Callable[[int], nn.Module] = IdentityBlock,
    projection: Callable[[int, int, int], nn.Module] = ProjectionBlock,
    stem: Callable[[int, int], nn.Module] = conv_bn_relu_sequential,
    always_project: bool = False,
    pool: Callable[[], nn.Module] = lambda: nn.AdaptiveAvgPool2d(1),
    end: tuple[nn.Module, ...] = (),
    classes: int = 10,
) -> nn.Module:
    """A whole net, right by default, each part of which can be spoilt."""
    layers: list[nn.Module] = [stem(3, widths[0])]
    channels = widths[0]
    for width, stride in zip(widths, strides, strict=True):
        for number in range(blocks(depth)):
            changes = number == 0 and (width != channels or always_project)
            layers.append(projection(channels, width, stride) if changes else identity(width))
            channels = width
    return nn.Sequential(*layers, pool(), nn.Flatten(), nn.Linear(channels, classes), *end)


class ResNetShuffled(nn.Module):
    """The head declared first, shortcuts run first, the mean taken by hand."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        n = (depth - 2) // 6
        self.head = nn.Linear(64, 10)
        self.stage3 = self.make_stage(n, 32, 64)
        self.stage2 = self.make_stage(n, 16, 32)
        self.stage1 = nn.Sequential(*(IdentityBlockShuffled(16) for _n in range(n)))
        self.stem = ConvBNReLUClass(3, 16)

    def make_stage(self, n: int, i: int, o: int) -> nn.Module:
        return nn.Sequential(
            ProjectionBlockShortcutFirst(i, o), *(identity_block_function(o) for _n in range(n - 1))
        )

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stage3(self.stage2(self.stage1(self.stem(images))))
        return self.head(maps.mean(dim=(2, 3)))


def resnet_with(**options: Any) -> Callable[[int], nn.Module]:
    return lambda depth: resnet(depth, **options)


WRONG_RESNET: dict[str, tuple[object, str]] = {
    "no stride": (
        resnet_with(strides=(1, 1, 1)),
        "give 16 maps of 32×32, 32 maps of 32×32, 64 maps of 32×32; 16 maps of 32×32, 32 maps of "
        "16×16, 64 maps of 8×8 are expected",
    ),
    "too wide": (resnet_with(widths=(32, 64, 128)), "give 32 maps of 32×32"),
    "blocks counted as layers": (
        resnet_with(blocks=lambda depth: (depth - 2) // 3),
        "has 5 convolutions of 3×3 with 16 maps of 32×32; 3 are expected",
    ),
    "depth ignored": (
        resnet_with(blocks=lambda depth: 1),
        "`resnet(20)` has 3 convolutions of 3×3 with 16 maps of 32×32; 7 are expected",
    ),
    "no stem": (
        lambda depth: nn.Sequential(*list(resnet(depth).children())[1:]),
        "channels",
    ),
    "option A": (resnet_with(projection=_PaddedBlock), "has 0 convolutions of 1×1"),
    "plain": (
        resnet_with(projection=_plain_block, identity=lambda c: _plain_block(c, c, 1)),
        "has 0 convolutions of 1×1",
    ),
    "projects in stage 1": (
        resnet_with(always_project=True),
        "has 3 convolutions of 1×1; 2 are expected",
    ),
    "softmax": (resnet_with(end=(nn.Softmax(dim=1),)), "ends in a softmax"),
    "log-softmax": (resnet_with(end=(nn.LogSoftmax(dim=1),)), "ends in a softmax"),
    "relu at the end": (
        resnet_with(end=(nn.ReLU(),)),
        "a ReLU follows the last linear layer",
    ),
    "max pooling": (
        resnet_with(pool=lambda: nn.AdaptiveMaxPool2d(1)),
        "the pooling at the end takes the maximum",
    ),
    "no pooling": (resnet_with(pool=nn.Identity), "another number of features"),
    "wrong classes": (resnet_with(classes=100), "(2, 100)"),
    "stem without relu": (
        resnet_with(stem=lambda i, o: nn.Sequential(conv(i, o), bn(o))),
        "the first layer has no ReLU",
    ),
    "plain blocks inside": (
        resnet_with(identity=WRONG_IDENTITY_BLOCK["no addition"][0]),
        "the blocks that keep the shape add nothing",
    ),
    "bias": (resnet_with(identity=BiasedIdentityBlock), "has a bias"),
    "bare projections": (
        resnet_with(projection=WRONG_PROJECTION_BLOCK["no bn in the shortcut"][0]),
        "the projections have no batch normalisation of their own",
    ),
    "float depth": (lambda depth: resnet(depth, blocks=lambda d: (d - 2) / 6), "`//` an int"),
    "other mistake in a block": (
        resnet_with(identity=WRONG_IDENTITY_BLOCK["addition after relu"][0]),
        "does not compute the same",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_RESNET)
def test_resnet_explains(wrong: str) -> None:
    refused(checks.check_resnet, *WRONG_RESNET[wrong])


def test_the_net_accepted_is_said_to_have_the_published_number_of_parameters() -> None:
    assert "272,474" in accepted(checks.check_resnet, resnet).message


# --- 9. paired_change -------------------------------------------------------------------------


def paired_change(shallow: list[float], deep: list[float]) -> tuple[float, float, float]:
    differences = np.array(deep) - np.array(shallow)
    low, high = stats.t.interval(
        0.95, len(differences) - 1, differences.mean(), stats.sem(differences)
    )
    return differences.mean(), low, high


def paired_change_by_table(shallow: list[float], deep: list[float]) -> tuple[float, float, float]:
    """Nothing but the standard library and a printed table of Student's t."""
    table = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447}
    differences = [d - s for s, d in zip(shallow, deep, strict=True)]
    mean = statistics.mean(differences)
    half = table[len(differences)] * statistics.stdev(differences) / math.sqrt(len(differences))
    return mean, mean - half, mean + half


def paired_change_in_torch(shallow: list[float], deep: list[float]) -> tuple[Tensor, ...]:
    d = torch.tensor(deep) - torch.tensor(shallow)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half


def _student(critical: Callable[[int], float], ddof: int = 1) -> Callable[..., object]:
    def answer(shallow: list[float], deep: list[float]) -> tuple[float, float, float]:
        d = np.array(deep) - np.array(shallow)
        half = critical(len(d)) * d.std(ddof=ddof) / math.sqrt(len(d))
        return d.mean(), d.mean() - half, d.mean() + half

    return answer


def _unpaired(s: list[float], d: list[float], equal_var: bool) -> tuple[float, float, float]:
    bounds = stats.ttest_ind(d, s, equal_var=equal_var).confidence_interval()
    return np.mean(d) - np.mean(s), bounds.low, bounds.high


def _moved(s: list[float], d: list[float]) -> tuple[float, float, float]:
    mean, low, high = paired_change(s, d)
    return 100 * mean, 100 * low, 100 * high


WRONG_PAIRED_CHANGE: dict[str, tuple[object, str]] = {
    "sign": (lambda s, d: paired_change(d, s), "The sign is reversed"),
    "swapped": (
        lambda s, d: (paired_change(s, d)[0], *paired_change(s, d)[:0:-1]),
        "The bounds are swapped",
    ),
    "normal": (_student(lambda n: 1.959964), "normal law (1.96)"),
    "rounded normal": (_student(lambda n: 1.96), "normal law (1.96)"),
    "three seeds for ever": (_student(lambda n: 4.303), "the one for three seeds"),
    "welch": (lambda s, d: _unpaired(s, d, False), "pair them by seed"),
    "two groups": (lambda s, d: _unpaired(s, d, True), "pair them by seed"),
    "ddof": (_student(lambda n: stats.t.ppf(0.975, n - 1), ddof=0), "divides by n"),
    "n degrees": (_student(lambda n: stats.t.ppf(0.975, n)), "degrees of freedom are n;"),
    "one-sided": (_student(lambda n: stats.t.ppf(0.95, n - 1)), "covers 90%"),
    "one run": (
        _student(lambda n: stats.t.ppf(0.975, n - 1) * math.sqrt(n)),
        "The spread is that of one difference",
    ),
    "standard error": (_student(lambda n: 1.0), "the critical value is missing"),
    "extremes": (
        lambda s, d: (
            np.mean(np.subtract(d, s)),
            np.min(np.subtract(d, s)),
            np.max(np.subtract(d, s)),
        ),
        "smallest and the largest difference",
    ),
    "distances": (
        lambda s, d: tuple(np.array(paired_change(s, d)) - [0, *[paired_change(s, d)[0]] * 2]),
        "distances from the mean",
    ),
    "percent": (_moved, "The mean is not that of the differences"),
    "two numbers": (lambda s, d: (0.1, 0.2), "three numbers"),
    "not finite": (lambda s, d: (0.1, math.nan, 0.2), "not finite"),
    "99%": (_student(lambda n: stats.t.ppf(0.995, n - 1)), "the interval is not"),
    "lists subtracted": (lambda s, d: d - s, "TypeError"),
}


@pytest.mark.parametrize("wrong", WRONG_PAIRED_CHANGE)
def test_paired_change_explains(wrong: str) -> None:
    refused(checks.check_paired_change, *WRONG_PAIRED_CHANGE[wrong])


def test_half_a_paired_change_is_not_filled_in_yet() -> None:
    assert checks.check_paired_change(lambda s, d: (0.1, ..., ...)).passed is None


# --- Solutions, in more than one style ---------------------------------------------------------

SOLUTIONS: dict[Check, dict[str, object]] = {
    checks.check_conv_bn_relu: {
        "sequential": conv_bn_relu_sequential,
        "class, lazy": ConvBNReLUClass,
    },
    checks.check_identity_layer: {
        "dirac": identity_layer_dirac,
        "by hand": IdentityLayerByHand,
    },
    checks.check_identity_block: {
        "class": IdentityBlock,
        "shuffled": IdentityBlockShuffled,
        "function": identity_block_function,
    },
    checks.check_projection_block: {
        "class": ProjectionBlock,
        "shortcut first": ProjectionBlockShortcutFirst,
    },
    checks.check_pad_shortcut: {
        "F.pad": pad_shortcut,
        "cat": pad_shortcut_cat,
        "both sides": pad_shortcut_both_sides,
    },
    checks.check_bottleneck_block: {"class": BottleneckBlock, "function": bottleneck_function},
    checks.check_stage: {"sequential": resnet_stage, "loop": ResNetStageLoop},
    checks.check_resnet: {"sequential": resnet, "shuffled": ResNetShuffled},
    checks.check_paired_change: {
        "scipy": paired_change,
        "table": paired_change_by_table,
        "torch": paired_change_in_torch,
    },
}


def _solutions() -> list[Any]:
    return [
        pytest.param(check, answer, id=f"{check.__name__}-{style}")
        for check, answers in SOLUTIONS.items()
        for style, answer in answers.items()
    ]


@pytest.mark.parametrize(("check", "answer"), _solutions())
def test_a_solution_is_accepted_in_whatever_style(check: Check, answer: object) -> None:
    accepted(check, answer)


def test_every_checker_has_solutions_and_wrong_answers_here() -> None:
    assert set(SOLUTIONS) == set(ALL.values())
