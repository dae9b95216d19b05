"""Holds the two editions of a lesson together: structure, code, prose and translation hashes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nbformat import NotebookNode

from course.files import Pair, short_name
from course.notebooks import markdown
from course.notebooks.normaliser import first_line, read_notebook, write_notebook
from course.notebooks.programs import code_difference, neutral
from course_utils.i18n import _

__all__ = [
    "cell_differences",
    "check_editions",
    "prose_differences",
    "source_hash",
    "stale_cells",
    "stamp",
]

_DETAILS = re.compile(r"<details\b", re.IGNORECASE)


def source_hash(source: str) -> str:
    """The mark that an English cell keeps of the French cell it translates: 16 hexadecimal digits.

    Args:
        source: the French cell.

    >>> source_hash("")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:16]


def prose_differences(french: str, english: str) -> list[str]:
    """A sentence for each way in which two Markdown cells are not built alike.

    Compared: levels of headings, folded parts, formulas (without words), addresses of links (``fr``
    answers to ``en``) and of images, blocks of code, and numbers as each language writes them.

    Args:
        french: the source of the French cell.
        english: the source of the English cell.

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


def _neutral_link(target: str) -> str:
    """The address without language or place in the page; of a site by language, the site alone."""
    page = neutral(target).split("#")[0]
    site = re.match(r"https?://\*\.[^/]+", page)
    return site[0] if site else page


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
        return faults + prose_differences(french.source, english.source)
    difference = code_difference(french.source, english.source)
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
            fault = _("is not there in English yet.")
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
            _("{notebook}: the cell `{cell}` is not in both editions.").format(
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
            "does not say which French text it follows: record it with `notebooks translated`."
        )
    if recorded != source_hash(french.source):
        return _(
            "follows an earlier French cell: bring it in line, then record that with `notebooks "
            "translated`."
        )
    return None


def _placed(path: Path, cell: NotebookNode, fault: str) -> str:
    return _("{notebook}, cell `{cell}` (“{line}”): {fault}").format(
        notebook=short_name(path), cell=cell.id, line=first_line(cell.source), fault=fault
    )
