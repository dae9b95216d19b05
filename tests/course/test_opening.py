"""The first code cell: the same code in every notebook, with an address from one place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course import address
from course.files import REPOSITORY, Pair, pair_of
from course.notebooks.editions import check_editions, source_hash, stamp
from course.notebooks.normaliser import normalise, read_notebook, write_notebook
from course.notebooks.opening import (
    opening_cell,
    opening_source,
    put_openings,
    with_opening,
)


def lesson(language: str) -> NotebookNode:
    words = {"fr": ("# Titre", "un"), "en": ("# Title", "one")}[language]
    return normalise(
        new_notebook(
            cells=[
                new_markdown_cell(words[0], id="title"),
                new_code_cell(
                    f'print("{words[1]}")',
                    id="one",
                    execution_count=1,
                    outputs=[new_output("stream", name="stdout", text="x\n")],
                ),
            ]
        )
    )


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    answer = pair_of(tmp_path / "fr" / "01_small.ipynb")
    for path in answer:
        path.parent.mkdir()
        write_notebook(path, lesson(path.parent.name))
    stamp(answer)
    return answer


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_cell_is_in_the_projects_layout(language: str, tmp_path: Path) -> None:
    path = tmp_path / "notebooks" / language / "01_small.ipynb"
    path.parent.mkdir(parents=True)
    write_notebook(path, with_opening(lesson(language), language, "ada/" + 30 * "x"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for words in (["check"], ["format", "--check"]):
        answer = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stdout


def test_the_cell_opens_with_a_title_since_a_folded_cell_shows_its_first_line() -> None:
    cell = opening_cell("")
    assert cell.source.startswith("# @title ")
    assert cell.metadata["jupyter"]["source_hidden"]
    assert normalise(new_notebook(cells=[cell])).cells[0].metadata == cell.metadata


def test_both_editions_get_the_cell_in_their_language_after_the_title_and_stay_in_step(
    pair: Pair,
) -> None:
    assert put_openings(list(pair), "") == list(pair)
    french, english = (read_notebook(path) for path in pair)
    assert [cell.id for cell in french.cells] == ["title", "opening", "one"]
    assert french.cells[1].source == opening_source("", "fr")
    assert english.cells[1].source == opening_source("", "en")
    assert english.cells[1].metadata["translation_of"] == source_hash(opening_source("", "fr"))
    assert re.search("[éàô]", opening_source("", "fr")) and opening_source("", "en").isascii()
    assert [cell.execution_count for cell in french.cells[1:]] == [1, 2]
    assert french.cells[2].outputs == lesson("fr").cells[1].outputs
    assert check_editions(pair) == []


def test_a_cell_put_twice_is_there_once(pair: Pair) -> None:
    put_openings(list(pair), "")
    before = pair.english.read_bytes()
    assert put_openings(list(pair), "") == []
    assert pair.english.read_bytes() == before


def test_a_new_address_renews_the_cell_and_only_it(pair: Pair) -> None:
    put_openings(list(pair), "")
    before = read_notebook(pair.english)
    put_openings(list(pair), "ada/course")
    after = read_notebook(pair.english)
    assert 'address = "https://github.com/ada/course"' in after.cells[1].source
    assert [before.cells[n] for n in (0, 2)] == [after.cells[n] for n in (0, 2)]
    assert check_editions(pair) == []


GOOD = ["ada/course", "a/b", "Ada-Lovelace/deep.learning_2", "a1/.github"]
BAD = [
    *("", "course", "ada/", "/course", "ada/course/x", "ada/course.git", "-ada/course"),
    *("a_b/.", "a.b/course", "ada/..", "ada/a b", 'ada/a"b', "ada/a\nb", "ada/cours€"),
    *("https://github.com/ada/course", "git@github.com:ada/course", f"{40 * 'a'}/b"),
]


@pytest.mark.parametrize("name", GOOD)
def test_a_name_that_github_takes_is_taken(name: str) -> None:
    assert address.check_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_name_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not the name of a repository on GitHub: give owner/name"
    ):
        address.check_name(name)


README = """# Course

<!-- badges -->
<!-- /badges -->

Read it. <!-- web --><!-- /web -->

git clone https://github.com/OWNER/NAME course

| | French | English |
|---|---|---|
| 1 | [`01_a`](notebooks/fr/01_a.ipynb) | [`01_a`](notebooks/en/01_a.ipynb) |

See [`01_a`](notebooks/en/01_a.ipynb) and [`x`](notebooks/GLOSSARY.md).
"""


def test_each_lesson_of_the_table_gets_a_badge_for_each_language() -> None:
    stamped = address.with_badges(README, "ada/course")
    shown = "[![Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    place = "https://colab.research.google.com/github/ada/course/blob/main/notebooks"
    assert f"(notebooks/fr/01_a.ipynb) {shown}({place}/fr/01_a.ipynb) |" in stamped
    assert f"(notebooks/en/01_a.ipynb) {shown}({place}/en/01_a.ipynb) |" in stamped
    assert stamped.count(shown) == 2
    assert stamped.count("github.com/ada/course/actions/workflows/test.yml/badge.svg") == 1


def test_the_web_edition_and_the_address_to_clone_follow() -> None:
    stamped = address.with_badges(README, "Ada/course")
    web = "[ada.github.io/course](https://ada.github.io/course/)"
    assert f"Read it. <!-- web -->The web edition: {web}.<!-- /web -->\n" in stamped
    assert "\ngit clone https://github.com/Ada/course course\n" in stamped


def test_badges_are_replaced_and_taken_out_again() -> None:
    stamped = address.with_badges(README, "ada/course")
    assert address.with_badges(stamped, "ada/course") == stamped
    assert "ada/course" not in address.with_badges(stamped, "bob/fork")
    assert address.with_badges(address.with_badges(stamped, "bob/fork"), "") == README


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of the course that show its address, not stamped."""
    for name in ("pyproject.toml", *address.READMES, address.CITATION):
        shutil.copy(REPOSITORY / name, tmp_path)
    address.stamp_address("", tmp_path)
    return tmp_path


def test_the_address_is_written_everywhere_and_taken_out_again(root: Path) -> None:
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    assert address.repository(root) == ""
    stamped = address.stamp_address("ada/course", root)
    assert {path.name for path in stamped} == before.keys()
    assert address.repository(root) == "ada/course"
    assert address.stamp_address("ada/course", root) == []
    for path in root.iterdir():
        assert "ada/course" in path.read_text(encoding="utf-8")
    address.stamp_address("", root)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before


def test_a_refused_stamp_writes_nothing(root: Path) -> None:
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(ValueError, match="not the name of a repository"):
        address.stamp_address("nonsense", root)
    (root / "README.md").write_text("# Course\n", encoding="utf-8")
    with pytest.raises(ValueError, match="one place for the badges"):
        address.stamp_address("ada/course", root)
    assert (root / "pyproject.toml").read_bytes() == before["pyproject.toml"]


def test_what_shows_the_address_shows_that_of_the_project() -> None:
    name = address.repository()
    for readme in address.READMES:
        text = (REPOSITORY / readme).read_text(encoding="utf-8")
        assert address.with_badges(text, name, readme) == text
