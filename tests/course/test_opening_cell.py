"""On another's machine the first cell fetches the course; at home it does nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.files import REPOSITORY
from course.notebooks.opening import opening_source

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")


def run_cell(
    name: str, folder: Path, *, after: str = "", language: str = "en", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the first cell in ``folder``, by a Python to which the course is not installed."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE")
    }
    hidden = (
        "import sys, pathlib\n"
        "sys.path = [p for p in sys.path if not pathlib.Path(p, 'course_utils').is_dir()]\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in str(f).lower()]\n"
    )
    return subprocess.run(
        [sys.executable, "-c", f"{hidden}{opening_source(name, language)}\n{after}"],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def test_at_home_the_cell_does_nothing_and_says_nothing(tmp_path: Path) -> None:
    answer = run_cell("", tmp_path, after="assert 'course_utils' not in sys.modules")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"])
def test_without_an_address_the_cell_says_what_to_do(tmp_path: Path, host: str) -> None:
    for language, said in (
        ("en", "open it from a copy where `make badges` was run."),
        ("fr", "ouvrez-le depuis un dépôt où `make badges` a été lancé."),
    ):
        answer = run_cell("", tmp_path, language=language, **{host: "x"})
        assert answer.returncode == 1
        assert said in answer.stderr
        assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def served(tmp_path: Path) -> dict[str, str]:
    """A small repository, and the settings under which git finds it at GitHub's address."""
    origin = tmp_path / "origin"
    shutil.copytree(
        REPOSITORY / "course_utils",
        origin / "course_utils",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (origin / "notebooks").mkdir()
    (origin / "notebooks" / "a.txt").write_text("x", encoding="utf-8")
    (origin / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy"]\n', encoding="utf-8"
    )
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=origin, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{origin.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/ada/course",
        "COLAB_RELEASE_TAG": "release",
    }


@needs_git
def test_on_colab_the_cell_fetches_the_course_once_and_goes_into_its_folder(
    tmp_path: Path, served: dict[str, str]
) -> None:
    content = tmp_path / "content"
    content.mkdir()
    after = (
        "import course_utils.i18n, pathlib\n"
        "root = pathlib.Path(course_utils.__file__).parents[1]\n"
        "print(root.name, os.path.basename(os.getcwd()))\n"
        "print(os.environ['PYTHONPATH'] == os.getcwd())\n"
    )
    # The second time is a kernel that was restarted, and the third a cell that was run twice.
    for body in (after, after, opening_source("ada/course", "en") + "\n" + after):
        answer = run_cell("ada/course", content, after=body, **served)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout == "course course\nTrue\n"
    assert [path.name for path in content.iterdir()] == ["course"]


@needs_git
def test_a_course_that_cannot_be_fetched_is_a_sentence(
    tmp_path: Path, served: dict[str, str]
) -> None:
    content = tmp_path / "content"
    content.mkdir()
    shutil.rmtree(tmp_path / "origin")
    answer = run_cell("ada/course", content, **served)
    assert answer.returncode == 1
    assert "Switch internet access on: https://github.com/ada/course" in answer.stderr
    assert list(content.iterdir()) == []
