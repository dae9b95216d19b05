"""The normal form of notebooks: what is kept, what is dropped, and that it is stable."""

from __future__ import annotations

import json
from pathlib import Path, PureWindowsPath
from typing import Any, cast

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.notebooks.normaliser import (
    Machine,
    machine_paths,
    normalise,
    normalise_file,
    notebook_text,
    read_notebook,
    unexecuted_cells,
    write_notebook,
)

MACHINE = Machine(root=Path("/srv/course"), home=Path("/home/ada"), host="lab-7")
PIXEL = "iVBORw0KGgoAAAANSUhEUg=="
WIDGET = "application/vnd.jupyter.widget-view+json"
BAR = "training:  40%|████      | 4/10 [00:01<00:02,  3.1it/s]"


def executed(*outputs: NotebookNode, count: int | None = 1, **fields: Any) -> NotebookNode:
    return new_notebook(
        cells=[
            new_code_cell(
                fields.pop("source", "x"), id="a", outputs=list(outputs), execution_count=count
            )
        ],
        **fields,
    )


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return new_output("stream", name=name, text=text)


def shown(data: dict[str, Any], **fields: Any) -> NotebookNode:
    return new_output("display_data", data=data, **fields)


def outputs(*given: NotebookNode, machine: Machine = MACHINE) -> list[NotebookNode]:
    """What the normaliser leaves of the outputs; twice, since the form must be stable."""
    once = normalise(executed(*given), machine)
    assert normalise(once, machine) == once
    return cast("list[NotebookNode]", once.cells[0].outputs)


def text_of(text: str, machine: Machine = MACHINE) -> str:
    left = outputs(stream(text), machine=machine)
    return "".join(output.text for output in left)


def test_counts_follow_the_order_of_cells_and_are_never_invented() -> None:
    notebook = new_notebook(
        cells=[
            new_code_cell("a", id="a", execution_count=7),
            new_code_cell("b", id="b"),
            new_markdown_cell("c", id="c"),
            new_code_cell(
                "d",
                id="d",
                execution_count=3,
                outputs=[new_output("execute_result", data={"text/plain": "1"}, execution_count=3)],
            ),
        ]
    )
    after = normalise(notebook, MACHINE)
    assert [cell.get("execution_count", "none") for cell in after.cells] == [1, None, "none", 2]
    assert after.cells[3].outputs[0].execution_count == 2
    assert unexecuted_cells(after) == ["cell `b` (“b”) was not executed: run the whole notebook."]


def test_what_the_authors_wrote_is_kept_and_the_notebook_given_is_not_changed() -> None:
    notebook = executed(metadata={"authors": ["Ada"], "title": "Lesson"}, count=5)
    kept = {
        "translation_of": "0123456789abcdef",
        "jupyter": {"source_hidden": True},
        "editable": False,
        "deletable": False,
        "ours": {"a": 1},
    }
    notebook.cells[0].metadata.update(kept, tags=["slow", "exercise", "slow"])
    before = notebook_text(notebook)
    after = normalise(notebook, MACHINE)
    assert after.cells[0].id == "a"
    assert after.cells[0].metadata == {**kept, "tags": ["exercise", "slow"]}
    assert after.metadata["authors"] == ["Ada"] and after.metadata["title"] == "Lesson"
    assert notebook_text(notebook) == before


def test_traces_of_the_run_and_of_editors_are_dropped() -> None:
    notebook = executed(
        metadata={
            "papermill": {"duration": 3.2},
            "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
            "colab": {"provenance": []},
            "vscode": {},
            "kernelspec": {"display_name": "course (3.11)", "name": "course", "language": "python"},
            "language_info": {"name": "python", "version": "3.11.7", "file_extension": ".py"},
        }
    )
    notebook.cells[0].metadata.update(
        {
            "execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"},
            "papermill": {"duration": 1.0, "status": "completed"},
            "ExecuteTime": {},
            "collapsed": False,
            "scrolled": True,
            "jupyter": {"outputs_hidden": True},
            "editable": True,
            "slideshow": {"slide_type": ""},
            "outputId": "x",
            "tags": [],
        }
    )
    after = normalise(notebook, MACHINE)
    assert after.cells[0].metadata == {}
    assert after.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_pieces_of_one_stream_are_joined_also_when_what_stood_between_vanishes() -> None:
    bar = stream(f"\r{BAR}\r{BAR}\n", "stderr")
    left = outputs(
        stream("a\n"), stream("b\n"), stream("c\n", "stderr"), stream("d\n"), bar, stream("e\n")
    )
    assert [(output.name, output.text) for output in left] == [
        ("stdout", "a\nb\n"),
        ("stderr", "c\n"),
        ("stdout", "d\ne\n"),
    ]


