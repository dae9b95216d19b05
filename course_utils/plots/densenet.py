"""Figures of dense nets: what a bottleneck saves, gradients by layer, error by cost, map reuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.ticker import FuncFormatter, NullFormatter

from course_utils.experiments import Record
from course_utils.i18n import _, number, percent
from course_utils.plots.experiments import error_name, require_records
from course_utils.plots.figure import FAMILIES, INK, DescribedFigure, finish, style_of

__all__ = ["bottleneck_weights", "cut_maps", "error_by_cost", "gradient_profiles", "reuse_maps"]


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
            _("Give as many numbers of weights as of maps, for both layers, and two at least.")
        )
    figure = DescribedFigure("", (7.2, 4.0))
    axes = figure.subplots()
    for index, (values, label) in enumerate(
        (
            (direct, _("3×3 convolution alone")),
            (narrowed, _("1×1 convolution (bottleneck), then 3×3")),
        )
    ):
        style = style_of(index) | {"markevery": max(1, len(channels) // 8), "markersize": 5}
        axes.plot(channels, values, label=label, **style)
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
            "They cross at {maps} maps: the bottleneck costs weights below, and saves some above."
        ).format(maps=number(crossing, 4))
    finish(axes, _("maps that the layer reads"), _("weights"))
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.description = _(
        "Two rising lines, weights of a dense layer against the maps that it reads, with and "
        "without a bottleneck; the second starts higher and rises more slowly. {said}"
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
    figure = DescribedFigure("", (4.6 * len(norms), 4.0))
    panels = figure.subplots(1, len(norms), sharey=True, squeeze=False)[0]
    said = []
    for axes, (moment, nets) in zip(panels, norms.items(), strict=True):
        for name, runs in nets.items():
            if len({len(run) for run in runs}) != 1:
                raise ValueError(
                    _("Series {name!r} needs repetitions of one length, and at least one.").format(
                        name=name
                    )
                )
            table = np.asarray(runs, dtype=float)  # (seeds, convolutions)
            where = np.arange(1, table.shape[1] + 1)
            style = _net_style(name.rsplit("-", 1)[0], 0) | {"markevery": 6, "markersize": 5}
            axes.fill_between(
                where, table.min(0), table.max(0), color=style["color"], alpha=0.15, linewidth=0
            )
            middle = np.median(table, 0)
            axes.plot(where, middle, label=name, **style)
            said.append(
                _("{moment}, {name}: first {first}, last {last}, largest / smallest {span}").format(
                    moment=moment,
                    name=name,
                    first=number(middle[0], 3),
                    last=number(middle[-1], 3),
                    span=number(float(middle.max() / middle.min()), 3),
                )
            )
        axes.set_yscale("log")
        finish(
            axes,
            _("convolution, from input to output"),
            _("norm of the gradient") if axes is panels[0] else "",
            moment,
        )
    panels[-1].legend(frameon=False, fontsize=9)
    figure.description = _(
        "Norm of the gradient of each convolution, logarithmic scale, one panel per moment of the "
        "training, one line per net. {said}."
    ).format(said="; ".join(said))
    return figure


def error_by_cost(records: Sequence[Record], measure: str = "train_error") -> DescribedFigure:
    """Final error against parameters, multiply-adds and seconds: a dot a run, a mark a net.

    Args:
        records: of one experiment; runs of one family and depth are one net.
        measure: ``"train_error"`` or ``"test_error"``.

    Raises:
        ValueError: no records, or another measure.
    """
    require_records(records)
    error = error_name(measure)
    nets: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        nets.setdefault((record.spec.family, record.spec.depth), []).append(record)
    figure = DescribedFigure("", (10.0, 3.9))
    panels = figure.subplots(1, 3, sharey=True)
    costs: tuple[tuple[str, Callable[[Record], float]], ...] = (
        (_("parameters (thousands)"), lambda run: run.parameters / 1e3),
        (_("multiply-adds per image (millions)"), lambda run: run.macs / 1e6),
        (_("training time (s)"), lambda run: run.seconds),
    )
    for axes, (label, cost) in zip(panels, costs, strict=True):
        for (family, depth), runs in nets.items():
            style = _net_style(family, sum(f == family and d > depth for f, d in nets))
            x = [cost(run) for run in runs]
            y = [100 * getattr(run, measure) for run in runs]
            axes.plot(x, y, style["marker"], color=style["color"], alpha=0.45)
            axes.plot(
                median(x),
                median(y),
                style["marker"],
                color=style["color"],
                markersize=11,
                markerfacecolor="none",
                markeredgewidth=1.8,
                label=f"{family}-{depth}",
            )
        finish(axes, label, error if axes is panels[0] else "")
        axes.set_xlim(left=0)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -0.05 * high), high)
    panels[0].legend(frameon=False, fontsize=9)
    said = "; ".join(
        _("{name}: {error} (from {low} to {high}), {parameters} parameters, {macs}").format(
            name=f"{family}-{depth}",
            error=percent(median(getattr(run, measure) for run in runs)),
            low=percent(min(getattr(run, measure) for run in runs)),
            high=percent(max(getattr(run, measure) for run in runs)),
            parameters=number(runs[0].parameters, 12),
            macs=_("{number} million multiply-adds").format(number=number(runs[0].macs / 1e6, 3)),
        )
        for (family, depth), runs in nets.items()
    )
    figure.description = _(
        "{measure} against three costs, a panel each: parameters, multiply-adds, training time. "
        "A small mark a run, a large one for the medians of a net. {said}."
    ).format(measure=error.capitalize(), said=said)
    return figure


def _net_style(family: str, deeper: int) -> dict[str, Any]:
    """The family's own style for its deepest net; others for those with ``deeper`` ones."""
    place = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    return style_of(place + len(FAMILIES) * deeper)


