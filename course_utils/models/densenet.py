"""DenseNet: nets in which every layer reads the maps of all the layers before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from course_utils.arguments import flag, whole_number
from course_utils.i18n import _
from course_utils.models.blocks import he_initialised

__all__ = [
    "DenseBlock",
    "DenseLayer",
    "DenseNet",
    "Transition",
    "checked_compression",
    "densenet",
    "layers_per_block",
]

BLOCKS = 3
BOTTLENECK = 4
"""Maps between the two convolutions of a layer, in growth rates."""
STEM = 16
"""Maps of the first convolution; DenseNet-BC has twice the growth rate instead."""


def layers_per_block(depth: int, bottleneck: bool = True) -> int:
    """Dense layers in each of the three blocks of a net of ``depth``.

    The first convolution, two transitions and the linear layer make four; a dense layer counts
    one, or two with a bottleneck: ``depth`` is ``3n + 4``, or ``6n + 4``.

    Raises:
        ValueError: ``depth`` is not of that form.
        TypeError: ``depth`` is not a whole number, or ``bottleneck`` is not a bool.

    >>> layers_per_block(40), layers_per_block(40, bottleneck=False)
    (6, 12)
    """
    step = 2 * BLOCKS if flag("bottleneck", bottleneck) else BLOCKS
    n, rest = divmod(whole_number("depth", depth, at_least=1) - 4, step)
    if n >= 1 and rest == 0:
        return n
    lower = max(n, 1) * step + 4
    values = {"depth": depth, "lower": lower, "upper": lower + step}
    if bottleneck:
        raise ValueError(
            _(
                "There is no DenseNet of depth {depth} with bottlenecks: its depth is 6n+4 (10, "
                "16, 22, 28, 34, 40 …), and the nearest are {lower} and {upper}."
            ).format(**values)
        )
    raise ValueError(
        _(
            "There is no DenseNet of depth {depth} without bottlenecks: its depth is 3n+4 (7, "
            "10, 13, 16, 19, 22 …), and the nearest are {lower} and {upper}."
        ).format(**values)
    )


def _bn_relu_conv(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Module]:
    """Batch normalisation, ReLU, convolution: DenseNet normalises what it reads.

    The maps of one layer are read by many, each with a scale and a shift of its own.
    """
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
    ]


class DenseLayer(nn.Module):
    """``growth_rate`` new maps from all the maps so far.

    ``new = H([x0, x1, …])`` with ``H`` = BN, ReLU, 3×3 convolution, or, with a bottleneck, BN,
    ReLU, 1×1 convolution to ``4 · growth_rate`` maps, BN, ReLU, 3×3 convolution.

    The maps are concatenated here, anew in every layer, and the gradient needs each of these
    copies: without ``memory_efficient`` they stay in memory until the backward pass, and grow
    with the square of the number of layers.

    Args:
        in_channels: number of maps that the layer reads, all its inputs together.
        growth_rate: number of maps that it adds, ``k`` in the paper.
        bottleneck: whether a 1×1 convolution comes first. It saves parameters only where
            ``in_channels`` is above ``7.2 · growth_rate``.
        memory_efficient: in training, keep the inputs alone and run the whole layer again in the
            backward pass. Outputs and gradients are the same, and so are the running statistics:
            the second run updates copies of them.

    Shape:
        Maps ``(B, C_i, H, W)``, one tensor or several in a list, with ``ΣC_i = in_channels``, to
        ``(B, growth_rate, H, W)``.

    Source: Huang et al. 2016, arXiv 1608.06993, equation 2; recomputation: Pleiss et al. 2017,
    arXiv 1707.06990.

    >>> layer = DenseLayer(16 + 12, growth_rate=12)
    >>> layer([torch.rand(2, 16, 8, 8), torch.rand(2, 12, 8, 8)]).shape
    torch.Size([2, 12, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        growth_rate: int,
        bottleneck: bool = True,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        width = BOTTLENECK * growth_rate
        self.body = nn.Sequential(
            *(_bn_relu_conv(in_channels, width, 1) if bottleneck else ()),
            *_bn_relu_conv(width if bottleneck else in_channels, growth_rate, 3),
        )
        self.memory_efficient = memory_efficient

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """All the maps so far to the new ones alone, ``(B, growth_rate, H, W)``."""
        inputs = [maps] if isinstance(maps, Tensor) else list(maps)
        if self.memory_efficient and self.training and torch.is_grad_enabled():
            return self._recomputed(inputs)
        return self.body(torch.cat(inputs, 1))  # (B, in_channels, H, W) to (B, growth_rate, H, W)

    def _recomputed(self, inputs: list[Tensor]) -> Tensor:
        """The new maps, with nothing kept for the gradient but the inputs."""
        runs = 0

        def run(*inputs: Tensor) -> Tensor:
            nonlocal runs
            runs += 1
            # The first run is the forward pass. The later ones, in the backward pass, meet a batch
            # that has been counted, and update copies of the running statistics.
            updated = self.body.named_buffers() if runs > 1 else ()
            copies = {name: buffer.clone() for name, buffer in updated}
            return functional_call(self.body, copies, torch.cat(inputs, 1))

        new: Tensor = checkpoint(run, *inputs, use_reentrant=False)
        return new

    def extra_repr(self) -> str:
        return f"memory_efficient={self.memory_efficient}"


class DenseBlock(nn.Module):
    """Dense layers, each reading the block's input and the new maps of all the layers before it.

    A block of ``L`` layers has ``L(L + 1)/2`` connections: layer ``l`` reads ``l`` sources.

    Args:
        n_layers: number of dense layers, one or more.
        in_channels: number of maps of the block's input.
        growth_rate, bottleneck, memory_efficient: of every layer, see :class:`DenseLayer`.

    Attributes:
        out_channels: ``in_channels + n_layers · growth_rate``.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``: the input, then the new maps of
        every layer, in order.

    Raises:
        ValueError: no layer.
        TypeError: ``n_layers`` is not a whole number.

    Source: Huang et al. 2016, arXiv 1608.06993, figure 1.

    >>> DenseBlock(6, 24, growth_rate=12)(torch.rand(2, 24, 8, 8)).shape
    torch.Size([2, 96, 8, 8])
    """

    def __init__(
        self,
        n_layers: int,
        in_channels: int,
        growth_rate: int,
        bottleneck: bool = True,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        n_layers = whole_number("n_layers", n_layers, at_least=1)
        self.layers = nn.ModuleList(
            DenseLayer(in_channels + i * growth_rate, growth_rate, bottleneck, memory_efficient)
            for i in range(n_layers)
        )
        self.out_channels = in_channels + n_layers * growth_rate

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps))  # (B, growth_rate, H, W)
        return torch.cat(maps, 1)


class Transition(nn.Sequential):
    """Between two blocks: mix the maps into fewer with a 1×1 convolution, and halve their size.

    BN, ReLU, 1×1 convolution, average pooling over 2×2 pixels. A block can only concatenate maps
    of one size, so the size changes here; an odd last row or column is left out.

    Args:
        in_channels, out_channels: number of maps before and after.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, out_channels, floor(H/2), floor(W/2))``.

    Raises:
        ValueError: maps of one pixel in height or width, when it is run.

    Source: Huang et al. 2016, arXiv 1608.06993, section 3; the ReLU is in the authors' code.

    >>> Transition(96, 48)(torch.rand(2, 96, 8, 8)).shape
    torch.Size([2, 48, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(*_bn_relu_conv(in_channels, out_channels, 1), nn.AvgPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, out_channels, floor(H/2), floor(W/2))``."""
        height, width = x.shape[-2:]
        if min(height, width) < 2:
            raise ValueError(
                _(
                    "A transition halves the side of its maps, and these have only "
                    "{height}×{width} pixels: give the network larger images."
                ).format(height=height, width=width)
            )
        for module in self:
            x = module(x)
        return x


class DenseNet(nn.Module):
    """Convolution, three dense blocks, global average pooling, linear. See :func:`densenet`."""

    def __init__(
        self,
        depth: int,
        growth_rate: int,
        bottleneck: bool = True,
        compression: float = 0.5,
        in_channels: int = 3,
        num_classes: int = 10,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        n = layers_per_block(depth, bottleneck)
        growth_rate = whole_number("growth_rate", growth_rate, at_least=1)
        in_channels = whole_number("in_channels", in_channels, at_least=1)
        num_classes = whole_number("num_classes", num_classes, at_least=1)
        memory_efficient = flag("memory_efficient", memory_efficient)
        compression = checked_compression(compression)
        self.depth = depth
        with he_initialised(self):
            channels = 2 * growth_rate if bottleneck and compression < 1 else STEM
            self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
            self.stages = nn.Sequential()
            for stage in range(BLOCKS):
                if stage > 0:
                    mixed = max(1, int(compression * channels))
                    self.stages.append(Transition(channels, mixed))
                    channels = mixed
                block = DenseBlock(n, channels, growth_rate, bottleneck, memory_efficient)
                self.stages.append(block)
                channels = block.out_channels
            self.norm = nn.BatchNorm2d(channels)
            self.relu = nn.ReLU()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``; H and W from 4 on."""
        x = self.stem(x)  # (B, 2k or 16, H, W)
        x = self.stages(x)  # (B, C, H/4, W/4)
        x = self.relu(self.norm(x))
        x = self.pool(x).flatten(1)  # (B, C)
        return self.linear(x)  # (B, num_classes)


def checked_compression(compression: float) -> float:
    """``compression`` if it is a number above 0 and up to 1."""
    number = isinstance(compression, int | float) and not isinstance(compression, bool)
    if not number or not 0 < compression <= 1:
        raise (ValueError if number else TypeError)(
            _(
                "compression is the share of the maps that a transition keeps: it must be above "
                "0 and at most 1 (no compression), and it is {value!r}."
            ).format(value=compression)
        )
    return float(compression)


def densenet(
    depth: int,
    growth_rate: int,
    bottleneck: bool = True,
    compression: float = 0.5,
    in_channels: int = 3,
    num_classes: int = 10,
    memory_efficient: bool = False,
) -> DenseNet:
    """The CIFAR-10 net of the DenseNet paper: DenseNet-BC, or without bottleneck or compression.

    A 3×3 convolution, three dense blocks of ``n`` layers with two transitions between them, BN
    and ReLU, global average pooling and one linear layer. The paper's DenseNet without BC is
    ``densenet(depth, growth_rate, bottleneck=False, compression=1)``.

    Args:
        depth: number of weight layers, ``6n + 4`` with bottlenecks (10, 16, 22, 40, 100 …),
            ``3n + 4`` without (7, 10, 13, 40, 100 …).
        growth_rate: number of maps that a layer adds, ``k``; 12 in the paper's smallest nets.
        bottleneck: whether a layer narrows its input to ``4k`` maps first.
        compression: share of the maps that a transition keeps, ``θ``; rounded down.
        in_channels: 3 for colour, 1 for grey.
        num_classes: length of the answer.
        memory_efficient: run the dense layers again in the backward pass, see
            :class:`DenseLayer`: the same numbers, less memory, more time.

    Returns:
        A module from images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``. Its first
        convolution has ``2k`` maps with both bottleneck and compression, 16 otherwise.

    Raises:
        ValueError: a depth that is not of that form, a number below 1, a compression outside
            (0, 1]; and, when it is run, images smaller than 4×4 pixels.
        TypeError: a number or a switch of another type.

    Source: Huang et al. 2016, arXiv 1608.06993, sections 3 and 4.2.

    >>> densenet(10, growth_rate=4)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    return DenseNet(
        depth, growth_rate, bottleneck, compression, in_channels, num_classes, memory_efficient
    )
