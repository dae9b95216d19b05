"""Lesson 4's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from checking import Check, Each, accepted, bn, conv, each_accepted, each_refused
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import densenet as checks


def sequential(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


class MyDenseLayer(nn.Module):
    def __init__(self, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.conv = conv(in_channels, growth_rate)
        self.norm = bn(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.norm(x)))


def dense_layer(c: int, k: int, side: int = 3, **options: Any) -> nn.Sequential:
    return sequential(bn(c), nn.ReLU(inplace=True), conv(c, k, side, **options))


def layer_that(forward: Callable[[Any, Tensor], Tensor]) -> type[nn.Module]:
    return type("MyDenseLayer", (MyDenseLayer,), {"forward": forward})


CONCATENATING = layer_that(lambda m, x: torch.cat([x, MyDenseLayer.forward(m, x)], 1))
LAYER: dict[str, object] = {
    "returns its input too": Each(
        [
            CONCATENATING,
            layer_that(lambda m, x: torch.cat([MyDenseLayer.forward(m, x), x], 1)),
        ]
    ),
    "has a bias": lambda c, k: dense_layer(c, k, bias=True),
    "has padding (0, 0) instead of (1, 1)": lambda c, k: dense_layer(c, k, padding=0),
    "has 1 × Conv2d 6→4, 1×1 too many": lambda c, k: dense_layer(c, k, 1),
    "has 1 × Conv2d 6→6, 3×3 too many": lambda c, k: dense_layer(c, c),
    "already built": dense_layer(6, 4),
    "no gradient reaches": layer_that(lambda m, x: MyDenseLayer.forward(m, x.detach())),
    "but computes something else": lambda c, k: sequential(bn(c), nn.ReLU6(), conv(c, k)),
}


class MyDenseBlock(nn.Module):
    layer: Callable[[int, int], nn.Module] = MyDenseLayer

    def __init__(self, n_layers: int, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            type(self).layer(in_channels + n * growth_rate, growth_rate) for n in range(n_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


class MyDenseBlockOfLists(MyDenseBlock):
    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


def block_giving(give: Callable[[list[Tensor]], Tensor]) -> type[nn.Module]:
    """A block that reads the right maps, and gives back something made of the input and the new."""

    def forward(self: Any, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return give(maps)

    return type("MyDenseBlock", (MyDenseBlock,), {"forward": forward})


def newest_first(self: Any, x: Tensor) -> Tensor:
    for layer in self.layers:
        x = torch.cat([layer(x), x], dim=1)
    return x


def detached(self: Any, x: Tensor) -> Tensor:
    for layer in self.layers:
        x = torch.cat([x, layer(x.detach())], dim=1)
    return x


def piled(self: Any, x: Tensor) -> Tensor:
    """The pile is kept from one call to the next."""
    self.pile = [*getattr(self, "pile", []), x]
    return MyDenseBlock.forward(self, x) + len(self.pile)


def block_that(forward: Callable[[Any, Tensor], Tensor]) -> type[nn.Module]:
    return type("MyDenseBlock", (MyDenseBlock,), {"forward": forward})


def block_reading(channels: Callable[[int, int, int], int]) -> Callable[..., nn.Module]:
    """A block whose layer number i is made for ``channels(i, in_channels, growth_rate)`` maps."""

    def make(n_layers: int, c: int, k: int) -> nn.Module:
        block = MyDenseBlock(n_layers, c, k)
        block.layers = nn.ModuleList(MyDenseLayer(channels(n, c, k), k) for n in range(n_layers))
        return block

    return make


class ListBlock(nn.Module):
    def __init__(self, n_layers: int, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.layers = [MyDenseLayer(in_channels, growth_rate)] * n_layers

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, *(layer(x) for layer in self.layers)], 1)


BLOCK: dict[str, object] = {
    "only the maps of its last layer": block_giving(lambda maps: maps[-1]),
    "the input of the block is missing": block_giving(lambda maps: torch.cat(maps[1:], 1)),
    "the maps of the last layer are missing": block_giving(lambda maps: torch.cat(maps[:-1], 1)),
    "the newest maps come first": block_that(newest_first),
    "you add the new maps": block_giving(lambda maps: torch.stack(maps[1:]).sum(0)),
    "what else does the second one read?": block_reading(lambda n, c, k: c),
    "a simple chain": block_reading(lambda n, c, k: k if n else c),
    "the first one reads only the input of the block": block_reading(
        lambda n, c, k: c + (n + 1) * k
    ),
    "and has 1 × Conv2d 10→4, 3×3 | Layer i": block_reading(lambda n, c, k: c * 2**n),
    "a Python list": ListBlock,
    "it lacks 1 × BatchNorm2d(13); 1 × Conv2d 13→4": lambda n, c, k: MyDenseBlock(n - 1, c, k),
    "but computes something else": lambda n, c, k: sequential(
        *(CONCATENATING(c + i * k, k) for i in range(n)), nn.ReLU()
    ),
    "part of the gradient": Each(
        [
            block_that(detached),
            block_giving(lambda maps: torch.cat([maps[0].detach(), *maps[1:]], 1)),
        ]
    ),
    "returns something else when it is called again": block_that(piled),
}


def my_transition(
    c: int,
    share: float,
    kept: Callable[[int, float], Any] = lambda c, share: int(share * c),
    pool: Callable[[], nn.Module] = lambda: nn.AvgPool2d(2),
    **options: Any,
) -> nn.Module:
    return sequential(bn(c), nn.ReLU(), conv(c, kept(c, share), **{"k": 1, **options}), pool())


class PoolsFirst(nn.Module):
    """The mean and a 1×1 convolution are linear and act on other axes: their order is free."""

    def __init__(self, in_channels: int, compression: float) -> None:
        super().__init__()
        self.norm = bn(in_channels)
        self.conv = conv(in_channels, int(compression * in_channels), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.avg_pool2d(F.relu(self.norm(x)), 2))


def transition_with(**options: Any) -> Callable[[int, float], nn.Module]:
    return lambda c, share: my_transition(c, share, **options)


MAX_POOLED = transition_with(pool=lambda: nn.MaxPool2d(2))
TRANSITION: dict[str, object] = {
    "keeps all the maps | The compression is": transition_with(kept=lambda c, share: c),
    "`my_transition(9, 0.5)` – the convolution keeps one map too many | Round down": (
        transition_with(kept=lambda c, share: math.ceil(share * c))
    ),
    "`my_transition(7, 0.7)` – the convolution keeps one map too many": transition_with(
        kept=lambda c, share: round(share * c)
    ),
    "three pixels out of four are skipped": transition_with(
        pool=lambda: nn.Upsample(scale_factor=0.5)
    ),
    "TypeError": transition_with(kept=lambda c, share: share * c),
    "has 1 × Conv2d 8→4, 3×3 too many": transition_with(k=3),
    "has a bias": transition_with(bias=True),
    "but not for one of shape (1, 8, 13, 9)": transition_with(pool=lambda: nn.AdaptiveAvgPool2d(4)),
}


def bottleneck_layer(c: int, k: int) -> nn.Sequential:
    return sequential(*dense_layer(c, 4 * k, 1), *dense_layer(4 * k, k))


class MyBottleneckLayer(nn.Module):
    def __init__(self, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.work = MyDenseLayer(4 * growth_rate, growth_rate)
        self.narrow = dense_layer(in_channels, 4 * growth_rate, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.work(self.narrow(x))


BOTTLENECK: dict[str, object] = {
    "does not have the right layers": Each(
        [
            dense_layer,
            # A bottleneck of 2k maps is neither one of k nor one of 4.
            lambda c, k: sequential(*dense_layer(c, 2 * k, 1), *dense_layer(2 * k, k)),
        ]
    ),
}


def layer_weights(in_channels: int, growth_rate: int) -> tuple[int, int]:
    width = 4 * growth_rate
    return 9 * in_channels * growth_rate, in_channels * width + 9 * width * growth_rate


def layer_weights_by_counting(in_channels: int, growth_rate: int) -> tuple[int, int]:
    narrow, work = conv(in_channels, 4 * growth_rate, 1), conv(4 * growth_rate, growth_rate)
    direct = conv(in_channels, growth_rate)
    return direct.weight.numel(), narrow.weight.numel() + work.weight.numel()


WEIGHTS: dict[str, object] = {
    "returns 2,592, and should return (2,592; 6,336)": lambda c, k: 9 * c * k,
    "returns a `str`": lambda c, k: "12",
    "returns (1; 2)": lambda c, k: (1, 2),
}


def end_with(
    before: Callable[[int], Sequence[nn.Module]] = lambda c: (bn(c), nn.ReLU()),
    pool: Callable[[], nn.Module] = lambda: nn.AdaptiveAvgPool2d(1),
    classes: int = 10,
) -> Callable[[int], list[nn.Module]]:
    """What follows the last block, right by default."""
    return lambda c: [*before(c), pool(), nn.Flatten(), nn.Linear(c, classes)]


RIGHT_END = end_with()


class Bottlenecks(MyDenseBlock):
    layer = staticmethod(bottleneck_layer)


def my_densenet(
    depth: int,
    growth_rate: int,
    in_channels: int = 3,
    *,
    layers: Callable[[int], int] = lambda depth: (depth - 4) // 6,
    transition: Callable[[int, float], nn.Module] = my_transition,
    stem: Callable[[int], int] = lambda growth_rate: 2 * growth_rate,
    end: Callable[[int], list[nn.Module]] = RIGHT_END,
) -> nn.Sequential:
    """A whole net, right by default, each part of which can be spoilt."""
    channels = stem(growth_rate)
    parts: list[nn.Module] = [conv(in_channels, channels)]
    for stage in range(3):
        if stage:
            parts.append(transition(channels, 0.5))
            channels //= 2
        n = layers(depth)
        parts.append(Bottlenecks(n, channels, growth_rate))
        channels += n * growth_rate
    return sequential(*parts, *end(channels))


def densenet_with(**options: Any) -> Callable[[int, int], nn.Module]:
    return lambda depth, growth_rate: my_densenet(depth, growth_rate, **options)


class MyDenseNet(nn.Module):
    """The head declared first and the mean taken by hand."""

    def __init__(self, depth: int, growth_rate: int) -> None:
        super().__init__()
        whole = my_densenet(depth, growth_rate)
        self.head, self.norm, self.body = whole[-1], whole[6], whole[:6]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.body(x))).mean((2, 3)))


class Squeezing(MyDenseNet):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.body(x))).mean((2, 3), keepdim=True).squeeze())


NET: dict[str, object] = {
    "does not have the right layers | Conv2d 3→6, 3×3 | 2k maps": densenet_with(
        stem=lambda growth_rate: 16
    ),
    "convolutions and linear layers: 16 instead of 10 | 6n + 4": densenet_with(
        layers=lambda depth: (depth - 4) // 3
    ),
    "wrong number of convolutions and linear layers: 10 instead of 16": densenet_with(
        layers=lambda depth: 1
    ),
    "has 1 × Linear 6→5 too many": densenet_with(end=end_with(classes=5)),
    "`my_densenet(10, 3, in_channels=1)`": lambda depth, growth_rate, in_channels=3: my_densenet(
        depth, growth_rate
    ),
    "it lacks 1 × BatchNorm2d(6)": densenet_with(end=end_with(lambda c: [nn.ReLU()])),
    "but computes something else": densenet_with(transition=MAX_POOLED),
    "not the one that the weights were made for": densenet_with(end=end_with(pool=nn.Identity)),
    "of shape (1, 3, 13, 9)": Each(
        [Squeezing, densenet_with(end=end_with(pool=lambda: nn.AvgPool2d(4)))]
    ),
}


def test_the_net_accepted_is_said_to_have_the_published_number_of_parameters() -> None:
    assert "769,162" in accepted(checks.check_densenet, my_densenet).message


WRONG: dict[Check, dict[str, object]] = {
    checks.check_dense_layer: LAYER,
    checks.check_dense_block: BLOCK,
    checks.check_transition: TRANSITION,
    checks.check_bottleneck_layer: BOTTLENECK,
    checks.check_layer_weights: WEIGHTS,
    checks.check_densenet: NET,
}
RIGHT: dict[Check, dict[str, object]] = {
    checks.check_dense_layer: {"class": MyDenseLayer, "function": dense_layer},
    checks.check_dense_block: {"growing tensor": MyDenseBlock, "list": MyDenseBlockOfLists},
    checks.check_transition: {"function": my_transition, "pools first": PoolsFirst},
    checks.check_bottleneck_layer: {"class": MyBottleneckLayer, "function": bottleneck_layer},
    checks.check_layer_weights: {
        "formula": layer_weights,
        "counting": layer_weights_by_counting,
        "floats": lambda c, k: [float(count) for count in layer_weights(c, k)],
    },
    checks.check_densenet: {
        "sequential": my_densenet,
        "class": MyDenseNet,
        "colours alone": densenet_with(),
    },
}


test_a_wrong_answer_is_told_what_is_wrong = each_refused(WRONG)
test_a_right_answer_is_accepted_in_whatever_style = each_accepted(RIGHT)
