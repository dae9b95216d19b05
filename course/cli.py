"""The command line of the course's tools: reads the arguments, hands them to what does the work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from course import testing
from course.address import stamp_address
from course.classroom import add_classroom
from course.files import NOTEBOOKS, REPOSITORY, lesson_pairs, notebook_paths, pair_of
from course.install import add_install
from course.lab import open_lab
from course.lessons import find_lessons, lesson_parameters
from course.notebooks.editions import stale_cells, stamp
from course.notebooks.normaliser import normalise_file
from course.notebooks.opening import put_openings
from course.pictures import draw_pictures
from course.running import build_index, run_lessons
from course.words.glossary import write_glossary
from course_utils.commands import FAILED, add_command, carry_out, new_parser
from course_utils.i18n import LANGUAGES, _, ngettext, say

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; see :func:`course_utils.commands.carry_out`."""
    return carry_out(_parser, argv)


def _parser() -> argparse.ArgumentParser:
    parser, commands = new_parser("course")
    add_install(commands)
    _add_run(commands)
    _add_lab(commands)
    _add_test(commands)
    add_classroom(commands)
    _add_notebooks(commands)
    _add_badges(commands)
    for name, about, handler in (
        (
            "site",
            _("Build the web edition in build/site from the outputs stored in the lessons."),
            _site,
        ),
        (
            "explorables",
            _(
                "Retrain and remeasure what the web edition's interactive pages compute with, "
                "and redraw its opening picture."
            ),
            _explorables,
        ),
        (
            "images",
            _("Redraw the pictures of images/ from the networks' own modules, and their gallery."),
            _images,
        ),
        (
            "messages",
            _("Update the catalogues of French messages from the code, and compile them."),
            _messages,
        ),
        (
            "glossary",
            _("Write the glossary page, in both languages, from its table."),
            _glossary,
        ),
        (
            "links",
            _("Try, over the network, the addresses that documents and lessons link to."),
            _links,
        ),
    ):
        add_command(commands, name, about, f"course {name}", handler)
    return parser


def _add_run(commands: Any) -> None:
    run = add_command(
        commands,
        "run",
        _("Run the lessons and write their pages and an index under build/."),
        "course run --lesson 3 --language en --profile quick",
        _run,
        editions=(*LANGUAGES, "all"),
    )
    _add_numbers(run, _("numbers of the lessons to run; every lesson by default"))
    run.add_argument(
        "--profile",
        metavar=_("NAME"),
        help=_("parameters to run with, from profiles/; by default, the lessons' own"),
    )


def _add_lab(commands: Any) -> None:
    lab = add_command(
        commands,
        "lab",
        _("Open JupyterLab on your copies of the lessons, in work/."),
        "course lab --lesson 3 --language en",
        _lab,
        editions=LANGUAGES,
    )
    _add_numbers(
        lab, _("numbers of lessons, of which the first is opened; every lesson by default")
    )
    lab.add_argument(
        "--afresh",
        action="store_true",
        help=_("start these lessons afresh; your copies as they were go to work/earlier/"),
    )
    lab.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help=_("just start the server and print its address"),
    )


def _add_test(commands: Any) -> None:
    test = add_command(
        commands,
        "test",
        _("Check everything: lint, types, unit tests, doctests and both editions of the lessons."),
        "course test",
        _test,
    )
    parts = test.add_mutually_exclusive_group()
    parts.add_argument(
        "--fast",
        action="store_true",
        help=_("only lint, types and the tests that are not marked slow, in a few minutes"),
    )
    parts.add_argument(
        "--browser",
        action="store_true",
        help=_("only the lessons in JupyterLab, downloading Chromium if there is none"),
    )
    test.add_argument("--cluster", action="store_true", help=_("only the sweeps on Slurm"))


def _add_notebooks(subparsers: Any) -> None:
    group = add_command(
        subparsers,
        "notebooks",
        _("Keep the French and English notebooks in step, and in the same form."),
        "course notebooks normalise notebooks/fr/03_degradation.ipynb",
    ).add_subparsers(dest="action", required=True, metavar="ACTION")

    normalise = add_command(
        group,
        "normalise",
        _("Rewrite executed notebooks in the form in which they are committed."),
        "course notebooks normalise notebooks/fr/03_degradation.ipynb",
        _normalise,
    )
    _add_paths(normalise, required=True)

    stale = add_command(
        group,
        "stale",
        _("List the cells that the English edition has not followed yet."),
        "course notebooks stale",
        _stale,
    )
    _add_paths(stale)

    translated = add_command(
        group,
        "translated",
        _("Record that English cells follow the French cells as they are now."),
        "course notebooks translated notebooks/en/03_degradation.ipynb --cell intro",
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
        help=_("a cell; may be repeated; every cell of the lesson by default"),
    )

    opening = add_command(
        group,
        "opening",
        _("Put the first code cell, which fetches the course on Colab, into notebooks."),
        "course notebooks opening",
        _opening,
    )
    _add_paths(opening)


