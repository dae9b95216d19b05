"""The lessons' quizzes as Moodle reads them: GIFT, with what each answer is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

from course_utils.i18n import _

__all__ = ["Option", "Question", "gift", "quiz"]

_SECTION = re.compile(r"^## Quiz\b.*?$(.*?)(?=^##? |\Z)", re.MULTILINE | re.DOTALL)
_QUESTION = re.compile(r"^\*\*(\d+)\. (.*?)\*\*$", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(
    r"<details\b[^>]*>\s*<summary>\s*([a-z])\. (.*?)</summary>(.*?)</details>", re.DOTALL
)
# What is said to a right answer and to a wrong one begins so, in both languages.
_VERDICT = re.compile(r"(Oui|Yes)\b|(?:Non|No)\b")
# What GIFT takes for its own; a backslash comes first.
_MARKS = "\\~=#{}:"


def _formula(content: str, options: Mapping[str, bool]) -> str:
    """A formula as the filter of Moodle finds it."""
    left, right = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
    return left + escape(content.strip()) + right


_HTML = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(dollarmath_plugin, allow_space=False, allow_digits=False, renderer=_formula)
)


class Option(NamedTuple):
    """An answer to choose, whether it is the right one, and what is said to who chooses it."""

    text: str
    right: bool
    feedback: str


class Question(NamedTuple):
    """A question of a quiz and its options, as Markdown."""

    text: str
    options: tuple[Option, ...]


def quiz(notebook: NotebookNode) -> list[Question]:
    """The questions under the heading “Quiz” of a lesson, in order.

    Args:
        notebook: an edition of a lesson.

    Raises:
        ValueError: there is none, or one that has not exactly one right option.
    """
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    section = _SECTION.search(text)
    asked = list(_questions(section[1])) if section else []
    if not asked:
        raise ValueError(_("The lesson has no quiz."))
    return asked


def _questions(section: str) -> Iterator[Question]:
    _before, *pieces = _QUESTION.split(section)
    for number, title, rest in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        options = []
        for letter, text, said in _OPTION.findall(rest):
            verdict = _VERDICT.match(said.strip())
            if verdict is None:
                raise ValueError(
                    _(
                        "Question {number} of the quiz does not say whether answer {letter} is "
                        "right: begin with “Yes” or “No”."
                    ).format(number=number, letter=letter)
                )
            options.append(Option(text.strip(), bool(verdict[1]), said.strip()))
        if [option.right for option in options].count(True) != 1:
            raise ValueError(
                _("Question {number} of the quiz does not have exactly one right answer.").format(
                    number=number
                )
            )
        more = rest.partition("<details")[0].strip()
        yield Question(f"{title}\n\n{more}".strip(), tuple(options))


def gift(title: str, questions: Sequence[Question]) -> str:
    """Questions of one right answer each as a file that Moodle imports.

    Args:
        title: of the lesson; it names the category, and with a number each question.
        questions: as :func:`quiz` gives them.

    >>> print(gift("Sums", [Question("$1+1$?", (Option("2", True, "Yes."), Option("3", False,
    ...     "No: one more."))),]))
    $CATEGORY: $course$/top/Sums
    <BLANKLINE>
    ::Sums – 1::[html]<p><span class\\="math inline">\\\\(1+1\\\\)</span>?</p> {
      =2#<p>Yes.</p>
      ~3#<p>No\\: one more.</p>
    }
    <BLANKLINE>
    """
    blocks = [f"$CATEGORY: $course$/top/{title.replace('/', '//')}\n"]
    for number, question in enumerate(questions, start=1):
        lines = [
            f"  {'=' if option.right else '~'}{_escaped(_HTML.renderInline(option.text))}"
            f"#{_shown(option.feedback)}"
            for option in question.options
        ]
        name = _escaped(f"{title} – {number}")
        blocks.append("\n".join([f"::{name}::[html]{_shown(question.text)} {{", *lines, "}\n"]))
    return "\n".join(blocks)


def _shown(text: str) -> str:
    """Markdown as HTML, on one line and with no mark that GIFT would take for its own."""
    return _escaped(_HTML.render(text).strip()).replace("\n", r"\n")


def _escaped(text: str) -> str:
    return re.sub(f"[{re.escape(_MARKS)}]", lambda mark: "\\" + mark[0], text)
