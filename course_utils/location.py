"""Where the course lies on the disk."""

from __future__ import annotations

from pathlib import Path

from course_utils.i18n import _

__all__ = ["find_root"]


def find_root(start: Path | None = None) -> Path:
    """The folder of the course: the nearest one, upwards, that holds its notebooks.

    Args:
        start: where to look first; the current folder by default, then the folder that this
            package was installed from.

    Raises:
        ValueError: neither lies in a copy of the course.
    """
    beginning = (start or Path.cwd()).resolve()
    package = Path(__file__).resolve().parent
    for folder in (beginning, *beginning.parents, package.parent):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise ValueError(
        _(
            "{folder} does not lie in a copy of the course: change to the folder that holds "
            "notebooks/ and pyproject.toml."
        ).format(folder=beginning)
    )
