"""The two READMEs say the same, and what they show exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from course_utils.authoring import markdown

ROOT = Path(__file__).parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
FRENCH = (ROOT / "README.fr.md").read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """What the rows of the tables begin with, where that is code."""
    return re.findall(r"^\| (`[^|]+?`) \|", text, re.MULTILINE)


def test_both_have_the_same_sections() -> None:
    levels = [[heading.level for heading in markdown.headings(text)] for text in (ENGLISH, FRENCH)]
    assert levels[0] == levels[1]


def test_both_show_the_same_commands_in_the_same_order() -> None:
    assert markdown.fences(ENGLISH) == markdown.fences(FRENCH)
    assert first_cells(ENGLISH) == first_cells(FRENCH)


def test_both_name_the_same_commands_options_and_files() -> None:
    spans = [
        set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
        for text in (ENGLISH, FRENCH)
    ]
    assert spans[0] == spans[1]


def test_both_link_to_the_same_pages_and_to_one_another() -> None:
    links = [markdown.links(text) for text in (ENGLISH, FRENCH)]
    assert "README.fr.md" in links[0] and "README.md" in links[1]
    others = [[link for link in each if not link.startswith("README")] for each in links]
    assert others[0] == others[1]


@pytest.mark.parametrize("text", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_the_table_leads_to_both_editions_of_each_of_its_lessons(text: str) -> None:
    shown = re.findall(r"\]\((notebooks/(?:fr|en)/\w+\.ipynb)\)", text)
    there = [path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*/*.ipynb")]
    assert set(shown) <= set(there)
    assert {path.replace("/fr/", "/en/") for path in shown} <= set(shown)
    numbers = [int(number) for number in re.findall(r"^\| (\d) \|", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
