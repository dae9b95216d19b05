"""What every lesson must have, as rules that say in a sentence what a notebook lacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from nbformat import NotebookNode

from course.address import repository
from course.files import Pair, short_name
from course.notebooks import markdown
from course.notebooks.editions import check_editions
from course.notebooks.normaliser import (
    first_line,
    machine_paths,
    normalise,
    notebook_text,
    parse_notebook,
    unexecuted_cells,
)
from course.notebooks.opening import opening_fault
from course_utils.i18n import _

__all__ = ["RULES", "TAGS", "Lesson", "Rule", "check_lesson", "check_notebook", "read_lesson"]

# The tags of cells, and what each is for.
TAGS: Mapping[str, str] = MappingProxyType(
    {
        "parameters": "the settings that `make run` and the profiles may change",
        "setup": "what a lesson needs before it starts",
        "exercise": "code for the reader to write",
        "solution": "the answer to an exercise",
        "slow": "a cell that takes most of the lesson's time",
        "thumbnail": "the figure that stands for the lesson in the index",
        "hide-input": "code that the pages of the site fold",
        "nbval-check-output": "output compared with the stored one by the tests",
    }
)
LEAST_FIGURES = 4
LEAST_FOLDED = 4
LEAST_EXERCISES = 4
MOST_BYTES = 1_000_000
# The word that opens the line about how long the lesson takes, by edition.
_DURATION = MappingProxyType({"fr": "Durée", "en": "Time"})

_DETAILS = re.compile(r"<details\b[^>]*>", re.IGNORECASE)
_CLOSED = re.compile(r"</details>", re.IGNORECASE)
_SUMMARY = re.compile(r"</summary>(?P<after>[^\n]*\n?[^\n]*)", re.IGNORECASE)
# JupyterLab's Markdown takes the backslash away; "\\[2pt]" ends a line of a formula.
_BRACKET_FORMULA = re.compile(r"(?<!\\)\\[(\[]")
_TABLE_RULE = re.compile(r"^ {0,3}\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?$")
_HTML_TABLE = re.compile(r"<table\b.*?(?:</table>|\Z)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Lesson:
    """An edition of a lesson as its rules see it: its language, its file and what is in it."""

    language: str
    text: str
    notebook: NotebookNode

    def markdown(self) -> Iterator[NotebookNode]:
        """The Markdown cells, in order."""
        return (cell for cell in self.notebook.cells if cell.cell_type == "markdown")

    def code(self) -> Iterator[NotebookNode]:
        """The code cells, in order."""
        return (cell for cell in self.notebook.cells if cell.cell_type == "code")

    def tagged(self, tag: str) -> list[NotebookNode]:
        """The cells that have ``tag``, in order."""
        return [cell for cell in self.notebook.cells if tag in cell.metadata.get("tags", [])]


Rule = Callable[[Lesson], list[str]]


def read_lesson(path: Path) -> Lesson:
    """The edition of a lesson in the file ``path``, whose folder names its language.

    Raises:
        ValueError: the file is not a notebook.
    """
    try:
        # As bytes, so that line ends count too.
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(_("{path} is not in UTF-8.").format(path=path)) from error
    return Lesson(path.parent.name, text, parse_notebook(text, short_name(path)))


def _cell(cell: NotebookNode, fault: str) -> str:
    return _("cell `{cell}` (“{line}”) {fault}").format(
        cell=cell.id, line=first_line(cell.source), fault=fault
    )


def in_normal_form(lesson: Lesson) -> list[str]:
    """The file is what the normaliser would write."""
    if lesson.text == notebook_text(normalise(lesson.notebook)):
        return []
    return [_("not in normal form: run `python -m course notebooks normalise` on it.")]


def is_small(lesson: Lesson) -> list[str]:
    """The file stays under a megabyte."""
    size = len(lesson.text.encode("utf-8"))
    if size < MOST_BYTES:
        return []
    return [
        _("{size} bytes are too many, {most} is the limit: draw smaller figures.").format(
            size=size, most=MOST_BYTES
        )
    ]


def is_executed(lesson: Lesson) -> list[str]:
    """Every code cell was executed."""
    return unexecuted_cells(lesson.notebook)


def has_no_errors(lesson: Lesson) -> list[str]:
    """No cell stored an error."""
    return [
        _cell(cell, _("stores the error {error}.").format(error=output.ename))
        for cell in lesson.code()
        for output in cell.outputs
        if output.output_type == "error"
    ]


def has_no_machine_paths(lesson: Lesson) -> list[str]:
    """Nothing names a folder of the machine that ran it."""
    return machine_paths(lesson.notebook)


def has_described_figures(lesson: Lesson) -> list[str]:
    """There are figures enough, each with a text for those who cannot see it."""
    faults = []
    count = 0
    for cell in lesson.code():
        for output in cell.outputs:
            if "image/png" not in output.get("data", {}):
                continue
            count += 1
            alt = output.metadata.get("image/png", {}).get("alt", "")
            if not alt.strip():
                faults.append(
                    _cell(cell, _("shows a figure without a text description (“alt” metadata)."))
                )
    if count < LEAST_FIGURES:
        faults.append(
            _("{count} figures as PNG, and {least} are the least.").format(
                count=count, least=LEAST_FIGURES
            )
        )
    return faults


def has_folded_hints(lesson: Lesson) -> list[str]:
    """Hints and solutions fold, and their Markdown is read as such."""
    faults = []
    count = 0
    for cell in lesson.markdown():
        prose = markdown.without_code(cell.source)
        opened, closed = len(_DETAILS.findall(prose)), len(_CLOSED.findall(prose))
        # A block of code right under the summary is not an empty line.
        summaries = list(_SUMMARY.finditer(markdown.without_code(cell.source, instead="code")))
        count += opened
        if opened != closed:
            faults.append(
                _cell(
                    cell,
                    _("opens {opened} <details> and closes {closed}.").format(
                        opened=opened, closed=closed
                    ),
                )
            )
        if len(summaries) != opened:
            faults.append(_cell(cell, _("has a <details> without a <summary>.")))
        if any(match["after"].strip() for match in summaries):
            faults.append(_cell(cell, _("needs an empty line after each </summary>.")))
    if count < LEAST_FOLDED:
        faults.append(
            _("{count} folded hints or solutions (<details>), and {least} are the least.").format(
                count=count, least=LEAST_FOLDED
            )
        )
    return faults


def opens_as_every_lesson(lesson: Lesson) -> list[str]:
    """The first code cell is the one that fetches the course where it is not installed."""
    if not opening_fault(lesson.notebook, repository()):
        return []
    return [
        _(
            "the cell after the title is not the one that every lesson opens with: run "
            "`python -m course notebooks opening`."
        )
    ]


def has_parameters(lesson: Lesson) -> list[str]:
    """One cell holds the settings."""
    count = len(lesson.tagged("parameters"))
    if count == 1:
        return []
    return [_("{count} cells are tagged `parameters`; there must be one.").format(count=count)]


def has_exercises(lesson: Lesson) -> list[str]:
    """There are exercises enough."""
    count = len(lesson.tagged("exercise"))
    if count >= LEAST_EXERCISES:
        return []
    return [
        _("{count} cells are tagged `exercise`, and {least} are the least.").format(
            count=count, least=LEAST_EXERCISES
        )
    ]


def has_known_tags(lesson: Lesson) -> list[str]:
    """Every tag means something to the course."""
    return [
        _cell(
            cell,
            _("has the unknown tag `{tag}`: choose among {tags}.").format(
                tag=tag, tags=", ".join(TAGS)
            ),
        )
        for cell in lesson.notebook.cells
        for tag in cell.metadata.get("tags", [])
        if tag not in TAGS
    ]


def has_outputs_to_compare(lesson: Lesson) -> list[str]:
    """What the tests compare is there: nbval passes a cell that stores nothing."""
    return [
        _cell(cell, _("is tagged `nbval-check-output` and stores no output to compare."))
        for cell in lesson.tagged("nbval-check-output")
        if not cell.get("outputs")
    ]


def has_portable_formulas(lesson: Lesson) -> list[str]:
    r"""Formulas stand between dollars: JupyterLab does not read ``\(`` and ``\[``."""
    return [
        _cell(cell, _("writes a formula between \\( or \\[: use $ or $$."))
        for cell in lesson.markdown()
        if _BRACKET_FORMULA.search(markdown.without_code(cell.source))
    ]


def has_portable_images(lesson: Lesson) -> list[str]:
    """Images in the text have a description, and an address that is found everywhere."""
    faults = []
    for cell in lesson.markdown():
        for image in markdown.images(cell.source):
            if not (image.alt or "").strip():
                faults.append(
                    _cell(
                        cell,
                        _("shows {image} without alternative text.").format(image=image.target),
                    )
                )
            if not re.match(r"https?://|data:", image.target):
                faults.append(
                    _cell(
                        cell,
                        _(
                            "shows {image} by a path that Colab does not find: show it from a code "
                            "cell."
                        ).format(image=image.target),
                    )
                )
    return faults


def has_ordered_headings(lesson: Lesson) -> list[str]:
    """One title, and no heading more than one level below the one before."""
    faults = []
    titles = 0
    last = 0
    for cell in lesson.markdown():
        for heading in markdown.headings(cell.source):
            titles += heading.level == 1
            if heading.level > last + 1:
                faults.append(
                    _cell(
                        cell,
                        _("jumps from heading level {last} to {level} (“{text}”).").format(
                            last=last, level=heading.level, text=heading.text
                        ),
                    )
                )
            last = heading.level
    if titles != 1:
        faults.append(
            _("{count} headings of level 1; there must be one, the title.").format(count=titles)
        )
    return faults


def has_headed_tables(lesson: Lesson) -> list[str]:
    """Tables say what their columns are; the corner above the names of rows may be empty."""
    faults = []
    for cell in lesson.markdown():
        prose = markdown.without_code(cell.source)
        lines = prose.splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            if "|" not in line or not _TABLE_RULE.match(line):
                continue
            row = above.strip().removeprefix("|").removesuffix("|")
            heads = re.split(r"(?<!\\)\|", row)
            if not above.strip() or any(not head.strip() for head in heads[1:]):
                faults.append(_cell(cell, _("has a table with a column without a header.")))
    for cell in lesson.notebook.cells:
        shown = [cell.source] if cell.cell_type == "markdown" else []
        shown += [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", [])]
        if any("<th" not in table.lower() for text in shown for table in _HTML_TABLE.findall(text)):
            faults.append(_cell(cell, _("has an HTML table without headers (<th>).")))
    return faults


def states_its_duration(lesson: Lesson) -> list[str]:
    """The first text says how long the lesson takes."""
    word = _DURATION.get(lesson.language, _DURATION["en"])
    first = next(lesson.markdown(), None)
    lines = first.source.splitlines() if first else []
    if any(re.search(rf"\b{word}\b.*\d", line) for line in lines):
        return []
    return [
        _("the first text must say how long the lesson takes, in a line with “{word}”.").format(
            word=word
        )
    ]


def has_a_quiz(lesson: Lesson) -> list[str]:
    """There is a quiz, under its own heading."""
    for cell in lesson.markdown():
        if any("quiz" in heading.text.lower() for heading in markdown.headings(cell.source)):
            return []
    return [_("no heading announces a quiz.")]


RULES: tuple[Rule, ...] = (
    in_normal_form,
    is_small,
    is_executed,
    has_no_errors,
    has_no_machine_paths,
    states_its_duration,
    has_ordered_headings,
    opens_as_every_lesson,
    has_parameters,
    has_exercises,
    has_folded_hints,
    has_a_quiz,
    has_described_figures,
    has_known_tags,
    has_outputs_to_compare,
    has_portable_formulas,
    has_portable_images,
    has_headed_tables,
)


def check_notebook(path: Path) -> list[str]:
    """A sentence for each rule that the edition in ``path`` breaks, and where.

    Args:
        path: ``…/fr/NN_name.ipynb`` or ``…/en/NN_name.ipynb``.

    Raises:
        ValueError: the file is not a notebook.
    """
    lesson = read_lesson(path)
    return [f"{short_name(path)}: {fault}" for rule in RULES for fault in rule(lesson)]


def check_lesson(pair: Pair) -> list[str]:
    """A sentence for each rule that a lesson breaks in either edition, and where they differ.

    Args:
        pair: the two editions; at least one file is there.

    Raises:
        ValueError: a file is not a notebook.
    """
    present = [path for path in pair if path.is_file()]
    faults = [fault for path in present for fault in check_notebook(path)]
    if len(present) == len(pair):
        return faults + check_editions(pair)
    missing = [short_name(path) for path in pair if path not in present]
    return faults + [
        _("{notebook} is missing: a lesson has a French and an English edition.").format(
            notebook=name
        )
        for name in missing
    ]
