"""A lesson made ready for its page: what is folded, where links lead, how long it takes."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.site.dressing import lesson_ways
from course.site.reading import exercises_in, minutes_of, prepared


def tags_of(source: str, *tags: str) -> list[str]:
    title = new_markdown_cell("# Lesson")
    notebook = new_notebook(cells=[title, new_code_cell(source, metadata={"tags": [*tags]})])
    return prepared(notebook).cells[1].metadata["tags"]


def test_code_that_only_draws_is_folded_and_no_other_is() -> None:
    assert "hide-input" in tags_of('diagrams.picture("cam")')
    assert "hide-input" in tags_of("plots.lines(\n    found, xlabel='depth'\n)")
    assert "hide-input" in tags_of("import torch", "setup")
    for taught in (
        "net = gap_net()\nplots.lines(net)",
        "print(plots.lines(x))",
        "plotter.draw(x)",
        "",
        "my_bet = ...",
        "%matplotlib inline",
    ):
        assert "hide-input" not in tags_of(taught), taught


def test_each_cell_of_prose_but_the_title_begins_with_a_place_named_after_it() -> None:
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Lesson", id="title"),
            new_markdown_cell("## Part", id="part"),
            new_code_cell("1 + 1", id="sum"),
        ]
    )
    shown = prepared(notebook)
    assert [cell.source for cell in shown.cells] == [
        "# Lesson",
        '<span id="cell-part"></span>\n\n## Part',
        "1 + 1",
    ]
    assert notebook.cells[1].source == "## Part"  # the lesson itself is left as it is


def test_reading_time_counts_prose_and_not_code() -> None:
    code = "```python\n" + "x = 1\n" * 5000 + "```"
    for words, minutes in ((1, 5), (1000, 5), (1001, 10), (2900, 15)):
        notebook = new_notebook(cells=[new_markdown_cell("word " * words + "\n\n" + code)])
        assert minutes_of(notebook) == minutes
    exercise = new_code_cell("...", metadata={"tags": ["exercise"]})
    another = new_code_cell("...", metadata={"tags": ["exercise"]})
    assert exercises_in(new_notebook(cells=[exercise, new_code_cell("1"), another])) == 2


def test_a_page_leads_to_colab_and_to_reports_once_the_address_is_known() -> None:
    ways = lesson_ways("Ada/course", "fr", "01_conv_1x1", "1. <em>Une</em> &amp; deux")
    assert [way["href"] for way in ways] == [
        "https://colab.research.google.com/github/Ada/course/blob/main/notebooks/fr/01_conv_1x1.ipynb",
        "../01_conv_1x1.ipynb",
        "https://github.com/Ada/course/issues/new?title=1.%20Une%20%26%20deux",
        "../explorables/sliding_window.html",
    ]
    assert [way["href"] for way in lesson_ways("", "fr", "04_densenet", "4")] == [
        "../04_densenet.ipynb"
    ]
