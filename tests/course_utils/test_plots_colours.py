"""The colours of the figures: seen on their ground, and told apart by the colour-blind."""

from __future__ import annotations

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from seeing import contrast, light

from course_utils.diagrams.style import CARD, FAINT, SHORTCUT
from course_utils.diagrams.style import INK as DIAGRAM_INK
from course_utils.plots.figure import INK, PALETTE, style_of

WHITE = "#FFFFFF"
# Light RGB as it is seen by eyes that lack a kind of cones.
# Source: Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", 2009, at severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# The difference in L*, a* or b* that half of the readers notice between two marks a third of a
# degree wide: a marker of 13 pixels, 60 cm from the eyes.
# Source: Stone, Szafir and Setlur, "An Engineering Model for Color Difference as a Function of
# Size", 2014: p (C + K / s), with p = 0.5 and s = 1/3.
NOTICED = 0.5 * (np.array([10.16, 10.68, 10.70]) + 3 * np.array([1.50, 3.08, 5.74]))
# From linear sRGB to CIE XYZ, and the white of both: IEC 61966-2-1, D65.
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def seen(colour: str, eyes: str) -> np.ndarray:
    """A colour ``#RRGGBB`` as CIE L*a*b*, through such eyes."""
    through = np.clip(EYES[eyes] @ light(colour), 0, 1)
    share = (XYZ @ through) / XYZ.sum(1)
    x, y, z = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def are_told_apart(first: str, second: str, eyes: str) -> bool:
    return bool((np.abs(seen(first, eyes) - seen(second, eyes)) >= NOTICED).any())


def test_the_measure_of_colours_is_right_where_it_is_known() -> None:
    np.testing.assert_allclose(seen(WHITE, "all cones"), [100, 0, 0], atol=0.01)
    np.testing.assert_allclose(seen("#FF0000", "all cones"), [53.24, 80.09, 67.20], atol=0.05)
    # What such eyes confuse: a red and a green of one lightness, a blue and a green.
    assert not are_told_apart("#A06428", "#787828", "deuteranopia")
    assert are_told_apart("#A06428", "#787828", "all cones")
    # Grey stays grey, whatever the eyes.
    for eyes in EYES:
        np.testing.assert_allclose(seen("#808080", eyes)[1:], [0, 0], atol=0.1)


def test_text_stands_out_from_its_ground() -> None:
    assert contrast(INK, WHITE) >= 4.5
    # Labels of axes and legends are in matplotlib's own ink, and a style of the reader's may change
    # it: this is the one that lessons are run with.
    for name in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
        ink = matplotlib.colors.to_hex(matplotlib.rcParamsDefault[name])
        assert contrast(ink, WHITE) >= 4.5
    assert min(contrast(ink, CARD) for ink in (DIAGRAM_INK, FAINT)) >= 4.5


def test_lines_and_markers_stand_out_from_their_ground() -> None:
    # Source: Web Content Accessibility Guidelines 2.1, 1.4.11: 3 between a graphic and its ground.
    for colour in PALETTE:
        assert contrast(colour, WHITE) >= 3, colour
    assert contrast(SHORTCUT, CARD) >= 3


@pytest.mark.parametrize("eyes", EYES)
def test_any_two_series_are_told_apart_by_colour_through_any_eyes(eyes: str) -> None:
    confused = [pair for pair in combinations(PALETTE, 2) if not are_told_apart(*pair, eyes)]
    assert confused == []


def test_any_two_series_are_told_apart_without_colour() -> None:
    for name in ("linestyle", "marker"):
        assert len({style_of(index)[name] for index in range(len(PALETTE))}) == len(PALETTE)
