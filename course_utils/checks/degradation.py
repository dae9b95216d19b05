"""Checkers for the exercises of lesson 3: blocks, stages, whole nets, a paired comparison."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import require_function
from course_utils.checks.equivalence import (
    Call,
    Mistake,
    Trace,
    Wired,
    describe,
    require_differentiable,
    require_equal,
    require_input_kept,
    require_logits,
    require_same_shape,
    run,
    trace,
)
from course_utils.checks.feedback import (
    Feedback,
    build,
    checker,
    correct,
    is_blank,
    kind_of,
    reject,
    unfilled,
)
from course_utils.i18n import _
from course_utils.models.blocks import (
    BottleneckBlock,
    ConvBNReLU,
    PadShortcut,
    ResidualBlock,
    conv_bn,
    identity_block,
    projection_block,
    stage,
)
from course_utils.models.cifar import blocks_per_stage, cifar_net
from course_utils.models.counting import count_parameters

__all__ = [
    "check_bottleneck_block",
    "check_conv_bn_relu",
    "check_identity_block",
    "check_identity_layer",
    "check_pad_shortcut",
    "check_paired_change",
    "check_projection_block",
    "check_resnet",
    "check_stage",
]

Block = ResidualBlock | BottleneckBlock


@checker
def check_conv_bn_relu(function: object) -> Feedback:
    """Check ``conv_bn_relu(in_channels, out_channels, stride=1)``: 3×3 convolution, BN, ReLU.

    >>> print(check_conv_bn_relu(...).verdict)
    Not filled in yet
    """
    for arguments in ({}, {"stride": 2}):
        module = build(function, "conv_bn_relu", 3, 8, **arguments)

        def reference(arguments: dict[str, int] = arguments) -> ConvBNReLU:
            return ConvBNReLU(3, 8, **arguments)

        def in_order(
            *order: int, make: Callable[[], ConvBNReLU] = reference
        ) -> Callable[[], nn.Module]:
            return lambda: nn.Sequential(*(make()[place] for place in order))

        require_equal(
            module,
            reference(),
            torch.randn(4, 3, 8, 8, dtype=torch.float64),
            _label("conv_bn_relu", 3, 8, **arguments),
            [
                Mistake(in_order(0, 1), _("the ReLU is missing.")),
                Mistake(
                    in_order(0, 2, 1),
                    _("the ReLU comes before the batch normalisation; it should come after."),
                ),
                Mistake(in_order(0, 2), _("the batch normalisation is missing.")),
                Mistake(
                    in_order(0),
                    _("the batch normalisation and the ReLU are missing."),
                ),
            ],
        )
    return correct(
        _("convolution, batch normalisation, ReLU: equal to the course's own, at both strides.")
    )


@checker
def check_identity_layer(function: object) -> Feedback:
    """Check ``identity_layer(channels)``: a conv-BN-ReLU layer that gives back what it receives.

    In eval mode, on non-negative maps, the answer must equal the input within 1e-6 of its value.
    Batch normalisation at its initial state divides by sqrt(1 + eps), which is 5e-6 away: this
    is not accepted, for a net deeper by dozens of such layers would no longer be the same net,
    but the feedback says how near it is. The ReLU is asked for too: without one, the exercise
    would not show that a *non-linear* layer can be the identity.

    >>> print(check_identity_layer(lambda channels: nn.Identity()).verdict)
    Not yet
    """
    for channels in (3, 8):
        label = _label("identity_layer", channels)
        layer = build(function, "identity_layer", channels).eval()
        x = 3 * torch.rand(4, channels, 9, 9, dtype=torch.float64)
        seen = trace(layer, x.clone(), label)
        _require_one_layer(seen, label)
        require_same_shape(seen.output, x, label)
        if not torch.allclose(seen.output, x, rtol=1e-6, atol=1e-9):
            _explain_no_identity(layer, channels, label)
        if bool((trace(layer, -x, label).output < 0).any()):
            reject(
                _("`{label}` lets negative values through: its ReLU is missing.").format(
                    label=label
                ),
                _("A linear layer that is the identity is no surprise; one with a ReLU is."),
            )
    return correct(
        _("the layer gives back every non-negative map, and could stand anywhere in a plain net.")
    )


def _require_one_layer(seen: Trace, label: str) -> None:
    layers = [call.layer for call in seen.calls]
    kernels = [layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    if kernels != [(3, 3)] or len(norms) != 1:
        reject(
            _(
                "`{label}` should be one 3×3 convolution, one batch normalisation and a ReLU; the "
                "layers with weights that run are: {layers}."
            ).format(label=label, layers="; ".join(map(describe, layers)) or _("none")),
            _("It has to be a layer like those of the plain net, with weights of your choice."),
        )
    if norms[0].running_mean is None:
        reject(
            _("`{label}` normalises with the statistics of each batch, in eval mode too.").format(
                label=label
            ),
            _("Look at the argument `track_running_stats`."),
        )


@torch.no_grad()
def _explain_no_identity(layer: nn.Module, channels: int, label: str) -> None:
    """Find out what the layer does to an empty image and to a single lit pixel."""
    centre = (4, 4)
    empty = torch.zeros(1, channels, 9, 9, dtype=torch.float64)
    if float(run(layer, empty, label).abs().max()) > 1e-9:
        reject(
            _("`{label}` answers to an empty image with something else than zeros.").format(
                label=label
            ),
            _("Which biases and running means are not zero?"),
        )
    # One image a channel, with one pixel lit.
    lit = empty.repeat(channels, 1, 1, 1)
    lit[torch.arange(channels), torch.arange(channels), *centre] = 1.0
    answer = run(layer, lit, label)  # (channels, channels, 9, 9)
    own = answer[torch.arange(channels), torch.arange(channels)]  # (channels, 9, 9)
    others = answer.abs().sum() - own.abs().sum()
    if float(others) > 1e-6:
        reject(
            _("`{label}` mixes the maps: a pixel lit in one map shows in another.").format(
                label=label
            ),
            _("In the weight of shape (out, in, 3, 3), which pairs (out, in) may differ from 0?"),
        )
    gains = own[:, centre[0], centre[1]]
    if float(own.abs().max()) < 1e-6:
        reject(_("`{label}` gives zeros for a lit pixel.").format(label=label))
    if float(gains.abs().max()) < 1e-6:
        reject(
            _("`{label}` moves the image: a lit pixel comes out beside its place.").format(
                label=label
            ),
            _("Which of the nine weights of a kernel looks at the pixel itself?"),
        )
    if float(own.abs().sum() - gains.abs().sum()) > 1e-6:
        reject(
            _("`{label}` spreads a lit pixel over its neighbours.").format(label=label),
            _("Which of the nine weights of a kernel looks at the pixel itself?"),
        )
    gain = float(gains.mean())
    norm = next(module for module in layer.modules() if isinstance(module, nn.BatchNorm2d))
    if abs(gain - 1 / math.sqrt(1 + norm.eps)) < 1e-7:
        reject(
            _(
                "`{label}` is very near: every value is multiplied by {gain:.6f}, that is "
                "1/√(1 + ε), with ε the `eps` of the batch normalisation."
            ).format(label=label, gain=gain),
            _("BN divides by √(variance + ε). Which of its numbers can make up for that?"),
        )
    reject(
        _("`{label}` does not keep the values: a pixel of 1 comes out as {gain:.4g}.").format(
            label=label, gain=gain
        ),
        _("Follow the value 1 through the convolution, then through the batch normalisation."),
    )


@checker
def check_identity_block(block: object) -> Feedback:
    """Check ``IdentityBlock(channels)``: two 3×3 convolutions with an addition around them.

    >>> print(check_identity_block(identity_block))
    Correct: equal to the course's block, in training and in eval mode.
    """
    for channels in (4, 6):

        def reference(channels: int = channels) -> Block:
            return identity_block(channels)

        require_equal(
            build(block, "IdentityBlock", channels),
            reference(),
            torch.randn(4, channels, 8, 8, dtype=torch.float64),
            _label("IdentityBlock", channels),
            [*_wiring_mistakes(reference), *_norm_first_mistakes(reference)],
        )
    return _equal_block()


@checker
def check_projection_block(block: object) -> Feedback:
    """Check ``ProjectionBlock(in_channels, out_channels, stride=2)``: a 1×1 shortcut with BN.

    >>> print(check_projection_block(projection_block))
    Correct: equal to the course's block, in training and in eval mode.
    """
    cases: Sequence[dict[str, int]] = ({}, {"stride": 1})
    for arguments in cases:
        stride = arguments.get("stride", 2)

        def reference(stride: int = stride) -> ResidualBlock:
            return projection_block(6, 8, stride)

        require_equal(
            build(block, "ProjectionBlock", 6, 8, **arguments),
            reference(),
            torch.randn(4, 6, 8, 8, dtype=torch.float64),
            _label("ProjectionBlock", 6, 8, **arguments),
            [*_wiring_mistakes(reference), *_projection_mistakes(reference, 6, 8, stride)],
        )
    return _equal_block()


@checker
def check_bottleneck_block(block: object) -> Feedback:
    """Check ``BottleneckBlock(in_channels, width, out_channels)``: 1×1, 3×3, 1×1, stride 1.

    >>> print(check_bottleneck_block(BottleneckBlock))
    Correct: equal to the course's block, in training and in eval mode.
    """
    for in_channels in (12, 8):

        def reference(in_channels: int = in_channels) -> BottleneckBlock:
            return BottleneckBlock(in_channels, 4, 12)

        mistakes = _wiring_mistakes(reference)
        if in_channels == 12:
            mistakes.append(
                Mistake(
                    lambda: _with_shortcut(reference(), conv_bn(12, 12, kernel_size=1)),
                    _("the shortcut projects although the shape does not change."),
                    _("When `in_channels == out_channels`, what can be added as it is?"),
                )
            )
        else:
            mistakes += _projection_mistakes(reference, in_channels, 12, 1)
        require_equal(
            build(block, "BottleneckBlock", in_channels, 4, 12),
            reference(),
            torch.randn(4, in_channels, 8, 8, dtype=torch.float64),
            _label("BottleneckBlock", in_channels, 4, 12),
            mistakes,
        )
    return _equal_block()


def _equal_block() -> Feedback:
    return correct(_("equal to the course's block, in training and in eval mode."))


def _label(name: str, *args: object, **kwargs: object) -> str:
    """A call as one writes it: what feedback calls the thing that the reader's code made."""
    written = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return f"{name}({', '.join(written)})"


