"""JupyterLab on the lessons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from course.lessons import find_lessons

__all__ = ["open_lab"]


def open_lab(root: Path, language: str, *, browser: bool = True) -> int:
    """Open JupyterLab at the root of the course, on the first lesson; answer its exit status.

    Args:
        root: the folder of the course.
        language: ``"fr"`` or ``"en"``.
        browser: whether to open a browser too.

    Raises:
        ValueError: there is no lesson in that language.
    """
    first = find_lessons(root, language)[0]
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{first.path.relative_to(root).as_posix()}",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # In a container the reader is root, and JupyterLab would refuse to start.
        command.append("--allow-root")
    lab = subprocess.Popen(command, cwd=root)
    while True:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            # JupyterLab has got it too, and asks before it stops.
            continue
