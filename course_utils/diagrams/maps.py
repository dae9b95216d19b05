"""The pictures of feature maps: 1×1 convolution, pooling, heads, class maps, receptive field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from course_utils.diagrams.flow import Flow
from course_utils.diagrams.sketch import Area, Box, Sketch, count_text, shape_text
from course_utils.diagrams.style import CARD, EDGE, FAINT, LARGE, MEDIUM, SHORTCUT, SMALL, Role
from course_utils.diagrams.tracing import image_for, trace
from course_utils.i18n import _, listed, number
from course_utils.models import count_parameters

__all__ = [
    "class_map",
    "conv_1x1",
    "conv_1x1_pixel",
    "function_classes",
    "global_average",
    "heads",
    "receptive_field",
]

PAPER, CHOSEN = "#F4F6F8", "#F0A97C"  # a cell, and the cell that is followed
PIXEL = Role(CHOSEN, EDGE, "square")
BAR = Role("#2B6F94", "#1F5470", "square", CARD)
CELL = 20.0
# Small whole numbers whose means are whole: a decimal comma would not speak every language.
VALUES = torch.tensor(
    [
        [[0.0, 1, 2, 1], [1, 5, 6, 2], [0, 6, 5, 1], [0, 1, 1, 0]],
        [[7, 8, 4, 1], [6, 7, 3, 0], [5, 6, 2, 0], [7, 6, 2, 0]],
        [[0, 0, 0, 1], [0, 2, 1, 0], [1, 3, 4, 1], [0, 1, 1, 1]],
    ]
)  # (K, h, w)
NUMBERED, PITCH = 27.0, 134.0  # side of a cell that holds a number, and from map to map


def _marked(where: Tensor) -> list[list[str]]:
    """Cells of paper, but for those followed, which bool ``where`` (h, w) tells."""
    return [[CHOSEN if one else PAPER for one in row] for row in where.tolist()]


def _one_pixel(side: int, row: int, column: int) -> list[list[str]]:
    where = torch.zeros(side, side, dtype=torch.bool)
    where[row, column] = True
    return _marked(where)


def conv_1x1(conv: nn.Conv2d, side: int = 5) -> Sketch:
    """``conv1``: at each position, a matrix times the column of its pixels."""
    graph = trace(conv, image_for(conv, side))
    read, made = conv.in_channels, conv.out_channels
    sketch = Sketch()
    first = _pile(sketch, 0, read, side, 1)
    column = [[f"$p_{{{k}}}$"] for k in range(1, read + 1)]
    pixels = _table(sketch, first.right + 36, column, PIXEL, 40)
    rows = [[f"$w^{{{q}}}_{{{p}}}$" for p in range(1, read + 1)] for q in range(1, made + 1)]
    weights = _table(sketch, pixels.right + 46, rows, "convolution", 37)
    column = [[f"$q_{{{k}}}$"] for k in range(1, made + 1)]
    answers = _table(sketch, weights.right + 46, column, PIXEL, 40)
    second = _pile(sketch, answers.right + 46, made, side, 2)
    for one, other in pairwise((first, pixels, weights, answers, second)):
        sketch.arrow((one.right + 4, 0), (other.left - 4, 0))
    foot = first.bottom + 22
    sketch.note(first.left + side * CELL / 2, foot, shape_text(graph[0].shape))
    sketch.note(pixels.x, foot, str(read))
    sketch.note(weights.x, foot, "conv 1×1", count_text(count_parameters(conv)))
    sketch.note(answers.x, foot, str(made))
    sketch.note(second.x, foot, shape_text(graph[-1].shape))
    text = _(
        "From left to right: a pile of {before} maps of {size} pixels, with the pixel at one "
        "position in orange on each; these pixels as a column, p₁, p₂ …; the weights, a matrix "
        "of {after} rows and {before} columns; the column q₁, q₂ … that the matrix makes of "
        "them; and a pile of {after} maps with these numbers at the same position. The same "
        "weights serve every position, {total} parameters in all with the biases."
    )
    return sketch.described(
        _("The 1×1 convolution: a matrix at every position"),
        text,
        before=read,
        size=(side, side),
        after=made,
        total=count_parameters(conv),
    )


def _pile(sketch: Sketch, left: float, number: int, side: int, name: int) -> Area:
    """Maps from the farthest to the nearest; the pixel in the corner shows on each."""
    deep = 24.0 * (number - 1)
    top = (deep - side * CELL) / 2
    for rank in reversed(range(number)):
        cells = _one_pixel(side, 0, side - 1)
        sketch.grid(left + 24 * rank, top - 24 * rank, cells, CELL, pile=name)
    return Area(left, top - deep, side * CELL + deep, side * CELL + deep)


def _table(
    sketch: Sketch, left: float, texts: Sequence[Sequence[str]], role: str | Role, width: float
) -> Area:
    """Rows of boxes that touch, centred on the height 0."""
    tall = 31.0
    area = Area(left, -tall * len(texts) / 2, width * len(texts[0]), tall * len(texts))
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            x, y = left + width * (column + 0.5), area.top + tall * (row + 0.5)
            sketch.box(x, y, role, [(text, SMALL)], width=width, height=tall, stroke=1.2)
    return area


def conv_1x1_pixel(conv: nn.Conv2d, side: int = 5) -> Sketch:
    """``conv1_final``: one filter, its weights, and the pixel p at (i, j)."""
    number, half = conv.in_channels, side * CELL / 2
    row, column = 1, 3
    x, y = (column + 0.5) * CELL, (row + 0.5) * CELL - half  # of the pixel, in its map
    cells = _one_pixel(side, row, column)
    last = 69.0 * (number - 1)  # height of the last map, and of the first above
    sketch = Sketch()
    plus = sketch.box(470, 0, "addition", ["+"])
    tall = 58.0 * (number - 1) + 64
    sketch.frame(Area(272, -tall / 2, 92, tall))
    sketch.note(318, tall / 2 + 16, shape_text((number, 1, 1)))
    for rank in range(number):
        offset = rank - (number - 1) / 2
        grid = sketch.grid(0, 138 * offset - half, cells, CELL)
        sketch.label(-22, 138 * offset, f"$F_{rank + 1}$")
        name = [(f"$w_{rank + 1}$", LARGE)]
        box = sketch.box(318, 58 * offset, "convolution", name, width=58, height=44)
        sketch.arrow((x + CELL / 2 + 2, 138 * offset + y), (box.area.left, box.area.y))
        spot = grid.area.right + 8, grid.area.bottom - 8
        sketch.label(*spot, f"$p_{{i,j}}(F_{rank + 1})$", MEDIUM, align="left")
        _to_disc(sketch, box, plus)
    bias = sketch.box(470, 96, "convolution", [("$b$", LARGE)], width=58, height=44)
    sketch.arrow((470, bias.area.top), (470, plus.area.bottom))
    sketch.label(x, -last - half - 12, "$j$", MEDIUM)
    sketch.label(-8, y - last, "$i$", MEDIUM)
    sketch.grid(560, -half, cells, CELL)
    sketch.arrow((plus.area.right, 0), (554, 0))
    sketch.label(560 + half, -half - 30, "$F'$")
    sketch.label(560 + x, -half - 10, "$j$", MEDIUM)
    sketch.label(560 + 2 * half + 12, y, "$i$", MEDIUM)
    terms = " + ".join(rf"w_{k}\,p_{{i,j}}(F_{k})" for k in range(1, number + 1))
    sketch.label(330, last + half + 40, rf"$p_{{i,j}}(F') = {terms} + b$")
    text = _(
        "On the left are {number} maps F₁, F₂ …, squares of {size} pixels, one below the other; "
        "on each, the pixel at row i and column j is orange. An arrow leads from each of these "
        "pixels to a weight of the only filter, of shape {filter}: w₁, w₂ … The products and "
        "the bias b meet in an addition, and the result is the pixel at row i and column j of "
        "the map F′, on the right. Below stands the formula: p(F′) at (i, j) is the sum of each "
        "weight times the pixel of its map, plus b."
    )
    return sketch.described(
        _("The 1×1 convolution at one pixel"),
        text,
        number=number,
        size=(side, side),
        filter=(number, 1, 1),
    )


def _to_disc(sketch: Sketch, box: Box, disc: Box) -> None:
    """An arrow from the right of a box towards the centre of a disc."""
    x, y = box.area.right, box.area.y
    across, down = x - disc.area.x, y - disc.area.y
    share = disc.area.width / 2 / math.hypot(across, down)
    sketch.arrow((x, y), (disc.area.x + share * across, disc.area.y + share * down))


def _tint(share: float) -> str:
    """White for 0, red for 1, blue for -1, as in the lessons' class maps."""
    tint = (0xE0, 0x82, 0x6B) if share > 0 else (0x5F, 0xA8, 0xD8)
    channels = (round(255 + abs(share) * (channel - 255)) for channel in tint)
    return "#" + "".join(f"{channel:02X}" for channel in channels)


