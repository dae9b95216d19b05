"""What there is to see on a figure: its panels, and how a colour stands out from another."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["contrast", "light", "panels"]


def panels(figure: Figure) -> list[Axes]:
    """The axes that hold a picture, colour bars left out."""
    return [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]


def light(colour: str) -> NDArray[np.float64]:
    """Linear red, green and blue of a colour ``#RRGGBB``."""
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, from 1 to 21.

    Source: Web Content Accessibility Guidelines 2.1, which ask for 4.5 between text and ground.
    """
    dark, bright = sorted(light(one) @ (0.2126, 0.7152, 0.0722) for one in (first, second))
    return float((bright + 0.05) / (dark + 0.05))
