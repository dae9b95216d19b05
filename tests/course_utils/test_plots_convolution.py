"""The figures of lesson 1: what they show is what they were given, and their words say it."""

from __future__ import annotations

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch, Rectangle
from seeing import panels

from course_utils import plots
from course_utils.datasets.digit_sheets import Sheet
from course_utils.detection import Finding


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


# --- what layers cost -------------------------------------------------------------------------


def test_each_layer_has_its_share_of_the_parameters_and_of_the_work() -> None:
    figure = plots.layer_costs(["one", "two"], [10, 30], [900, 100], [False, True])
    left, right = figure.axes
    widths = [[bar.get_width() for bar in axes.patches] for axes in (left, right)]
    assert widths == [[25, 75], [90, 10]]
    assert (
        "75.0% in the fully connected layers; the largest layer is two, with 75.0%"
        in figure.description
    )
    assert (
        "10.0% in the fully connected layers; the largest layer is one, with 90.0%"
        in figure.description
    )


# --- a 1×1 convolution in numbers -------------------------------------------------------------


def test_the_mixture_shows_every_number_and_how_one_is_made() -> None:
    maps = torch.arange(8.0).view(2, 2, 2)
    figure = plots.pixel_mixture(maps, torch.tensor([2.0, -1.0]), 0.5, (1, 0))
    boards = {axes.get_title(): texts(axes)[:4] for axes in panels(figure)}
    drawn = [each for axes in panels(figure) for each in axes.patches]
    arrows = [each for each in drawn if isinstance(each, ConnectionPatch)]
    assert [(each.xy1, each.xy2) for each in arrows] == 2 * [((0.5, 1), (-0.5, 1))]
    assert boards["$F_1$"] == ["0", "1", "2", "3"]
    assert boards["$F_2$"] == ["4", "5", "6", "7"]
    # 2·a − b + 0.5 with a = 0, 1, 2, 3 and b = a + 4.
    assert next(iter(boards.values())) == ["−3.5", "−2.5", "−1.5", "−0.5"]
    assert "row 2 and column 1" in figure.description
    assert "2 × 2 + (−1) × 6 + 0.5 = −1.5" in figure.description


# --- errors by seed ---------------------------------------------------------------------------


def test_every_seed_is_a_dot_and_the_median_is_said() -> None:
    figure = plots.error_dots(
        {"100": {"dense": [0.1, 0.3, 0.2], "gap": [0.05, 0.04, 0.06]}},
        xlabel="images",
        ylabel="error (%)",
        description="Two heads.",
    )
    (axes,) = figure.axes
    drawn = [line.get_ydata().tolist() for line in axes.lines if len(line.get_ydata())]
    assert drawn == [pytest.approx([10, 30, 20]), pytest.approx([5, 4, 6])]
    assert figure.description == "Two heads. 100, dense: 20.0%; 100, gap: 5.0%."


# --- a sheet and what a net answers -----------------------------------------------------------


def small_sheet() -> Sheet:
    return Sheet(torch.rand(1, 12, 16), torch.tensor([[2, 4]]), torch.tensor([1]))


def test_a_sheet_shows_the_likeliest_class_its_probability_and_the_findings() -> None:
    logits = torch.zeros(3, 3, 5)
    logits[1, 1, 2], logits[2, 2, 2] = 10.0, 10.0  # class 2 is "nothing"
    found = [Finding(2, 4, 1, 0.9)]
    figure = plots.sheet_answers(
        small_sheet(), logits, found, side=8, stride=2, num_digits=2, description="A sheet."
    )
    left, middle, right = panels(figure)
    classes = middle.images[0].get_array()
    assert classes[1, 2] == 1 and bool(classes.mask[2, 2])
    assert texts(middle) == ["1"]  # the digit's own window, by the class said there
    # Sure of "nothing" is sure of no digit.
    sure = torch.tensor(right.images[0].get_array())
    assert sure[2, 2] < 1e-4 and sure[1, 2] > 0.999
    (box,) = [patch for patch in left.patches if isinstance(patch, Rectangle)]
    assert (box.get_x(), box.get_y(), box.get_width()) == (3.5, 1.5, 8)
    assert texts(left) == ["1"]
    assert "above 90% in 6.7% of the windows" in figure.description
    assert "1 at row 2, column 4" in figure.description


def test_an_answer_is_drawn_where_the_centre_of_its_window_is() -> None:
    figure = plots.sheet_answers(small_sheet(), torch.zeros(3, 3, 5), side=8, stride=2)
    left, middle, right = panels(figure)
    for axes in (middle, right):
        first, last, bottom, top = axes.images[0].get_extent()
        # The first window has pixels 0 to 7; the last ones begin at column 8 and at row 4.
        assert ((first + 1, top + 1), (last - 1, bottom - 1)) == ((3.5, 3.5), (11.5, 7.5))
        assert (axes.get_xlim(), axes.get_ylim()) == (left.get_xlim(), left.get_ylim())


def test_a_sheet_without_findings_announces_nothing() -> None:
    figure = plots.sheet_answers(small_sheet(), torch.zeros(3, 3, 5), side=8, stride=2)
    assert "No digit is found." in figure.description
    assert panels(figure)[0].get_title() == "the sheet"


def test_logits_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"instead of \(C, rows, columns\)"):
        plots.sheet_answers(small_sheet(), torch.zeros(1, 3, 2, 2), side=8, stride=2)
