"""The files that GitHub reads are valid, ask for little, and run commands that exist."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check
from click.testing import CliRunner, Result

from course import cli
from course.install import supported

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(
    path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
)
VALIDATED = [
    *((path, "github-workflows") for path in WORKFLOWS),
    *((path, "github-issue-forms") for path in FORMS),
    (ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml", "github-issue-config"),
    (ROOT / ".github" / "dependabot.yml", "dependabot"),
    (ROOT / "CITATION.cff", "citation-file-format"),
]


def valid(path: Path, schema: str) -> Result:
    return CliRunner().invoke(check, ["--builtin-schema", schema, str(path)])


def read(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def scripts(path: Path) -> list[str]:
    """The shell scripts of a workflow's steps."""
    jobs = read(path)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize(
    ("path", "schema"), VALIDATED, ids=[path.name for path, _schema in VALIDATED]
)
def test_what_github_reads_is_valid(path: Path, schema: str) -> None:
    answer = valid(path, f"vendor.{schema}")
    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("path", WORKFLOWS, ids=stem)
def test_every_job_ends_within_a_given_time(path: Path) -> None:
    assert valid(path, "custom.github-workflows-require-timeout").exit_code == 0


def test_every_action_is_pinned_to_one_commit_and_says_its_version() -> None:
    texts = [path.read_text(encoding="utf-8") for path in WORKFLOWS]
    used = {action for text in texts for action in re.findall(r"uses: (.+)", text)}
    assert len({action.split("@")[0] for action in used}) == len(used)
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=stem)
def test_a_workflow_may_read_and_what_writes_waits_for_the_owner_to_start_it(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] in ({"contents": "read"}, {})
    # Keeping GitHub's token for later commands is for the one job that pushes.
    for name, job in workflow["jobs"].items():
        pushes = job.get("permissions", {}).get("contents") == "write"
        assert pushes == ((path.stem, name) == ("stamp", "stamp"))
        if pushes:
            # YAML takes the word "on" for true.
            assert workflow[True] == {"workflow_dispatch": None}
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                kept = step.get("with", {}).get("persist-credentials", True)
                assert kept == pushes, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=stem)
def test_nothing_from_outside_is_written_into_a_script(path: Path) -> None:
    # An expression would be pasted as code; a variable of the environment is only read.
    assert [script for script in scripts(path) if "${{" in script] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=stem)
def test_every_command_that_a_workflow_runs_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for script in scripts(path):
        assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= targets
        for line in re.findall(r"-m course (.+)", script):
            assert cli._parser().parse_args(line.split()).handler
        for file in re.findall(r"(?:bash|python|-r|--constraint) ([\w./-]+\.\w+)", script):
            assert (ROOT / file).is_file(), file


def test_a_codespace_installs_as_the_readme_says() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert container["postCreateCommand"] == "bash .devcontainer/install.sh"
    script = (ROOT / ".devcontainer" / "install.sh").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make ([a-z]+)$", script, re.MULTILINE)
    assert targets and all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in targets)
    python = re.search(r"python:3\.(\d+)", container["image"])
    assert python is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert supported(project["requires-python"], (3, int(python[1])))


def test_every_system_and_every_python_is_tested() -> None:
    (workflow,) = [path for path in WORKFLOWS if path.stem == "test"]
    matrix = read(workflow)["jobs"]["test"]["strategy"]["matrix"]["include"]
    assert {row["os"] for row in matrix} == {"ubuntu-latest", "macos-latest", "windows-latest"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = {
        f"3.{minor}" for minor in range(30) if supported(project["requires-python"], (3, minor))
    }
    assert {row["python"] for row in matrix} == pythons
