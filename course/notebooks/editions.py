"""Holds the two editions of a lesson together: structure, code, prose and translation hashes."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from string import Formatter
from typing import Literal, NamedTuple

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course.files import Pair, short_name
from course.notebooks import markdown
from course.notebooks.normaliser import first_line, read_notebook, write_notebook
from course_utils.i18n import _

__all__ = [
    "cell_differences",
    "check_editions",
    "code_difference",
    "prose_differences",
    "source_hash",
    "stale_cells",
    "stamp",
]

# How far two strings of code may differ. A "name" (of a data set, a file, a colour, a dictionary
# key) is the same in both languages, a "text" is translated, and what is "exact" is not prose.
Strictness = Literal["name", "text", "exact"]

# Functions and arguments that show their strings to the reader, most of them matplotlib's.
_TEXT_CALLS = frozenset(
    [
        "Markdown",
        "HTML",
        "Table",
        "annotate",
        "display",
        "figtext",
        "legend",
        "print",
        "set_label",
        "set_title",
        "set_xlabel",
        "set_xticklabels",
        "set_ylabel",
        "set_yticklabels",
        "suptitle",
        "text",
        "title",
        "xlabel",
        "ylabel",
    ]
)
_TEXT_ARGUMENTS = frozenset(
    [
        "alt",
        "caption",
        "description",
        "header",
        "label",
        "labels",
        "legend",
        "text",
        "title",
        "titles",
        "xlabel",
        "ylabel",
    ]
)
_TEXT_METHODS = ("format", "join")
_IPYTHON_CALLS = ("run_line_magic", "run_cell_magic", "system", "getoutput")
_PYTHON_MAGICS = ("time", "timeit", "capture", "prun")

_NAME = re.compile(r"[!-~]+")  # ASCII without spaces
_LANGUAGE_WORD = re.compile(r"(?<![A-Za-z0-9])(?:fr|en)(?![A-Za-z0-9])")
_DETAILS = re.compile(r"<details\b", re.IGNORECASE)


class _Difference(NamedTuple):
    """Where the code differs (line of the French cell), and what stands there in each edition."""

    line: int
    french: str
    english: str


def source_hash(source: str) -> str:
    """The mark that an English cell keeps of the French cell it translates: 16 hexadecimal digits.

    Args:
        source: the French cell.

    >>> source_hash("")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:16]


def code_difference(french: str, english: str, *, translated_strings: bool = False) -> str | None:
    """A sentence about the first place where two cells differ as programs, or None.

    Comments do not count. Strings may differ when a reader sees them: those with a space or an
    accent, and those that go to a title, a label or ``print``; other strings are names, equal in
    both languages, except that ``fr`` answers to ``en``. The expressions of an f-string are equal
    and may change places. IPython's magics are read as IPython reads them.

    Args:
        french: the source of the French cell.
        english: the source of the English cell.
        translated_strings: let every string of the cell differ (the cell's metadata says so).

    >>> code_difference('load("digits")  # les chiffres', 'load("digits")  # the digits')
    >>> print(code_difference('load("digits")', 'load("cifar10")'))
    line 1 of the code differs: 'digits' in French, 'cifar10' in English.
    """
    found = []
    for source, fault in (
        (french, _("the French code is not Python ({error}).")),
        (english, _("the English code is not Python ({error}).")),
    ):
        try:
            found.append(_parsed(source))
        except SyntaxError as error:
            return fault.format(error=error.msg)
    default: Strictness = "text" if translated_strings else "name"
    try:
        difference = next(_Comparison(default).nodes(found[0], found[1], 1), None)
    except SyntaxError as error:  # under a magic such as %%time
        return _("the code under the magic is not Python ({error}).").format(error=error.msg)
    if difference is None:
        return None
    return _("line {line} of the code differs: {french} in French, {english} in English.").format(
        line=difference.line, french=difference.french, english=difference.english
    )


