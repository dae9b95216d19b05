"""The one look of every diagram: a colour and an outline a role, a type scale, an arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CARD",
    "EDGE",
    "FAINT",
    "INK",
    "LARGE",
    "MARGIN",
    "MEDIUM",
    "NARROWEST",
    "RIM",
    "ROLES",
    "SHORTCUT",
    "SMALL",
    "STROKE",
    "WIDEST",
    "Outline",
    "Role",
]

Outline = Literal["square", "round", "pill", "funnel", "disc", "hexagon", "plaque", "ellipse"]

# Sizes are CSS pixels: a picture is shown one unit a pixel.
WIDEST = 890  # what a notebook's page leaves in JupyterLab, Colab and GitHub
NARROWEST = 820  # of those pages: the smallest text still has 11 pixels there
SMALL, MEDIUM, LARGE = 12.0, 14.0, 17.0
MARGIN = 22.0
STROKE = 1.6

INK = "#1B1F24"
FAINT = "#4A525C"  # second lines: shapes and numbers of parameters
CARD = "#FFFFFF"  # a picture brings its own ground, for pages that are dark
RIM = "#C9CFD6"
EDGE = "#5A636E"  # of pixels and bars
SHORTCUT = "#C24E00"  # Okabe and Ito's vermilion, dark enough for a thin line on white


@dataclass(frozen=True)
class Role:
    """What a box stands for: told by its colour, and by its outline where there is none."""

    fill: str
    edge: str
    outline: Outline
    ink: str = INK


# Tints of Okabe and Ito's eight colours, one a role; black is the addition and vermilion the
# shortcut. Each role has an outline of its own too, for those who print in grey.
ROLES = {
    "convolution": Role("#A9D3F0", "#00598C", "square"),
    "normalisation": Role("#A6DFCB", "#006B4D", "round"),
    "activation": Role("#F9D48A", "#8A5A00", "pill"),
    "pooling": Role("#EFC3DA", "#8E3A69", "funnel"),
    "linear": Role("#D6EFFC", "#2B6F94", "hexagon"),
    "addition": Role("#1B1F24", "#1B1F24", "disc", "#FFFFFF"),
    "concatenation": Role("#F6EE93", "#6E6300", "plaque"),
    "other": Role("#E4E7EB", "#5A636E", "round"),
    "data": Role("#FFFFFF", "#8A939D", "round"),
}
