"""The command line: an example in every help, a sentence for every error, a quick start."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import cli, course, degradation, suite
from course_utils.i18n import current_language

COMMANDS = ["run", "lab", "test", "sweep", "notebooks", "messages"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lesson that works and one that does not; the current folder."""
    folder = tmp_path / "notebooks" / "fr"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    for name, source in (("01_good", "1"), ("02_bad", "raise OSError('no disk')")):
        cells = [new_markdown_cell(f"# {name}"), new_code_cell(source)]
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raising(error: BaseException):
    def handler(*_arguments: object, **_options: object) -> int:
        raise error

    return handler


def test_starting_the_command_line_loads_neither_torch_nor_jupyter() -> None:
    code = (
        "import sys, course_utils.cli;"
        "print({'torch', 'numpy', 'papermill', 'nbconvert', 'matplotlib'} & sys.modules.keys())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == "set()\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert f"Example:\n  python -m course_utils {command}" in capsys.readouterr().out


def test_the_help_of_all_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in COMMANDS)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("Depth 21 is not\n6n+2."), "Depth 21 is not 6n+2.\n"),
        (TypeError("depth must be whole"), "depth must be whole\n"),
        (PermissionError(13, "Permission denied", "out"), "out: Permission denied\n"),
        (FileNotFoundError("No record there."), "No record there.\n"),
        (
            ModuleNotFoundError("No module named 'dask'", name="dask"),
            "The package 'dask' is not installed: run `pip install -r requirements.txt -e .` in "
            "the folder of the course.\n",
        ),
    ],
)
def test_an_error_of_the_library_is_one_sentence_and_status_2(
    error: Exception,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(course, "find_root", raising(error))
    assert cli.main(["run"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", sentence)


@pytest.mark.parametrize("arguments", [["--debug", "run"], ["run", "--debug"]])
def test_debug_shows_where_an_error_comes_from(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "find_root", raising(ValueError("here")))
    with pytest.raises(ValueError, match="here"):
        cli.main(arguments)


def test_an_interruption_is_one_sentence_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(course, "find_root", raising(KeyboardInterrupt()))
    assert cli.main(["run"]) == 130
    assert capsys.readouterr().err == "Interrupted: what was finished is kept.\n"


def test_run_says_where_to_look_and_fails_with_a_lesson(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run"]) == 1
    captured = capsys.readouterr()
    assert "Lesson 02_bad (fr) stopped in cell [1]: OSError: no disk\n" in captured.err
    assert "Traceback" not in captured.err
    index = root / "build" / "index.html"
    assert str(index) in captured.out
    assert "01_good" in index.read_text(encoding="utf-8")


def test_run_of_a_lesson_that_works_ends_well(root: Path) -> None:
    assert cli.main(["run", "--lesson", "1"]) == 0


def test_a_lesson_that_is_not_there_stops_before_anything_runs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "--lesson", "7"]) == 2
    assert "There is no lesson 7" in capsys.readouterr().err
    assert not (root / "build").exists()


@pytest.mark.parametrize(
    ("arguments", "edition"),
    [
        (["lab"], "fr"),
        (["lab", "--language", "en"], "en"),
        (["--language", "en", "lab"], "en"),
    ],
)
def test_the_language_chooses_the_edition_wherever_it_stands(
    arguments: list[str], edition: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        course, "open_lab", lambda _root, language, browser: opened.append((language, browser)) or 0
    )
    assert cli.main(arguments) == 0
    assert opened == [(edition, True)]


def test_the_language_chooses_the_messages_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "find_root", raising(ValueError("x")))
    cli.main(["run", "--language", "fr"])
    assert current_language() == "fr"


def test_all_editions_leave_the_messages_in_the_readers_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "find_root", raising(ValueError("x")))
    cli.main(["run", "--language", "all"])
    assert current_language() == "en"


