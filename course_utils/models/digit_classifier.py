"""The small classifier of handwritten digits that lesson 1 turns into a detector."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["WINDOW", "digit_classifier"]

WINDOW = 20  # side of the images it takes: a digit of 16 pixels with a margin of 2


def digit_classifier(num_classes: int = 10, *, padding: bool = False) -> nn.Sequential:
    """Two convolutions, one max pooling, two dense layers, for images of 20×20 pixels.

    No pixel is added at the borders unless ``padding`` asks for it: each number that the dense
    layers see depends on what is inside the image alone. All strides together make 2 pixels.

    Args:
        num_classes: length of the answer.
        padding: keep the size of the maps in both convolutions.

    Returns:
        A module from ``(B, 1, 20, 20)`` to logits ``(B, num_classes)``, ``features`` (32 maps of
        6×6, or of 10×10 with padding) then ``head``.

    Source: the arrangement is that of LeCun et al. 1998, *Gradient-based learning applied to
    document recognition*, with ReLU and fewer layers.

    >>> import torch
    >>> digit_classifier()(torch.rand(3, 1, 20, 20)).shape
    torch.Size([3, 10])
    """
    side = WINDOW // 2 if padding else 6  # (20 − 4) / 2 − 2 without padding
    features = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2 * padding),  # (B, 16, 16, 16)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 16, 8, 8)
        nn.Conv2d(16, 32, 3, padding=1 * padding),  # (B, 32, 6, 6)
        nn.ReLU(),
    )
    head = nn.Sequential(
        nn.Flatten(),
        nn.Linear(32 * side * side, 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )
    return nn.Sequential(OrderedDict(features=features, head=head))