Tables = Sequence[Sequence[Sequence[float]]]


def reuse_maps(shares: Mapping[str, Tables]) -> DescribedFigure:
    """How large the weights are by which each layer reads each of its sources: a row a moment.

    Args:
        shares: for each moment, for each block, ``(sources, readers)`` mean absolute weights over
            the mean of their column; not a number where there is no connection. The last reader
            of a block is the transition, or the classifier after the last block.

    Raises:
        ValueError: nothing to draw, or moments with different numbers of blocks.
    """
    highest = max((float(np.nanmax(t)) for row in shares.values() for t in row), default=2.0)
    # From 0 to 2 at least, so that mere chance is not blown up to a pattern.
    norm = TwoSlopeNorm(1.0, 0.0, max(highest, 2.0))
    label = _("mean |weight| / mean of its column")
    figure, ranges = _block_tables(shares, norm, "PuOr_r", label)
    figure.description = _(
        "Tables of coloured squares, a row a moment, a column a block. Each square says how large "
        "the weights are by which a layer reads a source, over the mean of the layer's sources: 1 "
        "is neutral. T is the transition after the block. Ranges: {ranges}."
    ).format(ranges=ranges)
    return figure


def cut_maps(losses: Tables, intact: float) -> DescribedFigure:
    """What each connection is worth: the loss when one layer no longer reads one source.

    Args:
        losses: for each block, ``(sources, readers)`` losses above zero, each with that one
            connection cut; not a number where there is none. See :func:`reuse_maps`.
        intact: the loss with nothing cut.

    Raises:
        ValueError: nothing to draw.
    """
    norm = LogNorm(
        min((float(np.nanmin(table)) for table in losses), default=intact),
        max((float(np.nanmax(table)) for table in losses), default=intact),
    )
    title = _("connection cut")
    figure, ranges = _block_tables({title: losses}, norm, "viridis", _("loss (nats)"))
    figure.description = _(
        "Tables of coloured squares, a column a block. Each square is the loss when one layer no "
        "longer reads one source; with nothing cut it is {intact}. T is the transition after the "
        "block. Ranges: {ranges}."
    ).format(intact=number(intact, 2), ranges=ranges)
    return figure


def _block_tables(
    tables: Mapping[str, Tables], norm: Normalize, colours: str, label: str
) -> tuple[DescribedFigure, str]:
    """A panel a block, a row of panels a moment, and the range of each in words."""
    rows = list(tables.values())
    if not rows or not len(rows[0]) or len({len(row) for row in rows}) != 1:
        raise ValueError(_("Give one table of weights for each block, as many at each moment."))
    blocks = len(rows[0])
    figure = DescribedFigure("", (3.2 * blocks + 0.8, 3.0 * len(rows) + 0.4))
    panels = figure.subplots(len(rows), blocks, squeeze=False)
    said = []
    palette = matplotlib.colormaps[colours]
    for row, (moment, blocks_of_moment) in zip(panels, tables.items(), strict=True):
        spans = []
        for place, (axes, table) in enumerate(zip(row, blocks_of_moment, strict=True)):
            values = np.ma.masked_invalid(np.asarray(table, dtype=float))  # (sources, readers)
            axes.imshow(values, cmap=palette, norm=norm, aspect="equal")
            for source, reader in zip(*np.nonzero(~np.ma.getmaskarray(values)), strict=True):
                value = float(values[source, reader])
                light = sum(palette(norm(value))[:3]) > 1.5
                axes.text(
                    reader,
                    source,
                    number(round(value, 2), 3),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=INK if light else "white",
                )
            sources, readers = values.shape
            end = _("classifier") if place == blocks - 1 else _("T")
            axes.set_xticks(range(readers), [*map(str, range(1, readers)), end], fontsize=8)
            if place == blocks - 1:
                # As small as the numbers: the word is wider than its square.
                axes.get_xticklabels()[-1].set_fontsize(7)
            axes.set_yticks(range(sources), [_("in"), *map(str, range(1, sources))], fontsize=8)
            axes.set_title(
                _("{moment}, block {number}").format(moment=moment, number=place + 1), fontsize=10
            )
            axes.spines[:].set_visible(False)
            if place == 0:
                axes.set_ylabel(_("source: layer"))
            if moment == list(tables)[-1]:
                axes.set_xlabel(_("reader: layer"))
            spans.append(
                _("block {number} {low} to {high}").format(
                    number=place + 1,
                    low=number(float(values.min()), 3),
                    high=number(float(values.max()), 3),
                )
            )
        said.append(f"{moment}: {', '.join(spans)}")
    bar = figure.colorbar(ScalarMappable(norm, palette), ax=panels, shrink=0.7)
    bar.set_label(label, fontsize=9)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: number(value, 3)))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return figure, "; ".join(said)
