"""The experiment from the command line: what it will cost, how it goes, and what it shows."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from course_utils import course, degradation, profiles
from course_utils.datasets import load
from course_utils.degradation import Record, Spec, Store
from course_utils.degradation.engines import dask_executor, slurm_executor
from course_utils.degradation.estimating import Estimate, estimate, time_of_all
from course_utils.degradation.progress import Progress
from course_utils.degradation.sweeping import local_executor
from course_utils.i18n import _, number, percent
from course_utils.plots import error_by_depth
from course_utils.tables import Table, results

__all__ = [
    "Engine",
    "LiveTable",
    "duration",
    "figure_path",
    "job_options",
    "parameters",
    "parse_setting",
    "plan",
    "specs_of",
    "sweep",
]

LESSON = 3  # whose parameters are those of the experiment
FAMILIES = ("plain", "residual")


# --- what to run ---------------------------------------------------------------------------


def parameters(profile: str | None = None) -> dict[str, Any]:
    """What lesson 3 sweeps with this profile: the command line and the lesson share one source.

    Raises:
        ValueError: no such profile, one that does not match the lesson, or no course here.

    >>> sorted(parameters("paper"))
    ['dataset', 'dataset_options', 'depths', 'epochs', 'recipe', 'seeds', 'store']
    """
    root = course.find_root()
    (lesson,) = course.find_lessons(root, "fr", [LESSON])
    own = profiles.parameters_of(lesson.path)
    return own | course.lesson_parameters(root, [lesson], profile)[lesson]


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
    grid = {name: chosen[name] for name in ("dataset", "depths", "seeds")}
    grid |= {**options, **said, **(settings or {})}
    grid["dataset_options"] = {**chosen["dataset_options"], **(dataset_options or {})}
    if family_options:
        grid["family_options"] = dict(family_options)
    return degradation.grid(families=families or FAMILIES, **grid)


# --- where to run it -----------------------------------------------------------------------


def job_options(
    cluster: str | None, partition: str | None, minutes: int | None, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Partition and time of jobs by the names that submitit, or Dask's launcher, has for them.

    >>> job_options(None, "long", 90, {}), job_options("slurm", "long", 90, {})
    ({'slurm_partition': 'long', 'timeout_min': 90}, {'queue': 'long', 'walltime': '01:30:00'})
    """
    options: dict[str, Any] = {}
    if partition is not None:
        options["queue" if cluster else "slurm_partition"] = partition
    if minutes is not None:
        clock = f"{minutes // 60:02}:{minutes % 60:02}:00"
        options |= {"walltime": clock} if cluster else {"timeout_min": minutes}
    return options | dict(others)


@dataclass(frozen=True)
class Engine:
    """Where the runs are done.

    Attributes:
        workers: processes of this machine, or of the cluster that is started; None for as many
            as pay.
        per_gpu: runs that share a GPU.
        cluster: of Dask: an address, a ``scheduler.json``, ``"local"`` or ``"slurm"``.
        slurm: of submitit: ``"slurm"``, or ``"local"`` for processes in their place.
        options: handed on to the cluster.
        folder: for the logs of jobs.
    """

    workers: int | None = None
    per_gpu: int = 1
    cluster: str | None = None
    slurm: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path("build/jobs")

    def __post_init__(self) -> None:
        if self.cluster and self.slurm:
            raise ValueError(_("Choose one of --cluster (Dask) and --slurm (submitit), not both."))
        if self.cluster and self.per_gpu > 1:
            raise ValueError(
                _(
                    "--per-gpu is for this machine and for --slurm: a Dask cluster does as many "
                    "runs on a GPU as it has workers there."
                )
            )

    @contextlib.contextmanager
    def start(self, specs: Sequence[Spec]) -> Iterator[tuple[Executor, int]]:
        """An executor for these runs, and how many it does at once."""
        threads, device = max(spec.threads for spec in specs), specs[0].device
        options = dict(self.options)
        if self.cluster:
            if self.cluster in ("local", "slurm"):
                options.setdefault("jobs", min(len(specs), self.workers or 2))
            if self.cluster == "slurm":
                options.setdefault("job_cpu", threads)
            with dask_executor(self.cluster, specs, **options) as (executor, workers):
                yield executor, workers
        elif self.slurm:
            options = {"timeout_min": 60, "cpus_per_task": threads * self.per_gpu, **options}
            if device == "cuda":
                options.setdefault("gpus_per_node", 1)
            with slurm_executor(
                self.folder, cluster=self.slurm, per_job=self.per_gpu, **options
            ) as jobs:
                yield jobs, len(specs)
        else:
            local = local_executor(
                len(specs), threads, device=device, per_gpu=self.per_gpu, workers=self.workers
            )
            try:
                yield local, local.workers
            except BaseException:
                local.shutdown(wait=False, cancel_futures=True)
                raise
            local.shutdown()


