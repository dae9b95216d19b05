"""The course as it lies on the disk: its root, its lessons, running them, opening them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
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

from course_utils.i18n import LANGUAGES, _
from course_utils.location import find_root
from course_utils.pages import card_of, mark_stopped, page, write_index
from course_utils.profiles import load_profile, profile_path

__all__ = [
    "Lesson",
    "Outcome",
    "build_index",
    "find_lessons",
    "find_root",
    "inject_profile",
    "lesson_parameters",
    "open_lab",
    "run_lessons",
]


@dataclass(frozen=True)
class Lesson:
    """One lesson in one language."""

    number: int
    stem: str
    language: str
    path: Path


@dataclass(frozen=True)
class Outcome:
    """How the run of a lesson ended: the page it left and, if it failed, the sentence saying so."""

    lesson: Lesson
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


def find_lessons(root: Path, language: str, numbers: Sequence[int] | None = None) -> list[Lesson]:
    """The lessons of one edition, in order: the files ``notebooks/<language>/NN_name.ipynb``.

    Args:
        root: the folder of the course.
        language: ``"fr"``, ``"en"`` or ``"all"``, for the French edition and then the English.
        numbers: keep only the lessons with these numbers; all by default.

    Raises:
        ValueError: there is no such language, no lesson in it, or none with one of the numbers.
    """
    if language == "all":
        return [lesson for each in LANGUAGES for lesson in find_lessons(root, each, numbers)]
    if language not in LANGUAGES:
        raise ValueError(
            _("The course has no language {language!r}: choose one of {languages}.").format(
                language=language, languages=", ".join([*LANGUAGES, "all"])
            )
        )
    folder = root / "notebooks" / language
    lessons = [
        Lesson(int(match[1]), path.stem, language, path)
        for path in sorted(folder.glob("*.ipynb"))
        if (match := re.match(r"(\d+)_", path.name))
    ]
    if not lessons:
        raise ValueError(
            _("There is no lesson in {folder}: a lesson is a file such as 03_name.ipynb.").format(
                folder=folder
            )
        )
    there = [lesson.number for lesson in lessons]
    for number in numbers or ():
        if number not in there:
            raise ValueError(
                _("There is no lesson {number} in {folder}; the lessons are: {there}.").format(
                    number=number, folder=folder, there=", ".join(map(str, there))
                )
            )
    return [lesson for lesson in lessons if not numbers or lesson.number in numbers]


def lesson_parameters(
    root: Path, lessons: Sequence[Lesson], profile: str | None
) -> dict[Lesson, dict[str, Any]]:
    """The parameters that a profile gives each of these lessons; none without a profile.

    The whole profile is checked, against every lesson of the same editions, before anything runs.

    Args:
        root: the folder of the course, with ``profiles/``.
        lessons: those that will run.
        profile: the profile's name, or None for the notebooks' own defaults.

    Raises:
        ValueError: no such profile, or one that does not match the notebooks.
    """
    if profile is None:
        return {lesson: {} for lesson in lessons}
    path = profile_path(root / "profiles", profile)
    tables = {
        language: load_profile(
            path, {lesson.stem: lesson.path for lesson in find_lessons(root, language)}
        )
        for language in {lesson.language for lesson in lessons}
    }
    return {lesson: tables[lesson.language].get(lesson.stem, {}) for lesson in lessons}


def run_lessons(
    root: Path, parameters: Mapping[Lesson, Mapping[str, Any]], *, progress: bool = True
) -> Iterator[Outcome]:
    """Run lessons one after the other, and leave each one's notebook and page under ``build/``.

    A lesson runs in its notebook's folder, with this Python. One that fails leaves its notebook as
    far as it came, and the next ones run all the same.

    Args:
        root: the folder of the course.
        parameters: the lessons to run, in order, each with the values to give to the names of its
            ``parameters`` cell, as from :func:`lesson_parameters`.
        progress: whether to show papermill's progress bar.

    Yields:
        How each lesson ended, as it ends.

    Raises:
        OSError: ``build/`` cannot be written.
    """
    for lesson, values in parameters.items():
        folder = root / "build" / lesson.language
        folder.mkdir(parents=True, exist_ok=True)
        executed = folder / f"{lesson.stem}.ipynb"
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


def _execute(
    lesson: Lesson, executed: Path, values: Mapping[str, Any], progress: bool
) -> str | None:
    """Run a lesson with papermill; the sentence that says how it failed, or None."""
    try:
        papermill.execute_notebook(
            lesson.path,
            executed,
            parameters=dict(values),
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
            "Lesson {lesson} ({language}) stopped because its Python ended, most often for want "
            "of memory: close other programs or choose a smaller profile."
        ).format(lesson=lesson.stem, language=lesson.language)
    return None
