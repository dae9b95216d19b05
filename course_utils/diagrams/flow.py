"""A traced module laid out as a drawing: one main road, and tracks beside it for what joins it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from course_utils.diagrams.sketch import Area, Box, Diagram, Sketch, grouped
from course_utils.diagrams.style import INK, MARGIN, MEDIUM, ROLES, SMALL, WIDEST
from course_utils.diagrams.tracing import Graph, Operator, shape_text, trace
from course_utils.i18n import _

__all__ = ["LARGEST", "Flow", "draw", "lay_out"]

LARGEST = 40
"""Operators that a drawing holds at most: with more, nobody reads it."""

GAP, FORK, LANE = 24.0, 12.0, 24.0


@dataclass(frozen=True)
class _Track:
    """Operators beside the main road, none for a bare shortcut, from one place on it to another."""

    source: int | None  # places on the main road; no source for an input of its own
    inner: tuple[int, ...]
    target: int

    @property
    def begin(self) -> int:
        return self.target - 1 if self.source is None else self.source


@dataclass(frozen=True)
class Flow:
    """A drawing of a graph, and the box of each of its operators, the answer's last."""

    sketch: Sketch
    boxes: list[Box]
    graph: Graph

    def frame(self, places: Sequence[int], label: str) -> Box:
        """A ground behind some of the operators, the notes below them included, and its name."""
        areas = [self.boxes[place].area for place in places]
        left, right = min(one.left for one in areas), max(one.right for one in areas)
        top, bottom = min(one.top for one in areas) - 10, max(one.bottom for one in areas) + 64
        drawn = self.sketch.frame(Area(left - 8, top, right - left + 16, bottom - top))
        self.sketch.boxes.remove(drawn)
        self.sketch.boxes.insert(0, drawn)
        self.sketch.note(drawn.area.x, bottom - 13, label, size=MEDIUM, colour=INK)
        return drawn


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
        TypeError: ``module`` is not a module, or there is no input.
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
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise ValueError(
                _(
                    "depth is how deep modules are opened, a whole number from 1, not {depth!r}."
                ).format(depth=depth)
            )
        whole = _at_depth(module, depth)
    graph = trace(module, *inputs, whole=whole)
    if len(graph) > LARGEST:
        raise ValueError(
            _(
                "{name} has {number} operators, and a drawing with more than {largest} cannot be "
                "read: draw one of its blocks, or give depth=1 to draw each part as one box."
            ).format(name=type(module).__name__, number=len(graph), largest=LARGEST)
        )
    title = type(module).__name__
    flow = lay_out(graph, along="x")
    if flow.sketch.extent().width > WIDEST - 2 * MARGIN:
        flow = lay_out(graph, along="y")
    flow.sketch.title = title
    flow.sketch.description = _(
        "A diagram of {name}, in the order in which it runs. {said}."
    ).format(name=title, said="; ".join(said_of(graph)))
    return flow.sketch.figure()


def _at_depth(module: nn.Module, depth: int) -> Any:
    opened = {
        id(one)
        for name, one in module.named_modules()
        if (name.count(".") + 1 if name else 0) < depth
    }
    return lambda one: id(one) not in opened or not any(True for _child in one.children())


def said_of(graph: Graph) -> list[str]:
    """Each operator in words, as a description lists them."""
    names = [
        operator.lines[0].strip("$").replace("_", "") if operator.role == "data" else str(place)
        for place, operator in enumerate(graph)
    ]
    said = []
    for place, operator in enumerate(graph):
        what = " ".join(operator.lines).strip("$").replace("_", "")
        if operator.role == "addition":
            what = _("addition")
        elif operator.role == "concatenation":
            what = _("concatenation")
        shape = shape_text(operator.shape)
        if operator.role == "data":
            said.append(_("{name}: {shape}").format(name=names[place], shape=shape))
            continue
        text = _("{number}. {what} ({sources}): {shape}").format(
            number=names[place],
            what=what,
            sources=", ".join(names[source] for source in operator.reads),
            shape=shape,
        )
        if operator.parameters:
            text += _(", {number} parameters").format(number=grouped(operator.parameters))
        said.append(text)
    return said


def lay_out(graph: Graph, *, along: str) -> Flow:
    """Draw a graph along ``"x"``, tracks above, or along ``"y"``, tracks on the right."""
    last = Operator("data", ("$y$",), graph[-1].shape, reads=[len(graph) - 1])
    whole = [*graph, last]
    road = _longest_road(whole)
    tracks = _tracks(whole, road)
    if tracks is None:  # too entangled for a road and tracks: everything on the road, in order
        road = list(range(len(whole)))
        tracks = _tracks(whole, road)
        assert tracks is not None  # with nothing beside the road, nothing is entangled
    return _Layout(whole, road, tracks, along).flow()


def _longest_road(graph: Graph) -> list[int]:
    length, before = [0] * len(graph), [-1] * len(graph)
    for place, operator in enumerate(graph):
        for source in operator.reads:
            if length[source] + 1 > length[place]:
                length[place], before[place] = length[source] + 1, source
    road = [len(graph) - 1]
    while before[road[-1]] >= 0:
        road.append(before[road[-1]])
    return road[::-1]


