"""Every notebook starts alike: language, seed, and the course's folder; printed, its versions."""

from __future__ import annotations

from pathlib import Path

import joblib
import pytest
import torch

from course_utils import i18n, lesson


def test_a_lesson_starts_with_its_language_and_a_seed_and_says_its_versions_in_whole_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = lesson.start(3, "fr", seed=5)
    assert capsys.readouterr().out == "" and i18n.current_language() == "fr"
    lines = str(started).splitlines()
    assert max(map(len, lines)) <= 80  # JupyterLab would cut a longer one within a word
    said = " ".join(lines).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith("Leçon 3 · Python ")
    assert f"torch {torch.__version__} · " in said and said.endswith("graine 5")
    first = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(first, torch.rand(3))


def test_a_lesson_takes_no_more_threads_than_the_process_has_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # as a container's share would
    try:
        torch.set_num_threads(2)
        started = lesson.start(3, "en")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert "1\N{NO-BREAK SPACE}core · " in str(started)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    assert "2\N{NO-BREAK SPACE}cores · " in str(started) or joblib.cpu_count() == 1


def test_paths_are_those_of_the_course_wherever_the_notebook_is(tmp_path: Path) -> None:
    started = lesson.start(3, "en")
    assert started.path("build/records") == Path(__file__).parents[2] / "build" / "records"
    assert started.path(tmp_path) == tmp_path


def test_a_notebook_copied_out_of_the_course_works_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lesson.start(3, "en").root == tmp_path


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="No language 'de'"):
        lesson.start(3, "de")
