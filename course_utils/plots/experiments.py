"""Figures of an experiment's records: curves, errors against depth, published ones beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from course_utils.degradation import Reference, published
from course_utils.experiments import Record
from course_utils.i18n import _, percent
from course_utils.plots.figure import (
    FAMILIES,
    INK,
    DescribedFigure,
    family_style,
    finish,
    style_of,
)

__all__ = [
    "error_by_depth",
    "learning_curves",
    "published_beside",
    "reference_beside",
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


def error_name(measure: str) -> str:
    """What an axis calls the error that a record has as ``measure``; no other is drawn."""
    names = {"train_error": _("training error (%)"), "test_error": _("test error (%)")}
    if measure not in names:
        raise ValueError(
            _("No measure {measure!r}: choose one of {choices}.").format(
                measure=measure, choices=", ".join(map(repr, names))
            )
        )
    return names[measure]


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
        finish(axes, _("epoch"), _("error (%)") if axes is panels[0] else "", name)
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
    require_records(records)
    name = error_name(measure)
    figure = DescribedFigure("", (6.4, 4.0))
    axes = figure.subplots()
    said = _draw_error_by_depth(axes, records, measure)
    finish(axes, _("depth (layers with weights)"), name)
    axes.set_ylim(-3, 100)
    axes.legend(frameon=False)
    figure.description = _(
        "{measure} against depth, a dot a seed and a line through the medians. {said}."
    ).format(measure=name.capitalize(), said="; ".join(said))
    return figure


def _draw_error_by_depth(axes: Axes, records: Sequence[Record], measure: str) -> list[str]:
    said = []
    for name, members in _by(records, lambda record: record.spec.family).items():
        style = family_style(name)
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
        said.append(
            f"{name}: "
            + ", ".join(
                _("{error} at {depth}").format(error=percent(value), depth=depth)
                for depth, value in zip(groups, medians, strict=True)
            )
        )
    axes.set_xticks(sorted({record.spec.depth for record in records}))
    return said


def train_against_test(records: Sequence[Record]) -> DescribedFigure:
    """Test error against training error, a dot a run: overfitting would be left of the diagonal.

    Args:
        records: of one experiment.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    figure = DescribedFigure("", (5.2, 4.6))
    axes = figure.subplots()
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
    finish(axes, _("training error (%)"), _("test error (%)"))
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
    require_records(records)
    figure = DescribedFigure("", (9.2, 3.9))
    ours, theirs = figure.subplots(1, 2)
    said = _draw_error_by_depth(ours, records, "train_error")
    finish(
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
        style = family_style(name) | ({"marker": "x"} if "techxzen" in source else {})
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
    finish(theirs, _("depth"), _("test error (%)"), _("published: CIFAR-10"))
    theirs.legend(frameon=False, fontsize=8, loc="upper right")
    figure.description = _(
        "Two panels that are not to be compared by their numbers, only by their shape. Left, the "
        "training error of this run; right, published test errors on CIFAR-10. {said}."
    ).format(said="; ".join(said))
    return figure


def reference_beside(records: Sequence[Record], reference: Reference) -> DescribedFigure:
    """Our training errors against depth beside those of a larger experiment kept with the course.

    Args:
        records: of one experiment.
        reference: what the course keeps, see :func:`course_utils.degradation.references`.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    figure = DescribedFigure("", (9.2, 3.9))
    said = []
    titles = (
        _("this run: {data}").format(data=records[0].spec.dataset),
        f"{reference.data}, {reference.date}",
    )
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, runs in zip(panels, titles, (records, reference.records), strict=True):
        errors = "; ".join(_draw_error_by_depth(axes, runs, "train_error"))
        said.append(f"{title}: {errors}")
        finish(
            axes,
            _("depth (layers with weights)"),
            _("training error (%)") if axes is panels[0] else "",
            title,
        )
        axes.legend(frameon=False)
    panels[0].set_ylim(-3, 100)
    figure.description = _(
        "Training error against depth, a dot a seed and a line through the medians. Left, this "
        "run; right, a larger one ({machine}, commit {commit}). {said}."
    ).format(machine=reference.machine, commit=reference.commit, said=". ".join(said))
    return figure
