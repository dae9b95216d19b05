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
PIN_FILES = ("requirements.txt", "requirements-dev.txt")
LEARNERS, PINS = (
    dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text_of(name), re.MULTILINE)) for name in PIN_FILES
)
PROJECT = tomllib.loads(text_of("pyproject.toml"))
TARGETS = dict(re.findall(r"^([a-z-]+):.*?## (.+)$", text_of("Makefile"), re.MULTILINE))

needs_make = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None,
    reason="make is not there, or is not the one of Linux and macOS",
)
# A Python that installs the course by putting itself in .venv.
COPIES_ITSELF = 'if [ "$3" = install ]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi'
# What a make that runs these tests hands on to the makes they start.
VARIABLES = set(re.findall(r"^([A-Z]+)\s*\?=", text_of("Makefile"), re.MULTILINE))
INHERITED = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", *VARIABLES}


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in INHERITED}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile and what it reads, and a stand-in for Python."""
    for name in ("Makefile", *PIN_FILES, "pyproject.toml"):
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
    assert set(re.findall(r"\b([A-Z]+)=", text_of("README.md"))) == VARIABLES


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
        ("lab", ["LESSON=3", "EDITION=en"], "-m course lab --language en --lesson 3"),
        ("lab", ["LESSON=3", "AFRESH=yes"], "-m course lab --language fr --lesson 3 --afresh"),
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
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lab", "PROFILE=quick"], "make lab does not use PROFILE; it uses AFRESH EDITION LESSON"),
        (["run", "LESON=3"], "make run does not use LESON; it uses EDITION LESSON PROFILE"),
        (["site", "EDITION=fr"], "make site does not use EDITION; it uses PYTHON TORCH"),
        (["run", "REPO=ada/course"], "make run does not use REPO"),
    ],
)
def test_an_argument_that_a_command_does_not_use_is_told_and_nothing_runs(
    arguments: list[str], said: str, bare: Path
) -> None:
    python = fake_python(bare, COPIES_ITSELF)
    answer = make(*arguments, f"PYTHON={python}", folder=bare)
    assert answer.returncode != 0
    assert said in answer.stderr
    assert not (bare / ".venv").exists()


@needs_make
def test_what_a_command_is_said_to_take_is_what_it_uses() -> None:
    for target, about in TARGETS.items():
        taken = re.search(r" \(([A-Z, ]+)\)$", about)
        listed = set(re.findall("[A-Z]+", taken[1])) if taken else set()
        (used,) = re.findall(rf"^USES_{target} *:= (.*)$", text_of("Makefile"), re.M) or [""]
        assert listed - {"TORCH"} == set(used.split()), target


@needs_make
@pytest.mark.parametrize(
    ("target", "words"),
    [("lab", "install"), ("install", "install"), ("check", "install --dev")],
)
def test_learners_get_their_pins_and_contributors_all(target: str, words: str, bare: Path) -> None:
    commands = make("-n", target, "TORCH=cpu", folder=bare).stdout.split("\n")
    installs = [line for line in commands if "course install" in line]
    assert [" ".join(line.split()) for line in installs] == [
        f"COURSE_LANGUAGE=fr python3 -m course {words} --torch cpu"
    ]


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
        return log.read_text(encoding="utf-8").count("course install")

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


def test_torch_is_pinned_in_the_release_that_the_project_holds() -> None:
    pins = [f"{name}=={LEARNERS[name]}" for name in ("torch", "torchvision")]
    assert pins == PROJECT["tool"]["uv"]["constraint-dependencies"]


def test_learners_have_the_versions_that_the_course_is_checked_with_and_fewer() -> None:
    assert LEARNERS.items() < PINS.items()
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = {
        re.split(r"[<>=\[]", line)[0]
        for line in [*PROJECT["project"]["dependencies"], *extras["run"]]
    }
    assert wanted <= LEARNERS.keys()
    tools = {"mypy", "playwright", "sphinx", "dask", "captum", "pytest", "ruff", "uv"}
    assert tools <= PINS.keys() and not tools & LEARNERS.keys()


def test_the_pins_leave_to_torch_what_torch_brings() -> None:
    assert not [name for name in PINS if re.match(r"nvidia-|cuda-|triton", name)]


def test_every_requirement_has_its_exact_pin_those_of_every_extra_too() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert "course_utils[cluster]" in extras["dev"]  # what the tests of clusters start
    wanted = [*PROJECT["project"]["dependencies"], *itertools.chain(*extras.values())]
    names = {re.split(r"[<>=\[]", line)[0] for line in wanted} - {PROJECT["project"]["name"]}
    assert names <= PINS.keys()


@pytest.mark.parametrize("name", PIN_FILES)
def test_every_pin_is_exact_and_they_say_how_they_were_made_and_name_no_index(name: str) -> None:
    pins = text_of(name)
    lines = [line for line in pins.splitlines() if not re.match("#|$", line)]
    assert all(re.match(r"[a-z0-9.-]+==[\w.]+( ; |\s*#|$)", line) for line in lines)
    assert "make pins" in pins.splitlines()[1]
    assert "://" not in pins
    assert not re.search(r"^-", pins, re.MULTILINE)


def test_the_workflow_sets_up_as_the_readme_tells_readers_to() -> None:
    workflow = text_of(".github/workflows/test.yml")
    (windows,) = re.findall(r"^py -3\.\d+ (-m course install)$", text_of("README.md"), re.MULTILINE)
    assert f"python {windows} --dev" in workflow
    assert "bash .ci/run" in workflow
    assert text_of(".ci/run").splitlines()[-1] == "make test"