@pytest.mark.parametrize(
    "bar",
    [
        BAR,
        "  0%|          | 0/10 [00:00<?, ?it/s]",
        "100%|██████████| 1.02k/1.02k [00:00<00:00, 3.4kB/s]",
        "epoch: 12it [00:03,  3.9it/s]",
        "  0%|          | 00:00<?",
        "100%|##########| 10/10 [01:02:03<00:00,  1.0s/it, loss=0.5]",
    ],
)
def test_progress_bars_are_dropped_and_what_stands_around_them_is_not(bar: str) -> None:
    assert outputs(stream(f"\r{bar}", "stderr")) == []
    assert outputs(stream(f"{bar}\x1b[A\r{bar}\n", "stderr")) == []
    (left,) = outputs(stream(f"before\n\r{bar}\r{bar}\nafter\n", "stderr"))
    assert left.text == "before\nafter\n"
    (left,) = outputs(stream(f"before\n{bar}", "stderr"))
    assert left.text == "before\n"
    (left,) = outputs(stream(f"{bar}\r   \rdone\n", "stderr"))
    assert left.text == "done\n"


@pytest.mark.parametrize(
    "text",
    ["error: 40% | plain | 3/4 [done]\n", "| a | b |\n", "shape [3, 4]\n", "a\n\nb\n", "in 3.2 s"],
)
def test_what_only_looks_like_a_bar_is_kept(text: str) -> None:
    assert text_of(text) == text


def test_a_line_written_over_itself_keeps_its_last_state() -> None:
    assert text_of("1 of 3\r2 of 3\r3 of 3\nend\r\n") == "3 of 3\nend\n"


def test_widgets_leave_their_text_unless_it_is_only_their_name() -> None:
    (left,) = outputs(shown({WIDGET: {"model_id": "f00"}, "text/plain": "width: 3"}))
    assert left.data == {"text/plain": "width: 3"}
    for text in (BAR, "VBox(children=(IntSlider(value=3),))", "IntSlider(value=3)", ""):
        assert outputs(shown({WIDGET: {"model_id": "f00"}, "text/plain": text})) == []
    assert outputs(shown({WIDGET: {"model_id": "f00"}})) == []
    (left,) = outputs(
        shown({WIDGET: {}, "text/plain": "interactive(children=())", "image/png": PIXEL})
    )
    assert "image/png" in left.data


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_figures_keep_their_pixels_and_their_description(kind: str) -> None:
    about = {kind: {"alt": "Two curves", "width": 300}, "papermill": {"x": 1}}
    given = shown({kind: f"{PIXEL[:10]}\n{PIXEL[10:]}\n", "text/plain": "<Figure>"})
    given.metadata = about
    (left,) = outputs(given)
    assert left.data == {kind: PIXEL, "text/plain": "<Figure>"}
    assert left.metadata == {kind: {"alt": "Two curves", "width": 300}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/course/data/digits.npz", "data/digits.npz"),
        ("see file:///srv/course/images/a.svg", "see images/a.svg"),
        ("in '/srv/course', now", "in '.', now"),
        ("in /srv/course/ now", "in . now"),
        ("/srv/course2/data", "/srv/course2/data"),
        ("/srv/course-old", "/srv/course-old"),
        ("/mnt/srv/course/x", "/mnt/srv/course/x"),
        ("/home/ada/.cache/torch", "~/.cache/torch"),
        ("/home/adam/x", "/home/adam/x"),
        (
            "/tmp/ipykernel_123/456.py:3: UserWarning: slow",
            "cell.py:3: UserWarning: slow",
        ),
        (
            "/var/folders/a1/T/ipykernel_9/77.py:1: W",
            "cell.py:1: W",
        ),
        (r"C:\Users\ada\Temp\ipykernel_9\77.py:1: W", "cell.py:1: W"),
        ("<ipython-input-3-0a1b2c> in f()", "cell.py in f()"),
        (
            "/srv/course/.venv/lib/python3.11/site-packages/torch/nn/m.py:1: W",
            "site-packages/torch/nn/m.py:1: W",
        ),
        (r"D:\env\Lib\site-packages\torch\a.py", r"site-packages/torch\a.py"),
        ("/usr/lib/python3.11/json/decoder.py", "python/json/decoder.py"),
        ("<Line2D object at 0x7f3c12ab90>", "<Line2D object at 0x…>"),
        ("on lab-7, lab-70 and lab-7.local", "on localhost, lab-70 and localhost.local"),
        ("took 3.25 s, 1,437 images", "took 3.25 s, 1,437 images"),
    ],
)
def test_texts_lose_what_is_the_machines(text: str, expected: str) -> None:
    assert text_of(text) == expected


