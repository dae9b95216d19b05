"""The pictures of residual nets: brick, blocks, stage, whole net, and the plain stage beside."""

from __future__ import annotations

import torch
from torch import nn

from course_utils.diagrams.flow import Flow, lay_out
from course_utils.diagrams.row import Row, image_for
from course_utils.diagrams.sketch import Area, Box, Sketch, grouped
from course_utils.diagrams.style import INK, LARGE, MEDIUM, SMALL
from course_utils.diagrams.tracing import Graph, shape_text, trace
from course_utils.i18n import _
from course_utils.models import (
    CifarNet,
    ConvBNReLU,
    ResidualBlock,
    cifar_net,
    count_parameters,
    identity_block,
    projection_block,
    stage,
)

__all__ = [
    "conv_bn_relu",
    "identity",
    "identity_math",
    "plain_and_residual",
    "projection",
    "projection_math",
    "resnet",
    "resnet_stage",
]


def conv_bn_relu(block: ConvBNReLU | None = None, side: int = 32) -> Sketch:
    """``Conv_Bn_Relu``: the three operators, with shapes and parameters."""
    block = block or ConvBNReLU(3, 16)
    flow = lay_out(trace(block, image_for(block, side)), along="x")
    before, after = (shape_text(flow.graph[place].shape) for place in (0, -1))
    convolution, norm = (flow.graph[place].parameters for place in (1, 2))
    flow.sketch.title = _("Convolution, batch normalisation, ReLU")
    flow.sketch.description = _(
        "Three boxes in a row, from left to right: an input x of {before}, a 3×3 convolution "
        "without bias ({convolution} parameters), batch normalisation ({norm} parameters), ReLU "
        "(none), an output y of {after}. This is the brick of every network of the course."
    ).format(before=before, after=after, convolution=grouped(convolution), norm=grouped(norm))
    return flow.sketch


def _block_flow(block: ResidualBlock, side: int) -> Flow:
    flow = lay_out(trace(block, image_for(block, side)), along="x")
    flow.frame(range(1, 1 + sum(1 for _one in _body(flow.graph))), "$F(x)$")
    return flow


def _body(graph: Graph) -> list[int]:
    """Places of the operators of ``F``: those before the addition that do not lie beside it."""
    meeting = next(place for place, one in enumerate(graph) if one.role == "addition")
    places, place = [], graph[meeting].reads[0]
    while graph[place].reads:
        places.append(place)
        place = graph[place].reads[0]
    return places[::-1]


def identity(block: ResidualBlock | None = None, side: int = 32) -> Sketch:
    """``id_block``: the residual block whose shortcut changes nothing."""
    block = block or identity_block(16)
    flow = _block_flow(block, side)
    flow.sketch.title = _("The identity block")
    flow.sketch.description = _(
        "An input x of {shape} leaves on two roads. The main one, F, is a frame with five boxes: "
        "3×3 convolution, BN, ReLU, 3×3 convolution, BN. The other, an orange arrow above it, is "
        "the shortcut: it carries x unchanged. They meet in an addition, then a ReLU gives y, of "
        "{shape} too. All parameters, {total}, are in F; the shortcut has none."
    ).format(shape=shape_text(flow.graph[0].shape), total=grouped(count_parameters(block)))
    return flow.sketch


def projection(block: ResidualBlock | None = None, side: int = 32) -> Sketch:
    """``proj_block``: the residual block that changes the shape, on both roads."""
    block = block or projection_block(16, 32)
    flow = _block_flow(block, side)
    assert block.shortcut is not None
    flow.sketch.title = _("The projection block")
    flow.sketch.description = _(
        "An input x of {before} leaves on two roads. The main one, F, is 3×3 convolution of "
        "stride 2, BN, ReLU, 3×3 convolution, BN. On the shortcut, an orange arrow above, stand a "
        "1×1 convolution of stride 2 and a BN ({shortcut} parameters). Both roads arrive with "
        "the shape {after}, are added, and a ReLU gives y. {total} parameters in all."
    ).format(
        before=shape_text(flow.graph[0].shape),
        after=shape_text(flow.graph[-1].shape),
        shortcut=grouped(count_parameters(block.shortcut)),
        total=grouped(count_parameters(block)),
    )
    return flow.sketch


def _formula(graph: Graph, place: int, weights: dict[int, str]) -> str:
    """What the operator at ``place`` computes, as a formula of x."""
    operator = graph[place]
    if operator.role == "data":
        return "x"
    inner = [_formula(graph, source, weights) for source in operator.reads]
    if operator.role == "convolution":
        return f"{weights[place]} * {inner[0]}"
    if operator.role == "addition":
        return " + ".join(inner)
    name = {"BN": f"BN{weights.get(operator.reads[0], '')[1:]}"}.get(
        operator.lines[0], operator.lines[0]
    )
    head, _sep, index = name.partition("_")
    return rf"\mathrm{{{head}}}" + (f"_{index}" if index else "") + rf"({inner[0]})"


