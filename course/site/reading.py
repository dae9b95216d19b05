"""A lesson made ready to be read on a page: places to lead to, and code folded that only draws."""

from __future__ import annotations

import ast
import re

import nbformat

from course.pages import is_silent_plumbing

__all__ = ["exercises_in", "minutes_of", "prepared"]

_WORDS_A_MINUTE = 200
_DRAWING = ("diagrams", "plots")


def prepared(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as its page shows it, a copy.

    Cells that are folded and show nothing are left out; imports, and code that does nothing but
    draw, are one click away; each cell of prose begins with a place of its own, ``cell-<id>``, the
    same in both languages.
    """
    shown = nbformat.from_dict(notebook)
    shown.cells = [cell for cell in shown.cells if not is_silent_plumbing(cell)]
    for place, cell in enumerate(shown.cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown" and place:  # a page begins with its title
            cell.source = f'<span id="cell-{cell.id}"></span>\n\n{cell.source}'
        elif "hide-input" not in tags and ("setup" in tags or _only_draws(cell)):
            cell.metadata["tags"] = [*tags, "hide-input"]
    return shown


def _only_draws(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell's code is calls of what draws, and nothing else."""
    if cell.cell_type != "code":
        return False
    try:
        body = ast.parse(cell.source).body
    except SyntaxError:  # an exercise to be filled in, or a command of the notebook's
        return False
    return bool(body) and all(
        isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Call)
        and ast.unparse(each.value.func).startswith(tuple(f"{name}." for name in _DRAWING))
        for each in body
    )


def minutes_of(notebook: nbformat.NotebookNode) -> int:
    """How long reading the prose takes, in minutes, to the next five."""
    prose = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    words = len(re.sub(r"```.*?```", "", prose, flags=re.DOTALL).split())
    return 5 * -(-words // (5 * _WORDS_A_MINUTE))


def exercises_in(notebook: nbformat.NotebookNode) -> int:
    """How many exercises a lesson sets."""
    return sum("exercise" in cell.metadata.get("tags", []) for cell in notebook.cells)
