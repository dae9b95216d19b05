"""Nets written like the table of a paper: one line per stage, channels inferred, mistakes named."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from course_utils.arguments import checked_shape, whole_number
from course_utils.i18n import _, ngettext
from course_utils.inference import evaluating
from course_utils.models.blocks import he_initialised
from course_utils.models.densenet import Transition
from course_utils.models.stages import KINDS, MapsSpec, StageSpec, gap_head, identity

__all__ = ["Composed", "as_options", "channel_trace", "compose", "design_depth", "from_options"]

PIXEL_CHANNELS = 3
"""Channels of an image, at most: too few for the maps of a net."""


# --- designs as plain data -------------------------------------------------------------------


def design_depth(design: Iterable[StageSpec]) -> int:
    """Number of weight layers on the longest path of a design.

    >>> from course_utils.models.stages import conv, gap_head, identity
    >>> design_depth([conv(16), identity(times=3), gap_head()])
    8
    """
    return sum(spec.depth for spec in design)


def channel_trace(design: Sequence[StageSpec], in_channels: int) -> list[int]:
    """Number of maps that each line of a design reads, the head included.

    Args:
        design: one :class:`StageSpec` per line.
        in_channels: of the images.

    Raises:
        ValueError, TypeError: the design cannot be built, in a sentence that names the stage.

    >>> from course_utils.models.stages import conv, dense, gap_head, transition
    >>> channel_trace([conv(24), dense(6, growth_rate=12), transition(), gap_head()], 3)
    [3, 24, 96, 48]
    """
    trace = [in_channels]
    for position, spec in enumerate(design, 1):
        if isinstance(spec, gap_head) and position == len(design):
            return trace
        trace.append(_channels_after(position, spec, trace[-1], design))
    if not design:
        raise ValueError(
            _("The design is empty: write one stage a line, as in [conv(16), gap_head()].")
        )
    raise ValueError(
        _(
            "The design ends with stage {position}, {stage}: add the head, gap_head(), below."
        ).format(position=len(design), stage=repr(design[-1]))
    )


def _channels_after(
    position: int, spec: StageSpec, channels: int, design: Sequence[StageSpec]
) -> int:
    """Number of maps after one line that is not the last, or a refusal that names it."""
    values = {"position": position, "stage": repr(spec), "channels": channels}
    if isinstance(spec, gap_head):
        raise ValueError(
            _(
                "Stage {position}, {stage}, is a head, and {next} comes after it: a design has "
                "a single head, on its last line."
            ).format(next=repr(design[position]), **values)
        )
    if not isinstance(spec, MapsSpec):
        raise TypeError(_not_a_stage(position, spec))
    if position == 1 and isinstance(spec, identity) and channels <= PIXEL_CHANNELS:
        raise ValueError(
            ngettext(
                "Stage 1, {stage}, would have no other map than the {channels} channel of the "
                "image: begin with a stage that makes more, such as conv(16).",
                "Stage 1, {stage}, would have no other maps than the {channels} channels of the "
                "image: begin with a stage that makes more, such as conv(16).",
                channels,
            ).format(**values)
        )
    try:
        return spec.out_channels(channels)
    except ValueError as error:
        raise ValueError(
            _("Stage {position}, {stage}, reads {channels} maps: {reason}.").format(
                reason=error, **values
            )
        ) from error


def _not_a_stage(position: int, spec: object) -> str:
    """Why this is not a line of a design."""
    if isinstance(spec, type) and issubclass(spec, StageSpec):
        return _("Stage {position} is {name} without its parentheses: write {name}(…).").format(
            position=position, name=spec.__name__
        )
    return _(
        "Stage {position} is {value}, of type {type}: a design is a list of stages, and each is "
        "one of {kinds}."
    ).format(position=position, value=repr(spec), type=type(spec).__name__, kinds=", ".join(KINDS))


def as_options(design: Iterable[StageSpec]) -> tuple[str, ...]:
    """A design as strings, one per line, for a file, a spec of an experiment or another process.

    >>> from course_utils.models.stages import conv, gap_head, identity
    >>> as_options([conv(16), identity(times=3), gap_head()])
    ('conv(16)', 'identity(times=3)', 'gap_head()')
    """
    return tuple(map(repr, design))


def from_options(options: Iterable[str]) -> tuple[StageSpec, ...]:
    """The design that :func:`as_options` wrote; nothing in the strings is executed.

    Raises:
        ValueError: a string is not the line of a design.
        ValueError, TypeError: a number in it is wrong.

    >>> from_options(["conv(16)", "gap_head()"])
    (conv(16), gap_head())
    """
    return tuple(map(_parsed, options))


def _parsed(line: str) -> StageSpec:
    try:
        call = ast.parse(line, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        build = KINDS[call.func.id]
        numbers = [ast.literal_eval(argument) for argument in call.args]
        named = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
        if len(named) < len(call.keywords):  # **more
            raise ValueError
    except (SyntaxError, TypeError, KeyError, ValueError):
        raise ValueError(
            _(
                "{line!r} is not a line of a design: write one of {kinds} with its numbers, as "
                'in "conv(16, stride=2)".'
            ).format(line=line, kinds=", ".join(KINDS))
        ) from None
    return build(*numbers, **named)


# --- the net ---------------------------------------------------------------------------------


class Composed(nn.Module):
    """The net of a design: its stages, then pooling and one linear layer. See :func:`compose`.

    Attributes:
        design: the lines, head included.
        depth: number of weight layers on the longest path.
        stages: one module per line, in order.
        norm: BN and ReLU where the stages end without them, else None.
        pool, linear: the head.
    """

    def __init__(self, design: Sequence[StageSpec], in_channels: int, num_classes: int) -> None:
        super().__init__()
        in_channels = whole_number("in_channels", in_channels, at_least=1)
        num_classes = whole_number("num_classes", num_classes, at_least=1)
        trace = channel_trace(design, in_channels)
        body = [spec for spec in design if isinstance(spec, MapsSpec)]
        head = design[-1]
        assert isinstance(head, gap_head)  # the trace refuses any other end
        self.design = tuple(design)
        self.depth = design_depth(design)
        with he_initialised(self):
            self.stages = nn.Sequential()
            self.norm: nn.Sequential | None = None
            for spec, channels in zip(body, trace, strict=False):
                self.stages.append(spec.build(channels))
            if body and not body[-1].rectified:
                self.norm = nn.Sequential(nn.BatchNorm2d(trace[-1]), nn.ReLU())
            average = head.pool == "average"
            self.pool = nn.AdaptiveAvgPool2d(1) if average else nn.AdaptiveMaxPool2d(1)
            self.linear = nn.Linear(trace[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``."""
        for position, module in enumerate(self.stages, 1):
            if isinstance(module, Transition) and min(x.shape[2:]) < 2:
                raise ValueError(
                    _(
                        "Stage {position}, {stage}, halves the side of its maps, and the "
                        "{channels} maps that reach it have {height}×{width} pixels: give the "
                        "network larger images, or remove a stride from an earlier stage."
                    ).format(
                        position=position,
                        stage=repr(self.design[position - 1]),
                        channels=x.shape[1],
                        height=x.shape[2],
                        width=x.shape[3],
                    )
                )
            x = module(x)  # (B, C, h, w)
        if self.norm is not None:
            x = self.norm(x)
        x = self.pool(x).flatten(1)  # (B, C)
        return self.linear(x)  # (B, num_classes)