def _written(number: float) -> str:
    return f"{number:g}".replace("-", "−")


def _numbered(sketch: Sketch, left: float, y: float, values: Tensor, largest: float) -> Box:
    """A map ``(h, w)`` with its numbers, in the tint of their share of the largest."""
    cells = [[_tint(one / largest) for one in row] for row in values.tolist()]
    numbers = [[_written(one) for one in row] for row in values.tolist()]
    return sketch.grid(left, y - len(cells) * NUMBERED / 2, cells, NUMBERED, numbers=numbers)


def _column(sketch: Sketch, maps: Tensor) -> Iterator[Box]:
    """The maps ``(K, h, w)`` one below the other, the first at height 0, each when it is asked."""
    for rank, values in enumerate(maps):
        y = rank * PITCH
        grid = _numbered(sketch, 0, y, values, float(maps.max()))
        sketch.label(-22, y, f"$F_{rank + 1}$")
        yield grid


def global_average(maps: Tensor = VALUES) -> Sketch:
    """``GlobalAVG_final``: each map of ``(K, h, w)`` becomes one number, its mean."""
    pool = nn.AdaptiveAvgPool2d(1)
    means = pool(maps[None]).flatten().tolist()  # (K,)
    number, height, width = maps.shape
    middle = (number - 1) * PITCH / 2
    sketch = Sketch()
    funnel = sketch.box(290, middle, "pooling", width=190, height=2 * middle + 60)
    sketch.label(290, middle - 32, "GAP", box=funnel)
    sketch.label(290, middle + 12, r"$\frac{1}{hw}\,\sum_{i,j}\; F_k(i,j)$", box=funnel)
    for grid, mean in zip(_column(sketch, maps), means, strict=True):
        y = grid.area.y
        role = Role(_tint(mean / float(maps.max())), EDGE, "square")
        answer = sketch.box(460, y, role, [(_written(mean), LARGE)], width=44, height=40)
        sketch.join(grid, funnel, answer, y=y)
    foot = grid.area.bottom + 24
    sketch.note(grid.area.x, foot, shape_text(tuple(maps.shape)))
    sketch.note(290, foot, count_text(count_parameters(pool)))
    sketch.note(460, foot, str(number))
    text = _(
        "On the left are {number} maps of {size} pixels, with a number in each pixel. All go "
        "through a box GAP, which takes the mean over the pixels of a map. On the right are the "
        "{number} means: {means}. From {before}, only {number} numbers are left, without any "
        "parameter."
    )
    return sketch.described(
        _("Global average pooling"),
        text,
        number=number,
        size=(height, width),
        means=", ".join(map(_written, means)),
        before=tuple(maps.shape),
    )


