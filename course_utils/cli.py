"""The command line: reads the arguments, hands them to the library, puts its errors in a line."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.authoring import add_subcommands
from course_utils.i18n import LANGUAGES, _, set_language
from course_utils.location import find_root
from course_utils.usage import Handler, add_command, translate_argparse

__all__ = ["main"]

FAILED, REFUSED, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit status: 0, 1 for a lesson or a check that failed, 2 for a request that could not
        be met, 130 for an interruption.
    """
    # The help itself is in the reader's language, so that must be known before the rest is read.
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--language", nargs="?")
    language = early.parse_known_args(argv)[0].language
    if language in LANGUAGES:
        set_language(language)

    translate_argparse()
    arguments = _parser().parse_args(argv)
    handler: Handler = arguments.handler
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return handler(arguments)
    except KeyboardInterrupt:
        print(_("Interrupted: what was finished is kept."), file=sys.stderr)
        return INTERRUPTED
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        if arguments.debug:
            raise
        print(_sentence(error), file=sys.stderr)
        return REFUSED


def _show_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    """A warning of the library as its sentence alone: where it was raised helps no reader."""
    print(message, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m course_utils",
        description=_("The course's commands; each has a --help of its own, with an example."),
        allow_abbrev=False,
    )
    _add_common(parser, LANGUAGES, _("language of the messages"))
    parser.set_defaults(language=None, debug=False)
    commands = parser.add_subparsers(required=True, metavar=_("COMMAND"))

    run = _add_command(
        commands,
        "run",
        _run,
        _("Run the lessons and write their pages and an index under build/."),
        "run --lesson 3 --language en --profile quick",
        (*LANGUAGES, "all"),
    )
    run.add_argument(
        "--lesson",
        dest="numbers",
        type=int,
        nargs="+",
        metavar="N",
        help=_("numbers of the lessons to run; every lesson when none is given"),
    )
    run.add_argument(
        "--profile",
        metavar=_("NAME"),
        help=_("parameters to run with, from profiles/; the lessons' own when none is given"),
    )

    lab = _add_command(
        commands,
        "lab",
        _lab,
        _("Open JupyterLab on the first lesson."),
        "lab --language en",
        LANGUAGES,
    )
    lab.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help=_("only start the server and print its address"),
    )

    _add_command(
        commands,
        "site",
        _site,
        _("Build the web edition in build/site from the outputs stored in the lessons."),
        "site",
        LANGUAGES,
    )

    test = _add_command(
        commands,
        "test",
        _test,
        _("Check everything: lint, types, unit tests, doctests and both editions of the lessons."),
        "test",
        LANGUAGES,
    )
    test.add_argument(
        "--browser",
        action="store_true",
        help=_("only the lessons in JupyterLab, fetching Chromium where there is none"),
    )

    _add_command(
        commands,
        "images",
        _images,
        _("Draw the pictures of images/ anew, from the networks' own modules, and their gallery."),
        "images",
        LANGUAGES,
    )

    _add_sweep(commands)
    add_subcommands(commands)
    return parser


def _add_sweep(commands: Any) -> None:
    sweep = _add_command(
        commands,
        "sweep",
        _sweep,
        _("Run the degradation experiment over a grid; what is in the store is not run again."),
        "sweep --dataset digits --family plain residual --depths 8 20 56 --seeds 0 1 2 "
        "--store build/records",
        LANGUAGES,
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
        _("beyond this machine (see course_utils/degradation/CLUSTERS.md)")
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


def _add_command(
    commands: Any,
    name: str,
    handler: Handler,
    summary: str,
    example: str,
    languages: Sequence[str],
) -> argparse.ArgumentParser:
    parser = add_command(commands, name, summary, example, handler)
    editions = name in ("run", "lab")
    _add_common(
        parser,
        languages,
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


def _sentence(error: Exception) -> str:
    """An error as one line, without Python's own decoration."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _(
            "The package {name!r} is not installed: run `pip install -r requirements.txt -e .` in "
            "the folder of the course."
        ).format(name=error.name)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _run(arguments: argparse.Namespace) -> int:
    from course_utils import course

    root = course.find_root()
    lessons = course.find_lessons(root, arguments.language or "fr", arguments.numbers)
    parameters = course.lesson_parameters(root, lessons, arguments.profile)
    status = 0
    for outcome in course.run_lessons(root, parameters):
        if outcome.error:
            print(outcome.error, file=sys.stderr)
            status = FAILED
    index = course.build_index(root)
    print(_("Open {index} in a browser.").format(index=index))
    return status


def _lab(arguments: argparse.Namespace) -> int:
    from course_utils import course

    return course.open_lab(
        course.find_root(), arguments.language or "fr", browser=arguments.browser
    )


def _site(_arguments: argparse.Namespace) -> int:
    from course_utils import site

    index = site.build_site(find_root())
    print(_("Open {index} in a browser.").format(index=index))
    return 0


def _test(arguments: argparse.Namespace) -> int:
    from course_utils import course, suite

    root = course.find_root()
    browser = [suite.in_jupyterlab(root, fetch=True)]
    results = suite.run_parts(browser if arguments.browser else suite.parts_of(root))
    print("\n" + suite.table(results))
    return FAILED if any(result.passed is False for result in results) else 0


def _images(arguments: argparse.Namespace) -> int:
    from course_utils import diagrams
    from course_utils.authoring.readme import write_readme_figures

    root = find_root()
    folder = root / "images"
    written = diagrams.draw_all(folder) + write_readme_figures(root)
    print(_("{number} files written to {folder}.").format(number=len(written), folder=folder))
    return 0


def _sweep(arguments: argparse.Namespace) -> int:
    from course_utils import degradation, sweeps

    settings, dataset_options, family_options, cluster_options = (
        dict(map(sweeps.parse_setting, given))
        for given in (
            arguments.set,
            arguments.dataset_option,
            arguments.family_option,
            arguments.cluster_option,
        )
    )
    if arguments.size is not None:
        dataset_options["size"] = arguments.size
    specs = sweeps.specs_of(
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
    engine = sweeps.Engine(
        workers=arguments.workers,
        per_gpu=arguments.per_gpu,
        cluster=arguments.cluster,
        slurm=arguments.slurm,
        options=sweeps.job_options(
            arguments.cluster, arguments.partition, arguments.time, cluster_options
        ),
        folder=arguments.jobs_folder,
    )
    try:
        sweeps.sweep(
            specs,
            arguments.store,
            engine,
            resume=arguments.resume,
            dry_run=arguments.dry_run,
            estimates=arguments.estimate,
        )
    except degradation.SweepError as error:
        print(_sentence(error), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
