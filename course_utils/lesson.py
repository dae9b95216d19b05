"""What every notebook starts with, and keeps: its language, its folder, the reader's answers."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import joblib
import torch
import torchvision

from course_utils import session
from course_utils.i18n import _, ngettext, say, set_language, wrapped
from course_utils.training import best_device, best_precision

__all__ = ["Lesson", "start"]


@dataclass(frozen=True)
class Lesson:
    """What a notebook knows of itself; printed, it is a line or two of versions.

    Attributes:
        number: 1 to 5.
        language: ``"fr"`` or ``"en"``.
        root: folder of the course; the working folder when the notebook stands alone.
        device: the fastest of this machine.
        seed: of every random choice that has no seed of its own.

    >>> print(start(3, "en"))  # doctest: +ELLIPSIS
    Lesson... · Python... · torch... · torchvision... · device... · seed...
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

    def __str__(self) -> str:
        cores = joblib.cpu_count()
        parts = [
            _("Lesson {number}").format(number=self.number),
            f"Python {platform.python_version()}",
            f"torch {torch.__version__}",
            f"torchvision {torchvision.__version__}",
            ngettext("{number} core", "{number} cores", cores).format(number=cores),
            _("device {device} ({precision})").format(
                device=self.device, precision=best_precision(self.device)
            ),
            _("seed {seed}").format(seed=self.seed),
        ]
        return wrapped(" · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts))

    @property
    def file(self) -> Path:
        """The lesson as the course has it; what it asks is read there.

        Raises:
            FileNotFoundError: the notebook stands alone.
        """
        folder = self.path("notebooks") / self.language
        for found in folder.glob(f"{self.number:02d}_*.ipynb"):
            return found
        raise FileNotFoundError(
            _(
                "The list of exercises is in the course's folder, and this notebook is outside "
                "it: there is no lesson in {folder}."
            ).format(folder=folder)
        )

    def solved(self) -> None:
        """Print which exercises are solved and which are open, by what their checkers said last."""
        try:
            session.solved(self.file)
        except FileNotFoundError as error:
            say(str(error))

    def save(self, store: str | os.PathLike[str] | None = None) -> None:
        """Save the answers of this session to a new file in ``work/answers/``; Colab downloads it.

        An answer is the text of its cell as it ran last.

        Args:
            store: the folder of records of runs that go along; none by default.

        Raises:
            OSError: it cannot be written, or the lesson is not there.
            ValueError: a file of the store is not a whole record.
        """
        records = None if store is None else self.path(store)
        session.save(self.file, self.path("work/answers"), records)

    def restore(
        self,
        file: str | os.PathLike[str] | None = None,
        *,
        store: str | os.PathLike[str] = "build/records",
        agreed: bool = False,
    ) -> None:
        """Show the answers of a file, and define them once the reader agrees.

        From then on each runs in the place of its cell, as long as that is blank.

        Args:
            file: as :meth:`save` or ``make lab`` wrote it; by default one that is asked for.
            store: the folder for its records; those that are there stay as they are.
            agreed: whether to define them at once, without a button.

        Raises:
            OSError: the file cannot be read, or the lesson is not there.
            ValueError: it is no file of answers, or has those of another lesson.
        """
        path = None if file is None else Path(file)
        session.restore(self.file, path, self.path(store), agreed=agreed)


def start(number: int, language: str, *, seed: int = 0) -> Lesson:
    """Choose the language and seed torch.

    torch takes no more threads than the process has cores, as where a container has a share of
    the machine's: torch itself counts all of them.

    Args:
        number: of the lesson.
        language: ``"fr"`` or ``"en"``: that of the messages, figures and feedback.
        seed: of torch's global generator.

    Raises:
        ValueError: the course has no such language.
    """
    set_language(language)
    torch.manual_seed(seed)
    torch.set_num_threads(min(torch.get_num_threads(), joblib.cpu_count()))
    return Lesson(number, language, _course_folder(), best_device(), seed)


def _course_folder() -> Path:
    """The nearest folder, upwards, that holds the lessons; the working folder if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here
