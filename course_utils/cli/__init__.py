"""The command line: reads the arguments and hands them to the library."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from course_utils.cli.sweep import add_sweep
from course_utils.commands import carry_out, new_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; see :func:`course_utils.commands.carry_out`."""
    return carry_out(_parser, argv)


def _parser() -> argparse.ArgumentParser:
    parser, commands = new_parser("course_utils")
    add_sweep(commands)
    return parser
