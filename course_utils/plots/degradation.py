"""Figures of the degradation experiment: interventions, rates and budgets, published errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from course_utils.degradation import PublishedResult, Reference, published
from course_utils.experiments import Ablation, Record
from course_utils.experiments.families import net_name
from course_utils.i18n import _, listed, named, number, percent
from course_utils.plots.experiments import draw_error_by_depth, listed_errors, require_records
from course_utils.plots.figure import (
    FAMILIES,
    INK,
    DescribedFigure,
    family_style,
    finish,
    marks,
    name_rows,
    style_of,
)

__all__ = [
    "dose_response",
    "interventions",
    "published_beside",
    "rate_and_budget",
    "reference_beside",
]


def interventions(ablation: Ablation) -> DescribedFigure:
    """Training error with each change, a dot a seed, under that of the control and its range.

    The changes go from the highest median error to the lowest. A mark is filled where the paired
    interval against the control leaves out zero.

    Args:
        ablation: what :func:`course_utils.experiments.ablate` or ``compare`` gives.
    """
    control = [100 * record.train_error for record in ablation.records[None]]
    rows = {_("control"): control}
    errors = {
        name: [100 * record.train_error for record in ablation.records[name]]
        for name in ablation.effects
    }
    rows |= dict(sorted(errors.items(), key=lambda row: -median(row[1])))
    figure, (axes,) = DescribedFigure.blank((8.4, 1.4 + 0.42 * len(rows)))
    axes.axvspan(min(control), max(control), color=INK, alpha=0.08, linewidth=0)
    found, not_found = style_of(0), style_of(1) | {"markerfacecolor": "white"}
    said = []
    for place, (name, values) in enumerate(rows.items()):
        effect = ablation.effects.get(name)
        style = found if effect and effect.train.is_larger_than_noise else not_found
        axes.plot(values, [place] * len(values), **marks(style, markersize=6, alpha=0.8))
        axes.plot(median(values), place, "|", color=INK, markersize=18, zorder=4)
        said.append(named(name, percent(median(values) / 100)))
    finish(axes, _("training error (%)"), "")
    axes.set_xlim(-2, 100)
    name_rows(axes, list(rows))
    figure.name_marks(
        {
            _("differs from the control"): marks(found, markersize=7),
            _("difference not established"): marks(not_found, markersize=7),
            _("median"): {"color": INK, "marker": "|", "linestyle": "none", "markersize": 9},
        },
        columns=3,
    )
    figure.description = _(
        "Training error with each change, with one mark per seed, a stroke at the median, and a "
        "grey band over the range of the control. The medians are, from top to bottom, {said}."
    ).format(said=listed(said))
    return figure


def rate_and_budget(records: Sequence[Record]) -> DescribedFigure:
    """Training error against the learning rate: a panel a depth, a line a family and budget.

    Args:
        records: of one experiment at several rates.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    depths = sorted({record.spec.depth for record in records})
    budgets = sorted({record.steps for record in records})
    rates = sorted({record.spec.learning_rate for record in records})
    figure, panels = DescribedFigure.blank((9.2, 4.2), 1, len(depths), sharex=True, sharey=True)
    said = []
    styles = {}
    for axes, depth in zip(panels, depths, strict=True):
        for family in dict.fromkeys(record.spec.family for record in records):
            for index, steps in enumerate(budgets):
                by_rate = _by_rate(records, family, depth, steps)
                if not by_rate:
                    continue
                filled = {} if index else {"markerfacecolor": "white"}
                style = family_style(family) | {"linestyle": ("--", "-", ":")[index % 3]} | filled
                name = _("{family}, {steps} steps").format(
                    family=net_name(family), steps=number(steps, 9)
                )
                styles[name] = style
                low, middle, high = (
                    [100 * of(errors) for errors in by_rate.values()] for of in (min, median, max)
                )
                axes.fill_between(list(by_rate), low, high, color=style["color"], alpha=0.12, lw=0)
                axes.plot(list(by_rate), middle, **style)
                errors = listed_errors(by_rate, middle)
                said.append(named(f"{net_name(family, depth)}, {number(steps, 9)}", errors))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(rates))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _place: number(rate, 3)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        title = _("depth {depth}").format(depth=depth)
        label = _("training error (%)") if axes is panels[0] else ""
        finish(axes, _("learning rate"), label, title)
        _error_scale(axes)
    figure.name_marks(styles, columns=2)
    figure.description = _(
        "Training error against the learning rate, with one panel per depth; lines are medians "
        "of the seeds, and bands go from the lowest to the highest. {said}."
    ).format(said=listed(said))
    return figure


def _by_rate(
    records: Iterable[Record], family: str, depth: int, steps: int
) -> dict[float, list[float]]:
    """Training errors of one net after so many updates, by learning rate."""
    errors: dict[float, list[float]] = {}
    for record in records:
        spec = record.spec
        if (spec.family, spec.depth, record.steps) == (family, depth, steps):
            errors.setdefault(spec.learning_rate, []).append(record.train_error)
    return dict(sorted(errors.items()))


def _error_scale(axes: Axes) -> None:
    """A logarithmic scale of errors in percent that has room for zero."""
    axes.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    ticks = [0, 0.1, 1, 10, 100]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: number(value, 3)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(-0.03, 100)


