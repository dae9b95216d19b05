"""The command line: reads the arguments and hands them to the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from course_utils.experiments.engines import Engine, job_options
from course_utils.i18n import _

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; see :func:`course_utils.commands.carry_out`."""
    return carry_out(_parser, argv)


def _parser() -> argparse.ArgumentParser:
    parser, commands = new_parser("course_utils")
    _add_sweep(commands)
    return parser


def _add_sweep(commands: Any) -> None:
    sweep = add_command(
        commands,
        "sweep",
        _("Run the degradation experiment over a grid; what is in the store is not run again."),
        "course_utils sweep --dataset digits --family plain residual --depths 8 20 56 "
        "--seeds 0 1 2 --store build/records",
        _sweep,
    )
    what = sweep.add_argument_group(_("what to run (by default, what lesson 3 runs)"))
    what.add_argument(
        "--profile",
        metavar=_("NAME"),
        help=_("the settings of lesson 3 in profiles/: quick, cpu, gpu or paper"),
    )
    what.add_argument("--dataset", metavar=_("NAME"), help=_("the data set"))
    what.add_argument("--size", type=int, metavar="N", help=_("side of the images, in pixels"))
    what.add_argument(
        "--family",
        "--families",
        dest="families",
        action="extend",
        nargs="+",
        metavar=_("NAME"),
        help=_(
            "families of nets, plain and residual when none is given: plain, residual, dense, or "
            "your own as module:function, in a file of this folder"
        ),
    )
    what.add_argument("--depths", nargs="+", type=int, metavar="N", help=_("depths of the nets"))
    what.add_argument("--seeds", nargs="+", type=int, metavar="N", help=_("seeds of the runs"))
    length = what.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, metavar="N", help=_("passes over the training split"))
    length.add_argument("--steps", type=int, metavar="N", help=_("training steps"))
    what.add_argument("--device", metavar=_("NAME"), help=_("where to train: cpu, cuda or mps"))
    what.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], help=_("precision of the arithmetic")
    )
    what.add_argument("--threads", type=int, metavar="N", help=_("threads of each run"))
    for option, about in (
        ("--set", _("any other setting of a run, as batch_size=128")),
        ("--dataset-option", _("an option of the data set, as mean=pixel")),
        ("--family-option", _("an option of the nets, as width=8")),
    ):
        what.add_argument(option, action="append", default=[], metavar=_("NAME=VALUE"), help=about)

    how = sweep.add_argument_group(_("how to run it"))
    how.add_argument(
        "--store",
        type=Path,
        default=Path("build/records"),
        metavar=_("FOLDER"),
        help=_("where the records lie"),
    )
    how.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=_("take what is in the store as done (the default), or do it again"),
    )
    how.add_argument(
        "--dry-run", action="store_true", help=_("only say what there is to do and what it costs")
    )
    how.add_argument(
        "--estimate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=_("time a few steps of each net first, to say how long it will take (the default)"),
    )
    how.add_argument(
        "--workers", type=int, metavar="N", help=_("runs at once; as many as pay by default")
    )
    how.add_argument("--per-gpu", type=int, default=1, metavar="N", help=_("runs that share a GPU"))

    where = sweep.add_argument_group(
        _("beyond this machine (see course_utils/experiments/CLUSTERS.md)")
    )
    where.add_argument(
        "--cluster",
        metavar=_("ADDRESS"),
        help=_(
            "a Dask cluster: its scheduler's address or scheduler.json, slurm to start one by "
            "jobs, local to start one here"
        ),
    )
    where.add_argument(
        "--slurm",
        nargs="?",
        const="slurm",
        choices=["slurm", "local"],
        help=_("a Slurm job for each run, by submitit; local does without Slurm, to try it"),
    )
    where.add_argument(
        "--partition", metavar=_("NAME"), help=_("partition of the jobs, on a Slurm cluster")
    )
    where.add_argument("--time", type=int, metavar="MIN", help=_("minutes that a job may last"))
    where.add_argument(
        "--jobs-folder",
        type=Path,
        default=Path("build/jobs"),
        metavar=_("FOLDER"),
        help=_("scripts and logs of the jobs; every node must see it"),
    )
    where.add_argument(
        "--cluster-option",
        action="append",
        default=[],
        metavar=_("NAME=VALUE"),
        help=_("any other option of submitit or Dask, as slurm_account=course"),
    )


def _sweep(arguments: argparse.Namespace) -> int:

    settings, dataset_options, family_options, cluster_options = (
        dict(map(parse_setting, given))
        for given in (
            arguments.set,
            arguments.dataset_option,
            arguments.family_option,
            arguments.cluster_option,
        )
    )
    if arguments.size is not None:
        dataset_options["size"] = arguments.size
    specs = specs_of(
        arguments.profile,
        families=arguments.families,
        settings=settings,
        dataset_options=dataset_options,
        family_options=family_options,
        **{
            name: getattr(arguments, name)
            for name in (
                *("dataset", "depths", "seeds", "epochs", "steps"),
                *("device", "precision", "threads"),
            )
        },
    )
    engine = Engine(
        workers=arguments.workers,
        per_gpu=arguments.per_gpu,
        cluster=arguments.cluster,
        slurm=arguments.slurm,
        options=job_options(
            arguments.cluster, arguments.partition, arguments.time, cluster_options
        ),
        folder=arguments.jobs_folder,
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