def _add_badges(subparsers: Any) -> None:
    badges = add_command(
        subparsers,
        "badges",
        _(
            "Write the address of the repository wherever it is shown: badges, first cells, "
            "citation."
        ),
        "course badges --repo ada-lovelace/course",
        _badges,
    )
    badges.add_argument(
        "--repo",
        required=True,
        metavar="OWNER/NAME",
        help=_("the repository on GitHub; an empty text removes the address"),
    )


def _add_paths(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "paths",
        nargs="+" if required else "*",
        type=Path,
        metavar=_("PATH"),
        help=_("notebooks or folders")
        if required
        else _("notebooks or folders; every lesson by default"),
    )


def _add_numbers(parser: argparse.ArgumentParser, about: str) -> None:
    parser.add_argument("--lesson", dest="numbers", type=int, nargs="+", metavar="N", help=about)


def _report(faults: Iterable[str]) -> int:
    """Print each sentence; 1 when there was one, else 0."""
    status = 0
    for fault in faults:
        say(fault, sys.stderr)
        status = 1
    return status


def _normalise(arguments: argparse.Namespace) -> int:
    status = 0
    for path in notebook_paths(arguments.paths):
        changed, remarks = normalise_file(path)
        if changed:
            print(_("{path}: rewritten").format(path=path))
        status |= _report(f"{path}: {remark}" for remark in remarks)
    return status


def _stale(arguments: argparse.Namespace) -> int:
    for pair in lesson_pairs(arguments.paths):
        for cell in stale_cells(pair):
            print(cell)
    return 0


def _translated(arguments: argparse.Namespace) -> int:
    pair = pair_of(arguments.path)
    stamped = stamp(pair, arguments.cells)
    said = ngettext("{path}: {count} cell recorded", "{path}: {count} cells recorded", len(stamped))
    print(said.format(path=pair.english, count=len(stamped)))
    return 0


def _opening(arguments: argparse.Namespace) -> int:
    changed = put_openings(arguments.paths)
    for path in changed:
        print(_("{path}: rewritten").format(path=path))
    return 0


def _badges(arguments: argparse.Namespace) -> int:
    changed = stamp_address(arguments.repo)
    changed += put_openings([], arguments.repo)
    for path in changed:
        print(_("{path}: rewritten").format(path=path.relative_to(REPOSITORY)))
    return 0


def _glossary(arguments: argparse.Namespace) -> int:
    if write_glossary():
        print(_("{path}: written").format(path=NOTEBOOKS.name + "/GLOSSARY.md"))
    return 0


def _links(_arguments: argparse.Namespace) -> int:
    from course.site.links import unreachable  # Sphinx is of the extra `site`

    return _report(unreachable(REPOSITORY))


def _run(arguments: argparse.Namespace) -> int:
    lessons = find_lessons(REPOSITORY, arguments.language or "fr", arguments.numbers)
    parameters = lesson_parameters(REPOSITORY, lessons, arguments.profile)
    status = 0
    for outcome in run_lessons(REPOSITORY, parameters):
        if outcome.error:
            say(outcome.error, sys.stderr)
            status = FAILED
    print(_("Open {index} in a browser.").format(index=build_index(REPOSITORY)))
    return status


def _lab(arguments: argparse.Namespace) -> int:
    return open_lab(
        REPOSITORY,
        arguments.language or "fr",
        arguments.numbers,
        afresh=arguments.afresh,
        browser=arguments.browser,
    )


def _site(_arguments: argparse.Namespace) -> int:
    from course.site import build_site  # what it needs is of the extra `site`

    print(_("Open {index} in a browser.").format(index=build_site(REPOSITORY)))
    return 0


def _test(arguments: argparse.Namespace) -> int:
    parts = []
    if arguments.browser:
        parts.append(testing.in_jupyterlab(REPOSITORY, fetch=True))
    if arguments.cluster:
        parts.append(testing.on_slurm(REPOSITORY))
    parts = parts or testing.parts_of(REPOSITORY, fast=arguments.fast)
    results = testing.run_parts(parts)
    print("\n" + testing.table(results))
    return FAILED if any(result.passed is False for result in results) else 0


def _explorables(_arguments: argparse.Namespace) -> int:
    from course.site.explorables import FOLDER, make_explorables  # torch, for few commands
    from course.site.opening import write_opening

    for path in [*make_explorables(), *write_opening(FOLDER.parent)]:
        print(_("{path}: written").format(path=path.relative_to(REPOSITORY)))
    return 0


def _images(_arguments: argparse.Namespace) -> int:
    written = draw_pictures(REPOSITORY)
    folder = REPOSITORY / "images"
    print(_("{number} files written to {folder}.").format(number=len(written), folder=folder))
    return 0


def _messages(_arguments: argparse.Namespace) -> int:
    from course.words.messages import update_messages  # Babel is of the extra `dev`

    update_messages()
    return 0
