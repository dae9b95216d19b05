"""What argparse says by itself, its help and its refusals, in the reader's language."""

from __future__ import annotations

import argparse

from course_utils.i18n import _

__all__ = ["translate_argparse"]


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
