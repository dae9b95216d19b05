"""Pages: what a browser needs is inside them, formulas included, and nothing else is asked for."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.pages import WIDGET, Card, card_of, page, to_mathml, write_index

MATHML = "{http://www.w3.org/1998/Math/MathML}"
# One white pixel, and one black.
WHITE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)
BLACK = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
)


def picture(png: str, alt: str, *tags: str):
    output = new_output("display_data", {"image/png": png}, metadata={"image/png": {"alt": alt}})
    return new_code_cell("show()", outputs=[output], metadata={"tags": list(tags)})


def html_of(*cells) -> str:
    return page(new_notebook(cells=list(cells)), "fr")


def table_rows(latex: str) -> list[list[str]]:
    """The cells of the formula's table, as text."""
    tree = ElementTree.fromstring(to_mathml(latex, display=True))
    return [
        ["".join(cell.itertext()) for cell in row.iter(f"{MATHML}mtd")]
        for row in tree.iter(f"{MATHML}mtr")
    ]


def test_a_page_asks_the_network_for_nothing() -> None:
    html = html_of(new_markdown_cell("# Title\n\n$x$"), picture(WHITE, "white"))
    assert "<script" not in html
    assert not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//', html)
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", html)


def test_formulas_in_prose_tables_folded_parts_and_outputs_become_mathml() -> None:
    html = html_of(
        new_markdown_cell("Let $a$.\n\n$$b$$\n\n\\begin{align*}c&=1\\end{align*}"),
        new_markdown_cell("| $d$ |\n|---|\n| $e$ |"),
        new_markdown_cell("<details><summary>Hint</summary>\n\nTry $f$.\n\n</details>"),
        new_code_cell("g", outputs=[new_output("display_data", {"text/latex": "$g$"})]),
    )
    letters = [
        re.search(r"<mi>(.)</mi>", formula)[1] for formula in re.findall(r"<math.*?</math>", html)
    ]
    assert letters == list("abcdefg")
    assert "$" not in re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)


def test_an_aligned_formula_has_a_row_for_each_line_and_shows_no_ampersand() -> None:
    assert table_rows(r"\begin{aligned} a &= b \\ c &= d \end{aligned}") == [
        ["a", "=b"],
        ["c", "=d"],
    ]


def test_a_letter_without_braces_is_set_like_one_with_them() -> None:
    assert to_mathml(r"\mathcal F") == to_mathml(r"\mathcal{F}")
    assert "\N{SCRIPT CAPITAL F}" in "".join(
        ElementTree.fromstring(to_mathml(r"\mathcal F")).itertext()
    )


def test_arg_min_is_set_in_upright_letters() -> None:
    mathml = to_mathml(r"\underset{f}{\arg\min} L(f) \argument")
    assert mathml == r"<code>\underset{f}{\arg\min} L(f) \argument</code>"
    assert "<mo>arg</mo><mo>min</mo>" in to_mathml(r"\underset{f}{\arg\min} L(f)")


def test_a_formula_that_cannot_be_read_shows_its_source() -> None:
    assert to_mathml(r"\left( a < b") == r"<code>\left( a &lt; b</code>"


def test_pictures_keep_their_description_and_widgets_are_left_out() -> None:
    bar = new_output("display_data", {WIDGET: {"model_id": "1"}, "text/plain": "0%| | 0/3"})
    html = html_of(picture(WHITE, 'a "white" dot'), new_code_cell("bar()", outputs=[bar]))
    assert "alt='a \"white\" dot'" in html or 'alt="a &quot;white&quot; dot"' in html
    assert "0/3" not in html


def test_folded_code_is_left_out_unless_it_shows_something() -> None:
    folded = {"jupyter": {"source_hidden": True}}
    output = new_output("stream", name="stdout", text="seen\n")
    cells = [
        new_code_cell("plumbing = 1", metadata=folded),
        new_code_cell("drawing = 2", metadata=folded, outputs=[output]),
        new_code_cell("lesson = 3"),
    ]
    html = page(new_notebook(cells=cells), "en")
    assert "plumbing" not in html
    assert "drawing" in html and "seen" in html and "lesson" in html