def test_the_check_of_everything_runs_all_parts_and_ends_with_a_table(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [
        suite.Part("first", lambda: False),
        suite.Part("second", raising(ValueError("No lesson."))),
        suite.Part("third", lambda: True),
    ]
    monkeypatch.setattr(suite, "parts_of", lambda _root: parts)
    assert cli.main(["test"]) == 1
    out = capsys.readouterr().out
    assert "No lesson." in out
    assert [line.split()[:2] for line in out.splitlines()[-3:]] == [
        ["first", "FAILED"],
        ["second", "FAILED"],
        ["third", "passed"],
    ]
    monkeypatch.setattr(suite, "parts_of", lambda _root: parts[2:])
    assert cli.main(["test"]) == 0


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Stands for the experiment; notes what it was asked and answers one record."""
    asked = SimpleNamespace()
    spec = SimpleNamespace(family="plain", depth=8, seed=0)
    record = SimpleNamespace(
        spec=spec, train_error=0.25, test_error=0.5, parameters=75_002, seconds=3.2
    )

    def grid(**options: object) -> list[SimpleNamespace]:
        asked.options = options
        return [spec]

    def sweep(specs: list[SimpleNamespace], store: Path) -> list[SimpleNamespace]:
        asked.store = store
        return [record for _spec in specs]

    monkeypatch.setattr(degradation, "grid", grid)
    monkeypatch.setattr(degradation, "sweep", sweep)
    monkeypatch.setattr(degradation, "verdict", lambda _records: "Degradation is shown.")
    yield asked


SWEEP = (
    "sweep --dataset digits --families plain residual --depths 8 20 --seeds 0 1 --epochs 2 "
    "--store out --size 12"
)


def test_a_sweep_asks_for_the_grid_and_prints_records_and_verdict(
    experiment: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(SWEEP.split()) == 0
    assert experiment.options == {
        "dataset": "digits",
        "families": ["plain", "residual"],
        "depths": [8, 20],
        "seeds": [0, 1],
        "epochs": 2,
        "dataset_options": {"size": 12},
    }
    assert experiment.store == Path("out")
    _header, row, verdict = capsys.readouterr().out.splitlines()
    assert row.split() == ["plain-8", "1", "25.0%", "50.0%", "75,002", "3"]
    assert verdict == "Degradation is shown."


@pytest.mark.parametrize(
    "said",
    [
        "--family plain own:build --device cuda",
        "--family plain --family own:build --device cuda",
        "--families plain own:build --device cuda",
    ],
)
def test_families_are_said_together_or_one_by_one(said: str, experiment: SimpleNamespace) -> None:
    assert cli.main(["sweep", *said.split()]) == 0
    assert experiment.options["families"] == ["plain", "own:build"]
    assert experiment.options["device"] == "cuda"


def test_what_is_not_said_is_left_to_the_experiment(experiment: SimpleNamespace) -> None:
    assert cli.main(["sweep"]) == 0
    assert experiment.options["families"] == ["plain", "residual"]
    assert experiment.options["depths"] == [8, 20, 56]
    assert experiment.options["seeds"] == [0, 1, 2]
    assert experiment.options["dataset_options"] == {}
    assert experiment.options["epochs"] is None
    assert "device" not in experiment.options


def test_a_warning_is_shown_as_its_sentence_alone(
    experiment: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def sweep(specs: list[SimpleNamespace], store: Path) -> list[SimpleNamespace]:
        warnings.warn("A record was damaged.", stacklevel=2)
        return []

    monkeypatch.setattr(degradation, "sweep", sweep)
    cli.main(["sweep"])
    assert capsys.readouterr().err == "A record was damaged.\n"


def test_a_grid_too_small_to_judge_ends_well_with_a_sentence(
    experiment: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(degradation, "verdict", raising(ValueError("Two depths are needed.")))
    assert cli.main(["sweep", "--depths", "8"]) == 0
    assert capsys.readouterr().out.endswith("Two depths are needed.\n")


def test_a_sweep_with_runs_that_failed_is_a_sentence_and_status_1(
    experiment: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = degradation.SweepError("plain-8, seed 0: its process died.")
    monkeypatch.setattr(degradation, "sweep", raising(error))
    assert cli.main(["sweep", "--depths", "8"]) == 1
    assert capsys.readouterr().err == "plain-8, seed 0: its process died.\n"


def test_a_wrong_depth_is_one_sentence_from_the_real_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", "--depths", "21", "--store", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
