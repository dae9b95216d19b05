"""Figures of dense nets: what a bottleneck saves, gradients by layer, connections cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.ticker import NullFormatter

from course_utils.experiments import net_name
from course_utils.i18n import _, listed, number
from course_utils.plots.figure import INK, DescribedFigure, family_style, finish
from course_utils.plots.measurements import draw_median, lines
from course_utils.plots.shape import shape_of

__all__ = ["bottleneck_weights", "cut_maps", "gradient_profiles"]

Tables = Sequence[Sequence[Sequence[float]]]


def bottleneck_weights(
    channels: Sequence[int], direct: Sequence[float], narrowed: Sequence[float]
) -> DescribedFigure:
    """Weights of a dense layer with and without a bottleneck, and where the two lines cross.

    Args:
        channels: ``(n,)`` numbers of maps that the layer reads, rising.
        direct: ``(n,)`` weights of its 3×3 convolution alone.
        narrowed: ``(n,)`` weights of 1×1 and 3×3 convolution together.

    Raises:
        ValueError: lists of different lengths, or of less than two points.
    """
    if len({len(channels), len(direct), len(narrowed)}) != 1 or len(channels) < 2:
        raise ValueError(
            _(
                "Give both layers as many numbers of weights as there are numbers of maps, at "
                "least two."
            )
        )
    figure = lines(
        {
            _("3×3 convolution alone"): [direct],
            _("1×1 convolution (bottleneck), then 3×3"): [narrowed],
        },
        x=channels,
        xlabel=_("maps that the layer reads"),
        ylabel=_("weights"),
    )
    (axes,) = figure.axes
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    said = _("The two lines do not cross.")
    crossing = _crossing(channels, np.subtract(direct, narrowed))
    if crossing is not None:
        axes.axvline(crossing, color=INK, linewidth=1, linestyle=":")
        axes.annotate(
            _("{maps} maps").format(maps=number(crossing, 4)),
            (crossing, axes.get_ylim()[1]),
            xytext=(5, -12),
            textcoords="offset points",
            fontsize=10,
        )
        said = _(
            "The lines cross at {maps} maps: below, the bottleneck costs weights, and above, it "
            "saves some."
        ).format(maps=number(crossing, 4))
    figure.description = _(
        "Weights of a layer of a dense block against the number of maps that it reads, as two "
        "straight lines. Without a bottleneck the line starts low and rises fast; with one it "
        "starts higher and rises more slowly. {said}"
    ).format(said=said)
    return figure


def _crossing(where: Sequence[int], gap: npt.NDArray[np.float64]) -> float | None:
    """Where ``gap`` goes from below zero to zero or above, between two points of ``where``."""
    for left, right, low, high in zip(where, where[1:], gap, gap[1:], strict=False):
        if low < 0 <= high:
            return float(left + (right - left) * low / (low - high))
    return None


def gradient_profiles(
    norms: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
) -> DescribedFigure:
    """Norm of the gradient of each convolution, from input to output: a panel a moment.

    Lines are medians of the seeds, bands go from the lowest to the highest.

    Args:
        norms: for each moment, for each net, named ``family-depth``, ``(seeds, convolutions)``
            norms above zero.

    Raises:
        ValueError: nothing to draw, or seeds with different numbers of convolutions.
    """
    if not norms or not all(norms.values()):
        raise ValueError(_("There is nothing to draw: no gradients were given."))
    figure, panels = DescribedFigure.blank((4.6 * len(norms), 4.0), 1, len(norms), sharey=True)
    said = []
    for axes, (moment, nets) in zip(panels, norms.items(), strict=True):
        for name, runs in nets.items():
            family, *depth = name.rsplit("-", 1)
            label = "-".join([net_name(family), *depth])
            middle = draw_median(axes, label, runs, family_style(family) | {"markevery": 6})
            said.append(
                _("{moment}, {net} {shape}, and the largest is {span} times the smallest").format(
                    moment=moment,
                    net=label,
                    shape=shape_of(middle, range(1, len(middle) + 1), logarithmic=True),
                    span=number(float(middle.max() / middle.min()), 3),
                )
            )
        axes.set_yscale("log")
        ylabel = _("norm of the gradient") if axes is panels[0] else ""
        finish(axes, _("convolution, from input to output"), ylabel, moment)
    panels[-1].legend(frameon=False, fontsize=9)
    figure.description = _(
        "Norm of the gradient of each convolution against its place, on a logarithmic scale, "
        "with one panel per moment of the training and one line per network. {said}."
    ).format(said=listed(said))
    return figure


def cut_maps(losses: Tables, intact: float) -> DescribedFigure:
    """What each connection is worth: the loss when one layer no longer reads one source.

    Args:
        losses: for each block, ``(sources, readers)`` losses above zero, each with that one
            connection cut; not a number where there is none. The last reader of a block is the
            transition, or the classifier after the last block.
        intact: the loss with nothing cut.

    Raises:
        ValueError: nothing to draw.
    """
    if not len(losses):
        raise ValueError(_("There is nothing to draw: give one table of losses per block."))
    lowest, highest = (
        float(extreme([extreme(table) for table in losses])) for extreme in (np.nanmin, np.nanmax)
    )
    norm, palette = LogNorm(lowest, highest), matplotlib.colormaps["viridis"]
    figure, panels = DescribedFigure.blank((3.2 * len(losses) + 0.8, 3.4), 1, len(losses))
    said = []
    for place, (axes, table) in enumerate(zip(panels, losses, strict=True), start=1):
        values = np.ma.masked_invalid(np.asarray(table, dtype=float))  # (sources, readers)
        axes.imshow(values, cmap=palette, norm=norm, aspect="equal")
        _write_squares(axes, values, lambda value: sum(palette(norm(value))[:3]) > 1.5)
        last = place == len(losses)
        _name_squares(axes, values.shape, _("classifier") if last else _("T"))
        if last:  # as small as the numbers: the word is wider than its square
            axes.get_xticklabels()[-1].set_fontsize(7)
        axes.set_title(_("block {number}").format(number=place), fontsize=10)
        axes.set_xlabel(_("reader (layer)"))
        low, high = (number(float(one), 3) for one in (values.min(), values.max()))
        said.append(
            _("block {number}, between {low} and {high}").format(number=place, low=low, high=high)
        )
    panels[0].set_ylabel(_("source (layer)"))
    drawn = ScalarMappable(norm, palette)
    bar = figure.colour_bar(drawn, panels, _("loss with this connection cut"), size=10, shrink=0.7)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    figure.description = _(
        "One table of coloured squares per block. Each square is the loss when one layer no "
        "longer reads one source; with nothing cut, the loss is {intact}. T is the transition "
        "after the block. The losses are, for {ranges}."
    ).format(intact=number(intact, 2), ranges=listed(said))
    return figure


def _write_squares(axes: Axes, values: npt.NDArray[Any], light: Callable[[float], bool]) -> None:
    """The number of each square, dark where the square is light."""
    for source, reader in zip(*np.nonzero(~np.ma.getmaskarray(values)), strict=True):
        value = float(values[source, reader])
        text = number(round(value, 2), 3)
        colour = INK if light(value) else "white"
        axes.text(reader, source, text, ha="center", va="center", fontsize=7, color=colour)


def _name_squares(axes: Axes, shape: tuple[int, int], end: str) -> None:
    sources, readers = shape
    axes.set_xticks(range(readers), [*map(str, range(1, readers)), end], fontsize=8)
    axes.set_yticks(range(sources), [_("in"), *map(str, range(1, sources))], fontsize=8)
    axes.spines[:].set_visible(False)
