"""Executed lessons as web pages that open without a network, and the index that leads to them."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import jinja2
import latex2mathml.converter
import nbformat
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from course_utils.i18n import _, current_language

__all__ = [
    "OFFLINE",
    "OWN_LANGUAGE_FIRST",
    "Card",
    "WithMathml",
    "card_of",
    "is_silent_plumbing",
    "mark_stopped",
    "page",
    "shown",
    "to_mathml",
    "write_index",
]

THUMBNAIL_TAG = "thumbnail"
WIDGET = "application/vnd.jupyter.widget-view+json"

# For a template of nbconvert's: nothing is loaded from elsewhere, pictures keep the description
# that the lesson gives them, and formulas are the browser's own.
OFFLINE = """
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_latex scoped -%}
<div class="jp-RenderedLatex jp-OutputArea-output" data-mime-type="text/latex">
{{ output.data['text/latex'] | markdown2html }}
</div>
{%- endblock -%}
{%- macro picture(output, kind) -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:{{ kind }};base64,{{ output.data[kind] | escape_html }}"
{%- set alt = output | get_metadata('alt', kind) -%}
{%- if alt is not none %} alt="{{ alt | escape_html }}"{% endif -%}
{%- set width = output | get_metadata('width', kind) -%}
{%- if width is not none %} width="{{ width | escape_html }}"{% endif -%}
>
</div>
{%- endmacro -%}
{%- block data_png scoped %}{{ picture(output, 'image/png') }}{% endblock -%}
{%- block data_jpg scoped %}{{ picture(output, 'image/jpeg') }}{% endblock -%}
"""

# For a page with a section in each language: the reader's comes first, and the others stay there.
OWN_LANGUAGE_FIRST = """<script>
const own = navigator.languages
  .map((each) => document.querySelector(`section[lang="${each.slice(0, 2)}"]`))
  .find(Boolean);
own?.parentElement.insertBefore(own, document.querySelector("section[lang]"));
</script>"""

INDEX = """<!DOCTYPE html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
html { background: #ffffff; color: #000000; }
a { color: #005a8f; }
@media (prefers-color-scheme: dark) {
  html { background: #131416; color: #cfd0d0; }
  a { color: #6fbdf0; }
}
body { font: 1.05rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }
body { padding: 0 1rem; }
article { display: flex; flex-wrap: wrap; gap: 1.5rem; margin: 2rem 0; }
article > a { flex: 0 0 18rem; }
article > div { flex: 1 1 18rem; }
img { width: 100%; background: white; border-radius: 0.3rem; }
h3 { margin: 0; }
nav a { margin-right: 1rem; }
.error { font-weight: bold; }
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% if sections | length > 1 %}
<nav>{% for language, cards in sections %}
<a href="#{{ language }}" lang="{{ language }}" hreflang="{{ language }}">{{ names[language] }}</a>
{% endfor %}</nav>
{% endif %}
{% for language, cards in sections %}
<section id="{{ language }}" lang="{{ language }}">
<h2>{{ names[language] }}</h2>
{% for card in cards %}
<article>
{% if card.picture %}
<a href="{{ card.page }}"><img src="{{ card.picture }}" alt="{{ card.description }}"></a>
{% endif %}
<div>
<h3><a href="{{ card.page }}">{{ card.title }}</a></h3>
{{ card.line | safe }}{% if card.error %}
<p class="error">{{ card.error }}</p>
{% endif %}
<p><a href="{{ card.notebook }}">{{ card.notebook }}</a></p>
</div>
</article>
{% endfor %}
</section>
{% endfor %}
</main>
{{ own_language_first | safe }}
</body>
</html>
"""


@dataclass(frozen=True)
class Card:
    """What the index shows of a lesson; the paths are relative to the index."""

    title: str
    line: str  # HTML
    page: str
    notebook: str
    picture: str | None
    description: str
    error: str | None  # how the lesson failed, if it did


def to_mathml(latex: str, *, display: bool = False) -> str:
    r"""A formula as MathML, which browsers draw themselves.

    Args:
        latex: the formula, without its dollars.
        display: whether it stands on a line of its own.

    Returns:
        The ``<math>`` element; for a formula that cannot be converted, its source in ``<code>``.

    >>> to_mathml("x^2")
    '<math xmlns="http://www.w3.org/1998/Math/MathML"
    display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    >>> to_mathml(r"\left( x"), to_mathml(r"\unheard x")
    ('<code>\\left( x</code>', '<code>\\unheard x</code>')
    """
    # The converter takes align* for what amsmath calls aligned or split, and finds the
    # letter of \mathcal F only between braces.
    plain = re.sub(r"\\(begin|end)\{(?:aligned|split)\}", r"\\\1{align*}", latex)
    plain = re.sub(r"\\(math(?:cal|bb|bf|rm|frak|sf|tt))\s+(\w)", r"\\\1{\2}", plain)
    plain = re.sub(r"\\arg(?![A-Za-z])", r"\\operatorname{arg}", plain)
    try:
        mathml = latex2mathml.converter.convert(plain, display="block" if display else "inline")
    # The converter's errors share no base class of their own, and a formula that it cannot read
    # is still worth showing.
    except Exception:
        mathml = "\\"
    # A command that it does not know it shows as it stands.
    return f"<code>{escape(latex)}</code>" if "\\" in mathml else mathml


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown, with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def block_math(self, body: str) -> str:
        return to_mathml(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        return to_mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)


class WithMathml:
    """For an exporter of nbconvert's: formulas as MathML."""

    def markdown2html(self, source: str) -> str:
        return _to_html(source)


class _Page(WithMathml, HTMLExporter):
    """nbconvert's page."""


def page(notebook: nbformat.NotebookNode, language: str) -> str:
    """An executed lesson as one HTML text that a browser shows without a network.

    Pictures and styles lie inside the page and formulas are MathML. Progress bars and other
    widgets, which only a running kernel can draw, are left out, and so is code that is folded in
    the notebook and shows nothing.

    Args:
        notebook: the lesson, with its outputs.
        language: of its prose, ``"fr"`` or ``"en"``.
    """
    template = "{%- extends 'lab/index.html.j2' -%}" + OFFLINE
    exporter = _Page(raw_template=template, language_code=language)  # type: ignore[no-untyped-call]
    html, _resources = exporter.from_notebook_node(shown(notebook))
    return html


def shown(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of an executed lesson with what a page shows of it, and its title in the metadata."""
    answer = nbformat.from_dict(notebook)
    answer.cells = [cell for cell in answer.cells if not is_silent_plumbing(cell)]
    for cell in answer.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]
    answer.metadata.pop("widgets", None)
    answer.metadata["title"] = _opening(answer)[0]
    return answer


def is_silent_plumbing(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell is code that the notebook folds and that shows nothing: pages leave it out."""
    folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
    return cell.cell_type == "code" and folded and not cell.outputs


def card_of(notebook: nbformat.NotebookNode, folder: Path, language: str, stem: str) -> Card:
    """What the index shows of a lesson; its picture is written beside its page.

    The picture is the first PNG of the cell tagged ``thumbnail``, or else the first of all; the
    line is the notebook's ``metadata.course.summary``, or else the first paragraph after the title.

    Args:
        notebook: the lesson as papermill left it, with its outputs.
        folder: where the index lies; the lesson's files lie in its folder ``<language>``.
        language: of the edition.
        stem: the lesson's file name, without its ending.

    Raises:
        OSError: the picture cannot be written.
    """
    title, paragraph = _opening(notebook)
    png, description = _thumbnail(notebook)
    if png is not None:
        (folder / language / f"{stem}.png").write_bytes(png)
    return Card(
        title=title or stem,
        line=_to_html(notebook.metadata.get("course", {}).get("summary", paragraph)),
        page=f"{language}/{stem}.html",
        notebook=f"{language}/{stem}.ipynb",
        picture=f"{language}/{stem}.png" if png is not None else None,
        description=description,
        error=notebook.metadata.get("course", {}).get("error"),
    )


def mark_stopped(notebook: nbformat.NotebookNode, error: str) -> None:
    """Note in an executed lesson, for its card, the sentence that says how it failed."""
    notebook.metadata.setdefault("course", nbformat.NotebookNode())["error"] = error


def write_index(path: Path, sections: Sequence[tuple[str, Sequence[Card]]]) -> None:
    """Write the page that leads to every lesson.

    Args:
        path: the file to write, such as ``build/index.html``.
        sections: each edition's language and its lessons' cards, in the order to show them.

    Raises:
        OSError: the file cannot be written.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(INDEX).render(
        language=current_language(),
        title=_("Convolutional networks in PyTorch: the lessons"),
        names={"fr": "Français", "en": "English"},
        sections=sections,
        own_language_first=OWN_LANGUAGE_FIRST,
    )
    path.write_text(html, encoding="utf-8")


def _to_html(markdown: str) -> str:
    """Markdown as HTML, formulas as MathML."""
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(markdown)


def _opening(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """The title of a lesson and the first paragraph after it, both Markdown; empty if missing."""
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    blocks = [block.strip() for block in re.split(r"\n\s*\n", prose)]
    titles = [index for index, block in enumerate(blocks) if block.startswith("# ")]
    if not titles:
        return "", ""
    first_line, _newline, rest = blocks[titles[0]].partition("\n")
    following = [rest, *blocks[titles[0] + 1 :]]
    paragraph = next((block for block in following if re.match(r"[^\W_]|[*_«$`]", block)), "")
    return first_line.removeprefix("# ").strip(), paragraph


def _thumbnail(notebook: nbformat.NotebookNode) -> tuple[bytes | None, str]:
    """The picture of a lesson and its text description; None without any picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # A stable sort: the tagged cell first, the others in their order.
    cells.sort(key=lambda cell: THUMBNAIL_TAG not in cell.metadata.get("tags", []))
    for cell in cells:
        for output in cell.outputs:
            data: dict[str, Any] = output.get("data", {})
            if "image/png" in data:
                about = output.metadata.get("image/png", {})
                return base64.b64decode(data["image/png"]), about.get("alt", "")
    return None, ""
