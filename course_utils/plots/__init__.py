"""Every figure that a lesson shows, each with a description for those who cannot see it."""

from course_utils.plots.cam import denormalised, map_grid, scene_grid
from course_utils.plots.convolution import (
    layer_costs,
    pixel_mixture,
    sheet_answers,
)
from course_utils.plots.degradation import (
    dose_response,
    interventions,
    published_beside,
    rate_and_budget,
    reference_beside,
)
from course_utils.plots.densenet import (
    bottleneck_weights,
    cut_maps,
    gradient_profiles,
)
from course_utils.plots.designs import (
    ablation_differences,
    error_against_cost,
    pareto_front,
    stage_costs,
)
from course_utils.plots.experiments import (
    error_by_cost,
    error_by_depth,
    learning_curves,
    train_against_test,
)
from course_utils.plots.figure import DescribedFigure
from course_utils.plots.measurements import error_dots, lines, score_ladder

__all__ = [
    "DescribedFigure",
    "ablation_differences",
    "bottleneck_weights",
    "cut_maps",
    "denormalised",
    "dose_response",
    "error_against_cost",
    "error_by_cost",
    "error_by_depth",
    "error_dots",
    "gradient_profiles",
    "interventions",
    "layer_costs",
    "learning_curves",
    "lines",
    "map_grid",
    "pareto_front",
    "pixel_mixture",
    "published_beside",
    "rate_and_budget",
    "reference_beside",
    "scene_grid",
    "score_ladder",
    "sheet_answers",
    "stage_costs",
    "train_against_test",
]
