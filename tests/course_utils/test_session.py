"""Answers outlive the session they were given in: saved, shown, and defined when one agrees."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets import Button, FileUpload
from making_records import record, tiny
from traitlets.config import Config

from course.files import notebook_paths
from course_utils.answers import Answers, read_answers, verdicts, write_answers
from course_utils.experiments import Store
from course_utils.lesson import Lesson
from course_utils.session import kernel
from course_utils.session.questions import Question, answered, questions_of

ROOT = Path(__file__).parents[2]
NAME = "check_fold"
FOLD = """\
from course_utils.checks import conv_1x1 as check


def fold(weight1, bias1, weight2, bias2):
    return weight2 @ weight1, weight2 @ bias1 + bias2


check.check_fold(fold)"""
BET = 'my_bet = "c"  # for sure'


def new_session(patch: pytest.MonkeyPatch) -> InteractiveShell:
    """What a kernel has in it, with a history of its own."""
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    shell = InteractiveShell(config=config)
    patch.setattr(kernel, "get_ipython", lambda: shell)
    return shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    return new_session(monkeypatch)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The widgets that a cell shows, in the place of a page that would show them."""
    found: list[Any] = []
    monkeypatch.setattr(kernel, "display", lambda *widgets: found.extend(widgets))
    return found


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    folder = tmp_path / "notebooks" / "en"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "en" / "01_conv_1x1.ipynb", folder)
    return Lesson(1, "en", tmp_path, "cpu", 0)


def stub_of(lesson: Lesson, name: str) -> str:
    return next(one.stub for one in questions_of(lesson.file) if one.name == name)


def saved(lesson: Lesson) -> Path:
    (path,) = lesson.path("work/answers").glob("*.json")
    return path


def written(lesson: Lesson, **cells: str) -> Path:
    path = lesson.root / "answers.json"
    write_answers(path, Answers("01_conv_1x1", cells))
    return path


def click(shown: list[Any]) -> None:
    next(one for one in shown if isinstance(one, Button)).click()


# --- what a lesson asks -------------------------------------------------------------------------


def test_all_32_exercises_and_a_bet_a_lesson_are_asked_the_same_in_both_editions() -> None:
    asked = {path: questions_of(path) for path in notebook_paths([ROOT / "notebooks"])}
    names = {(path.parent.name, path.name): [one.name for one in asked[path]] for path in asked}
    for (language, name), found in names.items():
        assert found == names["fr", name], language
    french = [one for path in asked if path.parent.name == "fr" for one in asked[path]]
    assert sum(one.name.startswith("check_") for one in french) == 32
    assert all(one.title.startswith("Exercice") for one in french if not one.blanks)
    assert sum(one.name == "bet" for one in french) == 5


def test_the_last_text_that_ran_is_the_answer_and_a_blank_one_is_none() -> None:
    question = Question("check_f", "F", "def f(): ...\n\ncheck.check_f(f)")
    early, late = "f = min\ncheck.check_f(f)", "f = max\ncheck.check_f(f)"
    ran = [early, "check.check_g(f)", late, question.stub + "\n", "solved = check.check_f(f)"]
    assert answered([question], ran) == {"check_f": late}


