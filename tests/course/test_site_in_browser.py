"""The web edition in Chromium: axe finds no serious fault, in the light and in the dark."""

from io import BytesIO
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from browser import chromium, needs_chromium
from built_site import pages, site
from PIL import Image
from playwright.sync_api import Page

from course.pages import Card, write_index
from course_utils.i18n import LANGUAGES

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(3600)]

# Colours are compared element by element, so one of each kind is left and the others become text:
# a lesson has thousands of coloured words of code, and a score of colours.
ONE_OF_EACH = """
for (const part of document.querySelectorAll('details')) part.open = true;
const seen = new Set();
for (const word of document.querySelectorAll('article span:not(:has(*))')) {
  const kind = word.parentElement.className + '/' + word.className;
  if (seen.has(kind)) word.replaceWith(word.textContent); else seen.add(kind);
}
"""
# The dark pages differ from the light ones in their colours alone.
RULES = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}


def faults(page: Page, options: dict[str, object]) -> list[str]:
    answer = page.evaluate(
        "options => axe.run(options)", {"resultTypes": ["violations"], **options}
    )
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in answer["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("colours", RULES)
def test_axe_finds_no_serious_fault_on_any_page(colours: str) -> None:
    script = AXE_FILE_PATH.read_text(encoding="utf-8")
    found = {}
    with chromium() as browser:
        page = browser.new_page(color_scheme=colours)
        for path in pages():
            page.goto(path.as_uri())
            page.evaluate(ONE_OF_EACH)
            page.evaluate(script)
            found[path.relative_to(site()).as_posix()] = faults(page, RULES[colours])
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(
    ("language", "words", "lesson"),
    [
        ("fr", "dégradation", "03_degradation"),
        ("en", "degradation", "03_degradation"),
        ("fr", "cartes d'activation", "02_gap_cam"),
        ("en", "class activation map", "02_gap_cam"),
    ],
)
def test_a_search_finds_lessons_before_code_and_quotes_them_from_a_file(
    language: str, words: str, lesson: str
) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto((site() / language / "search.html").as_uri() + f"?q={words}")
        page.wait_for_function(
            "document.querySelector('.search-summary')?.innerText && Search._pulse_status < 0"
        )
        found = page.locator("#search-results li").evaluate_all(
            "(all) => all.map((item) => [item.querySelector('a').getAttribute('href'),"
            " [...item.querySelectorAll('mark')].map((mark) => mark.textContent)])"
        )
    first = [where for where, _marked in found]
    code = [k for k, where in enumerate(first) if where.startswith("reference/")]
    prose = [k for k, where in enumerate(first) if where.startswith("lessons/")]
    assert not code or max(prose) < min(code), first
    assert any(where.startswith(f"lessons/{lesson}.html#") for where in first[:3]), first
    stem = words.split()[0][:5].lower()
    assert any(stem in mark.lower() for _where, marks in found[:3] for mark in marks)


def test_changing_language_keeps_the_place() -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto((site() / "fr" / "lessons" / "02_gap_cam.html").as_uri())
        places = page.locator("article [id^=cell-]").evaluate_all("all => all.map(one => one.id)")
        wanted = places[len(places) // 2]
        page.evaluate(
            "id => document.getElementById(id).scrollIntoView({behavior: 'instant'})", wanted
        )
        link = page.locator(".course-ways a[rel=alternate]")
        link.dispatch_event("pointerdown")
        assert link.get_attribute("href") == f"../../en/lessons/02_gap_cam.html#{wanted}"
        page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        link.focus()
        assert link.get_attribute("href") == "../../en/lessons/02_gap_cam.html"


def index_of_both(folder: Path) -> Path:
    """What leads to lessons that were run, in both languages."""
    card = Card("T", "", "fr/a.html", "fr/a.ipynb", None, "", None)
    write_index(folder / "index.html", [("fr", [card]), ("en", [card])])
    return folder / "index.html"


@pytest.mark.parametrize("colours", RULES)
def test_axe_finds_no_serious_fault_in_the_index_of_what_was_run(
    colours: str, tmp_path: Path
) -> None:
    with chromium() as browser:
        page = browser.new_page(color_scheme=colours)
        page.goto(index_of_both(tmp_path).as_uri())
        page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
        assert faults(page, RULES[colours]) == []


@pytest.mark.parametrize(("locale", "first"), [("fr-CA", "fr"), ("en-GB", "en"), ("de", "fr")])
def test_the_readers_language_comes_first_and_the_other_stays_in_reach(
    locale: str, first: str, tmp_path: Path
) -> None:
    index = index_of_both(tmp_path)
    with chromium() as browser:
        page = browser.new_page(locale=locale, viewport={"width": 390, "height": 800})
        for path in (site() / "index.html", index):
            page.goto(path.as_uri())
            sections = page.locator("section[lang]").evaluate_all("all => all.map(one => one.lang)")
            assert sections == sorted(LANGUAGES, key=lambda each: each != first)
            for language in LANGUAGES:
                box = page.locator(f"nav a[hreflang={language}]").bounding_box()
                assert box["y"] + box["height"] < 800  # without scrolling
            assert page.url == path.as_uri()


def test_no_figure_glares_in_the_dark() -> None:
    with chromium() as browser:
        page = browser.new_page(color_scheme="dark")
        page.goto((site() / "en" / "lessons" / "03_degradation.html").as_uri())
        for kind in ("drawn", "pictured"):
            for figure in page.locator(f"article img.{kind}").all()[:3]:
                with Image.open(BytesIO(figure.screenshot())) as shown:
                    light = shown.convert("L").histogram()
                assert sum(light[215:]) < 0.05 * sum(light), (kind, figure.get_attribute("src"))


WORDS_IN_TWO_LINES = """
() => [...document.querySelectorAll('article :is(th, td)')].flatMap((cell) => {
  const cut = [];
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/[\\p{L}]{2,}/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) {
        cut.push(word[0]);
      }
    }
  }
  return cut;
})
"""


def test_no_table_of_a_narrow_page_cuts_a_word() -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        for path in pages():
            if "lessons" in path.parts or path.name == "glossary.html":
                page.goto(path.as_uri())
                assert page.evaluate(WORDS_IN_TWO_LINES) == [], path


def test_a_narrow_page_does_not_scroll_sideways() -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        for path in pages():
            if {"lessons", "explorables"} & {*path.parts} or path.stem in ("index", "404"):
                page.goto(path.as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= 400, path


def test_the_menu_of_a_narrow_page_opens_with_the_keyboard_and_hides_its_links_until_then() -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.goto((site() / "fr" / "index.html").as_uri())
        links = page.locator(".sidebar-drawer a.reference")
        assert links.count() > 5 and not links.first.is_visible()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "__navigation"
        page.keyboard.press("Space")
        links.first.wait_for(state="visible")


def test_a_printed_page_has_no_link_that_skips_to_its_text() -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto((site() / "fr" / "index.html").as_uri())
        assert page.locator(".skip-to-content").is_visible()
        page.emulate_media(media="print")
        assert not page.locator(".skip-to-content").is_visible()
