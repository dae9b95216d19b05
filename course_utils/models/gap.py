"""A small net that keeps resolution up to its global pooling: the one lesson 2 looks into."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from course_utils.arguments import one_of, whole_number
from course_utils.models.blocks import ConvBNReLU, he_initialised

__all__ = ["GapNet", "Pool", "gap_net"]

Pool = Literal["average", "max"]

# Layers at a quarter of the image's size: with four, an output sees 39 pixels, more than a digit.
DEEP_LAYERS = 4


class GapNet(nn.Module):
    """Two convolutions that halve the size, four that keep it, global pooling, one linear layer.

    See :func:`gap_net`. ``features`` gives the last feature maps, ``pool`` one number per map, and
    ``linear`` the logits: the three names that a class activation map is made from.
    """

    def __init__(
        self, pool: Pool = "average", width: int = 48, in_channels: int = 3, num_classes: int = 10
    ) -> None:
        super().__init__()
        one_of("pool", pool, get_args(Pool))
        width = whole_number("width", width, at_least=3)
        in_channels = whole_number("in_channels", in_channels, at_least=1)
        num_classes = whole_number("num_classes", num_classes, at_least=1)
        with he_initialised(self):
            self.features = nn.Sequential(
                ConvBNReLU(in_channels, width // 3, stride=2),
                ConvBNReLU(width // 3, 2 * width // 3, stride=2),
                ConvBNReLU(2 * width // 3, width),
                *(ConvBNReLU(width, width) for _layer in range(DEEP_LAYERS - 1)),
            )
            self.pool = nn.AdaptiveAvgPool2d(1) if pool == "average" else nn.AdaptiveMaxPool2d(1)
            self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``; any H, W ≥ 1."""
        x = self.features(x)  # (B, width, ceil(H/4), ceil(W/4))
        x = self.pool(x).flatten(1)  # (B, width)
        return self.linear(x)  # (B, num_classes)


def gap_net(
    pool: Pool = "average", width: int = 48, in_channels: int = 3, num_classes: int = 10
) -> GapNet:
    """A classifier of six convolutions whose last maps have a quarter of the image's side.

    Images of 64×64 pixels keep maps of 16×16 up to the pooling, where a ResNet-18 made for
    ImageNet would be left with 2×2. With one seed, the nets of the two poolings have the same
    initial weights.

    Args:
        pool: ``"average"`` for global average pooling (GAP), ``"max"`` for the maximum (GMP).
        width: number of the last feature maps; the first two layers have a third and two thirds.
        in_channels: 3 for colour, 1 for grey.
        num_classes: length of the answer.

    Returns:
        A module from images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``.

    Raises:
        ValueError: an unknown pooling, a width below 3, another number below 1.
        TypeError: a number that is not whole.

    Source: the head is that of Lin et al. 2013, arXiv 1312.4400, section 3.2, with the linear
    layer of Zhou et al. 2016, arXiv 1512.04150, section 2.

    >>> import torch
    >>> net = gap_net()
    >>> images = torch.rand(2, 3, 64, 64)
    >>> net.features(images).shape, net(images).shape
    (torch.Size([2, 48, 16, 16]), torch.Size([2, 10]))
    """
    return GapNet(pool, width, in_channels, num_classes)
