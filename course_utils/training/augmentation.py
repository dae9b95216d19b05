"""Random changes of a batch that leave its labels true: shifts and mirrors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Augmentation", "augmented", "random_crop", "random_flip"]

Augmentation = Literal["none", "crop", "crop_flip"]


def augmented(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Images ``(B, C, H, W)``, shifted and mirrored as ``augmentation`` says.

    >>> batch = torch.rand(2, 1, 8, 8)
    >>> augmented(batch, "none", torch.Generator()) is batch
    True
    """
    if augmentation != "none":
        images = random_crop(images, generator)
    if augmentation == "crop_flip":
        images = random_flip(images, generator)
    return images


def random_crop(images: Tensor, generator: torch.Generator, padding: int | None = None) -> Tensor:
    """Pad each image with zeros and cut out its size again at a random place.

    Args:
        images: ``(B, C, H, W)``.
        generator: on the CPU, so that the crops are the same on every device.
        padding: pixels added on each side; by default an eighth of the height (4 of 32, as in
            the ResNet paper).

    Returns:
        ``(B, C, H, W)``, one shift of at most ``padding`` pixels an image.

    >>> random_crop(torch.rand(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    batch, _channels, height, width = images.shape
    reach = height // 8 if padding is None else padding
    shifts = torch.randint(2 * reach + 1, (2, batch, 1), generator=generator).to(images.device)
    rows = shifts[0] + torch.arange(height, device=images.device)  # (B, H)
    columns = shifts[1] + torch.arange(width, device=images.device)  # (B, W)
    padded = F.pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
    which = torch.arange(batch, device=images.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images left to right, at random; ``(B, C, H, W)`` in and out.

    >>> random_flip(torch.rand(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)
