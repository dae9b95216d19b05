"""Marks what students handed in, in a process apart, with the checkers out of their reach."""

from __future__ import annotations

import ast
import csv
import importlib
import io
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course.copies import updated
from course.files import notebook_paths
from course.lessons import LessonFile, find_lessons
from course.notebooks.assignments import checkers_module
from course.notebooks.dependencies import names_of, needed
from course.notebooks.exercises import Exercise, exercises, is_exercise
from course.notebooks.normaliser import read_notebook
from course_utils.i18n import _, speaking
from course_utils.whole import write_whole

__all__ = ["Mark", "grade", "grade_folder", "reaches_beyond"]

SECONDS = 120  # for one exercise: the imports of its lesson, and a check of twenty at most
_START = re.compile(r"\bstart\((\d+), \"(fr|en)\"")

# What no exercise asks for, and with which an answer could reach the code that marks it.
_BEYOND = frozenset(
    [
        *("builtins", "compile", "ctypes", "delattr", "eval", "exec", "gc", "get_ipython"),
        *("globals", "importlib", "inspect", "locals", "mock", "multiprocessing", "os", "reload"),
        *("setattr", "subprocess", "sys", "threading", "unittest", "vars", "checks"),
    ]
)
_OWN = frozenset(
    f"__{name}__" for name in ("call", "getitem", "init", "iter", "len", "name", "repr")
)


@dataclass(frozen=True)
class Mark:
    """What one exercise of one student is worth, and what the student is told."""

    student: str
    lesson: str
    exercise: int
    checker: str
    points: int
    out_of: int
    feedback: str


@dataclass(frozen=True)
class _Job:
    """What the process runs: programs in order, then the call of a checker.

    ``given`` are programs for what the lesson itself hands to the checker, beside the answer: the
    last one binds it.
    """

    programs: tuple[str, ...]
    given: tuple[str, ...]
    module: str
    call: str
    language: str


def grade_folder(root: Path, folder: Path) -> tuple[list[Mark], list[str]]:
    """Mark every notebook in a folder, and write ``marks.csv`` and ``exercises.csv`` beside them.

    A student's name is that of the folder in ``folder`` that holds the notebook, as nbgrader and
    Moodle have it, or else that of the file. Nothing is fetched and no notebook is run: an exercise
    is, with the cells that it needs.

    Args:
        root: the folder of the course.
        folder: what students handed in.

    Returns:
        The marks, and a sentence for each file that is no lesson of the course.

    Raises:
        ValueError: there is no such folder, or no notebook in it.
        OSError: the tables cannot be written.
    """
    marks, faults = [], []
    paths = notebook_paths([folder])
    if not paths:
        raise ValueError(_("There is no notebook in {folder}.").format(folder=folder))
    for path in paths:
        inner = path.relative_to(folder).parts if path != folder else (path.name,)
        student = inner[0] if len(inner) > 1 else path.stem
        try:
            marks += grade(root, read_notebook(path), student)
        except ValueError as error:
            faults.append(f"{path}: {error}")
    beside = folder if folder.is_dir() else folder.parent
    _write_tables(beside, marks)
    return marks, faults


def grade(root: Path, handed_in: NotebookNode, student: str) -> list[Mark]:
    """Mark one notebook.

    The lesson is the course's own; from the notebook come the exercises, and the student's own
    cells where an exercise needs them.

    Args:
        root: the folder of the course.
        handed_in: a lesson, an assignment or a pick of one, filled in.
        student: whose it is.

    Raises:
        ValueError: it is no lesson of the course.
    """
    lesson = _lesson_of(root, handed_in)
    own = read_notebook(lesson.path)
    asked = exercises(own)
    with speaking(lesson.language):
        jobs = [_job(_trusted(handed_in, own), exercise, own, lesson) for exercise in asked]
        answers = list(_answers(jobs))
    return [
        Mark(
            student,
            lesson.stem,
            exercise.number,
            exercise.checker,
            exercise.difficulty if passed else 0,
            exercise.difficulty,
            feedback,
        )
        for exercise, (passed, feedback) in zip(asked, answers, strict=True)
    ]


def _lesson_of(root: Path, notebook: NotebookNode) -> LessonFile:
    for cell in notebook.cells:
        found = _START.search(cell.source) if cell.cell_type == "code" else None
        if found:
            (lesson,) = find_lessons(root, found[2], [int(found[1])])
            return lesson
    raise ValueError(_("This notebook is not a lesson of the course, since no cell starts one."))


def _trusted(handed_in: NotebookNode, lesson: NotebookNode) -> list[NotebookNode]:
    """The code of the lesson, with the answers and the own cells of the student in it."""
    merged = updated(handed_in, lesson, lesson)
    ours = {cell.id: cell for cell in lesson.cells}
    cells = []
    for cell in merged.cells:
        if cell.cell_type != "code" or cell.metadata.get("nbgrader", {}).get("grade"):
            continue
        known = ours.get(cell.id)
        cells.append(known if known is not None and not is_exercise(known) else cell)
    return cells


def _job(
    cells: Sequence[NotebookNode], exercise: Exercise, own: NotebookNode, lesson: LessonFile
) -> _Job | str:
    """What to run for an exercise, or the sentence that says why nothing is."""
    ours = {cell.id for cell in own.cells}
    theirs = [cell.id not in ours or is_exercise(cell) for cell in cells]
    place = [cell.id for cell in cells].index(exercise.id)
    try:
        ast.parse(cells[place].source)
    except SyntaxError as error:
        return _("The cell is not Python: {error}.").format(error=error.msg)
    readable = [_readable(cell.source) for cell in cells]
    places = needed(readable, [place])
    imported = _imported(readable[each] for each in places)
    for each in places:
        beyond = reaches_beyond(readable[each], imported) if theirs[each] else None
        if beyond:
            return _(
                "The answer uses `{name}`, which no exercise asks for: the teacher will judge it."
            ).format(name=beyond)
    programs = tuple(readable[each] for each in places)
    module = checkers_module(own)
    return _Job(programs, _given(own, exercise), module, exercise.call, lesson.language)


