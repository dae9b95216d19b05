"""The vocabulary of the course: the blocks that convolutional networks are written with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.i18n import _

__all__ = [
    "BottleneckBlock",
    "ConvBNReLU",
    "PadShortcut",
    "ResidualBlock",
    "Shortcut",
    "conv_bn",
    "draw_seed",
    "he_initialised",
    "identity_block",
    "initialise",
    "projection_block",
    "stage",
]

Shortcut = Literal["A", "B"] | None
PaddingMode = Literal["zeros", "circular", "reflect", "replicate"]


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    padding_mode: PaddingMode = "zeros",
) -> nn.Sequential:
    """A convolution that keeps the size (divided by ``stride``), then batch normalisation.

    The convolution has no bias: batch normalisation would subtract it at once.
    """
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            bias=False,
            padding_mode=padding_mode,
        ),
        nn.BatchNorm2d(out_channels),
    )


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU: the brick of every net here.

    Args:
        in_channels, out_channels: number of feature maps before and after.
        kernel_size: side of the kernel in pixels, odd.
        stride: step of the kernel in pixels.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``.

    >>> ConvBNReLU(3, 16, stride=2)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 16, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        slope: float = 0.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        layers = conv_bn(in_channels, out_channels, kernel_size, stride, padding_mode)
        super().__init__(*layers, nn.LeakyReLU(slope) if slope else nn.ReLU())


class PadShortcut(nn.Module):
    """Option A of the ResNet paper: skip pixels, add empty channels, learn nothing.

    Args:
        in_channels, out_channels: number of feature maps; ``out_channels`` is not smaller.
        stride: keep one pixel out of ``stride`` in each direction.

    Raises:
        ValueError: ``out_channels`` is smaller than ``in_channels``.

    Source: He et al. 2015, arXiv 1512.03385, section 3.3.

    >>> PadShortcut(16, 32, stride=2)(torch.rand(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(
                _(
                    "Option A can only add channels, and {out_channels} maps cannot hold "
                    "{in_channels}. Use option B, which projects."
                ).format(in_channels=in_channels, out_channels=out_channels)
            )
        self.extra = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C + extra, ceil(H/stride), ceil(W/stride))``."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        return f"extra={self.extra}, stride={self.stride}"


def _shortcut(
    in_channels: int, out_channels: int, stride: int, option: Shortcut
) -> nn.Module | None:
    """The path around a block: nothing, the identity, padding (A) or a projection (B)."""
    if option not in (None, "A", "B"):
        raise ValueError(
            _(
                'There is no shortcut {option!r}: choose None (plain), "A" (empty maps) or "B" '
                "(projection)."
            ).format(option=option)
        )
    if option is None:
        return None
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if option == "A":
        return PadShortcut(in_channels, out_channels, stride)
    return conv_bn(in_channels, out_channels, kernel_size=1, stride=stride)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with an addition around them, or without: then the block is plain.

    ``y = relu(F(x) + shortcut(x))`` with ``F`` = conv, BN, ReLU, conv, BN.

    Args:
        in_channels, out_channels: number of feature maps before and after.
        stride: step of the first convolution, in pixels.
        shortcut: ``None`` for a plain block (no addition), ``"A"`` for the identity, strided and
            padded with empty channels where the shape changes, ``"B"`` for the identity and a
            1×1 projection with BN where the shape changes.
        slope: of the activations below zero: 0 for ReLU, more for leaky ReLU.
        padding_mode: what the 3×3 convolutions see outside the maps, as in ``nn.Conv2d``.

    Raises:
        ValueError: another ``shortcut``, or option A with fewer channels after than before.

    Source: He et al. 2015, arXiv 1512.03385, equation 1 and section 3.3.

    >>> ResidualBlock(16, 32, stride=2, shortcut="B")(torch.rand(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        shortcut: Shortcut = "A",
        slope: float = 0.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        self.slope = slope
        self.body = nn.Sequential(
            ConvBNReLU(in_channels, out_channels, 3, stride, slope, padding_mode),
            conv_bn(out_channels, out_channels, padding_mode=padding_mode),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        y = self.body(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return F.leaky_relu(y, self.slope) if self.slope else F.relu(y)


def identity_block(channels: int) -> ResidualBlock:
    """A residual block whose shortcut is the identity: same maps, same size in and out.

    >>> identity_block(16)(torch.rand(1, 16, 8, 8)).shape
    torch.Size([1, 16, 8, 8])
    """
    return ResidualBlock(channels, channels, shortcut="A")


def projection_block(in_channels: int, out_channels: int, stride: int = 2) -> ResidualBlock:
    """A residual block whose shortcut is a 1×1 convolution with BN, because the shape changes.

    >>> projection_block(16, 32)(torch.rand(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """
    return ResidualBlock(in_channels, out_channels, stride, shortcut="B")


class BottleneckBlock(nn.Module):
    """Narrow with a 1×1, work with a 3×3, widen with a 1×1, and add the input.

    Args:
        in_channels, out_channels: number of feature maps before and after.
        width: number of maps that the 3×3 convolution sees.
        stride: step of the 3×3 convolution in pixels (the paper puts it on the first 1×1;
            on the 3×3, as torchvision does, no position is thrown away).

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``.

    Source: He et al. 2015, arXiv 1512.03385, figure 5.

    >>> BottleneckBlock(256, 64, 256)(torch.rand(1, 256, 7, 7)).shape
    torch.Size([1, 256, 7, 7])
    """

    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBNReLU(in_channels, width, kernel_size=1),
            ConvBNReLU(width, width, stride=stride),
            conv_bn(width, out_channels, kernel_size=1),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride, "B")

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        assert self.shortcut is not None  # option B always gives one
        return F.relu(self.body(x) + self.shortcut(x))


def stage(
    n_blocks: int,
    in_channels: int,
    out_channels: int,
    stride: int,
    shortcut: Shortcut,
    slope: float = 0.0,
    padding_mode: PaddingMode = "zeros",
) -> nn.Sequential:
    """``n_blocks`` residual (or plain) blocks; the first one changes the shape.

    Args:
        n_blocks: one or more.
        in_channels, out_channels: number of feature maps before the first block and after it.
        stride: of the first block, in pixels; the others have 1.
        shortcut, slope, padding_mode: of every block, see :class:`ResidualBlock`.

    Raises:
        ValueError: no block, or a shortcut that :class:`ResidualBlock` refuses.

    >>> stage(3, 16, 32, stride=2, shortcut="A")(torch.rand(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """
    if n_blocks < 1:
        raise ValueError(_("A stage has at least one block, not {number}.").format(number=n_blocks))
    shapes = [(in_channels, stride), *[(out_channels, 1)] * (n_blocks - 1)]
    return nn.Sequential(
        *(
            ResidualBlock(channels, out_channels, step, shortcut, slope, padding_mode)
            for channels, step in shapes
        )
    )


def draw_seed() -> int:
    """One number from torch's global generator: the seed of a net's own random numbers.

    Drawn before the layers are made, it makes the initial weights depend on ``torch.manual_seed``
    alone, and not on how many layers the net has.
    """
    return int(torch.randint(2**62, (), device="cpu"))


@contextmanager
def he_initialised(model: nn.Module) -> Iterator[None]:
    """Give the layers that are made within He's initial weights, once they are all there.

    One number is drawn from torch's global generator, however many layers are made: torch's own
    first weights, which these replace, leave it alone. See :func:`initialise`.
    """
    seed = draw_seed()
    with torch.random.fork_rng(devices=[]):
        yield
    initialise(model, seed)


def _skips_pixels(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.stride != (1, 1)
    )


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """He initialisation in place: shared layers first, projections last.

    Convolutions ~ N(0, 2/fan_out), linear layers ~ N(0, 1/fan_in), biases 0, BN at (1, 0). The
    random numbers are drawn on the CPU, for the main path before the projection shortcuts, so
    that for one seed nets that differ by their shortcuts or their device alone start from the
    same weights.

    Args:
        model: any module.
        seed: see :func:`draw_seed`.

    Source: He et al. 2015, arXiv 1502.01852, equation 14 (the backward form).
    """
    generator = torch.Generator().manual_seed(seed)
    shortcuts = {
        inner
        for module in model.modules()
        for name, child in module.named_children()
        if name == "shortcut"
        for inner in child.modules()
    } | {module for module in model.modules() if _skips_pixels(module)}
    for module in sorted(model.modules(), key=lambda module: module in shortcuts):
        if isinstance(module, nn.Conv2d | nn.Linear):
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                std = (2 / fan_out) ** 0.5
            else:
                std = module.in_features**-0.5
            drawn = torch.empty(module.weight.shape, device="cpu")
            module.weight.copy_(drawn.normal_(std=std, generator=generator))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.fill_(1)
            module.bias.zero_()
