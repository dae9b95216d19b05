"""JupyterLab on the reader's copies of the lessons."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from course.copies import prepare_copies
from course.lessons import find_lessons
from course_utils.i18n import _, say

__all__ = ["lab_command", "open_lab"]

LOCALES = {"fr": "fr_FR", "en": "en"}


def open_lab(
    root: Path,
    language: str,
    numbers: Sequence[int] | None = None,
    *,
    afresh: bool = False,
    browser: bool = True,
) -> int:
    """Open JupyterLab on the reader's copies of an edition's lessons; answer its exit status.

    Copies that are not there are made, and those of older versions brought up to date; what became
    of them is printed.

    Args:
        root: the folder of the course.
        language: ``"fr"`` or ``"en"``.
        numbers: the lessons, of which the first is opened; every one by default.
        afresh: whether to set the copies of these lessons aside and begin them again.
        browser: whether to open a browser too.

    Raises:
        ValueError: there is no lesson in that language or with one of the numbers, or a copy is no
            longer a notebook.
        OSError: the copies cannot be written.
    """
    chosen = find_lessons(root, language, numbers)
    again = tuple(lesson.number for lesson in chosen) if afresh else ()
    opened = None
    for copy in prepare_copies(root, find_lessons(root, language), again):
        path, earlier = (each and each.relative_to(root) for each in (copy.path, copy.earlier))
        if copy.news == "updated" and earlier:
            say(
                _(
                    "{path} follows the newer lesson and keeps your answers; your earlier copy "
                    "is {earlier}."
                ).format(path=path, earlier=earlier)
            )
        elif copy.news == "afresh":
            say(
                _("{path} is new; your earlier copy is {earlier}.").format(
                    path=path, earlier=earlier
                )
            )
        if copy.path.name == chosen[0].path.name:
            opened = copy.path
    assert opened is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as settings:
        lab = subprocess.Popen(
            lab_command(root, opened, language, Path(settings), browser=browser), cwd=root
        )
        while True:
            try:
                return lab.wait()
            except KeyboardInterrupt:
                # JupyterLab has got it too, and asks before it stops.
                continue


def lab_command(
    root: Path, notebook: Path, language: str, settings: Path, *, browser: bool = True
) -> list[str]:
    """What starts JupyterLab at ``root`` on a notebook, its menus in the reader's language.

    Args:
        root: the folder of the course.
        notebook: what to open.
        language: ``"fr"`` or ``"en"``.
        settings: an empty folder, for what JupyterLab starts from where a reader's own settings
            say nothing.
        browser: whether to open a browser too.
    """
    defaults = {
        "@jupyterlab/translation-extension:plugin": {"locale": LOCALES[language]},
        # Nothing is asked of the network, nor of the reader whether it may be.
        "@jupyterlab/apputils-extension:notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
        },
    }
    (settings / "overrides.json").write_text(json.dumps(defaults), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={root}",
        f"--LabApp.app_settings_dir={settings}",
        f"--LabApp.default_url=/lab/tree/{notebook.relative_to(root).as_posix()}",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # In a container the reader is root, and JupyterLab would refuse to start.
        command.append("--allow-root")
    return command
