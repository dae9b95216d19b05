"""The pictures of residual nets: brick, blocks, stage, whole net, and the plain stage beside."""

from __future__ import annotations

import torch
from torch import nn

from course_utils.diagrams.flow import Flow, row_of
from course_utils.diagrams.row import Row
from course_utils.diagrams.sketch import Area, Box, Sketch, count_text, shape_text
from course_utils.diagrams.style import LARGE, MEDIUM, SMALL
from course_utils.diagrams.tracing import Graph, image_for, trace
from course_utils.i18n import _
from course_utils.models import CifarNet, ConvBNReLU, ResidualBlock, count_parameters, stage

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


def conv_bn_relu(block: ConvBNReLU, side: int = 32) -> Sketch:
    """``Conv_Bn_Relu``: the three operators, with shapes and parameters."""
    flow = row_of(block, side)
    text = _(
        "Three boxes in a row, from left to right, between an input x of {before} and an output "
        "y of {after}: a 3×3 convolution without bias ({convolution} parameters), batch "
        "normalisation ({norm} parameters) and a ReLU (none). Every network of the course is "
        "made of this building block."
    )
    convolution, norm = (flow.graph[place].parameters for place in (1, 2))
    title = _("Convolution, batch normalisation, ReLU")
    return flow.described(title, text, convolution=convolution, norm=norm)


def _roads(graph: Graph) -> tuple[list[int], list[int]]:
    """Places of the operators of ``F``, and of those of the shortcut, up to the addition."""
    roads: tuple[list[int], list[int]] = [], []
    meeting = next(one for one in graph if one.role == "addition")
    for road, place in zip(roads, meeting.reads, strict=True):
        while graph[place].reads:
            road.insert(0, place)
            place = graph[place].reads[0]
    return roads


def _block_flow(block: ResidualBlock, side: int) -> Flow:
    flow = row_of(block, side)
    flow.frame(_roads(flow.graph)[0], "$F(x)$")
    return flow


def identity(block: ResidualBlock, side: int = 32) -> Sketch:
    """``id_block``: the residual block whose shortcut changes nothing."""
    flow = _block_flow(block, side)
    text = _(
        "An input x of {shape} takes two paths. The main one, F, is a frame with five boxes: "
        "3×3 convolution, BN, ReLU, 3×3 convolution, BN. The other, an orange arrow above it, "
        "is the shortcut, which carries x unchanged. They meet in an addition, and a ReLU gives "
        "y, also of {shape}. All {total} parameters are in F, and the shortcut has none."
    )
    return flow.described(_("The identity block"), text, shape=flow.graph[0].shape)


def projection(block: ResidualBlock, side: int = 32) -> Sketch:
    """``proj_block``: the residual block that changes the shape, on both roads."""
    flow = _block_flow(block, side)
    assert block.shortcut is not None
    text = _(
        "An input x of {before} takes two paths. The main one, F, is a 3×3 convolution of "
        "stride 2, BN, ReLU, a 3×3 convolution and BN. The shortcut, an orange arrow above, "
        "goes through a 1×1 convolution of stride 2 and a BN ({shortcut} parameters). Both "
        "paths arrive with the shape {after} and meet in an addition, and a ReLU gives y. The "
        "block has {total} parameters."
    )
    shortcut = count_parameters(block.shortcut)
    return flow.described(_("The projection block"), text, shortcut=shortcut)


def _formula(graph: Graph, place: int, weights: dict[int, str]) -> str:
    """What the operator at ``place`` computes, as a formula of x."""
    operator = graph[place]
    if operator.role == "data":
        return "x"
    inner = _formula(graph, operator.reads[0], weights)
    if operator.role == "convolution":
        return f"{weights[place]} * {inner}"
    index = ""
    if operator.role == "normalisation":  # numbered as the convolution before it
        index = weights[operator.reads[0]].removeprefix("W")
    return rf"\mathrm{{{operator.lines[0]}}}{index}({inner})"


def _shortcut(
    sketch: Sketch, fork: float, lane: float, plus: Box, through: Box | None = None
) -> None:
    """The arrow that leaves the road at ``fork``, and comes down from its lane to the addition."""
    sketch.dot(fork, 0)
    corners = [(fork, 0.0), (fork, lane)]
    if through is not None:
        sketch.arrow(*corners, (through.area.left, lane), shortcut=True)
        corners = [(through.area.right, lane)]
    sketch.arrow(*corners, (plus.area.x, lane), (plus.area.x, plus.area.top), shortcut=True)


