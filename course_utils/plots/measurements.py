"""Figures of measurements in general, and the drawing of nested classes of functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Ellipse

from course_utils.i18n import _, number
from course_utils.plots.figure import INK, DescribedFigure, finish, style_of

__all__ = ["function_classes", "lines"]


def lines(
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
    x: Sequence[float] | None = None,
    title: str = "",
    logarithmic: bool = False,
    description: str = "",
) -> DescribedFigure:
    """Several repeated measurements as lines: the median, with a band from lowest to highest.

    Args:
        series: for each name, ``(repetitions, points)`` numbers, usually one repetition a seed.
        xlabel, ylabel: what the axes are, with units.
        x: ``(points,)`` positions; 1, 2, 3 … by default.
        title: above the figure.
        logarithmic: draw the vertical axis on a logarithmic scale.
        description: what there is to see; the first and last median of each line follow it.

    Raises:
        ValueError: nothing to draw, or repetitions of different lengths.
    """
    if not series:
        raise ValueError(_("There is nothing to draw: no series were given."))
    figure = DescribedFigure("", (7.2, 4.0))
    axes = figure.subplots()
    said = []
    for index, (name, values) in enumerate(series.items()):
        if len({len(one) for one in values}) != 1:
            raise ValueError(
                _("Series {name!r} needs repetitions of one length, and at least one.").format(
                    name=name
                )
            )
        table = np.asarray(values, dtype=float)  # (repetitions, points)
        where = np.arange(1, table.shape[1] + 1) if x is None else np.asarray(x)
        style = style_of(index) | {"markevery": max(1, len(where) // 8), "markersize": 5}
        axes.fill_between(
            where, table.min(0), table.max(0), color=style["color"], alpha=0.15, linewidth=0
        )
        middle = np.median(table, 0)
        axes.plot(where, middle, label=name, **style)
        said.append(
            _("{name}: from {first} to {last}").format(
                name=name, first=number(middle[0], 3), last=number(middle[-1], 3)
            )
        )
    if logarithmic:
        axes.set_yscale("log")
    finish(axes, xlabel, ylabel, title)
    axes.legend(frameon=False, fontsize=9)
    figure.description = f"{description} {xlabel} / {ylabel}. {'; '.join(said)}.".strip()
    return figure


def function_classes() -> DescribedFigure:
    """Classes of functions of growing size: not nested on the left, nested on the right.

    The star is the function looked for, the dot the nearest one that a class holds.
    """
    description = _(
        "Two drawings of three growing sets of functions and a target outside them. Left, not "
        "nested: each set is larger than the last but lies elsewhere, and the best function of "
        "the largest is farther from the target than that of the smallest. Right, nested: each "
        "set contains the last, so that the best function only comes nearer."
    )
    figure = DescribedFigure(description, (8.6, 3.9))
    left, right = figure.subplots(1, 2)
    target = (7.6, 6.2)
    apart = (((3.4, 4.6), 3.0, 2.4, 12), ((3.5, 2.5), 4.6, 2.9, -8), ((2.2, 1.9), 5.6, 3.6, 8))
    nested = (((4.0, 3.4), 2.4, 1.8, 20), ((4.2, 3.5), 4.6, 3.5, 20), ((4.4, 3.7), 6.9, 5.2, 20))
    for axes, sets, title in (
        (left, apart, _("not nested")),
        (right, nested, _("nested")),
    ):
        for index, (center, width, height, angle) in reversed(list(enumerate(sets))):
            style = style_of(index)
            axes.add_patch(
                Ellipse(
                    center,
                    width,
                    height,
                    angle=angle,
                    facecolor=style["color"] + "22",
                    edgecolor=style["color"],
                    linestyle=style["linestyle"],
                    linewidth=1.6,
                )
            )
            x, y = _nearest(center, width, height, angle, target)
            axes.plot([x, target[0]], [y, target[1]], color=style["color"], linewidth=0.9)
            axes.plot(x, y, style["marker"], color=style["color"])
            distance = np.hypot(target[0] - x, target[1] - y)
            axes.plot(
                [],
                [],
                style["marker"],
                color=style["color"],
                linestyle=style["linestyle"],
                label=rf"$\mathcal{{F}}_{index + 1}$ : {number(float(distance), 2)}",
            )
        axes.plot(*target, "*", color=INK, markersize=15)
        axes.annotate("$f^*$", target, xytext=(8, -2), textcoords="offset points", fontsize=13)
        axes.set_xlim(-1.2, 9.4)
        axes.set_ylim(-0.6, 7.4)
        axes.set_aspect("equal")
        axes.axis("off")
        axes.set_title(title)
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(
            handles[::-1],
            labels[::-1],
            frameon=False,
            fontsize=9,
            loc="upper left",
            title=_("distance to $f^*$"),
            title_fontsize=9,
        )
    return figure


def _nearest(
    center: tuple[float, float],
    width: float,
    height: float,
    angle: float,
    target: tuple[float, float],
) -> tuple[float, float]:
    """The point of an ellipse's edge that is nearest to ``target``."""
    turn = np.deg2rad(angle)
    around = np.linspace(0, 2 * np.pi, 2000)
    u, v = width / 2 * np.cos(around), height / 2 * np.sin(around)
    x = center[0] + u * np.cos(turn) - v * np.sin(turn)
    y = center[1] + u * np.sin(turn) + v * np.cos(turn)
    best = np.argmin((x - target[0]) ** 2 + (y - target[1]) ** 2)
    return float(x[best]), float(y[best])
