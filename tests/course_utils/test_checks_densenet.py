"""Lesson 4's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

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
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks import densenet as checks

ALL: dict[str, Check] = {name: getattr(checks, name) for name in checks.__all__}
MODULES = {name: check for name, check in ALL.items() if check is not checks.check_layer_weights}


# --- What holds for all of them ---------------------------------------------------------------


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_stub_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", MODULES.values(), ids=MODULES)
def test_a_class_left_as_it_is_in_the_notebook_is_not_filled_in_yet(check: Check) -> None:
    class Stub(nn.Module):
        def __init__(self, *args: object) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return ...  # type: ignore[return-value]

    # A net with nothing in it has no layer either, and the number of layers is what comes first.
    expected = False if check is checks.check_densenet else None
    assert check(Stub).passed is expected


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("absurd", ABSURD, ids=repr)
def test_an_absurd_answer_is_refused_without_an_exception(check: Check, absurd: object) -> None:
    assert check(absurd).passed is False


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_code_that_raises_is_told_where(check: Check) -> None:
    told_where_it_broke(check)


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_the_readers_random_state_is_left_alone(check: Check) -> None:
    with random_state_kept():
        for answer in SOLUTIONS[check].values():
            check(answer)


# --- The answers, right and wrong -------------------------------------------------------------


def conv(i: int, o: int, k: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, **{"padding": k // 2, "bias": False, **options})


def bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)


def sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


class MyDenseLayer(nn.Module):
    def __init__(self, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.conv = conv(in_channels, growth_rate)
        self.norm = bn(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.norm(x)))


def dense_layer(in_channels: int, growth_rate: int) -> nn.Module:
    return sequential(bn(in_channels), nn.ReLU(inplace=True), conv(in_channels, growth_rate))


class ConcatenatingLayer(MyDenseLayer):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], 1)


class ConcatenatingLayerReversed(MyDenseLayer):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([super().forward(x), x], 1)


WRONG_LAYER: dict[str, tuple[Any, ...]] = {
    "concatenates": (ConcatenatingLayer, "gives back its input too"),
    "concatenates, reversed": (ConcatenatingLayerReversed, "gives back its input too"),
    "as in resnet": (
        lambda c, k: sequential(conv(c, k), bn(k), nn.ReLU()),
        "come after the convolution, as in ResNet",
    ),
    "relu first": (
        lambda c, k: sequential(nn.ReLU(), bn(c), conv(c, k)),
        "the ReLU comes before the batch normalisation",
    ),
    "no relu": (lambda c, k: sequential(bn(c), conv(c, k)), "the ReLU is missing"),
    "no norm": (
        lambda c, k: sequential(nn.ReLU(), conv(c, k)),
        "the batch normalisation is missing",
    ),
    "bare": (conv, "normalisation and the ReLU are missing"),
    "relu last": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, k), nn.ReLU()),
        "a ReLU follows the convolution",
    ),
    "bias": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, k, bias=True)),
        "has a bias",
    ),
    "no padding": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, k, padding=0)),
        "has padding (0, 0); (1, 1) is expected",
    ),
    "1x1": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, k, 1)),
        "does not have the layers expected",
    ),
    "as many maps as it reads": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, c)),
        "does not have the layers expected",
    ),
    "already called": (dense_layer(6, 4), "already made"),
}


@pytest.mark.parametrize("wrong", WRONG_LAYER)
def test_dense_layer_explains(wrong: str) -> None:
    refused(checks.check_dense_layer, *WRONG_LAYER[wrong])


def bottleneck_layer(c: int, k: int, *, width: int | None = None, first: int = 1) -> nn.Module:
    width = 4 * k if width is None else width
    return sequential(bn(c), nn.ReLU(), conv(c, width, first), bn(width), nn.ReLU(), conv(width, k))


class MyBottleneckLayer(nn.Module):
    def __init__(self, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.work = MyDenseLayer(4 * growth_rate, growth_rate)
        self.narrow = sequential(bn(in_channels), nn.ReLU(), conv(in_channels, 4 * growth_rate, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.work(self.narrow(x))


WRONG_BOTTLENECK: dict[str, tuple[Any, ...]] = {
    "k maps": (lambda c, k: bottleneck_layer(c, k, width=k), "has k maps; four times as many"),
    "4 maps": (lambda c, k: bottleneck_layer(c, k, width=4), "has 4 maps, whatever"),
    "4c maps": (lambda c, k: bottleneck_layer(c, k, width=4 * c), "4 times `in_channels`"),
    "3x3 twice": (lambda c, k: bottleneck_layer(c, k, first=3), "the first convolution is 3×3"),
    "swapped": (
        lambda c, k: sequential(
            bn(c), nn.ReLU(), conv(c, 4 * k), bn(4 * k), nn.ReLU(), conv(4 * k, k, 1)
        ),
        "the 3×3 convolution comes first",
    ),
    "1x1 twice": (
        lambda c, k: sequential(
            bn(c), nn.ReLU(), conv(c, 4 * k, 1), bn(4 * k), nn.ReLU(), conv(4 * k, k, 1)
        ),
        "both convolutions are 1×1",
    ),
    "as in resnet": (
        lambda c, k: sequential(
            conv(c, 4 * k, 1), bn(4 * k), nn.ReLU(), conv(4 * k, k), bn(k), nn.ReLU()
        ),
        "as in ResNet",
    ),
    "nothing between": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, 4 * k, 1), conv(4 * k, k)),
        "nothing stands between the two convolutions",
    ),
    "no second norm": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, 4 * k, 1), nn.ReLU(), conv(4 * k, k)),
        "the second batch normalisation is missing",
    ),
    "no second relu": (
        lambda c, k: sequential(bn(c), nn.ReLU(), conv(c, 4 * k, 1), bn(4 * k), conv(4 * k, k)),
        "the second ReLU is missing",
    ),
    "begins with a convolution": (
        lambda c, k: sequential(conv(c, 4 * k, 1), bn(4 * k), nn.ReLU(), conv(4 * k, k)),
        "begins with its convolution",
    ),
    "no bottleneck": (dense_layer, "does not have the layers expected"),
}


@pytest.mark.parametrize("wrong", WRONG_BOTTLENECK)
def test_bottleneck_layer_explains(wrong: str) -> None:
    refused(checks.check_bottleneck_layer, *WRONG_BOTTLENECK[wrong])


class MyDenseBlock(nn.Module):
    def __init__(self, n_layers: int, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MyDenseLayer(in_channels + n * growth_rate, growth_rate) for n in range(n_layers)
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


class NewestFirst(MyDenseBlock):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([layer(x), x], dim=1)
        return x


class LastAlone(MyDenseBlock):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            new = layer(x)
            x = torch.cat([x, new], dim=1)
        return new


class WithoutInput(MyDenseBlock):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, x.shape[1] :]


class WithoutLast(MyDenseBlock):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            before, x = x, torch.cat([x, layer(x)], dim=1)
        return before


class Summed(MyDenseBlock):
    def forward(self, x: Tensor) -> Tensor:
        new = []
        for layer in self.layers:
            new.append(layer(x))
            x = torch.cat([x, new[-1]], dim=1)
        return torch.stack(new).sum(0)


def block_reading(channels: Callable[[int, int, int], int]) -> Callable[..., nn.Module]:
    """A block whose layer number i is made for ``channels(i, in_channels, growth_rate)`` maps."""

    class Block(MyDenseBlock):
        def __init__(self, n_layers: int, in_channels: int, growth_rate: int) -> None:
            super().__init__(n_layers, in_channels, growth_rate)
            self.layers = nn.ModuleList(
                MyDenseLayer(channels(n, in_channels, growth_rate), growth_rate)
                for n in range(n_layers)
            )

    return Block


class ListBlock(nn.Module):
    def __init__(self, n_layers: int, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        self.layers = [MyDenseLayer(in_channels, growth_rate)] * n_layers

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, *(layer(x) for layer in self.layers)], 1)


WRONG_BLOCK: dict[str, tuple[Any, ...]] = {
    "last alone": (LastAlone, "the maps of its last layer alone"),
    "without the input": (WithoutInput, "the block's own input is missing"),
    "without the last": (WithoutLast, "the maps of the last layer are missing"),
    "newest first": (NewestFirst, "the newest maps come first"),
    "summed": (Summed, "the new maps are added"),
    "input alone": (
        block_reading(lambda n, c, k: c),
        "made to read 5, 5, 5 maps; 5, 9, 13 are expected",
        "What else does the second read?",
    ),
    "chain": (
        block_reading(lambda n, c, k: k if n else c),
        "made to read 5, 4, 4 maps",
        "a plain chain",
    ),
    "one too far": (
        block_reading(lambda n, c, k: c + (n + 1) * k),
        "made to read 9, 13, 17 maps",
        "The first layer reads the block's input",
    ),
    "doubling": (block_reading(lambda n, c, k: c * 2**n), "made to read 5, 10, 20 maps"),
    "python list": (ListBlock, "a Python list"),
    "one layer too few": (
        lambda n, c, k: MyDenseBlock(n - 1, c, k),
        "does not have the layers expected",
    ),
    "wrong layers": (
        lambda n, c, k: nn.Sequential(
            *(ConcatenatingLayer(c + i * k, k) for i in range(n)), nn.ReLU()
        ),
        "does not compute the same",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_BLOCK)
def test_dense_block_explains(wrong: str) -> None:
    refused(checks.check_dense_block, *WRONG_BLOCK[wrong])


def my_transition(in_channels: int, compression: float) -> nn.Module:
    kept = int(compression * in_channels)
    return sequential(bn(in_channels), nn.ReLU(), conv(in_channels, kept, 1), nn.AvgPool2d(2))


class PoolsFirst(nn.Module):
    """The mean and a 1×1 convolution are linear and act on other axes: their order is free."""

    def __init__(self, in_channels: int, compression: float) -> None:
        super().__init__()
        self.norm = bn(in_channels)
        self.conv = conv(in_channels, int(compression * in_channels), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.avg_pool2d(F.relu(self.norm(x)), 2))


def transition_with(
    kept: Callable[[int, float], int] = lambda c, share: int(share * c),
    pool: Callable[[], nn.Module] = lambda: nn.AvgPool2d(2),
    **options: Any,
) -> Callable[[int, float], nn.Module]:
    return lambda c, share: sequential(
        bn(c), nn.ReLU(), conv(c, kept(c, share), **{"k": 1, **options}), pool()
    )


WRONG_TRANSITION: dict[str, tuple[Any, ...]] = {
    "max": (transition_with(pool=lambda: nn.MaxPool2d(2)), "takes the maximum"),
    "stride": (
        transition_with(pool=nn.Identity, stride=2),
        "takes the stride and skips three pixels out of four",
    ),
    "no pooling": (transition_with(pool=nn.Identity), "the pooling is missing"),
    "global": (transition_with(pool=lambda: nn.AdaptiveAvgPool2d(1)), "averages whole maps"),
    "no compression": (
        transition_with(kept=lambda c, share: c),
        "keeps 8 maps; 4 are expected",
        "Compression is the share",
    ),
    "rounded up": (
        transition_with(kept=lambda c, share: math.ceil(share * c)),
        "`my_transition(9, 0.5)` keeps 5 maps; 4 are expected",
        "rounded down",
    ),
    "always half": (
        transition_with(kept=lambda c, share: c // 2),
        "`my_transition(6, 1.0)` keeps 3 maps; 6 are expected",
    ),
    "float": (transition_with(kept=lambda c, share: share * c), "TypeError"),  # type: ignore[arg-type, return-value]
    "as in resnet": (
        lambda c, share: sequential(
            conv(c, int(share * c), 1), bn(int(share * c)), nn.ReLU(), nn.AvgPool2d(2)
        ),
        "as in ResNet",
    ),
    "no relu": (
        lambda c, share: sequential(bn(c), conv(c, int(share * c), 1), nn.AvgPool2d(2)),
        "the ReLU is missing",
    ),
    "no norm": (
        lambda c, share: sequential(nn.ReLU(), conv(c, int(share * c), 1), nn.AvgPool2d(2)),
        "the batch normalisation is missing",
    ),
    "bare": (
        lambda c, share: sequential(conv(c, int(share * c), 1), nn.AvgPool2d(2)),
        "normalisation and the ReLU are missing",
    ),
    "3x3": (transition_with(k=3), "does not have the layers expected"),
    "bias": (transition_with(bias=True), "has a bias"),
}


@pytest.mark.parametrize("wrong", WRONG_TRANSITION)
def test_transition_explains(wrong: str) -> None:
    refused(checks.check_transition, *WRONG_TRANSITION[wrong])


def layer_weights(in_channels: int, growth_rate: int) -> tuple[int, int]:
    width = 4 * growth_rate
    return 9 * in_channels * growth_rate, in_channels * width + 9 * width * growth_rate


def layer_weights_by_counting(in_channels: int, growth_rate: int) -> tuple[int, int]:
    narrow, work = conv(in_channels, 4 * growth_rate, 1), conv(4 * growth_rate, growth_rate)
    direct = conv(in_channels, growth_rate)
    return direct.weight.numel(), narrow.weight.numel() + work.weight.numel()


WRONG_WEIGHTS: dict[str, tuple[Any, ...]] = {
    "swapped": (lambda c, k: layer_weights(c, k)[::-1], "swapped"),
    "no nine": (lambda c, k: (c * k, 4 * c * k + 4 * k * k), "nine weights"),
    "1x1 alone": (lambda c, k: (9 * c * k, 4 * c * k), "after the bottleneck is forgotten"),
    "3x3 alone": (lambda c, k: (9 * c * k, 36 * k * k), "of the bottleneck is forgotten"),
    "k maps": (lambda c, k: (9 * c * k, c * k + 9 * k * k), "it has 4k"),
    "3x3 twice": (lambda c, k: (9 * c * k, 36 * c * k + 36 * k * k), "not nine"),
    "k once": (lambda c, k: (9 * c * k, 4 * c * k + 36 * k), "both numbers count"),
    "with biases": (
        lambda c, k: (9 * c * k + k, 4 * c * k + 36 * k * k + 5 * k),
        "no bias",
    ),
    "with norms": (
        lambda c, k: (9 * c * k + 2 * c, 4 * c * k + 36 * k * k + 2 * c + 8 * k),
        "the convolutions alone are counted",
    ),
    "one number": (lambda c, k: 9 * c * k, "shape"),
    "text": (lambda c, k: "many", "answers with a `str`"),
    "other": (lambda c, k: (1, 2), "not the right values"),
}


@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_layer_weights_explains(wrong: str) -> None:
    refused(checks.check_layer_weights, *WRONG_WEIGHTS[wrong])


class Bottlenecks(nn.Module):
    """A dense block of bottleneck layers, spoilt or not."""

    def __init__(self, n: int, c: int, k: int, layer: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer(c + i * k, k) for i in range(n))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


def end_with(
    *,
    norm: bool = True,
    relu: bool = True,
    pool: Callable[[int], nn.Module] = nn.AdaptiveAvgPool2d,
    classes: int = 10,
    after: Sequence[nn.Module] = (),
) -> Callable[[int], list[nn.Module]]:
    """What follows the last block, right by default."""

    def end(c: int) -> list[nn.Module]:
        before = [bn(c)] * norm + [nn.ReLU()] * relu
        return [*before, pool(1), nn.Flatten(), nn.Linear(c, classes), *after]

    return end


RIGHT_END = end_with()


def my_densenet(
    depth: int,
    growth_rate: int,
    *,
    layers: Callable[[int], int] = lambda depth: (depth - 4) // 6,
    layer: Callable[[int, int], nn.Module] = bottleneck_layer,
    transition: Callable[[int, float], nn.Module] = my_transition,
    stem: int = 2,
    end: Callable[[int], list[nn.Module]] = RIGHT_END,
) -> nn.Module:
    """A whole net, right by default, each part of which can be spoilt."""
    channels = stem * growth_rate
    parts: list[nn.Module] = [conv(3, channels)]
    for stage in range(3):
        if stage:
            parts.append(transition(channels, 0.5))
            channels //= 2
        n = layers(depth)
        parts.append(Bottlenecks(n, channels, growth_rate, layer))
        channels += n * growth_rate
    return nn.Sequential(*parts, *end(channels))


def densenet_with(**options: Any) -> Callable[[int, int], nn.Module]:
    return lambda depth, growth_rate: my_densenet(depth, growth_rate, **options)


class MyDenseNet(nn.Module):
    """The head declared first and the mean taken by hand."""

    def __init__(self, depth: int, growth_rate: int) -> None:
        super().__init__()
        whole = my_densenet(depth, growth_rate)
        assert isinstance(whole, nn.Sequential)
        self.head, self.norm, self.body = whole[-1], whole[6], whole[:6]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.body(x))).mean((2, 3)))


WRONG_NET: dict[str, tuple[Any, ...]] = {
    "stem of 16": (
        lambda depth, k: sequential(conv(3, 16), bn(16)),
        "the first convolution gives 16 maps; 6 are expected",
    ),
    "layers counted as convolutions": (
        densenet_with(layers=lambda depth: (depth - 4) // 3),
        "`my_densenet(10, 3)` has 16 convolutions and linear layers; 10 are expected",
        "here n = 1",
    ),
    "depth ignored": (
        densenet_with(layers=lambda depth: 1),
        "`my_densenet(16, 4)` has 10 convolutions and linear layers; 16 are expected",
    ),
    "softmax": (densenet_with(end=end_with(after=[nn.Softmax(1)])), "ends in a softmax"),
    "classes": (densenet_with(end=end_with(classes=5)), "(3, 5)"),
    "no last relu": (
        densenet_with(end=end_with(relu=False)),
        "the ReLU after the last batch normalisation is missing",
    ),
    "max at the end": (
        densenet_with(end=end_with(pool=nn.AdaptiveMaxPool2d)),
        "takes the maximum",
    ),
    "relu on the scores": (
        densenet_with(end=end_with(after=[nn.ReLU()])),
        "a score may be negative",
    ),
    "no norm at the end": (
        densenet_with(end=end_with(norm=False)),
        "does not have the layers expected",
    ),
    "max in the transitions": (
        densenet_with(transition=WRONG_TRANSITION["max"][0]),
        "does not compute the same",
    ),
    "no flatten": (
        densenet_with(end=lambda c: [bn(c), nn.ReLU(), nn.Flatten(), nn.Linear(c, 10)]),
        "another number of features",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_NET)
def test_densenet_explains(wrong: str) -> None:
    refused(checks.check_densenet, *WRONG_NET[wrong])


def test_the_net_accepted_is_said_to_have_the_published_number_of_parameters() -> None:
    assert "769,162" in accepted(checks.check_densenet, my_densenet).message


# --- Solutions, in more than one style ---------------------------------------------------------

SOLUTIONS: dict[Check, dict[str, object]] = {
    checks.check_dense_layer: {"class": MyDenseLayer, "function": dense_layer},
    checks.check_bottleneck_layer: {"class": MyBottleneckLayer, "function": bottleneck_layer},
    checks.check_dense_block: {"growing tensor": MyDenseBlock, "list": MyDenseBlockOfLists},
    checks.check_transition: {"function": my_transition, "pools first": PoolsFirst},
    checks.check_layer_weights: {
        "formula": layer_weights,
        "counting": layer_weights_by_counting,
        "list": lambda c, k: list(layer_weights(c, k)),
    },
    checks.check_densenet: {"sequential": my_densenet, "class": MyDenseNet},
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


def test_every_checker_has_solutions_here() -> None:
    assert set(SOLUTIONS) == set(ALL.values())
