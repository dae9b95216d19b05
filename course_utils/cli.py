"""The command line: reads the arguments and hands them to the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.arguments import whole_number
from course_utils.commands import (
    FAILED,
    INTERRUPTED,
    add_command,
    carry_out,
    new_parser,
    sentence,
)
from course_utils.degradation.command import parse_setting, specs_of, sweep_and_show
from course_utils.experiments import SweepError
from course_utils.experiments.engines import Engine
from course_utils.i18n import _

__all__ = ["main"]

NUMBER: dict[str, Any] = {"type": int, "metavar": "N"}


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; see :func:`course_utils.commands.carry_out`."""
    return carry_out(_parser, argv)


def _parser() -> argparse.ArgumentParser:
    parser, commands = new_parser("course_utils")
    sweep = add_command(
        commands,
        "sweep",
        _("Run the degradation experiment over a grid; what is in the store is not run again."),
        "course_utils sweep --dataset digits --family plain residual --depths 8 20 56 "
        "--seeds 0 1 2 --store build/records",
        _sweep,
    )
    _add_runs(sweep.add_argument_group(_("what to run (by default, what lesson 3 runs)")))
    _add_ways(sweep.add_argument_group(_("how to run it")))
    _add_places(
        sweep.add_argument_group(
            _("beyond this machine (see course_utils/experiments/CLUSTERS.md)")
        )
    )
    return parser


def _add_runs(group: Any) -> None:
    name = {"metavar": _("NAME")}
    group.add_argument(
        "--profile",
        **name,
        help=_("the settings of lesson 3 in profiles/: quick, cpu, gpu or paper"),
    )
    group.add_argument("--dataset", **name, help=_("the data set"))
    group.add_argument("--size", **NUMBER, help=_("side of the images, in pixels"))
    group.add_argument(
        "--family",
        "--families",
        dest="families",
        action="extend",
        nargs="+",
        **name,
        help=_(
            "families of nets, plain and residual when none is given: plain, residual, dense, or "
            "your own as module:function, in a file of this folder"
        ),
    )
    group.add_argument("--depths", nargs="+", **NUMBER, help=_("depths of the nets"))
    group.add_argument("--seeds", nargs="+", **NUMBER, help=_("seeds of the runs"))
    length = group.add_mutually_exclusive_group()
    length.add_argument("--epochs", **NUMBER, help=_("passes over the training split"))
    length.add_argument("--steps", **NUMBER, help=_("training steps"))
    group.add_argument("--device", **name, help=_("where to train: cpu, cuda or mps"))
    group.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], help=_("precision of the arithmetic")
    )
    group.add_argument("--threads", **NUMBER, help=_("threads of each run"))
    _add_setting(group, "--set", _("any other setting of a run, as batch_size=128"))
    _add_setting(group, "--dataset-option", _("an option of the data set, as mean=pixel"))
    _add_setting(group, "--family-option", _("an option of the nets, as width=8"))


def _add_ways(group: Any) -> None:
    _add_folder(group, "--store", "build/records", _("where the records lie"))
    group.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=_("take what is in the store as done (the default), or do it again"),
    )
    group.add_argument(
        "--dry-run", action="store_true", help=_("only say what there is to do and what it costs")
    )
    group.add_argument(
        "--estimate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=_("time a few steps of each net first, to say how long it will take (the default)"),
    )
    group.add_argument("--workers", **NUMBER, help=_("runs at once; as many as pay by default"))
    group.add_argument("--per-gpu", default=1, **NUMBER, help=_("runs that share a GPU"))


def _add_places(group: Any) -> None:
    group.add_argument(
        "--cluster",
        metavar=_("ADDRESS"),
        help=_(
            "a Dask cluster: its scheduler's address or scheduler.json, slurm for workers in jobs "
            "of Slurm, local to start one here"
        ),
    )
    group.add_argument("--slurm", nargs="?", const="slurm", help=argparse.SUPPRESS)
    group.add_argument(
        "--partition", metavar=_("NAME"), help=_("partition of the jobs, on a Slurm cluster")
    )
    group.add_argument("--time", type=int, metavar="MIN", help=_("minutes that a job may last"))
    group.add_argument(
        "--patience",
        type=int,
        metavar="MIN",
        help=_("minutes to wait when a Dask cluster has no worker left; for ever by default"),
    )
    _add_folder(
        group,
        "--jobs-folder",
        "build/jobs",
        _("logs of the jobs; every node must see it"),
    )
    _add_setting(
        group,
        "--cluster-option",
        _("any other option of sbatch, as account=course, or of Dask's cluster here"),
    )


def _add_setting(group: Any, option: str, about: str) -> None:
    """An option of the form name=value, which may be given several times."""
    group.add_argument(option, action="append", default=[], metavar=_("NAME=VALUE"), help=about)


def _add_folder(group: Any, option: str, default: str, about: str) -> None:
    group.add_argument(option, type=Path, default=Path(default), metavar=_("FOLDER"), help=about)


def _sweep(arguments: argparse.Namespace) -> int:
    said = vars(arguments)
    given = {
        name: dict(map(parse_setting, said[name]))
        for name in ("set", "dataset_option", "family_option", "cluster_option")
    }
    if arguments.size is not None:
        given["dataset_option"]["size"] = arguments.size
    names = ("families", "dataset", "depths", "seeds", "epochs", "steps")
    specs = specs_of(
        arguments.profile,
        settings=given["set"],
        dataset_options=given["dataset_option"],
        family_options=given["family_option"],
        **{name: said[name] for name in (*names, "device", "precision", "threads")},
    )
    if arguments.slurm is not None:
        raise ValueError(
            _(
                "--slurm is gone: type --cluster slurm instead, or --cluster local for --slurm "
                "local. What else a job needs is said in sbatch's own words, as --cluster-option "
                "account=course."
            )
        )
    options = given["cluster_option"]
    if arguments.partition is not None:
        options["partition"] = arguments.partition
    if arguments.time is not None:
        options["time"] = whole_number("--time", arguments.time, at_least=1)
    engine = Engine(
        workers=arguments.workers,
        per_gpu=arguments.per_gpu,
        cluster=arguments.cluster,
        options=options,
        folder=arguments.jobs_folder,
        patience=arguments.patience,
    )
    try:
        sweep_and_show(
            specs,
            arguments.store,
            engine,
            resume=arguments.resume,
            dry_run=arguments.dry_run,
            estimates=arguments.estimate,
        )
    except SweepError as error:
        print(sentence(error), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
