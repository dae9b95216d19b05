"""Figures of networks one designs: what stages cost, error against cost, what a change does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from matplotlib.axes import Axes

from course_utils.experiments import Ablation, Record
from course_utils.i18n import _, listed, named, percent
from course_utils.models import Summary
from course_utils.plots.figure import INK, DescribedFigure, finish, marks, name_rows, span, style_of

__all__ = ["ablation_differences", "error_against_cost", "pareto_front", "stage_costs"]


def pareto_front(costs: Sequence[float], errors: Sequence[float]) -> list[int]:
    """Indices of the points that no other dominates, from the cheapest to the dearest.

    A point is dominated when another has neither a higher cost nor a higher error, and one of the
    two is lower. Points exactly level do not dominate each other.

    Args:
        costs, errors: one number a point, in any unit.

    Raises:
        ValueError: as many costs as errors are needed.

    >>> pareto_front([1, 2, 3], [0.3, 0.4, 0.1])
    [0, 2]
    """
    if len(costs) != len(errors):
        raise ValueError(
            _("There must be as many costs as errors: there are {costs} and {errors}.").format(
                costs=len(costs), errors=len(errors)
            )
        )
    points = list(zip(costs, errors, strict=True))

    def dominated(point: tuple[float, float]) -> bool:
        return any(
            other != point and other[0] <= point[0] and other[1] <= point[1] for other in points
        )

    kept = [index for index, point in enumerate(points) if not dominated(point)]
    return sorted(kept, key=lambda index: points[index])


def error_against_cost(
    runs: Mapping[str, Sequence[Record]],
    *,
    budget: Mapping[str, float] | None = None,
    highlight: str | None = None,
) -> DescribedFigure:
    """Error against what a network costs, one panel a cost, with the Pareto front.

    It is the validation error where the records have one, and else the test error. A marker is
    the median over the seeds, its bar the lowest and the highest.

    Args:
        runs: for each network, its records, one a seed.
        budget: the most ``"parameters"`` and ``"macs"`` allowed, drawn as a line where given.
        highlight: name of the network to ring.

    Raises:
        ValueError: nothing to draw, or a network without records.

    >>> error_against_cost({})
    Traceback (most recent call last):
    ValueError: There is nothing to draw: no records were given.
    """
    if not runs or not all(runs.values()):
        raise ValueError(_("There is nothing to draw: no records were given."))
    costs = {
        "parameters": (_("parameters (thousands)"), 1e3),
        "macs": (_("multiply-adds (millions)"), 1e6),
    }
    errors = [median(run.judged_error for run in of) for of in runs.values()]
    chosen_by = all(run.validation_error is not None for of in runs.values() for run in of)
    judge = _("validation error") if chosen_by else _("test error")
    figure, panels = DescribedFigure.blank((9.4, 4.2), 1, len(costs), sharey=True)
    said = [named(name, percent(error)) for name, error in zip(runs, errors, strict=True)]
    for axes, (cost, (label, unit)) in zip(panels, costs.items(), strict=True):
        prices = [getattr(of[0], cost) / unit for of in runs.values()]
        front = pareto_front(prices, errors)
        axes.plot(
            [prices[i] for i in front],
            [100 * errors[i] for i in front],
            color=INK,
            linewidth=1,
            linestyle=(0, (4, 3)),
            label=_("Pareto front"),
            zorder=1,
        )
        for index, (name, of) in enumerate(runs.items()):
            _draw_point(axes, index, name, prices[index], of, ringed=name == highlight)
        if budget is not None and cost in budget:
            limit = budget[cost] / unit
            axes.axvline(limit, color="#888888", linewidth=1.2, label=_("budget"))
        finish(axes, label, f"{judge} (%)" if axes is panels[0] else "")
        axes.set_xlim(0, 1.04 * axes.get_xlim()[1])
        axes.set_ylim(0, 112 * max(run.judged_error for of in runs.values() for run in of))
        on_front = ", ".join(list(runs)[index] for index in front)
        said.append(_("Pareto front by {cost}: {front}").format(cost=label, front=on_front))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=4)
    figure.description = _(
        "Two panels show the {error} against the number of parameters and against "
        "multiply-adds. Each network has a marker at the median of its seeds and a bar from the "
        "lowest to the highest; a line joins the networks that no other dominates. Medians and "
        "fronts are as follows: {said}."
    ).format(error=judge, said=listed(said))
    return figure


def _draw_point(
    axes: Axes, index: int, name: str, price: float, of: Sequence[Record], *, ringed: bool
) -> None:
    style = style_of(index)
    errors = [100 * run.judged_error for run in of]
    ends = [min(errors), max(errors)]
    axes.plot([price, price], ends, color=style["color"], linewidth=3, alpha=0.4)
    axes.plot(price, median(errors), label=name, **marks(style, markersize=8))
    if ringed:
        ring = {"color": INK, "marker": "o", "markerfacecolor": "none", "markeredgewidth": 1.3}
        axes.plot(price, median(errors), **marks(ring, markersize=16))


def stage_costs(summary: Summary) -> DescribedFigure:
    """Where a network spends: the share of each stage in parameters, multiply-adds, activations.

    Args:
        summary: what :func:`course_utils.models.summary` gives.

    Raises:
        ValueError: a network without stages.
    """
    rows = list(summary.rows)
    if not rows:
        raise ValueError(_("There is nothing to draw: the network has no stages."))
    columns = {
        _("parameters"): [row.parameters for row in rows],
        _("multiply-adds"): [row.macs for row in rows],
        _("activations kept"): [row.activations or 0 for row in rows],
    }
    inches = (9.4, 1.3 + 0.42 * len(rows))
    figure, panels = DescribedFigure.blank(inches, 1, len(columns), sharey=True)
    places = range(len(rows))
    said = []
    for index, (axes, (title, values)) in enumerate(zip(panels, columns.items(), strict=True)):
        total = sum(values) or 1
        shares = [100 * value / total for value in values]
        axes.barh(places, shares, color=style_of(index)["color"], height=0.62)
        for place, share in zip(places, shares, strict=True):
            axes.annotate(
                percent(share / 100, 0),
                (share, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        axes.set_xlim(0, 118)
        finish(axes, _("share (%)"), "", title)
        axes.set_xticks([0, 25, 50, 75, 100])
        largest = max(places, key=lambda place: values[place])
        said.append(
            _("the largest share of the {what} is in {stage} ({share})").format(
                what=title, stage=rows[largest].layers, share=percent(shares[largest] / 100, 0)
            )
        )
    name_rows(panels[0], [row.layers for row in rows])
    figure.description = _(
        "Three bar charts with one bar per stage, from the input to the output: its share of "
        "the parameters, of the multiply-adds, and of the activations kept for the gradient. "
        "{said}."
    ).format(said=listed(said))
    return figure


def ablation_differences(ablation: Ablation) -> DescribedFigure:
    """What each change does to the error it is judged by: the mean difference and its interval.

    A filled marker is a difference that is established, a hollow one is not; the strokes are
    the seeds.

    Args:
        ablation: what :func:`course_utils.experiments.ablate` gives.
    """
    effects = list(ablation.effects.values())
    figure, (axes,) = DescribedFigure.blank((8.4, 1.4 + 0.55 * len(effects)))
    axes.axvline(0, color=INK, linewidth=1)
    noise = style_of(1) | {"markerfacecolor": "white"}
    for place, effect in enumerate(effects):
        found = effect.judged
        low, high = (100 * bound for bound in found.interval)
        style = style_of(0) if found.is_larger_than_noise else noise
        span(axes, low, 100 * found.mean, high, place, style)
        seeds = [100 * value for value in found.by_seed.values()]
        axes.plot(seeds, [place] * len(seeds), "|", color=INK, markersize=16, zorder=4)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -100), min(high, 100))  # an error changes by 100 points at most
    finish(axes, _("change in {error} (points)").format(error=ablation.judge), "")
    name_rows(axes, [effect.name for effect in effects])
    legend = {
        _("established"): marks(style_of(0), markersize=8),
        _("not established"): marks(noise, markersize=8),
        _("a seed"): {"color": INK, "marker": "|", "linestyle": "none", "markersize": 9},
    }
    figure.name_marks(legend, columns=3)
    figure.description = _(
        "One row per change, with the mean change in {error} over the seeds, its interval, and "
        "a vertical line at zero. {said}"
    ).format(error=ablation.judge, said=str(ablation).replace("\n", " "))
    return figure