def test_predictions_of_one_name_are_told_apart_by_what_is_done_to_it(tmp_path: Path) -> None:
    sources = ['mine = {"a": ..., "b": ...}', 'mine |= {"c": ...}', "seen = mine is ...", "x = 1"]
    cells = [
        {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "source": [source]}
        for n, source in enumerate(sources)
    ]
    (tmp_path / "lesson.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    questions = questions_of(tmp_path / "lesson.ipynb")
    first, second = 'mine = dict(a="up", b=3)', 'mine |= {"c": "down"}'
    ran = ["%matplotlib inline", first, second, "mine = ", *sources]
    assert answered(questions, ran) == {"cell-0": first, "cell-1": second}


# --- from one session to the next ---------------------------------------------------------------


def test_answers_of_one_session_are_shown_in_the_next_and_defined_when_the_reader_agrees(
    lesson: Lesson,
    shown: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = new_session(monkeypatch)
    for text in (BET, FOLD, stub_of(lesson, NAME)):
        before.run_cell(text, store_history=True)
    lesson.save()
    after = new_session(monkeypatch)
    capsys.readouterr()
    lesson.restore(saved(lesson))
    said = capsys.readouterr().out
    assert "Exercise 3 – fold" in said and "2 answers" in said
    assert {"fold", "my_bet"}.isdisjoint(after.user_ns)
    click(shown)
    assert after.user_ns["my_bet"] == "c" and callable(after.user_ns["fold"])
    assert verdicts[NAME] is True


def test_a_newer_edition_of_the_lesson_has_the_answers_in_their_exercises(
    lesson: Lesson, shell: InteractiveShell
) -> None:
    shell.run_cell(FOLD, store_history=True)
    lesson.save()
    newer = json.loads(lesson.file.read_text(encoding="utf-8"))
    for number, cell in enumerate(newer["cells"]):
        if "exercise" in cell["metadata"].get("tags", []):
            cell["id"] = f"moved-{number}"
            cell["source"] = ["# Newer.\n", *cell["source"]]
    lesson.file.write_text(json.dumps(newer), encoding="utf-8")
    lesson.restore(saved(lesson), agreed=True)
    shell.run_cell("del fold")
    shell.run_cell(stub_of(lesson, NAME))
    assert shell.user_ns["fold"].__code__.co_argcount == 4 and verdicts[NAME] is True


def test_an_answer_taken_back_runs_in_its_blank_cell_and_never_in_the_place_of_another_text(
    lesson: Lesson, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson.restore(written(lesson, check_fold=FOLD, bet=BET), agreed=True)
    capsys.readouterr()
    for name in (NAME, "bet"):
        shell.run_cell(stub_of(lesson, name))
    assert capsys.readouterr().out.count("runs in its place") == 2
    assert verdicts[NAME] is True and shell.user_ns["my_bet"] == "c"
    shell.run_cell(FOLD.replace("+ bias2", "- bias2"))
    shell.run_cell('my_bet = "a"')
    assert verdicts[NAME] is False and shell.user_ns["my_bet"] == "a"


def test_what_was_taken_back_is_saved_again(lesson: Lesson, shell: InteractiveShell) -> None:
    lesson.restore(written(lesson, check_fold=FOLD), agreed=True)
    shell.run_cell(stub_of(lesson, NAME), store_history=True)
    lesson.save()
    assert read_answers(saved(lesson)).cells == {NAME: FOLD}


def test_an_answer_that_would_replace_another_is_said_to(
    lesson: Lesson, shell: InteractiveShell, shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(BET, store_history=True)
    lesson.restore(written(lesson, bet=BET))
    assert "replace" not in capsys.readouterr().out
    lesson.restore(written(lesson, bet='my_bet = "a"'))
    assert "It would replace the answer that you gave" in capsys.readouterr().out
    assert shell.user_ns["my_bet"] == "c"


# --- what is refused ------------------------------------------------------------------------------


def test_what_the_lesson_does_not_ask_is_left_out_in_a_sentence(
    lesson: Lesson, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = {"check_iou": "stolen = 1", "parameters": "stolen = 2"}
    lesson.restore(written(lesson, bet=BET, **strange), agreed=True)
    assert "lesson does not ask for them: `check_iou`; `parameters`" in capsys.readouterr().out
    assert shell.user_ns["my_bet"] == "c" and "stolen" not in shell.user_ns


def test_answers_to_another_lesson_are_refused(lesson: Lesson, shell: InteractiveShell) -> None:
    path = lesson.root / "other.json"
    write_answers(path, Answers("02_gap_cam", {"bet": BET}))
    with pytest.raises(ValueError, match="belong to lesson 02_gap_cam, and this is lesson 01_"):
        lesson.restore(path, agreed=True)
    assert "my_bet" not in shell.user_ns


def test_without_a_kernel_answers_are_not_defined(lesson: Lesson) -> None:
    with pytest.raises(RuntimeError, match="in a notebook or in IPython"):
        lesson.restore(written(lesson, bet=BET), agreed=True)


def test_a_session_without_answers_has_nothing_to_save(
    lesson: Lesson, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(stub_of(lesson, "bet"), store_history=True)
    lesson.save()
    assert "nothing to save" in capsys.readouterr().out
    assert not lesson.path("work").exists()


def test_no_file_of_answers_takes_the_place_of_another(
    lesson: Lesson, shell: InteractiveShell
) -> None:
    for letter in "abc":
        shell.run_cell(f'my_bet = "{letter}"', store_history=True)
        lesson.save()
    files = lesson.path("work/answers").glob("*.json")
    assert sorted(read_answers(path).cells["bet"][-2] for path in files) == ["a", "b", "c"]


# --- records --------------------------------------------------------------------------------------


def test_records_go_along_and_those_that_are_there_stay(
    lesson: Lesson, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = record(tiny(seed=0)), record(tiny(seed=1), 0.5)
    for each in (first, second):
        Store(lesson.path("mine")).write(each)
    shell.run_cell(BET, store_history=True)
    lesson.save("mine")
    path = saved(lesson)
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["records"].append({"hash": "no record"})
    path.write_text(json.dumps(plain), encoding="utf-8")
    there = Store(lesson.path("theirs"))
    there.write(record(tiny(seed=0), 0.75))
    lesson.restore(path, store="theirs", agreed=True)
    said = capsys.readouterr().out
    assert "1 record is damaged" in said and "1 answer and 1 record of a run" in said
    assert [each.train_error for each in there.records()] == [0.75, second.train_error]


# --- files in and out -----------------------------------------------------------------------------


def uploaded(shown: list[Any], path: Path) -> None:
    """Choose a file, as a page would."""
    chooser = next(one for one in shown if isinstance(one, FileUpload))
    content = path.read_bytes()
    file = {"name": path.name, "type": "", "size": len(content), "content": content}
    chooser.value = ({**file, "last_modified": datetime.now()},)


def test_a_file_is_asked_for_and_what_it_has_is_shown_first(
    lesson: Lesson, shell: InteractiveShell, shown: list[Any]
) -> None:
    lesson.restore()
    uploaded(shown, written(lesson, bet=BET))
    assert "my_bet" not in shell.user_ns
    click(shown)
    assert shell.user_ns["my_bet"] == "c"


def test_a_damaged_file_that_was_chosen_is_answered_with_a_sentence(
    lesson: Lesson, shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(lesson, bet=BET)
    path.write_bytes(path.read_bytes()[:-9])
    lesson.restore()
    uploaded(shown, path)
    assert "answers.json is not a file of answers, or it is damaged." in capsys.readouterr().out
    assert not any(isinstance(one, Button) for one in shown)


def test_the_files_of_ipywidgets_7_are_read_too() -> None:
    old = {"a.json": {"metadata": {"name": "a.json"}, "content": b"[]"}}
    new = ({"name": "a.json", "content": memoryview(b"[]")},)
    assert kernel._uploaded(old) == kernel._uploaded(new) == [("a.json", b"[]")]


def colab_files(patch: pytest.MonkeyPatch) -> Any:
    """An empty module in the place of Colab's own."""
    for name in ("google", "google.colab", "google.colab.files"):
        patch.setitem(sys.modules, name, ModuleType(name))
    return sys.modules["google.colab.files"]


def test_on_colab_files_go_through_the_browser(
    lesson: Lesson, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[str] = []
    files = colab_files(monkeypatch)
    files.download = downloads.append
    files.upload = lambda: {"mine.json": saved(lesson).read_bytes()}
    shell.run_cell(BET, store_history=True)
    lesson.save()
    assert downloads == [str(saved(lesson))]
    shell.run_cell("del my_bet")
    lesson.restore(agreed=True)
    assert shell.user_ns["my_bet"] == "c"


def test_on_kaggle_a_link_has_the_file_in_it_though_colabs_module_is_installed(
    lesson: Lesson, shell: InteractiveShell, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    colab_files(monkeypatch)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    shell.run_cell(BET, store_history=True)
    lesson.save()
    (link,) = shown
    assert f'download="{saved(lesson).name}"' in link.data and "base64," in link.data


# --- what is solved -------------------------------------------------------------------------------


def test_the_end_of_a_lesson_says_what_is_solved_and_what_is_open(
    lesson: Lesson,
    shell: InteractiveShell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said() -> str:
        lesson.solved()
        return " ".join(capsys.readouterr().out.split())

    for name in list(verdicts):
        monkeypatch.delitem(verdicts, name)
    assert "Solved" not in said() and said().count("Exercise ") == 6
    shell.run_cell(FOLD)
    capsys.readouterr()
    solved, still = said().split("Still open: ")
    assert solved == "Solved: Exercise 3 – fold. " and still.count("Exercise ") == 5
    for question in questions_of(lesson.file):
        monkeypatch.setitem(verdicts, question.name, True)
    assert said().endswith("Every exercise is solved.") and "open" not in said()


def test_a_notebook_without_the_courses_folder_says_so_at_its_end_and_does_not_raise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Lesson(1, "en", tmp_path, "cpu", 0).solved()
    assert "this notebook is outside it" in " ".join(capsys.readouterr().out.split())