def _units(block: Block) -> list[nn.Sequential]:
    """The main path as (convolution, norm, perhaps a ReLU) after (convolution, norm ...)."""
    return [unit for unit in block.body if isinstance(unit, nn.Sequential)]


def _inner(block: Block, x: Tensor, skip: Sequence[int] = ()) -> Tensor:
    """The block's main path, without the ReLU of the units in ``skip``."""
    for number, unit in enumerate(_units(block)):
        x = unit[1](unit[0](x))
        if number + 1 < len(block.body) and number not in skip:
            x = F.relu(x)
    return x


def _around(block: Block, x: Tensor) -> Tensor:
    assert block.shortcut is not None  # the blocks of these exercises all have one
    return block.shortcut(x)


def _wiring_mistakes(make: Callable[[], Block]) -> list[Mistake]:
    """The block's own layers, put together in the wrong way."""

    def wired(forward: Callable[[Block, Tensor], Tensor]) -> Callable[[], nn.Module]:
        return lambda: Wired(make(), forward)

    def relu_first(block: Block, x: Tensor) -> Tensor:
        y = x
        for number, unit in enumerate(_units(block)):
            y = unit[0](y)
            y = unit[1](F.relu(y) if number + 1 < len(block.body) else y)
        return F.relu(y + _around(block, x))

    def norm_last(block: Block, x: Tensor) -> Tensor:
        *first, last = _units(block)
        y = last[0](nn.Sequential(*first)(x))
        return F.relu(last[1](y + _around(block, x)))

    def adds_overwritten(block: Block, x: Tensor) -> Tensor:
        *first, last = _units(block)
        x = first[0](x)
        return F.relu(last(nn.Sequential(*first[1:])(x)) + x)

    def without_relu(skip: Sequence[int]) -> Callable[[Block, Tensor], Tensor]:
        return lambda block, x: F.relu(_inner(block, x, skip) + _around(block, x))

    after = _("What is added to what, and where does the last ReLU stand, in y = relu(F(x) + x)?")
    n_inner = len(_units(make())) - 1
    mistakes = [
        Mistake(
            wired(lambda block, x: F.relu(_inner(block, x))),
            _("the addition is missing: this is a plain block."),
            after,
        ),
        Mistake(
            wired(lambda block, x: F.relu(_inner(block, x)) + _around(block, x)),
            _("the last ReLU comes before the addition; it should come after."),
            after,
        ),
        Mistake(
            wired(lambda block, x: _inner(block, x) + _around(block, x)),
            _("the ReLU after the addition is missing."),
            after,
        ),
        Mistake(
            wired(lambda block, x: F.relu(F.relu(_inner(block, x)) + _around(block, x))),
            _(
                "there is a ReLU just before the addition, besides the one after: what is added "
                "can then never be negative."
            ),
            after,
        ),
        Mistake(
            wired(lambda block, x: F.relu(_inner(block, x) + F.relu(_around(block, x)))),
            _("a ReLU acts on the shortcut, which should have none."),
            after,
        ),
        Mistake(
            wired(lambda block, x: F.relu(2 * _inner(block, x))),
            _("the main path is added to itself: has `x` been overwritten before the addition?"),
            _("Keep the block's input under a name of its own."),
        ),
        Mistake(
            wired(relu_first),
            _("a ReLU comes before its batch normalisation; it should come after."),
        ),
        Mistake(
            wired(norm_last),
            _("the last batch normalisation comes after the addition; it should come before."),
            after,
        ),
        *(
            Mistake(
                wired(without_relu([n])),
                _("the ReLU after batch normalisation number {number} is missing.").format(
                    number=n + 1
                ),
            )
            for n in range(n_inner)
            if n_inner > 1
        ),
        Mistake(
            wired(without_relu(range(n_inner))),
            _("there is no ReLU between the convolutions."),
            _("What do two linear layers in a row amount to?"),
        ),
    ]
    if isinstance(make(), ResidualBlock):
        mistakes.append(
            Mistake(
                wired(adds_overwritten),
                _(
                    "what is added is not the block's input but the output of its first layers: "
                    "has `x` been overwritten?"
                ),
                _("Keep the block's input under a name of its own."),
            )
        )
    return mistakes