# --- what is shown -------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(0.84), duration(42), duration(90), duration(4000), duration(100_000)
    ('0.84 s', '42 s', '2 min', '1 h 7 min', '1 d 4 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 59.5:
        return _("{seconds} s").format(seconds=number(seconds, 2))
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    if hours < 24:
        return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
    return _("{days} d {hours} h").format(days=hours // 24, hours=hours % 24)


def _net(spec: Spec) -> str:
    return f"{spec.family}-{spec.depth}"


def _by_net(specs: Sequence[Spec]) -> dict[str, list[Spec]]:
    groups: dict[str, list[Spec]] = {}
    for spec in sorted(dict.fromkeys(specs), key=lambda spec: (spec.family, spec.depth)):
        groups.setdefault(_net(spec), []).append(spec)
    return groups


def plan(
    specs: Sequence[Spec], found: Mapping[Spec, Record], estimates: Mapping[Spec, Estimate]
) -> Table:
    """One line a net: how many runs are there and to be done, and what one costs."""
    sources = {"records": _("records in the store"), "steps": _("a few steps, timed")}
    rows = []
    for net, group in _by_net(specs).items():
        one = next((estimates[spec] for spec in group if spec in estimates), None)
        memory = None if one is None or one.megabytes is None else f"{one.megabytes:.0f} MB"
        done = sum(spec in found for spec in group)
        rows.append(
            [
                net,
                done,
                len(group) - done,
                "–" if one is None else duration(one.seconds),
                memory or "–",
                "–" if one is None else sources[one.source],
            ]
        )
    return Table(
        [_("net"), _("in the store"), _("to do"), _("a run"), _("memory"), _("estimated from")],
        rows,
    )


class LiveTable(Progress):
    """A table of the nets and a bar with the time left, drawn anew as runs end.

    Where the output is a log and not a terminal, each event is a line.

    Args:
        specs: every run asked for.
        estimates: what a run costs, as far as is known.
        workers: runs done at once.
        stream: where to draw.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        estimates: Mapping[Spec, Estimate],
        workers: int,
        stream: TextIO | None = None,
    ) -> None:
        self._groups, self._specs = _by_net(specs), set(specs)
        self._seconds = {
            spec: estimates[spec].seconds if spec in estimates else float(spec.depth)
            for spec in self._specs
        }
        self._known = self._specs <= estimates.keys()
        self._workers = max(1, workers)
        self._stream = stream or sys.stderr
        self._records: dict[Spec, Record] = {}
        self._failed: set[Spec] = set()
        self._work = self._done = 0.0
        self._lines = 0
        self._started = self._drawn = time.monotonic()

    def start(self, found: Sequence[Record], missing: Sequence[Spec]) -> None:
        """Draw the table as it is."""
        self._records = {record.spec: record for record in found}
        self._work = sum(self._seconds[spec] for spec in missing)
        self._started = time.monotonic()
        if missing and self._stream.isatty():
            self._draw()

    def finished(self, record: Record) -> None:
        """Put the record into the table."""
        self._records[record.spec] = record
        self._done += self._seconds[record.spec]
        self._failed.discard(record.spec)
        self._show(
            _("{spec}: training error {train}, test error {test}, {time}").format(
                spec=record.spec,
                train=percent(record.train_error),
                test=percent(record.test_error),
                time=duration(record.seconds),
            )
        )

    def failed(self, spec: Spec, reason: str, again: bool) -> None:
        """Say which run failed and why."""
        if not again:
            self._failed.add(spec)
            self._done += self._seconds[spec]
        verdict = _("tried again") if again else _("given up")
        self._show(f"{spec}: {reason}; {verdict}", lasting=True)

    def tick(self) -> None:
        """Let the clock go on, once a second."""
        if self._stream.isatty() and time.monotonic() - self._drawn > 1:
            self._draw()

    def stop(self) -> None:
        """Take the table away: what follows it says the same and more."""
        self._erase()

    def _show(self, event: str, lasting: bool = False) -> None:
        if self._stream.isatty():
            if lasting:
                self._erase()
                print(event, file=self._stream)
            self._draw()
        else:
            print(f"{self._count()}, {self._left()} | {event}", file=self._stream, flush=True)

    def _count(self) -> str:
        return _("{done} of {runs} runs").format(done=len(self._records), runs=len(self._specs))

    def _left(self) -> str:
        elapsed = time.monotonic() - self._started
        if self._done:
            return _("{time} left").format(
                time=duration(elapsed * (self._work - self._done) / self._done)
            )
        if self._known:
            return _("{time} left").format(
                time=duration(max(0.0, self._work / self._workers - elapsed))
            )
        return _("time left unknown")

    def _erase(self) -> None:
        if self._lines:
            print(f"\x1b[{self._lines}F\x1b[J", end="", file=self._stream, flush=True)
            self._lines = 0

    def _draw(self) -> None:
        rows = []
        for net, group in self._groups.items():
            runs = [self._records[spec] for spec in group if spec in self._records]
            errors = results(runs).rows[0][2:4] if runs else ["–", "–"]
            failed = sum(spec in self._failed for spec in group)
            rows.append([net, f"{len(runs)}/{len(group)}", failed or "", *errors])
        headers = [_("net"), _("runs"), _("failed"), _("training error"), _("test error")]
        width = shutil.get_terminal_size().columns
        text = [line[: width - 1] for line in str(Table(headers, rows)).splitlines()]
        text.append(
            tqdm.format_meter(
                self._done,
                self._work or 1,
                time.monotonic() - self._started,
                ncols=width - 1,
                bar_format=f"{{percentage:3.0f}}%|{{bar}}| {self._count()}, {self._left()}",
            )
        )
        self._erase()
        print("\n".join(text), file=self._stream, flush=True)
        self._lines, self._drawn = len(text), time.monotonic()


# --- the command ---------------------------------------------------------------------------


def figure_path(store: Path) -> Path:
    """The summary figure of a store: beside it, under its name."""
    return store.resolve().with_name(f"{store.resolve().name}.png")


def sweep(
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
                records = degradation.sweep(specs, store, executor, progress=table, resume=resume)
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
        print(degradation.verdict(records))
    except ValueError as error:  # a grid too small to judge is run and recorded all the same
        print(error)
