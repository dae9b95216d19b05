"""Keeps the French catalogue of the package's messages complete, consistent and compiled."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po, write_po

from course_utils.authoring.files import LOCALE, PACKAGE, write_whole
from course_utils.i18n import _

__all__ = [
    "Translation",
    "Update",
    "catalogue_text",
    "check_messages",
    "compile_catalogue",
    "extract_msgids",
    "read_catalogue",
    "source_faults",
    "update_messages",
]

CATALOGUE = LOCALE / "fr.po"
COMPILED = LOCALE / "fr.mo"


class Translation(NamedTuple):
    """The French text of a message, whether it is only a guess, and the translator's notes."""

    text: str
    fuzzy: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Update:
    """What `update_messages` changed: messages added, removed, and still without French."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    untranslated: tuple[str, ...]


class _SteadyCatalog(Catalog):
    """Babel's catalogue without dates or versions: the same texts always give the same bytes."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Project-Id-Version", "course_utils"),
            ("Language", "fr"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", "nplurals=2; plural=(n > 1);"),
        ]


def extract_msgids(package: Path = PACKAGE) -> list[str]:
    """The English texts inside ``_("...")`` in the Python files of ``package``, sorted.

    Args:
        package: the folder of the package, searched with its sub-folders.

    >>> "There is no file {path}." in extract_msgids()
    True
    """
    found = extract_from_dir(package, [("**.py", "python")], {}, {"_": None}, ())
    return sorted({text for _file, _line, text, *_ in found if isinstance(text, str) and text})


def source_faults(package: Path = PACKAGE) -> list[str]:
    """One sentence for each ``_(...)`` that cannot be translated where it stands.

    A text that is computed before ``_`` sees it is never found in the catalogue, and a ``_`` that
    runs when its module is imported speaks before the reader has chosen a language.

    Args:
        package: the folder of the package, searched with its sub-folders.
    """
    faults = []
    for file in sorted(package.rglob("*.py")):
        for call, at_import in _calls(ast.parse(file.read_text(encoding="utf-8")), at_import=True):
            place = f"{file.relative_to(package.parent).as_posix()}:{call.lineno}"
            if not (
                len(call.args) == 1
                and isinstance(call.args[0], ast.Constant)
                and isinstance(call.args[0].value, str)
            ):
                faults.append(
                    _(
                        "{place}: _() takes one literal text, so that it can be found and "
                        "translated; write the text in the call, and fill it with .format() after."
                    ).format(place=place)
                )
            if at_import:
                faults.append(
                    _(
                        "{place}: this _() runs when the module is imported, before the language "
                        "is chosen; call it inside a function."
                    ).format(place=place)
                )
    return faults