def _norm_first_mistakes(make: Callable[[], Block]) -> list[Mistake]:
    """The later order of the same layers (He et al. 2016, arXiv 1603.05027, figure 4e)."""

    def norm_first(block: Block, x: Tensor) -> Tensor:
        y = x
        for unit in _units(block):
            y = unit[0](F.relu(unit[1](y)))
        return y + _around(block, x)

    return [
        Mistake(
            lambda: Wired(make(), norm_first),
            _(
                "batch normalisation and ReLU come before each convolution. That block exists "
                "(“pre-activation”, 2016); the one asked for here puts them after."
            ),
        )
    ]


def _with_shortcut(block: Block, shortcut: nn.Module) -> Block:
    block.shortcut = shortcut
    return block


def _projection_mistakes(
    make: Callable[[], Block], in_channels: int, out_channels: int, stride: int
) -> list[Mistake]:
    """Shortcuts that project in another way than the 1×1 convolution with BN."""

    def bare() -> nn.Module:
        projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        return _with_shortcut(make(), projection)

    def wide() -> nn.Module:
        return _with_shortcut(make(), conv_bn(in_channels, out_channels, 3, stride))

    def pooled() -> nn.Module:
        projection = conv_bn(in_channels, out_channels, kernel_size=1)
        return _with_shortcut(make(), nn.Sequential(nn.AvgPool2d(stride), projection))

    def padded() -> nn.Module:
        return _with_shortcut(make(), PadShortcut(in_channels, out_channels, stride))

    mistakes = [
        Mistake(
            bare,
            _("the projection has no batch normalisation of its own."),
            _("Both terms of the sum come out of a batch normalisation."),
        ),
        Mistake(wide, _("the projection is a 3×3 convolution; a 1×1 is enough and expected.")),
        Mistake(
            padded,
            _("the shortcut is padded with empty maps (option A); a projection is asked for."),
        ),
    ]
    if stride > 1:
        mistakes.append(
            Mistake(
                pooled,
                _(
                    "the shortcut averages pixels before it projects; here the 1×1 convolution "
                    "itself takes the stride."
                ),
            )
        )
    return mistakes


