"""Figures of an experiment's records: curves, errors by depth and by cost, published ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from course_utils.arguments import one_of
from course_utils.experiments import Record
from course_utils.experiments.families import net_name
from course_utils.i18n import _, listed, named, number, percent
from course_utils.plots.figure import (
    INK,
    DescribedFigure,
    family_style,
    finish,
    marks,
    style_of,
)
from course_utils.plots.measurements import draw_median
from course_utils.plots.shape import shape_of

__all__ = [
    "draw_error_by_depth",
    "error_by_cost",
    "error_by_depth",
    "learning_curves",
    "listed_errors",
    "require_records",
    "train_against_test",
]


def _by(records: Sequence[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return dict(sorted(groups.items()))


def require_records(records: Sequence[Record]) -> None:
    """Refuse to draw nothing."""
    if not records:
        raise ValueError(_("There is nothing to draw: no records were given."))


def _error_name(measure: str) -> str:
    """What an axis calls the error that a record has as ``measure``; no other is drawn."""
    names = {"train_error": _("training error (%)"), "test_error": _("test error (%)")}
    return names[one_of("measure", measure, tuple(names))]


def learning_curves(records: Sequence[Record]) -> DescribedFigure:
    """Training error against epochs, one panel a family, one line a depth.

    The line is the median over seeds of the error as the batches were learnt, the band goes from
    the lowest to the highest seed, and the markers are the test error measured in eval mode.

    Args:
        records: of one experiment.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    families = _by(records, lambda record: record.spec.family)
    said = []
    count = len(families)
    figure, panels = DescribedFigure.blank((4.4 * count, 3.8), 1, count, sharey=True)
    for axes, (name, members) in zip(panels, families.items(), strict=True):
        for index, (depth, runs) in enumerate(_by(members, lambda r: r.spec.depth).items()):
            style, label = style_of(index), _("depth {depth}").format(depth=depth)
            errors = 100 * np.array([run.running_errors for run in runs])  # (seeds, epochs)
            middle = draw_median(axes, label, errors.tolist(), style | {"marker": ""})
            tests = 100 * np.median([run.test_errors for run in runs], 0)
            hollow = marks(style, markersize=5, markerfacecolor="white")
            axes.plot(runs[0].epochs, tests, **hollow)
            shape = shape_of(
                middle, range(1, len(middle) + 1), write=lambda error: percent(error / 100)
            )
            said.append(_("{name} {shape}").format(name=net_name(name, depth), shape=shape))
        finish(axes, _("epoch"), _("error (%)") if axes is panels[0] else "", net_name(name))
        axes.set_ylim(-3, 100)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(frameon=False, fontsize=9, loc="center right")
    figure.description = _(
        "Learning curves, one panel per family. A line is the training error during training "
        "against the epoch, the median of the seeds: {said}. Bands go from the lowest seed to "
        "the highest; hollow markers are the test error."
    ).format(said=listed(said))
    return figure


def error_by_depth(records: Sequence[Record], measure: str = "train_error") -> DescribedFigure:
    """Final error against depth: a dot a seed, a line through the medians, one colour a family.

    Args:
        records: of one experiment.
        measure: ``"train_error"`` or ``"test_error"``.

    Raises:
        ValueError: no records, or another measure.
    """
    require_records(records)
    name = _error_name(measure)
    figure, (axes,) = DescribedFigure.blank((6.4, 4.0))
    said = draw_error_by_depth(axes, records, measure)
    finish(axes, _("depth (weight layers)"), name)
    figure.description = _(
        "{measure} against depth, with one dot per seed and a line through the medians. {said}."
    ).format(measure=name.capitalize(), said=said)
    return figure


def draw_error_by_depth(axes: Axes, records: Sequence[Record], measure: str = "train_error") -> str:
    """Dots and lines of the error in percent, and the medians in words."""
    said = []
    for name, members in _by(records, lambda record: record.spec.family).items():
        style = family_style(name)
        groups = _by(members, lambda record: record.spec.depth)
        medians = [100 * median(getattr(run, measure) for run in of) for of in groups.values()]
        for depth, runs in groups.items():
            errors = [100 * getattr(run, measure) for run in runs]
            axes.plot([depth] * len(runs), errors, **marks(style, alpha=0.55))
        axes.plot(list(groups), medians, **(style | {"marker": ""}))
        axes.plot([], [], label=net_name(name), **style)
        said.append(named(net_name(name), listed_errors(groups, medians)))
    axes.set_xticks(sorted({record.spec.depth for record in records}))
    axes.set_ylim(-3, 100)
    axes.legend(frameon=False)
    return listed(said)