def _parsed(source: str) -> ast.AST:
    python = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree: ast.AST = compile(python, "cell", "exec", flags=flags, dont_inherit=True)
    return tree


class _Comparison:
    """Walks two syntax trees side by side and yields where they part."""

    def __init__(self, default: Strictness) -> None:
        self.default: Strictness = default

    def nodes(
        self, french: object, english: object, line: int, strictness: Strictness | None = None
    ) -> Iterator[_Difference]:
        """Compare two nodes, lists of nodes or values of fields."""
        strictness = strictness or self.default
        line = getattr(french, "lineno", line)
        if type(french) is not type(english):
            yield _Difference(line, _shown(french), _shown(english))
        elif isinstance(french, list) and isinstance(english, list):
            for one, other in zip_longest(french, english):
                yield from self.nodes(one, other, line, strictness)
        elif isinstance(french, ast.Constant) and isinstance(english, ast.Constant):
            if not self._same_constant(french.value, english.value, strictness):
                yield _Difference(line, _shown(french), _shown(english))
        elif isinstance(french, ast.JoinedStr) and isinstance(english, ast.JoinedStr):
            yield from self._joined(french, english, line, strictness)
        elif isinstance(french, ast.Call) and isinstance(english, ast.Call):
            yield from self._calls(french, english, line, strictness)
        elif isinstance(french, ast.Expr) and isinstance(english, ast.Expr):
            # A string on its own is a docstring or a remark.
            alone = isinstance(french.value, ast.Constant)
            yield from self.nodes(french.value, english.value, line, "text" if alone else None)
        elif isinstance(french, ast.AST) and isinstance(english, ast.AST):
            for field in french._fields:
                if field in ("kind", "type_comment"):
                    continue
                yield from self.nodes(
                    getattr(french, field, None),
                    getattr(english, field, None),
                    line,
                    strictness if _carries_text(french, field) else None,
                )
        elif french != english:
            yield _Difference(line, _shown(french), _shown(english))

    @staticmethod
    def _same_constant(french: object, english: object, strictness: Strictness) -> bool:
        if not isinstance(french, str) or not isinstance(english, str):
            return type(french) is type(english) and repr(french) == repr(english)
        if french == english:
            return True
        if strictness == "exact" or not french or not english:
            return False
        if strictness == "text" or not (_NAME.fullmatch(french) and _NAME.fullmatch(english)):
            return True
        return _neutral(french) == _neutral(english)

    def _joined(
        self, french: ast.JoinedStr, english: ast.JoinedStr, line: int, strictness: Strictness
    ) -> Iterator[_Difference]:
        if strictness == "exact":  # such as the format after a colon
            yield from self.nodes(french.values, english.values, line, strictness)
            return
        one, other = _expressions(french), _expressions(english)
        if self._alike(one, other, line) or self._alike(
            sorted(one, key=ast.dump), sorted(other, key=ast.dump), line
        ):
            texts = _literal(french), _literal(english)
            path_like = all(_NAME.fullmatch(text) and re.search("[/_]", text) for text in texts)
            if path_like and not self._same_constant(*texts, strictness):
                yield _Difference(line, _shown(french), _shown(english))
        else:
            yield _Difference(line, _shown(french), _shown(english))

    def _alike(
        self, french: Sequence[ast.FormattedValue], english: Sequence[ast.FormattedValue], line: int
    ) -> bool:
        return len(french) == len(english) and all(
            one.conversion == other.conversion
            and not any(self.nodes(one.value, other.value, line))
            and not any(self.nodes(one.format_spec, other.format_spec, line, "exact"))
            for one, other in zip(french, english, strict=True)
        )

    def _calls(
        self, french: ast.Call, english: ast.Call, line: int, strictness: Strictness
    ) -> Iterator[_Difference]:
        name = _called(french)
        if name in _IPYTHON_CALLS and _is_ipython(french) and _is_ipython(english):
            yield from self._magics(french, english, line)
            return
        receiver = strictness if name in _TEXT_METHODS else None
        if (
            name == "format"
            and isinstance(french.func, ast.Attribute)
            and isinstance(english.func, ast.Attribute)
        ):
            places = _places(french.func.value), _places(english.func.value)
            if places[0] != places[1]:
                yield _Difference(line, _shown(french.func.value), _shown(english.func.value))
        yield from self.nodes(french.func, english.func, line, receiver)
        positional: Strictness | None = "text" if name in _TEXT_CALLS else None
        if name == "join":
            positional = strictness
        yield from self.nodes(french.args, english.args, line, positional)
        for one, other in zip_longest(french.keywords, english.keywords):
            if one is None or other is None or one.arg != other.arg:
                yield _Difference(line, _shown(one), _shown(other))
            else:
                shown: Strictness | None = "text" if one.arg in _TEXT_ARGUMENTS else None
                yield from self.nodes(one.value, other.value, line, shown)

    def _magics(self, french: ast.Call, english: ast.Call, line: int) -> Iterator[_Difference]:
        """Two magics: the same words, and the same program under those that run Python."""
        one, other = _strings(french), _strings(english)
        same_header = _called(french) == _called(english) and one[:2] == other[:2]
        if same_header and len(one) == 3 and one[0] in _PYTHON_MAGICS:
            for inner in self.nodes(_parsed(one[2]), _parsed(other[2]), 1):
                yield inner._replace(line=inner.line + line)
        elif not (same_header and len(one) == 3 and self.default == "text") and one != other:
            yield _Difference(line, _shown(french), _shown(english))


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


