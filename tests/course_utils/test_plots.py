"""Figures show what was measured, and say it in words."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from making_records import record, tiny
from PIL import Image

from course_utils import datasets, i18n, plots
from course_utils.experiments import compare


def test_a_figure_is_shown_as_a_png_with_its_description_as_alternative_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(
        "course_utils.plots.figure.display",
        lambda data, raw, metadata=None: shown.append((data, metadata or {})),
    )
    figure = plots.DescribedFigure("A line <that> rises.")
    figure.subplots().plot([0, 1])
    figure._ipython_display_()
    (picture, metadata), (words, _none) = shown
    assert picture["image/png"].startswith(b"\x89PNG")
    assert picture["text/plain"] == "A line <that> rises."
    assert metadata["image/png"]["alt"] == "A line <that> rises."
    assert "A line &lt;that&gt; rises." in words["text/html"]


def test_a_figure_of_photographs_is_shown_as_a_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(
        "course_utils.plots.figure.display",
        lambda data, raw, metadata=None: shown.append((data, metadata or {})),
    )
    pixels = datasets.photograph("flower", side=160)[None]
    plots.scene_grid(pixels, description="A dahlia.")._ipython_display_()
    plots.scene_grid(pixels[..., :64, :64], description="A part of it.")._ipython_display_()
    (large, about), _words, (small, _about), _more = shown
    assert Image.open(io.BytesIO(large["image/jpeg"])).format == "JPEG"
    assert about["image/jpeg"]["alt"] == "A dahlia."
    assert "image/png" in small


def test_the_png_keeps_the_colours_of_the_figure() -> None:
    figure = plots.DescribedFigure("A red square.", (1, 1))
    figure.add_axes((0, 0, 1, 1), facecolor="#D55E00").set_axis_on()
    pixel = Image.open(io.BytesIO(figure.png())).convert("RGB").getpixel((50, 50))
    assert pixel == (0xD5, 0x5E, 0x00)


def test_learning_curves_draw_the_median_of_the_seeds_within_their_range() -> None:
    records = [
        record(tiny(seed=seed), running_errors=(0.6, error))
        for seed, error in enumerate((0.1, 0.2, 0.4))
    ]
    figure = plots.learning_curves(records)
    (line,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert list(line.get_ydata()) == pytest.approx([60, 20])
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((10, 60))
    assert "plain-8 starts at 60.0%, falls to 20.0% at 2" in figure.description


def test_error_by_depth_has_a_dot_a_run_and_says_the_medians() -> None:
    errors = {(8, 0): 0.0, (8, 1): 0.02, (20, 0): 0.5, (20, 1): 0.7}
    records = [record(tiny(depth=d, seed=s), e) for (d, s), e in errors.items()]
    figure = plots.error_by_depth(records)
    dots = {
        (float(x), round(float(y), 6))
        for line in figure.axes[0].lines
        if line.get_linestyle() == "None" or line.get_alpha()
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert dots == {(8, 0), (8, 2), (20, 50), (20, 70)}
    assert "plain: 1.0% at 8, 60.0% at 20" in figure.description


def test_error_by_depth_marks_every_depth_of_every_family() -> None:
    specs = [tiny(depth=8), tiny(depth=20), tiny("dense", depth=10, family_options={})]
    figure = plots.error_by_depth([record(spec) for spec in specs])
    assert figure.axes[0].get_xticks().tolist() == [8, 10, 20]


def test_train_against_test_puts_each_run_at_its_two_errors() -> None:
    figure = plots.train_against_test([record(tiny(), 0.25, test_error=0.5)])
    assert figure.axes[0].collections[0].get_offsets().tolist() == [[25, 50]]
    assert "training 25.0%, test 50.0%" in figure.description


def test_published_training_errors_share_an_axis_with_ours() -> None:
    figure = plots.published_beside([record(tiny(), 0.25)])
    drawn = [line.get_ydata().tolist() for line in figure.axes[0].lines]  # type: ignore[union-attr]
    assert [25.0] in drawn and [0.74, 0.79, 2.76, 3.33] in drawn
    assert "residual, He et al. 2015: 8.8% at 20, 7.5% at 32" in figure.description


def test_interventions_are_filled_where_the_interval_leaves_out_zero() -> None:
    def runs(errors: list[float], **options: Any) -> list[Any]:
        return [record(tiny(seed=seed, **options), error) for seed, error in enumerate(errors)]

    control, worse = [0.5, 0.52, 0.51], [0.7, 0.73, 0.72]
    records = runs(control) + runs(worse, depth=14) + runs([0.4, 0.7, 0.5], depth=20)
    changes = {"worse": {"depth": 14}, "noise": {"depth": 20}}
    figure = plots.interventions(compare(tiny(), changes, records))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["control", "worse", "noise"]
    filled = {
        tuple(line.get_xdata())
        for line in axes.lines
        if len(line.get_xdata()) == 3 and line.get_markerfacecolor() != "white"
    }
    assert filled == {(70, 73, 72)}


def test_rates_and_budgets_have_a_panel_a_depth_and_a_line_a_budget() -> None:
    records = [
        record(tiny(depth=depth, learning_rate=rate, seed=seed), (depth + seed) / 100, steps=steps)
        for depth in (8, 14)
        for rate in (0.1, 0.01)
        for steps in (10, 50)
        for seed in (0, 1, 2)
    ]
    figure = plots.rate_and_budget(records)
    assert [axes.get_title() for axes in figure.axes] == ["depth 8", "depth 14"]
    assert [[*line.get_ydata()] for line in figure.axes[0].lines if len(line.get_xdata())] == [
        pytest.approx([9, 9])
    ] * 2
    assert "plain-14, 50: 15.0% at 0.01, 15.0% at 0.1" in figure.description


def test_a_dose_has_its_gradients_and_its_errors_side_by_side() -> None:
    figure = plots.dose_response({0: [900, 1100], 0.3: [50]}, {0: [0.6], 0.3: [0.02]}, dose="slope")
    assert figure.axes[0].get_yscale() == "log"
    assert "first layer / last: 0 → 1,000; 0.3 → 50" in figure.description
    assert "training error (%): 0 → 60; 0.3 → 2" in figure.description


def test_lines_give_the_shape_of_their_medians_in_words() -> None:
    figure = plots.lines({"a": [[1, 5], [3, 7]]}, xlabel="step", ylabel="loss", logarithmic=True)
    assert "a starts at 2, rises to 6 at 2" in figure.description
    assert figure.axes[0].get_yscale() == "log"


def test_figures_write_numbers_as_the_reader_does() -> None:
    i18n.set_language("fr")
    figure = plots.lines({"a": [[0.5, 1.5]]}, xlabel="x", ylabel="y")
    assert "0,5" in figure.description
    figure.savefig(io.BytesIO(), format="png")  # drawing writes the labels
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert any("," in label for label in labels) and not any("." in label for label in labels)


MAP, IMAGE = torch.ones(2, 4, 4), torch.ones(2, 3, 8, 8)
RUN = record(tiny())
REFUSED: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (plots.learning_curves, ([],), "nothing to draw"),
    (plots.error_by_depth, ([],), "nothing to draw"),
    (plots.error_by_depth, ([RUN], "loss"), "measure must be one of 'train_error', 'test_error'"),
    (plots.error_by_cost, ([],), "nothing to draw"),
    (plots.error_by_cost, ([RUN], "loss"), "measure must be one of 'train_error', 'test_error'"),
    (plots.train_against_test, ([],), "nothing to draw"),
    (plots.published_beside, ([],), "nothing to draw"),
    (plots.rate_and_budget, ([],), "nothing to draw"),
    (plots.lines, ({},), "nothing to draw"),
    (plots.lines, ({"a": [[1, 2], [1]]},), "the same length"),
    (plots.error_dots, ({},), "nothing to draw"),
    (plots.error_dots, ({"100": {}},), "nothing to draw"),
    (plots.score_ladder, ({},), "nothing to draw"),
    (plots.layer_costs, ([], [], [], []), "Give each layer a name"),
    (plots.layer_costs, (["one"], [1, 2], [1, 2], [False, True]), "Give each layer a name"),
    (plots.pixel_mixture, (MAP, torch.ones(3), 0.0, (0, 0)), "there are 3 for maps of"),
    (plots.bottleneck_weights, ([1, 2, 3], [1, 2], [1, 2, 3]), "as many numbers of weights"),
    (plots.bottleneck_weights, ([1], [1], [1]), "as many numbers of weights"),
    (plots.gradient_profiles, ({},), "nothing to draw"),
    (plots.gradient_profiles, ({"start": {}},), "nothing to draw"),
    (plots.gradient_profiles, ({"start": {"plain": [[1, 2], [1, 2, 3]]}},), "the same length"),
    (plots.cut_maps, ([], 0.05), "one table of losses per block"),
    (plots.pareto_front, ([1, 2], [0.5]), "costs as errors: there are 2 and 1"),
    (plots.error_against_cost, ({},), "nothing to draw"),
    (plots.error_against_cost, ({"nothing": []},), "nothing to draw"),
    (plots.map_grid, (MAP[0],), "instead of \\(N, h, w\\)"),
    (plots.map_grid, (MAP * torch.nan,), "NaN"),
    (plots.map_grid, (MAP, IMAGE[:, :2]), "instead of \\(N, 3, H, W\\)"),
    (plots.map_grid, (MAP, IMAGE.repeat(2, 1, 1, 1)), "there are 4 and 2"),
    (plots.map_grid, (MAP, -IMAGE), "denormalised"),
    (plots.scene_grid, (-IMAGE,), "denormalised"),
    (plots.denormalised, (-IMAGE, torch.tensor(0.5), torch.tensor(1.0)), "statistics that the"),
    (plots.denormalised, (IMAGE * torch.nan, MAP[0, 0, 0], MAP[0, 0, 0]), "statistics that the"),
]
NEEDED = {
    plots.lines: {"xlabel": "", "ylabel": ""},
    plots.error_dots: {"xlabel": "", "ylabel": ""},
    plots.score_ladder: {"xlabel": ""},
    plots.scene_grid: {"description": ""},
}


@pytest.mark.parametrize(("draw", "given", "sentence"), REFUSED)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(
    draw: Callable[..., Any], given: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        draw(*given, **NEEDED.get(draw, {}))
