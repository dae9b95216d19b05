"""A whole net as a row of its parts, each run on what the one before it gave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from course_utils.diagrams.sketch import Area, Box, Sketch, shape_text, width_of
from course_utils.diagrams.style import ROLES, SMALL
from course_utils.i18n import _, number
from course_utils.inference import evaluating
from course_utils.models import count_parameters

__all__ = ["Row"]


class Row:
    """Parts of a net side by side, each run on what the last one gave."""

    def __init__(self, x: torch.Tensor, *, foot: float, gap: float) -> None:
        self.sketch, self.x, self.gap = Sketch(), x, gap
        self.foot = foot  # where the two lines of notes begin, below everything
        self.shapes = [tuple(x.shape[1:])]
        self.end: float | None = None  # right edge of the last part

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[-1]

    def advance(self, part: nn.Module, *, flatten: bool = False) -> None:
        """Run ``part`` on what has come so far."""
        with evaluating(part):
            self.x = part(self.x.flatten(1) if flatten else self.x)
        self.shapes.append(tuple(self.x.shape[1:]))

    def _place(self, width: float) -> float:
        """Left edge of a part of this width, an arrow leading to it."""
        if self.end is None:
            self.end = width
            return 0.0
        left = self.end + self.gap
        self.sketch.arrow((self.end, 0), (left, 0))
        self.end = left + width
        return left

    def data(self, name: str) -> None:
        """The input, or the answer."""
        texts = [shape_text(self.shape)] + [_("params")] * (self.end is None)
        room = self._room(texts, 38.0)
        left = self._place(room)
        self.sketch.box(left + room / 2, 0, "data", [name], width=room, height=56)
        self._write(left + room / 2, texts)

    def part(
        self,
        module: nn.Module,
        role: str,
        lines: Sequence[str | tuple[str, float]],
        *,
        flatten: bool = False,
    ) -> None:
        """One box, with the shape that comes out of it below, and its parameters."""
        self.advance(module, flatten=flatten)
        notes = self._notes(module)
        width = self._room(notes, Sketch.room(ROLES[role], lines)[0])
        left = self._place(width)
        self.sketch.box(left + width / 2, 0, role, lines, width=width, height=56)
        self._write(left + width / 2, notes)

    def frame(self, width: float, height: float, module: nn.Module) -> Box:
        """The ground of a part that is drawn in more detail, its notes below."""
        notes = self._notes(module)
        width = self._room(notes, width)
        left = self._place(width)
        frame = self.sketch.frame(Area(left, -height / 2, width, height))
        self._write(frame.area.x, notes)
        return frame

    def _notes(self, module: nn.Module) -> list[str]:
        count = count_parameters(module)
        return [shape_text(self.shape), number(count, 15) if count else "–"]

    @staticmethod
    def _room(notes: Sequence[str], width: float) -> float:
        return max(width, *(width_of(note) + 4 for note in notes))

    def _write(self, x: float, notes: Sequence[str]) -> None:
        """The shape, and the number of parameters below it, on the two lines of all parts."""
        for rank, note in enumerate(notes):
            self.sketch.note(x, self.foot + SMALL * 1.5 * rank, note)
