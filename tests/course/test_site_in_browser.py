"""The web edition in Chromium: axe finds no serious fault, in the light and in the dark."""

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from browser import chromium, needs_chromium
from built_site import pages, site
from playwright.sync_api import Page

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


def test_a_search_finds_the_lesson() -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto((site() / "fr" / "search.html").as_uri() + "?q=dégradation")
        page.wait_for_selector("#search-results a[href^='lessons/03_degradation.html']")


def test_a_narrow_page_does_not_scroll_sideways() -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        for path in pages():
            if "lessons" in path.parts or path.name == "index.html":
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
