"""JupyterLab as ``lab`` opens it: on the reader's copy, its menus in the reader's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import chromium, needs_chromium
from lab import jupyterlab, notebook_page
from playwright.sync_api import expect

from course.lab import lab_command

pytestmark = [needs_chromium, pytest.mark.slow]

LESSON = Path(__file__).parents[2] / "notebooks" / "fr" / "01_conv_1x1.ipynb"


@pytest.mark.parametrize(("language", "menu"), [("fr", "Fichier"), ("en", "File")])
def test_the_menus_are_in_the_language_of_the_edition(
    language: str, menu: str, tmp_path: Path
) -> None:
    settings, notebook = tmp_path / "settings", tmp_path / "work" / LESSON.name
    settings.mkdir()
    notebook.parent.mkdir()
    notebook.write_bytes(LESSON.read_bytes())
    command = lab_command(tmp_path, notebook, language, settings, browser=False)
    with (
        jupyterlab(tmp_path, tmp_path / "log", command) as address,
        chromium() as browser,
        notebook_page(browser, address, f"work/{LESSON.name}") as page,
    ):
        expect(page.locator(".lm-MenuBar-item").first).to_have_text(menu)
