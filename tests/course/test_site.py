"""The web edition: whole in both languages, offline, without a broken link, and described."""

import inspect
import json
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from built_site import ROOT, pages, site

from course.lessons import find_lessons
from course.site.gallery import gallery_page, read_pictures
from course.site.reference import public_names
from course.words.glossary import glossary
from course_utils.i18n import LANGUAGES

# Two runs of Sphinx, which a busy machine slows down.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def local(link: str) -> bool:
    return not (urlsplit(link).scheme or link.startswith("//"))


def target(page: Path, link: str) -> Path:
    path = unquote(urlsplit(link).path)
    return (page.parent / path).resolve() if path else page


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_lesson_has_its_page_and_can_be_taken_home(language: str) -> None:
    home = pages()[site() / language / "index.html"]
    for lesson in find_lessons(ROOT, language):
        page = pages()[site() / language / "lessons" / f"{lesson.stem}.html"]
        assert f"lessons/{lesson.stem}.html" in {link["href"] for link in home.all("a")}
        (download,) = [link["href"] for link in page.all("a") if "download" in link]
        notebook = target(page.path, download)
        assert notebook.read_bytes() == lesson.path.read_bytes()


def test_every_page_says_its_language_and_leads_to_itself_in_the_other() -> None:
    for path, page in pages().items():
        if path.parent == site():  # the pages of both languages
            continue
        language, *rest = path.relative_to(site()).parts
        assert page.all("html")[0]["lang"] == language
        (switch,) = [link for link in page.all("a") if link.get("rel") == "alternate"]
        (other,) = set(LANGUAGES) - {language}
        assert switch["hreflang"] == other
        assert target(path, switch["href"]) == site().joinpath(other, *rest)
        assert target(path, switch["href"]) in pages()


def test_the_front_page_leads_to_each_language_and_to_each_of_its_lessons() -> None:
    front = pages()[site() / "index.html"]
    links = [link["href"] for link in front.all("a")]
    assert {link for link in links if link.count("/") == 1} == {
        f"{each}/index.html" for each in LANGUAGES
    }
    assert [link for link in links if link.count("/") > 1] == [
        f"{each.language}/lessons/{each.stem}.html" for each in find_lessons(ROOT, "all")
    ]


def test_a_lesson_says_on_its_card_how_much_there_is_to_read_and_to_do() -> None:
    for language in LANGUAGES:
        home = (site() / language / "index.html").read_text(encoding="utf-8")
        cards = re.findall(r'<div class="[^"]*lesson-card.*?</div>', home, re.DOTALL)
        lessons = find_lessons(ROOT, language)
        assert len(cards) == len(lessons)
        for card, lesson in zip(cards, lessons, strict=True):
            cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
            exercises = sum("exercise" in cell["metadata"].get("tags", []) for cell in cells)
            assert re.search(rf">[^<]+ · \d+[^<]+ · {exercises} exerci[sc]es</p>", card), card
            assert f"{lesson.stem}.svg" in card


def test_the_page_for_what_is_not_there_leads_to_both_languages() -> None:
    links = {link["href"] for link in pages()[site() / "404.html"].all("a")}
    assert links == {f"{each}/{page}.html" for each in LANGUAGES for page in ("index", "search")}


def test_every_page_says_what_it_is_to_whoever_links_to_it() -> None:
    for path, page in pages().items():
        if path == site() / "404.html":
            continue
        said = {
            meta.get("property", meta.get("name")): meta["content"]
            for meta in page.all("meta")
            if "content" in meta
        }
        assert said["og:title"] and len(said["description"]) > 40, path
        icons = [link["href"] for link in page.all("link") if "icon" in link.get("rel", "")]
        assert [target(path, icon).suffix for icon in icons] == [".svg"], path


def test_a_place_in_a_lesson_has_the_same_name_in_both_languages() -> None:
    for lesson in find_lessons(ROOT, "en"):
        cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
        wanted = {f"cell-{cell['id']}" for cell in cells[1:] if cell["cell_type"] == "markdown"}
        for language in LANGUAGES:
            page = pages()[site() / language / "lessons" / f"{lesson.stem}.html"]
            assert wanted == {each for each in page.ids if each.startswith("cell-")}


def test_each_explorable_alone_names_its_scripts_and_they_are_light() -> None:
    for path, page in pages().items():
        scripts = [target(path, script["src"]) for script in page.all("script") if "src" in script]
        own = [script for script in scripts if script.parent.name == "explorables"]
        if path.parent.name == "explorables":
            assert [script.name for script in own] == [
                "network.js",
                f"{path.stem}.data.js",
                f"{path.stem}.js",
            ]
            assert sum(script.stat().st_size for script in own) < 15e6
        else:
            assert own == [], path


