"""Figures that carry their description, and the look that all of them share."""

from __future__ import annotations

import io
from html import escape
from typing import Any

from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from course_utils.i18n import _, number

__all__ = [
    "FAMILIES",
    "INK",
    "DescribedFigure",
    "family_style",
    "finish",
    "style_of",
]

# Okabe and Ito's first four, then two darker than theirs, which white drowns: told apart by the
# colour-blind, and each has a line and a marker.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A5A00", "#0096FF")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
FAMILIES = ("residual", "plain", "dense")
INK = "#222222"


class DescribedFigure(Figure):
    """A matplotlib figure that a notebook shows as a PNG with its description.

    The description is the picture's alternative text, and stands in its place where pictures are
    not shown. Everything that a ``Figure`` can do, ``savefig`` included, works as usual.

    Args:
        description: what there is to see, in words and numbers.
        inches: width and height.
    """

    size: tuple[int, int] | None = None
    """Width and height at which it is shown, in pixels; its own by default."""

    def __init__(self, description: str, inches: tuple[float, float] = (8.0, 4.0)) -> None:
        super().__init__(figsize=inches, dpi=100, facecolor="white", layout="constrained")
        self.description = description

    def png(self) -> bytes:
        """The figure as a PNG of 256 colours: half the bytes, and a notebook holds a dozen."""
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        picture = Image.open(stream).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        stream = io.BytesIO()
        picture.save(stream, format="png", optimize=True)
        return stream.getvalue()

    def _ipython_display_(self) -> None:
        """Show the picture, then its description, folded: not every reader shows ``alt``."""
        about: dict[str, Any] = {"alt": self.description}
        if self.size is not None:
            about |= {"width": self.size[0], "height": self.size[1]}
        picture = {"image/png": self.png(), "text/plain": self.description}
        display(picture, raw=True, metadata={"image/png": about})  # type: ignore[no-untyped-call]
        summary = escape(_("Description of the figure"))
        words = f"<details><summary>{summary}</summary><p>{escape(self.description)}</p></details>"
        display({"text/html": words, "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]


def style_of(index: int) -> dict[str, Any]:
    """Colour, line and marker of the ``index``-th series: each told apart by all three."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def family_style(name: str) -> dict[str, Any]:
    """The style of a family of nets: the same in every figure."""
    return style_of(FAMILIES.index(name) if name in FAMILIES else len(FAMILIES))


def finish(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    """Labels, a light grid, no box, and numbers written as the reader's language does."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_formatter(FuncFormatter(lambda value, _position: number(value, 6)))
