"""The degradation experiment from the command line: what it costs, how it goes, what it shows."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.arguments import one_of
from course_utils.datasets import load
from course_utils.degradation.judging import verdict
from course_utils.experiments.engines import Engine
from course_utils.experiments.estimating import Estimate, estimate, time_of_all
from course_utils.experiments.monitor import LiveTable, duration, plan
from course_utils.experiments.record import Record
from course_utils.experiments.results import results
from course_utils.experiments.spec import Spec, grid
from course_utils.experiments.store import Store
from course_utils.experiments.sweeping import sweep
from course_utils.i18n import _, number
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
    """
    chosen = parameters(profile)
    said = {name: value for name, value in said.items() if value is not None}
    options: dict[str, Any] = {"epochs": chosen["epochs"], **chosen["recipe"]}
    for length in ("epochs", "steps"):
        if length in said:  # either takes the place of both
            options["epochs"] = options["steps"] = None
    if said.get("dataset", chosen["dataset"]) != chosen["dataset"]:
        chosen["dataset_options"] = {}
    fields = {name: chosen[name] for name in ("dataset", "depths", "seeds")}
    fields |= {**options, **said, **(settings or {})}
    fields["dataset_options"] = {**chosen["dataset_options"], **(dataset_options or {})}
    if family_options:
        fields["family_options"] = dict(family_options)
    return grid(families=families or FAMILIES, **fields)


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
        SweepError: a run failed twice.
        OSError, ValueError, TypeError: the data are not here, or are damaged.
        KeyboardInterrupt: after a sentence that says what is saved.
    """
    found: dict[Spec, Record] = {}
    if resume and store.is_dir():
        reading = Store(store)
        found = {spec: record for spec in specs if (record := reading.read(spec))}
    missing = [spec for spec in dict.fromkeys(specs) if spec not in found]
    if not (engine.cluster or engine.slurm):  # whose machines may have what this one has not
        for name, options in {(spec.dataset, spec.dataset_options) for spec in missing}:
            load(name, **dict(options))  # refuses what every run would refuse, once and for all
    try:
        if missing:
            with engine.start(missing) as (executor, workers):
                costs = estimate(missing, found.values(), executor) if estimates else {}
                if estimates:
                    print(_announced(specs, found, costs, workers), flush=True)
                if dry_run:
                    print(_("Nothing was run."))
                    return list(found.values())
                table = LiveTable(specs, costs, workers)
                records = sweep(specs, store, executor, progress=table, resume=resume)
        else:
            if dry_run:
                print(plan(specs, found, {}))
                print(_("Nothing was run."))
            records = [found[spec] for spec in specs]
    except KeyboardInterrupt:
        print(_kept(specs, store), file=sys.stderr)
        raise
    if not dry_run:
        _show(records, store)
    return records


def _announced(
    specs: Sequence[Spec],
    found: Mapping[Spec, Record],
    costs: Mapping[Spec, Estimate],
    workers: int,
) -> str:
    lines = [str(plan(specs, found, costs))]
    unknown = len(set(specs) - found.keys() - costs.keys())
    if costs:
        peaks = [cost.megabytes for cost in costs.values() if cost.megabytes is not None]
        lines.append(
            _("About {time} with {workers} at a time").format(
                time=duration(time_of_all(costs, workers)), workers=workers
            )
            + (
                _(", {memory} GB of memory in all.").format(
                    memory=number(sum(sorted(peaks)[-workers:]) / 1000, 2)
                )
                if peaks
                else "."
            )
        )
    if unknown:
        lines.append(
            _("{number} run(s) could not be tried, and will say why.").format(number=unknown)
        )
    return "\n".join(lines)


def _kept(specs: Sequence[Spec], store: Path) -> str:
    saved = 0
    if store.is_dir():
        there = Store(store)
        saved = sum(there.path_of(spec).exists() for spec in set(specs))
    return _(
        "{done} of {runs} runs are saved in {store}: the same command goes on from there."
    ).format(done=saved, runs=len(set(specs)), store=store)


def _show(records: Sequence[Record], store: Path) -> None:
    """The table, the figure beside the store, and the verdict."""
    print(results(records))
    path = figure_path(store)
    path.write_bytes(error_by_depth(records).png())
    print(_("Figure: {path}").format(path=path))
    try:
        print(verdict(records))
    except ValueError as error:  # a grid too small to judge is run and recorded all the same
        print(error)
