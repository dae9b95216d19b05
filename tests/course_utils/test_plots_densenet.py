"""The figures of lesson 4: what they show is what they were given, and their words say it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from making_records import record, tiny

from course_utils import plots

# --- what a bottleneck saves ------------------------------------------------------------------


def test_the_crossing_of_the_two_lines_is_drawn_and_said() -> None:
    # 9C against 4C + 36: equal at C = 7.2, between two whole numbers.
    maps = range(1, 12)
    figure = plots.bottleneck_weights(maps, [9 * c for c in maps], [4 * c + 36 for c in maps])
    axes = figure.axes[0]
    upright = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert [line.get_xdata()[0] for line in upright] == [pytest.approx(7.2)] * len(upright)
    assert len(upright) == 1
    assert "cross at 7.2 maps" in figure.description
    assert [text.get_text() for text in axes.texts] == ["7.2 maps"]


def test_lines_that_do_not_cross_are_said_not_to() -> None:
    figure = plots.bottleneck_weights([1, 2], [1, 2], [3, 4])
    assert "do not cross" in figure.description
    assert len(figure.axes[0].lines) == 2


# --- gradients by layer -----------------------------------------------------------------------


def test_gradients_have_a_panel_a_moment_and_a_line_a_net() -> None:
    figure = plots.gradient_profiles(
        {
            "start": {"plain": [[8, 2, 1], [4, 2, 1]], "dense": [[1, 1, 1]]},
            "later": {"plain": [[1, 2, 4]], "dense": [[1, 1, 2]]},
        }
    )
    start, later = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["start", "later"]
    assert [line.get_ydata().tolist() for line in start.lines] == [[6, 2, 1], [1, 1, 1]]
    assert start.get_yscale() == later.get_yscale() == "log"
    assert "and the largest is 6 times the smallest" in figure.description
    assert (
        "later, dense stays near 1 until 2, then rises to 2 at 3, and the largest is 2 times"
        in figure.description
    )


# --- error against cost -----------------------------------------------------------------------


def test_error_by_cost_has_a_mark_a_run_and_a_large_one_for_the_medians() -> None:
    records = [
        record(tiny(seed=seed), error, parameters=2000, macs=3_000_000, seconds=seconds)
        for seed, (error, seconds) in enumerate(((0.1, 4.0), (0.2, 5.0), (0.6, 9.0)))
    ]
    figure = plots.error_by_cost(records)
    for axes, cost in zip(figure.axes, ([2, 2, 2], [3, 3, 3], [4, 5, 9]), strict=True):
        small, large = axes.lines
        assert list(small.get_xdata()) == cost
        assert list(small.get_ydata()) == pytest.approx([10, 20, 60])
        assert (list(large.get_xdata()), list(large.get_ydata())) == ([cost[1]], [20])
    assert (
        "plain-8: 20.0% (from 10.0% to 60.0%), 2,000 parameters, 3 million multiply-adds"
        in figure.description
    )


def test_nets_of_one_family_and_two_depths_are_two_nets() -> None:
    figure = plots.error_by_cost([record(tiny(depth=8)), record(tiny(depth=20))], "test_error")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["plain-8", "plain-20"]
    markers = {line.get_marker() for line in figure.axes[0].lines}
    assert len(markers) == 2
    assert figure.axes[0].get_ylabel() == "test error (%)"


# --- connections cut ----------------------------------------------------------------------------

NO = math.nan


def test_cuts_have_a_panel_a_block_and_no_square_where_there_is_no_connection() -> None:
    figure = plots.cut_maps([[[1.0, 1.0], [NO, 1.0]], [[1.0, 0.5], [NO, 1.5]]], 0.5)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["block 1", "block 2"]
    shown = panels[1].images[0].get_array()
    assert shown.filled(NO).tolist()[0] == [1.0, 0.5]
    assert bool(np.ma.getmaskarray(shown)[1, 0])
    assert [axes.get_xticklabels()[-1].get_text() for axes in panels] == ["T", "classifier"]
    assert "block 1, between 1 and 1; block 2, between 0.5 and 1.5" in figure.description


def test_cuts_show_the_loss_of_each_and_say_the_one_of_none() -> None:
    figure = plots.cut_maps([[[1.0, 0.5], [NO, 0.1]]], 0.05)
    (axes,) = [axes for axes in figure.axes if axes.images]
    assert sorted(text.get_text() for text in axes.texts) == ["0.1", "0.5", "1"]
    assert axes.images[0].norm(0.1) == 0 and axes.images[0].norm(1.0) == 1
    assert "with nothing cut, the loss is 0.05" in figure.description
