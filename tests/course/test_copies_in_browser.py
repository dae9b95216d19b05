"""A reader answers in JupyterLab, the course is brought up to date, and every answer is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from browser import chromium, needs_chromium
from lab import jupyterlab, notebook_page
from playwright.sync_api import Page, expect

from course.copies import prepare_copies
from course.lessons import LessonFile, find_lessons

pytestmark = [needs_chromium, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course's lessons."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    return root


@pytest.fixture(scope="module")
def open_lesson(course: Path) -> Iterator[Callable]:
    """What opens the reader's copy of a lesson in a JupyterLab at the root of that course."""
    with jupyterlab(course, course / "jupyterlab.log") as address, chromium() as browser:
        yield lambda lesson: notebook_page(browser, address, copy_of(lesson))


def copy_of(lesson: LessonFile) -> str:
    return f"work/{lesson.language}/{lesson.path.name}"


def exercises(path: Path) -> list[int]:
    cells = nbformat.read(path, as_version=4).cells
    return [
        index for index, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])
    ]


def write(page: Page, index: int, text: str) -> None:
    """Put a text in the place of that of a cell, as a reader types it."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(index)
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def newer(lesson: Path) -> None:
    """The lesson as it might come out next: a cell more at the top, other words, numbers moved."""
    notebook = json.loads(lesson.read_text(encoding="utf-8"))
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            cell["source"] = ["A newer edition.\n", "\n", *cell["source"]]
        elif "exercise" in cell["metadata"].get("tags", []):
            cell["id"] = f"exercise-{number}"
            cell["source"] = ["# Newer.\n", *cell["source"]]
    note = {"cell_type": "markdown", "id": "news", "metadata": {}, "source": ["News."]}
    notebook["cells"].insert(1, note)
    lesson.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.mark.parametrize("lesson", find_lessons(ROOT, "fr"), ids=lambda one: one.stem)
def test_an_update_over_an_answered_notebook_keeps_every_answer(
    lesson: LessonFile, course: Path, open_lesson: Callable
) -> None:
    ours = next(one for one in find_lessons(course, lesson.language) if one.stem == lesson.stem)
    list(prepare_copies(course, [ours]))
    copy = course / copy_of(ours)
    places = exercises(copy)
    with open_lesson(ours) as page:
        for number, index in enumerate(places):
            write(page, index, f"mine = {number}  # à moi")
        page.evaluate(SAVE)
    newer(ours.path)
    (news,) = prepare_copies(course, [ours])
    assert news.news == "updated"
    with open_lesson(ours) as page:
        for number, index in enumerate(places):
            cell = page.locator(".jp-Notebook .jp-Cell").nth(index + 1)
            expect(cell.locator(".cm-content")).to_have_text(f"mine = {number}  # à moi")
        shown = page.locator(".jp-MarkdownCell", has_text="A newer edition.")
        assert shown.count() > len(places)
