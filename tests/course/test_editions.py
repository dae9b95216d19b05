"""The two editions of a lesson: what may differ between them, and what is caught when it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.files import Pair, lesson_pairs, pair_of
from course.notebooks.editions import (
    check_editions,
    prose_differences,
    source_hash,
    stale_cells,
    stamp,
)
from course.notebooks.normaliser import read_notebook, write_notebook
from course.notebooks.programs import code_difference


@pytest.mark.parametrize(
    ("french", "english"),
    [
        ("x = 1  # un", "x = 1  # one"),
        ("# à vous\n...", "# your turn\n..."),
        ("# seulement un commentaire", "# a comment alone"),
        ("def f():\n    '''Rend un.'''\n    return 1", "def f():\n    '''One.'''\n    return 1"),
        ("'''Note.'''", "'''Remark.'''"),
        ('start(language="fr")', 'start(language="en")'),
        ('open("notebooks/fr/a.ipynb")', 'open("notebooks/en/a.ipynb")'),
        ('x = "réseau simple"', 'x = "plain"'),
        ('plot(x, label="simple")', 'plot(x, label="plain")'),
        ('axis.set_xlabel("profondeur")', 'axis.set_xlabel("depth")'),
        ('plot(labels=["simple", "dense"])', 'plot(labels=["plain", "dense"])'),
        ('plot(labels={"plain": "simple"})', 'plot(labels={"plain": "ordinary"})'),
        ('print("erreur:", x)', 'print("error:", x)'),
        ('print("a" if x else "b")', 'print("c" if x else "d")'),
        ('print("{n}-fois".format(n=n))', 'print("{n}-times".format(n=n))'),
        ('print("-fois".join(names))', 'print("-times".join(names))'),
        ('f"{error:.1%} d\'erreur"', 'f"{error:.1%} error"'),
        ('f"Sur {n} images, {k} vues"', 'f"{k} seen of {n} images"'),
        ('f"profondeur={d}"', 'f"depth={d}"'),
        ("print(f\"{'vu' if x else 'rien'}, {n}\")", "print(f\"{'vu' if x else 'rien'} {n}\")"),
        ("x = 1", "x    =   (1)"),
    ],
)
def test_comments_texts_and_layout_may_differ(french: str, english: str) -> None:
    assert code_difference(french, english) is None


@pytest.mark.parametrize(
    ("french", "english"),
    [
        ('load("digits")', 'load("cifar10")'),
        ('print(load("digits"))', 'print(load("cifar10"))'),
        ("print(f\"{row['train']}\")", "print(f\"{row['test']}\")"),
        ('plot(color="#0072B2")', 'plot(color="#D55E00")'),
        ('plot(labels={"plain": "x"})', 'plot(labels={"residual": "x"})'),
        ('record["train_error"]', 'record["test_error"]'),
        ('open("data/a.csv")', 'open("data/b.csv")'),
        ('open(f"data/{name}.csv")', 'open(f"donnees/{name}.csv")'),
        ('start(language="fr")', 'start(language="de")'),
        ("x = 20", "x = 56"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = None", "x = 0"),
        ("x = b'a'", "x = b'c'"),
        ("x = 1", "y = 1"),
        ("x = a + b", "x = a - b"),
        ("x.mean()", "x.sum()"),
        ("f(depth=1)", "f(width=1)"),
        ("f(a, b=1)", "f(a)"),
        ("x = 1", "x = 1\ny = 2"),
        ("for i in r:\n    a()\nb()", "for i in r:\n    a()\n    b()"),
        ('f"{error:.1%}"', 'f"{error:.2%}"'),
        ('f"{error}"', 'f"{loss}"'),
        ('f"{error}"', 'f"{error!r}"'),
        ('f"vu {n} fois sur {k}"', 'f"seen {n} times"'),
        ('print("vu {n} fois")', 'print(f"seen {n} times")'),
        ('print("vu {n} fois".format(n=n))', 'print("seen".format(n=n))'),
        ('axis.set_title("profondeur")', 'axis.set_title("")'),
        ("import torch", "import numpy"),
        ("import torch", "import torch as t"),
        ("async def f(): ...", "def f(): ..."),
    ],
)
def test_a_program_that_differs_is_caught(french: str, english: str) -> None:
    assert code_difference(french, english) is not None
    assert code_difference(english, french) is not None
    assert code_difference(french, french) is None


def test_the_sentence_gives_the_line_and_both_sides() -> None:
    assert code_difference("x = 1\n\nload('digits')", "x = 1\n\nload('cifar10')") == (
        "line 3 of the code differs: 'digits' in French, 'cifar10' in English."
    )


def test_code_that_does_not_parse_is_said_in_a_sentence() -> None:
    assert "the English code is not Python" in (code_difference("x = 1", "x = ") or "")


@pytest.mark.parametrize(
    ("french", "english"),
    [
        ("# Coût\n\n## Détails", "# Cost\n\n## Details"),
        ("1 437 images à 0,5 %", "1,437 images at 0.5%"),
        ("1\u202f437 images et 1\u00a0000\u00a0000 de pas", "1437 images and 1,000,000 steps"),
        ("les profondeurs 8 200", "depths 8 200"),
        ("les profondeurs 8, 20, 56", "depths 8, 20, 56"),
        ("de 2–5 % à 74 %", "from 2–5% to 74%"),
        ("le 10 décembre 2015", "December 10, 2015"),
        ("ResNet-152 et arXiv 1512.03385", "arXiv 1512.03385 and ResNet-152"),
        ("$0{,}5$ et $1\\,437$", "$0.5$ and $1{,}437$"),
        ("$0,5$", "$0.5$"),
        ("$(3,32,32)$", "$(3,32,32)$"),
        ("$e_{\\text{appr}} = x_1$", "$e_{\\text{train}}=x_1$"),
        ("$$\na \\, b\n$$", "$$a b$$"),
        ("un prix de 5 $ ou 6 $", "a price of $5 or $6"),
        ("voir [la leçon](../fr/01_x.ipynb#debut)", "see [the lesson](../en/01_x.ipynb#start)"),
        (
            "[CNN](https://fr.wikipedia.org/wiki/R%C3%A9seau_10)",
            "[CNN](https://en.wikipedia.org/wiki/Network)",
        ),
        ("[en anglais](../en/01_x.ipynb)", "[in French](../fr/01_x.ipynb)"),
        (
            "![Une carte](https://example.org/a1.png)",
            "![A map](https://example.org/a1.png)",
        ),
        ('<img alt="un" src="https://a.b/c.png">', '<img src="https://a.b/c.png" alt="one">'),
        (
            "<details><summary>Indice</summary>\n\nOui.</details>",
            "<details><summary>Hint</summary>\n\nYes.</details>",
        ),
        ("```python\nx = 1  # un\n```", "```python\nx = 1  # one\n```"),
        ("```\n# pas un titre 7\n```", "```\nno title\n```"),
        ("`f(1)` rend 2", "`f(1)` gives 2"),
    ],
)
def test_prose_may_be_translated(french: str, english: str) -> None:
    assert prose_differences(french, english) == []


@pytest.mark.parametrize(
    ("french", "english", "subject"),
    [
        ("# Coût", "## Cost", "headings"),
        ("# Coût", "Cost", "headings"),
        ("<details></details>", "", "folded"),
        ("$a$ et $b$", "$a$ and b", "formulas"),
        ("$a_1$", "$a_2$", "numbers"),
        ("$$a + b$$", "$$a - b$$", "formulas"),
        ("[x](https://a.org/x)", "[x](https://a.org/y)", "links"),
        ("<https://a.org/x>", "", "links"),
        ("[x][1]\n\n[1]: https://a.org/x", "[x][1]\n\n[1]: https://a.org/y", "links"),
        ('<a href="https://a.org/x">x</a>', "x", "links"),
        ("![x](https://a.org/x.png)", "![x](https://a.org/y.png)", "images"),
        ("20 époques", "30 epochs", "numbers"),
        ("0,5 %", "0.05%", "numbers"),
        ("1 437 images", "1,473 images", "numbers"),
        ("3 réseaux", "networks", "numbers"),
        ("`f(1)`", "`f(2)`", "numbers"),
        ("```python\nx = 1\n```", "```python\nx = 2\n```", "block of code 1"),
        ("```python\nx = 1\n```", "```\nx = 1\n```", "blocks of code"),
        ("```python\nx = 1\n```", "", "blocks of code"),
    ],
)
def test_prose_built_otherwise_is_caught(french: str, english: str, subject: str) -> None:
    faults = prose_differences(french, english)
    assert len(faults) == 1, faults
    assert subject in faults[0]


def test_numbers_are_named_where_they_differ() -> None:
    assert prose_differences("deux", "2") == ["numbers differ: only in English: 2."]


def cells(language: str) -> list[NotebookNode]:
    if language == "fr":
        return [
            new_markdown_cell("# Titre\n\nSur 20 époques.", id="title"),
            new_code_cell('language = "fr"', id="settings", metadata={"tags": ["parameters"]}),
            new_code_cell("x = 1  # un", id="one"),
        ]
    return [
        new_markdown_cell("# Title\n\nIn 20 epochs.", id="title"),
        new_code_cell('language = "en"', id="settings", metadata={"tags": ["parameters"]}),
        new_code_cell("x = 1  # one", id="one"),
    ]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A small lesson in both editions, its translation recorded."""
    answer = pair_of(tmp_path / "fr" / "01_small.ipynb")
    for path in answer:
        path.parent.mkdir()
        write_notebook(path, new_notebook(cells=cells(path.parent.name)))
    stamp(answer)
    return answer


