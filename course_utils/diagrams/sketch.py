"""A drawing in pixels: boxes, words and arrows that know where they are, and their rendering."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
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
    EDGE,
    FAINT,
    INK,
    LARGE,
    MARGIN,
    MEDIUM,
    RIM,
    ROLES,
    SHORTCUT,
    SMALL,
    STROKE,
    Role,
)
from course_utils.i18n import _, number
from course_utils.plots.figure import DescribedFigure

__all__ = [
    "LEADING",
    "Area",
    "Box",
    "Diagram",
    "Line",
    "Sketch",
    "Words",
    "count_text",
    "shape_text",
    "width_of",
]

Point = tuple[float, float]
Align = Literal["left", "center"]
TextLines = Sequence["str | tuple[str, float]"]

SVG = "http://www.w3.org/2000/svg"
HEAD = 9.0  # length of an arrow's head
BEND = 9.0  # radius of an arrow's corners
CAPITAL = 0.73  # height of a capital of DejaVu Sans, in sizes
LEADING = 1.36  # from line to line, in sizes
FUNNEL = 9.0  # how much narrower a funnel is at its foot, on each side
DASHES = (0, (4, 3))
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


def count_text(parameters: int) -> str:
    """A number of parameters as it is written in a picture.

    >>> count_text(12345)
    '12,345 params'
    """
    return _("{number} params").format(number=number(parameters, 15))


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as it is written in a picture.

    >>> shape_text((16, 32, 32))
    '16×32×32'
    """
    return "×".join(map(str, shape)) or "1"


def width_of(text: str, size: float = SMALL) -> float:
    """Width of the ink of a line of text."""
    left, _top, right, _bottom = _ink(text, size, False)
    return right - left


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

    def moved(self, right: float, down: float) -> Area:
        return replace(self, left=self.left + right, top=self.top + down)


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

    def side(self, sign: int, y: float) -> float:
        """Where an arrow at height ``y`` begins (right side, 1) or ends (left side, -1)."""
        half = self.area.width / 2
        if self.cells:
            half += 4.0  # clear of the pixels
        if self.role.outline == "funnel":  # the side is slanted
            half -= FUNNEL * (y - self.area.top) / self.area.height
        return self.area.x + sign * half


