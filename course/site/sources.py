"""What Sphinx reads: lessons, the way to them, glossary, gallery and reference, as files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import nbformat

from course.lessons import LessonFile, find_lessons
from course.pages import Card, card_of, is_silent_plumbing
from course.site.gallery import write_gallery
from course.site.reference import write_reference
from course.words.glossary import glossary
from course_utils.i18n import _, speaking

__all__ = ["LANGUAGE_NAMES", "write_front_page", "write_sources"]

LANGUAGE_NAMES = {"fr": "Français", "en": "English"}
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=jinja2.select_autoescape(["html"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def write_sources(root: Path, language: str, folder: Path) -> list[tuple[str, Card]]:
    """Write everything that Sphinx reads for one language, and answer the card of each lesson.

    Args:
        root: the folder of the course.
        language: ``"fr"`` or ``"en"``.
        folder: where to write; it is made.

    Raises:
        ValueError: there is no such language, or no lesson in it.
        OSError: a file cannot be read or written.
    """
    lessons = find_lessons(root, language)
    with speaking(language):
        (folder / "lessons").mkdir(parents=True)
        cards = [(lesson.stem, _write_lesson(lesson, folder)) for lesson in lessons]
        gallery = write_gallery(root / "images", language, folder)
        write_reference(folder / "reference")
        (folder / "glossary.md").write_text(_glossary_page(language), encoding="utf-8")
        home = _TEMPLATES.get_template("home.md").render(
            cards=cards, gallery=gallery, words=_home_words()
        )
        (folder / "index.md").write_text(home, encoding="utf-8")
    return cards


def write_front_page(site: Path, cards: Mapping[str, Sequence[tuple[str, Card]]]) -> Path:
    """Write the page that leads to each language and its lessons, and answer its path.

    Args:
        site: the folder that holds the folders of the languages.
        cards: of each language, its lessons' stems and cards.

    Raises:
        OSError: the page cannot be written.
    """
    page = site / "index.html"
    editions = []
    for language, lessons in cards.items():
        with speaking(language):
            words = _home_words() | {"read": _("Read the course in English")}
        editions.append((language, words, lessons))
    html = _TEMPLATES.get_template("front.html").render(editions=editions)
    page.write_text(html, encoding="utf-8")
    return page


def _home_words() -> dict[str, str]:
    """What the first page of an edition says."""
    return {
        "title": _("Convolutional networks in PyTorch"),
        "opening": _(
            "A course in notebooks: what a layer does, why networks are built as they are, and "
            "how to find out by experiments of your own. Each page shows a lesson as it was run, "
            "with its figures and its measurements; the exercises answer in the notebook."
        ),
        "run": _(
            "To work in the notebooks, take a copy of the course and run `make lab` in its folder. "
            "The link above the title of a lesson leads to its notebook."
        ),
        "lessons": _("Lessons"),
        "more": _("More"),
        "glossary": _("Glossary"),
        "gallery": _("Gallery of pictures"),
        "reference": _("Reference of course_utils"),
        "index": _("Index of names"),
    }


def _glossary_page(language: str) -> str:
    """The words of the course, in the order of one language's alphabet."""
    if language == "fr":
        rows = [(term.french, term.english, term.meaning_fr) for term in glossary()]
    else:
        rows = sorted((term.english, term.french, term.meaning_en) for term in glossary())
    words = {
        "glossary": _("Glossary"),
        "about_glossary": _("The words of the course, in both languages, and what they mean."),
        "meaning": _("what it means"),
    }
    (other,) = LANGUAGE_NAMES.keys() - {language}
    return _TEMPLATES.get_template("glossary.md").render(
        names=LANGUAGE_NAMES, language=language, other=other, rows=rows, words=words
    )


def _write_lesson(lesson: LessonFile, folder: Path) -> Card:
    """Put a lesson where Sphinx reads it and the reader downloads it, and answer its card."""
    notebook = nbformat.read(lesson.path, as_version=4)
    downloads = folder / "downloads"
    downloads.mkdir(exist_ok=True)
    shutil.copy(lesson.path, downloads)
    (folder / "lessons" / lesson.language).mkdir(exist_ok=True)
    card = card_of(notebook, folder / "lessons", lesson.language, lesson.stem)
    notebook.cells = [cell for cell in notebook.cells if not is_silent_plumbing(cell)]
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        # Imports matter to whoever runs the lesson, and are one click away for its reader.
        if "setup" in tags and "hide-input" not in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
    nbformat.write(notebook, folder / "lessons" / lesson.path.name)
    return card
