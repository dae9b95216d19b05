"""The command ``sweep``: what its words ask for, with a sentence for every error."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from course_utils import cli
from course_utils.experiments import SweepError
from course_utils.experiments.engines import Engine
from course_utils.i18n import current_language, set_language


def raising(error: BaseException):
    def handler(*_arguments: object, **_options: object) -> None:
        raise error

    return handler


def prose(text: str) -> set[str]:
    """The words of a help, without the commands, options and values in them, and its example."""
    explained = re.split(r"^Ex", text.partition("\n\n")[2], flags=re.MULTILINE)[0]
    plain = re.sub(r"\{[^}]*\}|--?[a-z-]+|\b[A-Z]+\b|[\[\],]", " ", explained)
    parts = {part for line in plain.splitlines() for part in re.split(r"\s{2,}", line.strip())}
    return {part for part in parts if " " in part}


@pytest.mark.parametrize(
    "command", [[], ["sweep"], ["data"], ["cam"]], ids=["all", "sweep", "data", "cam"]
)
def test_a_french_help_has_no_english_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for language in ("fr", "en"):
        with pytest.raises(SystemExit):
            cli.main([*command, "--help", "--language", language])
        said[language] = capsys.readouterr().out
    assert said["fr"].startswith("usage\N{NO-BREAK SPACE}: python -m course_utils")
    assert "show this help message and exit" in prose(said["en"])
    assert prose(said["fr"]) & prose(said["en"]) == set()
    if command:
        assert f"Example:\n  python -m course_utils {command[0]}" in said["en"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["swep"], "'swep' n'est pas un choix possible (choisir parmi"),
        (["sweep", "--profile"], "il faut une valeur"),
        (["sweep", "--depths", "a"], "'a' n'est pas de la forme voulue (int)"),
        (["sweep", "now"], "arguments inconnus\N{NO-BREAK SPACE}: now"),
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
            "The package 'dask' is not installed: run `pip install dask`.\n",
        ),
    ],
)
def test_an_error_of_the_library_is_one_sentence_and_status_2(
    error: Exception,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli.sweep, "specs_of", raising(error))
    assert cli.main(["sweep"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", sentence)


@pytest.mark.parametrize("arguments", [["--debug", "sweep"], ["sweep", "--debug"]])
def test_debug_shows_where_an_error_comes_from(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.sweep, "specs_of", raising(ValueError("here")))
    with pytest.raises(ValueError, match="here"):
        cli.main(arguments)


def test_an_interruption_is_one_sentence_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.sweep, "specs_of", raising(KeyboardInterrupt()))
    assert cli.main(["sweep"]) == 130
    assert capsys.readouterr().err == "Interrupted. What had finished is kept.\n"


@pytest.mark.parametrize(
    "arguments", [["--language", "fr", "sweep"], ["sweep", "--language", "fr"]]
)
def test_the_language_is_chosen_wherever_it_stands(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.sweep, "specs_of", raising(ValueError("x")))
    cli.main(arguments)
    assert current_language() == "fr"


# --- what is asked for ---------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for the command that the arguments are for, and notes what it was asked."""
    asked = SimpleNamespace()

    def specs_of(profile: str | None, **said: object) -> list[str]:
        asked.profile, asked.said = profile, said
        return ["a spec"]

    def sweep(specs: list[str], store: Path, engine: Engine, **how: object) -> None:
        asked.store, asked.engine, asked.how = store, engine, how

    monkeypatch.setattr(cli.sweep, "specs_of", specs_of)
    monkeypatch.setattr(cli.sweep, "sweep_and_show", sweep)
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
    assert asked.engine == Engine(workers=3, per_gpu=2)
    assert asked.how == {"resume": False, "dry_run": True, "estimates": False, "by_trial": True}


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
    assert asked.engine == Engine()
    assert asked.how == {"resume": True, "dry_run": False, "estimates": True, "by_trial": True}


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        ("--cluster tcp://10.0.0.1:8786", {"cluster": "tcp://10.0.0.1:8786"}),
        (
            "--cluster slurm --workers 8 --partition gpu --time 90 --per-gpu 4 --jobs-folder logs "
            "--cluster-option account=course",
            {
                "cluster": "slurm",
                "workers": 8,
                "per_gpu": 4,
                "options": {"partition": "gpu", "time": 90, "account": "course"},
                "folder": Path("logs"),
            },
        ),
        ("--cluster a.json --patience 5", {"cluster": "a.json", "patience": 5}),
    ],
)
def test_an_engine_is_chosen_by_its_option(
    said: str, engine: dict[str, Any], asked: SimpleNamespace
) -> None:
    assert cli.main(["sweep", *said.split()]) == 0
    assert asked.engine == Engine(**engine)


@pytest.mark.parametrize(
    "said", ["--slurm", "--slurm local", "--cluster local --per-gpu 2", "--time 5"]
)
def test_an_engine_that_cannot_be_is_a_sentence(
    said: str, asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", *said.split()]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "--cluster slurm" in sentence


def test_a_warning_is_shown_as_its_sentence_alone(
    asked: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def sweep(*_arguments: object, **_options: object) -> None:
        warnings.warn("A record was damaged.", stacklevel=2)

    monkeypatch.setattr(cli.sweep, "sweep_and_show", sweep)
    cli.main(["sweep"])
    assert capsys.readouterr().err == "A record was damaged.\n"


def test_a_sweep_with_runs_that_failed_is_a_sentence_and_status_1(
    asked: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = SweepError("plain-8, seed 0: its process died.")
    monkeypatch.setattr(cli.sweep, "sweep_and_show", raising(error))
    assert cli.main(["sweep", "--depths", "8"]) == 1
    assert capsys.readouterr().err == "plain-8, seed 0: its process died.\n"


def test_a_sweep_that_is_interrupted_ends_with_130(
    asked: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.sweep, "sweep_and_show", raising(KeyboardInterrupt()))
    assert cli.main(["sweep"]) == 130


@pytest.mark.parametrize("command", ["run", "lab", "test", "notebooks"])
def test_a_command_of_the_repositorys_tools_is_told_where_it_is(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--lesson", "3"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"`{command}` has moved: in a copy of the repository, python -m course {command}.\n"
    )
