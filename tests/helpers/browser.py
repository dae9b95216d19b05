"""A Chromium that runs, for the tests that need one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from course.chromium import find_chromium

needs_chromium = pytest.mark.skipif(
    find_chromium() is None,
    reason="there is no Chromium or Chrome: install one, or name it in CHROMIUM",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium, closed at the end."""
    # Its sandbox refuses the root of a container.
    root = sys.platform == "linux" and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"] if root else []
        )
        try:
            yield browser
        finally:
            browser.close()
