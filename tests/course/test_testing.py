"""The project's own checks: what they run, on which copies, and in which order."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course import cli, testing


@dataclass
class Runs:
    """Stands for ``subprocess.run``: notes what is run, and fails one of them."""

    root: Path
    fails: str = "nothing"
    ran: list[str] = field(default_factory=list)

    def __call__(self, command: list[str], cwd: Path) -> SimpleNamespace:
        assert cwd == self.root and command[:2] == [sys.executable, "-m"]
        self.ran.append(" ".join(command[2:]))
        return SimpleNamespace(returncode=command[2] == self.fails)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """A course of one lesson, on a machine with Chromium and Slurm."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "quick.toml").write_text("[03_a]\nepochs = 2\n", encoding="utf-8")
    for language in ("fr", "en"):
        folder = tmp_path / "notebooks" / language
        folder.mkdir(parents=True)
        cells = [new_code_cell("epochs = 20", metadata={"tags": ["parameters"]})]
        nbformat.write(new_notebook(cells=cells), folder / "03_a.ipynb")
    answer = Runs(tmp_path)
    monkeypatch.setattr(subprocess, "run", answer)
    monkeypatch.setattr(testing, "find_chromium", lambda: "/opt/chromium")
    monkeypatch.setattr(testing, "slurm_programs_missing", list)
    monkeypatch.setattr(cli, "REPOSITORY", tmp_path)
    return answer


def test_every_part_runs_and_passes_by_its_status(runs: Runs) -> None:
    runs.fails = "mypy"
    results = testing.run_parts(testing.parts_of(runs.root))
    assert [result.passed for result in results] == [True] * 2 + [False] + [True] * 5
    assert runs.ran[:4] == ["ruff check .", "ruff format --check .", "mypy", "pytest"]
    french, english, cluster, browser = (words.split()[-1] for words in runs.ran[4:])
    assert french == "notebooks/fr/03_a.ipynb"
    assert english == "build/test-en/03_a.ipynb"
    copy = nbformat.read(runs.root / english, as_version=4)
    assert copy.cells[1].source.splitlines()[-1] == "epochs = 2"
    assert (Path(__file__).parents[2] / browser).is_file()
    assert (Path(__file__).parents[2] / cluster).is_file()


def test_the_fast_check_is_lint_types_and_the_tests_that_are_not_slow(runs: Runs) -> None:
    assert cli.main(["test", "--fast"]) == 0
    assert runs.ran == ["ruff check .", "ruff format --check .", "mypy", "pytest -m not slow"]


def test_the_lessons_in_jupyterlab_can_run_alone(runs: Runs) -> None:
    assert cli.main(["test", "--browser"]) == 0
    assert len(runs.ran) == 1


def test_without_chromium_the_lessons_in_jupyterlab_are_skipped(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "find_chromium", lambda: None)
    (result,) = testing.run_parts([testing.in_jupyterlab(runs.root)])
    assert result.passed is None and "there is no Chromium" in result.why
    assert runs.ran == []


@pytest.mark.parametrize("online", [True, False])
def test_chromium_is_fetched_where_that_is_asked_for(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], online: bool
) -> None:
    runs.fails = "nothing" if online else "playwright"
    monkeypatch.setattr(testing, "find_chromium", lambda: None)
    (result,) = testing.run_parts([testing.in_jupyterlab(runs.root, fetch=True)])
    assert result.passed == online
    assert runs.ran[0] == "playwright install chromium"
    assert len(runs.ran) == (2 if online else 1)
    assert ("could not be downloaded" in capsys.readouterr().out) == (not online)