def heads(
    channels: int = 64, side: int = 8, hidden: int = 256, wide: int = 1024, classes: int = 10
) -> Sketch:
    """``heads``: heads on the same maps, the largest above, with their parameters as bars."""
    flat = channels * side * side
    rows = [
        nn.Sequential(nn.Flatten(), *_hidden(flat, hidden, classes)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *_hidden(channels, wide, classes)),
        nn.Sequential(nn.Flatten(), nn.Linear(flat, classes)),
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, classes)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)),
    ]
    graphs = [trace(head, torch.zeros(1, channels, side, side)) for head in rows]
    counts = [count_parameters(head) for head in rows]
    sketch = Sketch()
    top = 0.0
    for graph, count in zip(graphs, counts, strict=True):
        sketch.put(Flow(graph).sketch, 0, top)
        y = sketch.extent().bottom + 22
        length = max(2.0, 560 * count / max(counts))
        sketch.box(length / 2, y, BAR, width=length, height=14)
        sketch.label(length + 12, y, count_text(count), MEDIUM, align="left", bold=True)
        top = y + 42
    said = [
        f"{', '.join(' '.join(each.lines) for each in graph[1:])} ({number(count, 15)})"
        for graph, count in zip(graphs, counts, strict=True)
    ]
    text = _(
        "There are {number} rows of boxes that read the same maps x, of {shape}; below each, a "
        "bar is as long as its number of parameters. From top to bottom, they are {said}."
    )
    return sketch.described(
        _("Heads on the same maps, and their parameters"),
        text,
        number=len(rows),
        shape=(channels, side, side),
        said=listed(said),
    )


