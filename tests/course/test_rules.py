"""The lessons' rules: a good lesson keeps them all, and each rule rejects a bad one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from course.authors import add_subcommands, rules
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.address import repository
from course.files import Pair, pair_of
from course.notebooks.editions import stamp
from course.notebooks.normaliser import read_notebook, write_notebook
from course.notebooks.opening import with_opening
from course.notebooks.rules import RULES, Lesson, Rule, check_lesson, read_lesson

FOLDED = "<details>\n<summary>{}</summary>\n\nx\n\n</details>"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_utils.i18n._chosen", "en")


def figure(alt: str = "Two curves") -> NotebookNode:
    return new_output(
        "display_data", data={"image/png": "iVBORw0KGgo="}, metadata={"image/png": {"alt": alt}}
    )


def good(language: str) -> NotebookNode:
    """The smallest lesson that keeps every rule."""
    french = language == "fr"
    opening = "# Leçon\n\n**Durée** : 3 min" if french else "# Lesson\n\n**Time**: 3 min"
    cells = [
        new_markdown_cell(opening, id="title"),
        new_code_cell(
            f'language = "{language}"',
            id="settings",
            metadata={"tags": ["parameters"]},
            execution_count=1,
        ),
    ]
    for number in range(4):
        cells += [
            new_code_cell(
                "...",
                id=f"exercise-{number}",
                metadata={"tags": ["exercise"]},
                outputs=[figure()],
                execution_count=1,
            ),
            new_markdown_cell(FOLDED.format("Indice" if french else "Hint"), id=f"hint-{number}"),
        ]
    cells.append(new_markdown_cell("## Quiz", id="quiz"))
    return with_opening(new_notebook(cells=cells), language, repository())


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    answer = pair_of(tmp_path / "fr" / "01_good.ipynb")
    for path in answer:
        path.parent.mkdir()
        write_notebook(path, good(path.parent.name))
    stamp(answer)
    return answer


def test_a_good_lesson_keeps_every_rule(pair: Pair) -> None:
    assert check_lesson(pair) == []


Change = Callable[[NotebookNode], object]


def text(source: str) -> Change:
    return lambda notebook: notebook.cells.append(new_markdown_cell(source, id="bad"))


def code(source: str = "x", **fields: object) -> Change:
    fields = {"execution_count": 6} | fields
    return lambda notebook: notebook.cells.append(new_code_cell(source, id="bad", **fields))


def without(cell: str) -> Change:
    def change(notebook: NotebookNode) -> None:
        notebook.cells = [one for one in notebook.cells if one.id != cell]

    return change


def retagged(cell: str, *tags: str) -> Change:
    def change(notebook: NotebookNode) -> None:
        for one in notebook.cells:
            if one.id == cell:
                one.metadata["tags"] = list(tags)

    return change


def opening(source: str) -> Change:
    def change(notebook: NotebookNode) -> None:
        notebook.cells[0].source = source

    return change


def html(table: str) -> NotebookNode:
    return new_output("display_data", data={"text/html": table, "text/plain": "table"})


BAD: list[tuple[Rule, Change]] = [
    (rules.in_normal_form, lambda notebook: notebook.metadata.update(papermill={})),
    (rules.in_normal_form, code(metadata={"collapsed": True})),
    (rules.in_normal_form, code(execution_count=99)),
    (rules.is_small, text("é" * 500_000)),
    (rules.is_executed, code(execution_count=None)),
    (
        rules.has_no_errors,
        code(outputs=[new_output("error", ename="ValueError", evalue="no", traceback=[])]),
    ),
    (rules.has_no_machine_paths, text("Look in /home/ada/course.")),
    (
        rules.has_no_machine_paths,
        code(outputs=[new_output("stream", name="stdout", text="/tmp/x/y\n")]),
    ),
    (rules.has_described_figures, without("exercise-0")),
    (rules.has_described_figures, code(outputs=[figure(" ")])),
    (
        rules.has_described_figures,
        code(outputs=[new_output("display_data", data={"image/png": "iVBORw0KGgo="})]),
    ),
    (rules.has_folded_hints, without("hint-0")),
    (rules.has_folded_hints, text("<details>\n<summary>Hint</summary>\nGlued\n</details>")),
    (rules.has_folded_hints, text("<details><summary>Hint</summary>Glued</details>")),
    (
        rules.has_folded_hints,
        text("<details>\n<summary>A</summary>\n```python\nx\n```\n</details>"),
    ),
    (rules.has_folded_hints, text("<details>\n<summary>Hint</summary>\n\nNever closed")),
    (rules.has_folded_hints, text("<details>\n\nNo summary\n\n</details>")),
    (rules.opens_as_every_lesson, without("opening")),
    (rules.has_parameters, without("settings")),
    (rules.has_parameters, code(metadata={"tags": ["parameters"]})),
    (rules.has_exercises, retagged("exercise-0")),
    (rules.has_known_tags, code(metadata={"tags": ["raises-exception"]})),
    (rules.has_outputs_to_compare, code(metadata={"tags": ["nbval-check-output"]})),
    (rules.has_portable_formulas, text(r"So \(x\)")),
    (rules.has_portable_formulas, text(r"So \[x\]")),
    (rules.has_portable_images, text("![A map](images/map.png)")),
    (rules.has_portable_images, text("![A map](attachment:map.png)")),
    (rules.has_portable_images, text("![](https://example.org/map.png)")),
    (rules.has_portable_images, text('<img src="https://example.org/map.png">')),
    (rules.has_portable_images, text('<img alt=" " src="https://example.org/map.png">')),
    (rules.has_ordered_headings, text("# A second title")),
    (rules.has_ordered_headings, text("#### Too deep")),
    (rules.has_ordered_headings, opening("## Lesson\n\n**Time**: 3 min")),
    (rules.has_headed_tables, text("| | | |\n|---|---|---|\n| a | b | c |")),
    (rules.has_headed_tables, text("| a | |\n|---|---|\n| a | b |")),
    (rules.has_headed_tables, text("\n|---|---|\n| a | b |")),
    (rules.has_headed_tables, text("<table><tr><td>a</td></tr></table>")),
    (rules.has_headed_tables, code(outputs=[html("<table><tr><td>a</td></tr></table>")])),
    (rules.states_its_duration, opening("# Lesson\n\nA while")),
    (rules.states_its_duration, opening("# Lesson\n\n**Durée** : 3 min")),
    (rules.states_its_duration, opening("# Lesson\n\n**Time**: short")),
    (rules.has_a_quiz, without("quiz")),
]


@pytest.mark.parametrize(
    ("rule", "change"), BAD, ids=[f"{rule.__name__}-{n}" for n, (rule, _change) in enumerate(BAD)]
)
def test_the_rule_rejects_a_bad_lesson_in_a_sentence(
    pair: Pair, rule: Rule, change: Change
) -> None:
    notebook = read_notebook(pair.english)
    change(notebook)
    write_notebook(pair.english, notebook)
    faults = rule(read_lesson(pair.english))
    assert faults
    assert all(fault.endswith(".") for fault in faults)


def test_every_rule_has_a_lesson_that_it_rejects() -> None:
    assert {rule for rule, _change in BAD} == set(RULES)


GOOD: list[tuple[Rule, Change]] = [
    (rules.has_described_figures, code(outputs=[html("<b>x</b>")])),
    (rules.has_folded_hints, text("`<details>` folds.\n\n```html\n<details>\n```")),
    (
        rules.has_folded_hints,
        text("<details open>\n<summary>A</summary>\n\n```python\nx\n```\n\n</details>"),
    ),
    (rules.has_known_tags, code(metadata={"tags": sorted(rules.TAGS)})),
    (rules.has_portable_formulas, text("$$\n\\begin{aligned} a \\\\[2pt] b \\end{aligned}\n$$")),
    (rules.has_portable_formulas, text("`\\(x\\)` is not read")),
    (rules.has_portable_images, text("![A map](https://example.org/map.png)")),
    (rules.has_portable_images, text("`![](map.png)` is not found")),
    (rules.has_ordered_headings, text("### Deeper\n\n## Back\n\n```\n# a comment\n```")),
    (rules.has_headed_tables, text("| | plain | residual |\n|:--|--:|---|\n| 8 | 1 | 2 |")),
    (rules.has_headed_tables, text("Above\n\n---\n\nbelow")),
    (rules.has_headed_tables, code(outputs=[html("<table><th>a</th></table>")])),
    (rules.states_its_duration, opening("# Lesson\n\n| Time | 3 min |")),
]


@pytest.mark.parametrize(
    ("rule", "change"), GOOD, ids=[f"{rule.__name__}-{n}" for n, (rule, _change) in enumerate(GOOD)]
)
def test_the_rule_accepts_what_only_looks_wrong(pair: Pair, rule: Rule, change: Change) -> None:
    notebook = read_notebook(pair.english)
    change(notebook)
    write_notebook(pair.english, notebook)
    assert rule(read_lesson(pair.english)) == []


def test_windows_line_ends_are_not_the_normal_form(pair: Pair) -> None:
    pair.english.write_bytes(pair.english.read_bytes().replace(b"\n", b"\r\n"))
    assert rules.in_normal_form(read_lesson(pair.english))


def test_the_duration_is_asked_for_in_the_language_of_the_edition() -> None:
    notebook = good("fr")
    assert rules.states_its_duration(Lesson("fr", "", notebook)) == []
    assert "“Time”" in rules.states_its_duration(Lesson("en", "", notebook))[0]


def test_a_lesson_without_its_other_edition_is_named(pair: Pair) -> None:
    pair.english.unlink()
    (fault,) = check_lesson(pair)
    assert fault.startswith("en/01_good.ipynb is missing")


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_subcommands(parser.add_subparsers())
    arguments = parser.parse_args(list(words))
    status = arguments.handler(arguments)
    assert isinstance(status, int)
    return status


def test_the_commands_check_mend_and_record(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(pair.french.parent.parent)
    assert command("notebooks", "check", folder) == 0
    assert "checked: 1" in capsys.readouterr().out

    notebook = read_notebook(pair.french)
    notebook.cells[0].source += ".\n"
    notebook.metadata["papermill"] = {}
    write_notebook(pair.french, notebook)
    assert command("notebooks", "check", str(pair.english)) == 1
    complaints = capsys.readouterr().err.splitlines()
    assert len(complaints) == 2
    assert "normal form" in complaints[0] and "cell `title`" in complaints[1]

    assert command("notebooks", "stale", folder) == 0
    assert "    # Leçon" in capsys.readouterr().out
    assert command("notebooks", "normalise", str(pair.french)) == 0
    assert command("notebooks", "translated", str(pair.french), "--cell", "title") == 0
    assert command("notebooks", "check", folder) == 0


@pytest.mark.parametrize("action", ["check", "normalise", "stale", "translated"])
def test_a_missing_notebook_is_one_sentence_and_no_traceback(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("notebooks", action, str(tmp_path / "fr" / "none.ipynb")) == 1
    assert "none.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["check"], ["normalise"], ["stale"], ["translated"]], ids=lambda words: str(words)
)
def test_help_shows_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("notebooks", *words, "--help")
    assert "python -m course notebooks" in capsys.readouterr().out
