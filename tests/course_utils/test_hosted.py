"""On another's machine the first cell fetches the course and changes nothing that is installed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course.files import REPOSITORY
from course.notebooks.opening import opening_source
from course_utils import hosted

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(hosted.__file__).read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    others = {str(name).split(".")[0] for name in modules} - sys.stdlib_module_names
    assert others == {"course_utils"}  # its messages, which need no more than gettext


def test_what_is_installed_is_not_asked_for_whatever_its_version() -> None:
    assert hosted.missing(["numpy>=9999", "pillow>=10,<14", "scikit_learn"]) == []
    assert hosted.missing(["no-such-package >=1", "numpy"]) == ["no-such-package >=1"]


def test_the_course_allows_the_versions_that_colab_comes_with() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    allowed = {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, tomllib.loads(text)["project"]["dependencies"])
    }
    pins = (REPOSITORY / ".ci" / "colab.txt").read_text(encoding="utf-8")
    versions = dict(re.findall(r"^([\w-]+)==([\d.]+?)(?:\.\*)?$", pins, re.MULTILINE))
    assert {"torch", "torchvision", "numpy", "ipykernel", "ipywidgets"} <= versions.keys()
    for name in versions.keys() & allowed.keys():
        assert versions[name] in allowed[name], name
    # The one that the first cell is to install there, as it would any other.
    assert "tqdm" in allowed and "tqdm" not in versions


def test_every_installed_version_is_a_constraint() -> None:
    lines = hosted.constraints()
    for name in ("torch", "torchvision", "numpy"):
        assert f"{name}=={metadata.version(name)}" in lines
    assert len({line.split("==")[0] for line in lines}) == len(lines)


def test_of_a_package_that_is_there_twice_the_version_that_is_imported_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, place in (("1.21.0", sys.path.append), ("2.0.0", monkeypatch.syspath_prepend)):
        info = tmp_path / version / f"NumPy-{version}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: NumPy\nVersion: {version}\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "path", sys.path.copy())
        place(str(tmp_path / version))
        kept = [line for line in hosted.constraints() if line.startswith("numpy==")]
        assert kept == [f"numpy=={metadata.version('numpy')}"]
    assert kept == ["numpy==2.0.0"]  # before the other two


def test_pip_is_given_what_is_missing_and_the_constraints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2", "no-such-package>=1"]\n', encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    calls = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        kept = Path(command[command.index("-c") + 1]).read_text(encoding="utf-8")
        calls.append((command[1:4], command[-1], kept))
        return subprocess.CompletedProcess(command, 0, "", None)

    monkeypatch.setattr(subprocess, "run", run)
    assert hosted.prepare(tmp_path) == ["no-such-package>=1"]
    ((words, asked, kept),) = calls
    assert words == ["-m", "pip", "install"]
    assert asked == "no-such-package>=1"
    assert f"numpy=={metadata.version('numpy')}" in kept.splitlines()
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "/elsewhere"]


def test_nothing_missing_calls_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy"]\n', encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(subprocess, "run", None)
    assert hosted.prepare(tmp_path) == []
    assert hosted.prepare(tmp_path) == []
    assert os.environ["PYTHONPATH"] == str(tmp_path)


def test_what_pip_cannot_install_is_a_sentence_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["no-such-package"]\n', encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_options: subprocess.CompletedProcess(command, 1, "no network", None),
    )
    with pytest.raises(OSError, match=r"could not install no-such-package .*no network"):
        hosted.prepare(tmp_path)


def run_cell(
    name: str, folder: Path, *, after: str = "", **environment: str
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
        [sys.executable, "-c", f"{hidden}{opening_source(name)}\n{after}"],
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
    answer = run_cell("", tmp_path, **{host: "x"})
    assert answer.returncode == 1
    assert "open it from a repository where `make badges` was run." in answer.stderr
    assert "ouvrez-le depuis un dépôt où la commande `make badges` a été lancée." in answer.stderr
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
    for body in (after, after, opening_source("ada/course") + "\n" + after):
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
    assert "switch internet access on: https://github.com/ada/course" in answer.stderr
    assert list(content.iterdir()) == []