def dose_response(
    ratios: Mapping[float, Sequence[float]],
    errors: Mapping[float, Sequence[float]],
    *,
    dose: str,
) -> DescribedFigure:
    """What a dose does to the gradients at the start, and to the error at the end.

    Args:
        ratios: for each dose, gradient of the first layer over that of the last, one a seed.
        errors: for each dose, training errors in [0, 1], one a seed.
        dose: what it is.
    """
    figure, panels = DescribedFigure.blank((9.2, 3.7), 1, 2)
    labels = (_("gradient at the start, first layer / last"), _("training error (%)"))
    percents = {value: [100 * error for error in of] for value, of in errors.items()}
    said = []
    for index, (axes, label, rows) in enumerate(
        zip(panels, labels, (ratios, percents), strict=True)
    ):
        style = style_of(index)
        doses = sorted(rows)
        middle = [median(rows[value]) for value in doses]
        for value in doses:
            axes.plot([value] * len(rows[value]), rows[value], **marks(style, alpha=0.5))
        axes.plot(doses, middle, **(style | {"marker": ""}))
        finish(axes, dose, label)
        values = zip(doses, middle, strict=True)
        said.append(named(label, listed(f"{number(v, 2)} → {number(m, 4)}" for v, m in values)))
    panels[0].set_yscale("log")
    panels[1].set_ylim(-2, 100)
    figure.description = _(
        "Two panels against the same dose, {dose}, with one mark per seed and a line through "
        "the medians. {said}."
    ).format(dose=dose, said=listed(said))
    return figure


def published_beside(
    records: Sequence[Record], others: Iterable[Reference] = ()
) -> DescribedFigure:
    """Training errors against depth on one axis, ours and published; beside them test errors.

    The axis is logarithmic, with room for zero, so that points of less than one percent and
    points of several tens can be compared.

    Args:
        records: of one experiment.
        others: what the course keeps, drawn with ours.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    figure, (training, test) = DescribedFigure.blank((10.0, 4.4), 1, 2)
    runs_of = {_this_run(records): records}
    runs_of |= {reference.title: reference.records for reference in others}
    said = []
    drawn: list[tuple[str, str, list[tuple[int, float]]]] = []
    for source, runs in runs_of.items():
        for family in dict.fromkeys(run.spec.family for run in runs):
            errors: dict[int, list[float]] = {}
            for run in runs:
                if run.spec.family == family:
                    errors.setdefault(run.spec.depth, []).append(100 * run.train_error)
            drawn.append((family, source, [(d, fmean(of)) for d, of in errors.items()]))
    drawn += _published_lines("training error (%)")
    for axes, lines in ((training, drawn), (test, _published_lines("test error (%)"))):
        sources = list(dict.fromkeys(source for _family, source, _points in lines))
        for family, source, points in lines:
            depths, values = zip(*sorted(points), strict=True)
            look = style_of(sources.index(source))
            style = look | {"color": family_style(family)["color"]}
            axes.plot(depths, values, label=f"{net_name(family)} – {source}", **style)
            said.append(named(f"{net_name(family)}, {source}", listed_errors(depths, values)))
        axes.legend(frameon=False, fontsize=7.5)
        axes.set_xticks([20, 32, 44, 56, 110] if axes is test else [8, 20, 32, 44, 56])
    finish(training, _("depth (weight layers)"), _("training error (%)"))
    _error_scale(training)
    test.set_ylim(0, 20)
    finish(test, _("depth (weight layers)"), _("test error (%)"), _("published: CIFAR-10"))
    figure.description = _(
        "On the left, mean training errors of this run and of published ones on CIFAR-10, on "
        "one logarithmic axis; on the right, published test errors. {said}."
    ).format(said=listed(said))
    return figure


def _this_run(records: Sequence[Record]) -> str:
    """What the legends call the reader's own runs."""
    spec = records[0].spec
    titles = {"digits": _("digits"), "digit_scenes": _("scenes of digits"), "cifar10": "CIFAR-10"}
    return _("{data} (this run)").format(data=titles.get(spec.dataset, spec.dataset))


def _published_lines(measure: str) -> list[tuple[str, str, list[tuple[int, float]]]]:
    """Family, source and ``(depth, error)`` of each published line."""
    lines: dict[tuple[str, str], list[PublishedResult]] = {}
    for row in published("CIFAR-10", measure):
        if row.family in FAMILIES and row.depth is not None and row.depth <= 110:
            lines.setdefault((row.family, row.source.split(" (")[0]), []).append(row)
    return [
        (family, source, [(row.depth or 0, row.value) for row in rows])
        for (family, source), rows in lines.items()
    ]


def reference_beside(records: Sequence[Record], reference: Reference) -> DescribedFigure:
    """Our training errors against depth beside those of a larger experiment kept with the course.

    Args:
        records: of one experiment.
        reference: what the course keeps, see :func:`course_utils.degradation.references`.

    Raises:
        ValueError: no records.
    """
    require_records(records)
    figure, panels = DescribedFigure.blank((9.2, 3.9), 1, 2, sharey=True)
    said = []
    titles = (
        _this_run(records),
        f"{reference.title}, {reference.date}",
    )
    for axes, title, runs in zip(panels, titles, (records, reference.records), strict=True):
        said.append(named(title, draw_error_by_depth(axes, runs)))
        ylabel = _("training error (%)") if axes is panels[0] else ""
        finish(axes, _("depth (weight layers)"), ylabel, title)
    figure.description = _(
        "Training error against depth, with one dot per seed and a line through the medians. On "
        "the left is this run; on the right, a larger one ({machine}, commit {commit}). {said}."
    ).format(machine=reference.machine, commit=reference.commit, said=". ".join(said))
    return figure