def _hidden(size: int, hidden: int, classes: int) -> list[nn.Module]:
    """Two hidden layers, and the answer."""
    within = [nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return [*within, nn.Linear(hidden, classes)]


def class_map(weights: Sequence[float] = (2.0, -1.0, 1.0)) -> Sketch:
    """``cam``: the map of a class is the sum of the maps, each times its weight."""
    cam = torch.einsum("k,khw->hw", torch.tensor(weights), VALUES)
    logit = _written(float(torch.tensor(weights) @ VALUES.mean((1, 2))))
    sketch = Sketch()
    plus = sketch.box(330, PITCH, "addition", ["+"])
    for rank, grid in enumerate(_column(sketch, VALUES)):
        name = [(rf"$w_{rank + 1} = ${_written(weights[rank])}", MEDIUM)]
        box = sketch.box(214, grid.area.y, "linear", name, height=44)
        sketch.join(grid, box, y=grid.area.y)
        _to_disc(sketch, box, plus)
    foot = grid.area.bottom + 36
    result = _numbered(sketch, 420, PITCH, cam, float(cam.abs().max()))
    sketch.label(result.area.x, result.area.top - 18, "$M_c$")
    gap = sketch.box(result.area.right + 92, PITCH, "pooling", ["GAP"], width=76, height=52)
    lines = [("$s_c$", LARGE), (logit, MEDIUM)]
    score = sketch.box(gap.area.right + 76, PITCH, "data", lines, width=64, height=52)
    sketch.join(plus, result, gap, score, y=PITCH)
    sketch.label(330, foot, r"$M_c = \sum_k w_k\, F_k \qquad s_c = \mathrm{GAP}(M_c)$")
    text = _(
        "On the left are {number} feature maps with a number in each pixel. Each is multiplied "
        "by its weight in the linear layer for class c: {weights}. The products add up, pixel "
        "by pixel, to the map of the class, with positive pixels in red and negative ones in "
        "blue. Its mean, GAP, is the score of the class, {score}."
    )
    return sketch.described(
        _("A class activation map: a weighted sum of feature maps"),
        text,
        number=len(VALUES),
        weights=", ".join(map(_written, weights)),
        score=logit,
    )


def receptive_field(layers: int = 3, kernel: int = 3) -> Sketch:
    """``receptive_field``: what one pixel sees, convolution after convolution, from gradients."""
    side = 2 * layers * (kernel // 2) + 3
    states = [torch.zeros(1, 1, side, side, requires_grad=True)]
    for _layer in range(layers):
        conv = nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False)
        nn.init.ones_(conv.weight)
        states.append(conv(states[-1]))
    centre = states[-1][0, 0, side // 2, side // 2]
    seen = [gradient[0, 0] != 0 for gradient in torch.autograd.grad(centre, states)]
    sizes = [f"{int(where.any(0).sum())}×{int(where.any(1).sum())}" for where in seen]
    sketch = Sketch()
    cell, gap = 17.0, 56.0
    for rank, (where, size) in enumerate(zip(seen, sizes, strict=True)):
        left = rank * (side * cell + gap)
        area = sketch.grid(left, 0, _marked(where), cell).area
        sketch.label(area.x, area.bottom + 20, size, bold=True)
        sketch.label(area.x, -18, ["$x$", *(f"$h_{k}$" for k in range(1, layers)), "$y$"][rank])
        if rank:
            sketch.arrow((left - gap + 6, area.y), (left - 6, area.y))
            sketch.note(left - gap / 2, area.y - 30, "conv", f"{kernel}×{kernel}")
    text = _(
        "A row of {grids} squares of {side}×{side} pixels, from the input x to the output y, "
        "with a {kernel}×{kernel} convolution between each square and the next. In y one pixel "
        "is orange, and so are the pixels that it depends on in the squares before it: from x "
        "to y, there are {sizes} of them. Each convolution adds {more} to the side."
    )
    return sketch.described(
        _("A receptive field grows, convolution after convolution"),
        text,
        grids=layers + 1,
        side=side,
        kernel=kernel,
        sizes=", ".join(sizes),
        more=kernel - 1,
    )


# Centre, width and height of each class, and where its name stands.
APART = (
    ((190, 112, 150, 110), (180, 100)),
    ((125, 196, 220, 130), (110, 205)),
    ((240, 266, 280, 130), (240, 275)),
)
NESTED = (
    ((150, 220, 130, 90), (145, 224)),
    ((165, 205, 230, 170), (68, 214)),
    ((185, 186, 330, 262), (36, 198)),
)
STAR = (332.0, 40.0)


def _nearest(ellipse: tuple[float, float, float, float]) -> tuple[float, float]:
    """The point of an ellipse that is nearest to the star, to a thousandth of a turn."""
    x, y, wide, tall = ellipse
    turns = [2 * math.pi * step / 1000 for step in range(1000)]
    points = [(x + wide / 2 * math.cos(turn), y + tall / 2 * math.sin(turn)) for turn in turns]
    return min(points, key=lambda point: math.dist(point, STAR))


def function_classes() -> Sketch:
    """``function_classes``: classes that are not nested, and classes that are."""
    sketch = Sketch()
    tints = ("#F9D48A", "#A6DFCB", "#A9D3F0")
    for left, classes, sign in ((0.0, APART, "⊄"), (440.0, NESTED, "⊂")):
        star = (left + STAR[0], STAR[1])
        for rank in (2, 1, 0) if classes is NESTED else (0, 1, 2):
            x, y, wide, tall = classes[rank][0]
            area = Area(left + x - wide / 2, y - tall / 2, wide, tall)
            sketch.boxes.append(Box(area, Role(tints[rank], "#3A434D", "ellipse"), frame=True))
        for rank, (ellipse, (x, y)) in enumerate(classes):
            near = _nearest(ellipse)
            spot = (left + near[0], near[1])
            sketch.arrow(spot, star, head=False, dashed=True, colour=FAINT, stroke=1.2)
            sketch.dot(*spot, SHORTCUT)
            sketch.label(left + x, y, rf"$\mathcal{{F}}_{rank + 1}$")
        sketch.label(*star, "★", 20.0)
        sketch.label(star[0] + 26, star[1] - 2, "$f^*$")
        formula = rf" \;{sign}\; ".join(rf"\mathcal{{F}}_{rank}" for rank in (1, 2, 3))
        sketch.label(left + 185, 362, f"${formula}$")
    text = _(
        "Two drawings. In each, a star is the function f* that we look for, and three ellipses "
        "are the classes F₁, F₂ and F₃, each larger than the last; the star is outside them. A "
        "dot on each ellipse is its function nearest to the star, joined to it by a dashed "
        "line. On the left, the classes are not nested: they lie apart, and the dot of F₃, the "
        "largest, is farther from the star than the dot of F₁. On the right, each class "
        "contains the last, and the dots can only come nearer."
    )
    return sketch.described(_("Classes of functions: nested or not"), text)
