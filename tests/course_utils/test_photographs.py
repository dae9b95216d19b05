"""Photographs come upright and in RGB, whatever the file holds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.datasets import PHOTOGRAPHS, photograph, read_photograph

RED, WHITE = (200, 30, 40), (255, 255, 255)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def colour_of(path: Path) -> list[int]:
    """The colour in the middle."""
    pixels = read_photograph(path)
    return pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2].tolist()


def test_the_photographs_of_the_packages_are_all_there() -> None:
    for name, (height, width) in {
        "china": (427, 640),
        "flower": (427, 640),
        "grace_hopper": (600, 512),
    }.items():
        pixels = photograph(name)
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (3, height, width)
        assert name in PHOTOGRAPHS[name]
    with pytest.raises(ValueError, match=r"'china', 'flower', 'grace_hopper'.*'pagoda'"):
        photograph("pagoda")


def test_the_shorter_side_gets_the_length_asked_for() -> None:
    assert photograph("china", side=224).shape == (3, 224, 336)
    assert photograph("grace_hopper", side=256).shape == (3, 300, 256)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", RED, RED),
        ("L", 70, (70, 70, 70)),
        ("1", 1, WHITE),
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (*RED, 0), WHITE),
        ("LA", (0, 0), WHITE),
        ("I;16", 70 * 257, (70, 70, 70)),
        ("I", 65535, WHITE),
    ],
    ids=str,
)
def test_every_kind_of_pixel_becomes_rgb_of_eight_bits(
    tmp_path: Path, mode: str, colour: object, expected: tuple[int, ...]
) -> None:
    path = saved(tmp_path, Image.new(mode, (6, 4), colour), "a.tiff")
    assert read_photograph(path).shape == (3, 4, 6)
    assert colour_of(path) == list(expected)


def test_a_palette_with_a_transparent_colour_becomes_white_there(tmp_path: Path) -> None:
    image = Image.new("P", (6, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    assert colour_of(saved(tmp_path, image)) == list(RED)
    assert colour_of(saved(tmp_path, image, transparency=1)) == list(WHITE)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg", quality=95)
    assert np.allclose(colour_of(path), (255, 0, 0), atol=8)  # no cyan: red


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 4), "black")
    image.paste("white", (0, 0, 4, 4))  # the left half
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera lay on its side: rotate by 90 degrees, clockwise
    pixels = read_photograph(saved(tmp_path, image, exif=turned))
    assert pixels.shape == (3, 8, 4)
    assert (pixels[:, :4] == 255).all() and (pixels[:, 4:] == 0).all()  # left became above


def test_a_large_photograph_is_brought_to_size_as_it_is_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (1600, 800), RED), "large.jpg", quality=95)
    pixels = read_photograph(path, side=100)
    assert pixels.shape == (3, 100, 200)
    assert np.allclose(pixels.float().mean((1, 2)), RED, atol=3)


def test_an_open_file_is_read_too(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (6, 4), RED))
    assert torch.equal(read_photograph(BytesIO(path.read_bytes())), read_photograph(path))
    with pytest.raises(ValueError, match="This file cannot be read as an image"):
        read_photograph(BytesIO(b"no image"))


def test_what_is_no_image_is_answered_by_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.jpg"):
        read_photograph(tmp_path / "nowhere.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.jpg cannot be read as an image"):
        read_photograph(text)
    whole = saved(tmp_path, Image.fromarray(np.uint8(np.random.rand(64, 64, 3) * 255)), "b.jpg")
    whole.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"b\.jpg cannot be read as an image"):
        read_photograph(whole)
    real = saved(tmp_path, Image.new("F", (4, 4), 0.5), "real.tiff")
    with pytest.raises(ValueError, match="real numbers"):
        read_photograph(real)
