"""Figures that carry their description, and the look that all of them share."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Self

from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
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
    "marks",
    "name_rows",
    "span",
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
    """A matplotlib figure that a notebook shows as a picture with its description.

    The description is the picture's alternative text, and stands in its place where pictures are
    not shown. Everything that a ``Figure`` can do, ``savefig`` included, works as usual.

    Args:
        description: what there is to see, in words and numbers.
        inches: width and height.
    """

    size: tuple[int, int] | None = None
    """Width and height at which it is shown, in pixels; its own by default."""
    photographic = False
    """Whether a notebook shows it as a JPEG, a third of the bytes of a PNG for photographs."""

    def __init__(self, description: str, inches: tuple[float, float] = (8.0, 4.0)) -> None:
        super().__init__(figsize=inches, dpi=100, facecolor="white", layout="constrained")
        self.description = description

    @classmethod
    def blank(
        cls, inches: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any
    ) -> tuple[Self, list[Axes]]:
        """A figure still to be described, and its panels, row by row."""
        figure = cls("", inches)
        return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)

    def colour_bar(
        self, drawn: Any, axes: Any, label: str = "", size: float = 8, **options: Any
    ) -> Colorbar:
        """A colour bar, its numbers of this size, written as the reader's language does."""
        bar = self.colorbar(drawn, ax=axes, **options)
        bar.formatter = _numbers(3)
        bar.ax.tick_params(labelsize=size)
        bar.set_label(label, fontsize=9)
        return bar

    def name_marks(self, styles: Mapping[str, dict[str, Any]], columns: int) -> None:
        """A legend above all panels that shows a marker for each name."""
        for name, style in styles.items():
            self.axes[0].plot([], [], label=name, **style)
        self.legend(frameon=False, fontsize=9, loc="outside upper center", ncols=columns)

    def png(self) -> bytes:
        """The figure as a PNG of 256 colours: half the bytes, and a notebook holds a dozen."""
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        picture = Image.open(stream).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        stream = io.BytesIO()
        picture.save(stream, format="png", optimize=True)
        return stream.getvalue()

    def jpeg(self) -> bytes:
        """The figure as a JPEG."""
        stream = io.BytesIO()
        self.savefig(stream, format="jpeg", pil_kwargs={"quality": 70, "optimize": True})
        return stream.getvalue()

    def _ipython_display_(self) -> None:
        """Show the picture, then its description, folded: not every reader shows ``alt``."""
        about: dict[str, Any] = {"alt": self.description}
        if self.size is not None:
            about |= {"width": self.size[0], "height": self.size[1]}
        kind = "image/jpeg" if self.photographic else "image/png"
        content = self.jpeg() if self.photographic else self.png()
        picture = {kind: content, "text/plain": self.description}
        display(picture, raw=True, metadata={kind: about})
        summary = escape(_("Description of the figure"))
        words = f"<details><summary>{summary}</summary><p>{escape(self.description)}</p></details>"
        display({"text/html": words, "text/plain": ""}, raw=True)


def style_of(index: int) -> dict[str, Any]:
    """Colour, line and marker of the ``index``-th series: each told apart by all three."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def family_style(name: str, deeper: int = 0) -> dict[str, Any]:
    """The style of a family of nets, the same in every figure; another where nets are deeper."""
    place = FAMILIES.index(name) if name in FAMILIES else len(FAMILIES)
    return style_of(place + len(FAMILIES) * deeper)


def marks(style: dict[str, Any], **look: Any) -> dict[str, Any]:
    """The style without its line."""
    return style | {"linestyle": "none"} | look


def _numbers(digits: int) -> FuncFormatter:
    """Labels of an axis as the reader's language writes numbers."""
    return FuncFormatter(lambda value, _position: number(value, digits))


def span(
    axes: Axes, low: float, middle: float, high: float, row: int, style: dict[str, Any]
) -> None:
    """A mark in the middle of a bar from the lowest to the highest, on a row of its own."""
    axes.plot([low, high], [row, row], color=style["color"], linewidth=4, alpha=0.35)
    axes.plot(middle, row, **marks(style, markersize=9))


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """A name for each row, the first above; after :func:`finish`, which gives the axis numbers."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def finish(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    """Labels, a light grid, no box, and numbers written as the reader's language does."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_formatter(_numbers(6))
