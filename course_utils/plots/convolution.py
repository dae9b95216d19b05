"""Figures of the 1×1 convolution: what it mixes, what layers cost, what a sliding net answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.image import AxesImage
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor
from torch.nn import functional as F

from course_utils.datasets.digit_sheets import Sheet
from course_utils.detection import Finding
from course_utils.i18n import _, listed, number, percent
from course_utils.plots.figure import PALETTE, DescribedFigure, finish, style_of

__all__ = ["layer_costs", "pixel_mixture", "sheet_answers"]

# Classes have no order: ten colours of Petroff (2021, arXiv 2107.02270), told apart by the
# colour-blind too; the class is written in digits where a digit stands.
CLASS_COLOURS = (
    *("#3F90DA", "#FFA90E", "#BD1F01", "#94A4A2", "#832DB6"),
    *("#A96B59", "#E76300", "#B9AC70", "#717581", "#92DADD"),
)
FRAME = PALETTE[1]
HALO = withStroke(linewidth=3, foreground="white")


def layer_costs(
    names: Sequence[str], parameters: Sequence[int], macs: Sequence[int], dense: Sequence[bool]
) -> DescribedFigure:
    """Two bars a layer: its share of the net's parameters, and of its multiply-adds.

    Args:
        names: of the weight layers, in order.
        parameters: number of each.
        macs: multiply-adds of each, for one image.
        dense: which are dense layers; the others are convolutions.

    Raises:
        ValueError: lists of different lengths, or empty ones.
    """
    if not names or len({len(names), len(parameters), len(macs), len(dense)}) != 1:
        raise ValueError(
            _(
                "Give each layer a name, a number of parameters, a number of multiply-adds, and "
                "its kind."
            )
        )
    figure, panels = DescribedFigure.blank((9.0, 0.9 + 0.24 * len(names)), 1, 2, sharey=True)
    kinds = {False: _("convolution"), True: _("fully connected layer")}
    said = []
    for axes, values, what in (
        (panels[0], parameters, _("share of the parameters (%)")),
        (panels[1], macs, _("share of the multiply-adds (%)")),
    ):
        shares = 100 * np.asarray(values, float) / sum(values)
        for kind, label in kinds.items():
            chosen = [place for place, one in enumerate(dense) if bool(one) is kind]
            axes.barh(
                chosen,
                shares[chosen],
                color=style_of(int(kind))["color"],
                hatch="///" if kind else "",
                edgecolor="white",
                label=label,
            )
        finish(axes, what, "")
        of_dense = sum(share for share, one in zip(shares, dense, strict=True) if one)
        largest = int(np.argmax(shares))
        said.append(
            _(
                "{what}: {dense} in the fully connected layers; the largest layer is {name}, "
                "with {largest}"
            ).format(
                what=what,
                dense=percent(of_dense / 100),
                name=names[largest],
                largest=percent(shares[largest] / 100),
            )
        )
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].invert_yaxis()
    panels[1].legend(frameon=False, loc="lower right")
    figure.description = _(
        "Two bars per layer of a network, from the input to the output. {said}."
    ).format(said=listed(said))
    return figure


def pixel_mixture(
    maps: Tensor, weights: Tensor, bias: float, pixel: tuple[int, int]
) -> DescribedFigure:
    """A 1×1 convolution in numbers: three maps, a weight each, and the map that comes out.

    Args:
        maps: ``(K, h, w)``, small whole numbers.
        weights: ``(K,)``.
        bias: added everywhere.
        pixel: row and column of the position that is followed.

    Raises:
        ValueError: another number of weights than of maps.
    """
    if maps.dim() != 3 or len(weights) != len(maps):
        raise ValueError(
            _(
                "There must be one weight per map: there are {weights} for maps of shape {shape}."
            ).format(weights=len(weights), shape=tuple(maps.shape))
        )
    mixed = (weights.view(-1, 1, 1) * maps).sum(0) + bias  # (h, w)
    row, column = pixel
    terms = " + ".join(
        f"{_signed(float(weight))} × {number(float(one[row, column]), 3)}"
        for weight, one in zip(weights, maps, strict=True)
    )
    formula = f"{terms} + {_signed(bias)} = {number(float(mixed[row, column]), 3)}"
    figure = DescribedFigure("", (7.6, 5.0))
    grid = figure.add_gridspec(len(maps), 3, width_ratios=(1, 0.9, 1.2))
    target = figure.add_subplot(grid[:, 2])
    target.set_zorder(1)  # the arrows are drawn with it, over the boards that they leave
    _numbers(target, mixed, pixel, "$F'$ = $\\sum_k w_k F_k + b$")
    for index, (one, weight) in enumerate(zip(maps, weights, strict=True)):
        axes = figure.add_subplot(grid[index, 0])
        _numbers(axes, one, pixel, f"$F_{index + 1}$")
        style = style_of(index)
        arrow = ConnectionPatch(
            (column + 0.5, row),
            (column - 0.5, row),
            "data",
            "data",
            axesA=axes,
            axesB=target,
            arrowstyle="-|>",
            color=style["color"],
            linestyle=style["linestyle"],
            linewidth=1.4,
        )
        arrow.set_in_layout(False)
        target.add_artist(arrow)
        axes.text(
            1.12,
            0.3 if index + 1 == len(maps) else 0.85,  # on the side that the arrow leaves free
            f"$w_{index + 1}$ = {number(float(weight), 3)}",
            fontsize=11,
            color=style["color"],
            transform=axes.transAxes,
        )
    figure.supxlabel(formula, fontsize=11)
    figure.description = _(
        "Three maps of numbers on the left, and one on the right. The framed pixel of the "
        "output, at row {row} and column {column}, is computed from the pixels at the same "
        "place in the three maps and from no others: {formula}."
    ).format(row=row + 1, column=column + 1, formula=formula)
    return figure


def _signed(value: float) -> str:
    text = number(value, 3)
    return f"({text})" if value < 0 else text


def _numbers(axes: Axes, values: Tensor, pixel: tuple[int, int], title: str) -> None:
    """A map as a board of numbers, one position framed."""
    table = values.detach().cpu().numpy()
    axes.imshow(table, cmap="Greys", vmin=table.min(), vmax=table.max() + 2 * np.ptp(table) + 1)
    for (row, column), value in np.ndenumerate(table):
        text = axes.text(column, row, number(float(value), 3), ha="center", va="center", fontsize=9)
        text.set(zorder=3, path_effects=[HALO])
    row, column = pixel
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=FRAME, linewidth=2.5))
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


def sheet_answers(
    sheet: Sheet,
    logits: Tensor,
    findings: Sequence[Finding] = (),
    *,
    side: int,
    stride: int,
    num_digits: int = 10,
    description: str = "",
) -> DescribedFigure:
    """A sheet with the digits announced, the class said in every window, and how surely.

    The three panels line up: an answer is drawn where the centre of its window is on the sheet.

    Args:
        sheet: what was shown to the net.
        logits: ``(C, rows, columns)``, what it answered; classes from ``num_digits`` on mean that
            there is no digit.
        findings: digits announced, framed on the sheet and named.
        side: of the window that a position looks at, in pixels.
        stride: from one position's window to the next, in pixels.
        num_digits: how many of the classes are digits.
        description: what there is to see; the findings follow it.

    Raises:
        ValueError: logits of another number of dimensions.
    """
    if logits.dim() != 3:
        raise ValueError(
            _("The logits have shape {shape} instead of (C, rows, columns).").format(
                shape=tuple(logits.shape)
            )
        )
    shares = F.softmax(logits.detach().cpu(), 0)  # (C, rows, columns)
    classes, sure = shares.argmax(0), shares[:num_digits].amax(0)  # (rows, columns)
    figure, (left, middle, right) = DescribedFigure.blank((11.0, 2.7), 1, 3)
    _draw_sheet(left, sheet, findings, side)
    drawn = _at_centres(
        middle,
        np.ma.masked_greater_equal(classes.numpy(), num_digits),
        side,
        stride,
        cmap=ListedColormap(CLASS_COLOURS[:num_digits]),
        norm=BoundaryNorm(np.arange(num_digits + 1) - 0.5, num_digits),
    )
    for row, column in sheet.corners.tolist():
        label = int(classes[row // stride, column // stride])
        if label < num_digits:
            _write_at_centre(middle, str(label), row, column, side)
    middle.set_title(_("most likely class, at the window's centre"), fontsize=10)
    figure.colour_bar(drawn, middle, shrink=0.86, pad=0.02, ticks=range(num_digits))
    drawn = _at_centres(right, sure.numpy(), side, stride, cmap="cividis", vmin=0, vmax=1)
    right.set_title(_("probability of the most likely digit"), fontsize=10)
    figure.colour_bar(drawn, right, shrink=0.86, pad=0.02)
    height, width = sheet.image.shape[1:]
    for axes in (left, middle, right):
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    figure.description = _(
        "{description} On the left is the sheet with its digits, {digits} in all. In the middle "
        "is the most likely class in each of {rows} × {columns} windows, drawn at the centre of "
        "the window. On the right is the probability of the most likely digit, which is above "
        "90% in {sure} of the windows. {found}"
    ).format(
        description=description,
        digits=len(sheet.labels),
        rows=classes.shape[0],
        columns=classes.shape[1],
        sure=percent(float((sure > 0.9).float().mean())),
        found=_found(findings),
    )
    return figure


def _found(findings: Sequence[Finding]) -> str:
    if not findings:
        return _("No digit is found.")
    places = [
        _("{label} at row {row}, column {column}").format(
            label=one.label, row=one.row, column=one.column
        )
        for one in findings
    ]
    return _("The digits found are {findings}.").format(findings=listed(places))


def _write_at_centre(axes: Axes, text: str, row: int, column: int, side: int) -> None:
    """Write on the centre of the window whose upper left pixel is given."""
    half = (side - 1) / 2
    axes.text(
        column + half, row + half, text, fontsize=8, ha="center", va="center", path_effects=[HALO]
    )


def _at_centres(
    axes: Axes, values: npt.NDArray[Any], side: int, stride: int, **look: Any
) -> AxesImage:
    """A map ``(rows, columns)`` on its sheet, each value around its window's centre."""
    first = (side - 1) / 2 - stride / 2  # where the first value begins, from the first pixel on
    rows, columns = values.shape
    extent = (first, first + stride * columns, first + stride * rows, first)
    return axes.imshow(values, extent=extent, interpolation="nearest", **look)


def _draw_sheet(axes: Axes, sheet: Sheet, findings: Sequence[Finding], side: int) -> None:
    """A sheet, each digit announced in a frame with its name."""
    axes.imshow(sheet.image[0].numpy(), cmap="Greys", vmin=0, vmax=1)
    for one in findings:
        corner = (one.column - 0.5, one.row - 0.5)
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=FRAME, linewidth=1.6))
        axes.text(
            one.column + side,
            one.row,
            str(one.label),
            color="white",
            fontsize=9,
            ha="right",
            va="top",
            bbox={"facecolor": FRAME, "edgecolor": "none", "pad": 1},
        )
    title = _("the sheet, and the digits found") if findings else _("the sheet")
    axes.set_title(title, fontsize=10)