def change(path: Path, cell: str, **fields: Any) -> None:
    notebook = read_notebook(path)
    for one in notebook.cells:
        if one.id == cell:
            one.metadata.update(fields.pop("metadata", {}))
            one.update(fields)
    write_notebook(path, notebook)


def only(faults: list[str]) -> str:
    assert len(faults) == 1, faults
    return faults[0]


def test_a_translated_lesson_passes_and_records_the_hash_of_each_french_cell(pair: Pair) -> None:
    assert check_editions(pair) == []
    assert stale_cells(pair) == []
    recorded = [cell.metadata["translation_of"] for cell in read_notebook(pair.english).cells]
    assert recorded == [source_hash(cell.source) for cell in cells("fr")]


def test_a_change_in_french_makes_its_translation_stale(pair: Pair) -> None:
    change(pair.french, "title", source="# Titre\n\nEn 20 époques, pas plus.")
    fault = only(check_editions(pair))
    assert fault.startswith("en/01_small.ipynb, cell `title` (“# Title”): follows an earlier F")
    shown = only(stale_cells(pair))
    assert shown.splitlines()[1:] == ["    # Titre", "    ", "    En 20 époques, pas plus."]
    change(pair.french, "one", source="x = 1  # le premier")
    assert "cell `one`" in check_editions(pair)[1]


