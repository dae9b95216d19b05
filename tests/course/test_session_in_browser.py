"""A reader answers in JupyterLab, saves, and finds the answers again in another session."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from browser import chromium, needs_chromium
from lab import jupyterlab, notebook_page, run_all
from nbformat.v4 import new_code_cell
from playwright.sync_api import Locator, Page, expect

from course_utils.answers import read_answers

pytestmark = [needs_chromium, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
FOLD = """\
def fold(weight1, bias1, weight2, bias2):
    return weight2 @ weight1, weight2 @ bias1 + bias2
check.check_fold(fold)"""
WORDS = {
    "fr": ("Définir ces réponses", "Exercice 3 – replier", "Juste", "prend sa place"),
    "en": ("Define these answers", "Exercise 3 – fold", "Correct", "runs in its place"),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the course, in which a session's notebooks are lesson 1 cut short."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    (root / "pyproject.toml").touch()
    return root


def notebook(course: Path, language: str, name: str, fold: str, bet: str, last: str) -> str:
    """A reader's notebook: the start of the lesson, the two answers, and a cell of the reader's."""
    source = course / "notebooks" / language / "01_conv_1x1.ipynb"
    mine = nbformat.read(source, as_version=4)
    kept = []
    for cell in mine.cells:
        if cell.id in ("parameters", "setup", "bet", "ex3"):
            cell.source = {"bet": bet, "ex3": fold}.get(cell.id) or cell.source
            cell.outputs = []
            kept.append(cell)
    mine.cells = [*kept, new_code_cell(last)]
    path = course / f"{name}-{language}.ipynb"
    nbformat.write(mine, path)
    return path.name


def cell(page: Page, index: int) -> Locator:
    return page.locator(".jp-Notebook .jp-Cell").nth(index)


@pytest.mark.parametrize("language", WORDS)
def test_answers_saved_in_one_session_are_there_in_a_new_one(language: str, course: Path) -> None:
    button, title, correct, instead = WORDS[language]
    first = notebook(course, language, "first", FOLD, 'my_bet = "c"', "lesson.save()")
    look = "print('my bet:', my_bet)"
    second = notebook(course, language, "second", "", "", f"lesson.restore()\n{look}")
    with jupyterlab(course, course / "lab.log") as address, chromium() as browser:
        with notebook_page(browser, address, first) as page:
            run_all(page)
            expect(cell(page, 4).locator(".jp-OutputArea")).to_contain_text("work/answers")
        files = (course / "work" / "answers").glob("*.json")
        saved = max(files, key=lambda path: path.stat().st_mtime_ns)
        assert read_answers(saved).cells == {"bet": 'my_bet = "c"', "check_fold": FOLD}
        with notebook_page(browser, address, second) as page:
            run_all(page)
            last, exercise = cell(page, 4), cell(page, 3)
            with page.expect_file_chooser() as chooser:
                last.locator("button.jupyter-widgets").first.click()
            chooser.value.set_files(saved)
            expect(last).to_contain_text(title)
            expect(last).to_contain_text("weight2 @ weight1")
            expect(last).to_contain_text("my bet: Ellipsis")  # shown, and not defined yet
            last.get_by_text(button).click()
            expect(last).to_contain_text(correct)
            exercise.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
            expect(exercise).to_contain_text(instead)
            expect(exercise).to_contain_text(correct)
