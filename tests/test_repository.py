"""The files around the code agree with one another: README, Makefile, pins and workflow."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from course import cli as tools
from course.files import notebook_paths
from course.notebooks import markdown
from course.notebooks.normaliser import read_notebook
from course_utils import cli

ROOT = Path(__file__).parents[1]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


DOCUMENTS = ["README.md", "README.fr.md", "CONTRIBUTING.md"]
PINS = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text_of("requirements.txt"), re.MULTILINE))
PROJECT = tomllib.loads(text_of("pyproject.toml"))
TARGETS = dict(re.findall(r"^([a-z-]+):.*?## (.+)$", text_of("Makefile"), re.MULTILINE))

needs_make = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None,
    reason="make is not there, or is not the one of Linux and macOS",
)
# A Python whose `venv` puts itself in .venv.
COPIES_ITSELF = 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi'
# What a make that runs these tests hands on to the makes they start.
INHERITED = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LESSON", "EDITION", "PROFILE", "REPO", "PYTHON"}


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in INHERITED}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile and what it reads, and a stand-in for Python."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def fake_python(folder: Path, body: str) -> str:
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    python.chmod(0o755)
    return str(python)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_shown_to_readers_exists(document: str) -> None:
    shown = re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text_of(document), re.MULTILINE)
    assert {first or second for first, second in shown} <= TARGETS.keys()


def test_the_readme_shows_every_make_command() -> None:
    assert set(re.findall(r"`make ([a-z-]+)`", text_of("README.md"))) == TARGETS.keys()


def test_every_make_argument_shown_is_one_the_makefile_reads() -> None:
    known = set(re.findall(r"^([A-Z]+)\s*\?=", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\b([A-Z]+)=", text_of("README.md"))) == known


@pytest.mark.parametrize("document", [*DOCUMENTS, "Makefile"])
def test_every_command_line_shown_is_one_the_parser_takes(document: str) -> None:
    parsers = {"course": tools._parser(), "course_utils": cli._parser()}
    shown = re.findall(r"-m (course|course_utils) ([a-z][^`\n;]*)", text_of(document))
    for house, line in shown:
        words = re.sub(r"\$\(.*", "", line).split()
        # The Makefile's own variables stand for what the reader gives.
        cut = words[:-1] if words[-1] == "--language" else words
        assert parsers[house].parse_args(cut).handler, line
    assert shown


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_named_to_readers_is_there(document: str) -> None:
    named = re.findall(r"`([\w./-]+\.(?:csv|md|toml|txt|yml|py|po))`", text_of(document))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_link_within_the_repository_leads_to_a_file() -> None:
    folders = ("data", "images", "benchmarks", "course_utils", ".github", "notebooks")
    documents = [
        *ROOT.glob("*.md"),
        *(path for each in folders for path in (ROOT / each).rglob("*.md")),
    ]
    texts = [(path, path.read_text(encoding="utf-8")) for path in documents]
    for path in notebook_paths([]):
        cells = read_notebook(path).cells
        texts += [(path, cell.source) for cell in cells if cell.cell_type == "markdown"]
    links = [
        (path, urlsplit(target))
        for path, text in texts
        for target in [*markdown.links(text), *(image.target for image in markdown.images(text))]
    ]
    inside = [(path, unquote(link.path)) for path, link in links if not link.scheme and link.path]
    assert len(inside) > 50
    assert [
        (path.name, link)
        for path, link in inside
        if not (ROOT / link[1:] if link.startswith("/") else path.parent / link).exists()
    ] == []


@needs_make
def test_make_alone_lists_every_command_with_what_it_does() -> None:
    listed = make().stdout
    assert listed == make("help").stdout
    for target, about in TARGETS.items():
        assert re.search(rf"^make {target} +{re.escape(about)}$", listed, re.MULTILINE)


@needs_make
@pytest.mark.parametrize(
    ("target", "arguments", "command"),
    [
        ("run", [], "-m course run --language fr"),
        (
            "run",
            ["LESSON=1 3", "EDITION=en", "PROFILE=quick"],
            "-m course run --language en --lesson 1 3 --profile quick",
        ),
        ("student", [], "-m course student --language fr"),
        ("student", ["LESSON=3", "EDITION=all"], "-m course student --language all --lesson 3"),
        ("colab", ["LESSON=3", "EDITION=en"], ".ci/colab.py --language en --lesson 3"),
        ("badges", ["REPO=ada/course"], "-m course badges --repo 'ada/course'"),
        ("check", [], "-m course test --fast"),
    ],
)
def test_make_hands_arguments_on(
    bare: Path, target: str, arguments: list[str], command: str
) -> None:
    last = make("-n", target, *arguments, folder=bare).stdout.splitlines()[-1]
    assert last.split() == [".venv/bin/python", *command.split()]


@needs_make
def test_an_address_that_is_not_given_is_asked_for(bare: Path) -> None:
    python = fake_python(bare, COPIES_ITSELF)
    answer = make("badges", f"PYTHON={python}", folder=bare)
    assert answer.returncode != 0
    assert "make badges REPO=owner/name" in answer.stderr


@needs_make
def test_an_old_python_is_a_sentence(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = make("-n", "run", folder=bare).stdout
    (check,) = re.findall(r"^python3 -c '(.+)'$", commands, re.MULTILINE)
    with pytest.raises(SystemExit) as end:
        exec(check)
    assert end.value.code is None
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    monkeypatch.setattr(sys, "version", "3.10.14 (main)")
    with pytest.raises(
        SystemExit, match=r"needs Python 3\.11 or newer, and .* is Python 3\.10\.14"
    ):
        exec(check)


@needs_make
def test_a_python_that_is_refused_or_missing_makes_nothing(bare: Path) -> None:
    refused = make("run", f"PYTHON={fake_python(bare, 'exit 1')}", folder=bare)
    missing = make("run", "PYTHON=no-such-python", folder=bare)
    assert refused.returncode != 0 and missing.returncode != 0
    assert "Python was not found" in missing.stderr
    assert not (bare / ".venv").exists()


@needs_make
def test_nothing_is_installed_twice_until_the_pins_change(bare: Path) -> None:
    log = bare / "log"
    python = fake_python(bare, f'echo "$*" >> {log}\n{COPIES_ITSELF}')

    def installs() -> int:
        assert make("run", f"PYTHON={python}", folder=bare).returncode == 0
        return log.read_text(encoding="utf-8").count("pip install")

    pins = bare / "requirements.txt"
    assert installs() == 1
    assert installs() == 1
    pins.touch()
    assert installs() == 1
    pins.write_text(pins.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert installs() == 2


@needs_make
def test_cleaning_keeps_the_records_of_experiments(bare: Path) -> None:
    for folder in (
        "build/records",
        "build/fr",
        "build/test-en",
        "course",
        "course_utils",
        "tests",
        ".venv",
    ):
        (bare / folder).mkdir(parents=True)
    record = bare / "build" / "records" / "a.json"
    record.touch()
    assert make("clean", folder=bare).returncode == 0
    assert record.exists()
    assert (bare / ".venv").exists()
    assert [folder.name for folder in (bare / "build").iterdir()] == ["records"]


def test_torch_is_pinned_where_every_reader_of_the_pin_finds_it() -> None:
    # Elsewhere the line of the README is repeated, which tests/test_github.py looks at.
    for name in ("torch", "torchvision"):
        pin = f"{name}=={PINS[name]}"
        assert pin in PROJECT["tool"]["uv"]["constraint-dependencies"]
        assert pin in text_of("README.md")


def test_the_pins_leave_to_torch_what_torch_brings() -> None:
    assert not [name for name in PINS if re.match(r"nvidia-|cuda-|triton", name)]


def test_every_requirement_has_its_exact_pin_those_of_every_extra_too() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert "course_utils[cluster]" in extras["dev"]  # what the tests of clusters start
    wanted = [*PROJECT["project"]["dependencies"], *itertools.chain(*extras.values())]
    names = {re.split(r"[<>=\[]", line)[0] for line in wanted} - {PROJECT["project"]["name"]}
    assert names <= PINS.keys()
    lines = [line for line in text_of("requirements.txt").splitlines() if not re.match("#|$", line)]
    assert all(re.match(r"[a-z0-9.-]+==[\w.]+( ; |\s*#|$)", line) for line in lines)


def test_the_pins_say_how_they_were_made_and_name_no_index() -> None:
    pins = text_of("requirements.txt")
    assert "make pins" in pins.splitlines()[1]
    assert "://" not in pins
    assert not re.search(r"^-", pins, re.MULTILINE)


def test_the_workflow_sets_up_as_the_readme_tells_readers_to() -> None:
    workflow = text_of(".github/workflows/test.yml")
    (windows,) = re.findall(r"^py (-m venv .*)$", text_of("README.md"), re.MULTILINE)
    assert windows in workflow
    assert "bash .ci/run" in workflow
    assert text_of(".ci/run").splitlines()[-1] == "make test"
