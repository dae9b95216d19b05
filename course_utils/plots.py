"""Every figure that a lesson shows, each with a description for those who cannot see it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import FuncFormatter, MaxNLocator

from course_utils.degradation import Record, published
from course_utils.i18n import _, number, percent

__all__ = [
    "DescribedFigure",
    "error_by_depth",
    "function_classes",
    "learning_curves",
    "lines",
    "published_beside",
    "train_against_test",
]

# Okabe and Ito's palette, told apart by the colour-blind; each colour has a line and a marker.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
FAMILIES = ("residual", "plain", "dense")
INK = "#222222"


class DescribedFigure(Figure):
    """A matplotlib figure that a notebook shows as a PNG with its description.

    The description is the picture's alternative text, and stands in its place where pictures are
    not shown. Everything that a ``Figure`` can do, ``savefig`` included, works as usual.

    Args:
        description: what there is to see, in words and numbers.
        size: width and height in inches.
    """

    def __init__(self, description: str, size: tuple[float, float] = (8.0, 4.0)) -> None:
        super().__init__(figsize=size, dpi=100, facecolor="white", layout="constrained")
        self.description = description

    def _ipython_display_(self) -> None:
        """Show the picture, then its description, folded: not every reader shows ``alt``."""
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        picture = {"image/png": stream.getvalue(), "text/plain": self.description}
        display(picture, raw=True, metadata={"image/png": {"alt": self.description}})
        words = {
            "text/html": f"<details><summary>{escape(_('Description of the figure'))}</summary>"
            f"<p>{escape(self.description)}</p></details>",
            "text/plain": "",
        }
        display(words, raw=True)


def style_of(index: int) -> dict[str, Any]:
    """Colour, line and marker of the ``index``-th series: each told apart by all three."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def _family_style(name: str) -> dict[str, Any]:
    return style_of(FAMILIES.index(name) if name in FAMILIES else len(FAMILIES))


