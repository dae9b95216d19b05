"""Every lesson in JupyterLab, at the profile ``quick``: what a reader sees and clicks there works.

Its name keeps this file out of what pytest collects by itself: the lessons run for minutes. What
each test looked at last is in ``build/browser/<language>/<lesson>-<test>.png``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import chromium, needs_chromium
from lab import OpenLesson, jupyterlab, notebook_page, run_all
from playwright.sync_api import Browser, Locator, expect

from course.lessons import LessonFile, find_lessons
from course.notebooks.markdown import formulas
from course.running import inject_profile
from course_utils.checks import Feedback
from course_utils.i18n import LANGUAGES, speaking

pytestmark = [needs_chromium, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "browser"
LESSONS = find_lessons(ROOT, "all")

# A broken picture has no colour, and an empty one a single colour.
COLOURS = """images => images.map(image => {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  if (!image.complete || !width || !image.getBoundingClientRect().width) return 0;
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(image, 0, 0);
  return new Set(new Uint32Array(context.getImageData(0, 0, width, height).data.buffer)).size;
})"""
COUNTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code').map(cell => cell.model.executionCount)"""
PROSE = """cells => cells.map(cell => {
  const copy = cell.cloneNode(true);
  for (const other of copy.querySelectorAll('code, mjx-container')) other.remove();
  return copy.textContent;
})"""
# Of the title, and of the whole: folded, unfolded and folded again.
HEIGHTS = """folds => folds.map(fold => {
  const title = fold.querySelector(':scope > summary');
  const height = element => element.getBoundingClientRect().height;
  const heights = [height(title), height(fold)];
  for (let twice = 0; twice < 2; twice++) {
    title.click();
    heights.push(height(fold));
  }
  return heights;
})"""
FOLDED_CODE = """details =>
  (details.querySelector('pre code') ?? details.querySelector('code')).textContent"""


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Browser, str]]:
    """Chromium, and the address of a JupyterLab that holds a copy of each lesson."""
    for language in LANGUAGES:
        inject_profile(ROOT, language, "quick", FOLDER / language)
        for earlier in (FOLDER / language).glob("*.png"):
            earlier.unlink()
    with jupyterlab(ROOT, FOLDER / "jupyterlab.log") as address, chromium() as browser:
        yield browser, address


@pytest.fixture(
    scope="module", params=LESSONS, ids=[f"{one.language}-{one.stem}" for one in LESSONS]
)
def lesson(request: pytest.FixtureRequest, lab: tuple[Browser, str]) -> Iterator[OpenLesson]:
    """A lesson of which every cell has been run."""
    which: LessonFile = request.param
    copy = FOLDER / which.language / which.path.name
    cells = nbformat.read(copy, as_version=4).cells
    with notebook_page(*lab, copy.relative_to(ROOT).as_posix()) as page:
        try:
            run_all(page)
        finally:
            page.screenshot(path=copy.with_name(f"{which.stem}-end.png"))
        page.locator(".jp-Cell").first.scroll_into_view_if_needed()
        page.screenshot(path=copy.with_name(f"{which.stem}-top.png"))
        yield OpenLesson(page, which.language, which.stem, cells)


@pytest.fixture(autouse=True)
def screenshot(request: pytest.FixtureRequest, lesson: OpenLesson) -> Iterator[None]:
    """What each test saw last, also of one that fails."""
    yield
    name = request.node.originalname.removeprefix("test_")
    lesson.page.screenshot(path=FOLDER / lesson.language / f"{lesson.stem}-{name}.png")


