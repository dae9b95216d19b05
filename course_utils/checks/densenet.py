"""Checkers for the exercises of lesson 4: dense layers, blocks, transitions, a net, their cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import Mistake, require_answers, wrong_answers
from course_utils.checks.building import takes
from course_utils.checks.equivalence import Wired
from course_utils.checks.feedback import Feedback, correct
from course_utils.checks.modules import head_mistakes, left_out, require_modules
from course_utils.checks.running import checker
from course_utils.i18n import _, number
from course_utils.models.counting import count_parameters
from course_utils.models.densenet import DenseBlock, DenseLayer, DenseNet, Transition, densenet

__all__ = [
    "check_bottleneck_layer",
    "check_dense_block",
    "check_dense_layer",
    "check_densenet",
    "check_layer_weights",
    "check_transition",
]


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=False)


def _units(*sizes: tuple[int, int, int], order: str = "nrc") -> nn.Sequential:
    """Convolutions of ``(in, out, kernel)``, each with its (n)orm and its (r)elu in that order."""
    layers: list[nn.Module] = []
    for size in sizes:
        normed = size[order.index("n") > order.index("c")]
        made = {"n": nn.BatchNorm2d(normed), "r": nn.ReLU(), "c": _conv(*size)}
        layers += [made[letter] for letter in order]
    return nn.Sequential(*layers)


def _before() -> str:
    return _("A layer of a dense block normalises what it *reads*: BN, ReLU, then the convolution.")


def _concatenated(layer: nn.Module) -> list[Mistake]:
    """A layer that gives back more than its new maps."""
    message = _("the layer returns its input too, and should return only its new maps.")
    hint = _("The block concatenates, in one place only, and the layer just computes.")
    return wrong_answers(
        Wired(layer, lambda body, x: torch.cat([x, body(x)], 1)),
        message,
        hint,
        Wired(layer, lambda body, x: torch.cat([body(x), x], 1)),
        message,
        hint,
    )


@checker
def check_dense_layer(layer: object) -> Feedback:
    """Check ``MyDenseLayer(in_channels, growth_rate)``: BN, ReLU, 3×3 convolution to new maps.

    >>> print(check_dense_layer(lambda c, k: DenseLayer(c, k, bottleneck=False)).verdict)
    Correct
    """

    def mistakes(c: int, k: int) -> list[Mistake]:
        norm, relu, conv = wanted = _units((c, k, 3))
        return [
            *_concatenated(wanted),
            *wrong_answers(
                _units((c, k, 3), order="cnr"),
                _("a batch normalisation and a ReLU come after the convolution, as in ResNet."),
                _before(),
                nn.Sequential(relu, norm, conv),
                _("the ReLU comes before the batch normalisation instead of after it."),
                nn.Sequential(norm, relu, conv, relu),
                _(
                    "a ReLU follows the convolution, but the layers that read these maps apply "
                    "their own."
                ),
            ),
            *left_out(wanted),
        ]

    require_modules(
        layer,
        "MyDenseLayer",
        [(6, 4), (10, 3)],
        partial(DenseLayer, bottleneck=False),
        mistakes,
    )
    return correct(
        _(
            "your layer does what the course's does without a bottleneck, in training mode and "
            "in eval mode."
        )
    )


@checker
def check_bottleneck_layer(layer: object) -> Feedback:
    """Check ``MyBottleneckLayer(in_channels, growth_rate)``: BN, ReLU, 1×1 to 4k, BN, ReLU, 3×3.

    >>> print(check_bottleneck_layer(DenseLayer).verdict)
    Correct
    """

    def mistakes(c: int, k: int) -> list[Mistake]:
        wide = 4 * k
        four = _("The bottleneck of the paper has 4k maps, where k is the growth rate.")
        wanted = _units((c, wide, 1), (wide, k, 3))
        return _concatenated(wanted) + wrong_answers(
            _units((c, k, 1), (k, k, 3)),
            _("the bottleneck has k maps, and should have four times as many."),
            four,
            _units((c, 4 * c, 1), (4 * c, k, 3)),
            _("the bottleneck has 4 times `in_channels` maps instead of 4 times the growth rate."),
            four,
            _units((c, 4, 1), (4, k, 3)),
            _("the bottleneck has 4 maps, whatever the growth rate."),
            four,
            _units((c, wide, 3), (wide, k, 3)),
            _("the first convolution is 3×3, but a bottleneck narrows with a 1×1."),
            _units((c, wide, 3), (wide, k, 1)),
            _("the 3×3 convolution comes first, but the 1×1 should narrow its input before it."),
            _units((c, wide, 1), (wide, k, 1)),
            _("both convolutions are 1×1: no layer looks at neighbouring pixels."),
            _units((c, wide, 1), (wide, k, 3), order="cnr"),
            _("a batch normalisation and a ReLU come after each convolution, as in ResNet."),
            _before(),
            nn.Sequential(*wanted[:3], wanted[5]),
            _("there is nothing between the two convolutions."),
            _("What do two linear layers in a row amount to?"),
            nn.Sequential(*wanted[:3], *wanted[4:]),
            _("the second batch normalisation is missing."),
            nn.Sequential(*wanted[:4], wanted[5]),
            _("the second ReLU is missing."),
            wanted[2:],
            _("the layer begins with its convolution, so nothing normalises what it reads."),
            _before(),
        )

    cases = [(7, 3), (9, 2)]
    require_modules(layer, "MyBottleneckLayer", cases, DenseLayer, mistakes)
    return correct(_("your layer does what the course's does, in training mode and in eval mode."))


@checker
def check_dense_block(block: object) -> Feedback:
    """Check ``MyDenseBlock(n_layers, in_channels, growth_rate)``: layers without bottleneck.

    >>> print(check_dense_block(lambda n, c, k: DenseBlock(n, c, k, bottleneck=False)).verdict)
    Correct
    """
    require_modules(
        block,
        "MyDenseBlock",
        [(3, 5, 4), (2, 4, 3), (1, 6, 2)],
        partial(DenseBlock, bottleneck=False),
        _block_mistakes,
        hint=_(
            "Layer i, counted from 0, reads the input and the new maps of the i layers before it."
        ),
    )
    return correct(
        _(
            "your dense block does what the course's does without a bottleneck, in training "
            "mode and in eval mode."
        )
    )


def _new_maps(block: DenseBlock, x: Tensor) -> list[Tensor]:
    maps = [x]
    for layer in block.layers:
        maps.append(layer(maps))
    return maps


def _newest_first(block: DenseBlock, x: Tensor) -> Tensor:
    for layer in block.layers:
        x = torch.cat([layer(x), x], 1)
    return x


def _block_mistakes(n_layers: int, in_channels: int, growth_rate: int) -> list[Mistake]:
    """The block's own layers, put together in the wrong way, or made to read other maps."""
    block = DenseBlock(n_layers, in_channels, growth_rate, bottleneck=False)

    def wired(forward: Callable[[DenseBlock, Tensor], Tensor]) -> nn.Module:
        return Wired(block, forward)

    def reading(maps: Callable[[int], int]) -> nn.Module:
        other = DenseBlock(n_layers, in_channels, growth_rate, bottleneck=False)
        other.layers = nn.ModuleList(
            DenseLayer(maps(i), growth_rate, bottleneck=False) for i in range(n_layers)
        )
        return other

    every = _("What comes after the block reads the input and the new maps of every layer.")
    return wrong_answers(
        wired(lambda block, x: _new_maps(block, x)[-1]),
        _("the block returns only the maps of its last layer."),
        every,
        wired(lambda block, x: torch.cat(_new_maps(block, x)[1:], 1)),
        _("the input of the block is missing from its output."),
        every,
        wired(lambda block, x: torch.cat(_new_maps(block, x)[:-1], 1)),
        _("the maps of the last layer are missing from the output of the block."),
        _("Is the output of the last layer appended before the concatenation?"),
        wired(_newest_first),
        _(
            "the newest maps come first, but the input should, followed by the maps of each "
            "layer in order."
        ),
        _("The order of the list that `torch.cat` receives is the order of the maps."),
        wired(lambda block, x: torch.stack(_new_maps(block, x)[1:]).sum(0)),
        _("you add the new maps instead of concatenating them."),
        _("`torch.cat(..., dim=1)` places maps side by side."),
        reading(lambda i: in_channels),
        _(
            "all its layers are built for the input of the block alone: what else does the "
            "second one read?"
        ),
        reading(lambda i: growth_rate if i else in_channels),
        _("each layer is built for the maps of the one before it: this is a simple chain."),
        reading(lambda i: in_channels + (i + 1) * growth_rate),
        _(
            "the layers are built for too many maps: the first one reads only the input of the "
            "block."
        ),
    )


