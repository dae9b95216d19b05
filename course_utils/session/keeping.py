"""Save the answers of a session, take back those of another, and say what is still open."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from IPython.display import Code, display

from course_utils.answers import Answers, parse_answers, read_answers, verdicts, write_answers
from course_utils.experiments.record import Record
from course_utils.experiments.store import Store
from course_utils.i18n import _, listed, ngettext, say
from course_utils.session.kernel import ask, cells_that_ran, define, hand_over, upload
from course_utils.session.questions import Question, answered, questions_of

__all__ = ["restore", "save", "solved"]


def solved(lesson: Path) -> None:
    """Print which exercises are solved and which are open, by what their checkers said last.

    Args:
        lesson: its file, as the course has it.
    """
    exercises = [question for question in questions_of(lesson) if not question.blanks]
    done = [one.title for one in exercises if verdicts.get(one.name)]
    still = [one.title for one in exercises if not verdicts.get(one.name)]
    if done:
        say(_("Solved: {titles}.").format(titles=listed(done)))
    if still:
        say(_("Still open: {titles}.").format(titles=listed(still)))
    else:
        say(_("Every exercise is solved."))


def save(lesson: Path, folder: Path, store: Path | None) -> None:
    """Write the answers that ran in this session to a new file, and say where it is.

    Args:
        lesson: its file, as the course has it.
        folder: where the file comes to lie; made if it is not there.
        store: the folder of records that go along.

    Raises:
        OSError: it cannot be written.
        ValueError: a file of the store is not a whole record.
    """
    cells = answered(questions_of(lesson), cells_that_ran())
    records = []
    if store is not None and store.is_dir():
        records = [record.to_dict() for record in Store(store).records()]
    if not cells:
        say(
            _(
                "There is nothing to save, because no answer ran in this session. Run the cells "
                "that you want to keep, then save."
            )
        )
        return
    folder.mkdir(parents=True, exist_ok=True)
    stem, number = f"{lesson.stem}-{datetime.now():%Y-%m-%d-%H%M%S}", 1
    while (path := folder / f"{stem}-{number}.json").exists():
        number += 1
    write_answers(path, Answers(lesson.stem, cells, records))
    say(_("Saved in {path}: {contents}.").format(contents=_contents(cells, records), path=path))
    hand_over(path)


def restore(lesson: Path, file: Path | None, store: Path, *, agreed: bool = False) -> None:
    """Show the answers of a file, and define them once the reader agrees.

    Args:
        lesson: its file, as the course has it.
        file: None asks the reader for it.
        store: the folder for its records; those that are there stay as they are.
        agreed: whether the reader has agreed before.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no file of answers, or has those of another lesson.
    """
    if file is None:
        upload(lambda content, name: _offer(lesson, parse_answers(content, name), store, agreed))
    else:
        _offer(lesson, read_answers(file), store, agreed)


def _offer(lesson: Path, answers: Answers, store: Path, agreed: bool) -> None:
    """Show what a file has for a lesson, name what it has besides, and ask."""
    if answers.lesson != lesson.stem:
        raise ValueError(
            _("These answers belong to lesson {theirs}, and this is lesson {ours}.").format(
                theirs=answers.lesson, ours=lesson.stem
            )
        )
    questions = questions_of(lesson)
    names = [question.name for question in questions if question.name in answers.cells]
    strangers = [f"`{name}`" for name in answers.cells if name not in names]
    if strangers:
        say(
            _(
                "These answers are left out, since the lesson does not ask for them: {names}."
            ).format(names=listed(strangers))
        )
    records = _missing(answers.records, store)
    if not names and not records:
        say(_("It contains nothing to restore."))
        return
    cells = {name: answers.cells[name] for name in names}
    _show(questions, cells, answered(questions, cells_that_ran()))

    def take() -> None:
        define(questions, cells)
        for record in records:
            Store(store).write(record)
        say(_("Restored: {contents}.").format(contents=_contents(cells, records)))

    if agreed:
        take()
    else:
        say(_("Ready to be restored: {contents}.").format(contents=_contents(cells, records)))
        ask(take)


def _show(questions: Sequence[Question], cells: Mapping[str, str], own: Mapping[str, str]) -> None:
    for question in questions:
        if (text := cells.get(question.name)) is not None:
            print(f"\n{question.title}")
            display(Code(text, language="python"))
            if own.get(question.name, text) != text:
                say(_("It would replace the answer that you gave in this session."))


def _missing(plain: Sequence[Mapping[str, Any]], store: Path) -> list[Record]:
    """The records that the store does not have; those that are none are counted in a sentence."""
    records, damaged = [], 0
    for each in plain:
        try:
            records.append(Record.from_json(json.dumps(each)))
        except ValueError:
            damaged += 1
    if damaged:
        say(
            ngettext(
                "{number} record is damaged or comes from an older course, and is left out.",
                "{number} records are damaged or come from an older course, and are left out.",
                damaged,
            ).format(number=damaged)
        )
    return [record for record in records if not (store / f"{record.spec.hash}.json").exists()]


def _contents(cells: Mapping[str, str], records: Sequence[object]) -> str:
    answers = ngettext("{number} answer", "{number} answers", len(cells)).format(number=len(cells))
    if not records:
        return answers
    runs = ngettext("{number} record of a run", "{number} records of runs", len(records))
    return _("{answers} and {runs}").format(answers=answers, runs=runs.format(number=len(records)))
