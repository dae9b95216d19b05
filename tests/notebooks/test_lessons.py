"""What every lesson has, in both its editions."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from nbformat import NotebookNode

from course.address import repository
from course.files import NOTEBOOKS, Pair, lesson_pairs, notebook_paths
from course.notebooks import markdown
from course.notebooks.editions import check_editions
from course.notebooks.normaliser import (
    machine_paths,
    normalise,
    notebook_text,
    read_notebook,
    unexecuted_cells,
)
from course.notebooks.opening import with_opening
from course.notebooks.student import without_solutions
from course.words.glossary import avoided_words, missing_glosses, untranslated_terms

# The tags of cells, and what each is for.
TAGS = {
    "parameters": "the settings that `make run` and the profiles may change",
    "setup": "what a lesson needs before it starts",
    "exercise": "code for the reader to write",
    "solution": "the answer to an exercise",
    "slow": "a cell that takes most of the lesson's time",
    "thumbnail": "the figure that stands for the lesson in the index",
    "hide-input": "code that the pages of the site fold",
    "nbval-check-output": "output compared with the stored one by the tests",
}
PAIRS = lesson_pairs([])
each_lesson = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.french.stem)


@pytest.fixture(
    scope="module",
    params=notebook_paths([], NOTEBOOKS),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def path(request: pytest.FixtureRequest) -> Path:
    """The file of an edition."""
    answer: Path = request.param
    return answer


@pytest.fixture(scope="module")
def notebook(path: Path) -> NotebookNode:
    return read_notebook(path)


@pytest.fixture(scope="module")
def texts(notebook: NotebookNode) -> dict[str, str]:
    """The Markdown of the edition, by cell."""
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "markdown"}


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def shown(notebook: NotebookNode) -> list[tuple[str, NotebookNode]]:
    """What the code shows, each with the id of its cell."""
    return [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]


@each_lesson
def test_the_two_editions_are_there_and_parallel(pair: Pair) -> None:
    assert [path.name for path in pair if not path.is_file()] == []
    assert check_editions(pair) == []


def test_the_file_is_small_and_what_the_normaliser_writes(
    path: Path, notebook: NotebookNode
) -> None:
    content = path.read_bytes()  # line ends count too
    assert content == notebook_text(normalise(notebook)).encode("utf-8"), "normalise it"
    assert len(content) < 1_000_000


def test_every_cell_was_executed_without_an_error_and_names_no_folder_of_a_machine(
    notebook: NotebookNode,
) -> None:
    assert unexecuted_cells(notebook) + machine_paths(notebook) == []
    assert [cell for cell, output in shown(notebook) if output.output_type == "error"] == []


def test_the_cell_after_the_title_fetches_the_course(path: Path, notebook: NotebookNode) -> None:
    renewed = with_opening(notebook, path.parent.name, repository())
    assert renewed == notebook, "run `python -m course notebooks opening`"


def test_every_tag_is_known_and_one_cell_holds_the_settings(notebook: NotebookNode) -> None:
    assert {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])} <= TAGS.keys()
    assert len(tagged(notebook, "parameters")) == 1


def test_there_are_exercises_a_quiz_and_a_duration(
    path: Path, notebook: NotebookNode, texts: dict[str, str]
) -> None:
    assert len(tagged(notebook, "exercise")) >= 4
    headings = [each.text for text in texts.values() for each in markdown.headings(text)]
    assert any("quiz" in text.lower() for text in headings)
    word = {"fr": "Durée", "en": "Time"}[path.parent.name]
    assert re.search(rf"\b{word}\b.*\d", next(iter(texts.values())))


def test_what_nbval_compares_is_stored(notebook: NotebookNode) -> None:
    # It passes a cell that stores nothing.
    compared = tagged(notebook, "nbval-check-output")
    assert [cell.id for cell in compared if not cell.get("outputs")] == []


def test_figures_are_described(notebook: NotebookNode) -> None:
    figures = [
        (cell, output.metadata.get(kind, {}).get("alt", ""))
        for cell, output in shown(notebook)
        for kind in ("image/png", "image/jpeg")
        if kind in output.get("data", {})
    ]
    assert [cell for cell, alt in figures if not alt.strip()] == []
    assert len(figures) >= 4


def test_hints_and_solutions_fold_and_their_markdown_is_read(texts: dict[str, str]) -> None:
    folds = 0
    for cell, text in texts.items():
        html = [token.content for token in markdown.tokens(text) if token.type == "html_block"]
        opened = [block for block in html if "<details" in block]
        # Up to an empty line, all that follows a tag is HTML.
        assert all(block.rstrip().endswith("</summary>") for block in opened), cell
        prose = markdown.prose(text)
        assert len(opened) == prose.count("<details") == prose.count("</details>"), cell
        folds += len(opened)
    assert folds >= 4


def test_formulas_stand_between_dollars(texts: dict[str, str]) -> None:
    # JupyterLab's Markdown takes the backslash of \( and \[ away.
    assert [
        (cell, token.markup)
        for cell, text in texts.items()
        for token in markdown.tokens(text)
        if token.type == "text_special" and token.markup in (r"\(", r"\[")
    ] == []


def test_images_in_the_text_are_described_and_found_from_everywhere(texts: dict[str, str]) -> None:
    images = [(cell, image) for cell, text in texts.items() for image in markdown.images(text)]
    for cell, image in images:
        assert (image.alt or "").strip(), cell
        assert re.match(r"https?://|data:", image.target), cell


def test_there_is_one_title_and_no_heading_skips_a_level(texts: dict[str, str]) -> None:
    levels = [each.level for text in texts.values() for each in markdown.headings(text)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(level <= last + 1 for last, level in pairwise(levels)), levels


def test_tables_say_what_their_columns_are(notebook: NotebookNode, texts: dict[str, str]) -> None:
    for cell, text in texts.items():
        types = [token.type for token in markdown.tokens(text)]
        # The corner above the names of rows may be empty.
        empty = [
            before
            for before, *head in zip(types, types[1:], types[2:], strict=False)
            if head == ["th_open", "th_close"] and before != "tr_open"
        ]
        assert not empty, cell
        assert not re.search(r"^\s*\|?[ :]*-+[ :]*\|", markdown.prose(text), re.MULTILINE), cell
    html = [(cell, output.get("data", {}).get("text/html", "")) for cell, output in shown(notebook)]
    for cell, text in [*texts.items(), *html]:
        assert all("<th" in table for table in re.findall(r"(?s)<table\b.*?</table>", text)), cell


def test_the_words_are_those_of_the_glossary(path: Path, notebook: NotebookNode) -> None:
    language = path.parent.name
    assert [
        (cell.id, word)
        for cell in notebook.cells
        for word, _term in avoided_words(cell.source, language)
    ] == []
    if language == "fr":
        first = missing_glosses(notebook)
        assert [(cell.id, term.english) for cell, term in first] == [], "give the English word"


@each_lesson
def test_the_english_edition_has_the_glossarys_word_for_each_term_of_the_french(
    pair: Pair,
) -> None:
    french, english = (
        {cell.id: cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown"}
        for path in pair
    )
    assert [
        (cell, term.english)
        for cell, text in french.items()
        for term in untranslated_terms(text, english[cell])
    ] == []


def test_without_its_solutions_a_lesson_loses_nothing_else(notebook: NotebookNode) -> None:
    handed_out = without_solutions(notebook)
    summaries, sources = (
        [
            [found for cell in edition.cells for found in finding(cell)]
            for edition in (notebook, handed_out)
        ]
        for finding in (
            lambda cell: re.findall(r"<summary>(.*?)</summary>", cell.source),
            lambda cell: [cell.source] if cell.cell_type == "code" else [],
        )
    )
    assert summaries[1] == [one for one in summaries[0] if not one.startswith("Solution")]
    assert len(summaries[1]) < len(summaries[0])
    assert sources[0] == sources[1]
    assert all(
        cell.source.count("<details") == cell.source.count("</details>")
        for cell in handed_out.cells
    )
