"""Reads from a Markdown cell what two editions share: headings, formulas, links, numbers, code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "Fence",
    "Heading",
    "Image",
    "fences",
    "formulas",
    "headings",
    "images",
    "links",
    "number_readings",
    "without_code",
]

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n"
    r"(?P<body>.*?)"
    r"(?:^[ \t]*(?P=mark)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")

_DISPLAYED = re.compile(r"(?<!\\)\$\$(.+?)(?<!\\)\$\$", re.DOTALL)
# A formula within a line touches its dollars; a sum of money does not close with one.
_INLINE = re.compile(r"(?<![\\$])\$(?![\s$])([^$]*?)(?<![\s\\])\$(?![\d$])")
_WORDS = re.compile(r"\\(?:text|textrm|textbf|textit|mathrm|operatorname)\*?\s*\{[^{}]*\}")

_TARGET = r"\(\s*<?(?P<target>[^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+[\"'][^)]*)?\s*\)"
_IMAGE = re.compile(r"!\[(?P<alt>(?:[^\]\\]|\\.)*)\]" + _TARGET)
_LINK = re.compile(r"\]" + _TARGET)
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)>?", re.MULTILINE)
_AUTOLINK = re.compile(r"<(?P<target>(?:https?://|mailto:)[^\s<>]+)>")
_HTML_LINK = re.compile(r"<a\b[^>]*?\bhref\s*=\s*([\"'])(?P<target>.*?)\1", re.IGNORECASE)
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)

# The spaces that French puts between groups of three digits: no-break, narrow no-break, thin.
_GROUP_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


class Fence(NamedTuple):
    """A block of code between fences: its language, and its lines without their indentation."""

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


def fences(text: str) -> list[Fence]:
    """The blocks of code of ``text``, in order.

    >>> fences("See:\\n```python\\nx = 1\\n```\\n")
    [Fence(language='python', code='x = 1\\n')]
    """
    return [
        Fence((match["info"].split() or [""])[0], textwrap.dedent(match["body"]))
        for match in _FENCE.finditer(text)
    ]


def without_code(text: str, instead: str = "") -> str:
    """``text`` without code within lines and HTML comments, ``instead`` in place of each block.

    >>> without_code("Call `f(1)`, twice.")
    'Call  , twice.'
    """
    return _COMMENT.sub("", _CODE_SPAN.sub(" ", _FENCE.sub(instead + "\n", text)))


def headings(text: str) -> list[Heading]:
    """The headings of ``text``, in order.

    >>> headings("# One\\n\\n```\\n# a comment\\n```\\n\\n### Three ###")
    [Heading(level=1, text='One'), Heading(level=3, text='Three')]
    """
    prose = _COMMENT.sub("", _FENCE.sub("\n", text))  # code within a heading is part of it
    return [Heading(len(match[1]), match[2]) for match in _HEADING.finditer(prose)]


def formulas(text: str) -> list[str]:
    """The formulas of ``text`` that both languages write alike: words, spaces and numbers left out.

    >>> formulas("$e = 0{,}5\\\\,\\\\text{erreur}$") == formulas("$e=0.5 \\\\text{error}$")
    True
    """
    return [_common(formula) for formula in _formulas(text)]


def _formulas(text: str) -> list[str]:
    prose = without_code(text)
    displayed = _DISPLAYED.findall(prose)
    inline = _INLINE.findall(_DISPLAYED.sub(" ", prose))
    return displayed + inline


def _common(formula: str) -> str:
    formula = _WORDS.sub(r"\\text", formula)
    formula = re.sub(r"\\[,;:! ]|~|\s", "", formula)
    return re.sub(r"\d+(?:(?:\{,\}|[.,])\d+)*", "#", formula)


def images(text: str) -> list[Image]:
    """The images of ``text``, Markdown's and HTML's.

    >>> images("![A map](https://example.org/map.png)")
    [Image(alt='A map', target='https://example.org/map.png')]
    """
    prose = without_code(text)
    found = [Image(match["alt"], match["target"]) for match in _IMAGE.finditer(prose)]
    for tag in _HTML_IMAGE.findall(prose):
        found.append(Image(_attribute(tag, "alt"), _attribute(tag, "src") or ""))
    return found


def _attribute(tag: str, name: str) -> str | None:
    match = re.search(rf"\b{name}\s*=\s*([\"'])(.*?)\1", tag, re.IGNORECASE | re.DOTALL)
    return match[2] if match else None


def links(text: str) -> list[str]:
    """The addresses that ``text`` links to, those of images left out.

    >>> links("[paper](https://arxiv.org/abs/1512.03385), <https://pytorch.org>")
    ['https://arxiv.org/abs/1512.03385', 'https://pytorch.org']
    """
    # An image may stand within a link: taking images out first leaves the link's own address.
    prose = _IMAGE.sub("", without_code(text))
    return [
        match["target"]
        for pattern in (_LINK, _REFERENCE, _AUTOLINK, _HTML_LINK)
        for match in pattern.finditer(prose)
    ]


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
    prose = _TAG.sub(" ", _AUTOLINK.sub(" ", _REFERENCE.sub(" ", without_code(text))))
    prose = _LINK.sub("]", prose)
    mathematics = " ; ".join(_formulas(text))
    prose = _INLINE.sub(" ", _DISPLAYED.sub(" ", prose))
    spans = " ; ".join(match[2] for match in _CODE_SPAN.finditer(_FENCE.sub("\n", text)))
    for joined in (True, False):
        numbers = _NUMBER.findall(spans)
        numbers += _NUMBER.findall(_plain(prose, language, joined=joined))
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
