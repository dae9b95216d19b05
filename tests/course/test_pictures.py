"""The files of images/ are what the modules draw today, and the gallery shows them all."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from course import pictures
from course_utils import diagrams, i18n

IMAGES = Path(__file__).parents[2] / "images"
SVG = "{http://www.w3.org/2000/svg}"


def numbers_apart(content: str) -> tuple[str, np.ndarray]:
    number = r"-?\d+\.\d+"
    found = np.array([float(one) for one in re.findall(number, content)])
    return re.sub(number, "#", content), found


@pytest.mark.slow
def test_the_files_are_what_the_modules_draw_today() -> None:
    drawn = dict(pictures.picture_files())
    assert {path.name for path in IMAGES.iterdir() if path.is_file()} == drawn.keys()
    for name, content in drawn.items():
        stored = (IMAGES / name).read_bytes()
        if name.endswith(".png"):
            # Compressed by the machine's own zlib, and the last bit of an edge by its processor.
            old, new = (
                np.asarray(Image.open(io.BytesIO(one)).convert("RGBA"), int)
                for one in (stored, content)
            )
            assert old.shape == new.shape, name
            assert (abs(old - new) > 24).mean() < 1e-3, name
        elif name.endswith(".svg"):
            # All but the last digits of coordinates, which a processor rounds in its own way.
            (old, was), (new, now) = (numbers_apart(one.decode()) for one in (stored, content))
            assert old == new, name
            np.testing.assert_allclose(was, now, atol=0.01, err_msg=name)
        else:
            assert stored == content, name


@pytest.mark.parametrize("name", diagrams.PICTURES)
def test_every_svg_says_in_both_languages_what_there_is_to_see(name: str) -> None:
    root = ElementTree.fromstring((IMAGES / f"{name}.svg").read_bytes())
    assert root.get("role") == "img"
    for tag, least in (("title", 10), ("desc", 120)):
        said = {one.get("lang"): one.text or "" for one in root.findall(SVG + tag)}
        assert set(said) == {"fr", "en"}
        assert min(map(len, said.values())) >= least
    assert said["fr"] != said["en"]
    assert "{" not in said["fr"] + said["en"]


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.*g")), ids=lambda path: path.name)
def test_no_picture_is_above_150_kilobytes(path: Path) -> None:
    assert path.stat().st_size <= 150_000


@pytest.mark.parametrize("name", diagrams.PICTURES)
def test_the_png_has_twice_the_size_and_transparent_corners(name: str) -> None:
    root = ElementTree.fromstring((IMAGES / f"{name}.svg").read_bytes())
    png = Image.open(IMAGES / f"{name}.png").convert("RGBA")
    assert png.size == (2 * int(root.get("width", 0)), 2 * int(root.get("height", 0)))
    assert png.getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert png.getpixel((png.width // 2, 6)) == (255, 255, 255, 255)


@pytest.mark.slow
def test_the_gallery_shows_every_picture_with_both_titles() -> None:
    gallery = (IMAGES / "README.md").read_text(encoding="utf-8")
    for name in diagrams.PICTURES:
        assert f"]({name}.svg)" in gallery
        assert diagrams.picture(name).title in gallery
        i18n.set_language("fr")
        assert diagrams.picture(name).title in gallery
        i18n.set_language("en")


def test_every_picture_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pictures, "picture_files", lambda: iter([("a.svg", b"<svg/>")]))
    monkeypatch.setattr(pictures, "FIGURES", {})
    assert pictures.draw_pictures(tmp_path) == [tmp_path / "images" / "a.svg"]
    assert (tmp_path / "images" / "a.svg").read_bytes() == b"<svg/>"
