"""Data sets in one shape: digits, scenes made of them, CIFAR-10, Fashion-MNIST, one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_utils.arguments import known_options
from course_utils.datasets.containers import Dataset, Split, statistics
from course_utils.datasets.digits import handwritten_digits
from course_utils.datasets.downloads import cifar10, fashion_mnist
from course_utils.datasets.folders import image_folder
from course_utils.datasets.photographs import PHOTOGRAPHS, photograph, read_photograph
from course_utils.datasets.scenes import digit_scenes
from course_utils.i18n import _

__all__ = [
    "NAMES",
    "PHOTOGRAPHS",
    "Dataset",
    "Split",
    "cifar10",
    "digit_scenes",
    "fashion_mnist",
    "handwritten_digits",
    "image_folder",
    "load",
    "photograph",
    "read_photograph",
    "statistics",
]

_LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": handwritten_digits,
    "digit_scenes": digit_scenes,
    "cifar10": cifar10,
    "fashion_mnist": fashion_mnist,
    "folder": image_folder,
}
NAMES = tuple(_LOADERS)


def load(name: str, **options: Any) -> Dataset:
    """The data set called ``name``, as tensors in memory.

    Nothing touches the network unless ``download=True`` is among the options.

    Args:
        name: ``"digits"`` (options in ``handwritten_digits``), ``"digit_scenes"``
            (``digit_scenes``), ``"cifar10"`` (``cifar10``), ``"fashion_mnist"``
            (``fashion_mnist``), or ``"folder"`` for images of your own (``image_folder``).
        options: those of the function named; an unknown one is refused with the valid ones.

    Returns:
        A ``Dataset`` with ``train`` and ``test`` splits.

    Raises:
        ValueError: no data set of that name, or an option out of its range.
        TypeError: an option that the data set does not have, or of the wrong type.
        FileNotFoundError: the data set is not on this machine and was not asked to be fetched.
        ConnectionError: it was asked to be, and could not.

    Example:
        >>> data = load("digits", size=16)
        >>> data.image_shape, len(data.train), len(data.test)
        ((1, 16, 16), 1437, 360)
    """
    if name not in NAMES:
        raise ValueError(
            _("There is no data set {name!r}: choose one of {names}.").format(
                name=name, names=", ".join(NAMES)
            )
        )
    loader = _LOADERS[name]
    known_options(name, loader, options)
    return loader(**options)