@dataclass(frozen=True)
class Words:
    """One line of text, and the box that it is written in, if any."""

    text: str
    x: float
    base: float  # y of the base line
    size: float
    colour: str
    align: Align
    bold: bool = False
    box: Box | None = None
    cell: tuple[int, int] | None = None  # row and column, in a grid

    @property
    def area(self) -> Area:
        """Of the ink."""
        left, top, right, bottom = _ink(self.text, self.size, self.bold)
        shift = 0.0 if self.align == "left" else -(left + right) / 2
        return Area(self.x + shift + left, self.base + top, right - left, bottom - top)


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
        stroke: float = STROKE,
    ) -> Box:
        """A shape centred on ``(x, y)``, as large as its lines ask for, or larger."""
        kind = ROLES[role] if isinstance(role, str) else role
        wanted, tall = self.room(kind, lines)
        width, height = max(width, wanted), max(height, tall)
        drawn = Box(Area(x - width / 2, y - height / 2, width, height), kind, stroke=stroke)
        self.boxes.append(drawn)
        self.write(x, y, lines, colour=kind.ink, box=drawn)
        return drawn

    @staticmethod
    def room(role: Role, lines: TextLines) -> tuple[float, float]:
        """Width and height that ``lines`` need in a shape of ``role``, with their margins."""
        if not lines:
            return 0.0, 0.0
        texts = [_sized(line) for line in lines]
        width = max(width_of(text, size) for text, size in texts)
        height = sum(size * LEADING for _text, size in texts)
        if role.outline == "disc":
            side = max(30.0, 1.25 * max(width, height))
            return side, side
        aside = {"pill": 30.0, "funnel": 34.0, "hexagon": 36.0}.get(role.outline, 22.0)
        return width + aside, height + 14.0

    def write(
        self,
        x: float,
        y: float,
        lines: TextLines,
        *,
        colour: str = INK,
        align: Align = "center",
        **options: Any,
    ) -> None:
        """Lines one below the other, centred on the height ``y``."""
        texts = [_sized(line) for line in lines]
        top = y - sum(size * LEADING for _text, size in texts) / 2
        for text, size in texts:
            base = top + size * LEADING / 2 + size * CAPITAL / 2
            self.words.append(Words(text, x, base, size, colour, align, **options))
            top += size * LEADING

    def note(self, x: float, y: float, *texts: str) -> None:
        """Small and faint lines beside a box: a shape, a number of parameters."""
        self.write(x, y, [(text, SMALL) for text in texts], colour=FAINT)

    def label(self, x: float, y: float, text: str, size: float = LARGE, **options: Any) -> None:
        """A name or a formula outside the boxes."""
        self.write(x, y, [(text, size)], **options)

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
        drawn = Box(area, Role(CARD, EDGE, "square"), stroke=1.2, pile=pile, cells=colours)
        self.boxes.append(drawn)
        for row, line in enumerate(numbers):
            for column, text in enumerate(line):
                x, y = left + side * (column + 0.5), top + side * (row + 0.5)
                self.write(x, y, [(text, SMALL)], box=drawn, cell=(row, column))
        return drawn

    def put(self, other: Sketch, x: float, y: float) -> None:
        """Another drawing, moved so that the upper left corner of its extent is at ``(x, y)``."""
        extent = other.extent()
        right, down = x - extent.left, y - extent.top

        def moved(point: Point) -> Point:
            return point[0] + right, point[1] + down

        boxes = {id(box): replace(box, area=box.area.moved(right, down)) for box in other.boxes}
        self.boxes += boxes.values()
        for word in other.words:
            x, base = moved((word.x, word.base))
            self.words.append(replace(word, x=x, base=base, box=boxes.get(id(word.box))))
        for line in other.lines:
            self.lines.append(replace(line, points=tuple(map(moved, line.points))))
        self.dots += [(moved(point), colour) for point, colour in other.dots]

    def frame(self, area: Area) -> Box:
        """A ground behind what belongs together; draw it before what it holds."""
        drawn = Box(area, Role("#F4F6F8", "#9AA3AD", "round"), frame=True, dashed=True, stroke=1.2)
        self.boxes.append(drawn)
        return drawn

    def arrow(self, *points: Point, shortcut: bool = False, **options: Any) -> None:
        """The one arrow of the course, along ``points``; a shortcut is heavier and vermilion."""
        look: dict[str, Any] = {"colour": SHORTCUT, "stroke": 2.4} if shortcut else {}
        self.lines.append(Line(points, **(look | options)))

    def join(self, *boxes: Box, y: float = 0.0) -> None:
        """An arrow at height ``y`` from each box to the next one."""
        for one, other in pairwise(boxes):
            self.arrow((one.side(1, y), y), (other.side(-1, y), y))

    def dot(self, x: float, y: float, colour: str = INK) -> None:
        """Where one arrow becomes two."""
        self.dots.append(((x, y), colour))

    def extent(self) -> Area:
        """The smallest rectangle around everything."""
        areas = [box.area for box in self.boxes] + [word.area for word in self.words]
        points = [(one.left, one.top) for one in areas] + [(one.right, one.bottom) for one in areas]
        points += [point for line in self.lines for point in line.points]
        xs, ys = zip(*points, strict=True)
        return Area(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))

    def described(self, title: str, text: str, **values: Any) -> Sketch:
        """The sketch, with its title and what there is to see.

        Args:
            title: a few words.
            text: whole sentences, ``{name}`` where a value stands.
            values: shapes, whole numbers or texts, written as the reader's language does.
        """
        self.title = title
        self.description = text.format(**{name: _said(value) for name, value in values.items()})
        return self


def _sized(line: str | tuple[str, float]) -> tuple[str, float]:
    return (line, MEDIUM) if isinstance(line, str) else line


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return shape_text(value)
    return number(value, 15) if isinstance(value, int) else str(value)


