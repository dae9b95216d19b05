"""Every picture is well drawn: nothing overlaps, nothing is too small, too wide or too faint."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from seeing import contrast

from course_utils import diagrams
from course_utils.diagrams.sketch import Area, Sketch, Words
from course_utils.diagrams.style import CARD, NARROWEST, ROLES, WIDEST
from course_utils.i18n import LANGUAGES, speaking
from course_utils.models import BottleneckBlock, DenseBlock, projection_block

BY_READERS = {
    "bottleneck": lambda: diagrams.draw(BottleneckBlock(64, 16, 64), torch.zeros(1, 64, 8, 8)),
    "projection": lambda: diagrams.draw(projection_block(16, 32), torch.zeros(1, 16, 8, 8)),
    "dense block": lambda: diagrams.draw(DenseBlock(3, 8, 4), torch.zeros(1, 8, 8, 8)),
}
SKETCHES: dict[str, Sketch] = {}


def sketch(name: str) -> Sketch:
    if name not in SKETCHES:
        language, one = name.split(" ", 1)
        with speaking(language):
            drawn = BY_READERS[one]() if one in BY_READERS else diagrams.picture(one)
        SKETCHES[name] = drawn.sketch
    return SKETCHES[name]


every = pytest.mark.parametrize(
    "name",
    [f"{language} {one}" for language in LANGUAGES for one in (*diagrams.PICTURES, *BY_READERS)],
)


def overlap(one: Area, other: Area) -> bool:
    slack = 0.5  # boxes may share an edge
    return (
        one.left + slack < other.right
        and other.left + slack < one.right
        and one.top + slack < other.bottom
        and other.top + slack < one.bottom
    )


def holds(outer: Area, inner: Area) -> bool:
    return (
        outer.left <= inner.left
        and inner.right <= outer.right
        and outer.top <= inner.top
        and inner.bottom <= outer.bottom
    )


def beside(one: Words) -> str:
    return f"{one.text!r} at {one.area}"


@every
def test_no_text_leaves_its_box(name: str) -> None:
    for word in sketch(name).words:
        if word.box and not word.cell:
            inside = word.box.area
            # A slanted or a round side takes room that a rectangle has.
            cut = {"pill": 6.0, "hexagon": 9.0, "funnel": 9.0, "disc": 3.0}
            side = cut.get(word.box.role.outline, 2.0)
            room = Area(
                inside.left + side, inside.top + 2, inside.width - 2 * side, inside.height - 4
            )
            assert holds(room, word.area), beside(word)
        elif word.box and word.cell:
            side = word.box.area.width / len(word.box.cells[0])
            row, column = word.cell
            cell = Area(
                word.box.area.left + side * column, word.box.area.top + side * row, side, side
            )
            assert holds(cell, word.area), beside(word)


@every
def test_no_boxes_overlap(name: str) -> None:
    boxes = sketch(name).boxes
    for one, other in itertools.combinations(boxes, 2):
        if one.pile is not None and one.pile == other.pile:
            continue
        if one.frame and other.frame and "ellipse" in (one.role.outline, other.role.outline):
            continue  # sets of functions
        if one.frame and not other.frame:
            assert holds(one.area, other.area) or not overlap(one.area, other.area)
        elif not (one.frame or other.frame):
            assert not overlap(one.area, other.area), (one.area, other.area)
        elif one.frame and other.frame:
            assert not overlap(one.area, other.area)


@every
def test_no_text_meets_another_or_a_box_that_is_not_its_own(name: str) -> None:
    drawn = sketch(name)
    for one, other in itertools.combinations(drawn.words, 2):
        assert not overlap(one.area, other.area), (beside(one), beside(other))
    for word in drawn.words:
        for box in drawn.boxes:
            if box is not word.box and not box.frame:
                assert not overlap(word.area, box.area), (beside(word), box.area)


def crossings(points: tuple[tuple[float, float], ...], area: Area) -> bool:
    """Whether a line with corners passes through the inside of an area."""
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        for step in range(101):
            x, y = x0 + (x1 - x0) * step / 100, y0 + (y1 - y0) * step / 100
            if area.left + 1 < x < area.right - 1 and area.top + 1 < y < area.bottom - 1:
                return True
    return False


@every
def test_no_arrow_passes_through_a_text_or_a_box(name: str) -> None:
    drawn = sketch(name)
    for line in drawn.lines:
        for word in drawn.words:
            touches_star = word.text == "★"  # what the lines point at
            assert touches_star or not crossings(line.points, word.area), beside(word)
        for box in drawn.boxes:
            if box.frame or box.role.outline == "disc":
                continue
            if box.area.height < 12:  # a mark on the arrow
                continue
            if box.cells and crossings(line.points[:1] * 2, box.area):  # from one of its pixels
                continue
            cut = 9.0 if box.role.outline in ("funnel", "hexagon") else 0.0
            inside = replace(box.area, left=box.area.left + cut, width=box.area.width - 2 * cut)
            assert not crossings(line.points, inside), (line.points, box.area)


@every
def test_no_text_is_smaller_than_11_pixels_on_the_narrowest_page(name: str) -> None:
    width = diagrams.Diagram(sketch(name)).size[0]
    shrink = min(1.0, NARROWEST / width)
    assert min(word.size for word in sketch(name).words) * shrink >= 11


@every
def test_no_picture_is_wider_than_a_page(name: str) -> None:
    assert diagrams.Diagram(sketch(name)).size[0] <= WIDEST


@every
def test_text_stands_out_from_its_ground(name: str) -> None:
    for word in sketch(name).words:
        ground = word.box.role.fill if word.box else CARD
        if word.box and word.cell:
            row, column = word.cell
            ground = word.box.cells[row][column]
        assert contrast(word.colour, ground) >= 4.5, beside(word)


@every
def test_edges_and_arrows_stand_out_from_the_card(name: str) -> None:
    # 3 is what the same guidelines ask of the parts of a drawing.
    for line in sketch(name).lines:
        assert contrast(line.colour, CARD) >= 3
    for box in sketch(name).boxes:
        assert box.frame or contrast(box.role.edge, CARD) >= 3


def test_contrast_is_that_of_the_guidelines() -> None:
    # Grey #767676 on white is the guidelines' own border case of 4.54.
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.005)


def test_a_role_is_told_without_its_colour() -> None:
    roles = [role for name, role in ROLES.items() if name not in ("other", "data")]
    assert len({role.outline for role in roles}) == len(roles)
    assert len({role.fill for role in roles}) == len(roles)


def test_text_is_measured_as_it_is_drawn() -> None:
    drawn = Sketch()
    drawn.box(0, 0, "convolution", ["conv 3×3"])
    figure = diagrams.Diagram(drawn)
    figure.canvas.draw()
    (shown,) = figure.axes[0].texts
    extent = shown.get_window_extent()
    # A window extent has the room of accents and of the advance of letters, the ink less.
    assert drawn.words[0].area.width == pytest.approx(extent.width, abs=2.5)