def compose(
    design: Iterable[StageSpec],
    in_channels: int = 3,
    num_classes: int = 10,
    image_shape: Sequence[int] | None = None,
) -> Composed:
    """The net that a design describes, with He's initial weights.

    With one seed, a design that spells a net of the course has that net's initial weights.

    Args:
        design: one :class:`StageSpec` per line, the head last. Each stage reads the maps of the
            one before, so that their number is written where it changes and nowhere else.
        in_channels: 3 for colour, 1 for grey.
        num_classes: length of the answer.
        image_shape: ``(in_channels, height, width)`` of the images to come, to be told at once
            if they are too small for the stages.

    Returns:
        A module from images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``.

    Raises:
        ValueError: a design without a head, with a head that is not last, or with a stage that
            cannot read what comes before it; the sentence names the stage and the shapes. A
            transition of maps of one pixel is refused here when ``image_shape`` is given, and
            otherwise when the net runs.
        TypeError: something in the design is not a stage.

    >>> from course_utils.models.stages import conv, gap_head, identity, projection
    >>> design = [conv(16), identity(times=3), projection(32), gap_head()]
    >>> net = compose(design)
    >>> net.depth, net(torch.rand(2, 3, 32, 32)).shape
    (10, torch.Size([2, 10]))
    """
    if isinstance(design, StageSpec):
        design = [design]  # a head is a design too, and a stage alone is told what is missing
    net = Composed(list(design), in_channels, num_classes)
    if image_shape is not None:
        shape = checked_shape(image_shape)
        if shape[0] != in_channels:
            raise ValueError(
                ngettext(
                    "The images have {channels} channel and the network reads {in_channels}: give "
                    "in_channels and image_shape the same number.",
                    "The images have {channels} channels and the network reads {in_channels}: give "
                    "in_channels and image_shape the same number.",
                    shape[0],
                ).format(channels=shape[0], in_channels=in_channels)
            )
        nowhere = copy.deepcopy(net).to("meta")  # where nothing is computed
        with evaluating(nowhere):
            nowhere(torch.zeros(1, *shape, device="meta"))
    return net
