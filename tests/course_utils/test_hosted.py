"""On another's machine what a lesson lacks is installed, and nothing that is there changes."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course.files import REPOSITORY
from course_utils import hosted


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
