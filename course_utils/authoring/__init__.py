"""Tools for the course's authors: both editions in step, notebooks in one form, messages in French.

The command line reads ``add_subcommands`` alone; what each command needs beyond the course itself
(Babel for ``messages``) is imported when the command runs.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from course_utils.i18n import LANGUAGES, _
from course_utils.usage import Handler, add_command

__all__ = ["add_subcommands"]


def add_subcommands(subparsers: Any) -> None:
    """Register the authors' commands, each with a ``handler(arguments) -> exit status``.

    Args:
        subparsers: what ``argparse.ArgumentParser.add_subparsers`` answers.

    >>> parser = argparse.ArgumentParser()
    >>> add_subcommands(parser.add_subparsers())
    >>> parser.parse_args(["notebooks", "stale"]).handler.__name__
    '_stale'
    """
    _add_notebooks(subparsers)
    _add_messages(subparsers)
    _add_badges(subparsers)
    _add_student(subparsers)
    _add_glossary(subparsers)
    _add_links(subparsers)


def _add_notebooks(subparsers: Any) -> None:
    group = add_command(
        subparsers,
        "notebooks",
        _("Keep the French and English notebooks in step and in one form."),
        "notebooks check notebooks/fr/03_degradation.ipynb",
    ).add_subparsers(dest="action", required=True, metavar="ACTION")

    check = add_command(
        group,
        "check",
        _("Check parity, translations, normal form and the lessons' own rules."),
        "notebooks check",
        _check,
    )
    _add_paths(check)

    normalise = add_command(
        group,
        "normalise",
        _("Rewrite executed notebooks in the form in which they are committed."),
        "notebooks normalise notebooks/fr/03_degradation.ipynb",
        _normalise,
    )
    _add_paths(normalise, required=True)

    stale = add_command(
        group,
        "stale",
        _("List the cells that the English edition has yet to follow."),
        "notebooks stale",
        _stale,
    )
    _add_paths(stale)

    translated = add_command(
        group,
        "translated",
        _("Record that English cells translate the French cells as they are now."),
        "notebooks translated notebooks/en/03_degradation.ipynb --cell intro",
        _translated,
    )
    translated.add_argument(
        "path", type=Path, metavar=_("PATH"), help=_("one edition of the lesson")
    )
    translated.add_argument(
        "--cell",
        dest="cells",
        action="append",
        metavar="ID",
        help=_("a cell, repeated at will; every cell of the lesson when none is given"),
    )

    opening = add_command(
        group,
        "opening",
        _("Put the first code cell, which fetches the course on Colab, into notebooks."),
        "notebooks opening",
        _opening,
    )
    _add_paths(opening)


def _add_messages(subparsers: Any) -> None:
    group = add_command(
        subparsers,
        "messages",
        _("Keep the French texts of the package's messages complete."),
        "messages check",
    ).add_subparsers(dest="action", required=True, metavar="ACTION")

    update = add_command(
        group,
        "update",
        _("Bring fr.po in line with the code and compile fr.mo."),
        "messages update",
        _update,
    )
    update.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        type=Path,
        metavar=_("FILE"),
        help=_("another .po file to take translations from, repeated at will"),
    )

    add_command(
        group,
        "check",
        _("Check that every message has its French and that fr.mo is up to date."),
        "messages check",
        _check_messages,
    )


def _add_badges(subparsers: Any) -> None:
    badges = add_command(
        subparsers,
        "badges",
        _("Write the repository's address where it is shown: badges, first cells, citation."),
        "badges --repo ada-lovelace/course",
        _badges,
    )
    badges.add_argument(
        "--repo",
        required=True,
        metavar="OWNER/NAME",
        help=_("the repository on GitHub; an empty text takes the address out again"),
    )


def _add_student(subparsers: Any) -> None:
    student = add_command(
        subparsers,
        "student",
        _("Write the lessons without their solutions to build/student/."),
        "student --language all",
        _student,
    )
    student.add_argument(
        "--language",
        choices=(*LANGUAGES, "all"),
        default=argparse.SUPPRESS,
        help=_("the edition, fr by default"),
    )
    student.add_argument(
        "--lesson",
        dest="numbers",
        type=int,
        nargs="+",
        metavar="N",
        help=_("numbers of the lessons to write; every lesson when none is given"),
    )


def _add_glossary(subparsers: Any) -> None:
    add_command(
        subparsers,
        "glossary",
        _("Write the page of the course's words, in both languages, from their table."),
        "glossary",
        _glossary,
    )


def _add_links(subparsers: Any) -> None:
    links = add_command(
        subparsers,
        "links",
        _("Check that every link of the documents and lessons leads to a file that is there."),
        "links --external",
        _links,
    )
    links.add_argument(
        "--external",
        action="store_true",
        help=_("try the addresses of other sites too, over the network"),
    )


def _add_paths(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "paths",
        nargs="+" if required else "*",
        type=Path,
        metavar=_("PATH"),
        help=_("notebooks or folders")
        if required
        else _("notebooks or folders; every lesson when none is given"),
    )


def _report(faults: Iterable[str]) -> int:
    """Print each sentence; 1 when there was one, else 0."""
    status = 0
    for fault in faults:
        print(fault, file=sys.stderr)
        status = 1
    return status


def _telling(handler: Handler) -> Handler:
    """``handler``, with a request that it refuses told line by line, as its faults are."""

    @functools.wraps(handler)
    def told(arguments: argparse.Namespace) -> int:
        try:
            return handler(arguments)
        except ValueError as error:
            return _report([str(error)])

    return told


@_telling
def _check(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.files import lesson_pairs
    from course_utils.authoring.rules import check_lesson

    pairs = lesson_pairs(arguments.paths)
    status = _report(fault for pair in pairs for fault in check_lesson(pair))
    if status == 0:
        print(_("Lessons checked: {count}. Nothing to correct.").format(count=len(pairs)))
    return status


@_telling
def _normalise(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.files import notebook_paths
    from course_utils.authoring.normaliser import normalise_file

    status = 0
    for path in notebook_paths(arguments.paths):
        changed, remarks = normalise_file(path)
        if changed:
            print(_("{path}: rewritten").format(path=path))
        status |= _report(f"{path}: {remark}" for remark in remarks)
    return status


@_telling
def _stale(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.editions import stale_cells
    from course_utils.authoring.files import lesson_pairs

    for pair in lesson_pairs(arguments.paths):
        for cell in stale_cells(pair):
            print(cell)
    return 0


@_telling
def _translated(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.editions import stamp
    from course_utils.authoring.files import pair_of

    pair = pair_of(arguments.path)
    stamped = stamp(pair, arguments.cells)
    print(_("{path}: cells recorded: {count}").format(path=pair.english, count=len(stamped)))
    return 0


@_telling
def _opening(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.opening import put_openings

    changed = put_openings(arguments.paths)
    for path in changed:
        print(_("{path}: rewritten").format(path=path))
    return 0


@_telling
def _badges(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.address import stamp_address
    from course_utils.authoring.files import REPOSITORY
    from course_utils.authoring.opening import put_openings

    changed = stamp_address(arguments.repo)
    changed += put_openings([], arguments.repo)
    for path in changed:
        print(_("{path}: rewritten").format(path=path.relative_to(REPOSITORY)))
    return 0


def _student(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.student import write_student_edition
    from course_utils.location import find_root

    root = find_root()
    language = getattr(arguments, "language", None) or "fr"
    for path in write_student_edition(root, language, arguments.numbers):
        print(_("{path}: written").format(path=path.relative_to(root)))
    return 0


def _glossary(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.files import NOTEBOOKS
    from course_utils.authoring.glossary import write_glossary

    if write_glossary():
        print(_("{path}: written").format(path=NOTEBOOKS.name + "/GLOSSARY.md"))
    return 0


def _links(arguments: argparse.Namespace) -> int:
    from course_utils.authoring.files import REPOSITORY
    from course_utils.authoring.links import broken_links, links_of, unreachable

    status = _report(broken_links(REPOSITORY))
    if arguments.external:
        status |= _report(unreachable(links_of(REPOSITORY), REPOSITORY))
    return status


@_telling
def _update(arguments: argparse.Namespace) -> int:
    update = _messages().update_messages(sources=arguments.sources)
    print(
        _("Messages added: {added}, removed: {removed}, still without French: {left}.").format(
            added=len(update.added), removed=len(update.removed), left=len(update.untranslated)
        )
    )
    return 0


@_telling
def _check_messages(arguments: argparse.Namespace) -> int:
    return _report(_messages().check_messages())


def _messages() -> ModuleType:
    """The module behind ``messages``; readers of the course do without Babel, which it needs."""
    try:
        return importlib.import_module("course_utils.authoring.messages")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("babel"):
            raise
        raise ValueError(
            _("`messages` needs Babel: install what the course is developed with (`dev`).")
        ) from error
