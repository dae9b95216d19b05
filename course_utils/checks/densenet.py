"""Checkers for the exercises of lesson 4: dense layers, blocks, transitions, a net, their cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import Wrong, require_answers
from course_utils.checks.equivalence import Mistake, Wired, require_equal, require_logits, run
from course_utils.checks.feedback import Feedback, build, checker, correct, reject
from course_utils.i18n import _
from course_utils.models.counting import count_parameters
from course_utils.models.densenet import (
    DenseBlock,
    DenseLayer,
    DenseNet,
    Transition,
    densenet,
    layers_per_block,
)

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
    for in_channels, out_channels, kernel_size in sizes:
        normed = in_channels if order.index("n") < order.index("c") else out_channels
        made: dict[str, Callable[[], nn.Module]] = {
            "n": partial(nn.BatchNorm2d, normed),
            "r": nn.ReLU,
            "c": partial(_conv, in_channels, out_channels, kernel_size),
        }
        layers += [made[letter]() for letter in order]
    return nn.Sequential(*layers)


def _without(make: Callable[[], nn.Sequential], *places: int) -> Callable[[], nn.Module]:
    """The layers of ``make()`` but those at ``places``."""

    def made() -> nn.Module:
        return nn.Sequential(*(layer for n, layer in enumerate(make()) if n not in places))

    return made


def _before() -> str:
    return _("A dense layer normalises what it *reads*: BN, ReLU, then the convolution.")


def _concatenated(body: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([x, body(x)], 1)


@checker
def check_dense_layer(layer: object) -> Feedback:
    """Check ``MyDenseLayer(in_channels, growth_rate)``: BN, ReLU, 3×3 convolution to new maps.

    >>> print(check_dense_layer(lambda c, k: DenseLayer(c, k, bottleneck=False)).verdict)
    Correct
    """
    for in_channels, growth_rate in ((6, 4), (10, 3)):

        def make(c: int = in_channels, k: int = growth_rate) -> nn.Sequential:
            return _units((c, k, 3))

        mistakes = [
            *_what_comes_out(make),
            Mistake(
                partial(_units, (in_channels, growth_rate, 3), order="cnr"),
                _("batch normalisation and ReLU come after the convolution, as in ResNet."),
                _before(),
            ),
            Mistake(
                partial(_units, (in_channels, growth_rate, 3), order="rnc"),
                _("the ReLU comes before the batch normalisation; it should come after."),
            ),
            Mistake(_without(make, 1), _("the ReLU is missing.")),
            Mistake(_without(make, 0), _("the batch normalisation is missing.")),
            Mistake(_without(make, 0, 1), _("the batch normalisation and the ReLU are missing.")),
            Mistake(
                partial(nn.Sequential, make(), nn.ReLU()),
                _("a ReLU follows the convolution: the layers that read it apply their own."),
            ),
        ]
        label = f"MyDenseLayer({in_channels}, {growth_rate})"
        require_equal(
            build(layer, "MyDenseLayer", in_channels, growth_rate),
            DenseLayer(in_channels, growth_rate, bottleneck=False),
            torch.randn(4, in_channels, 8, 8, dtype=torch.float64),
            label,
            mistakes,
        )
    return correct(
        _("equal to the course's dense layer without bottleneck, in training and in eval mode.")
    )


def _what_comes_out(make: Callable[[], nn.Module]) -> list[Mistake]:
    """A layer that gives back more than its new maps."""
    return [
        Mistake(
            lambda: Wired(make(), _concatenated),
            _("the layer gives back its input too; its new maps alone are expected."),
            _("The block concatenates, once and in one place: the layer only computes."),
        ),
        Mistake(
            lambda: Wired(make(), lambda body, x: torch.cat([body(x), x], 1)),
            _("the layer gives back its input too; its new maps alone are expected."),
            _("The block concatenates, once and in one place: the layer only computes."),
        ),
    ]


@checker
def check_bottleneck_layer(layer: object) -> Feedback:
    """Check ``MyBottleneckLayer(in_channels, growth_rate)``: BN, ReLU, 1×1 to 4k, BN, ReLU, 3×3.

    >>> print(check_bottleneck_layer(DenseLayer).verdict)
    Correct
    """
    for c, k in ((6, 2), (9, 3)):

        def make(c: int = c, k: int = k, width: int | None = None) -> nn.Sequential:
            width = 4 * k if width is None else width
            return _units((c, width, 1), (width, k, 3))

        def of(width: int, make: Callable[..., nn.Sequential] = make) -> Callable[[], nn.Module]:
            return lambda: make(width=width)

        four = _("The paper's bottleneck has 4k maps, with k the growth rate.")
        mistakes = [
            *_what_comes_out(make),
            Mistake(of(k), _("the bottleneck has k maps; four times as many are expected."), four),
            Mistake(of(4 * c), _("the bottleneck has 4 times `in_channels` maps."), four),
            Mistake(of(4), _("the bottleneck has 4 maps, whatever the growth rate."), four),
            Mistake(
                partial(_units, (c, 4 * k, 3), (4 * k, k, 3)),
                _("the first convolution is 3×3; a bottleneck narrows with a 1×1."),
            ),
            Mistake(
                partial(_units, (c, 4 * k, 3), (4 * k, k, 1)),
                _("the 3×3 convolution comes first; the 1×1 should narrow its input before."),
            ),
            Mistake(
                partial(_units, (c, 4 * k, 1), (4 * k, k, 1)),
                _("both convolutions are 1×1: no layer looks at neighbouring pixels."),
            ),
            Mistake(
                partial(_units, (c, 4 * k, 1), (4 * k, k, 3), order="cnr"),
                _("batch normalisation and ReLU come after each convolution, as in ResNet."),
                _before(),
            ),
            Mistake(
                _without(make, 3, 4),
                _("nothing stands between the two convolutions."),
                _("What do two linear layers in a row amount to?"),
            ),
            Mistake(_without(make, 3), _("the second batch normalisation is missing.")),
            Mistake(_without(make, 4), _("the second ReLU is missing.")),
            Mistake(
                _without(make, 0, 1),
                _("the layer begins with its convolution: nothing normalises what it reads."),
                _before(),
            ),
        ]
        require_equal(
            build(layer, "MyBottleneckLayer", c, k),
            DenseLayer(c, k),
            torch.randn(4, c, 8, 8, dtype=torch.float64),
            f"MyBottleneckLayer({c}, {k})",
            mistakes,
        )
    return correct(_("equal to the course's dense layer, in training and in eval mode."))


@checker
def check_dense_block(block: object) -> Feedback:
    """Check ``MyDenseBlock(n_layers, in_channels, growth_rate)``: layers without bottleneck.

    >>> print(check_dense_block(lambda n, c, k: DenseBlock(n, c, k, bottleneck=False)).verdict)
    Correct
    """
    for sizes in ((3, 5, 4), (2, 4, 3)):
        n_layers, in_channels, growth_rate = sizes
        label = f"MyDenseBlock{sizes}"
        module = build(block, "MyDenseBlock", *sizes)
        x = torch.randn(4, in_channels, 8, 8, dtype=torch.float64)
        _require_growing_layers(module, sizes, label)
        require_equal(
            module,
            DenseBlock(*sizes, bottleneck=False),
            x,
            label,
            _block_mistakes(n_layers, in_channels, growth_rate),
        )
    return correct(
        _("equal to the course's dense block without bottleneck, in training and in eval mode.")
    )


def _require_growing_layers(module: nn.Module, sizes: tuple[int, int, int], label: str) -> None:
    """Layer number i reads ``in_channels + i · growth_rate`` maps: checked before anything runs."""
    n_layers, in_channels, growth_rate = sizes
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    if len(convolutions) != n_layers or {c.out_channels for c in convolutions} != {growth_rate}:
        return  # not the layers asked for: the comparison says which are missing
    given = [layer.in_channels for layer in convolutions]
    wanted = [in_channels + place * growth_rate for place in range(n_layers)]
    if sorted(given) == wanted:
        return
    hints = {
        tuple([in_channels] * n_layers): _(
            "All its layers are made for the block's input alone. What else does the second read?"
        ),
        (in_channels, *[growth_rate] * (n_layers - 1)): _(
            "Each layer is made for the maps of the one before it: this is a plain chain."
        ),
        tuple(count + growth_rate for count in wanted): _(
            "The first layer reads the block's input and nothing else."
        ),
    }
    reject(
        _("`{label}` – its layers are made to read {given} maps; {wanted} are expected.").format(
            label=label,
            given=", ".join(map(str, given)),
            wanted=", ".join(map(str, wanted)),
        ),
        hints.get(
            tuple(given),
            _("Layer number i, from 0, reads the input and the new maps of i layers before it."),
        ),
    )


def _block_mistakes(n_layers: int, in_channels: int, growth_rate: int) -> list[Mistake]:
    """The block's own layers, put together in the wrong way."""

    def make() -> DenseBlock:
        return DenseBlock(n_layers, in_channels, growth_rate, bottleneck=False)

    def wired(forward: Callable[[DenseBlock, Tensor], Tensor]) -> Callable[[], nn.Module]:
        return lambda: Wired(make(), forward)

    def new_maps(block: DenseBlock, x: Tensor) -> list[Tensor]:
        maps = [x]
        for layer in block.layers:
            maps.append(layer(maps))
        return maps

    def newest_first(block: DenseBlock, x: Tensor) -> Tensor:
        for layer in block.layers:
            x = torch.cat([layer(x), x], 1)
        return x

    def summed(block: DenseBlock, x: Tensor) -> Tensor:
        return torch.stack(new_maps(block, x)[1:]).sum(0)

    return [
        Mistake(
            wired(lambda block, x: new_maps(block, x)[-1]),
            _("the block gives back the maps of its last layer alone."),
            _("What comes after the block reads the input and the new maps of every layer."),
        ),
        Mistake(
            wired(lambda block, x: torch.cat(new_maps(block, x)[1:], 1)),
            _("the block's own input is missing from what it gives back."),
            _("What comes after the block reads the input and the new maps of every layer."),
        ),
        Mistake(
            wired(lambda block, x: torch.cat(new_maps(block, x)[:-1], 1)),
            _("the maps of the last layer are missing from what the block gives back."),
            _("Is the last layer's answer appended before the concatenation?"),
        ),
        Mistake(
            wired(newest_first),
            _("the newest maps come first; the input comes first, then each layer's, in order."),
            _("The order of the list that `torch.cat` receives is the order of the maps."),
        ),
        Mistake(
            wired(summed),
            _("the new maps are added; they should be concatenated."),
            _("`torch.cat(..., dim=1)` puts maps side by side."),
        ),
    ]