Pad = Callable[[Tensor, int, int], Tensor]


@checker
def check_pad_shortcut(function: object) -> Feedback:
    """Check ``pad_shortcut(x, out_channels, stride=2)``: option A, pixels skipped, maps added.

    The paper does not say where the empty maps go: after the others, before, or on both sides
    are all accepted.

    >>> print(check_pad_shortcut(lambda x, out_channels, stride=2: x).message)
    `pad_shortcut(x, 8)` – the stride is not applied and no map is added: ...
    """
    require_function(function, "pad_shortcut")
    assert callable(function)
    remark = None
    cases: Sequence[tuple[int, dict[str, int]]] = ((8, {}), (6, {"stride": 1}), (4, {"stride": 1}))
    for out_channels, arguments in cases:
        label = "pad_shortcut(x, {})".format(
            ", ".join([str(out_channels), *(f"{key}={value}" for key, value in arguments.items())])
        )
        stride = arguments.get("stride", 2)
        x = torch.randn(2, 4, 6, 6, requires_grad=True)
        given = x.detach().clone()

        def shorten(x: Tensor, out: int = out_channels, rest: dict[str, int] = arguments) -> object:
            return function(x, out, **rest)

        output = run(shorten, x.clone(), label)
        with torch.no_grad():
            received = given.clone()
            run(shorten, received, label)
        require_input_kept(given, received, label)
        wanted = PadShortcut(4, out_channels, stride)(x)  # (2, out_channels, h, w)
        if not _same_maps(output, wanted):
            for pad, message in _pad_mistakes():
                if _same_maps(output, pad(given, out_channels, stride)):
                    reject(f"`{label}` – {message}")
            require_same_shape(output, wanted, label)
            reject(
                _("`{label}` has the right shape, but not the right values.").format(label=label),
                _("Which pixels of `x` are kept, and what do the added maps hold?"),
            )
        require_differentiable(output, label)
        if run(shorten, given.bfloat16(), label).dtype != torch.bfloat16:
            remark = _(
                "A remark: in bfloat16 the answer has another type than `x`. Tensors made from `x` "
                "(`x.new_zeros`, `F.pad`) take over its type and its device."
            )
    return correct(_("pixels skipped, empty maps added, and nothing to learn."), remark)


def _same_maps(one: Tensor, other: Tensor) -> bool:
    """Whether two answers are equal but for the place of their empty maps."""
    if one.shape != other.shape:
        return False

    def filled(maps: Tensor) -> Tensor:
        maps = maps.detach().to(torch.float32)
        return maps[:, (maps != 0).any(dim=3).any(dim=2).any(dim=0)]

    one, other = filled(one), filled(other)
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-6)