def _math(graph: Graph) -> Sketch:
    """The block whose graph this is, with its formulas in place of its operators."""
    body, around = _roads(graph)
    convolutions = [place for place in body if graph[place].role == "convolution"]
    weights = {place: f"W_{rank}" for rank, place in enumerate(convolutions, 1)}
    weights |= {place: "W_s" for place in around if graph[place].role == "convolution"}
    branch, beside = (_formula(graph, road[-1] if road else 0, weights) for road in (body, around))
    before, inside, after = ((shape_text(graph[place].shape), SMALL) for place in (0, body[-1], -1))
    sketch = Sketch()
    x_in = sketch.box(0, 0, "data", [("$x$", LARGE), before], height=56)
    lines = [("$F(x)$", LARGE), (f"${branch}$", MEDIUM), inside]
    f_box = sketch.box(258, 0, "other", lines, width=264, height=84)
    plus = sketch.box(474, 0, "addition", ["+"])
    relu = sketch.box(634, 0, "activation", ["ReLU"], height=56, width=84)
    y_out = sketch.box(748, 0, "data", [("$y$", LARGE), after], height=56)
    sketch.join(x_in, f_box, plus, relu, y_out)
    fork, lane = x_in.area.right + 22, -96.0
    total = f"F(x) + {beside}"
    if around:
        kernel, *stride = graph[around[0]].lines
        note = ", ".join([kernel.removeprefix("conv "), *stride])
        lines = [(f"${beside}$", MEDIUM), (f"{note} · {after[0]}", SMALL)]
        _shortcut(sketch, fork, lane, plus, sketch.box(258, lane, "convolution", lines, width=180))
    else:
        _shortcut(sketch, fork, lane, plus)
        sketch.label(258, lane - 16, "$x$")
        sketch.label((plus.area.right + relu.area.left) / 2 - 4, -16, f"${total}$", MEDIUM)
    sketch.label(374, 84, rf"$y = \mathrm{{ReLU}}(\,{total}\,)$", 20.0)
    return sketch


def identity_math(block: ResidualBlock, side: int = 32) -> Sketch:
    """``id_block_math``: y = ReLU(F(x) + x), on the drawing of the block."""
    graph = trace(block, image_for(block, side))
    sketch = _math(graph)
    sketch.label(374, 120, r"$F = 0,\;\; x \geq 0 \;\;\Rightarrow\;\; y = x$", MEDIUM)
    text = _(
        "An input x of {shape} enters a box F(x) = BN₂(W₂ ∗ ReLU(BN₁(W₁ ∗ x))), and an orange "
        "arrow marked x goes around the box. The two meet in an addition, marked F(x) + x, "
        "followed by a ReLU and by y. Below stands y = ReLU(F(x) + x), and: if F = 0 and x ≥ 0, "
        "then y = x, so doing nothing is easy."
    )
    return sketch.described(_("The identity block, as a formula"), text, shape=graph[0].shape)


def projection_math(block: ResidualBlock, side: int = 32) -> Sketch:
    """``proj_block_math``: y = ReLU(F(x) + BN(W_s ∗ x)), on the drawing of the block."""
    graph = trace(block, image_for(block, side))
    text = _(
        "An input x of {before} enters a box F(x) = BN₂(W₂ ∗ ReLU(BN₁(W₁ ∗ x))), whose output "
        "is {after}. An orange arrow takes x around that box, through another, BNₛ(Wₛ ∗ x), a "
        "1×1 convolution and a BN whose output is also {after}. The two meet in an addition, "
        "followed by a ReLU and by y. Below stands y = ReLU(F(x) + BNₛ(Wₛ ∗ x))."
    )
    title, before, after = _("The projection block, as a formula"), graph[0].shape, graph[-1].shape
    return _math(graph).described(title, text, before=before, after=after)


def stage_row(blocks: nn.Sequential, side: int) -> tuple[Sketch, list[tuple[int, ...]]]:
    """A stage as a row of blocks, each a box F, with or without a shortcut around it."""
    sketch, x = Sketch(), image_for(blocks, side)
    shapes = [tuple(x.shape[1:])]

    def end(middle: float, name: str) -> Box:
        lines = [(name, MEDIUM), (shape_text(shapes[-1]), SMALL)]
        return sketch.box(middle, 0, "data", lines, width=78, height=52)

    came = end(0, "$x$")
    edge = came.area.right
    for block in blocks:
        assert isinstance(block, ResidualBlock)
        graph = trace(block, x)
        x = torch.zeros(1, *graph[-1].shape)
        shapes.append(graph[-1].shape)
        left = edge + 16
        wide, top = (158, -50) if block.shortcut is None else (198, -102)
        frame = sketch.frame(Area(left, top, wide, 86 - top))
        convolutions = [one for one in graph if one.role == "convolution"]
        kernels = [(one.lines[0].removeprefix("conv "), SMALL) for one in convolutions]
        inside = [("$F$", MEDIUM), *kernels[:2]]
        row = [came, sketch.box(left + 50, 0, "other", inside, width=52, height=64)]
        if block.shortcut is not None:
            row.append(sketch.box(row[-1].area.right + 31, 0, "addition", ["+"]))
        sketch.join(*row)
        if block.shortcut is not None:
            through = None
            if isinstance(block.shortcut, nn.Sequential):
                inside = [kernels[-1], ("BN", SMALL)]
                middle = (left + 11 + row[-1].area.x) / 2
                through = sketch.box(middle, -66, "convolution", inside, width=46, height=46)
            _shortcut(sketch, left + 11, -66, row[-1], through)
        edge = frame.area.right
        came = sketch.box(edge - 36, 0, "activation", [("ReLU", SMALL)], width=54, height=40)
        sketch.join(row[-1], came)
        text = " → ".join(str(shape[0]) for shape in shapes[-2:])
        change = ", ".join([text, *convolutions[0].lines[1:]])
        sketch.note(frame.area.x, 60, change, count_text(count_parameters(block)))
    sketch.join(came, end(edge + 61, "$y$"))
    return sketch, shapes


