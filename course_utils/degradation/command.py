"""The degradation experiment from the command line: what it costs, how it goes, what it shows."""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.arguments import one_of
from course_utils.datasets import load
from course_utils.degradation.fidelity import DEPARTURE, fidelity_notes
from course_utils.degradation.judging import verdict
from course_utils.experiments.engines import Engine
from course_utils.experiments.estimating import Estimate, estimate, plan, time_of_all
from course_utils.experiments.progress import Bar
from course_utils.experiments.record import Record
from course_utils.experiments.results import results
from course_utils.experiments.running import check_device
from course_utils.experiments.spec import Spec, grid
from course_utils.experiments.store import Store
from course_utils.experiments.sweeping import sweep
from course_utils.i18n import _, duration, number
from course_utils.plots import error_by_depth

__all__ = ["figure_path", "parameters", "parse_setting", "specs_of", "sweep_and_show"]

PROFILES = Path(__file__).with_name("profiles.toml")
FAMILIES = ("plain", "residual")


# --- what to run ---------------------------------------------------------------------------


def parameters(profile: str | None = None) -> dict[str, Any]:
    """What lesson 3 sweeps with this profile, or without one: data, depths, seeds, epochs, recipe.

    Raises:
        ValueError: no such profile.

    >>> parameters("quick")["depths"]
    [8, 20]
    """
    tables = tomllib.loads(PROFILES.read_text(encoding="utf-8"))
    default = tables.pop("default")
    if profile is None:
        return default
    return default | tables[one_of("profile", profile, tuple(tables))]


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


def specs_of(
    profile: str | None = None,
    *,
    families: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
    family_options: Mapping[str, Any] | None = None,
    **said: Any,
) -> list[Spec]:
    """The grid of a profile, or lesson 3's own, with what the reader said in the place of it.

    Args:
        profile: its name.
        families: those of the nets; plain and residual by default.
        settings: fields of :class:`~course_utils.degradation.Spec`, by name.
        dataset_options: replace those of the profile one by one, unless ``dataset`` is another.
        family_options: of every family.
        said: ``dataset``, ``depths``, ``seeds``, ``epochs``, ``steps``, ``device``,
            ``precision``, ``threads``; one that is None was not said.

    Raises:
        ValueError, TypeError: a value that :func:`course_utils.degradation.grid` refuses.

    >>> [str(spec) for spec in specs_of("quick", families=["plain"], seeds=[3])]
    ['plain-8, seed 3', 'plain-20, seed 3']
    """
    fields = parameters(profile)
    fields |= fields.pop("recipe")
    options = fields.pop("dataset_options")
    own = {name: value for name, value in said.items() if value is not None}
    own |= settings or {}
    if own.keys() & {"epochs", "steps"}:  # either takes the place of both
        fields["epochs"] = fields["steps"] = None
    if own.get("dataset", fields["dataset"]) != fields["dataset"]:
        options = {}
    for name, given in (("dataset_options", dataset_options), ("family_options", family_options)):
        own[name] = {**own.get(name, {}), **(given or {})}
    own["dataset_options"] = {**options, **own["dataset_options"]}
    return grid(families=families or FAMILIES, **{**fields, **own})


# --- the command ---------------------------------------------------------------------------


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
) -> list[Record]:
    """Say what the runs will cost, do those that are missing, show what they give.

    Args:
        specs: the runs.
        store: folder of the records.
        engine: where to do them.
        resume: with False, do again what is in the store.
        dry_run: end after the estimate; nothing is run and nothing written.
        estimates: with False, start at once.

    Raises:
        SweepError: a run failed twice, or nobody was left to do the runs.
        OSError, ValueError, TypeError: the data or the device are not here, or the data are
            damaged.
        KeyboardInterrupt: after a sentence that says what is saved.
    """
    found: dict[Spec, Record] = {}
    if resume and store.is_dir():
        reading = Store(store)
        found = {spec: record for spec in specs if (record := reading.read(spec))}
    missing = [spec for spec in dict.fromkeys(specs) if spec not in found]
    if engine.is_here:  # other machines may have what this one has not
        _refuse_what_every_run_would(missing)
    records = list(found.values())
    try:
        if missing:
            with engine.start(missing) as (executor, workers):
                if limit := engine.time_limit:
                    print(_limited(limit), flush=True)
                costs = {}
                if estimates:
                    costs = estimate(missing, found.values(), executor, progress=True)
                    print(_announced(specs, found, costs, workers), flush=True)
                if not dry_run:
                    seconds = {spec: cost.seconds for spec, cost in costs.items()}
                    bar = Bar(seconds, workers, lines=True)
                    records = sweep(specs, store, executor, progress=bar, resume=resume)
        elif dry_run:
            print(plan(specs, found, {}))
        else:
            records = [found[spec] for spec in specs]
    except KeyboardInterrupt:
        print(_kept(specs, store), file=sys.stderr)
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
        "A job of Slurm lasts {limit} at most, and a run that is still going then is lost: --time "
        "says how many minutes it may last."
    ).format(limit=limit)


def _announced(
    specs: Sequence[Spec],
    found: Mapping[Spec, Record],
    costs: Mapping[Spec, Estimate],
    workers: int,
) -> str:
    lines = [str(plan(specs, found, costs))]
    if costs:
        whole = _("About {time} with {workers} at a time").format(
            time=duration(time_of_all(costs, workers)), workers=workers
        )
        peaks = sorted(cost.megabytes for cost in costs.values() if cost.megabytes is not None)
        memory = _(", {memory} GB of memory in all.").format(
            memory=number(sum(peaks[-workers:]) / 1000, 2)
        )
        lines.append(whole + (memory if peaks else "."))
    if unknown := len(set(specs) - found.keys() - costs.keys()):
        lines.append(
            _("{number} run(s) could not be tried, and will say why.").format(number=unknown)
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
    print(judged)
    told = [notes for record in records if (notes := fidelity_notes(record))]
    if told and all(record.spec.dataset == "cifar10" for record in records):
        print(_faithful(told))


def _faithful(told: Sequence[Sequence[str]]) -> str:
    """In what the runs depart from the ResNet paper, each departure once, from their notes."""
    notes = Counter(note for notes in told for note in notes)
    departures = [note for note in notes if note.startswith(DEPARTURE)]
    shares = [
        "" if notes[note] == len(told) else f" ({notes[note]}/{len(told)})" for note in departures
    ]
    return "\n".join(
        [
            _("Departures from He et al. 2015, section 4.2: {number}.").format(
                number=len(departures)
            ),
            *(
                f"- {note.removeprefix(DEPARTURE)}{share}"
                for note, share in zip(departures, shares, strict=True)
            ),
            _(
                "The paper leaves {number} choices open; fidelity_notes(record) says how each was "
                "made."
            ).format(number=len(notes) - len(departures)),
        ]
    )
