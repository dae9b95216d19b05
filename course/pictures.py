"""The files of images/: pictures drawn from the modules, and figures that the lessons store."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from course.files import write_whole
from course.notebooks.normaliser import read_notebook
from course_utils import diagrams
from course_utils.i18n import LANGUAGES, _

__all__ = ["FIGURES", "Figure", "draw_pictures", "readme_figures", "write_readme_figures"]

FOLDER = "images/readme"
FIGURES = {
    "class_maps": ("02_gap_cam", "two"),
    "degradation": ("03_degradation", "by-depth"),
}
"""The lesson and the cell that each figure comes from."""


def draw_pictures(root: Path) -> list[Path]:
    """Draw every picture of ``images/`` anew, with their gallery and the READMEs' figures.

    Args:
        root: the folder of the course.

    Raises:
        ValueError: a lesson has lost a figure that the READMEs show.
        OSError: a file cannot be read or written.
    """
    return [*diagrams.draw_all(root / "images"), *write_readme_figures(root)]


class Figure(NamedTuple):
    """A figure of a README: its file, what is in it, and its description in the lesson."""

    path: Path
    png: bytes
    description: str


def readme_figures(root: Path) -> Iterator[Figure]:
    """The figures as the lessons of both editions store them, those of a language together.

    Args:
        root: the folder of the course.

    Raises:
        ValueError: a lesson has lost the cell, or the cell its figure.
        OSError: a lesson cannot be read.
    """
    for language in LANGUAGES:
        for name, (lesson, cell) in FIGURES.items():
            path = root / "notebooks" / language / f"{lesson}.ipynb"
            png, description = _stored(path, cell)
            yield Figure(root / FOLDER / f"{name}.{language}.png", png, description)


def write_readme_figures(root: Path) -> list[Path]:
    """Write the figures to ``images/readme/``, and answer their files.

    Args:
        root: the folder of the course.

    Raises:
        ValueError: a lesson has lost the cell, or the cell its figure; nothing is written.
        OSError: a file cannot be read or written.
    """
    figures = list(readme_figures(root))
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    for figure in figures:
        write_whole(figure.path, figure.png)
    return [figure.path for figure in figures]


def _stored(path: Path, cell_id: str) -> tuple[bytes, str]:
    """The first PNG that a cell stores, and its description."""
    for cell in read_notebook(path).cells:
        for output in cell.get("outputs", []) if cell.id == cell_id else []:
            if "image/png" in output.get("data", {}):
                description: str = output.metadata["image/png"]["alt"]
                return b64decode(output.data["image/png"]), description
    raise ValueError(
        _(
            "{notebook} has no figure in a cell {cell!r}, which the READMEs show: run the lesson, "
            "or name another cell in course/pictures.py."
        ).format(notebook=path, cell=cell_id)
    )
