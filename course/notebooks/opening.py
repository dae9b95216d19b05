"""The first code cell of every notebook: nothing at home, the whole course on Colab and Kaggle."""

from __future__ import annotations

from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course.address import SITE, repository
from course.files import NOTEBOOKS, notebook_paths
from course.notebooks.editions import source_hash
from course.notebooks.normaliser import (
    normalise,
    notebook_text,
    read_notebook,
    write_notebook,
)

__all__ = ["opening_cell", "opening_source", "put_openings", "with_opening"]

ID = "opening"
POSITION = 1  # after the title

# Quick at home: it looks for two names and stops there.
_SOURCE = """\
# @title TITLE
import os
import sys
from importlib.util import find_spec
from pathlib import Path

hosted = {"COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"} & os.environ.keys()
if hosted and not find_spec("course_utils"):
    address = "ADDRESS"
    if not address:
        sys.exit(
            "NOWHERE "
            "`make badges` WAS_RUN."
        )
    if not Path("course").is_dir() and os.system(f"git clone -q --depth 1 {address} course"):
        sys.exit(f"OFFLINE{address}")
    os.chdir("course")
    sys.path.insert(0, str(Path.cwd()))
if hosted:
    from course_utils.hosted import prepare

    prepare()"""
_WORDS = {
    "fr": {
        "TITLE": "Colab, Kaggle : installer le cours",
        "NOWHERE": "Ce notebook ne sait pas d'où vient le cours : ouvrez-le depuis un dépôt où",
        "WAS_RUN": "a été lancé",
        "OFFLINE": "Activez l'accès à Internet : ",
    },
    "en": {
        "TITLE": "Colab, Kaggle: set the course up",
        "NOWHERE": "This notebook does not know where the course is: open it from a copy where",
        "WAS_RUN": "was run",
        "OFFLINE": "Switch internet access on: ",
    },
}


def opening_source(name: str, language: str) -> str:
    """What the cell runs, and says in the language of the edition.

    On Colab and Kaggle it fetches the course, makes its folder the current one, and installs what
    a lesson imports and is missing. Elsewhere it does nothing.

    Args:
        name: the repository, ``owner/name`` on GitHub; with an empty text the cell says, there
            only, that the address is not known.
        language: ``"fr"`` or ``"en"``.

    >>> opening_source("ada/course", "en").splitlines()[0]
    '# @title Colab, Kaggle: set the course up'
    """
    source = _SOURCE.replace("ADDRESS", f"{SITE}/{name}" if name else "")
    for mark, words in _WORDS[language].items():
        source = source.replace(mark, words)
    return source


def opening_cell(name: str, language: str = "fr") -> NotebookNode:
    """The cell as it is committed in one edition, run once and silent.

    Args:
        name: the repository, ``owner/name`` on GitHub, or an empty text.
        language: ``"fr"`` or ``"en"``; an English cell says which French cell it translates.
    """
    # Folded wherever that can be said: on Colab, in JupyterLab, on the pages of the site.
    metadata = {
        "cellView": "form",
        "jupyter": {"source_hidden": True},
        "tags": ["hide-input", "setup"],
    }
    cell: NotebookNode = new_code_cell(
        opening_source(name, language), id=ID, metadata=metadata, execution_count=1
    )
    if language != "fr":
        cell.metadata["translation_of"] = source_hash(opening_source(name, "fr"))
    return cell


def with_opening(notebook: NotebookNode, language: str, name: str) -> NotebookNode:
    """The notebook with the cell after its title, put there or renewed, in normal form.

    Args:
        notebook: one edition of a lesson; it is not changed.
        language: ``"fr"`` or ``"en"``; an English cell says which French cell it translates.
        name: the repository, ``owner/name`` on GitHub, or an empty text.
    """
    answer = normalise(notebook)
    cell = opening_cell(name, language)
    rest = [one for one in answer.cells if one.id != ID]
    answer.cells = [*rest[:POSITION], cell, *rest[POSITION:]]
    return normalise(answer)


def put_openings(paths: list[Path], name: str | None = None) -> list[Path]:
    """Put the cell into notebooks, or renew it, and answer those that changed.

    Nothing else in them changes, but the count of the cells below.

    Args:
        paths: notebooks in folders ``fr`` and ``en``, and folders of them; every lesson when there
            are none.
        name: the repository, ``owner/name`` on GitHub; as ``pyproject.toml`` has it by default.

    Raises:
        ValueError: one of them is not a notebook.
    """
    name = repository() if name is None else name
    changed = []
    for path in notebook_paths(paths, NOTEBOOKS):
        notebook = read_notebook(path)
        renewed = with_opening(notebook, path.parent.name, name)
        if notebook_text(renewed) != notebook_text(notebook):
            write_notebook(path, renewed)
            changed.append(path)
    return changed
