"""Compares two code cells as programs: comments and what a reader sees may differ, nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from string import Formatter
from typing import Literal, NamedTuple

from course.notebooks.normaliser import first_line
from course_utils.i18n import _

__all__ = ["code_difference", "neutral"]

# How far two strings of code may differ. A "name" (of a data set, a file, a colour, a dictionary
# key) is the same in both languages, a "text" is translated, and what is "exact" is not prose.
Strictness = Literal["name", "text", "exact"]

# Functions and arguments that show their strings to the reader.
_TEXT_CALLS = frozenset(
    [
        *("Markdown", "HTML", "Table", "display", "print"),
        *("annotate", "figtext", "legend", "suptitle", "text", "title", "xlabel", "ylabel"),
        *("set_label", "set_title", "set_xlabel", "set_xticklabels", "set_ylabel"),
        "set_yticklabels",
    ]
)
_TEXT_ARGUMENTS = frozenset(
    [
        *("alt", "caption", "description", "header", "label", "labels", "legend", "text"),
        *("title", "titles", "xlabel", "ylabel"),
    ]
)
_TEXT_METHODS = ("format", "join")

_NAME = re.compile(r"[!-~]+")  # ASCII without spaces
_LANGUAGE_WORD = re.compile(r"(?<![A-Za-z0-9])(?:fr|en)(?![A-Za-z0-9])")


class _Difference(NamedTuple):
    """Where the code differs (line of the French cell), and what stands there in each edition."""

    line: int
    french: object
    english: object


def code_difference(french: str, english: str) -> str | None:
    """A sentence about the first place where two cells differ as programs, or None.

    Comments do not count. Strings may differ when a reader sees them: those with a space or an
    accent, and those that go to a title, a label or ``print``; other strings are names, equal in
    both languages, except that ``fr`` answers to ``en``. The expressions of an f-string are equal
    and may change places.

    Args:
        french: the source of the French cell, plain Python.
        english: the source of the English cell.

    >>> code_difference('load("digits")  # les chiffres', 'load("digits")  # the digits')
    >>> print(code_difference('load("digits")', 'load("cifar10")'))
    line 1 of the code differs: 'digits' in French, 'cifar10' in English.
    """
    trees = []
    for source, fault in (
        (french, _("the French code is not Python ({error}).")),
        (english, _("the English code is not Python ({error}).")),
    ):
        try:
            trees.append(ast.parse(source))
        except SyntaxError as error:
            return fault.format(error=error.msg)
    difference = next(_differences(trees[0], trees[1], 1), None)
    if difference is None:
        return None
    return _("line {line} of the code differs: {french} in French, {english} in English.").format(
        line=difference.line,
        french=_shown(difference.french),
        english=_shown(difference.english),
    )


def neutral(text: str) -> str:
    """``text`` without the language it is for.

    >>> neutral("notebooks/fr/03_degradation.ipynb")
    'notebooks/*/03_degradation.ipynb'
    """
    return _LANGUAGE_WORD.sub("*", text)


def _differences(
    french: object, english: object, line: int, strictness: Strictness = "name"
) -> Iterator[_Difference]:
    """Where two syntax trees, lists of nodes or values of fields part."""
    line = getattr(french, "lineno", line)
    if type(french) is not type(english):
        yield _Difference(line, french, english)
    elif isinstance(french, list) and isinstance(english, list):
        for one, other in zip_longest(french, english):
            yield from _differences(one, other, line, strictness)
    elif isinstance(french, ast.Constant) and isinstance(english, ast.Constant):
        if not _same_constant(french.value, english.value, strictness):
            yield _Difference(line, french, english)
    elif isinstance(french, ast.JoinedStr) and isinstance(english, ast.JoinedStr):
        if not _same_joined(french, english, line, strictness):
            yield _Difference(line, french, english)
    elif isinstance(french, ast.Call) and isinstance(english, ast.Call):
        yield from _in_calls(french, english, line, strictness)
    elif isinstance(french, ast.Expr) and isinstance(english, ast.Expr):
        # A string on its own is a docstring or a remark.
        alone = isinstance(french.value, ast.Constant)
        yield from _differences(french.value, english.value, line, "text" if alone else "name")
    elif isinstance(french, ast.AST) and isinstance(english, ast.AST):
        for field in french._fields:
            if field not in ("kind", "type_comment"):
                yield from _differences(
                    getattr(french, field, None),
                    getattr(english, field, None),
                    line,
                    strictness if _carries_text(french, field) else "name",
                )
    elif french != english:
        yield _Difference(line, french, english)


def _same_constant(french: object, english: object, strictness: Strictness) -> bool:
    if not isinstance(french, str) or not isinstance(english, str):
        return type(french) is type(english) and repr(french) == repr(english)
    if french == english:
        return True
    if strictness == "exact" or not french or not english:
        return False
    if strictness == "text" or not (_NAME.fullmatch(french) and _NAME.fullmatch(english)):
        return True
    return neutral(french) == neutral(english)


def _same_joined(
    french: ast.JoinedStr, english: ast.JoinedStr, line: int, strictness: Strictness
) -> bool:
    if strictness == "exact":  # such as the format after a colon
        return not any(_differences(french.values, english.values, line, strictness))
    one, other = _expressions(french), _expressions(english)
    if not _alike(one, other, line) and not _alike(
        sorted(one, key=ast.dump), sorted(other, key=ast.dump), line
    ):
        return False
    texts = _literal(french), _literal(english)
    path_like = all(_NAME.fullmatch(text) and re.search("[/_]", text) for text in texts)
    return not path_like or _same_constant(*texts, strictness)


def _alike(
    french: Sequence[ast.FormattedValue], english: Sequence[ast.FormattedValue], line: int
) -> bool:
    return len(french) == len(english) and all(
        one.conversion == other.conversion
        and not any(_differences(one.value, other.value, line))
        and not any(_differences(one.format_spec, other.format_spec, line, "exact"))
        for one, other in zip(french, english, strict=True)
    )


def _in_calls(
    french: ast.Call, english: ast.Call, line: int, strictness: Strictness
) -> Iterator[_Difference]:
    name = _called(french)
    if (
        name == "format"
        and isinstance(french.func, ast.Attribute)
        and isinstance(english.func, ast.Attribute)
        and _places(french.func.value) != _places(english.func.value)
    ):
        yield _Difference(line, french.func.value, english.func.value)
    receiver = strictness if name in _TEXT_METHODS else "name"
    yield from _differences(french.func, english.func, line, receiver)
    positional: Strictness = "text" if name in _TEXT_CALLS else "name"
    if name == "join":
        positional = strictness
    yield from _differences(french.args, english.args, line, positional)
    for one, other in zip_longest(french.keywords, english.keywords):
        if one is None or other is None or one.arg != other.arg:
            yield _Difference(line, one, other)
        else:
            named: Strictness = "text" if one.arg in _TEXT_ARGUMENTS else "name"
            yield from _differences(one.value, other.value, line, named)


def _carries_text(node: ast.AST, field: str) -> bool:
    """Whether what is shown to the reader through ``node`` may come from its ``field``."""
    return (
        isinstance(node, ast.List | ast.Tuple | ast.Starred | ast.BinOp)
        or (isinstance(node, ast.IfExp) and field != "test")
        or (isinstance(node, ast.Dict) and field == "values")
        or (isinstance(node, ast.Attribute) and node.attr in _TEXT_METHODS)
        or (isinstance(node, ast.GeneratorExp | ast.ListComp) and field == "elt")
    )


def _called(call: ast.Call) -> str:
    """The last name of what is called: ``set_title`` in ``axes[0].set_title(…)``."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _expressions(node: ast.JoinedStr) -> list[ast.FormattedValue]:
    return [value for value in node.values if isinstance(value, ast.FormattedValue)]


def _literal(node: ast.JoinedStr) -> str:
    return "".join(str(value.value) for value in node.values if isinstance(value, ast.Constant))


def _places(node: ast.expr) -> set[str]:
    """The fields of a literal that ``.format`` fills; none for anything else."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return set()
    try:
        return {name for _text, name, _spec, _kind in Formatter().parse(node.value) if name}
    except ValueError:
        return set()  # running the cell says it better


def _shown(node: object) -> str:
    """A node as a reader would write it, cut to 60 characters."""
    if node is None:
        return _("none")
    if isinstance(node, ast.keyword):
        text = f"{node.arg}={ast.unparse(node.value)}"
    else:
        text = ast.unparse(node) if isinstance(node, ast.AST) else repr(node)
    return first_line(text)