def _math(block: ResidualBlock, side: int) -> tuple[Sketch, Graph]:
    graph = trace(block, image_for(block, side))
    body = _body(graph)
    meeting = next(place for place, one in enumerate(graph) if one.role == "addition")
    convolutions = [place for place in body if graph[place].role == "convolution"]
    weights = {place: f"W_{rank}" for rank, place in enumerate(convolutions, 1)}
    weights |= {
        place: "W_s"
        for place, one in enumerate(graph)
        if one.role == "convolution" and place not in weights
    }
    branch = _formula(graph, body[-1], weights)
    beside = _formula(graph, graph[meeting].reads[1], weights)
    sketch = Sketch()
    shapes = [shape_text(graph[place].shape) for place in (0, body[-1], -1)]
    y = 0.0
    x_in = sketch.box(0, y, "data", [("$x$", LARGE), (shapes[0], SMALL)], height=56)
    f_box = sketch.box(
        258,
        y,
        "other",
        [("$F(x)$", LARGE), (f"${branch}$", MEDIUM), (shapes[1], SMALL)],
        width=264,
        height=84,
    )
    plus = sketch.box(474, y, "addition", ["+"])
    relu = sketch.box(634, y, "activation", ["ReLU"], height=56, width=84)
    y_out = sketch.box(748, y, "data", [("$y$", LARGE), (shapes[2], SMALL)], height=56)
    sketch.arrow((x_in.area.right, y), (f_box.area.left, y))
    sketch.arrow((f_box.area.right, y), (plus.area.left, y))
    sketch.arrow((plus.area.right, y), (relu.area.left, y))
    sketch.arrow((relu.area.right, y), (y_out.area.left, y))
    fork, lane = x_in.area.right + 22, -96.0
    sketch.dot(fork, y)
    if beside == "x":
        sketch.arrow(
            (fork, y),
            (fork, lane),
            (plus.area.x, lane),
            (plus.area.x, plus.area.top),
            shortcut=True,
        )
        sketch.note(258, lane - 16, ("$x$", LARGE), colour=INK)
    else:
        kernel = next(one for place, one in enumerate(graph) if weights.get(place) == "W_s").lines
        note = ", ".join([kernel[0].removeprefix("conv "), *kernel[1:]])
        box = sketch.box(
            258,
            lane,
            "convolution",
            [(f"${beside}$", MEDIUM), (f"{note} · {shapes[2]}", SMALL)],
            width=180,
        )
        sketch.arrow((fork, y), (fork, lane), (box.area.left, lane), shortcut=True)
        sketch.arrow(
            (box.area.right, lane), (plus.area.x, lane), (plus.area.x, plus.area.top), shortcut=True
        )
    total = f"F(x) + {beside}"
    if beside == "x":
        middle = (plus.area.right + relu.area.left) / 2 - 4
        sketch.note(middle, y - 16, (f"${total}$", MEDIUM), colour=INK)
    sketch.note(374, 84, (rf"$y = \mathrm{{ReLU}}(\,{total}\,)$", 20.0), colour=INK)
    return sketch, graph


def identity_math(block: ResidualBlock | None = None, side: int = 32) -> Sketch:
    """``id_block_math``: y = ReLU(F(x) + x), on the drawing of the block."""
    block = block or identity_block(16)
    sketch, graph = _math(block, side)
    sketch.note(374, 120, (r"$F = 0,\;\; x \geq 0 \;\;\Rightarrow\;\; y = x$", MEDIUM), colour=INK)
    sketch.title = _("The identity block, as a formula")
    sketch.description = _(
        "An input x of {shape} goes into a box F(x) = BN₂(W₂ ∗ ReLU(BN₁(W₁ ∗ x))), and around it "
        "on an orange arrow marked x. Both meet in an addition, marked F(x) + x, then ReLU, then "
        "y. Below: y = ReLU(F(x) + x); and if F = 0 and x ≥ 0, then y = x: doing nothing is easy."
    ).format(shape=shape_text(graph[0].shape))
    return sketch


