"""`sweep`: the degradation experiment, what it costs, how it goes, what it shows."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from course_utils.arguments import one_of, whole_number
from course_utils.commands import FAILED, INTERRUPTED, add_command, sentence
from course_utils.datasets import load
from course_utils.degradation.fidelity import departure, fidelity_notes
from course_utils.degradation.judging import verdict
from course_utils.degradation.profiles import specs_of
from course_utils.degradation.references import FOLDER, references
from course_utils.experiments.compiling import as_begun, compiled, compiled_if_faster
from course_utils.experiments.engines import Engine
from course_utils.experiments.estimating import Estimate, estimate, plan, time_of_all
from course_utils.experiments.progress import Bar
from course_utils.experiments.record import Record
from course_utils.experiments.results import results
from course_utils.experiments.running import check_device
from course_utils.experiments.spec import Spec
from course_utils.experiments.store import Store
from course_utils.experiments.sweeping import SweepError, sweep
from course_utils.i18n import _, duration, ngettext, number, say
from course_utils.plots import error_by_depth

__all__ = ["add_sweep", "figure_path", "parse_setting", "sweep_and_show"]

NUMBER: dict[str, Any] = {"type": int, "metavar": "N"}


# --- its arguments -------------------------------------------------------------------------


def add_sweep(commands: Any) -> None:
    """The command and its arguments, see :func:`course_utils.commands.add_command`."""
    sweep = add_command(
        commands,
        "sweep",
        _(
            "Run the degradation experiment over a grid, without repeating the runs that are in "
            "the store."
        ),
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


def _add_runs(group: Any) -> None:
    name = {"metavar": _("NAME")}
    group.add_argument(
        "--profile",
        **name,
        help=_("the settings of lesson 3 in profiles/: quick, cpu, gpu or paper"),
    )
    group.add_argument(
        "--reference",
        **name,
        help=_("do again the runs of a reference that comes with the course: {names}").format(
            names=", ".join(path.stem for path in sorted(FOLDER.glob("*.json")))
        ),
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
            "families of networks, plain and residual by default: plain, residual, dense, or your "
            "own as module:function, in a file of this folder"
        ),
    )
    group.add_argument("--depths", nargs="+", **NUMBER, help=_("depths of the networks"))
    group.add_argument("--seeds", nargs="+", **NUMBER, help=_("seeds of the runs"))
    length = group.add_mutually_exclusive_group()
    length.add_argument("--epochs", **NUMBER, help=_("passes over the training split"))
    length.add_argument("--steps", **NUMBER, help=_("training steps"))
    group.add_argument("--device", **name, help=_("where to train: cpu, cuda or mps"))
    group.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], help=_("precision of the arithmetic")
    )
    group.add_argument("--threads", **NUMBER, help=_("threads of each run"))
    _add_setting(group, "--set", _("any other setting of a run, such as batch_size=128"))
    _add_setting(group, "--dataset-option", _("an option of the data set, such as mean=pixel"))
    _add_setting(group, "--family-option", _("an option of the networks, such as width=8"))


def _add_ways(group: Any) -> None:
    _add_folder(group, "--store", "build/records", _("where the records are"))
    group.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=_("keep the runs that are stored (the default), or do them again"),
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help=_("only say what there is to do and what it will cost"),
    )
    group.add_argument(
        "--estimate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=_(
            "time a few steps of each network first, to tell how long the sweep will take "
            "(the default)"
        ),
    )
    group.add_argument(
        "--workers",
        **NUMBER,
        help=_("how many runs to do at once; by default, as many as makes it faster"),
    )
    group.add_argument("--per-gpu", default=1, **NUMBER, help=_("runs that share a GPU"))


def _add_places(group: Any) -> None:
    group.add_argument(
        "--cluster",
        metavar=_("ADDRESS"),
        help=_(
            "a Dask cluster: the address of its scheduler or its scheduler.json, slurm for "
            "workers in Slurm jobs, local to start one here"
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
        _("any other option of sbatch, such as account=course, or of the Dask cluster here"),
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
    asked = {name: said[name] for name in (*names, "device", "precision", "threads")}
    asked |= {
        "profile": arguments.profile,
        "settings": given["set"],
        "dataset_options": given["dataset_option"],
        "family_options": given["family_option"],
    }
    by_trial = arguments.reference is None and given["set"].get("compiled", "auto") == "auto"
    if arguments.reference is None:
        if by_trial:
            given["set"].pop("compiled", None)
        specs = specs_of(**asked)
    else:
        specs = _specs_of_reference(arguments.reference, asked)
    if arguments.slurm is not None:
        raise ValueError(
            _(
                "--slurm no longer exists: type --cluster slurm, or --cluster local instead of "
                "--slurm local. Anything else that a job needs is given in sbatch's own words, "
                "as in --cluster-option account=course."
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
            by_trial=by_trial,
        )
    except SweepError as error:
        say(sentence(error), sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _specs_of_reference(name: str, asked: Mapping[str, Any]) -> list[Spec]:
    """The runs of a reference; what else is asked of them can only be where their data lie.

    Raises:
        ValueError: no such reference, or an argument that would make other runs of them.
    """
    places = {"dataset_options": asked["dataset_options"]}
    more = [key for key, value in asked.items() if value and key not in places]
    if more or places["dataset_options"].keys() - {"root"}:
        raise ValueError(
            _(
                "--reference repeats the stored runs exactly as they were: leave out the "
                "options that would change them, or leave out --reference. Only "
                "--dataset-option root=… goes with it."
            )
        )
    kept = {reference.name: reference for reference in references()}
    records = kept[one_of("reference", name, tuple(kept))].records
    return [
        replace(
            record.spec,
            dataset_options=tuple(
                {**dict(record.spec.dataset_options), **places["dataset_options"]}.items()
            ),
        )
        for record in records
    ]


def parse_setting(text: str) -> tuple[str, Any]:
    """A ``name=value`` of the command line; the value is JSON, or else a text.

    Raises:
        ValueError: there is no name, or no value.

    >>> parse_setting("batch_size=128"), parse_setting("schedule=step")
    (('batch_size', 128), ('schedule', 'step'))
    """
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ValueError(
            _("{text!r} is not a setting: write name=value, as in batch_size=128.").format(
                text=text
            )
        )
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


# --- what it does --------------------------------------------------------------------------


def figure_path(store: Path) -> Path:
    """The summary figure of a store: beside it, under its name."""
    return store.resolve().with_name(f"{store.resolve().name}.png")


def sweep_and_show(
    specs: Sequence[Spec],
    store: Path,
    engine: Engine,
    *,
    resume: bool = True,
    dry_run: bool = False,
    estimates: bool = True,
    by_trial: bool = False,
) -> list[Record]:
    """Say what the runs will cost, do those that are missing, show what they give.

    Args:
        specs: the runs.
        store: folder of the records.
        engine: where to do them.
        resume: with False, do again what is in the store.
        dry_run: end after the estimate; nothing is run and nothing written.
        estimates: with False, start at once.
        by_trial: compile the runs, if none was done otherwise and the estimate says that it pays.

    Raises:
        SweepError: a run failed twice, or nobody was left to do the runs.
        OSError, ValueError, TypeError: the data or the device are not here, or the data are
            damaged.
        KeyboardInterrupt: after a sentence that says what is saved.
    """
    found: dict[Spec, Record] = {}
    if resume and store.is_dir():
        reading = Store(store)
        specs = as_begun(specs, reading) if by_trial else specs
        found = {spec: record for spec in specs if (record := reading.read(spec))}
    missing = [spec for spec in dict.fromkeys(specs) if spec not in found]
    if engine.is_here:  # other machines may have what this one has not
        _refuse_what_every_run_would(missing)
    records = list(found.values())
    try:
        if missing:
            with engine.start(missing) as (executor, workers):
                if limit := engine.time_limit:
                    say(_limited(limit))
                costs = {}
                if estimates:
                    costs = estimate(missing, found.values(), executor, progress=True)
                    if by_trial and not found and (faster := compiled_if_faster(costs, executor)):
                        specs, costs = compiled(specs), faster
                        say(_("The runs will be compiled, since a trial took less time that way."))
                    say(_announced(specs, found, costs, workers))
                if not dry_run:
                    seconds = {spec: cost.seconds for spec, cost in costs.items()}
                    bar = Bar(seconds, workers, lines=True)
                    records = sweep(specs, store, executor, progress=bar, resume=resume)
        elif dry_run:
            print(plan(specs, found, {}))
        else:
            records = [found[spec] for spec in specs]
    except KeyboardInterrupt:
        say(_kept(specs, store), sys.stderr)
        raise
    if dry_run:
        print(_("Nothing was run."))
    else:
        _show(records, store)
    return records


def _refuse_what_every_run_would(missing: Sequence[Spec]) -> None:
    """Refuse a device that is not here and data that are not here, once and for all."""
    for device in {spec.device for spec in missing}:
        check_device(device)
    for name, options in {(spec.dataset, spec.dataset_options) for spec in missing}:
        load(name, **dict(options))


def _limited(limit: str) -> str:
    return _(
        "A Slurm job lasts {limit} at most, and a run that has not finished by then is lost: "
        "--time sets this limit, in minutes."
    ).format(limit=limit)


def _announced(
    specs: Sequence[Spec],
    found: Mapping[Spec, Record],
    costs: Mapping[Spec, Estimate],
    workers: int,
) -> str:
    lines = [str(plan(specs, found, costs))]
    if costs:
        whole = _("The runs will take about {time}, with {workers} at a time").format(
            time=duration(time_of_all(costs, workers)), workers=workers
        )
        peaks = sorted(cost.megabytes for cost in costs.values() if cost.megabytes is not None)
        memory = _(", {memory} GB of memory in all.").format(
            memory=number(sum(peaks[-workers:]) / 1000, 2)
        )
        lines.append(whole + (memory if peaks else "."))
    if unknown := len(set(specs) - found.keys() - costs.keys()):
        lines.append(
            ngettext(
                "{number} run could not be timed, and will say why.",
                "{number} runs could not be timed, and will say why.",
                unknown,
            ).format(number=unknown)
        )
    return "\n".join(lines)


def _kept(specs: Sequence[Spec], store: Path) -> str:
    saved = sum((store / f"{spec.hash}.json").exists() for spec in set(specs))
    return _(
        "{done} of {runs} runs are saved in {store}: the same command goes on from there."
    ).format(done=saved, runs=len(set(specs)), store=store)


def _show(records: Sequence[Record], store: Path) -> None:
    """The table, the figure beside the store, the verdict, and how near the paper it was."""
    print(results(records))
    path = figure_path(store)
    path.write_bytes(error_by_depth(records).png())
    print(_("Figure: {path}").format(path=path))
    try:
        judged = str(verdict(records))
    except ValueError as error:  # a grid too small to judge is run and recorded all the same
        judged = str(error)
    say(judged)
    told = [notes for record in records if (notes := fidelity_notes(record))]
    if told and all(record.spec.dataset == "cifar10" for record in records):
        say(_faithful(told))


def _faithful(told: Sequence[Sequence[str]]) -> str:
    """In what the runs depart from the ResNet paper, each departure once, from their notes."""
    notes = Counter(note for notes in told for note in notes)
    departures = [note for note in notes if note.startswith(departure())]
    shares = [
        "" if notes[note] == len(told) else f" ({notes[note]}/{len(told)})" for note in departures
    ]
    return "\n".join(
        [
            _("Departures from He et al. 2015, section 4.2 ({number} in all):").format(
                number=len(departures)
            ),
            *(
                f"- {note.removeprefix(departure())}{share}"
                for note, share in zip(departures, shares, strict=True)
            ),
            _(
                "The paper leaves {number} choices open, and fidelity_notes(record) says how "
                "each was made."
            ).format(number=len(notes) - len(departures)),
        ]
    )
