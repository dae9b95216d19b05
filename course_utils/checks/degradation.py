"""Checkers for the exercises of lesson 3: blocks, stages, whole nets, a paired comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import Mistake, require_answers, wrong_answers
from course_utils.checks.building import build, double_copy, label_of, run, takes
from course_utils.checks.equivalence import Trace, describe, paired, randomise, trace
from course_utils.checks.feedback import Feedback, correct, reject
from course_utils.checks.modules import head_mistakes, left_out, require_modules, require_same_shape
from course_utils.checks.running import checker
from course_utils.i18n import _, listed, number
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
from course_utils.models.cifar import cifar_net
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


Interval = tuple[float, float, float]
Errors = Sequence[float]


def _student(n: int) -> float:
    return float(stats.t.ppf(0.975, n - 1))


def _interval(
    shallow: Errors, deep: Errors, *, critical: Callable[[int], float] = _student, ddof: int = 1
) -> Interval:
    """Mean of the paired differences, and its 95% Student interval."""
    differences = np.subtract(deep, shallow)
    n = len(differences)
    half = critical(n) * float(np.std(differences, ddof=ddof)) / math.sqrt(n)
    mean = float(differences.mean())
    return mean, mean - half, mean + half


def _unpaired(shallow: Errors, deep: Errors, *, equal_var: bool) -> Interval:
    bounds = stats.ttest_ind(deep, shallow, equal_var=equal_var).confidence_interval(0.95)
    return _interval(shallow, deep)[0], float(bounds.low), float(bounds.high)


@checker
def check_paired_change(function: object) -> Feedback:
    """Check ``paired_change(shallow, deep)``: mean and 95% t interval of ``deep - shallow``.

    The bounds may be off by a thousandth of the half width, so that a critical value read in a
    table (4.303) is as good as a computed one.

    >>> print(check_paired_change(_interval).verdict)
    Correct
    """
    random = np.random.default_rng(0)
    cases = []
    for n_seeds, change in ((3, 0.1), (6, 0.1), (4, -0.2)):
        # Seeds differ more among themselves than the change does: pairing matters.
        shallow = random.uniform(0.3, 0.6, n_seeds)
        deep = shallow + random.normal(change, 0.03, n_seeds)
        cases.append((shallow.tolist(), deep.tolist()))

    def room(wanted: Tensor) -> Tensor:
        half = (wanted.max() - wanted.min()) / 2
        return torch.tensor([1e-6, 1e-6 + half / 1000, 1e-6 + half / 1000])

    form = _(
        "Return (mean, low, high). The half-width is a critical value of Student's t times the "
        "standard error of the mean of the differences, deep − shallow."
    )
    require_answers(
        function, "paired_change", cases, _interval, _interval_mistakes(), form, room=room
    )
    return correct(_("the mean and the interval of the paired differences are right."))


def _interval_mistakes() -> list[Mistake]:
    pairs = _(
        "Both networks come from the same seed, so what varies from seed to seed cancels out in a "
        "difference."
    )
    unpaired = _("you compare the two groups as if they were independent: pair them by seed.")
    return wrong_answers(
        lambda shallow, deep: _interval(deep, shallow),
        _(
            "the sign is reversed: you compute shallow − deep, but a rise in error should be "
            "positive."
        ),
        lambda shallow, deep: (_interval(shallow, deep)[0], *_interval(shallow, deep)[:0:-1]),
        _("the bounds are swapped: low comes before high."),
        partial(_interval, critical=lambda n: float(stats.norm.ppf(0.975))),
        _("the critical value is the one of the normal distribution (1.96)."),
        _(
            "With few seeds, the spread itself is poorly known: which distribution accounts for "
            "that?"
        ),
        partial(_interval, critical=lambda n: float(stats.t.ppf(0.975, 2))),
        _("the critical value is the one for three seeds, however many there are."),
        _("It depends on the degrees of freedom, n − 1."),
        partial(_unpaired, equal_var=True),
        unpaired,
        pairs,
        partial(_unpaired, equal_var=False),
        unpaired,
        pairs,
        partial(_interval, ddof=0),
        _("the standard deviation divides by n instead of n − 1, as it does for a sample."),
        _("`np.std` and `torch.std` have different defaults."),
        partial(_interval, critical=lambda n: _student(n) * math.sqrt(n)),
        _("the spread is the one of a single difference, not of the mean."),
        _("What happens to the standard error of a mean as n grows?"),
        partial(_interval, critical=lambda n: float(stats.t.ppf(0.975, n))),
        _("you use n degrees of freedom instead of n − 1."),
        partial(_interval, critical=lambda n: float(stats.t.ppf(0.95, n - 1))),
        _("the interval leaves out 5% on each side, and so covers only 90%."),
        _("How much must be left out on each side to keep 95% in the middle?"),
        partial(_interval, critical=lambda n: 1.0),
        _("the interval is the mean ± one standard error, without the critical value."),
        lambda shallow, deep: [f(np.subtract(deep, shallow)) for f in (np.mean, np.min, np.max)],
        _(
            "the bounds are the smallest and the largest difference, which is not a confidence "
            "interval."
        ),
        lambda shallow, deep: np.subtract(
            _interval(shallow, deep), (0, *2 * _interval(shallow, deep)[:1])
        ),
        _("the bounds are given as distances from the mean: return the bounds themselves."),
    )


@checker
def check_identity_layer(function: object) -> Feedback:
    """Check ``identity_layer(channels)``: a conv-BN-ReLU layer that gives back what it receives.

    In eval mode, on non-negative maps, the answer must equal the input within 1e-6 of its value.
    Batch normalisation at its initial state divides by sqrt(1 + eps), which is 5e-6 away: this
    is not accepted, for a net deeper by dozens of such layers would no longer be the same net,
    but the feedback says how near it is. And it must be the layers that do it, the ReLU included:
    without one, the exercise would not show that a *non-linear* layer can be the identity.

    >>> print(check_identity_layer(lambda channels: nn.Identity()).verdict)
    Not yet
    """
    for channels in (3, 8):
        label = label_of("identity_layer", channels)
        x = 100 * torch.rand(4, channels, 9, 9, dtype=torch.float64)
        layer = double_copy(build(function, "identity_layer", channels), x).eval()
        seen = trace(layer, x.clone(), label)
        conv, norm = _one_layer(seen, label)
        require_same_shape(seen.output, x, label)
        if not torch.allclose(seen.output, x, rtol=1e-6, atol=1e-9):
            _explain_no_identity(layer, norm, x, label)
        linear = randomise(nn.Sequential(deepcopy(conv), deepcopy(norm)))
        if paired(nn.Sequential(linear, nn.ReLU()), layer, x - 50, label) is None:
            if paired(linear, layer, x - 50, label) is not None:
                reject(
                    _("`{label}` lets negative values through: its ReLU is missing.").format(
                        label=label
                    ),
                    _(
                        "It is no surprise that a linear layer can be the identity; with a "
                        "ReLU, it is one."
                    ),
                )
            reject(
                _(
                    "`{label}` does return its input, but not through its layers: with other "
                    "weights, it is not a convolution, a batch normalisation and a ReLU in a "
                    "row."
                ).format(label=label),
                _("Return a layer like those of the plain network, with weights of your choice."),
            )
    return correct(
        _(
            "your layer returns every non-negative map unchanged, and could stand anywhere in a "
            "plain network."
        )
    )


def _one_layer(seen: Trace, label: str) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convs = [layer for layer in seen.runs if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in seen.runs if isinstance(layer, nn.BatchNorm2d)]
    if [conv.kernel_size for conv in convs] != [(3, 3)] or len(norms) != 1:
        reject(
            _(
                "`{label}` should run one 3×3 convolution, one batch normalisation and a ReLU. "
                "As for weight layers, it runs {layers}."
            ).format(label=label, layers=listed(map(describe, seen.runs)) or _("no layer")),
            _("Return a layer like those of the plain network, with weights of your choice."),
        )
    if norms[0].running_mean is None:
        reject(
            _("`{label}` normalises with the statistics of each batch, even in eval mode.").format(
                label=label
            ),
            _("Look at the argument `track_running_stats`."),
        )
    return convs[0], norms[0]


@torch.no_grad()
def _explain_no_identity(layer: nn.Module, norm: nn.BatchNorm2d, x: Tensor, label: str) -> NoReturn:
    """Find out what the layer does to an empty image, to a single lit pixel, and to ``x``."""
    channels = x.shape[1]
    off = (run(layer, x.clone(), label) - x).flatten() / x.flatten()
    value = float(x.flatten()[off.abs().argmax()])
    became = value * (1 + float(off[off.abs().argmax()]))
    empty = torch.zeros(1, channels, 9, 9, dtype=torch.float64)
    every = torch.arange(channels)
    lit = empty.repeat(channels, 1, 1, 1)  # one image a channel, with one pixel lit
    lit[every, every, 4, 4] = 1.0
    answer = run(layer, lit, label)  # (channels, channels, 9, 9)
    own = answer[every, every]  # (channels, 9, 9)
    gains = own[:, 4, 4]
    worst = float(gains[(gains - 1).abs().argmax()])
    pixel = _("Which of the nine weights of a kernel looks at the pixel itself?")
    faults = [
        (
            run(layer, empty, label).abs().max() > 1e-9,
            _("`{label}` does not return zeros for an empty image."),
            _("Which biases and running means are not zero?"),
        ),
        (
            answer.abs().sum() - own.abs().sum() > 1e-6,
            _("`{label}` mixes the maps: a pixel lit in one map shows up in another."),
            _(
                "In the weight, of shape (out, in, 3, 3), which pairs (out, in) may be "
                "different from 0?"
            ),
        ),
        (own.abs().max() < 1e-6, _("`{label}` returns zeros for a lit pixel."), pixel),
        (
            gains.abs().max() < 1e-6,
            _("`{label}` shifts the image: a lit pixel comes out beside its place."),
            pixel,
        ),
        (
            own.abs().sum() - gains.abs().sum() > 1e-6,
            _("`{label}` spreads a lit pixel over its neighbours."),
            pixel,
        ),
        (
            abs(worst - 1 / math.sqrt(1 + norm.eps)) < 1e-7,
            _(
                "`{label}` is almost right: it multiplies every value by {gain}, which is 1/√(1 "
                "+ ε), where ε is the `eps` of the batch normalisation."
            ),
            _(
                "Batch normalisation divides by √(variance + ε). Which of its numbers can make "
                "up for that?"
            ),
        ),
        (
            True,
            _("`{label}` does not keep the values: a pixel of {value} comes out as {became}."),
            _("Follow a value through the convolution, the batch normalisation and the ReLU."),
        ),
    ]
    message, hint = next(fault[1:] for fault in faults if fault[0])
    numbers = {"gain": worst, "value": value, "became": became}
    reject(message.format(label=label, **{k: number(v, 8) for k, v in numbers.items()}), hint)


@checker
def check_conv_bn_relu(function: object) -> Feedback:
    """Check ``conv_bn_relu(in_channels, out_channels, stride=1)``: 3×3 convolution, BN, ReLU.

    >>> print(check_conv_bn_relu(...).verdict)
    Not filled in yet
    """

    def reference(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
        return ConvBNReLU(in_channels, out_channels, stride=stride)

    def mistakes(*args: int, **stride: int) -> list[Mistake]:
        conv, norm, relu = unit = reference(*args, **stride)
        early = _("the ReLU comes before the batch normalisation instead of after it.")
        return [Mistake(nn.Sequential(conv, relu, norm), early), *left_out(unit)]

    cases = [(3, 8), (3, 8, {"stride": 2}), (5, 4, {"stride": 3})]
    require_modules(function, "conv_bn_relu", cases, reference, mistakes)
    return correct(
        _(
            "your building block equals the course's at every stride: a convolution, a batch "
            "normalisation and a ReLU."
        )
    )


@checker
def check_identity_block(block: object) -> Feedback:
    """Check ``IdentityBlock(channels)``: two 3×3 convolutions with an addition around them.

    >>> print(check_identity_block(identity_block))
    Correct: your block does what the course's does, in training mode and in eval mode.
    """

    def mistakes(channels: int) -> list[Mistake]:
        wanted = identity_block(channels)
        return _wiring_mistakes(wanted) + wrong_answers(
            _Rewired(wanted, "cbr=cb+r"),
            _(
                "what you add is not the input of the block but the output of its first layers: "
                "has `x` been overwritten?"
            ),
            _keep(),
            # He et al. 2016, arXiv 1603.05027, figure 4e.
            _Rewired(wanted, "brcbrc+"),
            _(
                "a batch normalisation and a ReLU come before each convolution. Such a block "
                "exists (“pre-activation”, 2016), but this one has them after."
            ),
        )

    cases = [(4,), (6,)]
    require_modules(block, "IdentityBlock", cases, identity_block, mistakes)
    return _equal_block()


@checker
def check_projection_block(block: object) -> Feedback:
    """Check ``ProjectionBlock(in_channels, out_channels, stride=2)``: a 1×1 shortcut with BN.

    >>> print(check_projection_block(projection_block))
    Correct: your block does what the course's does, in training mode and in eval mode.
    """

    def mistakes(in_channels: int, out_channels: int, stride: int = 2) -> list[Mistake]:
        sizes = in_channels, out_channels, stride
        wanted = projection_block(*sizes)
        return _wiring_mistakes(wanted) + _projection_mistakes(wanted, *sizes)

    cases = [(6, 8), (6, 8, {"stride": 1}), (4, 8, {"stride": 3})]
    require_modules(block, "ProjectionBlock", cases, projection_block, mistakes)
    return _equal_block()


@checker
def check_bottleneck_block(block: object) -> Feedback:
    """Check ``MyBottleneck(in_channels, width, out_channels)``: 1×1, 3×3, 1×1, stride 1.

    >>> print(check_bottleneck_block(BottleneckBlock))
    Correct: your block does what the course's does, in training mode and in eval mode.
    """

    def mistakes(in_channels: int, width: int, out_channels: int) -> list[Mistake]:
        wanted = BottleneckBlock(in_channels, width, out_channels)
        return _wiring_mistakes(wanted) + _projection_mistakes(wanted, in_channels, out_channels)

    cases = [(12, 4, 12), (8, 4, 12), (12, 5, 6)]
    require_modules(block, "MyBottleneck", cases, BottleneckBlock, mistakes)
    return _equal_block()


def _equal_block() -> Feedback:
    return correct(_("your block does what the course's does, in training mode and in eval mode."))


class _Rewired(nn.Module):
    """The layers of a block, put together in another way.

    The way is written in letters: its (c)onvolutions and (b)atch normalisations in their order,
    (r)elu, (+) what the shortcut gives, (p)lus the same after a ReLU, (d)ouble, and (=) for an
    input that is written over. The way of the paper's block is ``cbrcb+r``.
    """

    def __init__(self, block: Block, way: str, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.way = block.body, way
        self.shortcut = block.shortcut if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        layers = {
            letter: iter([layer for layer in self.body.modules() if isinstance(layer, kind)])
            for letter, kind in (("c", nn.Conv2d), ("b", nn.BatchNorm2d))
        }
        start = x
        for step in self.way:
            if step in layers:
                x = next(layers[step])(x)
            elif step in "+p":
                assert self.shortcut is not None  # the blocks of these exercises all have one
                around = self.shortcut(start)
                x = x + (F.relu(around) if step == "p" else around)
            elif step == "=":
                start = x
            else:
                x = F.relu(x) if step == "r" else 2 * x
        return x


def _way(block: Block) -> str:
    """The main path of a block, as :class:`_Rewired` takes it."""
    convolutions = sum(isinstance(layer, nn.Conv2d) for layer in block.body.modules())
    return "cbr" * (convolutions - 1) + "cb"


def _wiring_mistakes(block: Block) -> list[Mistake]:
    """The block's own layers, put together in the wrong way."""
    wired = partial(_Rewired, block)
    way = _way(block)
    after = _("What is added to what, and where does the last ReLU stand, in y = relu(F(x) + x)?")
    mistakes = wrong_answers(
        wired(way + "r+"),
        _("the last ReLU comes before the addition instead of after it."),
        after,
        wired(way + "+"),
        _("the ReLU after the addition is missing."),
        after,
        wired(way + "r+r"),
        _(
            "there is a ReLU just before the addition as well as after it, so what is added can "
            "never be negative."
        ),
        after,
        wired(way + "pr"),
        _("there is a ReLU on the shortcut, which should have none."),
        after,
        wired(way.replace("br", "rb") + "+r"),
        _("a ReLU comes before its batch normalisation instead of after it."),
        wired(way[:-1] + "+br"),
        _("the last batch normalisation comes after the addition instead of before it."),
        after,
        wired(way.replace("r", "") + "+r"),
        _("there is no ReLU between the convolutions."),
        _("What do two linear layers in a row amount to?"),
    )
    if isinstance(block.shortcut, nn.Identity):  # any other would have layers that do not run
        mistakes += wrong_answers(
            wired(way + "r"),
            _("the addition is missing, which makes this a plain block."),
            after,
            wired(way + "dr"),
            _("the main path is added to itself: has `x` been overwritten before the addition?"),
            _keep(),
        )
    if isinstance(block, BottleneckBlock):
        bare = _("the ReLU after batch normalisation number {number} is missing.")
        mistakes += wrong_answers(
            *(wired("cbcbrcb+r"), bare.format(number=1)),
            *(wired("cbrcbcb+r"), bare.format(number=2)),
        )
    return mistakes


