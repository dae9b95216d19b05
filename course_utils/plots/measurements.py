"""Figures of measurements in general, repeated: lines and bands, dots, marks on bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from course_utils.i18n import _, listed, named, percent
from course_utils.plots.figure import DescribedFigure, finish, marks, name_rows, span, style_of
from course_utils.plots.shape import shape_of

__all__ = ["draw_median", "error_dots", "lines", "score_ladder"]


def lines(
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
    x: Sequence[float] | None = None,
    logarithmic: bool = False,
    description: str = "",
) -> DescribedFigure:
    """Several repeated measurements as lines: the median, with a band from lowest to highest.

    Args:
        series: for each name, ``(repetitions, points)`` numbers, usually one repetition a seed.
        xlabel, ylabel: what the axes are, with units.
        x: ``(points,)`` positions; 1, 2, 3 … by default.
        logarithmic: draw the vertical axis on a logarithmic scale.
        description: what there is to see; the axes and the shape of each line follow it.

    Raises:
        ValueError: nothing to draw, or repetitions of different lengths.
    """
    if not series:
        raise ValueError(_("There is nothing to draw: no series were given."))
    figure, (axes,) = DescribedFigure.blank((7.2, 4.0))
    said = []
    for index, (name, values) in enumerate(series.items()):
        middle = draw_median(axes, name, values, style_of(index), x)
        where = range(1, len(middle) + 1) if x is None else x
        said.append(
            _("{name} {shape}").format(
                name=name, shape=shape_of(middle, where, logarithmic=logarithmic)
            )
        )
    if logarithmic:
        axes.set_yscale("log")
    finish(axes, xlabel, ylabel)
    if x is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    about = _("Horizontal axis: {x}. Vertical axis: {y}.").format(x=xlabel, y=ylabel)
    figure.description = f"{description} {about} {listed(said)}.".strip()
    return figure


def draw_median(
    axes: Axes,
    name: str,
    runs: Sequence[Sequence[float]],
    style: dict[str, Any],
    x: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    """Draw the median of ``runs`` with a band from lowest to highest, and answer the median.

    Args:
        axes: where to draw.
        name: in the legend.
        runs: ``(repetitions, points)``.
        style: of the line; by default eight markers or a few more.
        x: ``(points,)`` positions; 1, 2, 3 … by default.

    Raises:
        ValueError: repetitions of different lengths, or none.
    """
    if len({len(one) for one in runs}) != 1:
        text = _("The series {name!r} needs at least one repetition, and all of the same length.")
        raise ValueError(text.format(name=name))
    table = np.asarray(runs, dtype=float)
    where = np.arange(1, table.shape[1] + 1) if x is None else np.asarray(x)
    axes.fill_between(
        where, table.min(0), table.max(0), color=style["color"], alpha=0.15, linewidth=0
    )
    middle: NDArray[np.float64] = np.median(table, 0)
    few = {"markevery": max(1, len(where) // 8), "markersize": 5}
    axes.plot(where, middle, label=name, **(few | style))
    return middle


def _styles(rows: Mapping[str, Mapping[str, Any]], **look: Any) -> dict[str, dict[str, Any]]:
    """The mark of each contestant, in the order in which the rows name them."""
    names = dict.fromkeys(name for row in rows.values() for name in row)
    return {name: marks(style_of(index), **look) for index, name in enumerate(names)}


def error_dots(
    errors: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
    description: str = "",
) -> DescribedFigure:
    """Errors as dots, one a seed, contestants side by side in each group, a bar at the median.

    Args:
        errors: for each group, for each contestant, shares in [0, 1], one a seed.
        xlabel: what tells the groups apart.
        ylabel: what the errors are.
        description: what there is to see; every median follows it.

    Raises:
        ValueError: nothing to draw.
    """
    if not errors or not any(errors.values()):
        raise ValueError(_("There is nothing to draw: no errors were given."))
    styles = _styles(errors)
    figure, (axes,) = DescribedFigure.blank((7.2, 3.9))
    said = []
    width = 0.8 / len(styles)
    for place, (group, row) in enumerate(errors.items()):
        for name, values in row.items():
            style = styles[name]
            center = place + (list(styles).index(name) - (len(styles) - 1) / 2) * width
            spread = width * np.linspace(-0.25, 0.25, len(values))
            percents = 100 * np.asarray(values, float)
            axes.plot(center + spread, percents, **(style | {"alpha": 0.7}))
            middle = float(np.median(percents))
            ends = (center - 0.38 * width, center + 0.38 * width)
            axes.hlines(middle, *ends, color=style["color"], lw=2)
            said.append(named(f"{group}, {name}", percent(middle / 100)))
    finish(axes, xlabel, ylabel)
    axes.set_xticks(range(len(errors)), list(errors))
    axes.set_xlim(-0.5, len(errors) - 0.5)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    figure.name_marks(styles, columns=3)
    figure.description = f"{description} {listed(said)}.".strip()
    return figure


def score_ladder(
    scores: Mapping[str, Mapping[str, Sequence[float]]], *, xlabel: str, description: str = ""
) -> DescribedFigure:
    """Measures one under the other, each with the scores of several contestants in [0, 1].

    A contestant's marker is the median of its repetitions, its bar the lowest and the highest.

    Args:
        scores: for each measure, for each contestant, one number a repetition.
        xlabel: what the numbers are.
        description: what there is to see; every median follows it.

    Raises:
        ValueError: nothing to draw.
    """
    if not scores:
        raise ValueError(_("There is nothing to draw: no scores were given."))
    styles = _styles(scores, markersize=8)
    figure, (axes,) = DescribedFigure.blank((8.0, 1.2 + 0.5 * len(scores)))
    said = []
    for place, (measure, row) in enumerate(scores.items()):
        axes.axhline(place, color="#BBBBBB", linewidth=0.6, zorder=0)
        for name, values in row.items():
            low, middle, high = np.quantile(100 * np.asarray(values, float), (0, 0.5, 1))
            span(axes, low, middle, high, place, styles[name])
            said.append(named(f"{measure}, {name}", percent(middle / 100)))
    axes.set_xlim(0, 100)
    finish(axes, xlabel, "")
    name_rows(axes, list(scores))
    figure.name_marks(styles, columns=4)
    figure.description = f"{description} {listed(said)}.".strip()
    return figure
