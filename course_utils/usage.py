"""How commands present themselves: an example in each help, all words in the reader's language."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from course_utils.i18n import _

__all__ = ["Handler", "add_command", "translate_argparse"]

Handler = Callable[[argparse.Namespace], int]
"""What carries out a command, and answers its exit status."""


def add_command(
    commands: Any, name: str, summary: str, example: str, handler: Handler | None = None
) -> argparse.ArgumentParser:
    """A command with an example in its help; its arguments are still to be added.

    Args:
        commands: what ``argparse.ArgumentParser.add_subparsers`` answers.
        name: what it is called by.
        summary: what it does, in a sentence.
        example: the words of a call, after ``python -m course_utils``.
        handler: what carries it out; none for a command that has commands of its own.

    >>> parser = argparse.ArgumentParser()
    >>> _images = add_command(parser.add_subparsers(), "images", "Draw.", "images", lambda _: 0)
    >>> arguments = parser.parse_args(["images"])
    >>> arguments.handler(arguments)
    0
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=_("Example:") + f"\n  python -m course_utils {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if handler is not None:
        parser.set_defaults(handler=handler)
    return parser


def translate_argparse() -> None:
    """Have argparse speak the language of the messages, until this is called again.

    argparse looks its sentences up under the name ``_``, the usual one of gettext. Those that a
    reader of the course never meets stay in English.

    >>> translate_argparse()
    >>> argparse.ArgumentParser(prog="course", add_help=False).format_usage()
    'usage: course\\n'
    """
    words = {
        "usage: ": _("usage: "),
        "positional arguments": _("positional arguments"),
        "options": _("options"),
        "show this help message and exit": _("show this help message and exit"),
        "%(prog)s: error: %(message)s\n": _("%(prog)s: error: %(message)s\n"),
        "argument %(argument_name)s: %(message)s": _("argument %(argument_name)s: %(message)s"),
        "unrecognized arguments: %s": _("unrecognized arguments: %s"),
        "the following arguments are required: %s": _("the following arguments are required: %s"),
        "not allowed with argument %s": _("not allowed with argument %s"),
        "expected one argument": _("expected one argument"),
        "expected at least one argument": _("expected at least one argument"),
        "expected at most one argument": _("expected at most one argument"),
        "ignored explicit argument %r": _("ignored explicit argument %r"),
        "invalid %(type)s value: %(value)r": _("invalid %(type)s value: %(value)r"),
        "invalid choice: %(value)r (choose from %(choices)s)": _(
            "invalid choice: %(value)r (choose from %(choices)s)"
        ),
    }
    vars(argparse)["_"] = lambda text: words.get(text, text)