def projection_math(block: ResidualBlock | None = None, side: int = 32) -> Sketch:
    """``proj_block_math``: y = ReLU(F(x) + BN(W_s ∗ x)), on the drawing of the block."""
    block = block or projection_block(16, 32)
    sketch, graph = _math(block, side)
    sketch.title = _("The projection block, as a formula")
    sketch.description = _(
        "An input x of {before} goes into a box F(x) = BN₂(W₂ ∗ ReLU(BN₁(W₁ ∗ x))), of {after}, "
        "and around it on an orange arrow through a box BNₛ(Wₛ ∗ x), a 1×1 convolution and a BN, "
        "of {after} too. Both meet in an addition, then ReLU, then y. Below: "
        "y = ReLU(F(x) + BNₛ(Wₛ ∗ x))."
    ).format(before=shape_text(graph[0].shape), after=shape_text(graph[-1].shape))
    return sketch


def stage_row(blocks: nn.Sequential, side: int) -> tuple[Sketch, list[tuple[int, ...]]]:
    """A stage as a row of blocks, each a box F, with or without a shortcut around it."""
    sketch, x = Sketch(), image_for(blocks, side)
    shapes = [tuple(x.shape[1:])]
    start = sketch.box(0, 0, "data", ["$x$", (shape_text(shapes[0]), SMALL)], width=78, height=52)
    came, edge = start.area.right, start.area.right  # where the next arrow and frame begin
    for block in blocks:
        assert isinstance(block, ResidualBlock)
        graph = trace(block, x)
        x = torch.zeros(1, *graph[-1].shape)
        shapes.append(graph[-1].shape)
        around = block.shortcut is not None
        left = edge + 16
        frame = sketch.frame(Area(left, -102, 198, 188) if around else Area(left, -50, 158, 136))
        kernels = [
            (graph[place].lines[0].removeprefix("conv "), SMALL)
            for place in range(1, len(graph))
            if graph[place].role == "convolution"
        ][:2]
        f_box = sketch.box(left + 50, 0, "other", [("$F$", MEDIUM), *kernels], width=52, height=64)
        sketch.arrow((came, 0), (f_box.area.left, 0))
        last = f_box
        if around:
            last = sketch.box(f_box.area.right + 31, 0, "addition", ["+"])
            sketch.arrow((f_box.area.right, 0), (last.area.left, 0))
            _around(sketch, block, graph, (left + 11, -66), last)
        relu = sketch.box(
            frame.area.right - 36, 0, "activation", [("ReLU", SMALL)], width=54, height=40
        )
        sketch.arrow((last.area.right, 0), (relu.area.left, 0))
        stride = next(one.lines[1:] for one in graph if one.role == "convolution")
        text = " → ".join(str(shape[0]) for shape in shapes[-2:])
        sketch.note(
            frame.area.x,
            60,
            ", ".join([text, *stride]),
            f"{grouped(count_parameters(block))} params",
        )
        came, edge = relu.area.right, frame.area.right
    end = sketch.box(
        edge + 22 + 39, 0, "data", ["$y$", (shape_text(shapes[-1]), SMALL)], width=78, height=52
    )
    sketch.arrow((came, 0), (end.area.left, 0))
    return sketch, shapes


def _around(
    sketch: Sketch, block: ResidualBlock, graph: Graph, corner: tuple[float, float], plus: Box
) -> None:
    """The shortcut of one block of a row, over its corner, to the addition."""
    (fork, lane), (x, top) = corner, (plus.area.x, plus.area.top)
    sketch.dot(fork, 0)
    if not isinstance(block.shortcut, nn.Sequential):
        sketch.arrow((fork, 0), (fork, lane), (x, lane), (x, top), shortcut=True)
        return
    kernel = [one.lines[0] for one in graph if one.role == "convolution"][-1]
    lines = [(kernel.removeprefix("conv "), SMALL), ("BN", SMALL)]
    box = sketch.box((fork + x) / 2, lane, "convolution", lines, width=46, height=46)
    sketch.arrow((fork, 0), (fork, lane), (box.area.left, lane), shortcut=True)
    sketch.arrow((box.area.right, lane), (x, lane), (x, top), shortcut=True)


def resnet_stage(blocks: nn.Sequential | None = None, side: int = 32) -> Sketch:
    """``Resnet_block``: a stage, its first block changing the shape and the others keeping it."""
    blocks = blocks if blocks is not None else stage(3, 16, 32, stride=2, shortcut="B")
    sketch, shapes = stage_row(blocks, side)
    sketch.title = _("A stage of a residual network")
    sketch.description = _(
        "{number} blocks in a row, each in its frame: a box F (two 3×3 convolutions), an addition, "
        "a ReLU, and a shortcut over F, an orange arrow. In the first block the shortcut passes "
        "through a 1×1 convolution and a BN, because the shape changes, from {before} to {after}; "
        "in the others it is a bare arrow, the identity, and the shape stays. {total} parameters "
        "in all."
    ).format(
        number=len(blocks),
        before=shape_text(shapes[0]),
        after=shape_text(shapes[-1]),
        total=grouped(count_parameters(blocks)),
    )
    return sketch