def _pad_mistakes() -> list[tuple[Pad, str]]:
    def add(x: Tensor, out_channels: int) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))

    def repeat(x: Tensor, out_channels: int, stride: int) -> Tensor:
        copies = math.ceil(out_channels / x.shape[1])
        return x[:, :, ::stride, ::stride].repeat(1, copies, 1, 1)[:, :out_channels]

    def corner(x: Tensor, out_channels: int, stride: int) -> Tensor:
        height, width = (math.ceil(side / stride) for side in x.shape[2:])
        return add(x[:, :, :height, :width], out_channels)

    return [
        (
            lambda x, out, stride: x,
            _("the stride is not applied and no map is added: the answer is `x` itself."),
        ),
        (
            lambda x, out, stride: x[:, :, ::stride, ::stride],
            _("the pixels are skipped, but no map is added."),
        ),
        (
            lambda x, out, stride: add(x, out),
            _("the maps are added, but the stride is not applied: no pixel is skipped."),
        ),
        (
            lambda x, out, stride: add(F.avg_pool2d(x, stride), out),
            _("the pixels are averaged; option A skips them, and keeps one in every `stride`."),
        ),
        (
            lambda x, out, stride: add(F.max_pool2d(x, stride), out),
            _("the largest pixel is taken; option A skips pixels without looking at them."),
        ),
        (
            lambda x, out, stride: add(x[:, :, stride - 1 :: stride, stride - 1 :: stride], out),
            _("the pixels kept are not the first of each step: start at pixel 0."),
        ),
        (
            corner,
            _("a corner of the map is cut out; the pixels kept should be spread over the map."),
        ),
        (
            repeat,
            _("the maps added are copies of those of `x`; they should be empty (zeros)."),
        ),
    ]


@checker
def check_stage(function: object) -> Feedback:
    """Check ``resnet_stage(n_blocks, in_channels, out_channels, stride)``: blocks in a row.

    The first block takes the stride and changes the number of maps, by a projection where it must
    (option B); the others are identity blocks.

    >>> print(check_stage(lambda *sizes: stage(*sizes, shortcut=None)).message)
    `resnet_stage(3, 4, 8, 2)` – the blocks are plain: nothing is added to what they compute.
    """
    for sizes in ((3, 4, 8, 2), (2, 4, 4, 1)):
        n_blocks, in_channels, out_channels, stride = sizes
        label = _label("resnet_stage", *sizes)
        module = _build_stage(function, sizes, label).eval()
        x = torch.randn(4, in_channels, 8, 8, dtype=torch.float64)
        try:
            seen = trace(module, x.clone(), label)
        except (RuntimeError, ValueError):
            # What cannot be explained here, require_equal meets again.
            if in_channels != out_channels:
                _require_one_entry(module, in_channels, label)
        else:
            _require_blocks(seen, n_blocks, label)
            _require_sides(seen, x.shape[-1], stride, label)
            _require_few_projections(seen, stride != 1 or in_channels != out_channels, label)

        def reference(sizes: tuple[int, int, int, int] = sizes) -> nn.Module:
            return stage(*sizes, shortcut="B")

        def plain(sizes: tuple[int, int, int, int] = sizes) -> nn.Module:
            return stage(*sizes, shortcut=None)

        def padded(sizes: tuple[int, int, int, int] = sizes) -> nn.Module:
            return stage(*sizes, shortcut="A")

        mistakes = [
            Mistake(
                plain,
                _("the blocks are plain: nothing is added to what they compute."),
                _("Check your identity block first, then use it here."),
            ),
            Mistake(
                padded,
                _("the shortcut is padded with empty maps (option A); a projection is asked for."),
            ),
            *_shortcut_mistakes(reference),
        ]
        require_equal(module, reference(), x, label, mistakes)
    return correct(_("equal to the course's stage, whether the shape changes or not."))


def _build_stage(function: object, sizes: tuple[int, int, int, int], label: str) -> nn.Module:
    """The reader's stage; blocks that were made but not put together get a message of their own."""

    def unpacked(*args: int) -> object:
        assert callable(function)
        made = function(*args)
        if (
            type(made) in (list, tuple, nn.ModuleList)
            and len(made)
            and all(isinstance(item, nn.Module) for item in made)
        ):
            reject(
                _(
                    "`{label}` gives back the blocks in a `{kind}`, which cannot be called on "
                    "maps; one module that runs them in turn is expected."
                ).format(label=label, kind=kind_of(made)),
                _("`nn.Sequential` takes modules, not a list: a `*` before the list unpacks it."),
            )
        return made

    return build(unpacked if inspect.isroutine(function) else function, "resnet_stage", *sizes)


def _wide_convolutions(seen: Trace) -> list[Call]:
    """The 3×3 convolutions in the order they run; a block has two."""
    return [
        call
        for call in seen.calls
        if isinstance(call.layer, nn.Conv2d) and call.layer.kernel_size == (3, 3)
    ]


def _reject_repeated(label: str) -> NoReturn:
    reject(
        _(
            "`{label}` – one and the same block stands at several places, with one set of weights."
        ).format(label=label),
        _("Each place needs a block of its own, made anew; `[block] * n` copies no block."),
    )


def _require_one_entry(module: nn.Module, in_channels: int, label: str) -> None:
    """Of a stage that does not run: one convolution alone may be made for the maps that enter."""
    entries = [
        layer
        for _name, layer in module.named_modules(remove_duplicate=False)
        if isinstance(layer, nn.Conv2d)
        and (layer.kernel_size, layer.in_channels) == ((3, 3), in_channels)
    ]
    if len(entries) < 2:
        return
    if len(set(entries)) == 1:
        _reject_repeated(label)
    reject(
        _(
            "`{label}` – {count} of its 3×3 convolutions are made for {channels} maps; only the "
            "first of all receives so many."
        ).format(label=label, count=len(entries), channels=in_channels),
        _("How many maps does the first block give, and hence how many does the second receive?"),
    )