def test_no_formula_shows_a_command_of_latex() -> None:
    formulas = [
        formula
        for page in pages().values()
        for formula in re.findall(r"<math.*?</math>", page.text, re.DOTALL)
    ]
    assert len(formulas) > 100
    assert [formula for formula in formulas if "\\" in formula] == []


def test_nothing_but_a_reference_leads_out_of_the_site() -> None:
    fetched = ("src", "srcset", "href", "data", "poster", "action", "xlink:href")
    for page in pages().values():
        for tag, attributes in page.elements:
            for name in fetched:
                if tag != "a" and name in attributes:
                    assert local(attributes[name]) or attributes[name].startswith("data:"), (
                        page.path,
                        tag,
                        attributes,
                    )
        assert not re.search(
            r"<style[^>]*>[^<]*(?:@import|url\(\s*['\"]?(?:https?:)?//)", page.text
        )


def test_no_style_or_script_of_the_site_fetches_from_the_network() -> None:
    for path in site().rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", text), path
        for aim in re.findall(r"url\(\s*['\"]?(?!data:)([^'\")]+)", text):
            assert target(path, aim).exists(), (path, aim)
    for path in site().rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:fetch|import|importScripts)\(\s*['\"`](?:https?:)?//", text), path


def test_no_link_within_the_site_is_broken() -> None:
    ids = {path: page.ids for path, page in pages().items()}
    broken = []
    for path, page in pages().items():
        for tag, attributes in page.elements:
            for name in ("href", "src"):
                link = attributes.get(name, "")
                if not link or not local(link) or tag == "use":
                    continue
                aim, fragment = target(path, link), unquote(urlsplit(link).fragment)
                there = aim.exists() and aim.is_relative_to(site())
                # An empty fragment is the top of the page.
                if not there or (fragment and aim in ids and fragment not in ids[aim]):
                    broken.append((path.relative_to(site()).as_posix(), link))
    assert broken == []


def test_every_picture_is_described() -> None:
    pictures = [(page.path, image) for page in pages().values() for image in page.all("img")]
    assert [where for where, image in pictures if not image.get("alt", "").strip()] == []
    for language in LANGUAGES:
        for lesson in find_lessons(ROOT, language):
            stored = [
                output["metadata"][kind]["alt"]
                for cell in json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
                for output in cell.get("outputs", [])
                for kind in ("image/png", "image/jpeg")
                if kind in output.get("data", {})
            ]
            page = pages()[site() / language / "lessons" / f"{lesson.stem}.html"]
            shown = [image["alt"] for image in page.all("img")]
            assert [" ".join(alt.split()) for alt in shown] == [
                " ".join(alt.split()) for alt in stored
            ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_formulas_are_set_and_no_dollar_is_left(language: str) -> None:
    page = pages()[site() / language / "lessons" / "03_degradation.html"]
    assert len(page.all("math")) > 20
    prose = re.sub(r"<(pre|script|style|code)\b.*?</\1>", "", page.text, flags=re.DOTALL)
    prose = re.sub(r'alt="[^"]*"|<details><summary>[^<]*</summary><p>[^<]*</p>', "", prose)
    assert "$" not in prose


@pytest.mark.parametrize(("language", "word"), [("fr", "dégradation"), ("en", "degradation")])
def test_the_search_of_each_language_knows_its_lessons(language: str, word: str) -> None:
    index = (site() / language / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    lesson = found["docnames"].index("lessons/03_degradation")
    assert word in found["titles"][lesson].lower()
    assert any(term.startswith(word[:6]) for term in [*found["terms"], *found["titleterms"]])
    # A reader who knows a word in one language looks it up in the pages of the other.
    page = found["docnames"].index("glossary")
    for stem in ("shortcut", "raccourc"):
        where = [pages for term, pages in found["terms"].items() if term.startswith(stem)]
        assert any(page in (each if isinstance(each, list) else [each]) for each in where)


def test_what_a_search_quotes_is_prose_with_places_that_are_there() -> None:
    for language in LANGUAGES:
        text = (site() / language / "_static" / "texts.js").read_text(encoding="utf-8")
        texts = json.loads(text.removeprefix("window.COURSE_TEXTS=").rstrip(";\n"))
        assert not [name for name in texts if name.startswith("reference/")]
        for lesson in find_lessons(ROOT, language):
            parts = texts[f"lessons/{lesson.stem}"]
            page = pages()[site() / language / "lessons" / f"{lesson.stem}.html"]
            assert {anchor for anchor, _title, _said in parts} <= page.ids
            said = " ".join(said for _anchor, _title, said in parts)
            assert len(said.split()) > 1500 and "import " not in said


def test_each_page_of_the_reference_is_in_one_group_of_what_a_reader_wants_to_do() -> None:
    index = (site() / "en" / "reference" / "index.html").read_text(encoding="utf-8")
    listed = re.findall(r'<a[^>]*href="(course_utils\.\w+)\.html"[^>]*><span class="doc"', index)
    there = {".".join(name.split(".")[:2]) for name in public_names()}
    assert sorted(listed) == sorted(there)


def test_each_language_searches_with_its_own_grammar() -> None:
    stemmers = {
        language: (site() / language / "_static" / "language_data.js").read_text(encoding="utf-8")
        for language in LANGUAGES
    }
    assert "aurais" in stemmers["fr"]  # one of the words that a French search passes over
    assert "aurais" not in stemmers["en"]


def test_every_public_name_is_in_the_reference_once() -> None:
    names = public_names()
    ids = [
        name
        for path, page in pages().items()
        if path.is_relative_to(site() / "en" / "reference")
        for _tag, attributes in page.elements
        if (name := attributes.get("id", "")).startswith("course_utils.")
    ]
    for module, its_names in names.items():
        assert [ids.count(f"{module}.{name}") for name in its_names] == [1] * len(its_names)
    given = [name for its_names in names.values() for name in its_names]
    assert {"cifar_net", "fit", "class_activation_maps", "sweep"} <= set(given)


def test_the_frame_of_a_french_page_is_in_french_and_the_docstrings_are_marked_english() -> None:
    lesson = pages()[site() / "fr" / "lessons" / "03_degradation.html"]
    labels = {
        attributes["aria-label"]
        for _tag, attributes in lesson.elements
        if "aria-label" in attributes
    }
    assert {"Langue", "Pages du site", "Contenu de la page", "Recherche"} <= labels
    assert not [label for label in labels if "oggle" in label]
    (reference,) = [
        page
        for path, page in pages().items()
        if path.name == "course_utils.cam.html" and path.is_relative_to(site() / "fr")
    ]
    assert reference.all("article")[0]["lang"] == "en"
    assert "lang" not in lesson.all("article")[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_glossary_has_every_term_and_is_led_to_from_every_page(language: str) -> None:
    page = pages()[site() / language / "glossary.html"]
    (other,) = set(LANGUAGES) - {language}
    table = re.search(r"<table\b.*?</table>", page.text, re.DOTALL)
    assert table
    assert table[0].count("<th ") == 3
    for term in glossary():
        names = {"fr": term.french, "en": term.english}
        meaning = term.meaning_fr if language == "fr" else term.meaning_en
        row = rf"<strong>{re.escape(names[language])}</strong>.*?<span lang=\"{other}\">"
        assert re.search(row + re.escape(names[other]), table[0], re.DOTALL), term
        assert meaning in table[0], term
    terms = re.findall(r"<strong>(.*?)</strong>", table[0])
    plain = [re.sub(r"[^a-z ']", "", unicodedata.normalize("NFD", term)) for term in terms]
    assert plain == sorted(plain)
    assert len(terms) == len(glossary())
    for path, each in pages().items():
        if path.is_relative_to(site() / language):
            assert page.path in {target(path, link.get("href", "")) for link in each.all("a")}, path


def test_a_lesson_keeps_its_own_apostrophes() -> None:
    lesson = pages()[site() / "fr" / "lessons" / "03_degradation.html"]
    assert "l'erreur d'<em>entraînement</em>" in lesson.text


def test_the_gallery_takes_titles_and_descriptions_from_the_pictures(tmp_path: Path) -> None:
    said = inspect.cleandoc(
        """
        <svg xmlns="http://www.w3.org/2000/svg">
        <title lang="fr">Un bloc</title><title lang="en">A block</title>
        <desc lang="fr">Une flèche *noire*.</desc><desc lang="en">A *black* arrow.</desc>
        </svg>
        """
    )
    (tmp_path / "block.svg").write_text(said, encoding="utf-8")
    (tmp_path / "net.fr.svg").write_text(said, encoding="utf-8")
    (picture,) = read_pictures(tmp_path, "en")
    assert (picture.title, picture.description) == ("A block", "A *black* arrow.")
    assert [each.path.name for each in read_pictures(tmp_path, "fr")] == ["block.svg", "net.fr.svg"]
    (tmp_path / "README.md").write_text("# Pictures\n\n## net.fr\n", encoding="utf-8")
    assert [each.path.name for each in read_pictures(tmp_path, "fr")] == ["net.fr.svg", "block.svg"]
    page = gallery_page([picture], "images")
    assert ".. image:: images/block.svg\n   :alt: A *black* arrow." in page
    assert r"   A \*black\* arrow." in page


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<svg", "is not an SVG that can be read"),
        ('<svg xmlns="http://www.w3.org/2000/svg"><title>A</title></svg>', "has no <desc>"),
    ],
)
def test_a_picture_without_its_words_is_refused(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "a.svg").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        read_pictures(tmp_path, "en")


def test_a_folder_without_pictures_gives_an_empty_gallery(tmp_path: Path) -> None:
    assert read_pictures(tmp_path / "none", "fr") == []
