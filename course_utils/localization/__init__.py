"""Measure how well a map locates an object: boxes, pixels, the maximum and the energy.

Maps are ``(N, H, W)`` and at the size of the images; boxes are ``(x0, y0, x1, y1)``, inclusive
pixels: a box of one pixel has ``x0 == x1``. Every measure answers something that ``float()`` takes
and that carries the details, the level of chance among them. Chance is that of the measure: a pixel
anywhere for what looks at pixels, a box of the true size anywhere for what looks at boxes.

Two conventions are offered where they differ. ``"standard"`` follows the definitions of Choe et
al. 2020: a pixel is foreground when its value is at least the threshold, and the box is the
tightest one around the component with the most pixels. ``"published"`` reproduces the evaluation
code released with that paper: maps are cut to 8 bits; a pixel must be strictly above the
threshold's share of the map's own maximum, cut to an integer; the largest component is the one
whose outline encloses the largest area, measured between pixel centres; boxes end one pixel late,
where the image allows; a map without a component gives the top left pixel; and the second version
matches every outline, those of holes included. Both join pixels by their eight neighbours and
count a box as found when its IoU is at least ``delta``.
"""

from course_utils.localization.boxes import boxes_from_map, iou
from course_utils.localization.chance import center_baseline, center_map
from course_utils.localization.measures import (
    energy_game,
    max_box_accuracy,
    max_box_accuracy_v2,
    pixel_average_precision,
    pointing_game,
)
from course_utils.localization.scores import (
    BoxAccuracy,
    BoxAccuracyV2,
    CenterBaseline,
    Game,
    PixelPrecision,
)
from course_utils.localization.stored import stored_runs

__all__ = [
    "BoxAccuracy",
    "BoxAccuracyV2",
    "CenterBaseline",
    "Game",
    "PixelPrecision",
    "boxes_from_map",
    "center_baseline",
    "center_map",
    "energy_game",
    "iou",
    "max_box_accuracy",
    "max_box_accuracy_v2",
    "pixel_average_precision",
    "pointing_game",
    "stored_runs",
]
