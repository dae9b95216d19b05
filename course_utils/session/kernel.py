"""What the kernel of a notebook knows and does: cells that ran, answers defined, files in and out.

All of it works alike in JupyterLab, in VS Code, on Kaggle and on Colab, but for files on the latter
two, whose disk is not the reader's.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.display import HTML, display
from ipywidgets import Button, FileUpload, Output

from course_utils.answers import CHECK
from course_utils.i18n import _, say
from course_utils.session.questions import Question

__all__ = ["ask", "cells_that_ran", "define", "hand_over", "upload"]

KAGGLE = "KAGGLE_KERNEL_RUN_TYPE"  # in the environment, there


def cells_that_ran() -> list[str]:
    """The texts of the cells that ran in this session, the oldest first; none without a kernel."""
    shell = get_ipython()
    return [] if shell is None else list(shell.history_manager.input_hist_raw)


def define(questions: Sequence[Question], answers: Mapping[str, str]) -> None:
    """Run answers, and have each stand in wherever its cell is still blank.

    Raises:
        RuntimeError: no kernel runs.
    """
    shell = get_ipython()
    if shell is None:
        raise RuntimeError(_("Answers can be defined only in a notebook or in IPython."))
    transformers = shell.input_transformers_cleanup
    stand_ins = next((one for one in transformers if isinstance(one, _StandIns)), None)
    if stand_ins is None:
        transformers.append(stand_ins := _StandIns())
    for question in questions:
        if (text := answers.get(question.name)) is not None:
            stand_ins[question.stub.strip()] = text
            print(f"\n{question.title}")
            shell.run_cell(text, store_history=True)


class _StandIns(dict[str, str]):
    """Texts by the blank cells that they run in the place of; one of IPython's transformers."""

    def __call__(self, lines: list[str]) -> list[str]:
        text = self.get("".join(lines).strip())
        if text is None:
            return lines
        checked = CHECK.search(text)
        place = checked.start() if checked else len(text)
        said = _("This cell is blank, so the answer that you restored runs in its place.")
        return f"{text[:place].rstrip()}\nprint({said!r})\n{text[place:]}\n".splitlines(True)


def ask(agreed: Callable[[], None]) -> None:
    """A button by which the reader agrees; what ``agreed`` prints and shows is below it."""
    button = Button(description=_("Define these answers"), layout={"width": "auto"})
    below = Output()

    def click(_button: Button) -> None:
        button.disabled = True
        with below:
            agreed()

    button.on_click(click)
    display(button, below)


def upload(take: Callable[[bytes, str], None]) -> None:
    """Ask the reader for files, and give ``take`` the content and the name of each.

    What ``take`` refuses with a ``ValueError`` is printed.
    """
    below = Output()

    def give(content: bytes, name: str) -> None:
        try:
            take(content, name)
        except ValueError as error:
            say(str(error))

    def chosen(change: Mapping[str, Any]) -> None:
        with below:
            for name, content in _uploaded(change["new"]):
                give(content, name)

    if colab := _colab():
        for name, content in colab.upload().items():
            give(content, name)
    else:
        chooser = FileUpload(
            accept=".json", description=_("The file of answers"), layout={"width": "auto"}
        )
        chooser.observe(chosen, "value")
        display(chooser, below)


def hand_over(path: Path) -> None:
    """Bring a file to the reader's own machine where the kernel runs on somebody else's."""
    if colab := _colab():
        colab.download(str(path))
    elif KAGGLE in os.environ:
        data = b64encode(path.read_bytes()).decode()
        link = f'<a download="{path.name}" href="data:application/json;base64,{data}">'
        display(HTML(f"{link}{path.name}</a>"))


def _colab() -> Any:
    """Colab's own module for files, on Colab."""
    if KAGGLE in os.environ:  # where Colab's packages may be installed, and do not work
        return None
    try:
        return import_module("google.colab.files")
    except ImportError:
        return None


def _uploaded(value: Any) -> list[tuple[str, bytes]]:
    """What a FileUpload holds: a tuple, or up to ipywidgets 7 a dictionary by name."""
    if isinstance(value, dict):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]
