"""The commands of the course: an example in every help, and each hands on what it was asked."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course import cli, testing
from course_utils.i18n import current_language, set_language

COMMANDS = [
    *(
        ["install"],
        ["run"],
        ["lab"],
        ["test"],
        ["site"],
        ["student"],
        ["assignments"],
        ["gift"],
        ["grade"],
        ["pick"],
        ["images"],
        ["badges"],
        ["glossary"],
    ),
    *(["links"], ["messages"], ["notebooks", "normalise"], ["notebooks", "stale"]),
    *(["notebooks", "translated"], ["notebooks", "opening"]),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lesson that works and one that does not."""
    folder = tmp_path / "notebooks" / "fr"
    folder.mkdir(parents=True)
    for name, source in (("01_good", "1"), ("02_bad", "raise OSError('no disk')")):
        cells = [new_markdown_cell(f"# {name}"), new_code_cell(source)]
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    monkeypatch.setattr(cli, "REPOSITORY", tmp_path)
    return tmp_path


def prose(text: str) -> set[str]:
    """The words of a help, without the commands, options and values in them, and its example."""
    explained = re.split(r"^Ex", text.partition("\n\n")[2], flags=re.MULTILINE)[0]
    plain = re.sub(r"\{[^}]*\}|\b[\w-]+\.txt\b|--?[a-z-]+|\b[A-Z]+\b|[\[\],]", " ", explained)
    parts = {part for line in plain.splitlines() for part in re.split(r"\s{2,}", line.strip())}
    return {part for part in parts if " " in part}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_explains_itself_with_an_example_in_either_language(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for language in ("fr", "en"):
        set_language(language)
        with pytest.raises(SystemExit) as end:
            cli.main([*command, "--help"])
        assert end.value.code == 0
        said[language] = capsys.readouterr().out
        assert re.search(rf"Ex[ae]mple\W*:\n  python -m course {command[0]}", said[language])
    assert "show this help message and exit" in prose(said["en"])
    assert prose(said["fr"]) & prose(said["en"]) == set()


def test_the_help_of_all_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command, *_rest in COMMANDS)


@pytest.mark.slow
def test_run_says_where_to_look_and_fails_with_a_lesson(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run"]) == 1
    captured = capsys.readouterr()
    assert "La leçon 02_bad (fr) s'est arrêtée à la cellule [1]" in captured.err
    assert "no disk\n" in captured.err
    assert "Traceback" not in captured.err
    index = root / "build" / "index.html"
    assert str(index) in captured.out
    assert "01_good" in index.read_text(encoding="utf-8")
    assert cli.main(["run", "--lesson", "1"]) == 0


def test_a_lesson_that_is_not_there_stops_before_anything_runs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "--lesson", "7"]) == 2
    assert "Il n'y a pas de leçon 7" in capsys.readouterr().err
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
    arguments: list[str], edition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        cli, "open_lab", lambda _root, language, *_more, **_options: opened.append(language) or 0
    )
    assert cli.main(arguments) == 0
    assert opened == [edition]
    assert current_language() == edition


@pytest.mark.parametrize(("edition", "spoken"), [("fr", "fr"), ("all", "en")])
def test_an_edition_chooses_the_messages_and_all_editions_leave_them(
    edition: str, spoken: str, root: Path
) -> None:
    cli.main(["run", "--language", edition, "--lesson", "7"])
    assert current_language() == spoken


def test_the_check_of_everything_runs_all_parts_and_ends_with_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_lesson() -> bool:
        raise ValueError("No lesson.")

    def skipped() -> bool:
        raise testing.Skipped("there is no Chromium")

    parts = [
        testing.Part("first", lambda: False),
        testing.Part("second", no_lesson),
        testing.Part("third", lambda: True),
        testing.Part("fourth", skipped),
    ]
    monkeypatch.setattr(testing, "parts_of", lambda _root, fast: parts)
    assert cli.main(["test"]) == 1
    out = capsys.readouterr().out
    assert "No lesson." in out
    assert [line.split()[:2] for line in out.splitlines()[-4:]] == [
        ["first", "FAILED"],
        ["second", "FAILED"],
        ["third", "passed"],
        ["fourth", "skipped:"],
    ]
    monkeypatch.setattr(testing, "parts_of", lambda _root, fast: parts[2:])
    assert cli.main(["test"]) == 0