def test_a_cell_without_record_is_named(pair: Pair) -> None:
    notebook = read_notebook(pair.english)
    del notebook.cells[2].metadata["translation_of"]
    write_notebook(pair.english, notebook)
    assert "does not say which French text" in only(check_editions(pair))


def test_a_cell_of_one_edition_alone_is_named(pair: Pair) -> None:
    notebook = read_notebook(pair.french)
    notebook.cells[2] = new_markdown_cell("Du nouveau", id="new")
    write_notebook(pair.french, notebook)
    french, english = check_editions(pair)
    assert "cell `new` (“Du nouveau”) is in French only" in french
    assert "cell `one` (“x = 1  # one”) is in English only" in english
    assert "is not there in English yet" in only(stale_cells(pair))


def test_cells_in_another_order_are_named(pair: Pair) -> None:
    notebook = read_notebook(pair.french)
    notebook.cells = notebook.cells[::-1]
    write_notebook(pair.french, notebook)
    assert "`one` in French where `title` is" in only(check_editions(pair))


def test_another_type_or_other_tags_are_named(pair: Pair) -> None:
    change(pair.english, "one", metadata={"tags": ["slow"]})
    assert "the tags differ: [] in French, ['slow'] in English" in only(check_editions(pair))
    notebook = read_notebook(pair.english)
    notebook.cells[2] = new_markdown_cell(
        "x = 1", id="one", metadata=dict(notebook.cells[2].metadata, tags=[])
    )
    write_notebook(pair.english, notebook)
    assert "the types differ" in only(check_editions(pair))


def test_recording_is_all_or_nothing(pair: Pair) -> None:
    change(pair.french, "title", source="# Titre\n\nLes 20 époques.")
    change(pair.french, "one", source="x = 2")
    before = pair.english.read_bytes()
    with pytest.raises(ValueError, match="differs: 2 in French, 1 in English"):
        stamp(pair)
    assert pair.english.read_bytes() == before
    assert stamp(pair, ["title"]) == ["title"]
    assert "cell `one`" in check_editions(pair)[0]


def test_recording_what_is_recorded_writes_nothing(pair: Pair) -> None:
    before = pair.english.stat().st_mtime_ns
    assert stamp(pair) == []
    assert pair.english.stat().st_mtime_ns == before


def test_recording_a_cell_that_does_not_exist_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="cell `other` is not in both editions"):
        stamp(pair, ["other"])


def test_recording_keeps_outputs_and_other_metadata(pair: Pair) -> None:
    notebook = read_notebook(pair.english)
    notebook.cells[2].outputs = [new_output("stream", name="stdout", text="1\n")]
    notebook.cells[2].metadata["ours"] = {"kept": [1]}
    write_notebook(pair.english, notebook)
    change(pair.french, "one", source="x = 1  # le premier")
    stamp(pair)
    cell = json.loads(pair.english.read_text(encoding="utf-8"))["cells"][2]
    assert cell["outputs"][0]["text"] == ["1\n"]
    assert cell["metadata"]["ours"] == {"kept": [1]}
    assert cell["metadata"]["translation_of"] == source_hash("x = 1  # le premier")


def test_a_lesson_is_found_from_either_edition_or_its_folder_and_once(pair: Pair) -> None:
    folder = pair.french.parent.parent
    hidden = folder / "fr" / ".ipynb_checkpoints"
    hidden.mkdir()
    (hidden / "01_small-checkpoint.ipynb").write_text("{}", encoding="utf-8")
    assert lesson_pairs([folder]) == lesson_pairs([pair.french, pair.english]) == [pair]
    assert lesson_pairs([], default=folder) == [pair]
    assert lesson_pairs([], default=folder / "none") == []


@pytest.mark.parametrize("name", ["fr/none.ipynb", "none"])
def test_a_path_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="There is no notebook"):
        lesson_pairs([tmp_path / name])


@pytest.mark.parametrize("name", ["01.ipynb", "de/01.ipynb", "fr/01.py"])
def test_a_path_that_is_no_edition_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not an edition of a lesson"):
        pair_of(Path(name))