def _is_ipython(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Call)
        and _called(call.func.value) == "get_ipython"
    )


def _strings(call: ast.Call) -> list[str]:
    return [str(argument.value) for argument in call.args if isinstance(argument, ast.Constant)]


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
        return _("nothing")
    if isinstance(node, ast.keyword):
        text = f"{node.arg}={ast.unparse(node.value)}"
    else:
        text = ast.unparse(node) if isinstance(node, ast.AST) else repr(node)
    return first_line(text)


def _neutral(text: str) -> str:
    """``text`` without the language it is for: ``notebooks/fr/x`` as ``notebooks/*/x``."""
    return _LANGUAGE_WORD.sub("*", text)


def _neutral_link(target: str) -> str:
    """The address without language or place in the page; of a site by language, the site alone."""
    neutral = _neutral(target)
    page = neutral.split("#")[0]
    site = re.match(r"https?://\*\.[^/]+", page)
    return site[0] if site else page


def prose_differences(french: str, english: str, *, numbers: bool = True) -> list[str]:
    """A sentence for each way in which two Markdown cells are not built alike.

    Compared: levels of headings, folded parts, formulas (without words), addresses of links (``fr``
    answers to ``en``) and of images, blocks of code, and numbers as each language writes them.

    Args:
        french: the source of the French cell.
        english: the source of the English cell.
        numbers: compare the numbers too; a cell's metadata ``prose_numbers: false`` says not to.

    >>> prose_differences("## Coût\\n\\n1 437 images, 0,5 %", "## Cost\\n\\n1,437 images, 0.5%")
    []
    """
    faults = []
    levels = [[heading.level for heading in markdown.headings(text)] for text in (french, english)]
    if levels[0] != levels[1]:
        faults.append(
            _("headings differ: levels {french} in French, {english} in English.").format(
                french=levels[0], english=levels[1]
            )
        )
    folded = [len(_DETAILS.findall(markdown.prose(text))) for text in (french, english)]
    if folded[0] != folded[1]:
        faults.append(
            _("folded parts differ: {french} in French, {english} in English.").format(
                french=folded[0], english=folded[1]
            )
        )
    for differ, reading in (
        (_("formulas differ: {differences}."), markdown.formulas),
        (_("links differ: {differences}."), _neutral_links),
        (_("images differ: {differences}."), _neutral_images),
    ):
        differences = _multiset_difference(reading(french), reading(english))
        if differences:
            faults.append(differ.format(differences=differences))
    faults += _fence_differences(french, english)
    if numbers:
        readings = [
            list(markdown.number_readings(text, language))
            for text, language in ((french, "fr"), (english, "en"))
        ]
        if not set(readings[0]) & set(readings[1]):
            faults.append(
                _("numbers differ: {differences}.").format(
                    differences=_multiset_difference(readings[0][0], readings[1][0])
                )
            )
    return faults