def test_a_page_leaves_the_notebook_as_it_was_and_carries_its_title_and_language() -> None:
    bar = new_output("display_data", {WIDGET: {"model_id": "1"}})
    notebook = new_notebook(
        cells=[new_markdown_cell("# La leçon"), new_code_cell("bar()", outputs=[bar])]
    )
    html = page(notebook, "fr")
    assert len(notebook.cells[1].outputs) == 1
    assert "title" not in notebook.metadata
    assert "<title>La leçon</title>" in html
    assert '<html lang="fr">' in html


def test_the_card_shows_the_tagged_figure_before_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "fr").mkdir()
    notebook = new_notebook(
        cells=[picture(BLACK, "black"), picture(WHITE, "white", "thumbnail")],
    )
    card = card_of(notebook, tmp_path, "fr", "03_a")
    assert card.description == "white"
    both = {
        name: new_notebook(cells=[picture(png, name)])
        for name, png in {"black": BLACK, "white": WHITE}.items()
    }
    stored = (tmp_path / "fr" / "03_a.png").read_bytes()
    for name, alone in both.items():
        card_of(alone, tmp_path, "fr", name)
        same = (tmp_path / "fr" / f"{name}.png").read_bytes() == stored
        assert same == (name == "white")


def test_a_lesson_without_a_figure_or_a_title_still_has_a_card(tmp_path: Path) -> None:
    card = card_of(new_notebook(cells=[new_code_cell("1")]), tmp_path, "fr", "03_a")
    assert (card.title, card.line, card.picture, card.error) == ("03_a", "", None, None)


@pytest.mark.parametrize(
    ("sources", "line"),
    [
        (["# T\n\nOne *line*.\n\nAnother."], "One <em>line</em>."),
        (["# T\nClose by."], "Close by."),
        (["intro", "# T", "<div>\nbox\n</div>\n\n## Part\n\nThe line."], "The line."),
        (["# T\n\n« Des guillemets » d'abord."], "« Des guillemets » d'abord."),
    ],
)
def test_the_line_is_the_first_paragraph_after_the_title(
    tmp_path: Path, sources: list[str], line: str
) -> None:
    notebook = new_notebook(cells=[new_markdown_cell(source) for source in sources])
    card = card_of(notebook, tmp_path, "fr", "03_a")
    assert card.title == "T"
    assert card.line.strip() == f"<p>{line}</p>"


def test_a_summary_in_the_metadata_takes_the_place_of_the_first_paragraph(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# T\n\nOther.")])
    notebook.metadata["course"] = {"summary": "Deeper *may* be worse."}
    assert "<em>may</em>" in card_of(notebook, tmp_path, "fr", "03_a").line


def test_the_index_escapes_what_a_lesson_says_of_itself(tmp_path: Path) -> None:
    card = Card("A < B", "", "fr/a.html", "fr/a.ipynb", None, "", "stopped: x < y")
    write_index(tmp_path / "index.html", [("fr", [card])])
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "A &lt; B" in html
    assert "stopped: x &lt; y" in html


def test_the_index_of_two_editions_leads_to_each_in_its_own_language(tmp_path: Path) -> None:
    card = Card("T", "", "fr/a.html", "fr/a.ipynb", None, "", None)
    path = tmp_path / "index.html"
    write_index(path, [("fr", [card]), ("en", [card])])
    html = path.read_text(encoding="utf-8")
    for language, name in (("fr", "Français"), ("en", "English")):
        assert f'<a href="#{language}" lang="{language}" hreflang="{language}">{name}</a>' in html
        assert f'<section id="{language}" lang="{language}">' in html
    write_index(path, [("fr", [card])])
    assert "<nav>" not in path.read_text(encoding="utf-8")
