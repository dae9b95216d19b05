"""A drawing in pixels: boxes, words and arrows that know where they are, and their rendering."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch, Patch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from PIL import Image

from course_utils.diagrams.style import (
    CARD,
    FAINT,
    INK,
    MARGIN,
    MEDIUM,
    RIM,
    ROLES,
    SHORTCUT,
    SMALL,
    STROKE,
    Role,
    contrast,
)
from course_utils.plots.figure import DescribedFigure, show_described

__all__ = ["Area", "Box", "Diagram", "Line", "Sketch", "Words", "grouped"]

Point = tuple[float, float]
TextLines = Sequence["str | tuple[str, float]"]

SVG = "http://www.w3.org/2000/svg"
HEAD = 9.0  # length of an arrow's head
BEND = 9.0  # radius of an arrow's corners
CAPITAL = 0.73  # height of a capital of DejaVu Sans, in sizes
LEADING = 1.36  # from line to line, in sizes
# A reader's own settings of matplotlib must not change a picture. Words are drawn as outlines, so
# that they look the same on machines without the font; ``title`` and ``desc`` say them.
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "course_utils",
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "path.simplify": False,
    "path.snap": False,
}


@contextmanager
def _settled() -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


@lru_cache(maxsize=4096)
def _ink(text: str, size: float, bold: bool) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the ink of ``text`` on a base line at (0, 0)."""
    with _settled():
        font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
        path = TextPath((0, 0), text, size=size, prop=font)
    # The control points of a curve lie outside it by a hair, and spare the work of following it.
    points = path.vertices[path.codes != Path.CLOSEPOLY]
    (left, low), (right, high) = points.min(0), points.max(0)
    return float(left), -float(high), float(right), -float(low)


def grouped(number: int) -> str:
    """A whole number with a thin space every three digits, as both languages of science do.

    >>> grouped(12345).replace("\\N{THIN SPACE}", " ")
    '12 345'
    """
    return f"{number:,}".replace(",", "\N{THIN SPACE}")