@checker
def check_transition(function: object) -> Feedback:
    """Check ``my_transition(in_channels, compression)``: BN, ReLU, 1×1, average over 2×2 pixels.

    >>> print(check_transition(lambda c, share: Transition(c, int(share * c))).verdict)
    Correct
    """

    def reference(c: int, compression: float) -> Transition:
        return Transition(c, int(compression * c))

    def mistakes(c: int, compression: float) -> list[Mistake]:
        kept = int(compression * c)
        norm, relu, conv, pool = wanted = Transition(c, kept)
        strided = nn.Conv2d(c, kept, 1, stride=2, bias=False)
        return [
            *wrong_answers(
                nn.Sequential(norm, relu, conv, nn.MaxPool2d(2)),
                _("the pooling takes the maximum instead of the mean."),
                nn.Sequential(norm, relu, strided),
                _("three pixels out of four are skipped, as by a stride."),
                _("Average pooling uses all four pixels."),
                nn.Sequential(norm, relu, conv),
                _("the maps keep their size: the pooling is missing."),
                nn.Sequential(norm, relu, conv, nn.AdaptiveAvgPool2d(1)),
                _("the pooling averages whole maps instead of halving their sides."),
                nn.Sequential(*_units((c, kept, 1), order="cnr"), pool),
                _("a batch normalisation and a ReLU come after the convolution, as in ResNet."),
                _before(),
                Transition(c, c),
                _("your transition keeps all the maps."),
                _("The compression is the share of the maps that are kept."),
                Transition(c, kept + 1),
                _("the convolution keeps one map too many."),
                _("Round down a number that is not whole, with `int(…)`."),
                Transition(c, c // 2),
                _("your transition keeps half of the maps, whatever the compression."),
            ),
            *left_out(wanted),
        ]

    cases = [(8, 0.5), (9, 0.5), (6, 1.0), (7, 0.7), (10, 0.25)]
    require_modules(function, "my_transition", cases, reference, mistakes)
    return correct(_("your transition does what the course's does, with and without compression."))


def _layer_weights(in_channels: int, growth_rate: int) -> tuple[int, int]:
    """Weights of the convolutions of a dense layer, without and with a bottleneck of 4k maps."""
    narrowed = in_channels * 4 * growth_rate + 9 * 4 * growth_rate * growth_rate
    return 9 * in_channels * growth_rate, narrowed


@checker
def check_layer_weights(function: object) -> Feedback:
    """Check ``layer_weights(in_channels, growth_rate)``: ``(without, with)`` a bottleneck.

    >>> print(check_layer_weights(lambda c, k: (9 * c * k, 4 * c * k + 36 * k * k)).verdict)
    Correct
    """
    mistakes = wrong_answers(
        lambda c, k: _layer_weights(c, k)[::-1],
        _("the two numbers are swapped: without the bottleneck comes first."),
        lambda c, k: (c * k, 4 * c * k + 4 * k * k),
        _("a 3×3 convolution has nine weights per pair of maps."),
        lambda c, k: (9 * c * k, 4 * c * k),
        _("you forgot the 3×3 convolution after the bottleneck."),
        lambda c, k: (9 * c * k, 36 * k * k),
        _("you forgot the 1×1 convolution of the bottleneck."),
        lambda c, k: (9 * c * k, c * k + 9 * k * k),
        _("your bottleneck has k maps, and should have 4k."),
        lambda c, k: (9 * c * k, 9 * 4 * c * k + 36 * k * k),
        _("the convolution that narrows is 1×1: it has one weight per pair of maps, not nine."),
        lambda c, k: (9 * c * k, 4 * c * k + 9 * 4 * k),
        _("the 3×3 convolution goes from 4k maps to k, and both numbers count."),
        lambda c, k: (9 * c * k + 2 * c, 4 * c * k + 36 * k * k + 2 * c + 8 * k),
        _("Batch normalisation has weights too, but only the convolutions are counted here."),
        lambda c, k: (9 * c * k + k, 4 * c * k + 36 * k * k + 5 * k),
        _("the convolutions have no bias here."),
    )
    weights = _("A convolution has (maps in) × (maps out) × (pixels of its kernel) weights.")
    cases = [(24, 12), (120, 12), (7, 3), (1, 5)]
    require_answers(function, "layer_weights", cases, _layer_weights, mistakes, weights)
    return correct(_("the two are equal where a layer reads 7.2 times the growth rate."))


@checker
def check_densenet(function: object) -> Feedback:
    """Check ``my_densenet(depth, growth_rate, in_channels=3)``: DenseNet-BC for ten classes.

    A function without ``in_channels`` is for images in colours, and is checked with these alone.

    >>> print(check_densenet(densenet).verdict)
    Correct
    """
    end = _("After the last block come a BN, a ReLU, global average pooling and one linear layer.")

    def mistakes(depth: int, growth_rate: int, in_channels: int = 3) -> list[Mistake]:
        net = densenet(depth, growth_rate, in_channels=in_channels)

        def ending(forward: Callable[[DenseNet, Tensor], Tensor]) -> nn.Module:
            return Wired(net, lambda net, x: forward(net, net.norm(net.stages(net.stem(x)))))

        return head_mistakes(net) + wrong_answers(
            ending(lambda net, maps: net.linear(maps.mean((2, 3)))),
            _("the ReLU after the last batch normalisation is missing."),
            end,
            ending(lambda net, maps: net.linear(F.relu(maps).amax((2, 3)))),
            _("the pooling at the end takes the maximum instead of the mean."),
        )

    cases: list[tuple[Any, ...]] = [(10, 3), (16, 4)]
    if takes(function, "in_channels"):
        cases.append((10, 3, {"in_channels": 1}))
    require_modules(
        function,
        "my_densenet",
        cases,
        densenet,
        mistakes,
        images=(3, 16, 16),
        hint=_(
            "A depth of 6n + 4 counts one first convolution of 2k maps, 3 blocks of n layers of "
            "2 convolutions, 2 transitions and one linear layer. A BN and a ReLU come before "
            "the average."
        ),
    )
    with torch.device("meta"):
        published = count_parameters(densenet(100, 12))
    return correct(
        _(
            "your network equals the course's; at depth 100 and growth rate 12, it has {count} "
            "parameters."
        ).format(count=number(published, 9))
    )
