"""The authors' commands: an example in every help, and nothing loaded before it is needed."""

import subprocess
import sys

import pytest

from course_utils.cli import main

COMMANDS = [
    *(["badges"], ["student"], ["glossary"], ["links"]),
    *(["notebooks", "opening"], ["notebooks", "stale"], ["messages", "check"]),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_command_explains_itself_with_an_example(
    words: list[str], language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--language", language, *words, "--help"])
    assert end.value.code == 0
    example = "Exemple" if language == "fr" else "Example"
    shown = capsys.readouterr().out.replace("\N{NARROW NO-BREAK SPACE}", "").replace(" :", ":")
    assert f"{example}:\n  python -m course_utils {words[0]}" in shown.replace(
        "\N{NO-BREAK SPACE}", ""
    )


@pytest.mark.parametrize("command", [["badges", "--repo", "x"], ["links"]], ids=" ".join)
def test_what_a_workflow_runs_needs_neither_torch_nor_a_runner_of_notebooks(
    command: list[str],
) -> None:
    # The workflows install a few packages for these, in seconds.
    code = (
        "import sys; from course_utils.cli import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'papermill', 'nbconvert', 'nbclient', 'matplotlib'};"
        "print(heavy & sys.modules.keys())"
    )
    answer = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "set()", answer.stderr