@dataclass(frozen=True)
class Area:
    """A rectangle, y growing downwards."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def x(self) -> float:
        """Of the centre."""
        return self.left + self.width / 2

    @property
    def y(self) -> float:
        """Of the centre."""
        return self.top + self.height / 2


@dataclass(frozen=True)
class Box:
    """A filled shape; a frame lies behind others and may hold them."""

    area: Area
    role: Role
    frame: bool = False
    dashed: bool = False
    stroke: float = STROKE
    # Sheets of one pile hide one another on purpose.
    pile: int | None = None
    # Colours of the cells, row by row, where the box is a grid of pixels.
    cells: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Words:
    """One line of text, and the box that it is written in, if any."""

    text: str
    x: float
    base: float  # y of the base line
    size: float
    colour: str
    align: Literal["left", "center", "right"]
    bold: bool = False
    box: Box | None = None
    cell: tuple[int, int] | None = None  # row and column, in a grid

    @property
    def area(self) -> Area:
        """Of the ink."""
        left, top, right, bottom = _ink(self.text, self.size, self.bold)
        shift = {"left": 0.0, "center": -(left + right) / 2, "right": -right}[self.align]
        return Area(self.x + shift + left, self.base + top, right - left, bottom - top)

    @property
    def ground(self) -> str:
        """Colour behind the text."""
        if self.box and self.cell:
            return self.box.cells[self.cell[0]][self.cell[1]]
        return self.box.role.fill if self.box else CARD


@dataclass(frozen=True)
class Line:
    """An arrow along corners, or a plain line."""

    points: tuple[Point, ...]
    colour: str = INK
    stroke: float = STROKE
    head: bool = True
    dashed: bool = False


@dataclass
class Sketch:
    """A picture being drawn: what is on it, its title, and what there is to see in words."""

    title: str = ""
    description: str = ""
    boxes: list[Box] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    dots: list[tuple[Point, str]] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        role: str | Role,
        lines: TextLines = (),
        *,
        width: float = 0.0,
        height: float = 0.0,
        **options: Any,
    ) -> Box:
        """A shape centred on ``(x, y)``, as large as its lines ask for, or larger."""
        kind = ROLES[role] if isinstance(role, str) else role
        wanted, tall = self.room(kind, lines)
        width, height = max(width, wanted), max(height, tall)
        drawn = Box(Area(x - width / 2, y - height / 2, width, height), kind, **options)
        self.boxes.append(drawn)
        self.lines_of_text(x, y, lines, box=drawn, colour=kind.ink)
        return drawn

    @staticmethod
    def room(role: Role, lines: TextLines) -> tuple[float, float]:
        """Width and height that ``lines`` need in a shape of ``role``, with their margins."""
        if not lines:
            return 0.0, 0.0
        texts = [_sized(line) for line in lines]
        inks = [_ink(text, size, False) for text, size in texts]
        width = max(right - left for left, _top, right, _bottom in inks)
        height = sum(size * LEADING for _text, size in texts)
        if role.outline == "disc":
            side = max(30.0, 1.25 * max(width, height))
            return side, side
        aside = {"pill": 30.0, "funnel": 34.0, "hexagon": 36.0}.get(role.outline, 22.0)
        return width + aside, height + 14.0

    def lines_of_text(
        self,
        x: float,
        y: float,
        lines: TextLines,
        *,
        box: Box | None = None,
        colour: str = INK,
        align: Literal["left", "center", "right"] = "center",
        bold: bool = False,
    ) -> None:
        """Lines one below the other, centred on the height ``y``."""
        texts = [_sized(line) for line in lines]
        top = y - sum(size * LEADING for _text, size in texts) / 2
        for text, size in texts:
            middle = top + size * LEADING / 2
            base = middle + size * CAPITAL / 2
            self.words.append(Words(text, x, base, size, colour, align, bold, box))
            top += size * LEADING

    def note(
        self,
        x: float,
        y: float,
        *lines: str | tuple[str, float],
        size: float = SMALL,
        colour: str = FAINT,
        align: Literal["left", "center", "right"] = "center",
        bold: bool = False,
    ) -> None:
        """Free lines of text centred on the height ``y``, small and faint unless said otherwise."""
        sized = [line if isinstance(line, tuple) else (line, size) for line in lines]
        self.lines_of_text(x, y, sized, colour=colour, align=align, bold=bold)

    def grid(
        self,
        left: float,
        top: float,
        cells: Sequence[Sequence[str]],
        side: float,
        *,
        numbers: Sequence[Sequence[str]] = (),
        pile: int | None = None,
    ) -> Box:
        """A map of pixels: a colour a cell, and a number in it if wanted."""
        area = Area(left, top, side * len(cells[0]), side * len(cells))
        colours = tuple(tuple(row) for row in cells)
        drawn = Box(area, Role(CARD, "#5A636E", "square"), stroke=1.2, pile=pile, cells=colours)
        self.boxes.append(drawn)
        for row, line in enumerate(numbers):
            for column, text in enumerate(line):
                x, y = left + side * (column + 0.5), top + side * (row + 0.5)
                dark = contrast(colours[row][column], INK) >= 4.5
                self.words.append(
                    Words(
                        text,
                        x,
                        y + SMALL * CAPITAL / 2,
                        SMALL,
                        INK if dark else CARD,
                        "center",
                        box=drawn,
                        cell=(row, column),
                    )
                )
        return drawn

    def put(self, other: Sketch, x: float, y: float) -> None:
        """Another drawing, moved so that the upper left corner of its extent is at ``(x, y)``."""
        extent = other.extent()
        right, down = x - extent.left, y - extent.top
        moved = {
            id(box): replace(
                box,
                area=replace(box.area, left=box.area.left + right, top=box.area.top + down),
            )
            for box in other.boxes
        }
        self.boxes += moved.values()
        for word in other.words:
            box = moved[id(word.box)] if word.box else None
            self.words.append(replace(word, x=word.x + right, base=word.base + down, box=box))
        for line in other.lines:
            points = tuple((px + right, py + down) for px, py in line.points)
            self.lines.append(replace(line, points=points))
        self.dots += [((px + right, py + down), colour) for (px, py), colour in other.dots]

    def frame(
        self, area: Area, *, fill: str = "#F4F6F8", edge: str = "#9AA3AD", dashed: bool = True
    ) -> Box:
        """A ground behind what belongs together; draw it before what it holds."""
        drawn = Box(area, Role(fill, edge, "round"), frame=True, dashed=dashed, stroke=1.2)
        self.boxes.append(drawn)
        return drawn

    def arrow(self, *points: Point, shortcut: bool = False, **options: Any) -> Line:
        """The one arrow of the course, along ``points``; a shortcut is heavier and vermilion."""
        look: dict[str, Any] = {"colour": SHORTCUT, "stroke": 2.4} if shortcut else {}
        line = Line(tuple(points), **(look | options))
        self.lines.append(line)
        return line

    def dot(self, x: float, y: float, colour: str = INK) -> None:
        """Where one arrow becomes two."""
        self.dots.append(((x, y), colour))

    def extent(self) -> Area:
        """The smallest rectangle around everything."""
        areas = [box.area for box in self.boxes] + [word.area for word in self.words]
        xs = [side for one in areas for side in (one.left, one.right)]
        ys = [side for one in areas for side in (one.top, one.bottom)]
        for line in self.lines:
            xs += [x for x, _y in line.points]
            ys += [y for _x, y in line.points]
        left, top = min(xs), min(ys)
        return Area(left, top, max(xs) - left, max(ys) - top)

    def figure(self) -> Diagram:
        """The picture itself, on a card just large enough."""
        return Diagram(self)


def _sized(line: str | tuple[str, float]) -> tuple[str, float]:
    return (line, MEDIUM) if isinstance(line, str) else line


class Diagram(DescribedFigure):
    """A drawing that a notebook shows as a PNG of twice its size, with its description.

    Attributes:
        sketch: what is drawn, and where.
        title, description: in the language in which it was drawn.
        size: width and height in pixels, as shown.
    """

    def __init__(self, sketch: Sketch) -> None:
        content = sketch.extent()
        self.size = (
            math.ceil(content.width + 2 * MARGIN),
            math.ceil(content.height + 2 * MARGIN),
        )
        # At 72 dots an inch a point is a pixel, so sizes of text and lines need no conversion.
        super().__init__(sketch.description, (self.size[0] / 72, self.size[1] / 72))
        self.sketch = sketch
        self.title = sketch.title
        self.set_dpi(72)
        self.set_layout_engine("none")
        self.set_facecolor("none")
        with _settled():
            axes = self.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            left = content.x - self.size[0] / 2
            top = content.y - self.size[1] / 2
            axes.set_xlim(left, left + self.size[0])
            axes.set_ylim(top + self.size[1], top)
            card = Area(left + 0.75, top + 0.75, self.size[0] - 1.5, self.size[1] - 1.5)
            _paint(axes, Box(card, Role(CARD, RIM, "round"), stroke=1.0), corner=12.0)
            for box in sketch.boxes:
                _paint(axes, box)
            for line in sketch.lines:
                _trace(axes, line)
            for (x, y), colour in sketch.dots:
                _add(axes, Circle((x, y), 3.4, facecolor=colour, edgecolor="none"))
            for word in sketch.words:
                area = word.area
                ink = _ink(word.text, word.size, word.bold)
                axes.text(
                    area.left - ink[0],
                    word.base,
                    word.text,
                    fontsize=word.size,
                    color=word.colour,
                    fontweight="bold" if word.bold else "normal",
                    va="baseline",
                    ha="left",
                    zorder=5,
                )

    def png(self) -> bytes:
        """The picture at twice its size, transparent around the card's corners."""
        stream = io.BytesIO()
        with _settled():
            self.savefig(stream, format="png", dpi=144, facecolor="none")
        drawn = Image.open(stream).convert("RGBA")
        around = drawn.getchannel("A").point(lambda alpha: 255 * (alpha < 128))
        whole = Image.alpha_composite(Image.new("RGBA", drawn.size, CARD), drawn).convert("RGB")
        # 255 colours make a third of the bytes; the last of the 256 is the transparent one.
        picture = whole.quantize(255, dither=Image.Dither.NONE)
        palette = (picture.getpalette() or [])[: 3 * 255]
        picture.putpalette(palette + [255] * (3 * 256 - len(palette)))
        picture.paste(255, mask=around)
        stream = io.BytesIO()
        picture.save(stream, format="png", optimize=True, transparency=255)
        return stream.getvalue()

    def svg(self, said: Mapping[str, tuple[str, str]] | None = None) -> bytes:
        """The picture as SVG.

        Args:
            said: title and description in each language; those of the drawing by default.
        """
        stream = io.BytesIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with _settled():
            self.savefig(stream, format="svg", facecolor="none", metadata=nothing)
        ElementTree.register_namespace("", SVG)
        ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
        root = ElementTree.fromstring(stream.getvalue())
        for element in root.findall(f"{{{SVG}}}metadata"):
            root.remove(element)
        # matplotlib measures in points of 72 an inch, and a browser in pixels of 96.
        root.set("width", str(self.size[0]))
        root.set("height", str(self.size[1]))
        root.set("role", "img")
        texts = said or {"": (self.title, self.description)}
        place = 0
        for position, tag in enumerate(("title", "desc")):
            for language, words in texts.items():
                element = ElementTree.Element(f"{{{SVG}}}{tag}")
                if language:
                    element.set("lang", language)
                element.text = words[position]
                element.tail = "\n"
                root.insert(place, element)
                place += 1
        return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"

    def _ipython_display_(self) -> None:
        """Show the picture at its size, then its description, folded."""
        show_described(self.png(), self.description, size=self.size)


