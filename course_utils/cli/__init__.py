"""The command line: reads the arguments and hands them to the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from course_utils.cli.cam import add_cam
from course_utils.cli.data import add_data
from course_utils.cli.sweep import add_sweep
from course_utils.commands import REFUSED, carry_out, new_parser
from course_utils.i18n import _, say

__all__ = ["main"]

TOOLS = frozenset(
    [
        *("badges", "glossary", "images", "lab", "links", "messages"),
        *("notebooks", "run", "site", "student", "test"),
    ]
)
"""The commands of version 0.1 that need the repository, and are its own tools' now."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; see :func:`course_utils.commands.carry_out`."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in TOOLS:
        say(
            _(
                "`{command}` has moved: in a copy of the repository, python -m course {command}."
            ).format(command=words[0]),
            sys.stderr,
        )
        return REFUSED
    return carry_out(_parser, argv)


def _parser() -> argparse.ArgumentParser:
    parser, commands = new_parser("course_utils")
    add_sweep(commands)
    add_data(commands)
    add_cam(commands)
    return parser