def _keep() -> str:
    return _("Keep the input of the block under a name of its own.")


def _projection_mistakes(
    block: Block, in_channels: int, out_channels: int, stride: int = 1
) -> list[Mistake]:
    """Shortcuts that project in another way than the 1×1 convolution with BN, or needlessly."""
    around = partial(_Rewired, block, _way(block) + "+r")
    if stride == 1 and in_channels == out_channels:
        return wrong_answers(
            around(conv_bn(in_channels, out_channels, 1)),
            _("the shortcut projects, although the shape does not change."),
            _("When `in_channels == out_channels`, what can be added as it is?"),
        )
    mistakes = wrong_answers(
        around(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)),
        _("the projection has no batch normalisation of its own."),
        _("Both terms of the sum come from a batch normalisation."),
        around(conv_bn(in_channels, out_channels, 3, stride)),
        _("the projection is a 3×3 convolution instead of a 1×1, which is enough."),
    )
    if stride > 1:
        pooled = nn.Sequential(nn.AvgPool2d(stride), conv_bn(in_channels, out_channels, 1))
        mistakes += wrong_answers(
            around(pooled),
            _(
                "the shortcut averages pixels before it projects, but here the 1×1 convolution "
                "itself takes the stride."
            ),
        )
    if out_channels >= in_channels:
        padded = around(PadShortcut(in_channels, out_channels, stride))
        mistakes.append(Mistake(padded, _padded()))
    return mistakes


