"""The course's words: one table for both languages, and texts that keep to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from nbformat.v4 import new_markdown_cell, new_notebook

from course.cli import main
from course.files import REPOSITORY
from course.words.glossary import (
    PAGE,
    avoided_words,
    glossary,
    glossary_page,
    missing_glosses,
    untranslated_terms,
    write_glossary,
)
from course.words.messages import HOUSES, catalogue


def test_every_term_is_there_once_and_explained_in_both_languages() -> None:
    terms = glossary()
    assert len(terms) >= 30
    assert len({term.french for term in terms}) == len(terms)
    assert len({term.english for term in terms}) == len(terms)
    for term in terms:
        assert all((term.french, term.english, term.meaning_fr, term.meaning_en)), term


def test_no_term_is_a_word_that_another_avoids() -> None:
    for term in glossary():
        assert avoided_words(f"{term.french} {term.meaning_fr}", "fr") == []
        assert avoided_words(f"{term.english} {term.meaning_en}", "en") == []


def test_the_page_for_readers_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == glossary_page()
    assert "| champ réceptif | receptive field |" in glossary_page()


def test_the_page_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_glossary(tmp_path / "GLOSSARY.md")
    assert not write_glossary(tmp_path / "GLOSSARY.md")
    assert main(["glossary"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Des couches convolutionnelles", ["convolutionnelle"]),
        ("le Champ\nRécepteur", ["champ récepteur"]),
        ("des cartes d’attributs", ["carte d'attributs"]),
        ("Un réseau convolutif, des champs réceptifs.", []),
        ("*Very Deep Convolutional Networks*, le *mini-batch*", []),
        ("On dit aussi « couche dense », que nous évitons.", []),
        ("Une couche d'un bloc dense, une normalisation par lots (*batch normalisation*).", []),
        ("La batch normalisation des couches denses", ["couche dense", "batch normalisation"]),
        ("Ouvrez le carnet : sans remplissage, un mini-lot", ["mini-lot", "carnet", "remplissage"]),
    ],
)
def test_a_word_to_avoid_is_found_in_the_plural_and_over_the_end_of_a_line(
    text: str, words: list[str]
) -> None:
    assert [word for word, _term in avoided_words(text, "fr")] == words


def first_uses(*texts: str) -> list[tuple[str, str]]:
    cells = [new_markdown_cell(text, id=f"c{number}") for number, text in enumerate(texts)]
    return [(cell.id, term.french) for cell, term in missing_glosses(new_notebook(cells=cells))]


def test_a_term_without_its_english_at_its_first_use_is_named() -> None:
    title = "# Leçon\n\nLe champ réceptif."
    assert first_uses(title, "Un *champ réceptif* (*receptive field*).", "Ce champ réceptif") == []
    assert first_uses(title, "Les champs réceptifs.") == [("c1", "champ réceptif")]
    late = first_uses(title, "Un champ réceptif.", "Un champ réceptif (*receptive field*).")
    assert late == [("c1", "champ réceptif")]
    assert first_uses(title, "Des cartes de caractéristiques (*feature maps*).") == []


def test_what_is_folded_or_in_code_is_no_first_use() -> None:
    folded = "<details>\n<summary>Indice</summary>\n\nLe champ réceptif.\n\n</details>"
    assert first_uses("# Leçon", folded, "`champ réceptif`") == []


def test_emphasis_and_everyday_words_do_not_hide_or_make_a_term() -> None:
    assert untranslated_terms("Le *pooling* global.", "Global **pooling**.") == []
    assert untranslated_terms("Ce n'est pas un lot.", "It is no bargain.") == []
    assert untranslated_terms("Un réseau résiduel.", "A plain network, a residual one.") == []


@pytest.mark.parametrize("house", HOUSES)
def test_the_messages_use_the_words_of_the_glossary(house: str) -> None:
    with catalogue(house).open("rb") as file:
        entries = [entry for entry in read_po(file) if entry.id]
    for language, texts in (("en", [e.id for e in entries]), ("fr", [e.string for e in entries])):
        said = [text if isinstance(text, str) else " ".join(text) for text in texts]
        assert len(said) > 100
        assert [(text, words) for text in said if (words := avoided_words(text, language))] == []


PAGES = [
    *sorted((REPOSITORY / "course" / "site" / "templates").rglob("*.*.md")),
    *(REPOSITORY / name for name in ("README.md", "README.fr.md", "CONTRIBUTING.md")),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_pages_use_the_words_of_the_glossary(path: Path) -> None:
    language = "fr" if ".fr." in path.name else "en"
    assert avoided_words(path.read_text(encoding="utf-8"), language) == []