def _neutral_links(text: str) -> list[str]:
    return [_neutral_link(target) for target in markdown.links(text)]


def _neutral_images(text: str) -> list[str]:
    return [_neutral_link(image.target) for image in markdown.images(text)]


def _multiset_difference(french: Iterable[str], english: Iterable[str]) -> str:
    """What only one edition has, in words; empty when both have the same."""
    one, other = Counter(french), Counter(english)
    parts = []
    for label, only in (
        (_("only in French: {items}"), one - other),
        (_("only in English: {items}"), other - one),
    ):
        if only:
            parts.append(label.format(items=", ".join(sorted(only.elements()))))
    return "; ".join(parts)


def _fence_differences(french: str, english: str) -> list[str]:
    one, other = markdown.fences(french), markdown.fences(english)
    languages = [[fence.language for fence in fences] for fences in (one, other)]
    if languages[0] != languages[1]:
        return [
            _("blocks of code differ: {french} in French, {english} in English.").format(
                french=languages[0], english=languages[1]
            )
        ]
    answer = []
    for number, (left, right) in enumerate(zip(one, other, strict=True), start=1):
        if left.language in ("python", "py", "python3"):
            difference = code_difference(left.code, right.code)
            if difference:
                answer.append(
                    _("in block of code {number}, {difference}").format(
                        number=number, difference=difference
                    )
                )
    return answer


def cell_differences(french: NotebookNode, english: NotebookNode) -> list[str]:
    """A sentence for each way in which an English cell is not its French cell in English.

    Args:
        french: a cell of the French notebook.
        english: the cell of the English notebook with the same id.
    """
    if french.cell_type != english.cell_type:
        return [
            _("the types differ: {french} in French, {english} in English.").format(
                french=french.cell_type, english=english.cell_type
            )
        ]
    faults = []
    tags = [sorted(cell.metadata.get("tags", [])) for cell in (french, english)]
    if tags[0] != tags[1]:
        faults.append(
            _("the tags differ: {french} in French, {english} in English.").format(
                french=tags[0], english=tags[1]
            )
        )
    if french.cell_type == "markdown":
        numbers = all(cell.metadata.get("prose_numbers", True) for cell in (french, english))
        return faults + prose_differences(french.source, english.source, numbers=numbers)
    free = any(cell.metadata.get("translated_strings", False) for cell in (french, english))
    difference = code_difference(french.source, english.source, translated_strings=free)
    return [*faults, difference] if difference else faults


def check_editions(pair: Pair) -> list[str]:
    """A sentence for each thing that sets the two editions of a lesson apart.

    Args:
        pair: the two notebooks, both there.

    Raises:
        ValueError: one of them is not a notebook.
    """
    french, english = read_notebook(pair.french), read_notebook(pair.english)
    faults = [f"{short_name(pair.english)}: {fault}" for fault in _order_faults(french, english)]
    for one, other in _matched(french, english):
        found = cell_differences(one, other)
        outdated = _translation_fault(one, other)
        if outdated:
            found.append(outdated)
        faults += [_placed(pair.english, other, fault) for fault in found]
    return faults


