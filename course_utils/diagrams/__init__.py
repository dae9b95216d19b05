"""Diagrams drawn from the modules themselves: the course's pictures, and the reader's blocks."""

from course_utils.diagrams.catalogue import PICTURES, picture
from course_utils.diagrams.flow import draw
from course_utils.diagrams.sketch import Diagram

__all__ = ["PICTURES", "Diagram", "draw", "picture"]