@checker
def check_transition(function: object) -> Feedback:
    """Check ``my_transition(in_channels, compression)``: BN, ReLU, 1×1, average over 2×2 pixels.

    >>> print(check_transition(lambda c, share: Transition(c, int(share * c))).verdict)
    Correct
    """
    for in_channels, compression in ((8, 0.5), (9, 0.5), (6, 1.0)):
        kept = int(compression * in_channels)
        label = f"my_transition({in_channels}, {compression})"
        module = build(function, "my_transition", in_channels, compression)
        _require_kept(module, in_channels, compression, label)

        def make(c: int = in_channels, kept: int = kept) -> Transition:
            return Transition(c, kept)

        def strided(c: int = in_channels, kept: int = kept) -> nn.Module:
            norm, relu, *_rest = Transition(c, kept)
            return nn.Sequential(norm, relu, nn.Conv2d(c, kept, 1, stride=2, bias=False))

        def after_conv(c: int = in_channels, kept: int = kept) -> nn.Module:
            return nn.Sequential(*_units((c, kept, 1), order="cnr"), nn.AvgPool2d(2))

        def pooled(
            pool: Callable[[], nn.Module], c: int = in_channels, kept: int = kept
        ) -> Callable[[], nn.Module]:
            return lambda: nn.Sequential(*list(Transition(c, kept))[:3], pool())

        mistakes = [
            Mistake(
                pooled(lambda: nn.MaxPool2d(2)),
                _("the pooling takes the maximum; the mean is expected."),
            ),
            Mistake(
                strided,
                _("the 1×1 convolution takes the stride and skips three pixels out of four."),
                _("Average pooling uses all four."),
            ),
            Mistake(pooled(nn.Identity), _("the maps keep their size: the pooling is missing.")),
            Mistake(
                pooled(lambda: nn.AdaptiveAvgPool2d(1)),
                _("the pooling averages whole maps; here it halves their sides."),
            ),
            Mistake(
                after_conv,
                _("batch normalisation and ReLU come after the convolution, as in ResNet."),
                _before(),
            ),
            Mistake(_without(make, 1), _("the ReLU is missing.")),
            Mistake(_without(make, 0), _("the batch normalisation is missing.")),
            Mistake(_without(make, 0, 1), _("the batch normalisation and the ReLU are missing.")),
        ]
        require_equal(
            module,
            make(),
            torch.randn(4, in_channels, 8, 8, dtype=torch.float64),
            label,
            mistakes,
        )
    return correct(_("equal to the course's transition, with and without compression."))


