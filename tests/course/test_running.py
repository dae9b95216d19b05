"""Finding the lessons, running them, and the pages that a run leaves."""

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.copies import FOLDER as COPIES
from course.lab import open_lab
from course.lessons import find_lessons, lesson_parameters
from course.running import Outcome, ThisPython, build_index, inject_profile, run_lessons

TITLE = "# 3. Degradation\n\nA net that is *deeper* may do worse."
PARAMETERS = new_code_cell("epochs = 20", metadata={"tags": ["parameters"]})
# One white pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course without lessons, with one profile."""
    for language in ("fr", "en"):
        (tmp_path / "notebooks" / language).mkdir(parents=True)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "quick.toml").write_text("[03_a]\nepochs = 2\n", encoding="utf-8")
    return tmp_path


def write_lesson(root: Path, name: str, *sources: str, language: str = "fr") -> None:
    cells = [new_markdown_cell(TITLE), PARAMETERS, *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), root / "notebooks" / language / f"{name}.ipynb")


def run(root: Path, profile: str | None = None) -> list[Outcome]:
    lessons = find_lessons(root, "fr")
    parameters = lesson_parameters(root, lessons, profile)
    return list(run_lessons(root, parameters, progress=False))


def printed(path: Path) -> list[str]:
    """The text that each code cell of an executed notebook printed."""
    notebook = nbformat.read(path, as_version=4)
    return [
        "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_lessons_come_in_order_and_other_files_are_none(root: Path) -> None:
    for name in ("10_c", "02_b", "draft"):
        write_lesson(root, name)
    assert [lesson.stem for lesson in find_lessons(root, "fr")] == ["02_b", "10_c"]


def test_all_editions_are_the_french_one_and_then_the_english(root: Path) -> None:
    write_lesson(root, "03_a")
    write_lesson(root, "03_a", language="en")
    lessons = find_lessons(root, "all", [3])
    assert [lesson.language for lesson in lessons] == ["fr", "en"]


@pytest.mark.parametrize(
    ("language", "numbers", "sentence"),
    [
        ("de", None, "no language 'de': choose one of fr, en, all"),
        ("en", None, "There is no lesson in"),
        ("fr", [3, 4], r"There is no lesson 4 in .*; the lessons are 3\."),
    ],
)
def test_a_lesson_that_is_not_there_is_named_in_a_sentence(
    root: Path, language: str, numbers: list[int] | None, sentence: str
) -> None:
    write_lesson(root, "03_a")
    with pytest.raises(ValueError, match=sentence):
        find_lessons(root, language, numbers)


def test_a_profile_is_checked_whole_even_for_a_lesson_it_does_not_name(root: Path) -> None:
    write_lesson(root, "02_b")
    with pytest.raises(ValueError, match="names the lesson '03_a', which does not exist"):
        lesson_parameters(root, find_lessons(root, "fr"), "quick")


@pytest.mark.slow
def test_a_lesson_runs_in_its_folder_with_this_python_and_the_profiles_values(root: Path) -> None:
    write_lesson(
        root, "03_a", "import os, sys; print(os.getcwd(), sys.executable)", "print(epochs)"
    )
    (outcome,) = run(root, "quick")
    assert outcome.error is None
    where, epochs = printed(root / "build" / "fr" / "03_a.ipynb")[-2:]
    assert where.split() == [str((root / "notebooks" / "fr").resolve()), sys.executable]
    assert epochs == "2\n"


@pytest.mark.slow
def test_a_failing_lesson_is_a_sentence_and_the_next_one_still_runs(root: Path) -> None:
    write_lesson(root, "02_bad", "print('so far')", "raise KeyError('no\\nmap')", "print('never')")
    write_lesson(root, "03_good", "print(epochs)")
    bad, good = run(root)
    assert bad.error is not None
    assert " ".join(bad.error.split("\N{NO-BREAK SPACE}")) == (
        "La leçon 02_bad (fr) s'est arrêtée à la cellule [3] : KeyError : 'no\\nmap'"
    )
    assert good.error is None
    assert printed(root / "build" / "fr" / "02_bad.ipynb")[1:] == ["so far\n", "", ""]
    # Without a profile the notebook's own values hold.
    assert printed(root / "build" / "fr" / "03_good.ipynb")[-1] == "20\n"
    index = build_index(root).read_text(encoding="utf-8")
    assert "est arrêtée à la cellule [3]" in index
    assert "03_good (fr)" not in index


@pytest.mark.slow
def test_a_lesson_whose_python_dies_is_a_sentence(root: Path) -> None:
    write_lesson(root, "02_dead", "import os; os._exit(1)")
    (outcome,) = run(root)
    assert outcome.error is not None
    assert "son Python s'est terminé" in outcome.error  # the edition is French
    assert outcome.page.exists()


@pytest.mark.slow
def test_the_index_has_a_line_and_a_picture_for_each_lesson_that_was_run(root: Path) -> None:
    show = f"display({json.dumps({'image/png': PNG})}, raw=True, metadata="
    write_lesson(root, "03_a", show + "{'image/png': {'alt': 'White, and \"small\"'}})")
    write_lesson(root, "04_b")
    lessons = find_lessons(root, "fr", [3])
    list(run_lessons(root, {lesson: {} for lesson in lessons}, progress=False))
    index = build_index(root)
    text = index.read_text(encoding="utf-8")
    assert "A net that is <em>deeper</em> may do worse." in text
    assert 'alt="White, and &#34;small&#34;"' in text
    assert "04_b" not in text
    links = re.findall(r'(?:href|src)="([^"]+)"', text)
    assert {"fr/03_a.html", "fr/03_a.ipynb", "fr/03_a.png"} == set(links)
    assert all((index.parent / link).is_file() for link in links)
    old = root / "notebooks" / "fr" / "03_a.ipynb"
    old.rename(old.with_name("03_renamed.ipynb"))
    assert "03_a" not in build_index(root).read_text(encoding="utf-8")


def test_copies_carry_the_profile_and_nothing_that_was_stored(root: Path) -> None:
    write_lesson(root, "03_a", "print(epochs)", language="en")
    path = root / "notebooks" / "en" / "03_a.ipynb"
    stored = nbformat.read(path, as_version=4)
    stored.cells[-1].execution_count = 2
    stored.cells[-1].outputs = [nbformat.v4.new_output("stream", text="20\n")]
    nbformat.write(stored, path)
    folder = root / "build" / "test-en"
    folder.mkdir(parents=True)
    (folder / "99_old.ipynb").touch()
    (copy,) = inject_profile(root, "en", "quick", folder)
    assert list(folder.iterdir()) == [copy]
    cells = [cell for cell in nbformat.read(copy, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.source.splitlines()[-1] for cell in cells] == [
        "epochs = 20",
        "epochs = 2",
        "print(epochs)",
    ]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


class Laboratory:
    """Stands for a started JupyterLab; the reader interrupts it once."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.command, self.cwd = command, cwd
        self.waits = 0
        started.append(self)

    def wait(self) -> int:
        self.waits += 1
        if self.waits == 1:
            raise KeyboardInterrupt
        return 3


started: list[Laboratory] = []


def test_the_lab_opens_on_the_first_lesson_and_outlives_an_interruption(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lesson(root, "03_a", language="en")
    write_lesson(root, "04_b", language="en")
    started.clear()
    monkeypatch.setattr(subprocess, "Popen", Laboratory)
    assert open_lab(root, "en", browser=False) == 3
    (lab,) = started
    assert lab.cwd == root
    assert f"--ServerApp.root_dir={root}" in lab.command
    assert f"--LabApp.default_url=/lab/tree/{COPIES}/en/03_a.ipynb" in lab.command
    assert "--no-browser" in lab.command


def test_an_answer_that_arrives_while_the_client_sends_is_not_slept_through() -> None:
    async def ask() -> str:
        context = zmq.asyncio.Context()
        kernel: zmq.Socket[bytes] = zmq.Context.shadow(context.underlying).socket(zmq.ROUTER)
        client = context.socket(zmq.DEALER)
        client.connect(f"tcp://127.0.0.1:{kernel.bind_to_random_port('tcp://127.0.0.1')}")
        session = Session()
        channel = ThisPython().client_factory().shell_channel_class(client, session)
        try:
            channel.send(session.msg("execute_request"))
            sender, *_request = kernel.recv_multipart()
            answer = asyncio.ensure_future(channel.get_msg(timeout=None))
            await asyncio.sleep(0.05)
            session.send(kernel, "execute_reply", ident=[sender])
            time.sleep(0.2)  # the answer is here, and asyncio has not had the time to see it
            channel.send(session.msg("comm_msg"))
            return str((await asyncio.wait_for(answer, 5))["msg_type"])
        finally:
            client.close(0)
            kernel.close(0)

    assert asyncio.run(ask()) == "execute_reply"
