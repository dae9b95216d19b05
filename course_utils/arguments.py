"""Checks of what a reader passes, each failing with one sentence."""

from __future__ import annotations

import inspect
import numbers
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from course_utils.i18n import _

__all__ = [
    "checked_images",
    "checked_module",
    "checked_shape",
    "checked_size",
    "described",
    "flag",
    "known_options",
    "one_of",
    "whole_number",
]


def described(value: object) -> str:
    """Type and shape of a tensor, for a sentence; of anything else, its type.

    >>> import torch
    >>> described(torch.zeros(2, 3)), described([1])
    ('float32 (2, 3)', 'list')
    """
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def known_options(name: str, loader: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse an option that the loader of data set ``name`` does not have.

    Raises:
        TypeError: an option is unknown; the sentence lists the valid ones.
    """
    valid = list(inspect.signature(loader).parameters)
    for option in options:
        if option not in valid:
            raise TypeError(
                _(
                    "The data set “{name}” has no option {option!r}: its options are {options}. "
                    "Correct the name, or leave it out."
                ).format(name=name, option=option, options=", ".join(valid))
            )


def whole_number(option: str, value: object, *, at_least: int) -> int:
    """``value`` as an ``int`` of at least ``at_least``; NumPy integers pass, ``bool`` does not.

    Raises:
        TypeError: not a whole number.
        ValueError: too small.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            _("{option} must be a whole number of at least {least}, and is {value!r}.").format(
                option=option, least=at_least, value=value
            )
        ) from None
    if number < at_least:
        raise ValueError(
            _("{option} must be at least {least}, and is {value}: choose a larger one.").format(
                option=option, least=at_least, value=number
            )
        )
    return number


def flag(option: str, value: object) -> bool:
    """``value`` if it is ``True`` or ``False``.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, bool):
        raise TypeError(
            _("{option} must be True or False, and is {value!r}.").format(
                option=option, value=value
            )
        )
    return value


def one_of(option: str, value: object, choices: tuple[str, ...]) -> str:
    """``value`` if it is one of ``choices``.

    Raises:
        ValueError: it is not; the sentence lists the choices.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            _("{option} must be one of {choices}, and is {value!r}.").format(
                option=option, choices=", ".join(map(repr, choices)), value=value
            )
        )
    return value


def checked_images(images: object) -> Tensor:
    """``images`` if it is a batch of them, ``(B, C, H, W)``.

    Raises:
        TypeError: not a tensor.
        ValueError: a tensor of another number of dimensions.
    """
    if not isinstance(images, Tensor):
        raise TypeError(
            _(
                "The images are of type {type}, and should be a torch.Tensor of shape (B, C, H, W)."
            ).format(type=type(images).__name__)
        )
    if images.dim() != 4:
        raise ValueError(
            _(
                "The images have shape {shape} instead of (B, C, H, W): write image[None] for a "
                "single image."
            ).format(shape=tuple(images.shape))
        )
    return images


def checked_module(model: object) -> nn.Module:
    """``model`` if it is a module.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            _("The model is of type {type}, and should be a torch.nn.Module.").format(
                type=type(model).__name__
            )
        )
    return model


def checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """The shape of an image, ``(channels, height, width)``.

    Raises:
        ValueError: it is not three whole numbers from 1 on.
    """
    sides = tuple(shape) if isinstance(shape, Sequence) else ()
    if len(sides) != 3 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(
            _("The shape of an image is (channels, height, width), not {shape!r}.").format(
                shape=shape
            )
        )
    return sides


def checked_size(size: int | Sequence[int]) -> tuple[int, int]:
    """``size``, one number or two, as (height, width).

    Raises:
        TypeError: not made of integers.
        ValueError: not one or two positive ones.
    """
    pair = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if any(isinstance(side, bool) or not isinstance(side, numbers.Integral) for side in pair):
        raise TypeError(
            _("A size is an integer or a pair (height, width), in pixels, not {size}.").format(
                size=repr(size)
            )
        )
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(
            _("A size is a positive integer or a pair (height, width), not {size}.").format(
                size=size
            )
        )
    return int(pair[0]), int(pair[1])
