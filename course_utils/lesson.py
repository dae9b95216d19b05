"""The start of every notebook: language, seed, versions, and where the course lies."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import joblib
import torch
import torchvision

from course_utils.i18n import _, set_language
from course_utils.training import best_device, best_precision

__all__ = ["Lesson", "start"]


@dataclass(frozen=True)
class Lesson:
    """What a notebook knows of itself.

    Attributes:
        number: 1 to 5.
        language: ``"fr"`` or ``"en"``.
        root: folder of the course; the working folder when the notebook stands alone.
        device: the fastest of this machine.
        seed: of every random choice that has no seed of its own.
    """

    number: int
    language: str
    root: Path
    device: str
    seed: int

    def path(self, relative: str | os.PathLike[str]) -> Path:
        """A path of the course, wherever the notebook was started from.

        An absolute path stays as it is.
        """
        return self.root / relative


def start(number: int, language: str, *, seed: int = 0) -> Lesson:
    """Choose the language, seed torch, print one line of versions.

    torch takes no more threads than the process has cores, as where a container has a share of
    the machine's: torch itself counts all of them.

    Args:
        number: of the lesson.
        language: ``"fr"`` or ``"en"``: that of the messages, figures and feedback.
        seed: of torch's global generator.

    Raises:
        ValueError: the course has no such language.

    >>> lesson = start(3, "en")  # doctest: +ELLIPSIS
    Lesson 3 · Python ... · torch ... · torchvision ... · ... core(s) · device ... · seed 0
    """
    set_language(language)
    torch.manual_seed(seed)
    cores = joblib.cpu_count()
    torch.set_num_threads(min(torch.get_num_threads(), cores))
    root = _course_folder()
    device = best_device()
    parts = [
        _("Lesson {number}").format(number=number),
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
        f"torchvision {torchvision.__version__}",
        _("{number} core(s)").format(number=cores),
        _("device {device} ({precision})").format(device=device, precision=best_precision(device)),
        _("seed {seed}").format(seed=seed),
    ]
    print(" · ".join(parts))
    return Lesson(number, language, root, device, seed)


def _course_folder() -> Path:
    """The nearest folder, upwards, that holds the lessons; the working folder if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here
