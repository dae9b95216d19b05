"""Figures of images and of the maps laid over them, each colour with a value to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from course_utils.i18n import _, listed, number
from course_utils.models.receptive_field import Centres
from course_utils.plots.figure import DescribedFigure

__all__ = ["denormalised", "map_grid", "scene_grid"]

# Perceptual: equal steps of the value look equal. A signed map has a colour for each sign.
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
LEVELS = 256
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of R, G and B: ITU-R BT.709
PANEL = 2.1  # inches
PHOTOGRAPHIC = 128  # pixels of the shorter side, from which on an image is stored as a photograph
# White then black under it: a box is seen on any image. Dashes tell found from true.
TRUTH, FOUND = "#FFFFFF", "#E69F00"
# Rounding of a normalisation undone may leave [0, 1] by this much.
RANGE_SLACK = 1e-3


def denormalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images as they were before ``(pixels - mean) / std``.

    Args:
        images: ``(..., C, H, W)``, normalised.
        mean, std: broadcastable to ``(C, H, W)``, in the unit of pixels in [0, 1].

    Returns:
        Images of the same shape, float32 in [0, 1].

    Raises:
        ValueError: the result leaves [0, 1]: the images were normalised in another way, or never.

    >>> mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    >>> denormalised(torch.zeros(3, 2, 2), mean, std).unique()
    tensor([0.5000])
    """
    pixels = images.detach().cpu().float() * std.cpu() + mean.cpu()
    low, high = (float(extreme) for extreme in torch.aminmax(pixels))
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):  # written so that NaN fails too
        raise ValueError(
            _(
                "With this mean and standard deviation the pixels range from {low} to {high} "
                "instead of from 0 to 1: give the statistics that the images were normalised "
                "with."
            ).format(low=number(low, 3), high=number(high, 3))
        )
    return pixels.clamp(0, 1)


def _drawable(images: Tensor) -> NDArray[np.float32]:
    """Images ``(N, C, H, W)``, uint8 or float in [0, 1], as ``(N, H, W, 3)`` in [0, 1]."""
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            _("The images have shape {shape} instead of (N, 3, H, W) or (N, 1, H, W).").format(
                shape=tuple(images.shape)
            )
        )
    pixels = images.detach().cpu()
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    low, high = (float(extreme) for extreme in torch.aminmax(pixels.float()))
    if not (low >= 0 and high <= 1):
        raise ValueError(
            _(
                "The images range from {low} to {high} instead of from 0 to 1: undo their "
                "normalisation with denormalised(images, mean, std)."
            ).format(low=number(low, 3), high=number(high, 3))
        )
    colours: NDArray[np.float32] = pixels.float().movedim(1, -1).expand(-1, -1, -1, 3).numpy()
    return colours


def _colours(signed: bool, opacity: float) -> Colormap:
    """A colour map whose opacity grows linearly with the value's size, from 0 to ``opacity``."""
    rgba = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL](np.linspace(0, 1, LEVELS))
    size = np.abs(np.linspace(-1, 1, LEVELS)) if signed else np.linspace(0, 1, LEVELS)
    rgba[:, 3] = opacity * size
    return ListedColormap(rgba)


def _scale(values: NDArray[np.floating[Any]], signed: bool) -> Normalize:
    """From 0 to the largest value; around 0 and symmetric for signed maps."""
    largest = float(np.abs(values).max()) or 1.0
    return Normalize(-largest if signed else 0.0, largest)