def _padded() -> str:
    return _("the shortcut adds empty maps (option A), and should project.")


@checker
def check_pad_shortcut(function: object) -> Feedback:
    """Check ``pad_shortcut(x, out_channels, stride=2)``: option A, pixels skipped, maps added.

    The paper does not say where the empty maps go: after the others, before, or on both sides
    are all accepted.

    >>> print(check_pad_shortcut(lambda x, out_channels, stride=2: x).message)
    `pad_shortcut` – the stride is not applied and no map is added: the output is `x` itself.
    """

    def add(x: Tensor, out_channels: int) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))

    def reference(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
        return add(x[:, :, ::stride, ::stride], out_channels)

    def corner(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
        height, width = (side // stride for side in x.shape[2:])
        return add(x[:, :, :height, :width], out_channels)

    def without_empty_maps(answer: object, x: Tensor, *sizes: int) -> object:
        if not isinstance(answer, Tensor) or answer.dim() != 4 or answer.shape[1] < x.shape[1]:
            return answer
        filled = answer[:, (answer != 0).any(dim=3).any(dim=2).any(dim=0)]
        return add(filled, answer.shape[1]).float()

    mistakes = wrong_answers(
        lambda x, out, stride=2: x,
        _("the stride is not applied and no map is added: the output is `x` itself."),
        lambda x, out, stride=2: x[:, :, ::stride, ::stride],
        _("you skip the pixels, but add no maps."),
        lambda x, out, stride=2: add(x, out),
        _("you add the maps, but do not apply the stride: no pixel is skipped."),
        lambda x, out, stride=2: reference(x, out),
        _("the stride is 2, whatever you ask for."),
        lambda x, out, stride=2: add(F.avg_pool2d(x, stride), out),
        _("you average the pixels, but option A skips them, and keeps one in every `stride`."),
        lambda x, out, stride=2: add(F.max_pool2d(x, stride), out),
        _("you take the largest pixel, but option A skips pixels without looking at them."),
        lambda x, out, stride=2: add(x[:, :, stride - 1 :: stride, stride - 1 :: stride], out),
        _("the pixels that you keep do not begin with the first: start at pixel 0."),
        corner,
        _("you keep a corner of the map, but the pixels kept should be spread over the whole map."),
        lambda x, out, stride=2: x[:, :, ::stride, ::stride].repeat(1, out, 1, 1)[:, :out],
        _("the added maps are copies of those of `x`, and should be empty (zeros)."),
    )
    # At even sizes more mistakes give a right shape, and can be told apart.
    x, odd = torch.randn(2, 4, 6, 6), torch.randn(1, 3, 7, 5)
    cases = [(x, 8), (x, 4), (x, 6, 1), (x, 4, 1), (odd, 5), (odd, 3, 3)]
    which = _("Which pixels of `x` are kept, and what do the added maps contain?")
    require_answers(
        function, "pad_shortcut", cases, reference, mistakes, which, tidy=without_empty_maps
    )
    remark = None
    if not _keeps_type(function, x.bfloat16()):
        remark = _(
            "One remark: in bfloat16, your output does not have the type of `x`. Tensors made "
            "from `x` (`x.new_zeros`, `F.pad`) keep its type and its device."
        )
    return correct(
        _("your shortcut skips pixels and adds empty maps, with nothing to learn."), remark
    )


def _keeps_type(function: Any, x: Tensor) -> bool:
    try:
        return bool(function(x, 8).dtype == x.dtype)
    except (TypeError, RuntimeError):
        return True  # NumPy, say, has no bfloat16, and nobody asked for it


@checker
def check_stage(function: object) -> Feedback:
    """Check ``resnet_stage(n_blocks, in_channels, out_channels, stride)``: blocks in a row.

    The first block takes the stride and changes the number of maps, by a projection where it must
    (option B); the others are identity blocks.

    >>> print(check_stage(lambda *sizes: stage(*sizes, shortcut=None)).message)
    `resnet_stage(3, 4, 8, 2)` – the blocks are plain: nothing is added to what they compute.
    """
    cases = [(3, 4, 8, 2), (2, 4, 4, 1), (2, 4, 4, 2), (1, 4, 6, 1)]
    require_modules(
        function,
        "resnet_stage",
        cases,
        partial(stage, shortcut="B"),
        _stage_mistakes,
        hint=_(
            "A block has two 3×3 convolutions. The first of the `n_blocks` takes the stride, "
            "changes the number of maps and projects if the shape changes; the others keep the "
            "shape."
        ),
    )
    return correct(_("your stage does what the course's does, whether the shape changes or not."))


def _stage_mistakes(n_blocks: int, maps: int, out: int, stride: int) -> list[Mistake]:
    def project(maps: int, stride: int) -> nn.Module:
        block = projection_block(maps, out, stride)
        block.shortcut = conv_bn(maps, out, 1, stride)  # where nothing changes, too
        return block

    others = range(n_blocks - 1)
    first = project(maps, stride)
    once = _("Option B projects where the shape changes, and only there.")
    mistakes = wrong_answers(
        stage(n_blocks, maps, out, stride, None),
        _("the blocks are plain: nothing is added to what they compute."),
        _("First get your identity block right, then use it here."),
        nn.Sequential(first, *(identity_block(out) for _n in others)),
        _("a block projects although neither the size nor the number of maps changes."),
        once,
        nn.Sequential(first, *(project(out, 1) for _n in others)),
        _("every block projects, but only the first changes the shape."),
        once,
        nn.Sequential(first, *(project(out, stride) for _n in others)),
        _("blocks after the first take the stride too, but only the first may change the size."),
        _("The blocks after the first keep the size and the number of maps."),
        nn.Sequential(first, *(project(maps, stride) for _n in others)),
        _("every block is built for the maps that enter the stage, but only the first reads them."),
        _(
            "How many maps does the first block output, and so how many does the second one "
            "receive?"
        ),
        nn.Sequential(*(identity_block(maps) for _n in others), first),
        _("the last block changes the shape, and the first one should."),
        _("The first block takes the stride that is given, and the others have a stride of 1."),
        stage(n_blocks, maps, out, 1, "B"),
        _("the stride is ignored: the maps keep their size."),
        _("Give the stride to the first block."),
        stage(n_blocks, maps, out, 2, "B"),
        _("the stride is 2, whatever you ask for."),
        stage(n_blocks, maps, out, stride, "A"),
        _padded(),
        stage(n_blocks + 1, maps, out, stride, "B"),
        _("there is one block too many."),
        _("The first block counts among the `n_blocks`: how many others are there?"),
        stage(1, maps, out, stride, "B"),
        _("there is only one block."),
        _(
            "Do the other blocks have a part in the output? A `return` inside a loop ends it at "
            "once."
        ),
        stage(max(1, n_blocks - 1), maps, out, stride, "B"),
        _("there is one block too few."),
        _("Count how often your loop runs, and add the first block."),
    )
    return [*mistakes, *_shortcut_mistakes(lambda: stage(n_blocks, maps, out, stride, "B"))]


def _shortcut_mistakes(make: Callable[[], nn.Module]) -> list[Mistake]:
    """A net or a stage of option B whose blocks of one kind have a wrong shortcut."""

    def changed(
        kind: type[nn.Module], change: Callable[[nn.Module], nn.Module | None]
    ) -> nn.Module:
        net = make()
        for block in net.modules():
            if isinstance(block, ResidualBlock) and isinstance(block.shortcut, kind):
                block.shortcut = change(block.shortcut)
        return net

    return wrong_answers(
        changed(nn.Sequential, lambda projection: next(projection.children())),
        _("the projections have no batch normalisation of their own."),
        _("First get your projection block right, then use it here."),
        changed(nn.Identity, lambda identity: None),
        _("the blocks that keep the shape add nothing: their shortcut is missing."),
        _("First get your identity block right, then use it here."),
    )


@checker
def check_resnet(function: object) -> Feedback:
    """Check ``resnet(depth, in_channels=3)``: the CIFAR net of 6n + 2 layers, with option B.

    A function without ``in_channels`` is for images in colours, and is checked with these alone.

    >>> print(check_resnet(lambda depth: cifar_net(depth, "A")).message)
    `resnet(8)` – the shortcuts add empty maps (option A), and should project.
    """

    def reference(depth: int, in_channels: int = 3) -> nn.Module:
        return cifar_net(depth, "B", in_channels=in_channels)

    def mistakes(depth: int, in_channels: int = 3) -> list[Mistake]:
        net, max_pooled, bare_stem = (
            cifar_net(depth, "B", in_channels=in_channels) for _thrice in range(3)
        )
        max_pooled.pool = nn.AdaptiveMaxPool2d(1)  # type: ignore[assignment]
        del bare_stem.stem[2]
        return [
            *head_mistakes(net),
            Mistake(max_pooled, _("the pooling at the end takes the maximum instead of the mean.")),
            Mistake(
                bare_stem,
                _(
                    "the first layer lacks its ReLU: it is a convolution, a batch normalisation "
                    "and a ReLU."
                ),
            ),
            Mistake(
                cifar_net(depth, in_channels=in_channels),
                _("the blocks are plain: nothing is added to what they compute."),
            ),
            Mistake(
                cifar_net(depth, "A", in_channels=in_channels),
                _("the shortcuts add empty maps (option A), and should project."),
            ),
            *_shortcut_mistakes(lambda: reference(depth, in_channels)),
        ]

    cases: list[tuple[Any, ...]] = [(8,), (20,)]
    if takes(function, "in_channels"):
        cases.append((8, {"in_channels": 1}))
    hint = _(
        "A depth of 6n + 2 counts one first convolution, 3 stages of n blocks of 2 "
        "convolutions, and one linear layer. Stages 2 and 3 begin by halving the size and "
        "doubling the number of maps."
    )
    require_modules(function, "resnet", cases, reference, mistakes, images=(2, 32, 32), hint=hint)
    return correct(
        _(
            "your network equals the course's at depths 8 and 20; at depth 20, it has {count} "
            "parameters."
        ).format(count=number(count_parameters(reference(20)), 9))
    )
