"""The command ``data``: fetches the data sets that do not come with a package."""

from __future__ import annotations

import argparse
from typing import Any

from course_utils.commands import add_command
from course_utils.datasets import load
from course_utils.i18n import _

__all__ = ["add_data"]

FETCHED = ("cifar10", "fashion_mnist")


def add_data(commands: Any) -> None:
    """Add the command to those of ``python -m course_utils``."""
    parser = add_command(
        commands,
        "data",
        _("Fetch a data set over the network, unless it is there whole already."),
        "course_utils data cifar10",
        _data,
    )
    parser.add_argument(
        "names", nargs="+", choices=FETCHED, metavar=_("NAME"), help=", ".join(FETCHED)
    )
    parser.add_argument(
        "--root",
        metavar=_("PATH"),
        help=_("the folder to download to; by default, the folder of the course's data"),
    )


def _data(arguments: argparse.Namespace) -> int:
    for name in arguments.names:
        print(load(name, root=arguments.root, download=True).source)
    return 0
