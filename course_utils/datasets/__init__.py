"""Data sets in one shape: digits, scenes made of them, CIFAR-10 and Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_utils.datasets.containers import Dataset, Split, statistics
from course_utils.datasets.digits import handwritten_digits
from course_utils.datasets.options import known_options
from course_utils.i18n import _

__all__ = ["NAMES", "Dataset", "Split", "load", "statistics"]

_LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": handwritten_digits,
}
NAMES = tuple(_LOADERS)


def load(name: str, **options: Any) -> Dataset:
    """The data set called ``name``, as tensors in memory.

    Nothing touches the network unless ``download=True`` is among the options.

    Args:
        name: ``"digits"``.
        options: those of the loader; an unknown one is refused with the list of the valid ones.

    Returns:
        A ``Dataset`` with ``train`` and ``test`` splits.

    Raises:
        ValueError: no data set of that name, or an option out of its range.
        TypeError: an option that the data set does not have, or of the wrong type.

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
