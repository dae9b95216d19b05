"""The stages that a net is composed of, one line of a paper's table each: ``conv(16)``.

A line is written as a call, so the classes below have names of functions, as ``range`` and
``slice`` do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Literal, get_args, get_type_hints

from torch import nn

from course_utils.arguments import flag, one_of, whole_number
from course_utils.i18n import _, listed, number
from course_utils.models.blocks import BottleneckBlock, ConvBNReLU, stage
from course_utils.models.densenet import BOTTLENECK, DenseBlock, Transition, checked_compression
from course_utils.models.gap import Pool

__all__ = [
    "KINDS",
    "MapsSpec",
    "StageSpec",
    "bottleneck",
    "conv",
    "dense",
    "gap_head",
    "identity",
    "plain",
    "projection",
    "transition",
]


class StageSpec(ABC):
    """One line of a design: a kind of stage and its numbers, frozen.

    ``repr()`` is the line as it is written in code, ``str()`` as the table of a paper has it. The
    numbers are checked when the line is written.

    Raises:
        ValueError, TypeError: a number out of range or of the wrong type; the sentence names it.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value, hint = getattr(self, field.name), hints[field.name]
            name = f"{self.kind}({field.name}=…)"
            if hint is bool:
                value = flag(name, value)
            elif hint is int:
                value = whole_number(name, value, at_least=1)
            elif hint is float:
                value = checked_compression(value)
            else:
                value = one_of(name, value, get_args(hint))
            object.__setattr__(self, field.name, value)

    @property
    def kind(self) -> str:
        """The name that it is written with."""
        return type(self).__name__

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of weight layers on its longest path."""

    def __repr__(self) -> str:
        shown = []
        for place, field in enumerate(fields(self)):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value != field.default:
                first = place == 0 and field.default is MISSING
                shown.append(repr(value) if first else f"{field.name}={value!r}")
        return f"{self.kind}({', '.join(shown)})"


class MapsSpec(StageSpec):
    """A line that turns feature maps into feature maps: every one but the head."""

    @property
    def rectified(self) -> bool:
        """Whether its maps come out of a ReLU; if not, the head begins with BN and ReLU."""
        return True

    @abstractmethod
    def out_channels(self, in_channels: int) -> int:
        """Number of maps after it; ``ValueError`` says why it cannot read ``in_channels``."""

    @abstractmethod
    def build(self, in_channels: int) -> nn.Module:
        """The stage as a module, from ``(B, in_channels, H, W)``."""


class _RepeatedSpec(MapsSpec):
    """A line of ``times`` layers or blocks, all of them with ``channels`` maps."""

    layers_each: ClassVar[int]
    channels: int
    times: int

    @property
    def depth(self) -> int:
        return self.layers_each * self.times

    def out_channels(self, in_channels: int) -> int:
        return self.channels


def _repeated(times: int, first: nn.Module, other: Callable[[], nn.Module]) -> nn.Sequential:
    """The block that changes the shape, then those that keep it."""
    return nn.Sequential(first, *(other() for _block in range(times - 1)))


def _bracket(layers: Sequence[str], times: int, stride: int = 1) -> str:
    """A stage as the papers print it."""
    repeated = f"[{listed(layers)}] × {times}" if times > 1 or len(layers) > 1 else layers[0]
    return f"{repeated}, /{stride}" if stride > 1 else repeated


@dataclass(frozen=True, repr=False)
class conv(_RepeatedSpec):
    """``times`` convolutions to ``channels`` maps, each with BN and ReLU.

    Args:
        channels: number of maps.
        kernel_size: side of the kernel in pixels, odd: the size is kept.
        stride: of the first convolution, in pixels.
        times: number of convolutions.
        bare: without BN and ReLU, as DenseNet begins: its layers normalise what they read.

    >>> print(conv(32, stride=2))
    3×3, 32, /2
    """

    layers_each: ClassVar[int] = 1
    channels: int
    kernel_size: int = 3
    stride: int = 1
    times: int = 1
    bare: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_size % 2 == 0:
            raise ValueError(
                _(
                    "{stage} has an even kernel, which has no central pixel: choose an odd size "
                    "such as {odd}."
                ).format(stage=repr(self), odd=self.kernel_size + 1)
            )

    @property
    def rectified(self) -> bool:
        return not self.bare

    def build(self, in_channels: int) -> nn.Sequential:
        first = self._layer(in_channels, self.stride)
        return _repeated(self.times, first, lambda: self._layer(self.channels, 1))

    def _layer(self, in_channels: int, stride: int) -> nn.Module:
        layer = ConvBNReLU(in_channels, self.channels, self.kernel_size, stride)
        return layer[0] if self.bare else layer

    def __str__(self) -> str:
        layer = f"{self.kernel_size}×{self.kernel_size}, {self.channels}"
        return _bracket([layer], self.times, self.stride)


@dataclass(frozen=True, repr=False)
class plain(_RepeatedSpec):
    """``times`` blocks of two 3×3 convolutions, with nothing added.

    Args:
        channels: number of maps.
        stride: of the first block, in pixels.
        times: number of blocks.

    >>> print(plain(32, stride=2, times=3))
    plain [3×3, 32; 3×3, 32] × 3, /2
    """

    layers_each: ClassVar[int] = 2
    channels: int
    stride: int = 1
    times: int = 1

    def build(self, in_channels: int) -> nn.Sequential:
        return stage(self.times, in_channels, self.channels, self.stride, None)

    def __str__(self) -> str:
        layers = [f"3×3, {self.channels}"] * 2
        return " ".join([_("plain"), _bracket(layers, self.times, self.stride)])


@dataclass(frozen=True, repr=False)
class identity(_RepeatedSpec):
    """``times`` residual blocks of two 3×3 convolutions that keep number and size of the maps.

    Args:
        times: number of blocks.

    >>> print(identity(times=3))
    identity [3×3; 3×3] × 3
    """

    layers_each: ClassVar[int] = 2
    times: int = 1

    def out_channels(self, in_channels: int) -> int:
        return in_channels

    def build(self, in_channels: int) -> nn.Sequential:
        return stage(self.times, in_channels, in_channels, 1, "A")

    def __str__(self) -> str:
        return " ".join([_("identity"), _bracket(["3×3", "3×3"], self.times)])


@dataclass(frozen=True, repr=False)
class projection(_RepeatedSpec):
    """``times`` residual blocks, of which the first changes the shape, and its shortcut with it.

    Args:
        channels: number of maps.
        stride: of the first block, in pixels.
        times: number of blocks; those after the first have the identity as shortcut.
        shortcut: ``"B"`` for a 1×1 convolution with BN, ``"A"`` for skipped pixels and empty
            channels, without weights.

    >>> print(projection(64))
    projection B [3×3, 64; 3×3, 64] × 1, /2
    """

    layers_each: ClassVar[int] = 2
    channels: int
    stride: int = 2
    times: int = 1
    shortcut: Literal["A", "B"] = "B"

    def out_channels(self, in_channels: int) -> int:
        if self.stride == 1 and in_channels == self.channels:
            raise ValueError(
                _("the shape does not change, so nothing needs projecting: write identity()")
            )
        if self.shortcut == "A" and in_channels > self.channels:
            raise ValueError(_('option A can only add empty maps: write shortcut="B"'))
        return self.channels

    def build(self, in_channels: int) -> nn.Sequential:
        return stage(self.times, in_channels, self.channels, self.stride, self.shortcut)

    def __str__(self) -> str:
        layers = [f"3×3, {self.channels}"] * 2
        return f"projection {self.shortcut} {_bracket(layers, self.times, self.stride)}"


@dataclass(frozen=True, repr=False)
class bottleneck(_RepeatedSpec):
    """``times`` residual blocks that narrow with a 1×1, work with a 3×3, widen with a 1×1.

    Args:
        channels: number of maps after each block.
        width: number of maps that the 3×3 convolutions see.
        stride: of the first block, in pixels.
        times: number of blocks; a projection goes around the first where it changes the shape.

    >>> print(bottleneck(64, width=16, times=2))
    bottleneck [1×1, 16; 3×3, 16; 1×1, 64] × 2
    """

    layers_each: ClassVar[int] = 3
    channels: int
    width: int
    stride: int = 1
    times: int = 1

    def build(self, in_channels: int) -> nn.Sequential:
        return _repeated(
            self.times,
            BottleneckBlock(in_channels, self.width, self.channels, self.stride),
            lambda: BottleneckBlock(self.channels, self.width, self.channels),
        )

    def __str__(self) -> str:
        layers = [f"1×1, {self.width}", f"3×3, {self.width}", f"1×1, {self.channels}"]
        return " ".join([_("bottleneck"), _bracket(layers, self.times, self.stride)])


@dataclass(frozen=True, repr=False)
class dense(MapsSpec):
    """A dense block: layers that each add ``growth_rate`` maps to all those so far.

    Args:
        layers: number of dense layers.
        growth_rate: number of maps that a layer adds.
        bottleneck: whether a layer narrows its input to ``4 · growth_rate`` maps first.
        memory_efficient: run the layers again in the backward pass: the same numbers, less
            memory, more time.

    >>> print(dense(6, growth_rate=12))
    dense [1×1, 48; 3×3, 12] × 6
    """

    layers: int
    growth_rate: int
    bottleneck: bool = True
    memory_efficient: bool = False

    @property
    def depth(self) -> int:
        return self.layers * (2 if self.bottleneck else 1)

    @property
    def rectified(self) -> bool:
        return False

    def out_channels(self, in_channels: int) -> int:
        return in_channels + self.layers * self.growth_rate

    def build(self, in_channels: int) -> DenseBlock:
        return DenseBlock(
            self.layers, in_channels, self.growth_rate, self.bottleneck, self.memory_efficient
        )

    def __str__(self) -> str:
        narrowing = [f"1×1, {BOTTLENECK * self.growth_rate}"] if self.bottleneck else []
        layers = listed([*narrowing, f"3×3, {self.growth_rate}"])
        return " ".join([_("dense"), f"[{layers}] × {self.layers}"])


@dataclass(frozen=True, repr=False)
class transition(MapsSpec):
    """BN, ReLU, a 1×1 convolution to fewer maps, and the average over 2×2 pixels.

    Args:
        compression: share of the maps that it keeps, above 0 and up to 1; rounded down.

    >>> print(transition(compression=0.5))
    transition [1×1, × 0.5], /2
    """

    compression: float = 0.5

    @property
    def depth(self) -> int:
        return 1

    @property
    def rectified(self) -> bool:
        return False

    def out_channels(self, in_channels: int) -> int:
        return max(1, int(self.compression * in_channels))

    def build(self, in_channels: int) -> Transition:
        return Transition(in_channels, self.out_channels(in_channels))

    def __str__(self) -> str:
        return f"transition [1×1, × {number(self.compression, 6)}], /2"


@dataclass(frozen=True, repr=False)
class gap_head(StageSpec):
    """Global average pooling, then one linear layer: the last line of every design.

    BN and ReLU come first where the maps have not been through them: after a dense block, a
    transition or a bare convolution.

    Args:
        pool: ``"max"`` for the maximum instead, which has no class activation maps.

    >>> print(gap_head())
    global average, linear
    """

    pool: Pool = "average"

    @property
    def depth(self) -> int:
        return 1

    def __str__(self) -> str:
        return {"average": _("global average, linear"), "max": _("global maximum, linear")}[
            self.pool
        ]


KINDS: dict[str, Callable[..., StageSpec]] = {
    kind.__name__: kind
    for kind in (conv, plain, identity, projection, bottleneck, dense, transition, gap_head)
}
