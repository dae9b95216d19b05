"""The pictures of DenseNet: a block map by map and layer by layer, a transition, the whole net."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import nn

from course_utils.diagrams.flow import Flow, row_of
from course_utils.diagrams.row import Row
from course_utils.diagrams.sketch import Sketch, shape_text
from course_utils.diagrams.style import EDGE, MEDIUM, ROLES, SMALL, Role
from course_utils.diagrams.tracing import first_of, image_for, trace
from course_utils.i18n import _
from course_utils.inference import evaluating
from course_utils.models import (
    DenseBlock,
    DenseLayer,
    DenseNet,
    Transition,
    count_parameters,
)

__all__ = ["dense_block", "densenet_growth", "densenet_row", "densenet_zoom", "transition"]

OLD = Role("#E4E7EB", EDGE, "square")  # maps that were there before
SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
BAR, PITCH, PILE, STEP = 6.0, 9.0, 46.0, 186.0


def densenet_growth(block: DenseBlock, side: int = 32) -> Sketch:
    """``densenet_k_4``: the pile of maps after each layer of a dense block, a bar a map."""
    maps = [image_for(block, side)]
    with evaluating(block):
        for layer in block.layers:
            maps.append(layer(maps))
    counts = [one.shape[1] for one in maps]
    totals = list(accumulate(counts))
    tops = [PITCH * (totals[rank] - count) + 10.0 * rank for rank, count in enumerate(counts)]
    sketch = Sketch()
    for rank, count in enumerate(counts):
        left, bottom = rank * STEP, tops[rank] + count * PITCH
        for group in range(rank + 1):
            role = ROLES["convolution"] if group == rank and rank else OLD
            for one in range(counts[group]):
                y = tops[group] + one * PITCH + BAR / 2
                sketch.box(left + PILE / 2, y, role, width=PILE, height=BAR, stroke=1.0)
        sketch.label(left - 14, (tops[rank] + bottom) / 2, f"$x_{rank}$", MEDIUM)
        sketch.label(left + PILE / 2, bottom + 18, str(totals[rank]), bold=True)
        if rank + 1 < len(counts):
            new = tops[rank + 1] + counts[rank + 1] * PITCH / 2 - 1.5
            _next_layer(sketch, rank + 1, left + PILE, bottom, new)
    _recipe(sketch, block, tops[-1] + 12)
    text = _(
        "There are {piles} piles of bars, one bar per map, with {totals} maps from left to "
        "right. Between two piles, a layer H reads the whole pile, and its {growth} new maps, "
        "in blue, are at the foot of the next; an orange arrow carries the old maps over, in "
        "grey, unchanged. Every map keeps its {size} pixels."
    )
    return sketch.described(
        _("A dense block of growth rate {growth}, map by map").format(growth=counts[-1]),
        text,
        piles=len(counts),
        totals=", ".join(map(str, totals)),
        growth=counts[-1],
        size=(side, side),
    )


def _next_layer(sketch: Sketch, rank: int, left: float, bottom: float, new: float) -> None:
    """The layer that reads a whole pile, and the arrow that carries the pile on."""
    rail, end = left + 9, left + STEP - PILE
    foot = bottom - 3.0
    sketch.arrow((left + 4, 0.0), (rail, 0.0), (rail, foot), (left + 4, foot), head=False)
    name = [(f"$H_{rank}$", MEDIUM)]
    box = sketch.box(left + 64, new, "convolution", name, width=44, height=32)
    turn = rail + 14
    sketch.arrow((rail, foot / 2 + 8), (turn, foot / 2 + 8), (turn, new), (box.area.left, new))
    sketch.arrow((box.area.right, new), (end - 26, new))
    sketch.arrow((rail, 12), (end - 4, 12), shortcut=True)


def _recipe(sketch: Sketch, block: DenseBlock, y: float) -> None:
    """What a layer H does, in small."""
    body = first_of(DenseLayer, block).body
    sketch.label(-20, y, r"$H\;=$", MEDIUM, align="left")
    here, row = 22.0, []
    for operator in trace(body, image_for(body, 4))[1:]:
        lines = [(operator.lines[0], SMALL)]
        width = Sketch.room(ROLES[operator.role], lines)[0]
        row.append(sketch.box(here + width / 2, y, operator.role, lines, height=32))
        here += width + 20
    sketch.join(*row, y=y)


def _block_flow(block: DenseBlock, x: torch.Tensor) -> Flow:
    """A block laid out with a box a layer, which says how many maps it reads and gives."""
    graph = trace(block, x, whole=lambda one: isinstance(one, DenseLayer))
    layers = [operator for operator in graph if operator.lines == ("DenseLayer",)]
    for rank, operator in enumerate(layers, 1):
        read = sum(graph[source].shape[0] for source in operator.reads)
        operator.role = "convolution"
        operator.lines = (f"$H_{rank}$", f"{read} → {operator.shape[0]}")
    graph[0].lines = ("$x_0$",)
    return Flow(graph)


def dense_block(block: DenseBlock, side: int = 32) -> Sketch:
    """``dense_block_final``: every layer reads all that came before it."""
    flow = _block_flow(block, image_for(block, side))
    layers = [one for one in flow.graph if one.role == "convolution"]
    text = _(
        "In a row, from left to right: the input x₀ of {before}, {layers} layers H₁ to H{last}, "
        "a concatenation, the output y of {after}. Orange arrows run above them, from x₀ and "
        "from each layer to every later layer and to the concatenation; {links} connections "
        "enter the layers. Each box says how many maps its layer reads and outputs: {counts}. "
        "The block has {total} parameters."
    )
    return flow.described(
        _("A dense block: each layer reads all the maps before it"),
        text,
        layers=len(layers),
        last=str(len(layers)).translate(SUBSCRIPT),
        links=sum(len(one.reads) for one in layers),
        counts=", ".join(one.lines[1] for one in layers),
    )


def transition(module: Transition, side: int = 32) -> Sketch:
    """``transition_block_final``: fewer maps, of half the side."""
    flow = row_of(module, side)
    maps, kept = flow.graph[0].shape[0], flow.graph[-1].shape[0]
    extent = flow.sketch.extent()
    flow.sketch.label(extent.x, extent.bottom + 26, rf"$\theta = {kept} / {maps}$", MEDIUM)
    text = _(
        "Boxes in a row, from left to right: an input x of {before}, BN, ReLU, a 1×1 "
        "convolution from {maps} maps to {kept}, average pooling over 2×2 pixels, an output y "
        "of {after}. Below stands the compression, θ = {kept}/{maps}. Almost all of the {total} "
        "parameters are in the 1×1 convolution."
    )
    title = _("A transition: fewer maps, of half the side")
    return flow.described(title, text, maps=maps, kept=kept)


def _net_row(net: DenseNet, side: int) -> Row:
    row = Row(image_for(net, side), foot=96.0, gap=16.0)
    row.data("$x$")
    row.part(net.stem, "convolution", [("conv", SMALL), ("3×3", SMALL)])
    most = max(one.out_channels for one in net.stages if isinstance(one, DenseBlock))
    for place, part in enumerate(net.stages):
        rank = place // 2 + 1  # blocks and transitions take turns
        if isinstance(part, DenseBlock):
            _stairs(row, part, most, f"$D_{rank}$")
        else:
            row.part(part, "pooling", [(f"$T_{rank}$", MEDIUM), ("1×1", SMALL), (_("avg"), SMALL)])
    head = nn.Sequential(net.norm, net.relu, net.pool)
    row.part(head, "pooling", [("BN", SMALL), ("ReLU", SMALL), ("GAP", SMALL)])
    row.part(net.linear, "linear", [(_("linear"), SMALL)], flatten=True)
    row.data("$y$")
    return row


def _stairs(row: Row, block: DenseBlock, most: int, name: str) -> None:
    """A block as bars as high as the number of its maps, the new ones of each layer at the top."""
    counts = [row.shape[0]]
    row.advance(block)
    growth = (row.shape[0] - counts[0]) // len(block.layers)
    counts += [counts[0] + rank * growth for rank in range(1, len(block.layers) + 1)]
    tall = 130.0
    wide = min(11.0, 60.0 / len(counts))
    frame = row.frame(len(counts) * (wide + 3) + 13, tall + 20, block)
    foot = frame.area.bottom - 10
    row.sketch.label(frame.area.left + 18, frame.area.top + 16, name, MEDIUM)
    for rank, count in enumerate(counts):
        x = frame.area.left + 8 + wide / 2 + rank * (wide + 3)
        old = tall * counts[max(0, rank - 1)] / most
        row.sketch.box(x, foot - old / 2, OLD, width=wide, height=old, stroke=1.0)
        if rank:
            new = tall * count / most - old
            middle = foot - old - new / 2
            row.sketch.box(x, middle, "convolution", width=wide, height=new, stroke=1.0)


def densenet_row(net: DenseNet, side: int = 32) -> Sketch:
    """``densenet_archi``: the whole net, a stair of maps in each block."""
    row = _net_row(net, side)
    layers = len(first_of(DenseBlock, net).layers)
    text = _(
        "From left to right: an image x, a 3×3 convolution, three dense blocks with two "
        "transitions between them, BN, ReLU and global average pooling (GAP), a linear layer, "
        "the output y. A dense block is a frame around a staircase of {bars} bars, each as high "
        "as its number of maps; each of the {layers} layers adds a blue piece. A transition, "
        "drawn as a funnel, is a 1×1 convolution and an average pooling. The shapes are "
        "{shapes}. The network has {total} parameters and {depth} weight layers."
    )
    return row.sketch.described(
        _("A DenseNet for CIFAR-10"),
        text,
        bars=layers + 1,
        layers=layers,
        shapes=", ".join(map(shape_text, row.shapes)),
        total=count_parameters(net),
        depth=net.depth,
    )


def densenet_zoom(net: DenseNet, side: int = 32) -> Sketch:
    """``densenet_final``: the net, one of its blocks, one layer and one transition of it."""
    block, narrow = first_of(DenseBlock, net), first_of(Transition, net)
    layer = block.layers[1]
    assert isinstance(layer, DenseLayer)

    sketch = Sketch()
    sketch.put(_net_row(net, side).sketch, 0, 0)
    wide = sketch.extent().width
    for name, part in (
        ("$D_1$", _block_flow(block, image_for(block, side)).sketch),
        ("$H_2$", row_of(layer.body, side).sketch),
        ("$T_1$", row_of(narrow, side).sketch),
    ):
        top = sketch.extent().bottom + 44
        sketch.label(0, top - 4, name, align="left")
        sketch.put(part, (wide - part.extent().width) / 2, top + 22)
    convolutions = [one for one in layer.modules() if isinstance(one, nn.Conv2d)]
    text = _(
        "The picture has four rows. The first is the whole network, with its three blocks and "
        "two transitions. The second is its first block: x₀, {layers} layers that each read all "
        "that comes before them, and a concatenation. The third is the inside of layer H₂: BN, "
        "ReLU, a 1×1 convolution to {narrow} maps, BN, ReLU, a 3×3 convolution to {growth} "
        "maps. The fourth is a transition: BN, ReLU, a 1×1 convolution from {before} maps to "
        "{after}, average pooling over 2×2 pixels. The network has {total} parameters."
    )
    return sketch.described(
        _("DenseNet-BC, from the network to one layer"),
        text,
        layers=len(block.layers),
        narrow=convolutions[0].out_channels,
        growth=convolutions[-1].out_channels,
        before=block.out_channels,
        after=first_of(nn.Conv2d, narrow).out_channels,
        total=count_parameters(net),
    )
