"""The pictures of feature maps: 1×1 convolution, pooling, heads, class maps, receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from course_utils.diagrams.flow import lay_out
from course_utils.diagrams.sketch import Area, Box, Sketch, grouped
from course_utils.diagrams.style import (
    CARD,
    FAINT,
    INK,
    LARGE,
    MEDIUM,
    ROLES,
    SHORTCUT,
    SMALL,
    Role,
)
from course_utils.diagrams.tracing import shape_text, trace
from course_utils.i18n import _
from course_utils.inference import evaluating
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


def _blank(rows: int, columns: int, chosen: tuple[int, int]) -> list[list[str]]:
    return [
        [CHOSEN if (row, column) == chosen else PAPER for column in range(columns)]
        for row in range(rows)
    ]


def conv_1x1(conv: nn.Conv2d | None = None, side: int = 5) -> Sketch:
    """``conv1``: at each position, a matrix times the column of its pixels."""
    conv = conv or nn.Conv2d(6, 3, 1)
    x = torch.zeros(1, conv.in_channels, side, side)
    with evaluating(conv):
        y = conv(x)
    sketch = Sketch()
    cell, chosen = 20.0, (0, side - 1)

    def pile(left: float, number: int, name: int) -> Area:
        """Sheets from the farthest to the nearest; the pixel in the corner shows on each."""
        across, up = 24.0, 24.0
        for rank in reversed(range(number)):
            place = (left + across * rank, -up * rank)
            sketch.grid(*place, _blank(side, side, chosen), cell, pile=name)
        wide = side * cell + across * (number - 1)
        return Area(left, -up * (number - 1), wide, side * cell + up * (number - 1))

    def column(x: float, number: int, letter: str, middle: float) -> Area:
        top = middle - number * 15.5
        for rank in range(number):
            role = Role(CHOSEN, "#5A636E", "square")
            line = (f"${letter}_{{{rank + 1}}}$", SMALL)
            sketch.box(x, top + 31 * rank + 15.5, role, [line], width=40, height=31, stroke=1.2)
        return Area(x - 20, top, 40, 31.0 * number)

    first = pile(0, conv.in_channels, 1)
    middle = first.y
    vector = column(first.right + 56, conv.in_channels, "p", middle)
    sketch.arrow((first.right + 4, middle), (vector.left - 4, middle))
    matrix_left = vector.right + 46
    tall = conv.out_channels * 31.0
    for row in range(conv.out_channels):
        for place in range(conv.in_channels):
            sketch.box(
                matrix_left + 37 * place + 18.5,
                middle - tall / 2 + 31 * row + 15.5,
                Role(ROLES["convolution"].fill, ROLES["convolution"].edge, "square"),
                [(f"$w^{{{row + 1}}}_{{{place + 1}}}$", SMALL)] if conv.in_channels <= 9 else [],
                width=37,
                height=31,
                stroke=1.2,
            )
    matrix_right = matrix_left + 37 * conv.in_channels
    sketch.arrow((vector.right + 4, middle), (matrix_left - 4, middle))
    answer = column(matrix_right + 66, conv.out_channels, "q", middle)
    sketch.arrow((matrix_right + 4, middle), (answer.left - 4, middle))
    second = Area(answer.right + 46, 0, 0, 0)
    depth = 24.0 * (conv.out_channels - 1)
    before = len(sketch.boxes)
    out = pile(second.left, conv.out_channels, 2)
    shift = middle - out.y
    _shift(sketch, before, shift)
    sketch.arrow((answer.right + 4, middle), (second.left - 4, middle))
    foot = first.bottom + 22
    sketch.note(side * cell / 2, foot, shape_text(tuple(x.shape[1:])))
    sketch.note(vector.x, foot, f"{conv.in_channels}")
    sketch.note(
        (matrix_left + matrix_right) / 2,
        foot,
        "conv 1×1",
        f"{grouped(count_parameters(conv))} params",
    )
    sketch.note(answer.x, foot, f"{conv.out_channels}")
    sketch.note(second.left + side * cell / 2 + depth / 2, foot, shape_text(tuple(y.shape[1:])))
    sketch.title = _("The 1×1 convolution: a matrix at every position")
    sketch.description = _(
        "From left to right: a pile of {before} maps of {size} pixels, with the pixel at one and "
        "the same position in orange on each; these pixels as a column p₁, p₂ …; the weights, a "
        "table of {after} rows and {before} columns; the column q₁, q₂ … that the table gives; and "
        "a pile of {after} maps, with these numbers at the same position. The same weights serve "
        "all positions: {total} parameters, biases included."
    ).format(
        before=conv.in_channels,
        size=shape_text(tuple(x.shape[2:])),
        after=conv.out_channels,
        total=grouped(count_parameters(conv)),
    )
    return sketch


def _shift(sketch: Sketch, start: int, down: float) -> None:
    for place in range(start, len(sketch.boxes)):
        box = sketch.boxes[place]
        sketch.boxes[place] = replace(box, area=replace(box.area, top=box.area.top + down))


def conv_1x1_pixel(conv: nn.Conv2d | None = None, side: int = 5) -> Sketch:
    """``conv1_final``: one filter, its weights, and the pixel p at (i, j)."""
    conv = conv or nn.Conv2d(3, 1, 1, bias=False)
    chosen, cell, pitch = (1, 3), 20.0, 138.0
    number = conv.in_channels
    sketch = Sketch()
    middle = (number - 1) * pitch / 2
    out_left, plus_x = 560.0, 470.0
    plus = sketch.box(plus_x, middle, "addition", ["+"])
    filter_x = 318.0
    step = 58.0
    tall = step * (number - 1) + 64
    sketch.frame(Area(filter_x - 46, middle - tall / 2, 92, tall))
    sketch.note(filter_x, middle + tall / 2 + 16, shape_text((number, 1, 1)))
    pixel = ((chosen[1] + 0.5) * cell, (chosen[0] + 0.5) * cell - side * cell / 2)
    for rank in range(number):
        y = rank * pitch
        grid = sketch.grid(0, y - side * cell / 2, _blank(side, side, chosen), cell)
        sketch.note(-22, y, (f"$F_{rank + 1}$", LARGE), colour=INK)
        spot = (pixel[0] + cell / 2 + 2, y + pixel[1])
        weight_y = middle + (rank - (number - 1) / 2) * step
        box = sketch.box(
            filter_x, weight_y, "convolution", [(f"$w_{rank + 1}$", LARGE)], width=58, height=44
        )
        sketch.arrow(spot, (box.area.left, weight_y))
        sketch.note(
            grid.area.right + 8,
            grid.area.bottom - 8,
            (f"$p_{{i,j}}(F_{rank + 1})$", MEDIUM),
            colour=INK,
            align="left",
        )
        sketch.arrow((box.area.right, weight_y), _on_disc(plus, box.area.right, weight_y))
    index_y = -side * cell / 2 - 12
    sketch.note(pixel[0], index_y, ("$j$", MEDIUM), colour=INK)
    sketch.note(-8, pixel[1], ("$i$", MEDIUM), colour=INK)
    sketch.grid(out_left, middle - side * cell / 2, _blank(side, side, chosen), cell)
    sketch.arrow((plus.area.right, middle), (out_left - 6, middle))
    sketch.note(
        out_left + side * cell / 2, middle - side * cell / 2 - 30, ("$F'$", LARGE), colour=INK
    )
    sketch.note(out_left + pixel[0], middle - side * cell / 2 - 10, ("$j$", MEDIUM), colour=INK)
    sketch.note(out_left + side * cell + 12, middle + pixel[1], ("$i$", MEDIUM), colour=INK)
    terms = " + ".join(rf"w_{k}\,p_{{i,j}}(F_{k})" for k in range(1, number + 1))
    sketch.note(
        330,
        (number - 1) * pitch + side * cell / 2 + 40,
        (rf"$p_{{i,j}}(F') = {terms}$", LARGE),
        colour=INK,
    )
    sketch.title = _("The 1×1 convolution at one pixel")
    sketch.description = _(
        "Left, {number} maps F₁, F₂ …, squares of {size} pixels, one below the other; on each, the "
        "pixel at row i and column j is orange. An arrow leads from each of these pixels to a "
        "weight of the one filter, of {filter}: w₁, w₂ …; the products meet in an addition, whose "
        "result is the pixel at the same row i and column j of the map F′, on the right. Below: "
        "p(F′) at (i, j) is the sum of the products of each weight and the pixel of its map."
    ).format(number=number, size=f"{side}×{side}", filter=shape_text((number, 1, 1)))
    return sketch


def _on_disc(disc: Box, x: float, y: float) -> tuple[float, float]:
    """Where an arrow from ``(x, y)`` meets the disc."""
    across, down = x - disc.area.x, y - disc.area.y
    share = disc.area.width / 2 / (across**2 + down**2) ** 0.5
    return disc.area.x + share * across, disc.area.y + share * down


# Small whole numbers whose means are whole: a decimal comma would not speak every language.
VALUES = (
    ((0, 1, 2, 1), (1, 5, 6, 2), (0, 6, 5, 1), (0, 1, 1, 0)),
    ((7, 8, 4, 1), (6, 7, 3, 0), (5, 6, 2, 0), (7, 6, 2, 0)),
    ((0, 0, 0, 1), (0, 2, 1, 0), (1, 3, 4, 1), (0, 1, 1, 1)),
)


def _tint(share: float, low: str = "#FFFFFF", high: str = "#5FA8D8") -> str:
    channels = [
        round(int(low[at : at + 2], 16) * (1 - share) + int(high[at : at + 2], 16) * share)
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{channel:02X}" for channel in channels)


def global_average(maps: Tensor | None = None) -> Sketch:
    """``GlobalAVG_final``: each map becomes one number, its mean."""
    maps = torch.tensor(VALUES, dtype=torch.float32) if maps is None else maps  # (K, h, w)
    pool = nn.AdaptiveAvgPool2d(1)
    means = pool(maps[None]).flatten()  # (K,)
    sketch = Sketch()
    cell, pitch = 27.0, 134.0
    number, height, width = maps.shape
    middle = (number - 1) * pitch / 2
    largest = max(1.0, float(maps.max()))
    tall = (number - 1) * pitch + 60
    funnel = sketch.box(290, middle, "pooling", width=190, height=tall)
    sketch.lines_of_text(290, middle - 32, [("GAP", LARGE)], box=funnel)
    mean = r"$\frac{1}{hw}\,\sum_{i,j}\; F_k(i,j)$"
    sketch.lines_of_text(290, middle + 12, [(mean, LARGE)], box=funnel)
    for rank, (one, average) in enumerate(zip(maps, means, strict=True)):
        y = rank * pitch
        colours = [[_tint(float(value) / largest) for value in row] for row in one]
        numbers = [[f"{float(value):g}" for value in row] for row in one]
        grid = sketch.grid(0, y - height * cell / 2, colours, cell, numbers=numbers)
        sketch.note(-22, y, (f"$F_{rank + 1}$", LARGE), colour=INK)
        sketch.arrow((grid.area.right + 4, y), (_side(funnel, y, -1), y))
        tint = Role(_tint(float(average) / largest), "#5A636E", "square")
        answer = sketch.box(460, y, tint, [(f"{float(average):g}", LARGE)], width=44, height=40)
        sketch.arrow((_side(funnel, y, 1), y), (answer.area.left, y))
    foot = (number - 1) * pitch + height * cell / 2 + 24
    sketch.note(width * cell / 2, foot, shape_text(tuple(maps.shape)))
    sketch.note(290, foot, f"{count_parameters(pool)} params")
    sketch.note(460, foot, shape_text((number,)))
    sketch.title = _("Global average pooling")
    sketch.description = _(
        "Left, {number} maps of {size} pixels, with a number in each pixel. All go through a box "
        "GAP, the mean over all pixels of a map. Right, the {number} means: {means}. Of "
        "{before}, {number} numbers are left, and no parameter is needed."
    ).format(
        number=number,
        size=f"{height}×{width}",
        means=", ".join(f"{float(mean):g}" for mean in means),
        before=shape_text(tuple(maps.shape)),
    )
    return sketch


def _side(funnel: Box, y: float, sign: int) -> float:
    """Where the slanted side of a funnel is at height ``y``."""
    share = (y - funnel.area.top) / funnel.area.height
    return funnel.area.x + sign * (funnel.area.width / 2 - 9.0 * share)


def heads(channels: int = 64, side: int = 8, hidden: int = 256, classes: int = 10) -> Sketch:
    """``heads``: a dense head and a GAP head on the same maps, with their parameters as bars."""
    dense = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * side * side, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    x = torch.zeros(1, channels, side, side)
    counts = [count_parameters(dense), count_parameters(pooled)]
    sketch = Sketch()
    top, wide = 0.0, 560.0
    for head, count in zip((dense, pooled), counts, strict=True):
        sketch.put(lay_out(trace(head, x), along="x").sketch, 0, top)
        y = sketch.extent().bottom + 28
        length = max(2.0, wide * count / max(counts))
        sketch.box(length / 2, y, BAR, width=length, height=22)
        text = f"{grouped(count)} params"
        sketch.note(length + 12, y, (text, MEDIUM), colour=INK, align="left", bold=True)
        top = y + 52
    sketch.title = _("A dense head and a head with global average pooling")
    sketch.description = _(
        "Two rows of boxes that read the same maps x, of {shape}. Above, the dense head: flatten, "
        "linear to {hidden}, ReLU, linear, ReLU, linear to {classes}. Below, the GAP head: global "
        "average pooling, flatten, linear to {classes}. A bar below each row is as long as its "
        "number of parameters: {dense} above, {pooled} below."
    ).format(
        shape=shape_text((channels, side, side)),
        hidden=hidden,
        classes=classes,
        dense=grouped(counts[0]),
        pooled=grouped(counts[1]),
    )
    return sketch


BAR = Role("#2B6F94", "#1F5470", "square", CARD)


def class_map(weights: Sequence[float] = (2.0, -1.0, 1.0)) -> Sketch:
    """``cam``: the map of a class is the sum of the maps, each times its weight."""
    maps = torch.tensor(VALUES, dtype=torch.float32)  # (K, h, w)
    linear = nn.Linear(len(maps), 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([list(weights)]))
        cam = torch.einsum("k,khw->hw", linear.weight[0], maps)
        logit = float(linear(maps.mean((1, 2))))
    sketch = Sketch()
    cell, pitch = 27.0, 134.0
    number, height, width = maps.shape
    middle = (number - 1) * pitch / 2
    plus = sketch.box(330, middle, "addition", ["+"])
    largest, strongest = float(maps.max()), float(cam.abs().max())
    for rank, one in enumerate(maps):
        y = rank * pitch
        colours = [[_tint(float(value) / largest) for value in row] for row in one]
        numbers = [[f"{float(value):g}" for value in row] for row in one]
        grid = sketch.grid(0, y - height * cell / 2, colours, cell, numbers=numbers)
        sketch.note(-22, y, (f"$F_{rank + 1}$", LARGE), colour=INK)
        value = f"{weights[rank]:g}".replace("-", "−")
        box = sketch.box(214, y, "linear", [(rf"$w_{rank + 1} = ${value}", MEDIUM)], height=44)
        sketch.arrow((grid.area.right + 4, y), (box.area.left, y))
        sketch.arrow((box.area.right, y), _on_disc(plus, box.area.right, y))
    left = 420.0
    colours = [
        [
            _tint(abs(float(v)) / strongest, "#FFFFFF", "#5FA8D8" if v > 0 else "#E58A4E")
            for v in row
        ]
        for row in cam
    ]
    numbers = [[f"{float(value):g}".replace("-", "−") for value in row] for row in cam]
    result = sketch.grid(left, middle - height * cell / 2, colours, cell, numbers=numbers)
    sketch.note(
        left + width * cell / 2, middle - height * cell / 2 - 18, ("$M_c$", LARGE), colour=INK
    )
    sketch.arrow((plus.area.right, middle), (left - 4, middle))
    gap = sketch.box(result.area.right + 92, middle, "pooling", ["GAP"], width=76, height=52)
    sketch.arrow((result.area.right + 4, middle), (_side(gap, middle, -1), middle))
    score = sketch.box(
        gap.area.right + 76,
        middle,
        "data",
        [("$s_c$", LARGE), (f"{logit:g}", MEDIUM)],
        width=64,
        height=52,
    )
    sketch.arrow((_side(gap, middle, 1), middle), (score.area.left, middle))
    sketch.note(
        330,
        (number - 1) * pitch + height * cell / 2 + 36,
        (r"$M_c = \sum_k w_k\, F_k \qquad s_c = \mathrm{GAP}(M_c)$", LARGE),
        colour=INK,
    )
    assert abs(float(cam.mean()) - logit) < 1e-5
    sketch.title = _("A class activation map: a weighted sum of feature maps")
    sketch.description = _(
        "Left, {number} feature maps with a number in each pixel. Each is multiplied by its weight "
        "of the linear layer for class c: {weights}. The products are added, pixel by pixel, into "
        "the map of the class, positive pixels blue and negative ones orange. Its mean, GAP, is "
        "the score of the class: {score}."
    ).format(
        number=number,
        weights=", ".join(f"{weight:g}".replace("-", "−") for weight in weights),
        score=f"{logit:g}",
    )
    return sketch


def receptive_field(layers: int = 3, kernel: int = 3) -> Sketch:
    """``receptive_field``: what one pixel sees, convolution after convolution, from gradients."""
    side = 2 * layers * (kernel // 2) + 3
    convolutions = [
        nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _n in range(layers)
    ]
    for conv in convolutions:
        nn.init.ones_(conv.weight)
    states = [torch.zeros(1, 1, side, side, requires_grad=True)]
    for conv in convolutions:
        states.append(conv(states[-1]))
    centre = states[-1][0, 0, side // 2, side // 2]
    seen = [gradient[0, 0] != 0 for gradient in torch.autograd.grad(centre, states[:-1])]
    last = torch.zeros(side, side, dtype=torch.bool)
    last[side // 2, side // 2] = True
    sketch = Sketch()
    cell, gap = 17.0, 56.0
    sizes = []
    for rank, where in enumerate([*seen, last]):
        left = rank * (side * cell + gap)
        colours = [[CHOSEN if bool(one) else PAPER for one in row] for row in where]
        grid = sketch.grid(left, 0, colours, cell)
        size = int(where.any(0).sum())
        sizes.append(size)
        sketch.note(
            grid.area.x, grid.area.bottom + 20, (f"{size}×{size}", LARGE), colour=INK, bold=True
        )
        name = "$x$" if rank == 0 else f"$h_{rank}$" if rank < layers else "$y$"
        sketch.note(grid.area.x, -18, (name, LARGE), colour=INK)
        if rank:
            sketch.arrow((left - gap + 6, grid.area.y), (left - 6, grid.area.y))
            sketch.note(left - gap / 2, grid.area.y - 30, "conv", f"{kernel}×{kernel}")
    sketch.title = _("A receptive field grows, convolution after convolution")
    sketch.description = _(
        "{grids} squares of {side}×{side} pixels in a row, from the input x to the output y, with "
        "a {kernel}×{kernel} convolution between each two. In y one pixel is orange; in each "
        "square before it, the pixels that it depends on are: {sizes} pixels, from x to y. Each "
        "convolution adds {more} to the side."
    ).format(
        grids=layers + 1,
        side=side,
        kernel=kernel,
        sizes=", ".join(f"{size}×{size}" for size in sizes),
        more=kernel - 1,
    )
    return sketch


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
    formulas = (
        r"$\mathcal{F}_1 \;⊄\; \mathcal{F}_2 \;⊄\; \mathcal{F}_3$",
        r"$\mathcal{F}_1 \;⊂\; \mathcal{F}_2 \;⊂\; \mathcal{F}_3$",
    )
    for panel, classes in enumerate((APART, NESTED)):
        left = panel * 440.0
        star = (left + STAR[0], STAR[1])
        ranks = list(range(3))
        for rank in reversed(ranks) if classes is NESTED else ranks:
            x, y, wide, tall = classes[rank][0]
            area = Area(left + x - wide / 2, y - tall / 2, wide, tall)
            sketch.boxes.append(Box(area, Role(tints[rank], "#3A434D", "ellipse"), frame=True))
        for rank, (ellipse, (x, y)) in enumerate(classes):
            near = _nearest(ellipse)
            spot = (left + near[0], near[1])
            sketch.arrow(spot, star, head=False, dashed=True, colour=FAINT, stroke=1.2)
            sketch.dot(*spot, SHORTCUT)
            sketch.note(left + x, y, (rf"$\mathcal{{F}}_{rank + 1}$", LARGE), colour=INK)
        sketch.note(*star, ("★", 20.0), colour=INK)
        sketch.note(star[0] + 26, star[1] - 2, ("$f^*$", LARGE), colour=INK)
        sketch.note(left + 185, 362, (formulas[panel], LARGE), colour=INK)
    sketch.title = _("Classes of functions: nested or not")
    sketch.description = _(
        "Two drawings, each with a star, the function f* looked for, outside three ellipses, the "
        "classes F₁, F₂ and F₃, each larger than the one before. A dot on each ellipse is its "
        "function nearest to the star, joined to it by a dashed line. Left, the classes are not "
        "nested: they lie here and there, and the dot of F₃, the largest, is farther from the star "
        "than that of F₁. Right, each class holds the one before: the dots only come nearer."
    )
    return sketch
