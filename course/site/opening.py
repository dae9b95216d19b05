"""The opening picture and the previews: a digit that wanders, and the map that follows it."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from course.site.explorables import stored_data, stored_network
from course_utils.datasets import load
from course_utils.i18n import LANGUAGES, _, speaking
from course_utils.whole import write_whole

__all__ = ["write_opening"]

_SIDE = 64
_DIGIT = 3
_FRAMES = 40
_SECONDS = 4.5  # less than five: what moves for longer would need a way to stop it
_BACKGROUND = torch.tensor([38, 34, 62]) / 255
_INK = torch.tensor([250, 214, 120]) / 255
_SCRAP = torch.tensor([150, 168, 190]) / 255
_FOR, _AGAINST = torch.tensor([214, 40, 50]) / 255, torch.tensor([50, 110, 220]) / 255

_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 132 64" width="1056" height="512">
<style>
.film {{ image-rendering: pixelated; animation: film {seconds}s steps({steps}) 1; }}
@keyframes film {{ to {{ transform: translateY(-{travel}px) }} }}
@media (prefers-reduced-motion: reduce) {{ .film {{ animation: none }} }}
</style>
<image class="film" width="132" height="{height}" href="data:image/png;base64,{film}"/>
</svg>
"""


def write_opening(folder: Path) -> list[Path]:
    """Write ``opening.svg``, which moves once and then rests, and ``social.<language>.png``.

    Args:
        folder: where to write them.

    Raises:
        OSError: a file cannot be written.
    """
    frames = [_frame(scene) for scene in _scenes()]
    film = Image.new("RGB", (frames[0].width, _SIDE * len(frames)))
    for number, frame in enumerate(frames):
        film.paste(frame, (0, _SIDE * number))
    packed = BytesIO()
    film.quantize(64, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    written = [folder / "opening.svg"]
    svg = _SVG.format(
        seconds=_SECONDS,
        steps=_FRAMES,
        travel=_SIDE * _FRAMES,
        height=film.height,
        film=base64.b64encode(packed.getvalue()).decode(),
    )
    write_whole(written[0], svg.encode())
    for language in LANGUAGES:
        with speaking(language):
            written.append(folder / f"social.{language}.png")
            write_whole(written[-1], _preview(frames[0]))
    return written


def _scenes() -> Iterator[Tensor]:
    """Scenes ``(3, 64, 64)`` in [0, 1], one a frame, the first and the last the same."""
    digits = load("digits", size=27).test
    digit = _ink(digits.images[int((digits.labels == _DIGIT).nonzero()[0])][0])
    ground = _BACKGROUND[:, None, None].expand(3, _SIDE, _SIDE)
    generator = torch.Generator().manual_seed(0)
    for which in torch.randint(len(digits), (6,), generator=generator).tolist():
        row, column = torch.randint(4, 14, (2,), generator=generator).tolist()
        scrap = _ink(digits.images[which, 0])[row : row + 10, column : column + 10]
        top, left = torch.randint(_SIDE - 9, (2,), generator=generator).tolist()
        ground = _covered(ground, scrap, top, left, _SCRAP)
    for frame in range(_FRAMES + 1):
        turn = 2 * math.pi * frame / _FRAMES
        top, left = 18 + round(17 * math.sin(2 * turn)), 18 + round(-17 * math.cos(turn))
        yield _covered(ground, digit, top, left, _INK)


def _ink(image: Tensor) -> Tensor:
    """What ink covers of the paper, as in the scenes of lesson 2."""
    return ((image - 0.35) / 0.35).clamp(0, 1)


def _covered(ground: Tensor, ink: Tensor, top: int, left: int, colour: Tensor) -> Tensor:
    bottom, right = _SIDE - top - ink.shape[0], _SIDE - left - ink.shape[1]
    cover = F.pad(ink, (left, right, top, bottom))
    return ground * (1 - cover) + colour[:, None, None] * cover


@torch.no_grad()
def _frame(scene: Tensor) -> Image.Image:
    """A scene, and the scene in grey under the map of the digit's class."""
    data = stored_data("class_maps")
    mean, std = (torch.tensor(data[name])[:, None, None] for name in ("mean", "std"))
    maps = stored_network("class_maps")(((scene - mean) / std)[None])[0]  # (10, 16, 16)
    most = maps.abs().max()
    value = maps[_DIGIT] / most
    value = value.repeat_interleave(4, 0).repeat_interleave(4, 1)  # (64, 64)
    colour = torch.where(value > 0, _FOR[:, None, None], _AGAINST[:, None, None])
    weight = (1.1 * value.abs()).clamp(max=0.9)
    over = colour * weight + scene.mean(0) * (1 - weight)
    gap = torch.ones(3, _SIDE, 4) * torch.tensor([19, 20, 22])[:, None, None] / 255
    both = torch.cat([scene, gap, over], 2)
    return Image.fromarray((255 * both).round().byte().permute(1, 2, 0).numpy())


def _preview(frame: Image.Image) -> bytes:
    """The picture that other sites show beside a link: 1200 by 630, a frame above the title."""
    preview = Image.new("RGB", (1200, 630), (19, 20, 22))
    large = frame.resize((7 * frame.width, 7 * frame.height), Image.Resampling.NEAREST)
    preview.paste(large, ((1200 - large.width) // 2, 40))
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    ImageDraw.Draw(preview).text(
        (600, 558),
        _("Convolutional networks in PyTorch"),
        (255, 255, 255),
        ImageFont.truetype(font, 46),
        anchor="mm",
    )
    answer = BytesIO()
    preview.quantize(128, dither=Image.Dither.NONE).save(answer, "PNG", optimize=True)
    return answer.getvalue()
