"""Network in network: blocks of a convolution and two 1×1, and a head without a dense layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from course_utils.i18n import _
from course_utils.models.blocks import he_initialised

__all__ = ["mlpconv", "nin"]


def mlpconv(
    in_channels: int,
    widths: Sequence[int],
    kernel_size: int,
    *,
    last_relu: bool = True,
    batch_norm: bool = False,
) -> nn.Sequential:
    """A convolution followed by 1×1 convolutions: a small dense network at every pixel.

    Args:
        in_channels: number of maps that come in.
        widths: number of maps after the convolution, then after each 1×1 convolution.
        kernel_size: side of the first convolution's kernel in pixels, odd; the size of the maps
            is kept.
        last_relu: whether a ReLU follows the last 1×1 convolution too. Maps that are to be
            averaged into scores of classes need none, since a score may be negative.
        batch_norm: normalise before every ReLU (the paper, of 2013, does not).

    Raises:
        ValueError: no width.

    Source: Lin, Chen and Yan 2013, arXiv 1312.4400, section 3.1.

    >>> import torch
    >>> mlpconv(3, (16, 16, 10), 5)(torch.rand(2, 3, 8, 8)).shape
    torch.Size([2, 10, 8, 8])
    """
    if not widths:
        raise ValueError(_("A block needs at least one number of maps, as in widths=(32, 32, 32)."))
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(zip((in_channels, *widths), widths, strict=False)):
        side = kernel_size if number == 0 else 1
        layers.append(nn.Conv2d(before, after, side, padding=side // 2))
        if last_relu or number + 1 < len(widths):
            layers += [nn.BatchNorm2d(after)] * batch_norm + [nn.ReLU()]
    return nn.Sequential(*layers)


def nin(
    in_channels: int = 1,
    width: int = 32,
    num_classes: int = 10,
    *,
    last_relu: bool = False,
    batch_norm: bool = False,
) -> nn.Sequential:
    """A small network in network: three blocks, a map per class at the end, its mean as logit.

    Args:
        in_channels: 1 for grey, 3 for colour.
        width: number of maps of every layer but the last.
        num_classes: length of the answer.
        last_relu: put a ReLU before the average, as some implementations do.
        batch_norm: normalise before every ReLU.

    Returns:
        A module from ``(B, in_channels, H, W)``, any H and W from 4 on, to ``(B, num_classes)``,
        with He's initial weights. The nets of the paper are wider and have dropout.

    Source: Lin, Chen and Yan 2013, arXiv 1312.4400, figure 2.

    >>> import torch
    >>> nin()(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    same = (width, width, width)
    net = nn.Sequential()
    with he_initialised(net):
        net.append(mlpconv(in_channels, same, 5, batch_norm=batch_norm))
        net.append(nn.MaxPool2d(2))
        net.append(mlpconv(width, same, 3, batch_norm=batch_norm))
        net.append(nn.MaxPool2d(2))
        last = (width, width, num_classes)
        net.append(mlpconv(width, last, 3, last_relu=last_relu, batch_norm=batch_norm))
        net.append(nn.AdaptiveAvgPool2d(1))
        net.append(nn.Flatten())
    return net
