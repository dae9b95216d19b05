"""Reads from a Markdown cell what two editions share: headings, formulas, links, numbers, code.

markdown-it-py finds the parts, as Markdown has them, and its plugin the formulas between dollars;
how each language writes its numbers no library knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

__all__ = [
    "Fence",
    "Heading",
    "Image",
    "fences",
    "formulas",
    "heading_lines",
    "headings",
    "images",
    "links",
    "number_readings",
    "prose",
    "tokens",
]

# A formula within a line touches its dollars; a sum of money does not close with one. What a
# backslash stands before keeps a token of its own.
_PARSER = (
    MarkdownIt("commonmark")
    .enable("table")
    .disable("text_join")
    .use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True)
)
_HTML = ("html_block", "html_inline")
_WORDS = ("text", "text_special", "image", *_HTML)

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_ADDRESS = re.compile(r"(?:https?://|mailto:)\S+")
_SAID = re.compile(r"\\(?:text|textrm|textbf|textit|mathrm|operatorname)\*?\s*\{[^{}]*\}")

# The spaces that French puts between groups of three digits: no-break, narrow no-break, thin.
_GROUP_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


class Fence(NamedTuple):
    """A block of code: its language, and its lines without their indentation."""

    language: str
    code: str


class Heading(NamedTuple):
    """A heading: its level, 1 to 6, and its text."""

    level: int
    text: str


class Image(NamedTuple):
    """An image: its alternative text (None where there is no such attribute) and its address."""

    alt: str | None
    target: str


class _Tags(HTMLParser):
    """The tags that a piece of HTML opens, each with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tokens(text: str) -> Iterator[Token]:
    """The parts of ``text`` as markdown-it-py has them, those within a line in the line's place."""
    for token in _PARSER.parse(text):
        yield from [token] if token.children is None else token.children


def prose(text: str) -> str:
    """``text`` without code, formulas, comments and addresses; emphasis and HTML stay as they are.

    >>> prose("Call `f(1)`, *twice*.")
    'Call  , *twice*.'
    """
    pieces = []
    for token in tokens(text):
        if token.type in _WORDS:
            pieces.append(token.content)
        elif token.type.startswith(("em_", "strong_")):
            pieces.append(token.markup)
        elif token.block or token.type.endswith("break"):
            pieces.append("\n")
        elif not token.type.startswith("link_"):
            pieces.append(" ")
    return _COMMENT.sub("", "".join(pieces)).strip("\n")


def fences(text: str) -> list[Fence]:
    """The blocks of code of ``text``, in order.

    >>> fences("See:\\n```python\\nx = 1\\n```\\n")
    [Fence(language='python', code='x = 1\\n')]
    """
    return [
        Fence((token.info.split() or [""])[0], token.content)
        for token in tokens(text)
        if token.type in ("fence", "code_block")
    ]


def headings(text: str) -> list[Heading]:
    """The headings of ``text``, in order.

    >>> headings("# One\\n\\n```\\n# a comment\\n```\\n\\n### Three ###")
    [Heading(level=1, text='One'), Heading(level=3, text='Three')]
    """
    blocks = _PARSER.parse(text)
    return [
        Heading(int(token.tag[1]), line.content)
        for token, line in pairwise(blocks)
        if token.type == "heading_open"
    ]


def heading_lines(text: str) -> list[int]:
    """The places of the lines that hold the headings of ``text``, from 0.

    >>> heading_lines("A text.\\n\\n## A heading\\n")
    [2]
    """
    return [
        token.map[0]
        for token in _PARSER.parse(text)
        if token.type == "heading_open" and token.map is not None and token.level == 0
    ]


def formulas(text: str) -> list[str]:
    """The formulas of ``text`` that both languages write alike: words, spaces and numbers left out.

    >>> formulas("$e = 0{,}5\\\\,\\\\text{erreur}$") == formulas("$e=0.5 \\\\text{error}$")
    True
    """
    return [_common(formula) for formula in _formulas(text)]


def _formulas(text: str) -> list[str]:
    return [token.content for token in tokens(text) if token.type.startswith("math_")]