def _require_blocks(seen: Trace, n_blocks: int, label: str) -> None:
    layers = [call.layer for call in _wide_convolutions(seen)]
    if len(layers) % 2:
        return  # not the blocks asked for: the comparison of layers says which are missing
    blocks = list(zip(layers[::2], layers[1::2], strict=True))
    if len(blocks) != n_blocks:
        hints = {
            n_blocks + 1: _("The first block is one of the `n_blocks`: how many others are there?"),
            n_blocks - 1: _("Count the turns of your loop, and add the first block."),
            1: _("Do the other blocks reach the answer? A `return` in a loop ends it at once."),
        }
        reject(
            _(
                "`{label}` – the number of blocks that run is {given} (two 3×3 convolutions each); "
                "{wanted} are expected."
            ).format(label=label, given=len(blocks), wanted=n_blocks),
            hints.get(len(blocks)),
        )
    if len(set(blocks)) < n_blocks:
        _reject_repeated(label)


def _require_sides(seen: Trace, side: int, stride: int, label: str) -> None:
    """Compare the side of the maps after each block."""
    given = [call.shape[-1] for call in _wide_convolutions(seen)][1::2]
    wanted = [side // stride] * len(given)
    if given == wanted:
        return
    if set(given) == {side}:
        reject(
            _(
                "`{label}` – the stride is ignored: the maps keep their side of {side} pixels."
            ).format(label=label, side=side),
            _("Give it to the first block."),
        )
    sides = ", ".join(map(str, given))
    if given[0] == wanted[0]:
        reject(
            _(
                "`{label}` – blocks after the first take the stride too: the side of the maps goes "
                "from {side} to {sides}; the first block alone changes it."
            ).format(label=label, side=side, sides=sides),
            _("The blocks after the first keep the size and the number of maps."),
        )
    reject(
        _(
            "`{label}` – the side of the maps goes from {side} to {sides}; {wanted} are expected."
        ).format(label=label, side=side, sides=sides, wanted=", ".join(map(str, wanted))),
        _("The first block takes the stride, as given; the others have stride 1."),
    )


def _require_few_projections(seen: Trace, shape_changes: bool, label: str) -> None:
    given = sum(
        isinstance(call.layer, nn.Conv2d) and call.layer.kernel_size == (1, 1)
        for call in seen.calls
    )
    if shape_changes and given > 1:
        reject(
            _("`{label}` – {given} blocks project; the first alone changes the shape.").format(
                label=label, given=given
            ),
            _("Option B projects where the shape changes, and only there."),
        )
    if not shape_changes and given:
        reject(
            _(
                "`{label}` – a block projects although neither the size nor the number of maps "
                "changes."
            ).format(label=label),
            _("Option B projects where the shape changes, and only there."),
        )


@checker
def check_resnet(function: object) -> Feedback:
    """Check ``resnet(depth)``: the CIFAR net of 6n + 2 layers, with option B.

    >>> print(check_resnet(lambda depth: cifar_net(depth, "A")).message)
    `resnet(8)` has 0 convolutions of 1×1; 2 are expected, one where each of stages 2 and 3 begins.
    """
    for depth in (8, 20):
        label = _label("resnet", depth)
        net = build(function, "resnet", depth).eval()
        x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
        seen = trace(net, x.clone(), label)
        _require_stages(seen, blocks_per_stage(depth), label)
        require_logits(
            seen.output,
            2,
            label,
            _("After the stages: global average pooling, `flatten(1)`, one linear layer."),
        )
        require_equal(net, cifar_net(depth, "B"), x, label, _net_mistakes(depth))
    return correct(
        _(
            "equal to the course's net of depth 8 and 20; the latter has {count:,} parameters."
        ).format(count=count_parameters(net))
    )


def _require_stages(seen: Trace, n: int, label: str) -> None:
    """Compare the number of convolutions by kind, number of maps and size of map."""
    spatial = [call for call in seen.calls if isinstance(call.layer, nn.Conv2d)]
    wide = Counter(call.shape[1:3] for call in spatial if call.layer.kernel_size == (3, 3))
    wanted = {(16, 32): 2 * n + 1, (32, 16): 2 * n, (64, 8): 2 * n}
    places = _("{maps} maps of {size}×{size}")
    if set(wide) != set(wanted):

        def listed(stages: Sequence[tuple[int, ...]]) -> str:
            return ", ".join(places.format(maps=maps, size=size) for maps, size in stages)

        reject(
            _(
                "`{label}` – for images of 32×32 its 3×3 convolutions give {given}; {wanted} are "
                "expected."
            ).format(
                label=label, given=listed(list(wide)) or _("none"), wanted=listed(list(wanted))
            ),
            _("Stages 2 and 3 begin by halving the size and doubling the number of maps."),
        )
    for (maps, size), count in wanted.items():
        if wide[maps, size] != count:
            reject(
                _(
                    "`{label}` has {given} convolutions of 3×3 with {place}; {count} are expected."
                ).format(
                    label=label,
                    given=wide[maps, size],
                    place=places.format(maps=maps, size=size),
                    count=count,
                ),
                _(
                    "A depth of 6n + 2 is one stem, 3 stages of n blocks of 2 convolutions, and "
                    "one linear layer: here n = {n}."
                ).format(n=n),
            )
    projections = sum(call.layer.kernel_size == (1, 1) for call in spatial)
    if projections != 2:
        reject(
            _(
                "`{label}` has {given} convolutions of 1×1; 2 are expected, one where each of "
                "stages 2 and 3 begins."
            ).format(label=label, given=projections),
            _("Option B projects where the shape changes, and only there."),
        )


def _net_mistakes(depth: int) -> list[Mistake]:
    def make() -> nn.Module:
        return cifar_net(depth, "B")

    def max_pooled() -> nn.Module:
        net = cifar_net(depth, "B")
        net.pool = nn.AdaptiveMaxPool2d(1)  # type: ignore[assignment]
        return net

    def bare_stem() -> nn.Module:
        net = cifar_net(depth, "B")
        del net.stem[2]
        return net

    return [
        Mistake(
            lambda: nn.Sequential(make(), nn.ReLU()),
            _("a ReLU follows the last linear layer: a score may be negative."),
        ),
        Mistake(max_pooled, _("the pooling at the end takes the maximum; the mean is expected.")),
        Mistake(
            bare_stem,
            _("the first layer has no ReLU: it is convolution, batch normalisation, ReLU."),
        ),
        *_shortcut_mistakes(make),
    ]


def _shortcut_mistakes(make: Callable[[], nn.Module]) -> list[Mistake]:
    """A net or a stage of option B whose blocks of one kind have a wrong shortcut."""

    def plain_blocks() -> nn.Module:
        net = make()
        for block in net.modules():
            if isinstance(block, ResidualBlock) and isinstance(block.shortcut, nn.Identity):
                block.shortcut = None
        return net

    def bare_projections() -> nn.Module:
        net = make()
        for block in net.modules():
            if isinstance(block, ResidualBlock) and isinstance(block.shortcut, nn.Sequential):
                block.shortcut = block.shortcut[0]
        return net

    return [
        Mistake(
            bare_projections,
            _("the projections have no batch normalisation of their own."),
            _("Check your projection block first, then use it here."),
        ),
        Mistake(
            plain_blocks,
            _("the blocks that keep the shape add nothing: their shortcut is missing."),
            _("Check your identity block first, then use it here."),
        ),
    ]


Interval = tuple[float, float, float]
Errors = Sequence[float]


def _interval(
    shallow: Errors, deep: Errors, *, critical: float | None = None, ddof: int = 1
) -> Interval:
    """Mean of the paired differences and its 95% Student interval."""
    differences = np.subtract(deep, shallow)
    n = len(differences)
    if critical is None:
        critical = float(stats.t.ppf(0.975, n - 1))
    half = critical * float(np.std(differences, ddof=ddof)) / math.sqrt(n)
    mean = float(differences.mean())
    return mean, mean - half, mean + half


@checker
def check_paired_change(function: object) -> Feedback:
    """Check ``paired_change(shallow, deep)``: mean and 95% t interval of ``deep - shallow``.

    The bounds may be off by a thousandth of the half width, so that a critical value read in a
    table (4.303) is as good as a computed one.

    >>> print(check_paired_change(_interval).verdict)
    Correct
    """
    name = "paired_change"
    require_function(function, name)
    assert callable(function)
    random = np.random.default_rng(0)
    answers, experiments = [], []
    for n_seeds in (3, 6):
        # Seeds differ more among themselves than the change does: pairing matters.
        shallow = random.uniform(0.02, 0.3, n_seeds)
        deep = shallow + random.normal(0.1, 0.03, n_seeds)
        experiments.append((shallow.tolist(), deep.tolist()))
        answers.append(_three_numbers(function(shallow.tolist(), deep.tolist()), name))
    if _all_alike(answers, [_reference_interval(*errors) for errors in experiments]):
        return correct(_("mean and interval of the paired differences are right."))
    for mistake, message, hint in _interval_mistakes():
        if _all_alike(answers, [mistake(*errors) for errors in experiments]):
            reject(message, hint)
    means = [_interval(*errors)[0] for errors in experiments]
    if any(
        not math.isclose(answer[0], mean, abs_tol=1e-6)
        for answer, mean in zip(answers, means, strict=True)
    ):
        reject(
            _("The mean is not that of the differences deep − shallow."),
            _("One difference a seed, then their mean: for these errors, {mean:+.4f}.").format(
                mean=means[-1]
            ),
        )
    reject(
        _("The mean is right, the interval is not: [{low:.4f}, {high:.4f}].").format(
            low=answers[-1][1], high=answers[-1][2]
        ),
        _(
            "The half width is a critical value of Student's t times the standard error of the "
            "mean of the differences."
        ),
    )


def _reference_interval(shallow: Errors, deep: Errors) -> Interval:
    """The reference, left to SciPy."""
    result = stats.ttest_rel(deep, shallow)
    bounds = result.confidence_interval(0.95)
    return float(np.subtract(deep, shallow).mean()), float(bounds.low), float(bounds.high)


def _three_numbers(answer: object, name: str) -> Interval:
    if is_blank(answer):
        unfilled(name)
    if not isinstance(answer, Sequence | np.ndarray | Tensor) or len(answer) != 3:
        reject(
            _("`{name}` should give back three numbers: (mean, low, high).").format(name=name),
            _("It gives a value of type `{kind}`.").format(kind=kind_of(answer)),
        )
    mean, low, high = (float(value) for value in answer)
    if not all(map(math.isfinite, (mean, low, high))):
        reject(
            _("`{name}` gives numbers that are not finite: ({mean}, {low}, {high}).").format(
                name=name, mean=mean, low=low, high=high
            )
        )
    return mean, low, high


def _all_alike(answers: Sequence[Interval], wanted: Sequence[Interval]) -> bool:
    for answer, (mean, low, high) in zip(answers, wanted, strict=True):
        slack = 1e-6 + abs(high - low) / 2000
        if abs(answer[0] - mean) > 1e-6 or any(
            abs(one - other) > slack for one, other in zip(answer[1:], (low, high), strict=True)
        ):
            return False
    return True


def _interval_mistakes() -> list[tuple[Callable[[Errors, Errors], Interval], str, str | None]]:
    def swapped(shallow: Errors, deep: Errors) -> Interval:
        mean, low, high = _interval(shallow, deep)
        return mean, high, low

    def unpaired(shallow: Errors, deep: Errors, equal_var: bool) -> Interval:
        bounds = stats.ttest_ind(deep, shallow, equal_var=equal_var).confidence_interval(0.95)
        return _interval(shallow, deep)[0], float(bounds.low), float(bounds.high)

    def extremes(shallow: Errors, deep: Errors) -> Interval:
        differences = np.subtract(deep, shallow)
        return float(differences.mean()), float(differences.min()), float(differences.max())

    def half_width(shallow: Errors, deep: Errors) -> Interval:
        mean, low, _high = _interval(shallow, deep)
        return mean, low - mean, mean - low

    def of_one_run(shallow: Errors, deep: Errors) -> Interval:
        n = len(deep)
        return _interval(shallow, deep, critical=float(stats.t.ppf(0.975, n - 1)) * math.sqrt(n))

    def student(quantile: float, lost: int) -> Callable[[Errors, Errors], Interval]:
        return lambda shallow, deep: _interval(
            shallow, deep, critical=float(stats.t.ppf(quantile, len(deep) - lost))
        )

    pairs = _(
        "The same seed made both nets: what varies from seed to seed cancels in a difference."
    )
    return [
        (
            lambda shallow, deep: _interval(deep, shallow),
            _("The sign is reversed: this is shallow − deep. A rise in error should be positive."),
            None,
        ),
        (swapped, _("The bounds are swapped: low comes before high."), None),
        (
            lambda shallow, deep: _interval(shallow, deep, critical=float(stats.norm.ppf(0.975))),
            _("The critical value is that of the normal law (1.96)."),
            _("With few seeds the spread itself is poorly known: which law takes that in?"),
        ),
        (
            lambda shallow, deep: _interval(shallow, deep, critical=float(stats.t.ppf(0.975, 2))),
            _("The critical value is the one for three seeds, however many there are."),
            _("It depends on the degrees of freedom, n − 1."),
        ),
        (
            lambda shallow, deep: unpaired(shallow, deep, True),
            _("The two groups are compared as if they were independent; pair them by seed."),
            pairs,
        ),
        (
            lambda shallow, deep: unpaired(shallow, deep, False),
            _("The two groups are compared as if they were independent; pair them by seed."),
            pairs,
        ),
        (
            lambda shallow, deep: _interval(shallow, deep, ddof=0),
            _("The standard deviation divides by n; that of a sample divides by n − 1."),
            _("`np.std` and `torch.std` have different defaults."),
        ),
        (
            of_one_run,
            _("The spread is that of one difference, not of their mean."),
            _("What happens to the standard error of a mean when n grows?"),
        ),
        (
            student(0.975, 0),
            _("The degrees of freedom are n; they should be n − 1."),
            None,
        ),
        (
            student(0.95, 1),
            _("The interval leaves 5% on each side, and so covers 90%."),
            _("How much must be left on each side for 95% in the middle?"),
        ),
        (
            lambda shallow, deep: _interval(shallow, deep, critical=1.0),
            _("The interval is the mean ± one standard error: the critical value is missing."),
            None,
        ),
        (
            extremes,
            _("The bounds are the smallest and the largest difference, not a confidence interval."),
            None,
        ),
        (
            half_width,
            _("The bounds are given as distances from the mean; give the bounds themselves."),
            None,
        ),
    ]
