"""A traced module laid out as a drawing: one main road, and tracks beside it for what joins it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from course_utils.arguments import whole_number
from course_utils.diagrams.sketch import (
    LEADING,
    Area,
    Box,
    Diagram,
    Sketch,
    count_text,
    shape_text,
    width_of,
)
from course_utils.diagrams.style import MARGIN, MEDIUM, ROLES, SMALL, WIDEST
from course_utils.diagrams.tracing import Graph, Operator, image_for, trace
from course_utils.i18n import _, listed, number

__all__ = ["LARGEST", "Flow", "draw", "row_of"]

LARGEST = 40
"""Operators that a drawing holds at most: with more, nobody reads it."""

GAP, FORK, LANE = 23.0, 12.0, 24.0


@dataclass(frozen=True)
class _Track:
    """Operators beside the main road, none for a bare shortcut, from one place on it to another."""

    source: int | None  # places on the main road; no source for an input of its own
    inner: tuple[int, ...]
    target: int

    @property
    def begin(self) -> int:
        return self.target - 1 if self.source is None else self.source


def draw(module: nn.Module, *inputs: Any, depth: int | None = None) -> Diagram:
    """Draw a module: its operators, the shapes between them, and who reads from whom.

    The module is run once, in eval mode, so what is drawn is what it does. A short one is drawn
    from left to right, a longer one from top to bottom.

    Args:
        module: any module that answers with one tensor.
        inputs: what it takes, as when it is called.
        depth: draw modules that lie this deep inside as one box each; by default, every
            operator has its own.

    Returns:
        A figure with a description in words, which a notebook shows; ``savefig`` works too.

    Raises:
        TypeError: ``module`` is not a module, there is no input, or ``depth`` is no whole number.
        ValueError: more than ``LARGEST`` operators, a ``depth`` below 1, an answer that is not one
            tensor or does not depend on the input.

    >>> import torch
    >>> from course_utils.models import identity_block
    >>> drawing = draw(identity_block(16), torch.zeros(1, 16, 8, 8))
    >>> drawing.description
    'A diagram of ResidualBlock, ... 6. addition (5, x): 16×8×8; ...'
    """
    whole = None
    if depth is not None:
        whole = _at_depth(module, whole_number("depth", depth, at_least=1))
    graph = trace(module, *inputs, whole=whole)
    if len(graph) > LARGEST:
        raise ValueError(
            _(
                "{name} has {number} operators, and a drawing of more than {largest} is "
                "unreadable: draw one of its blocks, or give depth=1 to draw each part as one "
                "box."
            ).format(name=type(module).__name__, number=len(graph), largest=LARGEST)
        )
    sketch = Flow(graph).sketch
    if sketch.extent().width > WIDEST - 2 * MARGIN:
        sketch = Flow(graph, along="y").sketch
    name, said = type(module).__name__, listed(said_of(graph))
    text = _("A diagram of {name}, listed in the order in which it runs. {said}.")
    return Diagram(sketch.described(name, text, name=name, said=said))


def _at_depth(module: nn.Module, depth: int) -> Callable[[nn.Module], bool]:
    opened = {
        id(one)
        for name, one in module.named_modules()
        if (name.count(".") + 1 if name else 0) < depth
    }
    return lambda one: id(one) not in opened or not any(True for _child in one.children())


def said_of(graph: Graph) -> list[str]:
    """Each operator in words, as a description lists them."""
    words = {"addition": _("addition"), "concatenation": _("concatenation")}
    names, said = [], []
    for place, operator in enumerate(graph):
        what = words.get(operator.role) or " ".join(operator.lines).strip("$").replace("_", "")
        shape = shape_text(operator.shape)
        if operator.role == "data":
            names.append(what)
            said.append(_("{name}: {shape}").format(name=what, shape=shape))
            continue
        names.append(str(place))
        sources = ", ".join(names[source] for source in operator.reads)
        text = _("{number}. {what} ({sources}): {shape}").format(
            number=place, what=what, sources=sources, shape=shape
        )
        if operator.parameters:
            text += _(", {number} parameters").format(number=number(operator.parameters, 15))
        said.append(text)
    return said


def row_of(module: nn.Module, side: int) -> Flow:
    """A module laid out from left to right, run on maps of this side."""
    return Flow(trace(module, image_for(module, side)))


def _longest_road(graph: Graph) -> list[int]:
    roads: list[list[int]] = []  # the longest to each operator
    for place, operator in enumerate(graph):
        before = max((roads[source] for source in operator.reads), key=len, default=[])
        roads.append([*before, place])
    return roads[-1]


def _tracks(graph: Graph, road: list[int]) -> list[_Track] | None:
    """What is beside the road, or ``None`` where it is more than chains from road to road."""
    where = {operator: place for place, operator in enumerate(road)}
    readers = Counter(source for operator in graph for source in operator.reads)
    tracks = []
    for place, here in enumerate(road):
        sources = list(graph[here].reads)
        if place and road[place - 1] in sources:
            sources.remove(road[place - 1])
        for source in sources:
            inner: list[int] = []
            while source not in where:
                if len(graph[source].reads) > 1 or readers[source] > 1:
                    return None
                inner.insert(0, source)
                if not graph[source].reads:
                    break
                source = graph[source].reads[0]
            tracks.append(_Track(where.get(source), tuple(inner), place))
    return tracks


class Flow:
    """A graph drawn along ``"x"``, tracks above, or along ``"y"``, tracks on the right.

    Places have two coordinates: ``along`` the road, and ``across`` it, 0 on the road.

    Attributes:
        graph: what is drawn, the answer at its end.
        sketch: the drawing.
        boxes: the box of each operator, by its place in the graph.
    """

    def __init__(self, graph: Graph, along: str = "x") -> None:
        answer = Operator("data", ("$y$",), graph[-1].shape, reads=[len(graph) - 1])
        self.graph = [*graph, answer]
        self.sketch = Sketch()
        self.boxes: dict[int, Box] = {}
        self.road = _longest_road(self.graph)
        tracks = _tracks(self.graph, self.road)
        if tracks is None:  # too entangled for a road and tracks: everything on the road, in order
            self.road = list(range(len(self.graph)))
            tracks = _tracks(self.graph, self.road)
            assert tracks is not None  # with nothing beside the road, nothing is entangled
        self.tracks = tracks
        self.flat = along == "x"
        self.sizes = [self._size(operator) for operator in self.graph]
        self.starts = self._starts()
        self.lanes = self._lanes()
        for rank, place in enumerate(self.road):
            self._draw_box(place, self.starts[rank] + self.sizes[place][0] / 2, 0.0)
            if rank and self.road[rank - 1] in self.graph[place].reads:
                self._arrow((self._end(rank - 1), 0.0), (self.starts[rank], 0.0))
        entries = self._entries()
        for track in self.tracks:
            self._draw_track(track, *entries[track])

    def frame(self, places: Sequence[int], label: str) -> None:
        """A ground behind some of the operators, the notes below them included, and its name."""
        areas = [self.boxes[place].area for place in places]
        left, right = min(one.left for one in areas), max(one.right for one in areas)
        top, bottom = min(one.top for one in areas) - 10, max(one.bottom for one in areas) + 64
        drawn = self.sketch.frame(Area(left - 8, top, right - left + 16, bottom - top))
        self.sketch.boxes.insert(0, self.sketch.boxes.pop())
        self.sketch.label(drawn.area.x, bottom - 13, label, MEDIUM)

    def described(self, title: str, text: str, **values: Any) -> Sketch:
        """The drawing with its words, where the shapes before and after and the total may stand."""
        total = sum(operator.parameters for operator in self.graph)
        ends = {"before": self.graph[0].shape, "after": self.graph[-1].shape, "total": total}
        return self.sketch.described(title, text, **(ends | values))

    def _lines(self, operator: Operator) -> list[str | tuple[str, float]]:
        if self.flat or operator.role == "addition":
            return list(operator.lines)
        text = ", ".join(operator.lines)
        return [text, (" · ".join(self._notes(operator)), SMALL)]

    def _notes(self, operator: Operator) -> list[str]:
        if operator.role == "addition":
            return []
        notes = [shape_text(operator.shape)]
        if operator.parameters:
            notes.append(count_text(operator.parameters))
        return notes

    def _size(self, operator: Operator) -> tuple[float, float]:
        """Along and across, the room for the notes below included where there are any."""
        width, height = Sketch.room(ROLES[operator.role], self._lines(operator))
        if operator.role == "addition":
            return width, height
        if self.flat:
            notes = [width_of(text) + 8.0 for text in self._notes(operator)]
            return max([width, *notes]), max(height, 52.0)
        return height, max(width, 216.0)

    def _starts(self) -> list[float]:
        """Where each operator of the road begins, with room for the chains beside it."""
        forking = {track.source for track in self.tracks}
        starts = [0.0]
        for place, operator in enumerate(self.road):
            gap = GAP + FORK * (place in forking)
            starts.append(starts[-1] + (self.sizes[operator][0] + gap))
        for track in self.tracks:
            if track.inner and track.source is not None:
                long = self.sizes[self.road[track.source]][0]
                wanted = long + sum(self.sizes[one][0] + GAP for one in track.inner) + GAP + FORK
                lacking = wanted - (starts[track.target] - starts[track.source])
                for place in range(track.source + 1, len(starts)):
                    starts[place] += max(0.0, lacking)
        return starts

    def _end(self, rank: int) -> float:
        return self.starts[rank] + self.sizes[self.road[rank]][0]

    def _lanes(self) -> dict[_Track, float]:
        """How far from the road each track runs, the shortest next to it."""
        chosen: list[list[_Track]] = []
        for track in sorted(self.tracks, key=lambda one: (one.target - one.begin, one.begin)):
            for lane in chosen:
                if all(track.target <= one.begin or track.begin >= one.target for one in lane):
                    lane.append(track)
                    break
            else:
                chosen.append([track])
        answer: dict[_Track, float] = {}
        here = max(self.sizes[one][1] for one in self.road) / 2
        for tracks in chosen:
            halves = [self.sizes[one][1] / 2 for track in tracks for one in track.inner]
            half = max(halves, default=0.0)
            notes = 2 * SMALL * 1.5 if self.flat and half else 0.0  # they stand below a box
            here += LANE + half + notes
            answer |= dict.fromkeys(tracks, here)
            here += half
        return answer

    def _at(self, along: float, across: float) -> tuple[float, float]:
        return (along, -across) if self.flat else (across, along)

    def _arrow(self, *corners: tuple[float, float], shortcut: bool = False) -> None:
        self.sketch.arrow(*(self._at(*corner) for corner in corners), shortcut=shortcut)

    def _draw_box(self, place: int, along: float, across: float) -> None:
        operator, (long, wide) = self.graph[place], self.sizes[place]
        x, y = self._at(along, across)
        width, height = (long, wide) if self.flat else (wide, long)
        if operator.role == "addition":
            width = height = 0.0
        lines = self._lines(operator)
        box = self.sketch.box(x, y, operator.role, lines, width=width, height=height)
        self.boxes[place] = box
        if self.flat and (notes := self._notes(operator)):
            middle = box.area.bottom + 5.0 + SMALL * LEADING * len(notes) / 2
            self.sketch.note(x, middle, *notes)

    def _entries(self) -> dict[_Track, tuple[float, float]]:
        """Where each track meets its target: along, and across."""
        answer = {}
        for place, operator in enumerate(self.road):
            coming = [track for track in self.tracks if track.target == place]
            coming.sort(key=lambda track: self.lanes[track])
            long, wide = self.sizes[operator]
            for rank, track in enumerate(coming):
                share = (rank + 1) / (len(coming) + 1) - 0.5
                edge = wide / 2
                if self.graph[operator].role == "addition":
                    share *= 0.8
                    edge = (edge**2 - (share * long) ** 2) ** 0.5
                answer[track] = (self.starts[place] + long * (0.5 + share), edge)
        return answer

    def _draw_track(self, track: _Track, along: float, across: float) -> None:
        """The chain from the track's source to where it meets its target."""
        lane = self.lanes[track]
        wanted = sum(self.sizes[one][0] + GAP for one in track.inner) - GAP
        corners = []
        if track.source is None:
            begin = along - wanted - GAP
        else:
            begin = self._end(track.source) + FORK
            corners = [(begin, 0.0), (begin, lane)]
            self.sketch.dot(*self._at(begin, 0.0))
        here = begin + (along - begin - wanted) / 2
        for operator in track.inner:
            long = self.sizes[operator][0]
            self._draw_box(operator, here + long / 2, lane)
            if corners:
                self._arrow(*corners, (here, lane), shortcut=True)
            corners = [(here + long, lane)]
            here += long + GAP
        self._arrow(*corners, (along, lane), (along, across), shortcut=True)