def stale_cells(pair: Pair, lines: int = 6) -> list[str]:
    """What a translator has to look at: each English cell that is behind, with the French beside.

    Args:
        pair: the two notebooks.
        lines: how many lines of the French cell to show.

    Raises:
        ValueError: one of them is not a notebook.
    """
    french = read_notebook(pair.french)
    english = read_notebook(pair.english) if pair.english.exists() else None
    known = {cell.id: cell for cell in english.cells} if english else {}
    answer = []
    for cell in french.cells:
        other = known.get(cell.id)
        if other is None:
            fault = _("is not translated yet.")
        else:
            outdated = _translation_fault(cell, other)
            if outdated is None:
                continue
            fault = outdated
        source = cell.source.splitlines()
        shown = [f"    {line}" for line in source[:lines]]
        if len(source) > lines:
            shown.append("    …")
        answer.append("\n".join([_placed(pair.english, cell, fault), *shown]))
    return answer


def stamp(pair: Pair, cells: Sequence[str] | None = None) -> list[str]:
    """Record that English cells translate the French cells as they are now.

    Args:
        pair: the two notebooks; the English one is rewritten, whole or not at all.
        cells: the ids of the cells; every cell when None.

    Returns:
        The ids of the cells whose record changed.

    Raises:
        ValueError: a cell is not in both editions, or differs there in more than its language;
            nothing is recorded then.
    """
    french, english = read_notebook(pair.french), read_notebook(pair.english)
    matched = {one.id: (one, other) for one, other in _matched(french, english)}
    if cells is None:
        order = _order_faults(french, english)
        faults = [f"{short_name(pair.english)}: {fault}" for fault in order]
        cells = list(matched)
    else:
        faults = [
            _("{notebook}: there is no cell `{cell}` in both editions.").format(
                notebook=short_name(pair.english), cell=cell
            )
            for cell in cells
            if cell not in matched
        ]
    changed = []
    for cell in cells:
        if cell not in matched:
            continue
        one, other = matched[cell]
        faults += [_placed(pair.english, other, fault) for fault in cell_differences(one, other)]
        if other.metadata.get("translation_of") != source_hash(one.source):
            other.metadata["translation_of"] = source_hash(one.source)
            changed.append(cell)
    if faults:
        raise ValueError("\n".join(faults))
    if changed:
        write_notebook(pair.english, english)
    return changed


def _matched(
    french: NotebookNode, english: NotebookNode
) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    known = {cell.id: cell for cell in english.cells}
    return ((cell, known[cell.id]) for cell in french.cells if cell.id in known)


def _order_faults(french: NotebookNode, english: NotebookNode) -> list[str]:
    """A sentence for each cell that one edition lacks, else one when their order differs."""
    faults = []
    for cells, others, fault in (
        (french.cells, english.cells, _("cell `{cell}` (“{line}”) is in French only.")),
        (english.cells, french.cells, _("cell `{cell}` (“{line}”) is in English only.")),
    ):
        known = {cell.id for cell in others}
        faults += [
            fault.format(cell=cell.id, line=first_line(cell.source))
            for cell in cells
            if cell.id not in known
        ]
    if not faults:
        for one, other in zip(french.cells, english.cells, strict=True):
            if one.id != other.id:
                return [
                    _("the order differs: `{french}` in French where `{english}` is.").format(
                        french=one.id, english=other.id
                    )
                ]
    return faults


def _translation_fault(french: NotebookNode, english: NotebookNode) -> str | None:
    recorded = english.metadata.get("translation_of")
    if recorded is None:
        return _(
            "does not say which French text it translates: record it with `notebooks translated`."
        )
    if recorded != source_hash(french.source):
        return _(
            "the French cell has changed since this translation: follow it, then record that with "
            "`notebooks translated`."
        )
    return None


def _placed(path: Path, cell: NotebookNode, fault: str) -> str:
    return _("{notebook}, cell `{cell}` (“{line}”): {fault}").format(
        notebook=short_name(path), cell=cell.id, line=first_line(cell.source), fault=fault
    )
