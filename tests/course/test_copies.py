"""A reader works in copies: made once, and brought up to date without losing a word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.copies import Copy, prepare_copies, updated
from course.lessons import find_lessons
from course.notebooks.normaliser import read_notebook, write_notebook
from course_utils.answers import read_answers

ROOT = Path(__file__).parents[2]


def exercise(number: int, name: str, source: str = "...") -> NotebookNode:
    code = f"{source}\n\ncheck.check_{name}({name})"
    return new_code_cell(code, id=f"ex{number}", metadata={"tags": ["exercise"]})


def text(ident: str, source: str) -> NotebookNode:
    return new_markdown_cell(source, id=ident)


def first() -> NotebookNode:
    """A lesson as it came out."""
    return new_notebook(
        cells=[
            text("title", "# 1. A lesson"),
            new_code_cell("my_bet = ...", id="bet"),
            text("one", "What a layer does."),
            exercise(1, "fold"),
            text("two", "What another does."),
            exercise(2, "stage"),
            text("further", "More."),
        ]
    )


def second() -> NotebookNode:
    """The lesson as it came out next: an exercise more, others renumbered, words changed."""
    return new_notebook(
        cells=[
            text("title", "# 1. A better lesson"),
            new_code_cell("my_bet = ...", id="bet"),
            exercise(1, "new"),
            text("one", "What a layer does, explained anew."),
            exercise(2, "fold", "def fold(x): ..."),
            text("three", "A third."),
            exercise(3, "stage"),
            text("further", "More."),
        ]
    )


def sources(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for language in ("fr", "en"):
        (tmp_path / "notebooks" / language).mkdir(parents=True)
        for name in ("01_a", "02_b"):
            write_notebook(tmp_path / "notebooks" / language / f"{name}.ipynb", first())
    return tmp_path


def prepare(root: Path, afresh: tuple[int, ...] = ()) -> list[Copy]:
    return list(prepare_copies(root, find_lessons(root, "fr"), afresh))


def answer(path: Path, **answers: str) -> None:
    """Write answers into a copy, as an editor does: the cell with that id has a new text."""
    notebook = read_notebook(path)
    for cell in notebook.cells:
        cell["source"] = answers.get(cell.id, cell.source)
    write_notebook(path, notebook)


def test_copies_are_made_once_and_then_left_alone(root: Path) -> None:
    copies = prepare(root)
    assert [(copy.path.relative_to(root).as_posix(), copy.news) for copy in copies] == [
        ("work/fr/01_a.ipynb", "made"),
        ("work/fr/02_b.ipynb", "made"),
    ]
    lesson = root / "notebooks" / "fr" / "01_a.ipynb"
    assert copies[0].path.read_bytes() == lesson.read_bytes()
    answer(copies[0].path, ex1="mine")
    before = copies[0].path.read_bytes()
    assert [copy.news for copy in prepare(root)] == ["", ""]
    assert copies[0].path.read_bytes() == before
    assert not (root / "work" / "earlier").exists()


def test_a_newer_lesson_has_every_answer_at_its_exercise(root: Path) -> None:
    copy = prepare(root)[0].path
    answer(copy, bet='my_bet = "a"', ex1="my fold", ex2="my stage")
    before = copy.read_bytes()
    write_notebook(root / "notebooks" / "fr" / "01_a.ipynb", second())
    news = prepare(root)
    assert [one.news for one in news] == ["updated", ""]
    assert sources(read_notebook(copy)) == [
        "# 1. A better lesson",
        'my_bet = "a"',
        "...\n\ncheck.check_new(new)",
        "What a layer does, explained anew.",
        "my fold",
        "A third.",
        "my stage",
        "More.",
    ]
    earlier = news[0].earlier
    assert earlier is not None and earlier.parent == root / "work" / "earlier"
    assert earlier.read_bytes() == before
    kept = read_answers(earlier.with_suffix(".json"))
    assert kept.lesson == "01_a"
    assert kept.cells == {"bet": 'my_bet = "a"', "check_fold": "my fold", "check_stage": "my stage"}
    # Once it is up to date it stays so, and a third version finds the answers again.
    assert [one.news for one in prepare(root)] == ["", ""]
    write_notebook(root / "notebooks" / "fr" / "01_a.ipynb", first())
    prepare(root)
    assert sources(read_notebook(copy))[1::2] == ['my_bet = "a"', "my fold", "my stage"]


def test_a_copy_that_was_never_worked_in_follows_the_lesson_and_leaves_nothing(
    root: Path,
) -> None:
    copy = prepare(root)[0].path
    lesson = root / "notebooks" / "fr" / "01_a.ipynb"
    write_notebook(lesson, second())
    assert [(one.news, one.earlier) for one in prepare(root)] == [("updated", None), ("", None)]
    assert copy.read_bytes() == lesson.read_bytes()
    assert not (root / "work" / "earlier").exists()


def test_notes_and_changes_of_any_other_cell_stay_beside_what_they_stood_beside() -> None:
    mine = first()
    mine.cells[2]["source"] = "What a layer does, in my words."  # the lesson changes it too
    mine.cells[4]["source"] = "A note over what goes."  # and this one goes
    mine.cells.insert(4, new_code_cell("trial = fold(3)", id="own"))
    mine.cells.insert(0, text("top", "My notes."))
    mine.cells.append(text("last", "The end."))
    assert sources(updated(mine, first(), second())) == [
        "My notes.",
        "# 1. A better lesson",
        "my_bet = ...",
        "...\n\ncheck.check_new(new)",
        "What a layer does, explained anew.",
        "What a layer does, in my words.",
        "def fold(x): ...\n\ncheck.check_fold(fold)",
        "trial = fold(3)",
        "A note over what goes.",
        "A third.",
        "...\n\ncheck.check_stage(stage)",
        "More.",
        "The end.",
    ]


def test_what_was_run_keeps_its_output_where_the_lesson_is_the_same() -> None:
    mine = first()
    mine.cells[1]["execution_count"] = 7
    assert updated(mine, first(), second()).cells[1].execution_count == 7


def test_moved_and_deleted_cells_of_the_lesson_cost_no_answer() -> None:
    mine = first()
    mine.cells[5]["source"] = "my stage"
    del mine.cells[3]
    mine.cells.insert(0, mine.cells.pop(4))
    new = updated(mine, first(), second())
    assert sources(new).count("my stage") == 1
    assert [cell.id for cell in new.cells] == [cell.id for cell in second().cells]


def test_every_cell_keeps_an_id_of_its_own() -> None:
    mine = first()
    for ident in ("three", "ex3"):  # what the newer lesson calls cells of its own
        mine.cells.append(new_code_cell(f"mine = {ident!r}", id=ident))
    new = updated(mine, first(), second())
    ids = [cell.id for cell in new.cells]
    assert len(set(ids)) == len(ids)
    assert sources(new)[-2:] == ["mine = 'three'", "mine = 'ex3'"]


def test_starting_afresh_keeps_the_old_copy_and_the_other_lessons(root: Path) -> None:
    first_copy, other = (copy.path for copy in prepare(root))
    for path in (first_copy, other):
        answer(path, ex1="mine")
    before = first_copy.read_bytes()
    news = prepare(root, (1,))
    assert [copy.news for copy in news] == ["afresh", ""]
    assert sources(read_notebook(first_copy)) == sources(first())
    assert news[0].earlier is not None and news[0].earlier.read_bytes() == before
    assert read_answers(news[0].earlier.with_suffix(".json")).cells == {"check_fold": "mine"}
    assert "mine" in sources(read_notebook(other))


def test_a_copy_that_is_no_longer_a_notebook_is_told_and_can_be_begun_again(root: Path) -> None:
    copy = prepare(root)[0].path
    copy.write_text("half", encoding="utf-8")
    write_notebook(root / "notebooks" / "fr" / "01_a.ipynb", second())
    with pytest.raises(ValueError, match=r"01_a\.ipynb"):
        prepare(root)
    assert copy.read_text(encoding="utf-8") == "half"
    news = prepare(root, (1,))[0]
    assert news.earlier is not None and news.earlier.read_text(encoding="utf-8") == "half"


def test_an_interrupted_update_is_done_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = prepare(root)[0].path
    answer(copy, ex1="mine")
    write_notebook(root / "notebooks" / "fr" / "01_a.ipynb", second())
    with monkeypatch.context() as broken:
        broken.setattr("course.copies.write_whole", lambda _path, _content: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(root)
    assert "mine" in sources(read_notebook(copy))
    prepare(root)
    assert "mine" in sources(read_notebook(copy))
    assert sources(read_notebook(copy))[0] == "# 1. A better lesson"


def test_git_ignores_what_a_reader_works_in() -> None:
    answer = subprocess.run(
        ["git", "check-ignore", "work/fr/01_conv_1x1.ipynb", "work/earlier/a.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if answer.returncode == 128:
        pytest.skip("this is no git repository")
    assert answer.stdout.split() == ["work/fr/01_conv_1x1.ipynb", "work/earlier/a.json"]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_lessons_themselves_take_an_answer_to_each_exercise_over(
    language: str,
) -> None:
    for lesson in find_lessons(ROOT, language):
        mine, newer, old = (read_notebook(lesson.path) for _version in range(3))
        for cell in mine.cells:
            if "exercise" in cell.metadata.get("tags", []):
                cell["source"] = f"answer to {cell.id}"
        for cell in newer.cells:
            cell["source"] = cell.source.replace("\n", "\n\n", 1)
        new = updated(mine, old, newer)
        given = [cell.source for cell in mine.cells if cell.source.startswith("answer to")]
        assert [one for one in sources(new) if one.startswith("answer to")] == given
        assert len(new.cells) == len(old.cells)