def _require_kept(module: nn.Module, in_channels: int, compression: float, label: str) -> None:
    """Compare the number of maps that the 1×1 convolution gives with what compression leaves."""
    narrowing = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    wanted = int(compression * in_channels)
    if len(narrowing) != 1 or narrowing[0].out_channels == wanted:
        return
    given = narrowing[0].out_channels
    hints = {
        in_channels: _("Compression is the share of the maps that is kept."),
        wanted + 1: _("A number that is not whole is rounded down: `int(…)`."),
    }
    reject(
        _("`{label}` keeps {given} maps; {wanted} are expected.").format(
            label=label, given=given, wanted=wanted
        ),
        hints.get(given),
    )


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
    norms = _("Batch normalisation has weights too, but the convolutions alone are counted here.")
    require_answers(
        function,
        "layer_weights",
        [(24, 12), (120, 12), (7, 3)],
        _layer_weights,
        [
            Wrong(
                lambda c, k: _layer_weights(c, k)[::-1],
                _("the two numbers are swapped: without the bottleneck comes first."),
            ),
            Wrong(
                lambda c, k: (c * k, 4 * c * k + 4 * k * k),
                _("a 3×3 convolution has nine weights for each pair of maps."),
            ),
            Wrong(
                lambda c, k: (9 * c * k, 4 * c * k),
                _("the 3×3 convolution after the bottleneck is forgotten."),
            ),
            Wrong(
                lambda c, k: (9 * c * k, 36 * k * k),
                _("the 1×1 convolution of the bottleneck is forgotten."),
            ),
            Wrong(
                lambda c, k: (9 * c * k, c * k + 9 * k * k),
                _("the bottleneck has k maps here; it has 4k."),
            ),
            Wrong(
                lambda c, k: (9 * c * k, 9 * 4 * c * k + 36 * k * k),
                _("the convolution that narrows is 1×1: one weight a pair of maps, not nine."),
            ),
            Wrong(
                lambda c, k: (9 * c * k, 4 * c * k + 9 * 4 * k),
                _("the 3×3 convolution goes from 4k maps to k: both numbers count."),
            ),
            Wrong(
                lambda c, k: (9 * c * k + 2 * c, 4 * c * k + 36 * k * k + 2 * c + 8 * k),
                norms,
            ),
            Wrong(
                lambda c, k: (9 * c * k + k, 4 * c * k + 36 * k * k + 5 * k),
                _("the convolutions have no bias here."),
            ),
        ],
        _("A convolution has (maps read) × (maps given) × (pixels of its kernel) weights."),
    )
    return correct(_("the two are equal where a layer reads 7.2 times the growth rate."))


