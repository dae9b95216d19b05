"""An edition for a class: the lessons with their folded solutions taken out."""

from __future__ import annotations

import copy
import re

from nbformat import NotebookNode

__all__ = ["without_solutions"]

# The word is the same in both languages; a number or a few words may follow it.
_SOLUTION = re.compile(
    r"\n*<details\b[^>]*>\s*<summary>\s*Solutions?\b[^<]*</summary>.*?</details>[ \t]*\n*",
    re.IGNORECASE | re.DOTALL,
)


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy of a lesson for those who are to solve its exercises.

    Folded solutions go, and so do code cells tagged ``solution``; hints, checkers and the quiz
    stay. An exercise loses the output stored when its stub was run; measurements and figures stay.

    Args:
        notebook: an edition of a lesson; it is not changed.
    """
    answer = copy.deepcopy(notebook)
    cells = []
    for cell in answer.cells:
        tags = cell.metadata.get("tags", [])
        if "solution" in tags:
            continue
        cell.metadata.pop("translation_of", None)
        if cell.cell_type == "markdown":
            cell.source = _SOLUTION.sub("\n\n", cell.source).strip()
            if not cell.source:
                continue
        elif "exercise" in tags:
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
    answer.cells = cells
    return answer