def _common(formula: str) -> str:
    formula = _SAID.sub(r"\\text", formula)
    formula = re.sub(r"\\[,;:! ]|~|\s", "", formula)
    return re.sub(r"\d+(?:(?:\{,\}|[.,])\d+)*", "#", formula)


def images(text: str) -> list[Image]:
    """The images of ``text``, Markdown's and HTML's.

    >>> images("![A map](https://example.org/map.png)")
    [Image(alt='A map', target='https://example.org/map.png')]
    """
    return [Image(alt, target) for tag, alt, target in _aims(text) if tag == "img"]


def links(text: str) -> list[str]:
    """The addresses that ``text`` links to, those of images left out.

    >>> links("[paper](https://arxiv.org/abs/1512.03385), <https://pytorch.org>")
    ['https://arxiv.org/abs/1512.03385', 'https://pytorch.org']
    """
    return [target for tag, _alt, target in _aims(text) if tag == "a"]


def _aims(text: str) -> Iterator[tuple[str, str | None, str]]:
    """The images and links of ``text``: ``"img"`` or ``"a"``, alternative text, address."""
    for token in tokens(text):
        if token.type == "image":
            yield "img", token.content, str(token.attrs["src"])
        elif token.type == "link_open":
            yield "a", None, str(token.attrs["href"])
        elif token.type in _HTML:
            for tag, about in _Tags(token.content).found:
                target = about.get("src" if tag == "img" else "href")
                if tag in ("a", "img"):
                    yield tag, about.get("alt"), target or ""


def number_readings(text: str, language: str) -> Iterator[tuple[str, ...]]:
    """The numbers of ``text``, sorted, written as in Python, for each way to read them.

    A comma or a space between digits is not always part of a number: « les profondeurs 8 200 » and
    « 8 200 images » look the same. Two editions agree when they agree in one reading.

    Args:
        text: the Markdown of a cell; the numbers in addresses and in blocks of code do not count.
        language: ``"fr"`` (0,5 and 1 437) or ``"en"`` (0.5 and 1,437).

    >>> set(number_readings("1 437 images, 0,5 %", "fr")) & set(
    ...     number_readings("0.5% of 1,437 images", "en"))
    {('0.5', '1437')}
    """
    words = _ADDRESS.sub(" ", _TAG.sub(" ", prose(text)))
    mathematics = " ; ".join(_formulas(text))
    spans = " ; ".join(
        token.info if token.type == "list_item_open" else token.content
        for token in tokens(text)
        if token.type in ("code_inline", "list_item_open")
    )
    for joined in (True, False):
        numbers = _NUMBER.findall(spans)
        numbers += _NUMBER.findall(_plain(words, language, joined=joined))
        for commas in (True, False):
            in_formulas = _plain_formula(mathematics, language, commas=commas, joined=joined)
            yield tuple(sorted(numbers + _NUMBER.findall(in_formulas)))


def _plain(text: str, language: str, *, joined: bool) -> str:
    """``text`` with its numbers as in Python; ``joined`` takes a plain space between digits for
    one that groups them (a no-break space always does)."""
    spaces = _GROUP_SPACES + (" " if joined else "")
    text = re.sub(
        rf"(?<![\d.,])\d{{1,3}}(?:[{spaces}]\d{{3}})+(?!\d)",
        lambda match: re.sub(r"\D", "", match[0]),
        text,
    )
    if language == "fr":
        return re.sub(r"(?<![\d,])(\d+),(\d+)(?!,?\d)", r"\1.\2", text)
    return re.sub(
        r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d)", lambda match: match[0].replace(",", ""), text
    )


def _plain_formula(text: str, language: str, *, commas: bool, joined: bool) -> str:
    """The same within formulas, where ``{,}`` and ``\\,`` belong to a number and, if ``commas``,
    a bare comma too."""
    text = re.sub(r"(?<=\d)\\[,;: ](?=\d{3}(?!\d))", "\N{THIN SPACE}", text)
    text = re.sub(r"\\[,;:! ]|~", " ", text)
    if not commas:
        text = re.sub(r"(?<=\d),(?=\d)", " ; ", text)
    return _plain(text.replace("{,}", ","), language, joined=joined)