class Diagram(DescribedFigure):
    """A drawing on a card just large enough; a notebook shows it as a PNG of twice its size.

    Attributes:
        sketch: what is drawn, and where.
        title, description: in the language in which it was drawn.
        size: width and height in pixels, as shown.
    """

    size: tuple[int, int]

    def __init__(self, sketch: Sketch) -> None:
        content = sketch.extent()
        width = math.ceil(content.width + 2 * MARGIN)
        height = math.ceil(content.height + 2 * MARGIN)
        # At 72 dots an inch a point is a pixel, so sizes of text and lines need no conversion.
        super().__init__(sketch.description, (width / 72, height / 72))
        self.sketch = sketch
        self.title = sketch.title
        self.size = (width, height)
        self.set_dpi(72)
        self.set_layout_engine("none")
        self.set_facecolor("none")
        with _settled():
            axes = self.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            left, top = content.x - width / 2, content.y - height / 2
            axes.set_xlim(left, left + width)
            axes.set_ylim(top + height, top)
            card = Area(left + 0.75, top + 0.75, width - 1.5, height - 1.5)
            _paint(axes, Box(card, Role(CARD, RIM, "round"), stroke=1.0), corner=12.0)
            for box in sketch.boxes:
                _paint(axes, box)
            for line in sketch.lines:
                _trace(axes, line)
            for place, colour in sketch.dots:
                _add(axes, Circle(place, 3.4, facecolor=colour, edgecolor="none"))
            for word in sketch.words:
                axes.text(
                    word.area.left - _ink(word.text, word.size, word.bold)[0],
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
        root.attrib |= {"width": str(self.size[0]), "height": str(self.size[1]), "role": "img"}
        words = []
        for position, tag in enumerate(("title", "desc")):
            for language, texts in (said or {"": (self.title, self.description)}).items():
                element = ElementTree.Element(f"{{{SVG}}}{tag}")
                if language:
                    element.set("lang", language)
                element.text, element.tail = texts[position], "\n"
                words.append(element)
        root[:0] = words
        return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _add(axes: Axes, patch: Patch) -> None:
    patch.set_clip_on(False)
    axes.add_patch(patch)


def _paint(axes: Axes, box: Box, corner: float = 7.0) -> None:
    area, role = box.area, box.role
    left, top, right, bottom = area.left, area.top, area.right, area.bottom
    look: dict[str, Any] = {
        "facecolor": "none" if box.cells else role.fill,
        "edgecolor": role.edge,
        "linewidth": box.stroke,
        "linestyle": DASHES if box.dashed else "-",
    }
    if box.cells:
        _fill_cells(axes, box)
    if role.outline == "disc":
        _add(axes, Circle((area.x, area.y), area.width / 2, **look))
    elif role.outline == "ellipse":
        _add(axes, Ellipse((area.x, area.y), area.width, area.height, **look))
    elif role.outline == "square":
        _add(axes, Rectangle((left, top), area.width, area.height, **look))
    elif role.outline == "funnel":  # narrower below: fewer pixels come out
        corners = [(left, top), (right, top), (right - FUNNEL, bottom), (left + FUNNEL, bottom)]
        _add(axes, Polygon(corners, closed=True, joinstyle="round", **look))
    elif role.outline == "hexagon":
        inner, outer = left + 11.0, right - 11.0
        corners = [(left, area.y), (inner, top), (outer, top)]
        corners += [(right, area.y), (outer, bottom), (inner, bottom)]
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
    xs = [area.left + side * column for column in range(len(box.cells[0]))]
    ys = [area.top + side * row for row in range(len(box.cells))]
    squares: dict[str, list[Path]] = {}
    for y, line in zip(ys, box.cells, strict=True):
        for x, colour in zip(xs, line, strict=True):
            square = [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]
            squares.setdefault(colour, []).append(Path(square, closed=True))
    for colour, paths in squares.items():
        whole = Path.make_compound_path(*paths)
        _add(axes, PathPatch(whole, facecolor=colour, edgecolor="none", linewidth=0))
    rules = [Path([(area.left, y), (area.right, y)]) for y in ys[1:]]
    rules += [Path([(x, area.top), (x, area.bottom)]) for x in xs[1:]]
    if rules:
        _add(axes, PathPatch(Path.make_compound_path(*rules), edgecolor="#9AA3AD", linewidth=0.8))


def _towards(start: Point, end: Point, distance: float) -> Point:
    """The point so far from ``start`` on the way to ``end``."""
    share = distance / math.dist(start, end)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _trace(axes: Axes, line: Line) -> None:
    """The line with rounded corners, ending at the base of its head."""
    points = list(line.points)
    if line.head:
        before, end = points[-2:]
        base = _towards(end, before, HEAD)
        half = 0.46 * HEAD + 0.25 * line.stroke
        x, y = half * ((base[1] - end[1]) / HEAD), half * ((end[0] - base[0]) / HEAD)
        corners = [end, (base[0] + x, base[1] + y), (base[0] - x, base[1] - y)]
        _add(axes, Polygon(corners, closed=True, facecolor=line.colour, edgecolor="none"))
        points[-1] = _towards(end, before, 0.8 * HEAD)
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        bend = min(BEND, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        vertices += [_towards(corner, before, bend), corner, _towards(corner, after, bend)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    _add(
        axes,
        PathPatch(
            Path([*vertices, points[-1]], [*codes, Path.LINETO]),
            facecolor="none",
            edgecolor=line.colour,
            linewidth=line.stroke,
            linestyle=DASHES if line.dashed else "-",
        ),
    )