def resnet_stage(blocks: nn.Sequential, side: int = 32) -> Sketch:
    """``Resnet_block``: a stage, its first block changing the shape and the others keeping it."""
    sketch, shapes = stage_row(blocks, side)
    text = _(
        "A row of {number} blocks, each in a frame: a box F (two 3×3 convolutions), an "
        "addition, a ReLU, and an orange arrow over F, the shortcut. In the first block, the "
        "shortcut goes through a 1×1 convolution and a BN, because the shape changes from "
        "{before} to {after}; in the others it is a bare arrow, the identity, and the shape "
        "stays the same. The stage has {total} parameters."
    )
    return sketch.described(
        _("A stage of a residual network"),
        text,
        number=len(blocks),
        before=shapes[0],
        after=shapes[-1],
        total=count_parameters(blocks),
    )


def plain_and_residual(n_blocks: int = 3, channels: int = 16, side: int = 32) -> Sketch:
    """``plain_residual``: the same stage twice, without additions and with them."""
    plain = stage(n_blocks, channels, channels, 1, None)
    residual = stage(n_blocks, channels, channels, 1, "A")
    assert count_parameters(plain) == count_parameters(residual)
    sketch, top = Sketch(), 0.0
    for blocks, formula in ((plain, "F(x)"), (residual, "F(x) + x")):
        row, shapes = stage_row(blocks, side)
        sketch.put(row, 0, top + 24)
        sketch.label(0, top, rf"$y = \mathrm{{ReLU}}({formula})$", align="left")
        top = sketch.extent().bottom + 40
    text = _(
        "Two rows of {number} blocks, with maps of {shape} throughout. Above is the plain "
        "stage, where each block is a box F of two 3×3 convolutions followed by a ReLU: y = "
        "ReLU(F(x)). Below is the residual stage, with the same boxes and an orange shortcut "
        "over each F to an addition before the ReLU: y = ReLU(F(x) + x). Both have {total} "
        "parameters, since additions have none."
    )
    return sketch.described(
        _("A plain stage and a residual stage"),
        text,
        number=n_blocks,
        shape=shapes[0],
        total=count_parameters(plain),
    )


def resnet(net: CifarNet, side: int = 32) -> Sketch:
    """``resnet_archi``: the whole CIFAR net, with the shape after each part."""
    row = Row(image_for(net, side), foot=104.0, gap=17.0)
    row.data("$x$")
    row.part(net.stem, "convolution", ["conv 3×3", ("BN, ReLU", SMALL)])
    narrow = row.shape[0]
    for blocks in net.stages:
        assert isinstance(blocks, nn.Sequential)
        row.advance(blocks)
        wide = 8.0 + 3.0 * row.shape[0] / narrow
        _stage_icon(row, blocks, 28.0 + 64.0 * row.shape[-1] / side, wide)
    row.part(net.pool, "pooling", ["GAP"])
    row.part(net.linear, "linear", [_("linear")], flatten=True)
    row.data("$y$")
    text = _(
        "From left to right: an image x of {image}, a 3×3 convolution with BN and ReLU, three "
        "stages, global average pooling (GAP), a linear layer, {classes} outputs. A stage is a "
        "frame around {n} bars, one per block; an orange arc over each bar is its shortcut, and "
        "a square on the arc is a 1×1 convolution, where the shape changes. The shapes are "
        "{shapes}. The network has {total} parameters and {depth} weight layers."
    )
    return row.sketch.described(
        _("The residual network of the course for CIFAR-10"),
        text,
        image=row.shapes[0],
        classes=row.shape[0],
        n=len(net.stages[0]),  # type: ignore[arg-type]
        shapes=", ".join(map(shape_text, row.shapes[1:-1])),
        total=count_parameters(net),
        depth=net.depth,
    )


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
            sketch.label(middle, y, "…", SMALL)
            continue
        assert isinstance(block, ResidualBlock)
        sketch.box(middle, y, "convolution", width=wide, height=tall)
        if block.shortcut is not None:
            corners = ((left, y - 2), (left, top), (right, top), (right, y - 2))
            sketch.arrow(*corners, shortcut=True, stroke=1.8)
        if isinstance(block.shortcut, nn.Sequential):
            sketch.box(middle, top, "convolution", width=11, height=11)