def _tracks(graph: Graph, road: list[int]) -> list[_Track] | None:
    """What is beside the road, or ``None`` where it is more than chains from road to road."""
    where = {operator: place for place, operator in enumerate(road)}
    readers: list[list[int]] = [[] for _operator in graph]
    for place, operator in enumerate(graph):
        for source in operator.reads:
            readers[source].append(place)
    tracks = []
    for place, here in enumerate(road):
        sources = list(graph[here].reads)
        if place and road[place - 1] in sources:
            sources.remove(road[place - 1])
        for source in sources:
            inner: list[int] = []
            while source not in where:
                if len(graph[source].reads) > 1 or len(readers[source]) > 1:
                    return None
                inner.insert(0, source)
                if not graph[source].reads:
                    break
                source = graph[source].reads[0]
            tracks.append(_Track(where.get(source), tuple(inner), place))
    return tracks


class _Layout:
    """Places in two coordinates: ``along`` the road, and ``across`` it, 0 on the road."""

    def __init__(self, graph: Graph, road: list[int], tracks: list[_Track], along: str) -> None:
        self.graph, self.road, self.tracks = graph, road, tracks
        self.flat = along == "x"
        self.sizes = [self._size(operator) for operator in graph]
        self.starts = self._starts()
        self.lanes = self._lanes()

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
            notes.append(f"{grouped(operator.parameters)} params")
        return notes

    def _size(self, operator: Operator) -> tuple[float, float]:
        """Along and across, the room for the notes below included where there are any."""
        width, height = Sketch.room(ROLES[operator.role], self._lines(operator))
        if operator.role == "addition":
            return width, height
        if self.flat:
            for text in self._notes(operator):
                width = max(width, Sketch.room(ROLES["data"], [(text, SMALL)])[0] - 14.0)
            return width, max(height, 52.0)
        return height, max(width, 216.0)

    def _starts(self) -> list[float]:
        """Where each operator of the road begins, with room for the chains beside it."""
        forking = {track.source for track in self.tracks}
        gaps = [GAP + FORK * (place in forking) for place in range(len(self.road))]

        def starts() -> list[float]:
            answer, here = [], 0.0
            for place, operator in enumerate(self.road):
                answer.append(here)
                here += self.sizes[operator][0] + gaps[place]
            return answer

        for track in self.tracks:
            if track.inner and track.source is not None:
                wanted = sum(self.sizes[one][0] + GAP for one in track.inner) + GAP
                begin = starts()
                room = begin[track.target] - self._end(begin, track.source)
                gaps[track.source] += max(0.0, wanted + FORK - room)
        return starts()

    def _end(self, starts: list[float], place: int) -> float:
        return starts[place] + self.sizes[self.road[place]][0]

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

    def _draw_box(self, sketch: Sketch, place: int, along: float, across: float) -> Box:
        operator, (long, wide) = self.graph[place], self.sizes[place]
        x, y = self._at(along, across)
        width, height = (long, wide) if self.flat else (wide, long)
        if operator.role == "addition":
            width = height = 0.0
        box = sketch.box(x, y, operator.role, self._lines(operator), width=width, height=height)
        if self.flat and (notes := self._notes(operator)):
            middle = box.area.bottom + 5.0 + SMALL * 1.36 * len(notes) / 2
            sketch.note(x, middle, *notes)
        return box

    def flow(self) -> Flow:
        sketch = Sketch()
        boxes: dict[int, Box] = {}
        for rank, place in enumerate(self.road):
            middle = self.starts[rank] + self.sizes[place][0] / 2
            boxes[place] = self._draw_box(sketch, place, middle, 0.0)
            if rank and self.road[rank - 1] in self.graph[place].reads:
                begin = self._end(self.starts, rank - 1)
                sketch.arrow(self._at(begin, 0.0), self._at(self.starts[rank], 0.0))
        entries = self._entries()
        for track in self.tracks:
            self._draw_track(sketch, track, entries[track], boxes)
        return Flow(sketch, [boxes[place] for place in range(len(self.graph))], self.graph)

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

    def _draw_track(
        self, sketch: Sketch, track: _Track, entry: tuple[float, float], boxes: dict[int, Box]
    ) -> None:
        lane = self.lanes[track]
        wanted = sum(self.sizes[one][0] + GAP for one in track.inner) - GAP
        if track.source is None:
            begin = entry[0] - wanted - GAP
            start = None
        else:
            begin = self._end(self.starts, track.source) + FORK
            start = self._at(begin, 0.0)
            sketch.dot(*start)
        here = begin + (entry[0] - begin - wanted) / 2
        corners = [start, self._at(begin, lane)] if start else []
        for operator in track.inner:
            long = self.sizes[operator][0]
            boxes[operator] = self._draw_box(sketch, operator, here + long / 2, lane)
            if corners:
                sketch.arrow(*corners, self._at(here, lane), shortcut=True)
            here += long
            corners = [self._at(here, lane)]
            here += GAP
        sketch.arrow(*corners, self._at(entry[0], lane), self._at(*entry), shortcut=True)
