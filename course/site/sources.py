"""What Sphinx reads: lessons, the way to them, glossary, gallery and reference, as files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import nbformat

from course.address import repository, site_address
from course.lessons import LessonFile, find_lessons
from course.pages import OWN_LANGUAGE_FIRST, card_of
from course.site.gallery import Picture, read_pictures, write_gallery
from course.site.reading import exercises_in, minutes_of, prepared
from course.site.reference import write_reference
from course.site.teaching import guide
from course.words.glossary import glossary
from course_utils.i18n import _, ngettext, speaking

__all__ = [
    "EXPLORABLES",
    "LANGUAGE_NAMES",
    "LessonCard",
    "about_course",
    "write_front_page",
    "write_sources",
]

LANGUAGE_NAMES = {"fr": "Français", "en": "English"}
EXPLORABLES = {
    "sliding_window": "01_conv_1x1",
    "class_maps": "02_gap_cam",
    "signal": "03_degradation",
}
"""The pages that compute, in the order to show them, each with its lesson."""

_HERE = Path(__file__).parent
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=jinja2.select_autoescape(["html"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class LessonCard:
    """What the first pages show of a lesson."""

    stem: str
    title: str
    line: str  # HTML
    facts: str  # its level, how long it is, its exercises
    picture: Picture | None


def write_sources(root: Path, language: str, folder: Path) -> list[LessonCard]:
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
        (folder / "static").mkdir()
        shutil.copy(_HERE / "static" / "opening.svg", folder / "static")
        pictures = {each.path.stem: each for each in read_pictures(_HERE / "cards", language)}
        cards = [_write_lesson(lesson, folder, pictures) for lesson in lessons]
        explorables = _write_explorables(language, folder / "explorables")
        gallery = write_gallery(root / "images", language, folder)
        write_reference(folder / "reference")
        page = _TEMPLATES.get_template(f"teaching.{language}.md").render(
            guide(lessons, root / "benchmarks" / "results")
        )
        (folder / "teaching.md").write_text(page, encoding="utf-8")
        (folder / "glossary.md").write_text(_glossary_page(language), encoding="utf-8")
        home = _TEMPLATES.get_template("home.md").render(
            cards=cards, explorables=explorables, gallery=gallery, words=_home_words()
        )
        (folder / "index.md").write_text(home, encoding="utf-8")
    return cards


def write_front_page(site: Path, cards: Mapping[str, Sequence[LessonCard]]) -> Path:
    """Write the page that leads to each language and its lessons, and answer its path.

    Beside it goes the page that is shown instead of one that is not there.

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
            words = _home_words() | {
                "read": _("Read the course in English"),
                "lost": _("This page does not exist."),
                "lost_why": _(
                    "It may have moved: look for it from the home page, or use the search."
                ),
                "search": _("Search"),
            }
        editions.append((language, words, lessons))
    address = site_address(repository())
    for name, path in {"front.html": page, "404.html": site / "404.html"}.items():
        html = _TEMPLATES.get_template(name).render(
            editions=editions,
            address=address,
            names=LANGUAGE_NAMES,
            own_language_first=OWN_LANGUAGE_FIRST,
        )
        path.write_text(html, encoding="utf-8")
    return page


def about_course() -> str:
    """What the course is, in three sentences."""
    return _(
        "Five notebooks on convolutional networks, for anyone who has written a little PyTorch. "
        "You predict, run and measure where a classifier looks, why a deeper network can learn "
        "less, and what a shortcut changes. Every number comes from a cell that you can run "
        "again, on a laptop without a graphics card."
    )


def _home_words() -> dict[str, str]:
    """What the first page of an edition says."""
    return {
        "title": _("Convolutional networks in PyTorch"),
        "opening": about_course(),
        "picture": _(
            "A handwritten 3 wanders among scraps of other digits; beside it, the same scene under "
            "the activation map of class 3, red where the digit is, wherever it goes."
        ),
        "play": _("Try it in the browser"),
        "run": _(
            "To work in the notebooks, make a copy of the course and run `make lab` in its "
            "folder. The links above the title of a lesson lead to its notebook."
        ),
        "lessons": _("Lessons"),
        "more": _("More"),
        "teaching": _("For teachers"),
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


def _write_explorables(language: str, folder: Path) -> list[tuple[str, str]]:
    """Put the pages that compute where Sphinx reads them; answer the name and title of each."""
    folder.mkdir()
    answer = []
    for name in EXPLORABLES:
        source = _HERE / "templates" / "explorables" / f"{name}.{language}.md"
        text = source.read_text(encoding="utf-8")
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
        answer.append((name, text.partition("\n")[0].removeprefix("# ")))
    return answer


def _write_lesson(lesson: LessonFile, folder: Path, pictures: Mapping[str, Picture]) -> LessonCard:
    """Put a lesson where Sphinx reads it and the reader downloads it, and answer its card."""
    notebook = nbformat.read(lesson.path, as_version=4)
    downloads = folder / "downloads"
    downloads.mkdir(exist_ok=True)
    shutil.copy(lesson.path, downloads)
    (folder / "lessons" / lesson.language).mkdir(exist_ok=True)
    card = card_of(notebook, folder / "lessons", lesson.language, lesson.stem)
    nbformat.write(prepared(notebook), folder / "lessons" / lesson.path.name)
    picture = pictures.get(lesson.stem)
    if picture:
        (folder / "cards").mkdir(exist_ok=True)
        shutil.copy(picture.path, folder / "cards")
    exercises = exercises_in(notebook)
    facts = [
        _level(lesson.number),
        _("{minutes} min of reading").format(minutes=minutes_of(notebook)),
        ngettext("{number} exercise", "{number} exercises", exercises).format(number=exercises),
    ]
    return LessonCard(lesson.stem, card.title, card.line, " · ".join(facts), picture)


def _level(number: int) -> str:
    """For whom a lesson is: the first two ask for no more than a convolution."""
    if number <= 2:
        return _("Starting out")
    return _("Going deeper") if number <= 4 else _("A project of your own")
