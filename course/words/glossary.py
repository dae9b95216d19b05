"""The course's words in both languages: a table for readers, and what lessons do with them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbformat import NotebookNode

from course.files import NOTEBOOKS
from course.notebooks import markdown
from course_utils.whole import write_whole

__all__ = [
    "Term",
    "avoided_words",
    "glossary",
    "glossary_page",
    "missing_glosses",
    "untranslated_terms",
    "write_glossary",
]

TABLE = Path(__file__).with_name("glossary.csv")
PAGE = NOTEBOOKS / "GLOSSARY.md"
SHORT = 4  # letters
_ITALICS = re.compile(r"(?<![*\w])\*(?!\*)([^*\n]+)\*(?!\*)")
_NAMED = re.compile(_ITALICS.pattern + r"|[«“][^«»“”\n]{,40}[»”]")
_APOSTROPHES = str.maketrans({"’": "'", "\N{NO-BREAK SPACE}": " "})


@dataclass(frozen=True)
class Term:
    """A word of the course.

    Attributes:
        french: as the French edition writes it, in the singular.
        english: as the English edition writes it.
        meaning_fr: what it means, for a reader of French.
        meaning_en: what it means, for a reader of English.
        avoid_fr: other French words for it, which the course does not use.
        avoid_en: other English words for it, which the course does not use.
        gloss: whether a French lesson gives the English word, in italics, where it first uses
            the French one.
    """

    french: str
    english: str
    meaning_fr: str
    meaning_en: str
    avoid_fr: tuple[str, ...]
    avoid_en: tuple[str, ...]
    gloss: bool


@lru_cache
def glossary(path: Path = TABLE) -> tuple[Term, ...]:
    """The terms, in the order of the table.

    Args:
        path: a CSV file with a column for each attribute of :class:`Term`; the words to avoid are
            separated by semicolons.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Term(
                row["french"],
                row["english"],
                row["meaning_fr"],
                row["meaning_en"],
                tuple(filter(None, row["avoid_fr"].split(";"))),
                tuple(filter(None, row["avoid_en"].split(";"))),
                row["gloss"] == "yes",
            )
            for row in csv.DictReader(file)
        )


def avoided_words(text: str, language: str) -> list[tuple[str, Term]]:
    """The words of ``text`` that the course does not use, each with the term to use instead.

    Args:
        text: Markdown, code or a message; a word in italics, as a paper's title is, or between
            quotation marks is named there, not used.
        language: ``"fr"`` or ``"en"``.

    >>> [(word, term.french) for word, term in avoided_words("Une couche convolutionnelle.", "fr")]
    [('convolutionnelle', 'convolutif')]
    """
    prose = _NAMED.sub(" ", text.translate(_APOSTROPHES))
    return [
        (word, term)
        for term in glossary()
        for word in (term.avoid_fr if language == "fr" else term.avoid_en)
        if _pattern(word).search(prose)
    ]


def missing_glosses(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, Term]]:
    """The cells of a French lesson that use a term for the first time without its English.

    The English stands in italics in the same cell or in one before. What is folded or in code, and
    the first cell, which only announces the lesson, do not count as a use.

    Args:
        notebook: the French edition of a lesson.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for term in glossary():
        if not term.gloss:
            continue
        italics: list[str] = []
        for number, cell in enumerate(cells):
            prose = markdown.prose(cell.source).translate(_APOSTROPHES)
            italics += _ITALICS.findall(prose)
            if number > 0 and _pattern(term.french).search(_plain(_unfolded(prose))):
                if not any(_pattern(term.english).search(words) for words in italics):
                    yield cell, term
                break


def untranslated_terms(french: str, english: str) -> list[Term]:
    """The terms that a French text uses and its English has other words for.

    The words of a term may stand apart there, as in "a plain network and a residual one".

    Args:
        french: the Markdown of a French cell.
        english: the Markdown of its translation.

    >>> [term.english for term in untranslated_terms("Un champ réceptif.", "A field of view.")]
    ['receptive field']
    """
    one, other = (_plain(markdown.prose(text)) for text in (french, english))
    return [
        term
        for term in glossary()
        # « pas » and « lot » are everyday words too.
        if len(term.french) > SHORT
        and _pattern(term.french).search(one.translate(_APOSTROPHES))
        and not all(_pattern(word).search(other) for word in term.english.split())
    ]


def glossary_page() -> str:
    """The glossary as a page for readers, in both languages."""
    lines = [
        "# Glossaire · Glossary",
        "",
        "| français | English | ce que c'est | what it is |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {term.french} | {term.english} | {term.meaning_fr} | {term.meaning_en} |"
        for term in glossary()
    ]
    return "\n".join(lines) + "\n"


def write_glossary(path: Path = PAGE) -> bool:
    """Write the page for readers; whether it changed.

    Raises:
        OSError: the folder cannot be written.
    """
    content = glossary_page().encode("utf-8")
    changed = not path.exists() or path.read_bytes() != content
    if changed:
        write_whole(path, content)
    return changed


def _pattern(term: str) -> re.Pattern[str]:
    """``term`` as it stands in a text: in the plural too, over the end of a line, in capitals."""
    words = [re.escape(word) for word in term.split()]
    # Between two words a plural's ending may stand, as in « cartes de caractéristiques ».
    return re.compile(r"(?<!\w)" + r"(?:s|x)?\s+".join(words) + r"(?:s|es|x)?(?!\w)", re.IGNORECASE)


def _plain(prose: str) -> str:
    return prose.replace("*", "")


def _unfolded(prose: str) -> str:
    return re.sub(r"<details\b.*?</details>", " ", prose, flags=re.IGNORECASE | re.DOTALL)
