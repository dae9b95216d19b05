"""Opens lessons as Colab does: its versions, no course installed, and only the first cell to help.

The repository as it is committed stands in for the one on GitHub: git finds it at that address. An
environment with Colab's versions is made under build/, or given; the course's own Python starts
and watches the notebooks and the environment's runs them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from ipykernel.kernelspec import RESOURCES
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from course.notebooks.opening import opening_cell
from course.running import ThisPython, inject_profile

ROOT = Path(__file__).resolve().parents[1]
NAME = "example/course"  # nobody's: git is told to find it here
PYTHONS = ("python3.13", "python3.12")
CELL_TIMEOUT = 1200  # seconds
UNCHANGED = ("torch", "torchvision", "numpy", "ipython", "ipykernel", "ipywidgets")

# Beside the lessons, what they all rest on.
FIRST_STEPS = """\
from ipywidgets import FloatSlider, interact

from course_utils import plots
from course_utils.lesson import start
from course_utils.degradation import grid, sweep

lesson = start(3, "fr")
interact(lambda x: None, x=FloatSlider(0.5))
records = sweep(grid(dataset="digits", depths=[8], seeds=[0, 1], epochs=1), lesson.path("build/a"))
plots.learning_curves(records)"""
# Where the course was found, and that its versions are Colab's.
LAST = """\
from pathlib import Path

import course_utils

assert Path(course_utils.__file__).parents[1] == Path.cwd(), course_utils.__file__
assert Path.cwd().name == "course" """


def kernel_of(python: Path) -> type[ThisPython]:
    """What starts the environment's Python in the place of this one, and talks to it as to this."""
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]

    class Kernel(ThisPython):
        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(resource_dir=RESOURCES, argv=argv, display_name="", language="python")

    return Kernel


def main() -> int:
    """Run what the arguments ask for; 1 when a lesson stopped or a version changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--python", type=Path, help="the Python of an environment made before")
    parser.add_argument("--language", choices=["fr", "en", "all"], default="fr")
    parser.add_argument("--lesson", type=int, nargs="+", metavar="N", help="all when none is given")
    parser.add_argument("--first-steps", action="store_true", help="no lesson: their first steps")
    options = parser.parse_args()

    python = (options.python or environment()).absolute()
    with tempfile.TemporaryDirectory() as folder:
        repository = stamped_copy(Path(folder))
        notebooks = [("first steps", new_notebook(cells=[new_code_cell(FIRST_STEPS)]))]
        if not options.first_steps:
            languages = ["fr", "en"] if options.language == "all" else [options.language]
            for language in languages:
                copies = inject_profile(repository, language, "quick", Path(folder) / language)
                notebooks += [
                    (f"{copy.stem} ({language})", nbformat.read(copy, as_version=4))
                    for copy in copies
                    if not options.lesson or int(copy.name[:2]) in options.lesson
                ]
        before = versions(python)
        stopped = [name for name, notebook in notebooks if not runs(name, notebook, python, folder)]
        after = versions(python)
    added = sorted(set(after) - set(before))
    changed = sorted(name for name in before if after.get(name) != before[name])
    print("installed by the first cell:", ", ".join(added) or "nothing")
    print("kept:", ", ".join(f"{name} {after[name]}" for name in UNCHANGED))
    print("changed:", ", ".join(changed) or "nothing")
    print("stopped:", ", ".join(stopped) or "nothing")
    return 1 if changed or stopped else 0


def environment() -> Path:
    """The Python of an environment with Colab's versions, made under build/ at the first call."""
    folder = ROOT / "build" / "colab"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        base = next(filter(answers, PYTHONS), None)
        if base is None:
            sys.exit(f"Colab's versions need {' or '.join(PYTHONS)}, and neither is here.")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", folder], check=True)
        wanted = ["-r", str(ROOT / ".ci" / "colab.txt")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (folder / "complete").touch()
    return python


def answers(python: str) -> bool:
    """Whether there is such a Python; a version manager may have the name and not the program."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def stamped_copy(folder: Path) -> Path:
    """The repository as committed, with the address written in, as a fork has it."""
    copy = folder / "repository"
    git("clone", "--quiet", ROOT.as_uri(), str(copy), folder=folder)
    subprocess.run(
        [sys.executable, "-m", "course", "badges", "--repo", NAME],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    who = ("-c", "user.name=stamp", "-c", "user.email=stamp@example.org")
    git(*who, "commit", "--quiet", "--all", "--message", "Stamp", folder=copy)
    return copy


def git(*words: str, folder: Path) -> None:
    """Run git in a folder."""
    subprocess.run(["git", *words], cwd=folder, check=True)


def versions(python: Path) -> dict[str, str]:
    """Every package of the environment, with its version."""
    code = (
        "import json; from importlib.metadata import distributions;"
        "print(json.dumps({d.name.lower().replace('_', '-'): d.version for d in distributions()}))"
    )
    answer = subprocess.run([python, "-c", code], capture_output=True, check=True, text=True)
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def runs(name: str, notebook: NotebookNode, python: Path, folder: str) -> bool:
    """Whether a notebook runs to its end in an empty folder, opened by the first cell alone."""
    content = Path(tempfile.mkdtemp(dir=folder))
    # A lesson brings the cell itself; before it does, and for the first steps, it is put in front.
    if not any(cell.id == opening_cell(NAME).id for cell in notebook.cells):
        notebook.cells.insert(0, opening_cell(NAME))
    notebook.cells.append(new_code_cell(LAST))
    client = NotebookClient(
        notebook,
        kernel_manager_class=kernel_of(python),
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(content)}},
    )
    address = f"https://github.com/{NAME}"
    settings = {
        "COLAB_RELEASE_TAG": "release",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(Path(folder) / 'repository').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        client.execute(env=inherited | settings)
    except Exception as error:  # whatever stops one lesson, the next is tried all the same
        print(f"{name}: stopped\n{error}", flush=True)
        return False
    print(f"{name}: ran to its end", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
