"""The project's own checks: what they run, on which copies, and in which order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course import cli, testing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "quick.toml").write_text("[03_a]\nepochs = 2\n", encoding="utf-8")
    for language in ("fr", "en"):
        folder = tmp_path / "notebooks" / language
        folder.mkdir(parents=True)
        cells = [new_code_cell("epochs = 20", metadata={"tags": ["parameters"]})]
        nbformat.write(new_notebook(cells=cells), folder / "03_a.ipynb")
    return tmp_path


def test_every_part_runs_this_python_at_the_root_and_passes_by_its_status(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], cwd: Path) -> SimpleNamespace:
        assert cwd == root
        assert command[:2] == [sys.executable, "-m"]
        ran.append(command[2:])
        return SimpleNamespace(returncode=len(ran) == 3)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(testing, "find_chromium", lambda: "/opt/chromium")
    results = testing.run_parts(testing.parts_of(root))
    assert [result.passed for result in results] == [True, True, False, True, True, True, True]
    assert [command[0] for command in ran] == ["ruff", "ruff", "mypy", *["pytest"] * 4]
    assert ran[4][-1] == "notebooks/fr/03_a.ipynb"
    assert ran[5][-1] == "build/test-en/03_a.ipynb"
    copy = nbformat.read(root / ran[5][-1], as_version=4)
    assert copy.cells[1].source.splitlines()[-1] == "epochs = 2"
    assert (Path(__file__).parents[2] / ran[6][-1]).is_file()


def test_a_course_without_an_edition_fails_that_part_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda _command, cwd: SimpleNamespace(returncode=0))
    monkeypatch.setattr(testing, "find_chromium", lambda: "/opt/chromium")
    (root / "notebooks" / "en" / "03_a.ipynb").unlink()
    results = testing.run_parts(testing.parts_of(root))
    assert [result.passed for result in results] == [True] * 5 + [False, True]
    assert "There is no lesson in" in capsys.readouterr().out


def test_without_chromium_the_lessons_in_jupyterlab_are_skipped_and_the_table_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "find_chromium", lambda: None)
    results = testing.run_parts([testing.in_jupyterlab(root)])
    assert [result.passed for result in results] == [None]
    assert "skipped: there is no Chromium" in testing.table(results)


@pytest.mark.parametrize("online", [True, False])
def test_chromium_is_fetched_where_that_is_asked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], online: bool
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], cwd: Path) -> SimpleNamespace:
        ran.append(command[2:])
        return SimpleNamespace(returncode=0 if online else 1)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(testing, "find_chromium", lambda: None)
    (result,) = testing.run_parts([testing.in_jupyterlab(root, fetch=True)])
    assert result.passed == online
    assert ran[0] == ["playwright", "install", "chromium"]
    assert [command[0] for command in ran[1:]] == (["pytest"] if online else [])
    assert ("could not be fetched" in capsys.readouterr().out) == (not online)


def test_the_lessons_in_jupyterlab_can_run_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda _command, cwd: SimpleNamespace(returncode=0))
    monkeypatch.setattr(testing, "find_chromium", lambda: "/opt/chromium")
    assert cli.main(["test", "--browser"]) == 0
    assert capsys.readouterr().out.count("\n== ") == 1


def test_the_fast_check_is_lint_types_and_the_tests_that_are_not_slow(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(command: list[str], cwd: Path) -> SimpleNamespace:
        ran.append(" ".join(command[2:]))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(cli, "REPOSITORY", root)
    assert cli.main(["test", "--fast"]) == 0
    assert ran == ["ruff check .", "ruff format --check .", "mypy", "pytest -m not slow"]