def _calls(node: ast.AST, *, at_import: bool) -> Iterator[tuple[ast.Call, bool]]:
    """Every call of ``_`` under ``node``, and whether importing the module runs it."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
        yield node, at_import
    later: Sequence[ast.AST] = ()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        later = node.body  # decorators and defaults run with the module, the body does not
    elif isinstance(node, ast.Lambda):
        later = [node.body]
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, at_import=at_import and child not in later)


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Translation]:
    """The translations in a ``.po`` file, by English text; none when the file does not exist.

    Args:
        path: the file, UTF-8; a list of ``msgid``/``msgstr`` pairs without header will do.

    Raises:
        ValueError: the file is not a ``.po`` file, or not in UTF-8.
    """
    if not path.exists():
        return {}
    # A file without header is taken for ASCII by Babel: decode it here.
    try:
        catalog = read_po(io.StringIO(path.read_text(encoding="utf-8")), abort_invalid=True)
    except (PoFileError, UnicodeDecodeError) as error:
        raise ValueError(
            _("{path} is not a catalogue of messages in UTF-8: {error}").format(
                path=path, error=error
            )
        ) from error
    return {
        message.id: Translation(
            message.string if isinstance(message.string, str) else "",
            message.fuzzy,
            tuple(message.user_comments),
        )
        for message in catalog
        if isinstance(message.id, str) and message.id
    }


def _catalog(translations: Mapping[str, Translation]) -> _SteadyCatalog:
    catalog = _SteadyCatalog(
        locale="fr",
        fuzzy=False,
        charset="utf-8",
        header_comment="# French texts of the course's messages, kept by "
        "`python -m course_utils messages update`.",
    )
    for msgid, translation in sorted(translations.items()):
        message = catalog.add(msgid, translation.text, user_comments=translation.notes)
        # Babel guesses flags such as python-format, and guesses them differently by version.
        message.flags = {"fuzzy"} if translation.fuzzy else set()
    return catalog


def catalogue_text(translations: Mapping[str, Translation]) -> str:
    """The ``.po`` file of ``translations``: sorted, without dates, versions or line numbers.

    Args:
        translations: the French of each English text.

    >>> catalogue_text({"map": Translation("carte")}).endswith('msgid "map"\\nmsgstr "carte"\\n')
    True
    """
    file = io.BytesIO()
    write_po(file, _catalog(translations), width=0, no_location=True, ignore_obsolete=True)
    return file.getvalue().decode("utf-8").rstrip("\n") + "\n"


def compile_catalogue(translations: Mapping[str, Translation]) -> bytes:
    """The ``.mo`` file that ``gettext`` reads; guesses and empty texts stay out of it.

    Args:
        translations: the French of each English text.

    >>> one = {"figure": Translation("figure"), "map": Translation("carte")}
    >>> compile_catalogue(one) == compile_catalogue(dict(reversed(one.items())))
    True
    """
    file = io.BytesIO()
    write_mo(file, _catalog(translations))
    return file.getvalue()


def update_messages(
    package: Path = PACKAGE,
    catalogue: Path = CATALOGUE,
    compiled: Path = COMPILED,
    *,
    sources: Iterable[Path] = (),
) -> Update:
    """Bring the catalogue in line with the code, and compile it.

    Messages new in the code enter with an empty translation (never with a guess), those that left
    the code leave the catalogue, and the others keep theirs.

    Args:
        package: the folder of the package.
        catalogue: the ``.po`` file, created if need be.
        compiled: the ``.mo`` file.
        sources: other ``.po`` files whose translations are taken over for messages that the code
            has; a translation there replaces the catalogue's own.

    Raises:
        ValueError: a catalogue cannot be read; nothing is written.
    """
    before = read_catalogue(catalogue)
    known = dict(before)
    for source in sources:
        if not source.exists():
            raise ValueError(_("There is no file {path}.").format(path=source))
        known.update((key, value) for key, value in read_catalogue(source).items() if value.text)
    msgids = extract_msgids(package)
    after = {msgid: known.get(msgid, Translation("")) for msgid in msgids}
    write_whole(catalogue, catalogue_text(after).encode("utf-8"))
    write_whole(compiled, compile_catalogue(after))
    return Update(
        added=tuple(msgid for msgid in msgids if msgid not in before),
        removed=tuple(sorted(before.keys() - after.keys())),
        untranslated=tuple(msgid for msgid in msgids if not after[msgid].text),
    )


def check_messages(
    package: Path = PACKAGE, catalogue: Path = CATALOGUE, compiled: Path = COMPILED
) -> list[str]:
    """One sentence for each thing that keeps a reader from a message in good French.

    Args:
        package: the folder of the package.
        catalogue: the ``.po`` file.
        compiled: the ``.mo`` file.

    Raises:
        ValueError: the catalogue cannot be read.
    """
    faults = source_faults(package)
    translations = read_catalogue(catalogue)
    msgids = extract_msgids(package)
    for msgid in msgids:
        translation = translations.get(msgid, Translation(""))
        if not translation.text:
            faults.append(
                _("No French yet for “{msgid}”: write it in {catalogue}.").format(
                    msgid=msgid, catalogue=catalogue.name
                )
            )
            continue
        if translation.fuzzy:
            faults.append(
                _(
                    "The French of “{msgid}” is marked fuzzy: correct it in {catalogue}, then "
                    "remove the mark."
                ).format(msgid=msgid, catalogue=catalogue.name)
            )
        fault = _placeholder_fault(msgid, translation.text)
        if fault:
            faults.append(fault)
    for msgid in sorted(translations.keys() - set(msgids)):
        faults.append(
            _(
                "“{msgid}” is in {catalogue} and no longer in the code: run "
                "`python -m course_utils messages update`."
            ).format(msgid=msgid, catalogue=catalogue.name)
        )
    if not compiled.exists() or compiled.read_bytes() != compile_catalogue(translations):
        faults.append(
            _(
                "{compiled} is not what {catalogue} compiles to: run "
                "`python -m course_utils messages update`."
            ).format(compiled=compiled.name, catalogue=catalogue.name)
        )
    return faults


def _placeholders(text: str) -> set[str]:
    """The names that ``str.format`` fills in ``text``, those inside format specs too."""
    names = set()
    for _literal, name, spec, _conversion in Formatter().parse(text):
        if name is not None:
            names |= {name} | _placeholders(spec or "")
    return names


def _placeholder_fault(msgid: str, french: str) -> str | None:
    try:
        expected = _placeholders(msgid)
    except ValueError:
        return None  # not a text for str.format, such as one with the braces of a formula
    try:
        found = _placeholders(french)
    except ValueError as error:
        return _("The French of “{msgid}” has braces that do not match ({error}).").format(
            msgid=msgid, error=error
        )
    if expected == found:
        return None
    return _(
        "The French of “{msgid}” must fill the same places: {expected} in English, {found} in "
        "French."
    ).format(msgid=msgid, expected=_named(expected), found=_named(found))


def _named(names: Iterable[str]) -> str:
    return ", ".join("{" + name + "}" for name in sorted(names)) or "∅"
