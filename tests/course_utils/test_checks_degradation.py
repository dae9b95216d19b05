"""Lesson 3's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import copy
import math
import re
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checking import Check, Each, accepted, bn, conv, each_accepted, each_refused
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import degradation as checks


def sequential(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


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


def student(critical: Callable[[int], float], ddof: int = 1) -> Callable[..., object]:
    def answer(shallow: list[float], deep: list[float]) -> tuple[float, float, float]:
        d = np.array(deep) - np.array(shallow)
        half = critical(len(d)) * d.std(ddof=ddof) / math.sqrt(len(d))
        return d.mean(), d.mean() - half, d.mean() + half

    return answer


def unpaired(equal_var: bool) -> Callable[..., object]:
    def answer(s: list[float], d: list[float]) -> tuple[float, float, float]:
        bounds = stats.ttest_ind(d, s, equal_var=equal_var).confidence_interval()
        return np.mean(d) - np.mean(s), bounds.low, bounds.high

    return answer


def sorting(shallow: list[float], deep: list[float]) -> tuple[float, float, float]:
    answer = paired_change(shallow, deep)
    deep.sort()
    return answer


PAIRED_CHANGE: dict[str, object] = {
    "normal distribution (1.96)": Each([student(lambda n: 1.959964), student(lambda n: 1.96)]),
    "the one for three seeds": student(lambda n: 4.303),
    "pair them by seed": Each([unpaired(False), unpaired(True)]),
    "returns (9.931; 6.487; 13.37), and should return (0.09931; 0.06487; 0.1337)": lambda s, d: (
        100 * np.array(paired_change(s, d))
    ),
    "returns (0.1; 0.2) | Return (mean, low, high)": lambda s, d: (0.1, 0.2),
    "(0.1; nan; 0.2)": lambda s, d: (0.1, math.nan, 0.2),
    "times the standard error": student(lambda n: stats.t.ppf(0.995, n - 1)),
    "returns (0.1949; 0.226; 0.1638)": lambda s, d: np.abs(
        paired_change(s, d)
    ),  # of a fall in error
    "TypeError": lambda s, d: d - s,
    "changes its own input | `sort`": sorting,
}


def test_half_a_paired_change_is_not_filled_in_yet() -> None:
    assert checks.check_paired_change(lambda s, d: (0.1, ..., ...)).passed is None


def identity_layer(channels: int) -> Any:
    layer = conv_bn_relu(channels, channels)
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
    weight: Callable[[Tensor], object],
    gain: float = math.sqrt(1 + 1e-5),
    relu: Callable[[], nn.Module] = nn.ReLU,
) -> Callable[[int], nn.Module]:
    """A layer whose kernel is zero, then changed by ``weight``."""

    def identity_layer(channels: int) -> nn.Module:
        layers = [conv(channels, channels), bn(channels)]
        with torch.no_grad():
            weight(layers[0].weight.zero_())
            layers[1].weight.fill_(gain)
        return nn.Sequential(*layers, relu())

    return identity_layer


def filled(place: Any, value: float = 1.0) -> Callable[[Tensor], object]:
    """Each map's own kernel, filled at ``place``."""

    def fill(weight: Tensor) -> None:
        every = range(len(weight))
        weight[(every, every, *place)] = value

    return fill


def changed(change: Callable[[Any], object]) -> Callable[[int], nn.Module]:
    """The right layer, after a change."""

    def make(channels: int) -> nn.Module:
        layer = identity_layer(channels)
        change(layer)
        return layer

    return make


def without_statistics(layer: Any) -> None:
    layer[1] = nn.BatchNorm2d(layer[1].num_features, track_running_stats=False)


