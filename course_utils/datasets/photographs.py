"""Photographs: those that come with packages, and any file, as a model takes them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageOps
from torch import Tensor

from course_utils.arguments import one_of, whole_number
from course_utils.i18n import _

__all__ = ["PHOTOGRAPHS", "photograph", "read_photograph"]

PHOTOGRAPHS = {
    "china": "scikit-learn's china.jpg, by Flickr user ryan, CC BY 2.0",
    "flower": "scikit-learn's flower.jpg, by Flickr user dany13, CC BY 2.0",
    "grace_hopper": "matplotlib's grace_hopper.jpg, by the United States Navy, public domain",
}
"""The photographs that packages bring, and whose they are."""


def photograph(name: str, side: int | None = None) -> Tensor:
    """A photograph that comes with a package; nothing is fetched.

    Args:
        name: one of ``PHOTOGRAPHS``: ``"china"``, a pagoda between trees; ``"flower"``, a dahlia;
            ``"grace_hopper"``, the computer scientist in uniform.
        side: see :func:`read_photograph`.

    Returns:
        ``(3, H, W)`` uint8.

    Raises:
        ValueError: no such photograph.

    >>> photograph("china").shape, photograph("china", side=64).shape
    (torch.Size([3, 427, 640]), torch.Size([3, 64, 96]))
    """
    file = f"{one_of('name', name, tuple(PHOTOGRAPHS))}.jpg"
    if name == "grace_hopper":
        return read_photograph(get_sample_data(file, asfileobj=False), side)
    return read_photograph(str(files("sklearn.datasets.images") / file), side)


def read_photograph(path: str | Path | BinaryIO, side: int | None = None) -> Tensor:
    """The pixels of an image file, upright, in RGB, whatever it holds.

    Rotation by the camera (EXIF) is undone; grey and CMYK become RGB; what is transparent becomes
    white; 16 bits become 8.

    Args:
        path: a file of any format that Pillow reads, by its path or opened.
        side: if given, the image is brought to this many pixels along its shorter side.

    Returns:
        ``(3, H, W)`` uint8.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image, damaged, too large, or its values are real numbers.
        TypeError, ValueError: ``side`` is not a whole number of at least 1.
    """
    if side is not None:
        whole_number("side", side, at_least=1)
    if isinstance(path, str | Path) and not Path(path).is_file():
        raise FileNotFoundError(_("There is no file {path}.").format(path=path))
    try:
        with Image.open(path) as image:
            if side is not None:
                image.draft(None, _larger_than(image, 2 * side))  # a JPEG is decoded smaller
            upright = _in_rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            _("{path} cannot be read as an image: {error}").format(
                path=path if isinstance(path, str | Path) else _("This file"), error=error
            )
        ) from error
    if side is not None:
        size = _larger_than(upright, side)
        upright = upright.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return torch.from_numpy(np.array(upright)).movedim(-1, 0)


def _larger_than(image: Image.Image, side: int) -> tuple[int, int]:
    """Width and height of the image once its shorter side has ``side`` pixels."""
    shorter = min(image.size)
    width, height = (max(1, round(side * length / shorter)) for length in image.size)
    return width, height


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError(_("its pixels are real numbers, and nothing says which one is white."))
    if image.mode.startswith("I"):  # Pillow would cut all above 255
        values = np.asarray(image).astype(np.int64)
        of_16_bits = image.mode != "I" or values.max() > 255
        grey = np.clip(values // 257 if of_16_bits else values, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
