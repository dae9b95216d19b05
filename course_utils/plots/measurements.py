"""Figures of measurements in general: several repetitions as lines and bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from course_utils.i18n import _, number
from course_utils.plots.figure import DescribedFigure, finish, style_of

__all__ = ["lines"]


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
    if x is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    figure.description = f"{description} {xlabel} / {ylabel}. {'; '.join(said)}.".strip()
    return figure
