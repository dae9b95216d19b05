"""The command line: an example in every help, a sentence for every error, a quick start."""

import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import cli, degradation
from course_utils.i18n import current_language, set_language

COMMANDS = ["run", "lab", "test", "images", "sweep", "notebooks", "messages"]


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


def prose(text: str) -> set[str]:
    """The words of a help, without the commands, options and values in them, and its example."""
    explained = re.split(r"^Ex", text.partition("\n\n")[2], flags=re.MULTILINE)[0]
    plain = re.sub(r"\{[^}]*\}|--?[a-z-]+|\b[A-Z]+\b|[\[\],]", " ", explained)
    parts = {part for line in plain.splitlines() for part in re.split(r"\s{2,}", line.strip())}
    return {part for part in parts if " " in part}


@pytest.mark.parametrize(
    "command",
    [
        *([], ["run"], ["lab"], ["site"], ["test"], ["images"], ["sweep"], ["badges"]),
        *(["student"], ["glossary"], ["links"], ["messages"], ["notebooks"]),
        *(["messages", each] for each in ("update", "check")),
        *(["notebooks", each] for each in ("check", "normalise", "stale")),
        *(["notebooks", each] for each in ("translated", "opening")),
    ],
    ids=" ".join,
)
def test_a_french_help_has_no_english_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for language in ("fr", "en"):
        set_language(language)
        with pytest.raises(SystemExit):
            cli.main([*command, "--help"])
        said[language] = capsys.readouterr().out
    assert said["fr"].startswith("usage\N{NO-BREAK SPACE}: python -m course_utils")
    assert "show this help message and exit" in prose(said["en"])
    assert prose(said["fr"]) & prose(said["en"]) == set()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["runn"], "'runn' n'est pas un choix possible (choisir parmi"),
        (["badges"], "il manque ces arguments\N{NO-BREAK SPACE}: --repo"),
        (["sweep", "--depths", "a"], "'a' n'est pas de la forme voulue (int)"),
        (["site", "now"], "arguments inconnus\N{NO-BREAK SPACE}: now"),
    ],
)
def test_a_mistyped_command_is_refused_in_the_readers_language(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_language("fr")
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


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
        testing.Part("first", lambda: False),
        testing.Part("second", raising(ValueError("No lesson."))),
        testing.Part("third", lambda: True),
    ]
    monkeypatch.setattr(testing, "parts_of", lambda _root: parts)
    assert cli.main(["test"]) == 1
    out = capsys.readouterr().out
    assert "No lesson." in out
    assert [line.split()[:2] for line in out.splitlines()[-3:]] == [
        ["first", "FAILED"],
        ["second", "FAILED"],
        ["third", "passed"],
    ]
    monkeypatch.setattr(testing, "parts_of", lambda _root: parts[2:])
    assert cli.main(["test"]) == 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for the command that the arguments are for, and notes what it was asked."""
    asked = SimpleNamespace()

    def specs_of(profile: str | None, **said: object) -> list[str]:
        asked.profile, asked.said = profile, said
        return ["a spec"]

    def sweep(specs: list[str], store: Path, engine: sweeps.Engine, **how: object) -> None:
        asked.store, asked.engine, asked.how = store, engine, how

    monkeypatch.setattr(sweeps, "specs_of", specs_of)
    monkeypatch.setattr(sweeps, "sweep", sweep)
    return asked


SWEEP = (
    "sweep --profile gpu --dataset digits --family plain residual --depths 8 20 --seeds 0 1 "
    "--epochs 2 --store out --size 12 --device cuda --precision bf16 --threads 2 "
    "--set nesterov=true --dataset-option clutter=3 --family-option width=8 --no-resume "
    "--dry-run --no-estimate --workers 3 --per-gpu 2"
)


def test_a_sweep_hands_on_what_was_said(asked: SimpleNamespace) -> None:
    assert cli.main(SWEEP.split()) == 0
    assert asked.profile == "gpu"
    assert asked.said == {
        "dataset": "digits",
        "families": ["plain", "residual"],
        "depths": [8, 20],
        "seeds": [0, 1],
        "epochs": 2,
        "steps": None,
        "device": "cuda",
        "precision": "bf16",
        "threads": 2,
        "settings": {"nesterov": True},
        "dataset_options": {"clutter": 3, "size": 12},
        "family_options": {"width": 8},
    }
    assert asked.store == Path("out")
    assert asked.engine == sweeps.Engine(workers=3, per_gpu=2)
    assert asked.how == {"resume": False, "dry_run": True, "estimates": False}


@pytest.mark.parametrize(
    "said",
    [
        "--family plain own:build",
        "--family plain --family own:build",
        "--families plain own:build",
    ],
)
def test_families_are_said_together_or_one_by_one(said: str, asked: SimpleNamespace) -> None:
    assert cli.main(["sweep", *said.split()]) == 0
    assert asked.said["families"] == ["plain", "own:build"]


def test_what_is_not_said_is_left_to_the_experiment(asked: SimpleNamespace) -> None:
    assert cli.main(["sweep"]) == 0
    assert asked.profile is None
    assert not any(asked.said.values())
    assert asked.engine == sweeps.Engine()
    assert asked.how == {"resume": True, "dry_run": False, "estimates": True}


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        ("--cluster tcp://10.0.0.1:8786", {"cluster": "tcp://10.0.0.1:8786"}),
        (
            "--cluster slurm --workers 8 --partition gpu --time 90 --cluster-option memory=4GB",
            {
                "cluster": "slurm",
                "workers": 8,
                "options": {"queue": "gpu", "walltime": "01:30:00", "memory": "4GB"},
            },
        ),
        (
            "--slurm --partition gpu --time 90 --per-gpu 4 --jobs-folder logs",
            {
                "slurm": "slurm",
                "per_gpu": 4,
                "options": {"slurm_partition": "gpu", "timeout_min": 90},
                "folder": Path("logs"),
            },
        ),
        ("--slurm local", {"slurm": "local"}),
    ],
)
def test_an_engine_is_chosen_by_its_option(
    said: str, engine: dict[str, Any], asked: SimpleNamespace
) -> None:
    assert cli.main(["sweep", *said.split()]) == 0
    assert asked.engine == sweeps.Engine(**engine)


@pytest.mark.parametrize("said", ["--cluster local --slurm", "--cluster local --per-gpu 2"])
def test_engines_that_exclude_each_other_are_a_sentence(
    said: str, asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", *said.split()]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_warning_is_shown_as_its_sentence_alone(
    asked: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def sweep(*_arguments: object, **_options: object) -> None:
        warnings.warn("A record was damaged.", stacklevel=2)

    monkeypatch.setattr(sweeps, "sweep", sweep)
    cli.main(["sweep"])
    assert capsys.readouterr().err == "A record was damaged.\n"


def test_a_sweep_with_runs_that_failed_is_a_sentence_and_status_1(
    asked: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = degradation.SweepError("plain-8, seed 0: its process died.")
    monkeypatch.setattr(sweeps, "sweep", raising(error))
    assert cli.main(["sweep", "--depths", "8"]) == 1
    assert capsys.readouterr().err == "plain-8, seed 0: its process died.\n"


def test_a_sweep_that_is_interrupted_ends_with_130(
    asked: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "sweep", raising(KeyboardInterrupt()))
    assert cli.main(["sweep"]) == 130


def test_a_wrong_depth_is_one_sentence_from_the_real_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", "--depths", "21", "--store", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