def listed_errors(depths: Iterable[float], errors: Iterable[float]) -> str:
    """Errors in percent, each with its depth or its rate."""
    return ", ".join(
        _("{error} at {depth}").format(error=percent(error / 100), depth=number(depth, 3))
        for depth, error in zip(depths, errors, strict=True)
    )


def error_by_cost(records: Sequence[Record], measure: str = "train_error") -> DescribedFigure:
    """Final error against parameters, multiply-adds and seconds: a dot a run, a mark a net.

    The axis of the error is logarithmic, down to 0.1%, and linear below.

    Args:
        records: of one experiment; runs of one family and depth are one net.
        measure: ``"train_error"`` or ``"test_error"``.

    Raises:
        ValueError: no records, or another measure.
    """
    require_records(records)
    error = _error_name(measure)
    nets: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        nets.setdefault((record.spec.family, record.spec.depth), []).append(record)
    figure, panels = DescribedFigure.blank((10.0, 3.9), 1, 3, sharey=True)
    costs: tuple[tuple[str, Callable[[Record], float]], ...] = (
        (_("parameters (thousands)"), lambda run: run.parameters / 1e3),
        (_("multiply-adds per image (millions)"), lambda run: run.macs / 1e6),
        (_("training time (s)"), lambda run: run.seconds),
    )
    for axes, (label, cost) in zip(panels, costs, strict=True):
        for (family, depth), runs in nets.items():
            style = family_style(family, sum(f == family and d > depth for f, d in nets))
            x = [cost(run) for run in runs]
            y = [100 * getattr(run, measure) for run in runs]
            axes.plot(x, y, **marks(style, alpha=0.45))
            large = marks(style, markersize=11, markerfacecolor="none", markeredgewidth=1.8)
            axes.plot(median(x), median(y), label=net_name(family, depth), **large)
        axes.set_yscale("symlog", linthresh=0.1)
        finish(axes, label, error if axes is panels[0] else "")
        axes.set_xlim(left=0)
        axes.set_ylim(-0.02, 130)
    panels[0].legend(frameon=False, fontsize=9)
    said = []
    for (family, depth), runs in nets.items():
        errors = [getattr(run, measure) for run in runs]
        said.append(
            _("{name}: {error} (from {low} to {high}), {parameters} parameters, {macs}").format(
                name=net_name(family, depth),
                error=percent(median(errors)),
                low=percent(min(errors)),
                high=percent(max(errors)),
                parameters=number(runs[0].parameters, 12),
                macs=_("{number} million multiply-adds").format(
                    number=number(runs[0].macs / 1e6, 3)
                ),
            )
        )
    figure.description = _(
        "{measure} against three costs, one per panel: parameters, multiply-adds, training "
        "time. Each run has a small mark, and each network a large one at its medians. {said}."
    ).format(measure=error.capitalize(), said=listed(said))
    return figure


def train_against_test(records: Sequence[Record]) -> DescribedFigure:
    """Test error against training error, a dot a run: overfitting would be left of the diagonal.

    Args:
        records: of one experiment.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    figure, (axes,) = DescribedFigure.blank((5.2, 4.6))
    said = []
    for name, members in _by(records, lambda record: record.spec.family).items():
        style = family_style(name)
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
                label=net_name(name, depth),
            )
            said.append(
                _("{net}: training {train}, test {test}").format(
                    net=net_name(name, depth),
                    train=percent(median(train) / 100),
                    test=percent(median(test) / 100),
                )
            )
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xlim(-4, 100)
    axes.set_ylim(-4, 100)
    axes.set_aspect("equal")
    finish(axes, _("training error (%)"), _("test error (%)"))
    axes.legend(frameon=False, fontsize=8, loc="lower right", title=_("larger mark = deeper"))
    figure.description = _(
        "Test error against training error, with one mark per run and the diagonal where both "
        "are equal. The medians are {said}."
    ).format(said=listed(said))
    return figure