def _given(own: NotebookNode, exercise: Exercise) -> tuple[str, ...]:
    """The programs that make what the stub of an exercise binds and does not leave blank."""
    lines = [
        ast.unparse(line)
        for line in ast.parse(exercise.cell).body
        if isinstance(line, ast.Assign) and ast.unparse(line.value) != "..."
    ]
    if not lines:
        return ()
    sources = [cell.source if cell.cell_type == "code" else "" for cell in own.cells]
    place = [cell.id for cell in own.cells].index(exercise.id)
    sources[place] = "\n".join(lines)
    return tuple(sources[each] for each in needed(sources, [place]))


def _readable(source: str) -> str:
    """A cell without the calls of checkers, which the marking makes itself.

    One that is not Python is empty: who needs it will find its names missing.
    """
    try:
        program = ast.parse(source)
    except SyntaxError:
        return ""
    program.body = [
        line
        for line in program.body
        if not (isinstance(line, ast.Expr) and ast.unparse(line).startswith("check.check_"))
    ]
    return ast.unparse(program)


def _imported(sources: Iterator[str]) -> set[str]:
    return {
        alias.asname or alias.name.split(".")[0]
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def reaches_beyond(source: str, imported: set[str]) -> str | None:
    """The first name with which an answer could change what marks it, or None.

    That is: what looks into Python itself, the name `check` and the course's checkers, and any
    assignment to a part of something imported.

    Args:
        source: an answer.
        imported: the names that its notebook has imported.

    >>> reaches_beyond("check.check_fold = print", {"check"})
    'check.check_fold'
    >>> reaches_beyond("torch.equal = print", {"torch"})
    'torch.equal'
    >>> reaches_beyond("class A(nn.Module):\\n  def __init__(s): s.a = nn.ReLU()", {"nn"})
    """
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
            root = ast.unparse(node).split(".")[0]
            if not isinstance(node.ctx, ast.Load) and root in imported:
                return ast.unparse(node)
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        for name in names:
            hidden = name.startswith("__") and name not in _OWN
            if name in _BEYOND or name == "check" or hidden:
                return name
    return None


# --- the process ------------------------------------------------------------------------------


def _context() -> Any:
    """How processes start: where the system can, as copies of one that has imported torch."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(["course.grading", "course_utils.lesson", "course_utils.plots"])
    return context


def _answers(jobs: Sequence[_Job | str]) -> Iterator[tuple[bool, str]]:
    """Whether each answer is right, and what its student is told; a process ends with its time."""
    context = _context()
    waiting = list(jobs)
    while waiting:
        runnable = [job for job in waiting if isinstance(job, _Job)]
        mine, theirs = context.Pipe()
        process = context.Process(target=_run, args=(theirs, runnable), daemon=True)
        if runnable:
            process.start()
        theirs.close()
        while waiting:
            job = waiting.pop(0)
            if isinstance(job, str):
                yield False, job
                continue
            try:
                if not mine.poll(SECONDS):
                    raise EOFError
                yield mine.recv()
            except EOFError:
                yield False, _("The answer did not finish, or it ended Python: it was stopped.")
                break  # a new process does the rest
        if runnable:
            process.kill()
            process.join()


def _run(answers: Connection, jobs: Sequence[_Job]) -> None:
    """Run each job, and say how it went; the whole of what the process does."""
    with Path(os.devnull).open("w") as nowhere:
        for job in jobs:
            with speaking(job.language), redirect_stdout(nowhere), redirect_stderr(nowhere):
                answers.send(_checked(job))


def _checked(job: _Job) -> tuple[bool, str]:
    check = importlib.import_module(f"course_utils.checks.{job.module}")
    try:
        names = _after(job.programs) | {"check": check}
        if job.given:
            ours = _after(job.given)
            names |= {name: ours[name] for name in names_of(job.given[-1]).bound}
        feedback = eval(job.call, names)
    except Exception as error:
        return False, _("The cell raised an exception: {error}.").format(error=repr(error))
    return feedback.passed is True, str(feedback)


def _after(programs: Sequence[str]) -> dict[str, object]:
    """The names that programs leave, run one after the other."""
    names: dict[str, object] = {}
    for program in programs:
        exec(compile(program, "<cell>", "exec"), names)
    return names


# --- the tables -------------------------------------------------------------------------------


def _write_tables(folder: Path, marks: Sequence[Mark]) -> None:
    """The points of each student and lesson, and of each exercise with what was said to it."""
    points: Counter[tuple[str, str]] = Counter()
    out_of: Counter[tuple[str, str]] = Counter()
    for mark in marks:
        points[mark.student, mark.lesson] += mark.points
        out_of[mark.student, mark.lesson] += mark.out_of
    totals = [
        {"student": key[0], "lesson": key[1], "points": points[key], "out_of": most}
        for key, most in out_of.items()
    ]
    _write_csv(folder / "marks.csv", totals)
    _write_csv(folder / "exercises.csv", [vars(mark) for mark in marks])


def _write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    # The mark at the start tells a spreadsheet that the file is UTF-8.
    write_whole(path, text.getvalue().encode("utf-8-sig"))
