"""A lesson as slides: sections lie side by side, their cells below one another."""

from __future__ import annotations

import re
from pathlib import Path

from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode

from course.notebooks.picking import parts
from course.notebooks.student import without_solutions
from course.pages import OFFLINE, WithMathml, shown

__all__ = ["REVEAL", "slides"]

REVEAL = Path(__file__).parent / "reveal"
"""What the slides load, from a folder of this name beside them: reveal.js 6.0.2, and their look."""

_FOLDED = re.compile(
    r"<details\b[^>]*>\s*<summary>\s*(.*?)\s*</summary>.*?</details>\n*", re.DOTALL
)
_START = """
{%- block footer_js -%}
<script src="{{ resources.reveal.url_prefix }}/dist/reveal.js"></script>
<script>
Reveal.initialize({ hash: true, center: false, width: 1100, height: 700, transition: "none" });
</script>
{%- endblock footer_js -%}
"""


class _Slides(WithMathml, SlidesExporter):
    """nbconvert's slides."""


def slides(notebook: NotebookNode, language: str) -> str:
    """An executed lesson as slides, which a browser shows without a network beside :data:`REVEAL`.

    Hints, solutions and what the quiz says to each answer are left out, and so is folded code.

    Args:
        notebook: the lesson, with its outputs; it is not changed.
        language: of its prose, ``"fr"`` or ``"en"``.
    """
    lesson = shown(without_solutions(notebook))
    cells = []
    for part in parts(lesson):
        for place, cell in enumerate(part.cells):
            kind = "slide" if place == 0 and part.level <= 2 else "subslide"
            about = {**cell.metadata, "slideshow": {"slide_type": kind}}
            if cell.metadata.get("jupyter", {}).get("source_hidden"):
                about["transient"] = {"remove_source": True}
            source = _FOLDED.sub(_question, cell.source)
            cells.append(NotebookNode({**cell, "metadata": NotebookNode(about), "source": source}))
    lesson.cells = cells
    exporter = _Slides(  # type: ignore[no-untyped-call]
        raw_template="{%- extends 'reveal/index.html.j2' -%}" + OFFLINE + _START,
        language_code=language,
        reveal_url_prefix=REVEAL.name,
        reveal_theme="course",
    )
    html, _resources = exporter.from_notebook_node(lesson)
    return html.replace(" slides</title>", "</title>")


def _question(folded: re.Match[str]) -> str:
    """Of an answer of the quiz, the answer alone; of a hint, nothing."""
    return f"- {folded[1]}\n" if re.match(r"[a-z]\. ", folded[1]) else ""