def map_grid(
    maps: Tensor,
    images: Tensor | None = None,
    *,
    titles: Sequence[str] = (),
    truth: Tensor | None = None,
    found: Tensor | None = None,
    centres: Centres | None = None,
    shared: bool = False,
    columns: int = 4,
    opacity: float = 0.85,
    label: str = "",
    description: str = "",
) -> DescribedFigure:
    """Maps side by side, each with its colour bar, or all on one scale; over images if given.

    A map keeps the cells that it has: resize it first (``CAM.resized``) to see it smooth. Maps
    with a negative value are drawn in two colours around zero, the others from zero up. Over an
    image, opacity is in proportion to the value's size, up to ``opacity``: where the map is zero,
    the image is as it was, but for its colours: they are the map's, and the image is grey. What
    shows through changes the map's colours, and the colour bar's alike: its left side lies over
    black, its right side over white.

    Args:
        maps: ``(N, h, w)``, any finite values.
        images: ``(N, C, H, W)`` uint8 or float in [0, 1] (see :func:`denormalised`), one a map, or
            ``(1, C, H, W)`` for all.
        titles: one a map.
        truth: boxes ``(N, 4)`` or ``(N, D, 4)`` as x0, y0, x1, y1, inclusive pixels of the images.
        found: boxes ``(N, 4)``, drawn dashed; one that is -1 four times is left out.
        centres: on which pixels of the images the cells are centred (``CAM.centres``); by default,
            they are tiles that cover the image.
        shared: one scale and one colour bar for all the maps.
        columns: panels a row.
        opacity: of the largest value.
        label: what the values are, beside the colour bars.
        description: what there is to see; the extreme values of every map follow it.

    Raises:
        ValueError: maps or images of the wrong shape, number or range.
    """
    values = _finite(maps)
    names = _titles(titles, len(values))
    grey = None if images is None else _grey(images, len(values))
    figure, panels = _panels(len(values), columns, room_for_bars=not shared)
    for index, axes in enumerate(panels):
        everything = values if shared else values[index]
        signed = bool(everything.min() < 0)
        colours: str | Colormap = DIVERGING if signed else SEQUENTIAL
        extent = None
        if grey is not None:
            under = axes.imshow(grey[index], cmap="gray", vmin=0, vmax=1)
            colours, extent = _colours(signed, opacity), under.get_extent()
            if centres is not None:
                extent = _around(centres, values.shape[1:])
        norm = _scale(everything, signed)
        drawn = axes.imshow(
            values[index], cmap=colours, norm=norm, extent=extent, interpolation="nearest"
        )
        if grey is not None:
            axes.axis(under.get_extent())  # cells may be centred near the border, and end beyond
        if truth is not None:
            _draw_boxes(axes, truth[index], TRUTH, "-")
        if found is not None:
            _draw_boxes(axes, found[index], FOUND, (0, (3, 2)))
        axes.set_title(names[index], fontsize=10)
        if not shared:
            _bar(figure, drawn, axes, label, is_over_image=grey is not None)
    if shared:
        _bar(figure, drawn, panels, label, is_over_image=grey is not None)
    figure.description = _described(description, names, values)
    figure.photographic = images is not None and min(images.shape[2:]) >= PHOTOGRAPHIC
    return figure


def _finite(maps: Tensor) -> NDArray[np.float32]:
    """Maps ``(N, h, w)`` that can be drawn."""
    if maps.dim() != 3 or maps.numel() == 0:
        raise ValueError(
            _("The maps have shape {shape} instead of (N, h, w), with at least one map.").format(
                shape=tuple(maps.shape)
            )
        )
    values: NDArray[np.float32] = maps.detach().cpu().float().numpy()
    if not np.isfinite(values).all():
        raise ValueError(_("The maps hold NaN or infinite values, which have no colour."))
    return values


def _grey(images: Tensor, count: int) -> NDArray[np.float32]:
    """The grey of ``count`` images, or of one as often: ``(N, H, W)``."""
    if len(images) not in (1, count):
        raise ValueError(
            _(
                "There must be as many images as maps, or a single one: there are {images} and "
                "{maps}."
            ).format(images=len(images), maps=count)
        )
    grey = _drawable(images) @ np.array(LUMINANCE, np.float32)
    return np.broadcast_to(grey, (count, *grey.shape[1:]))