def _finish(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_formatter(FuncFormatter(lambda value, _position: number(value, 6)))


def _by(records: Sequence[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return dict(sorted(groups.items()))


def _refuse_nothing(records: Sequence[Record]) -> None:
    if not records:
        raise ValueError(_("There is nothing to draw: no records were given."))


def learning_curves(records: Sequence[Record]) -> DescribedFigure:
    """Training error against epochs, one panel a family, one line a depth.

    The line is the median over seeds of the error as the batches were learnt, the band goes from
    the lowest to the highest seed, and the markers are the test error measured in eval mode.

    Args:
        records: of one experiment.

    Raises:
        ValueError: no records.
    """
    _refuse_nothing(records)
    families = _by(records, lambda record: record.spec.family)
    said = []
    figure = DescribedFigure("", (4.4 * len(families), 3.8))
    panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
    for axes, (name, members) in zip(panels, families.items(), strict=True):
        for index, (depth, runs) in enumerate(_by(members, lambda r: r.spec.depth).items()):
            style = style_of(index)
            marker = style.pop("marker")
            errors = 100 * np.array([run.running_errors for run in runs])  # (seeds, epochs)
            epochs = np.arange(1, errors.shape[1] + 1)
            axes.fill_between(
                epochs, errors.min(0), errors.max(0), color=style["color"], alpha=0.15, linewidth=0
            )
            axes.plot(epochs, np.median(errors, 0), label=_depth(depth), **style)
            axes.plot(
                runs[0].epochs,
                100 * np.median([run.test_errors for run in runs], 0),
                marker,
                color=style["color"],
                markersize=5,
                markerfacecolor="white",
            )
            said.append(
                _("{family} {depth}: {first} to {last}").format(
                    family=name,
                    depth=depth,
                    first=percent(float(np.median(errors[:, 0])) / 100),
                    last=percent(float(np.median(errors[:, -1])) / 100),
                )
            )
        _finish(axes, _("epoch"), _("error (%)") if axes is panels[0] else "", name)
        axes.set_ylim(-3, 100)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(frameon=False, fontsize=9, loc="center right")
    figure.description = _(
        "Learning curves, one panel a family. Training error while learning, median of the seeds, "
        "from the first epoch to the last: {said}. Bands go from the lowest to the highest seed; "
        "hollow markers are the test error."
    ).format(said="; ".join(said))
    return figure


def _depth(depth: int) -> str:
    return _("depth {depth}").format(depth=depth)


def error_by_depth(records: Sequence[Record], measure: str = "train_error") -> DescribedFigure:
    """Final error against depth: a dot a seed, a line through the medians, one colour a family.

    Args:
        records: of one experiment.
        measure: ``"train_error"`` or ``"test_error"``.

    Raises:
        ValueError: no records, or another measure.
    """
    _refuse_nothing(records)
    names = {"train_error": _("training error (%)"), "test_error": _("test error (%)")}
    if measure not in names:
        raise ValueError(
            _("No measure {measure!r}: choose one of {choices}.").format(
                measure=measure, choices=", ".join(map(repr, names))
            )
        )
    figure = DescribedFigure("", (6.4, 4.0))
    axes = figure.subplots()
    said = _draw_error_by_depth(axes, records, measure)
    _finish(axes, _("depth (layers with weights)"), names[measure])
    axes.set_ylim(-3, 100)
    axes.legend(frameon=False)
    figure.description = _(
        "{measure} against depth, a dot a seed and a line through the medians. {said}."
    ).format(measure=names[measure].capitalize(), said="; ".join(said))
    return figure


def _draw_error_by_depth(axes: Axes, records: Sequence[Record], measure: str) -> list[str]:
    said = []
    for name, members in _by(records, lambda record: record.spec.family).items():
        style = _family_style(name)
        groups = _by(members, lambda record: record.spec.depth)
        medians = [median(getattr(run, measure) for run in runs) for runs in groups.values()]
        for depth, runs in groups.items():
            axes.plot(
                [depth] * len(runs),
                [100 * getattr(run, measure) for run in runs],
                style["marker"],
                color=style["color"],
                alpha=0.55,
            )
        axes.plot(
            list(groups),
            [100 * value for value in medians],
            color=style["color"],
            linestyle=style["linestyle"],
        )
        axes.plot([], [], label=name, **style)
        axes.set_xticks(sorted({*axes.get_xticks(), *groups} & set(groups)))
        said.append(
            f"{name}: "
            + ", ".join(
                _("{error} at {depth}").format(error=percent(value), depth=depth)
                for depth, value in zip(groups, medians, strict=True)
            )
        )
    return said


def train_against_test(records: Sequence[Record]) -> DescribedFigure:
    """Test error against training error, a dot a run: overfitting would be left of the diagonal.

    Args:
        records: of one experiment.

    Raises:
        ValueError: no records.
    """
    _refuse_nothing(records)
    figure = DescribedFigure("", (5.2, 4.6))
    axes = figure.subplots()
    said = []
    for name, members in _by(records, lambda record: record.spec.family).items():
        style = _family_style(name)
        for depth, runs in _by(members, lambda record: record.spec.depth).items():
            train = [100 * run.train_error for run in runs]
            test = [100 * run.test_error for run in runs]
            axes.scatter(
                train,
                test,
                s=12 + depth,
                marker=style["marker"],
                facecolor="none",
                edgecolor=style["color"],
                linewidth=1.4,
                label=f"{name} {depth}",
            )
            said.append(
                _("{family} {depth}: training {train}, test {test}").format(
                    family=name,
                    depth=depth,
                    train=percent(median(train) / 100),
                    test=percent(median(test) / 100),
                )
            )
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xlim(-4, 100)
    axes.set_ylim(-4, 100)
    axes.set_aspect("equal")
    _finish(axes, _("training error (%)"), _("test error (%)"))
    axes.legend(frameon=False, fontsize=8, loc="lower right", title=_("larger mark: deeper"))
    figure.description = _(
        "Test error against training error, a mark a run, with the diagonal where both are equal. "
        "Medians: {said}."
    ).format(said="; ".join(said))
    return figure


def published_beside(records: Sequence[Record]) -> DescribedFigure:
    """Our errors against depth beside published ones on CIFAR-10: other data, the same shape.

    Args:
        records: of one experiment.

    Raises:
        ValueError: no records.
    """
    _refuse_nothing(records)
    figure = DescribedFigure("", (9.2, 3.9))
    ours, theirs = figure.subplots(1, 2)
    said = _draw_error_by_depth(ours, records, "train_error")
    _finish(
        ours,
        _("depth"),
        _("training error (%)"),
        _("this run: {data}").format(data=records[0].spec.dataset),
    )
    ours.set_ylim(-3, 100)
    ours.legend(frameon=False)
    rows = published("CIFAR-10", "test error (%)")
    lines_drawn: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        if row.family in FAMILIES and row.depth is not None and row.depth <= 110:
            source = row.source.split(" (")[0]
            lines_drawn.setdefault((row.family, source), []).append((row.depth, row.value))
    for (name, source), points in lines_drawn.items():
        style = _family_style(name) | ({"marker": "x"} if "techxzen" in source else {})
        depths, values = zip(*sorted(points), strict=True)
        theirs.plot(depths, values, label=f"{name} — {source}", **style)
        said.append(
            f"{name}, {source}: "
            + ", ".join(
                _("{error} at {depth}").format(error=percent(value / 100), depth=depth)
                for depth, value in zip(depths, values, strict=True)
            )
        )
    theirs.set_xticks([20, 32, 44, 56, 110])
    theirs.set_ylim(0, 20)
    _finish(theirs, _("depth"), _("test error (%)"), _("published: CIFAR-10"))
    theirs.legend(frameon=False, fontsize=8, loc="upper right")
    figure.description = _(
        "Two panels that are not to be compared by their numbers, only by their shape. Left, the "
        "training error of this run; right, published test errors on CIFAR-10. {said}."
    ).format(said="; ".join(said))
    return figure


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
    _finish(axes, xlabel, ylabel, title)
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
