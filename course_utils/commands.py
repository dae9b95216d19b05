"""How commands present themselves: an example in each help, errors as a sentence, two languages."""

from __future__ import annotations

import argparse
import codecs
import gettext
import io
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from course_utils.i18n import DOMAIN, LANGUAGES, LOCALE, _, current_language, say, set_language

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "REFUSED",
    "Handler",
    "add_command",
    "carry_out",
    "new_parser",
    "sentence",
]

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
"""Exit statuses: a lesson or a check failed, a request could not be met, Ctrl-C."""

NEAREST = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "→": "->", "×": "x", "’": "'", "«": '"', "»": '"', "œ": "oe"}
)

Handler = Callable[[argparse.Namespace], int]
"""What carries out a command, and answers its exit status."""


def new_parser(program: str) -> tuple[argparse.ArgumentParser, Any]:
    """The parser of ``python -m program``, and what :func:`add_command` adds its commands to."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=_("The commands of the course; each has its own --help, with an example."),
        allow_abbrev=False,
    )
    _add_common(parser, LANGUAGES, _("language of the messages"))
    parser.set_defaults(language=None, debug=False, editions=())
    return parser, parser.add_subparsers(required=True, metavar=_("COMMAND"))


def add_command(
    commands: Any,
    name: str,
    summary: str,
    example: str,
    handler: Handler | None = None,
    *,
    editions: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """A command with an example in its help; its own arguments are still to be added.

    Args:
        commands: what ``argparse.ArgumentParser.add_subparsers`` answers.
        name: what it is called by.
        summary: what it does, in a sentence.
        example: the words of a call, after ``python -m``.
        handler: what carries it out; none for a command that has commands of its own.
        editions: those that ``--language`` chooses from, where it chooses the edition too; the
            first one, and its language, by default.

    >>> parser = argparse.ArgumentParser()
    >>> _draw = add_command(parser.add_subparsers(), "draw", "Draw.", "course draw", lambda _: 0)
    >>> arguments = parser.parse_args(["draw"])
    >>> arguments.handler(arguments)
    0
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=_("Example:") + f"\n  python -m {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if handler is not None:
        parser.set_defaults(handler=handler, editions=editions)
        _add_common(
            parser,
            editions or LANGUAGES,
            _("the edition, fr by default, and the language of the messages")
            if editions
            else _("language of the messages"),
        )
    return parser


def _add_common(parser: argparse.ArgumentParser, languages: Sequence[str], about: str) -> None:
    # Without a default here, an option given before the command is not undone by the command's.
    parser.add_argument("--language", choices=languages, default=argparse.SUPPRESS, help=about)
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help=_("show where in the code an error comes from"),
    )


def carry_out(
    make_parser: Callable[[], argparse.ArgumentParser], argv: Sequence[str] | None = None
) -> int:
    """Read the arguments of one command and carry it out.

    Args:
        make_parser: makes the parser, its help in the language that is spoken by then.
        argv: the arguments; those of the process by default.

    Returns:
        The exit status: that of the command, 2 for a request that could not be met, 130 for an
        interruption.
    """
    _print_in_any_encoding()
    # The help itself is in the reader's language, so that must be known before the rest is read.
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--language", nargs="?")
    language = early.parse_known_args(argv)[0].language
    if language in LANGUAGES:
        set_language(language)
    _have_argparse_speak()
    arguments = make_parser().parse_args(argv)
    if arguments.editions and arguments.language is None:
        set_language(arguments.editions[0])
    handler: Handler = arguments.handler
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return handler(arguments)
    except KeyboardInterrupt:
        say(_("Interrupted. What had finished is kept."), sys.stderr)
        return INTERRUPTED
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        if arguments.debug:
            raise
        say(sentence(error), sys.stderr)
        return REFUSED


def sentence(error: Exception) -> str:
    """An error as one line, without Python's own decoration."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _("The package {name!r} is not installed: run `pip install {name}`.").format(
            name=error.name
        )
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _show_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    """A warning of the library as its sentence alone: where it was raised helps no reader."""
    say(str(message), sys.stderr)


def _print_in_any_encoding() -> None:
    """Let no character stop a command: Windows gives a pipe or a file its old code page."""
    codecs.register_error("nearest", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nearest")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    """For characters that an encoding lacks, the nearest that every encoding has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(NEAREST)
    parts = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    return "".join(c if c.isascii() else "?" for c in parts), error.end


def _have_argparse_speak() -> None:
    """Give argparse's own words the language of the messages: it asks gettext for them.

    gettext looks in the process's text domain, in the language that the environment names. The
    words themselves are in the catalogue because :func:`_argparse_words` names them.
    """
    os.environ["LANGUAGE"] = current_language()
    gettext.bindtextdomain(DOMAIN, LOCALE)
    gettext.textdomain(DOMAIN)


def _argparse_words() -> tuple[str, ...]:
    """What argparse says and a reader of the course may meet; the rest stays in English."""
    return (
        _("usage: "),
        _("positional arguments"),
        _("options"),
        _("show this help message and exit"),
        _("%(prog)s: error: %(message)s\n"),
        _("argument %(argument_name)s: %(message)s"),
        _("unrecognized arguments: %s"),
        _("the following arguments are required: %s"),
        _("not allowed with argument %s"),
        _("expected one argument"),
        _("expected at least one argument"),
        _("expected at most one argument"),
        _("ignored explicit argument %r"),
        _("invalid %(type)s value: %(value)r"),
        _("invalid choice: %(value)r (choose from %(choices)s)"),
    )
