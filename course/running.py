"""Run lessons, and leave the notebook and the page of each, and an index, under build/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import zmq
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets import Type, default

from course.lessons import LessonFile, find_lessons, lesson_parameters
from course.pages import card_of, mark_stopped, page, write_index
from course.profiles import literal
from course_utils.i18n import LANGUAGES, _, speaking

__all__ = ["Outcome", "ThisPython", "build_index", "inject_profile", "run_lessons"]


@dataclass(frozen=True)
class Outcome:
    """How the run of a lesson ended: the page it left and, if it failed, the sentence saying so."""

    lesson: LessonFile
    page: Path
    error: str | None


class _WakingChannel(AsyncZMQSocketChannel):
    """A channel on which sending never puts a waiting reader to sleep.

    The kernel's answer to a slider arrives while the client, in the middle of a cell, tells the
    kernel what the slider's output shows. jupyter_client sends that past asyncio, and the send may
    take the operating system's one sign that a message is there: whoever waits for it then waits
    for ever. Asking the socket for its events makes pyzmq look again.
    """

    def send(self, msg: dict[str, Any]) -> None:
        super().send(msg)
        if self.socket is not None:
            self.socket.get(zmq.EVENTS)


class _Client(AsyncKernelClient):
    """What papermill talks to a kernel with."""

    shell_channel_class = Type(_WakingChannel)


class ThisPython(AsyncKernelManager):
    """Starts the Python that runs the course, whatever kernels the reader has installed."""

    @default("client_factory")
    def _wake_up(self) -> type[AsyncKernelClient]:
        return _Client

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    @default("transport_encryption")
    def _encrypt_where_supported(self) -> str:
        # Otherwise the kernel warns the reader that other users of the machine can listen.
        return "auto"


def run_lessons(
    root: Path, parameters: Mapping[LessonFile, Mapping[str, Any]], *, progress: bool = True
) -> Iterator[Outcome]:
    """Run lessons one after the other, and leave each one's notebook and page under ``build/``.

    A lesson runs in its notebook's folder, with this Python. One that fails leaves its notebook as
    far as it came, and the next ones run all the same.

    Args:
        root: the folder of the course.
        parameters: the lessons to run, in order, each with the values to give to the names of its
            ``parameters`` cell, as from :func:`lesson_parameters`, or others that a notebook can
            hold.
        progress: whether to show papermill's progress bar.

    Yields:
        How each lesson ended, as it ends.

    Raises:
        ValueError: a value that a notebook cannot hold; no lesson has run.
        OSError: ``build/`` cannot be written.
    """
    plain = {
        lesson: {name: literal(f"{lesson.stem}: {name}", value) for name, value in values.items()}
        for lesson, values in parameters.items()
    }
    for lesson, values in plain.items():
        folder = root / "build" / lesson.language
        folder.mkdir(parents=True, exist_ok=True)
        executed = folder / f"{lesson.stem}.ipynb"
        with speaking(lesson.language):  # as what the lesson itself says is
            error = _execute(lesson, executed, values, progress)
        notebook = nbformat.read(executed, as_version=4)
        if error is not None:
            mark_stopped(notebook, error)
            nbformat.write(notebook, executed)
        html = executed.with_suffix(".html")
        html.write_text(page(notebook, lesson.language), encoding="utf-8")
        yield Outcome(lesson, html, error)


def inject_profile(root: Path, language: str, profile: str, folder: Path) -> list[Path]:
    """Copies of an edition's lessons with a profile's parameters written in, not executed.

    Args:
        root: the folder of the course.
        language: ``"fr"`` or ``"en"``.
        profile: the profile's name.
        folder: where to write the copies; earlier copies there are replaced.

    Raises:
        ValueError: no lesson in that language, no such profile, or one that does not match.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.ipynb"):
        earlier.unlink()
    copies = []
    for lesson, values in lesson_parameters(root, find_lessons(root, language), profile).items():
        copy = folder / lesson.path.name
        notebook = papermill.execute_notebook(
            lesson.path,
            copy,
            parameters=values,
            prepare_only=True,
            kernel_name="python3",
            language="python",
        )
        # What was stored belongs to the other parameters.
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, copy)
        copies.append(copy)
    return copies


def build_index(root: Path) -> Path:
    """Write ``build/index.html``, the way to every lesson that has been run, and answer its path.

    Args:
        root: the folder of the course; ``build/`` holds what :func:`run_lessons` left.

    Raises:
        OSError: the file cannot be written.
    """
    build = root / "build"
    sections = []
    for language in LANGUAGES:
        cards = [
            card_of(nbformat.read(executed, as_version=4), build, language, executed.stem)
            for executed in sorted((build / language).glob("*.ipynb"))
            # A lesson renamed since its run leaves files that lead nowhere.
            if (root / "notebooks" / language / executed.name).exists()
            and executed.with_suffix(".html").exists()
        ]
        if cards:
            sections.append((language, cards))
    index = build / "index.html"
    write_index(index, sections)
    return index


def _execute(
    lesson: LessonFile, executed: Path, values: dict[str, Any], progress: bool
) -> str | None:
    """Run a lesson with papermill; the sentence that says how it failed, or None."""
    try:
        papermill.execute_notebook(
            lesson.path,
            executed,
            parameters=values,
            cwd=lesson.path.parent,
            kernel_name="python3",
            language="python",
            progress_bar={"desc": f"{lesson.stem} ({lesson.language})"} if progress else False,
            kernel_manager_class=ThisPython,
            # A lesson that the reader interrupts ends at once, with no last words of its Python.
            shutdown_kernel="immediate",
        )
    except PapermillExecutionError as error:
        return _("Lesson {lesson} ({language}) stopped in cell [{cell}]: {kind}: {message}").format(
            lesson=lesson.stem,
            language=lesson.language,
            cell=error.exec_count,
            kind=error.ename,
            message=" ".join(error.evalue.split()),
        )
    except DeadKernelError:
        return _(
            "Lesson {lesson} ({language}) stopped because its Python process ended, most often "
            "for lack of memory: close other programs, or choose a smaller profile."
        ).format(lesson=lesson.stem, language=lesson.language)
    return None