def _add(axes: Axes, patch: Patch) -> None:
    patch.set_clip_on(False)
    axes.add_patch(patch)


def _paint(axes: Axes, box: Box, corner: float = 7.0) -> None:
    area, role = box.area, box.role
    look: dict[str, Any] = {
        "facecolor": role.fill,
        "edgecolor": role.edge,
        "linewidth": box.stroke,
        "linestyle": (0, (4, 3)) if box.dashed else "-",
    }
    left, top, right, bottom = area.left, area.top, area.right, area.bottom
    if box.cells:
        _fill_cells(axes, box)
    if role.outline == "disc":
        _add(axes, Circle((area.x, area.y), area.width / 2, **look))
    elif role.outline == "ellipse":
        _add(axes, Ellipse((area.x, area.y), area.width, area.height, **look))
    elif role.outline == "square":
        if box.cells:
            look["facecolor"] = "none"
        _add(axes, Rectangle((left, top), area.width, area.height, **look))
    elif role.outline == "funnel":  # narrower below: fewer pixels come out
        cut = 9.0
        corners = [(left, top), (right, top), (right - cut, bottom), (left + cut, bottom)]
        _add(axes, Polygon(corners, closed=True, joinstyle="round", **look))
    elif role.outline == "hexagon":
        cut, y = 11.0, area.y
        corners = [
            (left, y),
            (left + cut, top),
            (right - cut, top),
            (right, y),
            (right - cut, bottom),
            (left + cut, bottom),
        ]
        _add(axes, Polygon(corners, closed=True, joinstyle="round", **look))
    else:
        radius = {"pill": area.height / 2, "plaque": 2.0}.get(role.outline, corner)
        radius = min(radius, area.height / 2, area.width / 2)
        style = f"round,pad=0,rounding_size={radius:.4f}"
        _add(axes, FancyBboxPatch((left, top), area.width, area.height, boxstyle=style, **look))
        if role.outline == "plaque":  # double at the sides, as things set side by side
            for x in (left + 5.0, right - 5.0):
                _add(axes, PathPatch(Path([(x, top), (x, bottom)]), edgecolor=role.edge, lw=1.2))


