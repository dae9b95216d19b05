"""The figures of lesson 5: fronts that nothing dominates, shares that add up, differences drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making_records import record, tiny
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from course_utils import plots
from course_utils.experiments import Record, Store, ablate
from course_utils.models import Budget, compose, summary
from course_utils.models.stages import conv, gap_head, plain

# --- the front --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("costs", "errors", "front"),
    [
        ([3, 1, 2], [0.1, 0.3, 0.2], [1, 2, 0]),  # each better and dearer than the last
        ([3, 1, 2], [0.3, 0.1, 0.2], [1]),  # the cheapest is the best
        ([1, 1], [0.2, 0.1], [1]),  # as cheap, and better
        ([2, 1], [0.1, 0.1], [1]),  # as good, and cheaper
        ([1, 1], [0.1, 0.1], [0, 1]),  # level: neither dominates
        ([], [], []),
    ],
)
def test_the_front_holds_what_nothing_dominates_from_the_cheapest(
    costs: list[float], errors: list[float], front: list[int]
) -> None:
    assert plots.pareto_front(costs, errors) == front


# --- error against cost -----------------------------------------------------------------------


def runs_of(errors: list[float], parameters: int, macs: int) -> list[Record]:
    return [
        record(tiny(seed=seed), test_error=error, parameters=parameters, macs=macs)
        for seed, error in enumerate(errors)
    ]


RUNS = {
    "small": runs_of([0.3, 0.5, 0.4], 10_000, 3_000_000),
    "large": runs_of([0.1, 0.2, 0.3], 50_000, 1_000_000),
    "beaten": runs_of([0.6, 0.6, 0.6], 60_000, 4_000_000),
}


def labelled(axes: Axes, name: str) -> Line2D:
    (line,) = [line for line in axes.lines if line.get_label() == name]
    return line


def points_of(line: Line2D) -> list[tuple[float, float]]:
    x, y = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
    return list(zip(x.tolist(), y.tolist(), strict=True))


def test_a_network_stands_at_its_median_error_in_both_panels() -> None:
    by_parameters, by_macs = plots.error_against_cost(RUNS).axes
    assert points_of(labelled(by_parameters, "small")) == [pytest.approx((10, 40))]
    assert points_of(labelled(by_macs, "small")) == [pytest.approx((3, 40))]


def test_the_front_differs_from_cost_to_cost_and_leaves_out_the_beaten() -> None:
    figure = plots.error_against_cost(RUNS)
    by_parameters, by_macs = figure.axes
    front = points_of(labelled(by_parameters, "Pareto front"))
    assert front == [pytest.approx((10, 40)), pytest.approx((50, 20))]
    assert points_of(labelled(by_macs, "Pareto front")) == [pytest.approx((1, 20))]
    assert "Pareto front by parameters (thousands): small, large" in figure.description
    assert "Pareto front by multiply-adds (millions): large" in figure.description


def test_the_bar_of_a_network_goes_from_its_lowest_to_its_highest_seed() -> None:
    by_parameters, _by_macs = plots.error_against_cost(RUNS).axes
    assert [(10, 30), (10, 50)] in [
        [(x, round(y, 6)) for x, y in points_of(line)] for line in by_parameters.lines
    ]


def test_the_budget_is_a_line_where_it_is_given() -> None:
    panels = plots.error_against_cost(RUNS, budget={"parameters": 40_000}).axes
    assert {x for x, _y in points_of(labelled(panels[0], "budget"))} == {40}
    assert not [line for line in panels[1].lines if line.get_label() == "budget"]


def test_networks_stand_at_their_validation_error_where_all_have_one() -> None:
    chosen_by = [replace(run, validation_error=0.25) for run in RUNS["small"]]
    figure = plots.error_against_cost({"small": chosen_by})
    assert points_of(labelled(figure.axes[0], "small")) == [pytest.approx((10, 25))]
    assert figure.axes[0].get_ylabel() == "validation error (%)"
    assert plots.error_against_cost(RUNS).axes[0].get_ylabel() == "test error (%)"


def test_one_network_is_ringed() -> None:
    def rings(figure: Figure) -> list[tuple[float, float]]:
        return [
            points_of(line)[0]
            for line in figure.axes[0].lines
            if line.get_markersize() == 16 and line.get_markerfacecolor() == "none"
        ]

    assert rings(plots.error_against_cost(RUNS, highlight="large")) == [pytest.approx((50, 20))]
    assert rings(plots.error_against_cost(RUNS)) == []


# --- where a network spends -------------------------------------------------------------------


def test_the_shares_of_each_cost_add_up_and_are_those_of_the_stages() -> None:
    net = compose([conv(4), plain(8, stride=2), gap_head()])
    summed = summary(net, (3, 8, 8), budget=Budget(macs=10))
    figure = plots.stage_costs(summed)
    widths = [
        [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        for axes in figure.axes
    ]
    assert [sum(one) for one in widths] == pytest.approx([100, 100, 100])
    # 9·3·4 weights on 64 positions, then 9·4·8 and 9·8·8 on 16, then 8·10
    macs = [9 * 3 * 4 * 64, (9 * 4 * 8 + 9 * 8 * 8) * 16, 8 * 10]
    shares = [100 * part / sum(macs) for part in macs]
    assert [width for width in widths[1] if width] == pytest.approx(shares)
    assert "multiply-adds is in plain [3×3, 8; 3×3, 8] × 1, /2 (66%)" in figure.description


# --- what a change does -----------------------------------------------------------------------


def test_each_change_has_its_mean_its_interval_and_its_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    base = tiny()
    other = replace(base, learning_rate=0.05)
    for seed, (before, after) in enumerate([(0.10, 0.30), (0.12, 0.34)]):
        store.write(record(replace(base, seed=seed), test_error=before))
        store.write(record(replace(other, seed=seed), test_error=after))
    ablation = ablate(
        base, {"slower": {"learning_rate": 0.05}, "itself": {}}, [0, 1], store, progress=False
    )
    figure = plots.ablation_differences(ablation)
    (axes,) = figure.axes
    drawn = [points_of(line) for line in axes.lines]
    assert any(len(one) == 1 and one[0] == pytest.approx((21, 0)) for one in drawn)
    assert any([x for x, y in one] == pytest.approx([20, 22]) for one in drawn if len(one) == 2)
    low, high = ablation.effects["slower"].test.interval
    assert any(
        [x for x, y in one] == pytest.approx([100 * low, 100 * high])
        for one in drawn
        if len(one) == 2
    )
    assert any(one == [(0, 1)] for one in drawn)
    assert "itself: there is no difference" in figure.description
    assert [label.get_text() for label in axes.get_yticklabels()] == ["slower", "itself"]
