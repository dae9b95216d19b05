"""The files of images/: pictures drawn from the modules, and figures that the lessons store."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from course.notebooks.normaliser import read_notebook
from course_utils import diagrams
from course_utils.diagrams.style import NARROWEST, SMALL, WIDEST
from course_utils.i18n import LANGUAGES, _, speaking
from course_utils.whole import write_whole

__all__ = [
    "FIGURES",
    "Figure",
    "draw_pictures",
    "picture_files",
    "readme_figures",
    "write_readme_figures",
]

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
    folder = root / "images"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in picture_files():
        write_whole(folder / name, content)
        written.append(folder / name)
    return [*written, *write_readme_figures(root)]


def picture_files() -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of ``images/``: an SVG and a PNG a picture, the gallery.

    A picture with words in it has a second SVG with its words in French, ``<name>.fr.svg``.
    """
    said, in_french = {}, set()
    for name in diagrams.PICTURES:
        drawn = {}
        for language in LANGUAGES:
            with speaking(language):
                drawn[language] = diagrams.picture(name)
        words = {language: (one.title, one.description) for language, one in drawn.items()}
        said[name] = words
        yield f"{name}.svg", drawn["en"].svg(words)
        yield f"{name}.png", drawn["en"].png()
        if drawn["fr"].sketch.words != drawn["en"].sketch.words:
            in_french.add(name)
            yield f"{name}.fr.svg", drawn["fr"].svg({"fr": words["fr"]})
    yield "README.md", _gallery(said, in_french).encode()


def _gallery(said: dict[str, dict[str, tuple[str, str]]], in_french: set[str]) -> str:
    parts = [
        "# The pictures / Les images",
        "Drawn from the modules of `course_utils` by `make images`: change the module, not the "
        "file. SVG is the source; the PNG beside it has twice the size. All are made to be shown "
        f"at their own size, up to {WIDEST} pixels wide; their smallest text has {SMALL:g} pixels "
        f"there, and 11 on a page of {NARROWEST}. A lesson shows one with "
        '`diagrams.picture("id_block")`, and any block with `diagrams.draw(block, x)`. '
        "Licence: CC BY 4.0.",
        "Dessinées à partir des modules de `course_utils` par `make images` : c'est le module que "
        "l'on change, pas le fichier. Le SVG est la source ; le PNG à côté a deux fois sa taille. "
        'Une leçon en montre une par `diagrams.picture("id_block")`, et n\'importe quel bloc par '
        "`diagrams.draw(bloc, x)`. Licence : CC BY 4.0.",
    ]
    for name, words in said.items():
        (titre, texte), (title, text) = words["fr"], words["en"]
        parts += [
            f"## {name}",
            f"![{title}. {text}]({name}.svg)",
            f"**{title}.** [SVG]({name}.svg), [PNG]({name}.png)",
            f"**{titre}.**" + f" [SVG]({name}.fr.svg)" * (name in in_french),
            f"<details><summary>Description</summary><p>{escape(text, quote=False)}</p>"
            f'<p lang="fr">{escape(texte, quote=False)}</p></details>',
        ]
    return "\n\n".join(parts) + "\n"


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
            "{notebook} has no figure in its cell {cell!r}, which the READMEs show: run the "
            "lesson, or name another cell in course/pictures.py."
        ).format(notebook=path, cell=cell_id)
    )
