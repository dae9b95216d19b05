"""The two READMEs say the same, and what they show exists."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from course.notebooks import markdown
from course.notebooks.normaliser import read_notebook
from course.pictures import readme_figures, write_readme_figures

ROOT = Path(__file__).parents[2]
TIMES = ROOT / "benchmarks" / "results" / "lessons_time.json"
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
    # Each names first the lessons in its own language; the table has both.
    others = [
        [
            link.replace("notebooks/fr/", "notebooks/en/")
            for link in each
            if not link.startswith(("README", "#"))
        ]
        for each in links
    ]
    assert others[0] == others[1]


@pytest.mark.parametrize("text", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_what_it_links_to_in_itself_is_there(text: str) -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading.text.lower()).replace(" ", "-")
        for heading in markdown.headings(text)
    }
    within = [link[1:] for link in markdown.links(text) if link.startswith("#")]
    assert len(within) == 2 and set(within) <= headings


@pytest.mark.parametrize("text", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_the_table_leads_to_both_editions_of_each_of_its_lessons(text: str) -> None:
    shown = re.findall(r"\]\((notebooks/(?:fr|en)/\w+\.ipynb)\)", text)
    there = [path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*/*.ipynb")]
    assert set(shown) <= set(there)
    assert {path.replace("/fr/", "/en/") for path in shown} <= set(shown)
    numbers = [int(number) for number in re.findall(r"^\| (\d) \|", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("text", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_the_table_calls_each_lesson_by_its_title(text: str) -> None:
    rows = re.findall(r"^\| \d \|.*$", text, re.MULTILINE)
    shown = {
        path: title
        for row in rows
        for title, path in re.findall(r"\[([^]]+)\]\((notebooks/[\w/]+\.ipynb)\)", row)
    }
    titles = {
        path: re.match(r"# \d\. (.+)", read_notebook(ROOT / path).cells[0].source) for path in shown
    }
    assert len(shown) == 10
    assert {path: " ".join(title.split()) for path, title in shown.items()} == {
        path: " ".join(match[1].split()) for path, match in titles.items() if match
    }


def minutes(language: str) -> dict[str, int]:
    """How long each lesson computes, as its own top says."""
    return {
        path.stem: int(match[1])
        for path in (ROOT / "notebooks" / language).glob("*.ipynb")
        if (match := re.search(r"(\d+) minutes", read_notebook(path).cells[0].source))
    }


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (FRENCH, "fr")], ids=["en", "fr"])
def test_the_table_gives_each_lesson_the_time_that_it_gives_itself(
    text: str, language: str
) -> None:
    rows = re.findall(r"^\| \d \| .*?/(\w+)\.ipynb\).* \| (\d+) min \|$", text, re.MULTILINE)
    assert {stem: int(time) for stem, time in rows} == minutes(language)
    assert len(rows) == 5


@pytest.mark.skipif(not TIMES.exists(), reason="the lessons' time has not been measured")
def test_no_lesson_takes_longer_than_it_says_or_less_than_half() -> None:
    said = minutes("fr")
    for stem, seconds in json.loads(TIMES.read_text(encoding="utf-8"))["seconds"].items():
        assert said[stem] / 2 <= seconds / 60 < said[stem] + 0.5, stem


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (FRENCH, "fr")], ids=["en", "fr"])
def test_the_figures_are_those_that_the_lessons_store_with_their_descriptions(
    text: str, language: str
) -> None:
    figures = {
        figure.path.relative_to(ROOT).as_posix(): figure
        for figure in readme_figures(ROOT)
        if figure.path.stem.endswith(f".{language}")
    }
    shown = {image.target: image.alt or "" for image in markdown.images(text)}
    assert list(shown) == list(figures) and len(figures) == 2
    for target, figure in figures.items():
        assert figure.path.read_bytes() == figure.png, "run make images"
        assert len(figure.png) < 150_000
        # The README's description is the beginning of the lesson's.
        alt = " ".join(unescape(shown[target]).split())
        assert len(alt) > 40 and " ".join(figure.description.split()).startswith(alt)


def test_no_file_is_left_of_a_figure_that_no_readme_shows() -> None:
    there = set((ROOT / "images" / "readme").iterdir())
    assert there == {figure.path for figure in readme_figures(ROOT)}


def test_a_lesson_that_lost_the_figure_of_the_readmes_is_named(tmp_path: Path) -> None:
    for path in (ROOT / "notebooks").glob("*/0[23]_*.ipynb"):
        lesson = json.loads(path.read_text(encoding="utf-8"))
        for cell in lesson["cells"]:
            if cell["id"] == "by-depth":
                cell["outputs"] = []
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps(lesson), encoding="utf-8")
    with pytest.raises(ValueError, match=r"03_degradation.* has no figure in its cell 'by-depth'"):
        write_readme_figures(tmp_path)
    assert not (tmp_path / "images").exists()
