"""On paper a lesson has all its code, and of what is folded only what the reader unfolded."""

import pytest
from browser import chromium, needs_chromium
from built_site import site

pytestmark = [needs_chromium, pytest.mark.slow]

WIDTH = 688  # pixels that the margins leave of A4

# What sticks out of the sheet, or of its own box and is cut there.
CUT = """
() => [...document.querySelectorAll('article, article :is(pre, table, img, svg)')]
  .filter(each => each.offsetParent !== null || each.tagName === 'svg')
  .filter(each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
    || each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(each => each.outerHTML.slice(0, 200))
"""
SHOWN = "all => all.filter(each => each.getBoundingClientRect().height > 0).length"


def test_a_lesson_prints_whole_and_without_what_is_folded() -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 970})
        page.emulate_media(media="print")
        found = {}
        for path in sorted(site().glob("*/lessons/0*.html")):
            page.goto(path.as_uri())
            found[f"{path.parts[-3]}/{path.stem}"] = page.evaluate(CUT)
            folded = page.locator("article details:not(.hide):not([open])")
            assert folded.count() > 10
            assert folded.evaluate_all(SHOWN) == 0
            code = page.locator("article details.hide .cell_input pre")
            assert code.evaluate_all(SHOWN) == code.count()
            folded.first.evaluate("each => each.open = true")
            assert page.locator("article details:not(.hide)[open]").first.is_visible()
    assert {name: each for name, each in found.items() if each} == {}