def test_texts_of_every_kind_of_output_are_cleaned() -> None:
    path = "/srv/course/data"
    left = outputs(
        shown({"text/html": f"<b>{path}</b>", "text/plain": path, "image/png": PIXEL}),
        new_output("error", ename="E", evalue=path, traceback=[path]),
    )
    assert left[0].data == {"text/html": "<b>data</b>", "text/plain": "data", "image/png": PIXEL}
    assert (left[1].evalue, left[1].traceback) == ("data", ["data"])


def test_windows_paths_become_relative_as_printed_and_as_repr_writes_them() -> None:
    # A folder of Windows on any system: only its spelling and its parts are looked at.
    root = cast("Path", PureWindowsPath(r"C:\work dir\course"))
    machine = Machine(root=root, home=Path("/h/x"), host="x")
    assert text_of(r"C:\work dir\course\data\a.npz", machine) == r"data\a.npz"
    assert text_of(r"'C:\\work dir\\course\\data'", machine) == "'data'"
    assert text_of("C:/work dir/course/data", machine) == "data"


@pytest.mark.parametrize("host", ["linux", "vm1", ""])
def test_a_host_that_is_a_word_and_the_root_of_a_disk_stay(host: str) -> None:
    machine = Machine(root=Path("/"), home=Path("/"), host=host)
    assert text_of("linux vm1 /usr/share/x", machine) == "linux vm1 /usr/share/x"


@pytest.mark.parametrize(
    "text",
    ["/home/x/data", "/Users/x/a", r"C:\Users\x\a", r"'D:\\Users\\x'", "/root/a", "/tmp/tmp1/a"],
)
def test_a_path_that_stays_is_named(text: str) -> None:
    notebook = executed(stream(f"read {text}\n"))
    (fault,) = machine_paths(notebook)
    assert "cell `a` (“x”) shows the path" in fault
    assert machine_paths(executed(source=f"open({text!r})"))
    about = executed(shown({"image/png": PIXEL}, metadata={"image/png": {"alt": text}}))
    assert machine_paths(about)


@pytest.mark.parametrize(
    "text",
    ["https://a.org/home/x", "data/home/x", "~/.cache", "a/tmp/b", "and/or", "./root/x", "I/O"],
)
def test_what_is_no_path_of_a_machine_is_left_alone(text: str) -> None:
    assert machine_paths(executed(stream(text), source=text)) == []


def test_the_file_has_sorted_keys_short_indents_and_plain_accents(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    raw = json.dumps(executed(stream("é\n"), source="x = 'é'"), indent=4)
    path.write_text(raw, encoding="utf-8")
    assert normalise_file(path, MACHINE) == (True, [])
    text = path.read_bytes().decode("utf-8")
    assert text.startswith('{\n "cells": [\n  {\n   "cell_type": "code",\n   "execution_count": 1,')
    assert text.endswith("}\n") and "é" in text and "\r" not in text
    assert json.loads(text)["nbformat_minor"] == 5
    before = path.stat().st_mtime_ns
    assert normalise_file(path, MACHINE) == (False, [])
    assert path.stat().st_mtime_ns == before


def test_only_what_the_author_must_mend_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    write_notebook(path, executed(stream("/home/bob/x"), count=None))
    _changed, remarks = normalise_file(path, MACHINE)
    assert len(remarks) == 2
    assert "was not executed" in remarks[0] and "/home/bob/x" in remarks[1]


def written(folder: Path, notebook: NotebookNode) -> Path:
    path = folder / "a.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_cells_of_an_older_format_get_ids_by_position(tmp_path: Path) -> None:
    old = executed()
    old["nbformat_minor"] = 4
    del old.cells[0]["id"]
    assert read_notebook(written(tmp_path, old)).cells[0].id == "cell-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"cells": []}',
        '{"cells": [], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}',
        '{"cells": [{"cell_type": "odd"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    ],
)
def test_what_is_no_notebook_is_refused_in_a_sentence_and_left_alone(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is not a notebook that the course can read"):
        normalise_file(path, MACHINE)
    assert path.read_text(encoding="utf-8") == text


def test_an_id_used_twice_is_refused(tmp_path: Path) -> None:
    notebook = executed()
    notebook.cells.append(notebook.cells[0])
    with pytest.raises(ValueError, match="a cell id is used twice: a"):
        read_notebook(written(tmp_path, notebook))


def test_a_missing_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a notebook that the course can read"):
        read_notebook(tmp_path / "none.ipynb")
