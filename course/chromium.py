"""Chromium, for the tests in a browser: found on the machine, or fetched by Playwright."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path

__all__ = ["find_chromium"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
)


def find_chromium() -> str | None:
    """The Chromium or Chrome to drive; None where there is none.

    The variable ``CHROMIUM`` goes first, then the one that this Playwright was made for, if it was
    fetched, then the machine's own.
    """
    candidates = [
        os.environ.get("CHROMIUM"),
        _playwrights_own(),
        *map(shutil.which, NAMES),
        *PLACES,
    ]
    return next((path for path in candidates if path and Path(path).is_file()), None)


@lru_cache
def _playwrights_own() -> str:
    """Where ``playwright install chromium`` puts it, whether it is there or not."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path
