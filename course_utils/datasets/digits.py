"""scikit-learn's 1,797 handwritten digits, enlarged to any size, with a fixed split."""

from __future__ import annotations

from functools import lru_cache

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional

from course_utils.arguments import whole_number
from course_utils.datasets.containers import Dataset, Split, statistics

__all__ = ["CLASSES", "NATIVE_SIZE", "handwritten_digits", "native_digits", "parted_digits"]

CLASSES = tuple("0123456789")
NATIVE_SIZE = 8
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.2  # of the training digits, where a choice is to be made
SPLIT_SEED = 0  # the split is part of the data set: it never follows a reader's seed
SOURCE = "scikit-learn's digits: test part of UCI Optical Recognition of Handwritten Digits"


def handwritten_digits(size: int = NATIVE_SIZE) -> Dataset:
    """The 1,797 digits, 1,437 to learn from and 360 to be tested on.

    The same people wrote digits of both splits: the test error says how well a model does on
    more digits by these people, not on digits by others.

    Args:
        size: side of the images in pixels, at least 8 (their native size); enlarged by bilinear
            interpolation.

    Returns:
        Images ``(N, 1, size, size)`` float32 in [0, 1]; ink is 1. Both splits carry the mean and
        standard deviation of the training images, ``(1, 1, 1)``.

    Raises:
        TypeError, ValueError: ``size`` is not a whole number of at least 8.

    Source: Alpaydin and Kaynak (1998), as bundled in scikit-learn (``load_digits``).

    Example:
        >>> data = handwritten_digits(size=12)
        >>> tuple(data.train.images.shape), len(data.test)
        ((1437, 1, 12, 12), 360)
    """
    size = whole_number("size", size, at_least=NATIVE_SIZE)
    (train_images, train_labels), (test_images, test_labels) = native_digits()
    train_images, test_images = _enlarged(train_images, size), _enlarged(test_images, size)
    mean, std = statistics(train_images)
    return Dataset(
        train=Split(train_images, train_labels.clone(), mean, std),
        test=Split(test_images, test_labels.clone(), mean, std),
        classes=CLASSES,
        source=f"{SOURCE}, {size}x{size}",
        name="digits",
    )


Digits = tuple[Tensor, Tensor]
"""Images ``(N, 1, 8, 8)`` float32 in [0, 1] and labels ``(N,)`` int64."""


@lru_cache(maxsize=1)
def native_digits() -> tuple[Digits, Digits]:
    """The training and the test digits at 8 by 8 pixels; shared, so never written to."""
    bundled = load_digits()
    images = torch.from_numpy(bundled.images / 16).float()[:, None]  # counts 0..16 to [0, 1]
    return _parted(images, torch.from_numpy(bundled.target).long(), TEST_SHARE)


@lru_cache(maxsize=1)
def parted_digits() -> tuple[Digits, Digits]:
    """The training digits in two, 1,149 to learn from and 288 to choose by; shared as well."""
    return _parted(*native_digits()[0], VALIDATION_SHARE)


def _parted(images: Tensor, labels: Tensor, share: float) -> tuple[Digits, Digits]:
    """Images and labels without, and of, a share of each class: the same ones every time."""
    kept, out = train_test_split(
        range(len(labels)), test_size=share, stratify=labels.numpy(), random_state=SPLIT_SEED
    )
    return (images[kept], labels[kept]), (images[out], labels[out])


def _enlarged(images: Tensor, size: int) -> Tensor:
    """``(N, 1, 8, 8)`` to ``(N, 1, size, size)``, always in memory of its own."""
    if size == NATIVE_SIZE:
        return images.clone()
    enlarged = functional.interpolate(images, size=(size, size), mode="bilinear")
    return enlarged.clamp_(0, 1)  # rounding may leave the interval by one unit in the last place