class Beside(nn.Module):
    """The layers run, and what comes out is the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = identity_layer(channels)

    def forward(self, x: Tensor) -> Tensor:
        self.layer(x)
        return F.relu(x)


class AddedNothing(Beside):
    """A shortcut copies the input, and the layers add zeros to it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        nn.init.zeros_(self.layer[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.layer(x))


IDENTITY_LAYER: dict[str, object] = {
    "is almost right | 0.999995 | 1/√(1 + ε)": identity_layer_with(nn.init.dirac_, gain=1.0),
    "mixes the maps": Each(
        [
            lambda c: conv_bn_relu(c, c),
            identity_layer_with(nn.init.ones_),
            identity_layer_with(lambda weight: weight[:, :, 1, 1].fill_(1)),
        ]
    ),
    "shifts the image": identity_layer_with(filled([0, 0])),
    "spreads a lit pixel over its neighbours": identity_layer_with(filled([], 1 / 9)),
    "does not keep the values | comes out as 6.": identity_layer_with(
        nn.init.dirac_, relu=nn.ReLU6
    ),
    "does not keep the values | comes out as 20.": identity_layer_with(
        nn.init.dirac_, relu=lambda: nn.Hardtanh(0, 20)
    ),
    "returns zeros": identity_layer_with(nn.init.zeros_),
    "its ReLU is missing": identity_layer_with(nn.init.dirac_, relu=nn.Identity),
    "does not return zeros": changed(lambda layer: nn.init.constant_(layer[1].bias, 0.1)),
    "it runs no layer": lambda c: nn.Identity(),
    "should run one 3×3 convolution": lambda c: sequential(conv(c, c, 1), bn(c), nn.ReLU()),
    "with the statistics of each batch": changed(without_statistics),
    "of shape (4, 3, 7, 7), and should return (4, 3, 9, 9)": lambda c: sequential(
        conv(c, c, padding=0), bn(c), nn.ReLU()
    ),
    "`torch.no_grad()`": lambda c: sequential(conv(c, c)).apply(
        lambda m: m.weight.zero_() if hasattr(m, "weight") else None
    ),
    "but not through its layers": Each([Beside, AddedNothing]),
    "does not keep the values": identity_layer_with(nn.init.dirac_, relu=nn.ReLU6),
}


def conv_bn_relu(i: int, o: int, stride: int = 1) -> nn.Sequential:
    return sequential(conv(i, o, 3, stride), bn(o), nn.ReLU(inplace=True))


class ConvBNReLUClass(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.norm = nn.LazyBatchNorm2d()
        self.conv = nn.LazyConv2d(out_channels, 3, stride, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).clamp(min=0)


def conv_bn_relu_compiled(i: int, o: int, stride: int = 1) -> nn.Module:
    with warnings.catch_warnings(action="ignore"):  # torch would have it exported instead
        return torch.jit.script(conv_bn_relu(i, o, stride))


def conv_bn_relu_of(*layers: str, **options: Any) -> Callable[..., nn.Module]:
    """The layers named, made for the arguments of the exercise."""

    def make(i: int, o: int, stride: int = 1) -> nn.Module:
        made = {"conv": conv(i, o, 3, stride, **options), "bn": bn(o), "relu": nn.ReLU()}
        return sequential(*(made[layer] for layer in layers))

    return make


KEPT = bn(8), bn(4)


class Remembering(nn.Module):
    """What the first call computed is added to the next."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.layers, self.last = conv_bn_relu(i, o, stride), 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.layers(x) + self.last
        return self.last


CONV_BN_RELU: dict[str, object] = {
    "has a bias": conv_bn_relu_of("conv", "bn", "relu", bias=True),
    "has padding (0, 0) instead of (1, 1)": conv_bn_relu_of("conv", "bn", "relu", padding=0),
    "has padding_mode reflect": conv_bn_relu_of("conv", "bn", "relu", padding_mode="reflect"),
    "has stride (1, 1) instead of (2, 2)": lambda i, o, stride=1: conv_bn_relu(i, o),
    "has stride (2, 2) instead of (3, 3)": lambda i, o, stride=1: conv_bn_relu(
        i, o, min(stride, 2)
    ),
    "lacks 1 × Conv2d 3→8, 3×3, and has 1 × Conv2d 3→8, 1×1 too many": (
        lambda i, o, stride=1: sequential(conv(i, o, 1, stride), bn(o), nn.ReLU())
    ),
    "lacks 1 × BatchNorm2d(8), and has 1 × BatchNorm2d(3) too many": Each(
        [
            lambda i, o, stride=1: sequential(bn(i), conv(i, o, 3, stride), nn.ReLU()),
            lambda i, o, stride=1: sequential(conv(i, o, 3, stride), bn(i), nn.ReLU()),
        ]
    ),
    "number and the names of the arguments": lambda i, o: conv_bn_relu(i, o),
    "returns negative values": lambda i, o, stride=1: sequential(
        conv(i, o, 3, stride), bn(o), nn.LeakyReLU()
    ),
    "but computes something else": lambda i, o, stride=1: sequential(
        conv(i, o, 3, stride), bn(o), nn.ReLU6()
    ),
    "returns the class `Sequential`": lambda i, o, stride=1: nn.Sequential,
    "returns something else when it is called again": Remembering,
    "gives the same weights to every module": lambda i, o, stride=1: sequential(
        conv(i, o, 3, stride), KEPT[o == 4], nn.ReLU()
    ),
    "has 1 × BatchNorm2d(8, affine=False) too many": lambda i, o, stride=1: sequential(
        conv(i, o, 3, stride), nn.BatchNorm2d(o, affine=False), nn.ReLU()
    ),
    "has 1 × BatchNorm2d(8, track_running_stats=False) too many": (
        lambda i, o, stride=1: sequential(
            conv(i, o, 3, stride), nn.BatchNorm2d(o, track_running_stats=False), nn.ReLU()
        )
    ),
    "has eps 0.1 instead of 10⁻⁵": lambda i, o, stride=1: sequential(
        conv(i, o, 3, stride), nn.BatchNorm2d(o, eps=0.1), nn.ReLU()
    ),
}


def test_a_module_the_reader_keeps_is_left_alone() -> None:
    kept = conv_bn_relu(3, 8)
    state = copy.deepcopy(kept.state_dict())
    checks.check_conv_bn_relu(lambda *args, **kwargs: kept)
    checks.check_conv_bn_relu(kept)
    assert kept.training
    assert all(p.grad is None and p.dtype is torch.float32 for p in kept.parameters())
    assert all(torch.equal(value, state[name]) for name, value in kept.state_dict().items())


class IdentityBlock(nn.Module):
    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels, **options), bn(channels)
        self.conv2, self.bn2 = conv(channels, channels), bn(channels)

    def body(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x)


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

    return Add(conv_bn_relu(channels, channels), conv(channels, channels), bn(channels))


def block_that(forward: Callable[[Any, Tensor], object]) -> type[nn.Module]:
    return type("Block", (IdentityBlock,), {"forward": forward})


class LateSuper(IdentityBlock):
    def __init__(self, channels: int) -> None:
        self.conv1 = conv(channels, channels)
        super().__init__(channels)


class ListedLayers(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = [conv_bn_relu(channels, channels), conv(channels, channels)]
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


class Misspelt(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = IdentityBlock(channels)

    def foward(self, x: Tensor) -> Tensor:
        return self.block(x)


def overwritten(b: Any, x: Tensor) -> Tensor:
    x = F.relu(b.bn1(b.conv1(x)))
    return F.relu(b.bn2(b.conv2(x)) + x)


def overwritten_twice(b: Any, x: Tensor) -> Tensor:
    x = b.body(x)
    return F.relu(x + x)


def in_place_on_the_input(b: Any, x: Tensor) -> Tensor:
    return F.relu(b.body(F.relu_(x)) + x)


def noisy(b: Any, x: Tensor) -> Tensor:
    return IdentityBlock.forward(b, x + 1e-3 * torch.randn_like(x))


ADDITION_MISSING = block_that(lambda b, x: F.relu(b.body(x)))
IDENTITY_BLOCK: dict[str, object] = {
    "the addition is missing": ADDITION_MISSING,
    "the last ReLU comes before the addition": block_that(lambda b, x: F.relu(b.body(x)) + x),
    "the ReLU after the addition is missing": block_that(lambda b, x: b.body(x) + x),
    "a ReLU just before the addition": block_that(lambda b, x: F.relu(F.relu(b.body(x)) + x)),
    "no ReLU between the convolutions": block_that(
        lambda b, x: F.relu(b.bn2(b.conv2(b.bn1(b.conv1(x)))) + x)
    ),
    "a ReLU on the shortcut": block_that(lambda b, x: F.relu(b.body(x) + F.relu(x))),
    "a ReLU comes before its batch normalisation": block_that(
        lambda b, x: F.relu(b.bn2(b.conv2(b.bn1(F.relu(b.conv1(x))))) + x)
    ),
    "the last batch normalisation comes after the addition": block_that(
        lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))) + x))
    ),
    "pre-activation": block_that(
        lambda b, x: b.conv2(F.relu(b.bn2(b.conv1(F.relu(b.bn1(x)))))) + x
    ),
    "the output of its first layers": block_that(overwritten),
    "the main path is added to itself": block_that(overwritten_twice),
    "changes its own input": block_that(in_place_on_the_input),
    "concatenated rather than added": block_that(
        lambda b, x: F.relu(torch.cat([b.body(x), x], dim=1))
    ),
    "`bn1` (BatchNorm2d(4)), 2 times": block_that(
        lambda b, x: F.relu(b.bn1(b.conv2(F.relu(b.bn1(b.conv1(x))))) + x)
    ),
    "`conv1` (Conv2d 4→4, 3×3), 2 times": block_that(
        lambda b, x: F.relu(b.bn2(b.conv1(F.relu(b.bn1(b.conv1(x))))) + x)
    ),
    "reads the weights of the layer `conv2` (Conv2d 4→4, 3×3) without calling it": block_that(
        lambda b, x: F.relu(
            b.bn2(F.conv2d(F.relu(b.bn1(b.conv1(x))), b.conv2.weight, padding=1)) + x
        )
    ),
    "the layer `bn2` (BatchNorm2d(4)), but never calls it": block_that(
        lambda b, x: F.relu(b.conv2(F.relu(b.bn1(b.conv1(x)))) + x)
    ),
    "the convolution `conv1` has a bias": lambda c: IdentityBlock(c, bias=True),
    "`conv1` (Conv2d 4→4, 3×3) has padding (0, 0)": lambda c: IdentityBlock(c, padding=0),
    "it lacks 1 × Conv2d 4→4, 3×3; 1 × BatchNorm2d(4)": OneConvolution,
    "must come before the first layer": LateSuper,
    "no gradient reaches `conv1.weight`": block_that(
        lambda b, x: F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)).detach()))) + x)
    ),
    "part of the gradient of the input is missing": Each(
        [
            block_that(lambda b, x: F.relu(b.body(x) + x.detach())),
            block_that(lambda b, x: F.relu(b.body(x.detach()) + x)),
        ]
    ),
    "keeps layers in a Python list, `layers`": ListedLayers,
    "right in eval mode, but not in training mode": block_that(
        lambda b, x: F.dropout(IdentityBlock.forward(b, x), 0.5, b.training)
    ),
    "has 1 × GroupNorm(weight, bias) too many": GroupNormed,
    "works in float64, but not in float32": block_that(
        lambda b, x: IdentityBlock.forward(b, x.double())
    ),
    "already built": IdentityBlock(4),
    "of type `tuple`": block_that(lambda b, x: (x, x)),
    "has no `forward` method | `foward`": Misspelt,
    "returns something else when it is called again": block_that(noisy),
    "but not for one of shape (1, 4, 13, 9)": block_that(
        lambda b, x: IdentityBlock.forward(b, x) * (len(x) > 1)
    ),
    "but not one of shape (1, 4, 13, 9)": block_that(
        lambda b, x: IdentityBlock.forward(b, x).reshape(4, -1, 8, 8)
    ),
}


class ProjectionBlock(IdentityBlock):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__(out_channels)
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.shortcut = self.make_shortcut(in_channels, out_channels, stride)

    def make_shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        return sequential(conv(in_channels, out_channels, 1, stride), bn(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


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


def projection_with(shortcut: Callable[[int, int, int], nn.Module]) -> type[nn.Module]:
    members = {"make_shortcut": lambda self, i, o, s: shortcut(i, o, s)}
    return type("ProjectionBlock", (ProjectionBlock,), members)


def projection_that(forward: Callable[[Any, Tensor], Tensor]) -> type[nn.Module]:
    return type("ProjectionBlock", (ProjectionBlock,), {"forward": forward})


def strided(first: bool, second: bool) -> Callable[..., nn.Module]:
    """Which of the two convolutions takes the stride."""

    def make(i: int, o: int, stride: int = 2) -> nn.Module:
        block = ProjectionBlock(i, o, stride)
        block.conv1 = conv(i, o, 3, stride if first else 1)
        block.conv2 = conv(o, o, 3, stride if second else 1)
        return block

    return make


class Padded(nn.Module):
    def __init__(self, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return pad_shortcut(x, self.out_channels, self.stride)


PROJECTION_BLOCK: dict[str, object] = {
    "the convolution `shortcut` has a bias": projection_with(
        lambda i, o, s: conv(i, o, 1, s, bias=True)
    ),
    "`shortcut.0` (Conv2d 6→8, 1×1) has stride (1, 1) instead of (2, 2)": projection_with(
        lambda i, o, s: sequential(conv(i, o, 1), bn(o))
    ),
    "it lacks 1 × BatchNorm2d(8); 1 × Conv2d 6→8, 1×1": projection_with(
        lambda i, o, s: nn.Identity()
    ),
    "the layer `shortcut.0` (Conv2d 6→8, 1×1), but never calls it": projection_that(
        lambda b, x: F.relu(b.body(x))
    ),
    "`conv1` (Conv2d 6→8, 3×3) has stride (1, 1) instead of (2, 2)": strided(False, True),
    "`conv2` (Conv2d 8→8, 3×3) has stride (2, 2) instead of (1, 1)": strided(True, True),
    "In `ProjectionBlock(6, 8, stride=1)`, the layer `conv1` (Conv2d 6→8, 3×3) has stride (2, 2)": (
        lambda i, o, stride=2: ProjectionBlock(i, o, 2)
    ),
    "no gradient reaches `shortcut.0.weight`": projection_that(
        lambda b, x: F.relu(b.body(x) + b.shortcut(x).detach())
    ),
}


def pad_shortcut(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    return padded(x[:, :, ::stride, ::stride], out_channels)


def padded(x: Tensor, out_channels: int) -> Tensor:
    return F.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def pad_shortcut_cat(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    x = F.max_pool2d(x, kernel_size=1, stride=stride)
    batch, channels, height, width = x.shape
    return torch.cat([x, x.new_zeros(batch, out_channels - channels, height, width)], dim=1)


def pad_shortcut_both_sides(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    extra = out_channels - x.shape[1]
    x = x[..., ::stride, ::stride]
    return F.pad(x, (0, 0, 0, 0, extra // 2, extra - extra // 2))


def pad_shortcut_in_float32(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    x = x[:, :, ::stride, ::stride]
    batch, channels, height, width = x.shape
    return torch.cat([x, torch.zeros(batch, out_channels - channels, height, width)], dim=1)


def pad_shortcut_by_floor(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    """Right where the stride divides height and width."""
    batch, channels, height, width = x.shape
    y = x.new_zeros(batch, out_channels, height // stride, width // stride)
    y[:, :channels] = x[:, :, ::stride, ::stride]
    return y


def pad_shortcut_in_place(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    y = pad_shortcut(x, out_channels, stride).clone()
    x.zero_()
    return y


PAD_SHORTCUT: dict[str, object] = {
    "you keep a corner of the map": lambda x, out, stride=2: padded(
        x[:, :, : x.shape[2] // stride, : x.shape[3] // stride], out
    ),
    "copies of those of `x`": lambda x, out, stride=2: torch.cat([x, x], 1)[
        :, :out, ::stride, ::stride
    ],
    "and should return a tensor of shape (2, 8, 3, 3)": lambda x, out, stride=2: F.pad(
        x[:, :, ::stride, ::stride], (0, out - x.shape[1])
    ),
    "the right shape but not the right values": lambda x, out, stride=2: torch.randn_like(
        pad_shortcut(x, out, stride)
    ),
    "changes its own input": pad_shortcut_in_place,
    "should be a function": Padded,
    "RuntimeError: The expanded size": pad_shortcut_by_floor,
}


def test_zeros_of_a_fixed_type_are_accepted_with_a_remark() -> None:
    assert accepted(checks.check_pad_shortcut, pad_shortcut).hint is None
    remark = accepted(checks.check_pad_shortcut, pad_shortcut_in_float32).hint
    assert remark is not None
    assert "new_zeros" in remark


class Bottleneck(nn.Module):
    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(in_channels, width, 1), bn(width)
        self.conv2, self.bn2 = conv(width, width), bn(width)
        self.conv3, self.bn3 = conv(width, out_channels, 1), bn(out_channels)
        self.shortcut = self.make_shortcut(in_channels, out_channels)

    def make_shortcut(self, in_channels: int, out_channels: int) -> nn.Module:
        if in_channels == out_channels:
            return nn.Identity()
        return sequential(conv(in_channels, out_channels, 1), bn(out_channels))

    def body(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return self.bn3(self.conv3(y))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def bottleneck_function(in_channels: int, width: int, out_channels: int) -> nn.Module:
    """Shortcut first, projection declared first, one `Sequential` for the rest."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = in_channels != out_channels
            if self.project:
                self.bn_s = bn(out_channels)
                self.conv_s = conv(in_channels, out_channels, 1)
            self.body = sequential(
                *(conv(in_channels, width, 1), bn(width), nn.ReLU(inplace=True)),
                *(conv_bn_relu(width, width), conv(width, out_channels, 1), bn(out_channels)),
            )

        def forward(self, x: Tensor) -> Tensor:
            shortcut = self.bn_s(self.conv_s(x)) if self.project else x
            return torch.relu(shortcut + self.body(x))

    return Block()


def bottleneck_that(**members: object) -> type[nn.Module]:
    return type("Bottleneck", (Bottleneck,), members)


def bottleneck_with(change: Callable[[Any, int, int, int], object]) -> Callable[..., nn.Module]:
    """The right block, one layer of which is then replaced."""

    def make(in_channels: int, width: int, out_channels: int) -> nn.Module:
        block = Bottleneck(in_channels, width, out_channels)
        change(block, in_channels, width, out_channels)
        return block

    return make


def kernels_swapped(block: Any, in_channels: int, width: int, out_channels: int) -> None:
    block.conv1, block.conv2 = conv(in_channels, width, 3), conv(width, width, 1)


BOTTLENECK: dict[str, object] = {
    "`MyBottleneck(12, 4, 12)` – the addition is missing": bottleneck_that(
        forward=lambda b, x: F.relu(b.body(x))
    ),
    "it lacks 1 × BatchNorm2d(12); 1 × Conv2d 8→12, 1×1": bottleneck_that(
        make_shortcut=lambda b, i, o: nn.Identity()
    ),
    "it lacks 1 × Conv2d 12→4, 1×1; 1 × Conv2d 4→4, 3×3": bottleneck_with(kernels_swapped),
    "`conv2` (Conv2d 4→4, 3×3) has padding (0, 0)": bottleneck_with(
        lambda block, i, width, o: setattr(block, "conv2", conv(width, width, padding=0))
    ),
    "it lacks 1 × BatchNorm2d(12)": bottleneck_with(
        lambda block, i, width, o: setattr(block, "bn3", nn.Identity())
    ),
    "number and the names of the arguments": IdentityBlock,
    "part of the gradient of the input is missing": bottleneck_that(
        forward=lambda b, x: F.relu(b.body(x) + b.shortcut(x.detach()))
    ),
}


def resnet_stage(
    n_blocks: int,
    in_channels: int,
    out_channels: int,
    stride: int,
    *,
    identity: Callable[[int], nn.Module] = IdentityBlock,
    keeps: Callable[[int, int, int], bool] = lambda i, o, stride: stride == 1 and i == o,
) -> nn.Sequential:
    kept = keeps(in_channels, out_channels, stride)
    first = identity(in_channels) if kept else ProjectionBlock(in_channels, out_channels, stride)
    return sequential(first, *(identity(out_channels) for _n in range(n_blocks - 1)))


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


class FirstRuns(nn.Module):
    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.blocks = resnet_stage(*sizes)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            return block(x)
        return x


def stage_with(**options: Any) -> Callable[..., nn.Module]:
    return lambda *sizes: resnet_stage(*sizes, **options)


def one_layer_for_two(channels: int) -> nn.Module:
    block = IdentityBlock(channels)
    block.conv2 = block.conv1
    return block


STAGE: dict[str, object] = {
    "there is only one block | `return`": lambda *sizes: resnet_stage(*sizes)[0],
    "but never calls it | `return`": FirstRuns,
    "it lacks 1 × Conv2d 4→8, 3×3; 7 × BatchNorm2d(8)": lambda *sizes: nn.Identity(),
    "`1.conv1` (Conv2d 8→8, 3×3), 2 times | `[block] * n`": lambda n, i, o, s: sequential(
        resnet_stage(1, i, o, s), *[IdentityBlock(o)] * (n - 1)
    ),
    "one and the same layer in several places": lambda n, i, o, s: sequential(
        *[resnet_stage(1, i, o, s)] * n
    ),
    "`1.conv1` (Conv2d 8→8, 3×3), 2 times": stage_with(identity=one_layer_for_two),
    "built for the maps that enter the stage": lambda n, i, o, s: sequential(
        *(ProjectionBlock(i, o, s) for _n in range(n))
    ),
    "`resnet_stage(2, 4, 4, 1)` – a block projects although": stage_with(
        keeps=lambda i, o, stride: False
    ),
    "has 1 × Conv2d 8→8, 3×3 too many": lambda n, i, o, s: sequential(
        *(IdentityBlock(o) for _n in range(n))
    ),
    # "or" where "and" is meant, and each condition alone.
    "`resnet_stage(2, 4, 4, 2)` – the stride is ignored": Each(
        [
            stage_with(keeps=lambda i, o, stride: stride == 1 or i == o),
            stage_with(keeps=lambda i, o, stride: i == o),
        ]
    ),
    "`resnet_stage(1, 4, 6, 1)` has the wrong number of convolutions": stage_with(
        keeps=lambda i, o, stride: stride == 1
    ),
    "it lacks 1 × Conv2d 4→6, 3×3": lambda n, i, o, s: resnet_stage(
        n, i, i if i == o else 2 * i, s
    ),
    "returns its layers in a `list` | `nn.Sequential`": lambda *sizes: list(resnet_stage(*sizes)),
    "returns its layers in a `ModuleList`": lambda *sizes: nn.ModuleList(resnet_stage(*sizes)),
    "TypeError": lambda *sizes: nn.Sequential(list(resnet_stage(*sizes))),
    "of type `list`": lambda *sizes: [],
    "it lacks 6 × BatchNorm2d(8)": lambda n, i, o, s: conv_bn_relu(i, o, s),
    "has padding (0, 0)": stage_with(identity=lambda c: IdentityBlock(c, padding=0)),
    "number and the names of the arguments": IdentityBlock,
}


def test_a_stage_with_blocks_still_to_write_is_not_filled_in_yet() -> None:
    assert checks.check_stage(lambda *sizes: [IdentityBlock(8), ...]).passed is None


def resnet(
    depth: int,
    *,
    widths: tuple[int, ...] = (16, 32, 64),
    strides: tuple[int, ...] = (1, 2, 2),
    blocks: Callable[[int], Any] = lambda depth: (depth - 2) // 6,
    identity: Callable[[int], nn.Module] = IdentityBlock,
    always_project: bool = False,
    pool: Callable[[], nn.Module] = lambda: nn.AdaptiveAvgPool2d(1),
    classes: int = 10,
) -> nn.Sequential:
    """A whole net, right by default, each part of which can be spoilt."""
    layers: list[nn.Module] = [conv_bn_relu(3, widths[0])]
    channels = widths[0]
    for width, stride in zip(widths, strides, strict=True):
        for number in range(blocks(depth)):
            changes = number == 0 and (width != channels or always_project)
            layers.append(ProjectionBlock(channels, width, stride) if changes else identity(width))
            channels = width
    return sequential(*layers, pool(), nn.Flatten(), nn.Linear(channels, classes))


class ResNetShuffled(nn.Module):
    """The head declared first, shortcuts run first, the mean taken by hand."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        n = (depth - 2) // 6
        self.head = nn.Linear(64, 10)
        self.stage3 = self.make_stage(n, 32, 64)
        self.stage2 = self.make_stage(n, 16, 32)
        self.stage1 = sequential(*(IdentityBlockShuffled(16) for _n in range(n)))
        self.stem = ConvBNReLUClass(3, 16)

    def make_stage(self, n: int, i: int, o: int) -> nn.Module:
        return sequential(
            ProjectionBlockShortcutFirst(i, o), *(identity_block_function(o) for _n in range(n - 1))
        )

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stage3(self.stage2(self.stage1(self.stem(images))))
        return self.head(maps.mean(dim=(2, 3)))


class Squeezing(nn.Module):
    """Right for several images: for one, the batch disappears too."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        *body, _flatten, self.linear = resnet(depth)
        self.body = sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.body(x).squeeze())


def resnet_with(**options: Any) -> Callable[[int], nn.Module]:
    return lambda depth: resnet(depth, **options)


RESNET: dict[str, object] = {
    "`2.conv1` (Conv2d 16→32, 3×3) has stride (1, 1) instead of (2, 2)": resnet_with(
        strides=(1, 1, 1)
    ),
    "it lacks 1 × Conv2d 3→16, 3×3 | …": resnet_with(widths=(32, 64, 128)),
    "convolutions and linear layers: 16 instead of 10 | 6n + 2": resnet_with(
        blocks=lambda depth: (depth - 2) // 3
    ),
    "the wrong number of convolutions and linear layers: 10 instead of 22": resnet_with(
        blocks=lambda depth: 1
    ),
    "it lacks 1 × Conv2d 3→16, 3×3; 1 × BatchNorm2d(16)": lambda depth: resnet(depth)[1:],
    "has 1 × BatchNorm2d(16); 1 × Conv2d 16→16, 1×1 too many": resnet_with(always_project=True),
    "not the one that the weights were made for": resnet_with(pool=nn.Identity),
    "has 1 × Linear 64→100 too many": resnet_with(classes=100),
    "has a bias": resnet_with(identity=lambda c: IdentityBlock(c, bias=True)),
    "`resnet(8, in_channels=1)`": lambda depth, in_channels=3: resnet(depth),
    "`//` an int": resnet_with(blocks=lambda depth: (depth - 2) / 6),
    "but computes something else": resnet_with(
        identity=block_that(lambda b, x: F.relu(b.body(x)) + x)
    ),
    "of shape (1, 3, 13, 9)": Each([Squeezing, resnet_with(pool=lambda: nn.AvgPool2d(8))]),
}


def test_the_net_accepted_is_said_to_have_the_published_number_of_parameters() -> None:
    assert "272,474" in accepted(checks.check_resnet, resnet).message


WRONG: dict[Check, dict[str, object]] = {
    checks.check_paired_change: PAIRED_CHANGE,
    checks.check_identity_layer: IDENTITY_LAYER,
    checks.check_conv_bn_relu: CONV_BN_RELU,
    checks.check_identity_block: IDENTITY_BLOCK,
    checks.check_projection_block: PROJECTION_BLOCK,
    checks.check_pad_shortcut: PAD_SHORTCUT,
    checks.check_bottleneck_block: BOTTLENECK,
    checks.check_stage: STAGE,
    checks.check_resnet: RESNET,
}
RIGHT: dict[Check, dict[str, object]] = {
    checks.check_paired_change: {
        "SciPy": paired_change,
        "table": paired_change_by_table,
        "torch": paired_change_in_torch,
    },
    checks.check_identity_layer: {"dirac": identity_layer, "by hand": IdentityLayerByHand},
    checks.check_conv_bn_relu: {
        "sequential": conv_bn_relu,
        "class, lazy": ConvBNReLUClass,
        "compiled": conv_bn_relu_compiled,
        "another momentum and ε": lambda i, o, stride=1: sequential(
            conv(i, o, 3, stride), nn.BatchNorm2d(o, eps=1e-3, momentum=0.01), nn.ReLU()
        ),
        "no momentum": lambda i, o, stride=1: sequential(
            conv(i, o, 3, stride), nn.BatchNorm2d(o, momentum=None), nn.ReLU()
        ),
    },
    checks.check_identity_block: {
        "class": IdentityBlock,
        "shuffled": IdentityBlockShuffled,
        "function": identity_block_function,
        "float32 alone": block_that(lambda b, x: IdentityBlock.forward(b, x.float())),
    },
    checks.check_projection_block: {
        "class": ProjectionBlock,
        "shortcut first": ProjectionBlockShortcutFirst,
        "copied on the way": projection_with(
            lambda i, o, s: sequential(conv(i, o, 1, s), nn.Dropout(0.0), bn(o))
        ),
    },
    checks.check_pad_shortcut: {
        "F.pad": pad_shortcut,
        "cat": pad_shortcut_cat,
        "both sides": pad_shortcut_both_sides,
        "no gradient": lambda x, out, stride=2: pad_shortcut(x, out, stride).detach(),
        "NumPy": lambda x, out, stride=2: torch.from_numpy(
            np.pad(
                x.numpy()[:, :, ::stride, ::stride], [(0, 0), (0, out - x.shape[1]), (0, 0), (0, 0)]
            )
        ),
    },
    checks.check_bottleneck_block: {"class": Bottleneck, "function": bottleneck_function},
    checks.check_stage: {"sequential": resnet_stage, "loop": ResNetStageLoop},
    checks.check_resnet: {"sequential": resnet, "shuffled": ResNetShuffled},
}


test_a_wrong_answer_is_told_what_is_wrong = each_refused(WRONG)
test_a_right_answer_is_accepted_in_whatever_style = each_accepted(RIGHT)


@pytest.mark.parametrize("gain", [2.0, 1.00001])
def test_values_that_are_not_kept_are_quoted_so_that_one_sees_it(gain: float) -> None:
    layer = identity_layer_with(nn.init.dirac_, gain * math.sqrt(1 + 1e-5))
    message = checks.check_identity_layer(layer).message
    found = re.search(r"a pixel of ([\d.]+) comes out as ([\d.]+)\.$", message)
    assert found is not None, message
    assert float(found[2]) / float(found[1]) == pytest.approx(gain, abs=1e-7)