def plain_and_residual(n_blocks: int = 3, channels: int = 16, side: int = 32) -> Sketch:
    """``plain_residual``: the same stage twice, without additions and with them."""
    sketch = Sketch()
    plain = stage(n_blocks, channels, channels, 1, None)
    residual = stage(n_blocks, channels, channels, 1, "A")
    above, _shapes = stage_row(plain, side)
    below, shapes = stage_row(residual, side)
    top = 0.0
    for row, formula in (
        (above, r"$y = \mathrm{ReLU}(F(x))$"),
        (below, r"$y = \mathrm{ReLU}(F(x) + x)$"),
    ):
        sketch.put(row, 0, top + 24)
        sketch.note(0, top, (formula, LARGE), colour=INK, align="left")
        top = sketch.extent().bottom + 40
    assert count_parameters(plain) == count_parameters(residual)
    sketch.title = _("A plain stage and a residual stage")
    sketch.description = _(
        "Two rows of {number} blocks, of {shape} throughout. Above, the plain stage: each block is "
        "a box F of two 3×3 convolutions, then a ReLU; y = ReLU(F(x)). Below, the residual stage: "
        "the same boxes, with an orange shortcut over each F to an addition before the ReLU; "
        "y = ReLU(F(x) + x). Both have {total} parameters: additions cost none."
    ).format(
        number=n_blocks,
        shape=shape_text(shapes[0]),
        total=grouped(count_parameters(plain)),
    )
    return sketch


def resnet(net: CifarNet | None = None, side: int = 32) -> Sketch:
    """``resnet_archi``: the whole CIFAR net, with the shape after each part."""
    net = net or cifar_net(20, "B")
    x = image_for(net, side)
    sketch = Sketch()
    row = Row(sketch, x, foot=104.0)
    row.data("$x$")
    row.part(net.stem, "convolution", ["conv 3×3", ("BN, ReLU", SMALL)])
    tall, first = 92.0, None
    for blocks in net.stages:
        assert isinstance(blocks, nn.Sequential)
        row.advance(blocks)
        share = row.shape[-1] / side
        first = first or row.shape[0]
        _stage_icon(row, blocks, 28.0 + (tall - 28.0) * share, 8.0 + 3.0 * (row.shape[0] / first))
    row.part(net.pool, "pooling", ["GAP"])
    row.part(net.linear, "linear", ["linear"], flatten=True)
    row.data("$y$")
    sketch.title = _("The residual network of the course for CIFAR-10")
    n = len(net.stages[0])  # type: ignore[arg-type]
    sketch.description = _(
        "From left to right: an image x of {image}, a 3×3 convolution with BN and ReLU, three "
        "stages, global average pooling (GAP), a linear layer, {classes} answers. A stage is a "
        "frame with {n} bars, its blocks, each with an orange arc over it, the shortcut; a square "
        "on the arc is a 1×1 convolution, where the shape changes. Shapes: {shapes}. {total} "
        "parameters, {depth} layers with weights."
    ).format(
        image=shape_text(tuple(x.shape[1:])),
        classes=row.shape[0],
        n=n,
        shapes=", ".join(shape_text(one) for one in row.shapes[1:-1]),
        total=grouped(count_parameters(net)),
        depth=net.depth,
    )
    return sketch


def _stage_icon(row: Row, blocks: nn.Sequential, tall: float, wide: float) -> None:
    """A frame with a bar a block, lower where maps are smaller, wider where they are more."""
    gap, y = 21.0, 12.0
    shown = list(blocks) if len(blocks) <= 4 else [blocks[0], blocks[1], None, blocks[-1]]
    width = len(shown) * (wide + gap) + gap
    frame = row.frame(width, 168.0, blocks)
    sketch = row.sketch
    here = frame.area.left + gap / 2
    sketch.dot(here, y)
    for block in shown:
        left, right, top = here + 4, here + gap + wide - 4, y - tall / 2 - 16
        middle = here + (gap + wide) / 2
        here += gap + wide
        sketch.dot(here, y)
        if block is None:
            sketch.note(middle, y, "…", colour=INK)
            continue
        assert isinstance(block, ResidualBlock)
        sketch.box(middle, y, "convolution", width=wide, height=tall)
        if block.shortcut is not None:
            corners = ((left, y - 2), (left, top), (right, top), (right, y - 2))
            sketch.arrow(*corners, shortcut=True, stroke=1.8)
        if isinstance(block.shortcut, nn.Sequential):
            sketch.box(middle, top, "convolution", width=11, height=11)