def _fill_cells(axes: Axes, box: Box) -> None:
    """One path a colour, and one for the lines between the cells."""
    area = box.area
    side = area.width / len(box.cells[0])
    squares: dict[str, list[Path]] = {}
    for row, line in enumerate(box.cells):
        for column, colour in enumerate(line):
            x, y = area.left + column * side, area.top + row * side
            square = [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]
            squares.setdefault(colour, []).append(Path(square, closed=True))
    for colour, paths in squares.items():
        whole = Path.make_compound_path(*paths)
        _add(axes, PathPatch(whole, facecolor=colour, edgecolor="none", linewidth=0))
    rules = [
        *(
            Path([(area.left, y), (area.right, y)])
            for y in (area.top + side * row for row in range(1, len(box.cells)))
        ),
        *(
            Path([(x, area.top), (x, area.bottom)])
            for x in (area.left + side * column for column in range(1, len(box.cells[0])))
        ),
    ]
    if rules:
        _add(axes, PathPatch(Path.make_compound_path(*rules), edgecolor="#9AA3AD", linewidth=0.8))


def _trace(axes: Axes, line: Line) -> None:
    """The line with rounded corners, ending at the base of its head."""
    points = list(line.points)
    end = points[-1]
    if line.head:
        (x, y), length = points[-2], math.dist(points[-2], end)
        along = ((end[0] - x) / length, (end[1] - y) / length)
        base = (end[0] - HEAD * along[0], end[1] - HEAD * along[1])
        half = 0.46 * HEAD + 0.25 * line.stroke
        across = (-along[1] * half, along[0] * half)
        corners = [
            end,
            (base[0] + across[0], base[1] + across[1]),
            (base[0] - across[0], base[1] - across[1]),
        ]
        _add(axes, Polygon(corners, closed=True, facecolor=line.colour, edgecolor="none"))
        points[-1] = (end[0] - 0.8 * HEAD * along[0], end[1] - 0.8 * HEAD * along[1])
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        first, second = math.dist(before, corner), math.dist(corner, after)
        bend = min(BEND, first / 2, second / 2)
        for far, distance in ((before, first), (after, second)):
            share = bend / distance
            near = (
                corner[0] + share * (far[0] - corner[0]),
                corner[1] + share * (far[1] - corner[1]),
            )
            if far is before:
                vertices.append(near)
                codes.append(Path.LINETO)
            else:
                vertices += [corner, near]
                codes += [Path.CURVE3, Path.CURVE3]
    vertices.append(points[-1])
    codes.append(Path.LINETO)
    _add(
        axes,
        PathPatch(
            Path(vertices, codes),
            facecolor="none",
            edgecolor=line.colour,
            linewidth=line.stroke,
            linestyle=(0, (4, 3)) if line.dashed else "-",
        ),
    )