def scene_grid(
    images: Tensor,
    *,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
    titles: Sequence[str] = (),
    columns: int = 6,
    description: str,
) -> DescribedFigure:
    """Images side by side, with boxes around their objects and a row of masks under them.

    Args:
        images: ``(N, C, H, W)``, uint8 or float in [0, 1].
        boxes: ``(N, D, 4)`` or ``(N, 4)``, inclusive pixels.
        masks: bool ``(N, D, H, W)``; if given, the images stand in one row.
        titles: one an image.
        columns: images a row, where there are no masks.
        description: what there is to see.

    Raises:
        ValueError: images of the wrong shape or range.
    """
    pictures = _drawable(images)
    count = len(pictures)
    names = _titles(titles, count)
    rows = 1 if masks is None else 2
    figure, panels = _panels(rows * count, columns if masks is None else count)
    for index, axes in enumerate(panels[:count]):
        axes.imshow(pictures[index])
        axes.set_title(names[index], fontsize=10)
        if boxes is not None:
            _draw_boxes(axes, boxes[index], TRUTH, "-")
    if masks is not None:
        for index, axes in enumerate(panels[count:]):
            whole = masks[index].any(0).cpu().numpy()
            axes.imshow(whole, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    figure.photographic = min(images.shape[2:]) >= PHOTOGRAPHIC
    figure.description = " ".join([description, *(f"{name}." for name in names if name)])
    return figure


def _around(centres: Centres, cells: Sequence[int]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of cells that are centred there, in pixels."""
    (top, down), (left, across) = ((offset - jump / 2, jump) for offset, jump in centres)
    return left, left + across * cells[1], top + down * cells[0], top


def _titles(titles: Sequence[str], count: int) -> list[str]:
    """As many titles as panels, empty ones if none were given."""
    if titles and len(titles) != count:
        raise ValueError(
            _(
                "There must be as many titles as panels, or none: there are {titles} and {panels}."
            ).format(titles=len(titles), panels=count)
        )
    return list(titles) or [""] * count


def _panels(
    count: int, columns: int, *, room_for_bars: bool = False
) -> tuple[DescribedFigure, list[Axes]]:
    """A figure with ``count`` panels without axes, ``columns`` a row."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    width = PANEL * (1.28 if room_for_bars else 1.0)
    inches = (max(3.2, width * columns), (PANEL + 0.25) * rows)
    figure, panels = DescribedFigure.blank(inches, rows, columns)
    for axes in panels:
        axes.axis("off")
    return figure, panels[:count]


def _bar(
    figure: DescribedFigure, drawn: AxesImage, axes: Any, label: str, *, is_over_image: bool
) -> None:
    """A colour bar; of colours that let an image through, over every grey from black to white."""
    ticks = MaxNLocator(4)
    bar = figure.colour_bar(drawn, axes, label, fraction=0.07, shrink=0.85, pad=0.02, ticks=ticks)
    if is_over_image:
        colours = drawn.cmap(np.linspace(0, 1, LEVELS))[:, None]  # (LEVELS, 1, 4)
        greys = np.linspace(0, 1, LEVELS)[:, None]  # (LEVELS, 1), over the width of the bar
        mixed = colours[..., :3] * colours[..., 3:] + greys * (1 - colours[..., 3:])
        ends = (*bar.ax.get_xlim(), *bar.ax.get_ylim())
        bar.ax.imshow(mixed, origin="lower", aspect="auto", extent=ends, zorder=2)


def _draw_boxes(axes: Axes, boxes: Tensor, colour: str, line: Any) -> None:
    """The outlines of boxes ``(4,)`` or ``(D, 4)``, around the pixels that they include."""
    for x0, y0, x1, y1 in boxes.reshape(-1, 4).tolist():
        if x0 < 0:  # no box was found
            continue
        place = ((x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1)
        axes.add_patch(Rectangle(*place, fill=False, edgecolor="black", linewidth=2.6))
        axes.add_patch(
            Rectangle(*place, fill=False, edgecolor=colour, linewidth=1.4, linestyle=line)
        )


def _described(description: str, names: Sequence[str], values: NDArray[np.floating[Any]]) -> str:
    """The description, followed by the extreme values of each map and where its highest is."""
    said = []
    for index, (name, one) in enumerate(zip(names, values, strict=True)):
        y, x = np.unravel_index(one.argmax(), one.shape)
        said.append(
            _(
                "{name}: from {low} to {high}, with its maximum at column {x} and row {y} of "
                "{w}×{h}"
            ).format(
                name=name.replace("\n", " ") or _("map {number}").format(number=index + 1),
                low=number(float(one.min()), 3),
                high=number(float(one.max()), 3),
                x=x + 1,
                y=y + 1,
                w=one.shape[1],
                h=one.shape[0],
            )
        )
    return f"{description} {listed(said)}.".strip()
