"""Slides: sections side by side, cells below one another, no answer, nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import chromium, needs_chromium
from built_site import Page
from handing_in import written
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.files import REPOSITORY
from course.lessons import find_lessons
from course.notebooks.normaliser import read_notebook
from course.slides import slides

FOLDED = "<details>\n<summary>{}</summary>\n\n{}\n\n</details>"
PRINTED = [new_output("stream", name="stdout", text="shown")]
LESSON = new_notebook(
    cells=[
        new_markdown_cell("# The title\n\nA line."),
        new_code_cell("setup = 1", id="setup", outputs=PRINTED),
        new_markdown_cell("## 1. First\n\nLet $a$."),
        new_code_cell("folded = 1", metadata={"jupyter": {"source_hidden": True}}, outputs=PRINTED),
        new_markdown_cell("### Exercise 1 – one\n\n" + FOLDED.format("Hint", "Think hard.")),
        new_code_cell("x = ...", metadata={"tags": ["exercise"]}),
        new_markdown_cell("## Quiz\n\n**1. Why?**\n\n" + FOLDED.format("a. So", "No: never.")),
    ]
)


def test_a_section_is_a_slide_and_its_cells_lie_below_it() -> None:
    html = slides(LESSON, "en")
    inside = html[html.index('<div class="slides">') :]
    depth, tree = 0, []
    for tag in re.findall(r"</?section\b", inside):
        if tag == "<section":
            depth += 1
            tree += [0] if depth == 1 else []
            tree[-1] += depth == 2
        else:
            depth -= 1
    assert tree == [2, 4, 1]
    assert "<title>The title</title>" in html


def test_questions_stay_and_what_is_folded_is_left_out() -> None:
    html = slides(LESSON, "en")
    for kept in ("Why?", "a. So", "shown", "<mi>a</mi>", ">setup<"):
        assert kept in html
    for gone in ("<details", "Think hard", "never", ">folded<"):
        assert gone not in html


@pytest.mark.slow
@needs_chromium
def test_the_slides_of_a_lesson_load_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lesson,) = find_lessons(REPOSITORY, "fr", [3])
    folder = written("slides", lesson, tmp_path, monkeypatch)
    (path,) = folder.glob("*.html")
    sections = [
        cell.source
        for cell in read_notebook(lesson.path).cells
        if cell.cell_type == "markdown" and re.search(r"^##? ", cell.source, re.MULTILINE)
    ]
    asked, said = [], []
    with chromium() as browser:
        page = browser.new_context(offline=True).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_function("Reveal.isReady()")
        assert page.evaluate("Reveal.getHorizontalSlides().length") >= len(sections)
        for key, place in (("ArrowRight", [1, 0]), ("ArrowDown", [1, 1]), ("ArrowRight", [2, 0])):
            page.keyboard.press(key)
            assert page.evaluate("[Reveal.getIndices().h, Reveal.getIndices().v]") == place
    assert said == []
    assert {url.partition("#")[0] for url in asked if not url.startswith("data:")} == {
        path.as_uri(),
        *(each.as_uri() for each in folder.rglob("*") if each.suffix in (".css", ".js")),
    }
    named = [
        each.get("src") or each.get("href", "") for each in Page(path).all("script", "link", "img")
    ]
    assert not [each for each in named if re.match(r"(https?:)?//", each)]