@checker
def check_densenet(function: object) -> Feedback:
    """Check ``my_densenet(depth, growth_rate)``: DenseNet-BC for colour images and ten classes.

    >>> print(check_densenet(densenet).verdict)
    Correct
    """
    for depth, growth_rate in ((10, 3), (16, 4)):
        label = f"my_densenet({depth}, {growth_rate})"
        net = build(function, "my_densenet", depth, growth_rate)
        x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
        _require_net(net, depth, growth_rate, x, label)
        require_equal(
            net, densenet(depth, growth_rate), x, label, _net_mistakes(depth, growth_rate)
        )
    return correct(
        _(
            "equal to the course's net; for depth 100 and growth rate 12 it has {count:,} "
            "parameters."
        ).format(count=_published_count())
    )


def _published_count() -> int:
    with torch.device("meta"):
        return count_parameters(densenet(100, 12))


def _require_net(net: nn.Module, depth: int, growth_rate: int, x: Tensor, label: str) -> None:
    """What can be said of a net before its layers are compared: its stem, its depth, its answer."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    stems = [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.in_channels == 3]
    if stems and stems[0].out_channels != 2 * growth_rate:
        reject(
            _(
                "`{label}` – the first convolution gives {given} maps; {wanted} are expected."
            ).format(label=label, given=stems[0].out_channels, wanted=2 * growth_rate),
            _("DenseNet-BC begins with twice the growth rate."),
        )
    if len(layers) != depth:
        reject(
            _(
                "`{label}` has {given} convolutions and linear layers; {wanted} are expected."
            ).format(label=label, given=len(layers), wanted=depth),
            _(
                "A depth of 6n + 4 is one stem, 3 blocks of n layers of 2 convolutions, 2 "
                "transitions and one linear layer: here n = {n}."
            ).format(n=layers_per_block(depth)),
        )
    require_logits(run(net, x.clone(), label), len(x), label, _end())


def _end() -> str:
    return _("After the last block: BN, ReLU, global average pooling, one linear layer.")


def _net_mistakes(depth: int, growth_rate: int) -> list[Mistake]:
    def make() -> DenseNet:
        return densenet(depth, growth_rate)

    def with_end(forward: Callable[[DenseNet, Tensor], Tensor]) -> Callable[[], nn.Module]:
        def wired(net: DenseNet, x: Tensor) -> Tensor:
            return forward(net, net.stages(net.stem(x)))

        return lambda: Wired(make(), wired)

    def mean(net: DenseNet, maps: Tensor) -> Tensor:
        return net.linear(maps.mean((2, 3)))

    return [
        Mistake(
            with_end(lambda net, maps: mean(net, net.norm(maps))),
            _("the ReLU after the last batch normalisation is missing."),
            _end(),
        ),
        Mistake(
            with_end(lambda net, maps: net.linear(F.relu(net.norm(maps)).amax((2, 3)))),
            _("the pooling at the end takes the maximum; the mean is expected."),
        ),
        Mistake(
            with_end(lambda net, maps: F.relu(mean(net, F.relu(net.norm(maps))))),
            _("a ReLU follows the last linear layer: a score may be negative."),
        ),
    ]