def pictures(cell: nbformat.NotebookNode) -> int:
    """The number of pictures that a cell stores."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def show(locator: Locator) -> None:
    """Bring the first of what was found, if anything was, to the middle of the page."""
    if locator.count():
        locator.first.evaluate("element => element.scrollIntoView({block: 'center'})")


def test_every_cell_runs_without_an_error_or_a_warning(lesson: OpenLesson) -> None:
    troubles = lesson.page.locator('[data-mime-type$=".error"], [data-mime-type$=".stderr"]')
    show(troubles)
    assert troubles.all_inner_texts() == []
    code = [cell for cell in lesson.cells if cell.cell_type == "code"]
    assert lesson.page.evaluate(COUNTS) == list(range(1, len(code) + 1))


def test_every_figure_is_drawn(lesson: OpenLesson) -> None:
    stored = nbformat.read(
        ROOT / "notebooks" / lesson.language / f"{lesson.stem}.ipynb", as_version=4
    )
    expected = {cell.id: pictures(cell) for cell in stored.cells}
    (figure,) = lesson.tagged("thumbnail")
    show(lesson.cell(figure).locator("img"))
    for index, cell in enumerate(lesson.cells):
        # The sliders' figure is drawn for them, and not stored.
        count = 1 if "Slider(" in cell.source else expected.get(cell.id, 0)
        images = lesson.cell(index).locator("img")
        expect(images).to_have_count(count)
        colours = images.evaluate_all(COLOURS)
        assert all(number > 1 for number in colours), cell.id


def test_every_formula_is_typeset(lesson: OpenLesson) -> None:
    counts = {
        index: len(formulas(cell.source))
        for index, cell in enumerate(lesson.cells)
        if cell.cell_type == "markdown"
    }
    show(lesson.page.locator("mjx-container"))
    for index, count in counts.items():
        expect(lesson.cell(index).locator("mjx-container")).to_have_count(count)
    assert lesson.page.locator("mjx-merror").all_inner_texts() == []
    prose = lesson.page.locator(".jp-RenderedMarkdown").evaluate_all(PROSE)
    assert [text for text in prose if re.search(r"\$|\\[a-z]+", text)] == []


def test_every_slider_redraws_its_figure(lesson: OpenLesson) -> None:
    cells = [index for index, cell in enumerate(lesson.cells) if "Slider(" in cell.source]
    if not cells:
        pytest.skip("this lesson has no slider")
    for index in cells:
        cell = lesson.cell(index)
        handles = cell.get_by_role("slider")
        expect(handles).to_have_count(lesson.cells[index].source.count("Slider("))
        figure = cell.locator(".jp-OutputArea img")
        show(figure)
        for handle in handles.all():
            before = figure.get_attribute("src")
            value = handle.get_attribute("aria-valuenow")
            assert before is not None and value is not None
            handle.press("ArrowRight")
            expect(handle).not_to_have_attribute("aria-valuenow", value)
            expect(figure).not_to_have_attribute("src", before)


def test_hints_and_solutions_unfold_and_fold(lesson: OpenLesson) -> None:
    for index, cell in enumerate(lesson.cells):
        if cell.cell_type == "markdown":
            folds = lesson.cell(index).locator("details")
            expect(folds).to_have_count(cell.source.count("<details>"))
    folds = lesson.page.locator("details")
    for title, folded, unfolded, again in folds.evaluate_all(HEIGHTS):
        assert title < folded + 1 and folded < 2 * title
        assert unfolded > folded + 10
        assert again == folded
    # A click of the mouse costs the browser longer than those of the script: the first hint has it.
    hint = lesson.page.locator(".jp-MarkdownCell details").first
    expect(hint).not_to_have_attribute("open", "")
    hint.locator("> summary").click()
    expect(hint).to_have_attribute("open", "")


def test_a_checker_says_what_is_missing_then_accepts_the_solution(lesson: OpenLesson) -> None:
    with speaking(lesson.language):
        missing, right = (Feedback(passed, "").verdict for passed in (None, True))
    exercises = lesson.tagged("exercise")
    assert exercises
    refused = {}
    for index in exercises:
        cell = lesson.cell(index)
        answer = cell.get_by_role("note")
        verdict = answer.locator("> strong")
        expect(verdict).to_have_text(missing)
        solution = folded_solution(lesson, index)
        (call,) = re.findall(r"^check\..*", lesson.cells[index].source, re.M | re.S)
        cell.locator(".cm-content").click()
        lesson.page.keyboard.press("ControlOrMeta+a")
        lesson.page.keyboard.insert_text(f"{solution.strip()}\n\n\n{call}")
        lesson.page.keyboard.press("Control+Enter")
        show(cell.locator(".jp-OutputArea"))
        expect(verdict).not_to_have_text(missing)
        if verdict.inner_text() != right:
            refused[lesson.cells[index].id] = answer.inner_text()
    assert refused == {}


def folded_solution(lesson: OpenLesson, exercise: int) -> str:
    """The code of the solution that stands last before an exercise, as a reader would copy it."""
    for index in range(exercise, -1, -1):
        solution = lesson.cell(index).locator("details", has_text=re.compile(r"^\s*Solution"))
        if solution.count():
            return str(solution.last.evaluate(FOLDED_CODE))
    raise AssertionError("this exercise has no folded solution")
