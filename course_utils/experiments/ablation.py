"""One change at a time: what each does to the error, beside what the seeds alone do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from difflib import SequenceMatcher
from html import escape
from statistics import fmean
from typing import Any

from course_utils.arguments import whole_number
from course_utils.datasets import load
from course_utils.experiments.families import composed
from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.experiments.statistics import CONFIDENCE, paired_interval, points, points_text
from course_utils.experiments.store import Store
from course_utils.experiments.sweeping import sweep
from course_utils.i18n import _, bracketed, listed, number
from course_utils.tables import Table

__all__ = ["Ablation", "Difference", "Effect", "ablate", "altered", "compare", "difference"]

OPTIONS = ("dataset_options", "family_options")


# --- what a change changes -------------------------------------------------------------------


def altered(base: Spec, spec: Spec) -> tuple[str, ...]:
    """What differs between two specs, one text a choice; the seed is none.

    A design is one choice, of which the lines that differ are named, and its depth follows.

    >>> base = Spec("plain", 20, seed=0, family_options=(("width", 8),))
    >>> altered(base, Spec("residual", 20, seed=1, family_options=(("width", 4),)))
    ("family: 'plain' → 'residual'", 'width: 8 → 4')
    """
    before, after = base.choices, spec.choices
    if "design" in before and "design" in after:
        del before["depth"], after["depth"]
    texts = []
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old != new or (name in before) != (name in after):
            is_design = name == "design" and old is not None and new is not None
            texts.append(_lines(old, new) if is_design else f"{name}: {old!r} → {new!r}")
    return tuple(texts)


def _lines(old: Any, new: Any) -> str:
    """The lines in which two designs differ."""
    differing = [
        f"{', '.join(old[i:j]) or '–'} → {', '.join(new[k:m]) or '–'}"
        for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
    return listed(differing)


def _changed(base: Spec, name: str, change: Any) -> Spec:
    """The spec of one change, or a refusal that names it."""
    if isinstance(change, Spec):
        return replace(change, seed=base.seed)
    if not isinstance(change, Mapping):
        raise TypeError(
            _(
                "The change {name!r} is {value!r}: give the field that changes, as in "
                '{{"depth": 14}}, or a whole Spec.'
            ).format(name=name, value=change)
        )
    known = [field.name for field in fields(Spec) if field.name != "seed"]
    unknown = [field for field in change if field not in (*known, "design")]
    if unknown:
        raise ValueError(
            _(
                "The change {name!r} names a field that does not exist, {unknown}; the fields "
                "are {known}."
            ).format(name=name, unknown=", ".join(map(repr, unknown)), known=", ".join(known))
        )
    new = dict(change)
    try:
        if "design" in new:
            new |= composed(new.pop("design"))
            new["family_options"] = {**dict(base.family_options), **new["family_options"]}
        for field in OPTIONS:
            if field in new:  # an option that is not named stays as it was
                new[field] = {**dict(getattr(base, field)), **dict(new[field])}
        spec = replace(base, **new)
    except (TypeError, ValueError) as error:
        raise type(error)(
            _("The change {name!r} is refused: {reason}").format(name=name, reason=error)
        ) from error
    choices = altered(base, spec)
    if len(choices) > 1:
        raise ValueError(
            _(
                "The change {name!r} alters {number} choices at once ({choices}), so the effect "
                "of each could not be told: make one change of each, or give a whole Spec to "
                "change several."
            ).format(name=name, number=len(choices), choices=listed(choices))
        )
    return spec


# --- differences and their noise -------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How an error changes from the base to a change, paired by seed.

    Attributes:
        by_seed: error with the change minus error of the base, as a fraction, for each seed.
        mean: their mean.
        interval: of the mean; the confidence is that of all the changes together.
    """

    by_seed: dict[int, float]
    mean: float
    interval: tuple[float, float]

    @property
    def is_larger_than_noise(self) -> bool:
        """Whether the interval leaves out zero."""
        low, high = self.interval
        return low > 0 or high < 0

    def __str__(self) -> str:
        if not any((*self.by_seed.values(), *self.interval)):
            return "0"
        return f"{points(self.mean)}  {bracketed(*map(points, self.interval))}"


def difference(
    base: Mapping[int, float], changed: Mapping[int, float], *, changes: int = 1, images: int | None
) -> Difference:
    """The mean of paired differences, with an interval that several changes may be read from.

    With ``changes`` intervals of confidence 1 − 0.05 / ``changes`` each, all hold together with at
    least 95% (Bonferroni), so that a change that does nothing is seldom taken for one that does
    something however many are tried. An error measured on ``images`` images is rounded to whole
    images, and seeds that agree to the image tell nothing smaller: the standard deviation is taken
    to be no less than that of the rounding. The interval stays within what an error can do.

    Args:
        base, changed: an error, as a fraction, for each seed; two seeds or more.
        changes: how many are compared with the base.
        images: on which the errors were measured; None if that is not known.

    Raises:
        ValueError: fewer than two seeds.

    >>> difference({0: 0.25, 1: 0.25}, {0: 0.5, 1: 0.5}, images=360).is_larger_than_noise
    True
    >>> difference({0: 0.1, 1: 0.1}, {0: 0.1 + 1 / 360, 1: 0.1}, images=360).is_larger_than_noise
    False
    """
    by_seed = {seed: changed[seed] - base[seed] for seed in base}
    values = list(by_seed.values())
    rounding = 0 if images is None else 1 / images / 6**0.5  # two roundings, each uniform
    confidence = 1 - (1 - CONFIDENCE) / changes
    interval = paired_interval(values, confidence, least_deviation=rounding)
    if interval is None:
        raise _too_few_seeds()
    before = fmean(base.values())  # an error has no more than this to lose, and the rest to gain
    low, high = max(interval[0], -before), min(interval[1], 1 - before)
    return Difference(by_seed, fmean(values), (low, high))


def _too_few_seeds() -> ValueError:
    return ValueError(
        _("One seed says nothing about the noise: give at least two different seeds.")
    )


@dataclass(frozen=True)
class Effect:
    """What one change does.

    Attributes:
        name: as given to :func:`ablate`.
        spec: the run, with the first of the seeds.
        altered: the choices that differ from the base; none if the change is the base itself.
        test, train: the differences of test and of training error.
        parameters, macs: the differences in cost.
        validation: the difference of validation error; None where the data set has no such split.
    """

    name: str
    spec: Spec
    altered: tuple[str, ...]
    test: Difference
    train: Difference
    parameters: int
    macs: int
    validation: Difference | None = None

    @property
    def judged(self) -> Difference:
        """What the change is judged by: other images than the test's, where there are some."""
        return self.test if self.validation is None else self.validation

    def __str__(self) -> str:
        low, high = map(points, self.judged.interval)
        values = {
            "name": self.name,
            "error": _judge(self),
            "mean": points_text(self.judged.mean),
            "size": points_text(abs(self.judged.mean)).lstrip("+"),
            "low": low,
            "high": high,
        }
        if not self.altered:
            return _("{name}: there is no difference, since this is the base itself.").format(
                **values
            )
        if not self.judged.is_larger_than_noise:
            sentence = _(
                "{name}: no difference in {error} is established ({mean}, with an interval "
                "from {low} to {high})."
            )
        elif self.judged.mean > 0:
            sentence = _(
                "{name}: the {error} rises by {size} (with an interval from {low} to {high}), "
                "which is established."
            )
        else:
            sentence = _(
                "{name}: the {error} falls by {size} (with an interval from {low} to {high}), "
                "which is established."
            )
        return sentence.format(**values)


def _judge(effect: Effect) -> str:
    return _("test error") if effect.validation is None else _("validation error")


@dataclass(frozen=True)
class Ablation:
    """What each change does to the base; a notebook shows a table, ``str()`` gives sentences.

    Attributes:
        base: the run that is changed, with the first of the seeds.
        seeds: those of every net.
        effects: one a change, by name.
        records: those of every net, a record a seed; the base's under ``None``.
    """

    base: Spec
    seeds: tuple[int, ...]
    effects: dict[str, Effect]
    records: dict[str | None, list[Record]]

    @property
    def judge(self) -> str:
        """The error that the changes are judged by, in the reader's language."""
        return _judge(next(iter(self.effects.values())))

    @property
    def table(self) -> Table:
        """One line a change, beside the base: differences in points, with their intervals."""
        base = self.records[None]
        costs = [number(cost, 15) for cost in (base[0].parameters, base[0].macs)]
        errors = [
            number(100 * fmean(errors), 3)
            for errors in ([r.judged_error for r in base], [r.train_error for r in base])
        ]
        lines: list[list[str]] = [[_("base"), "", *errors, *costs]]
        for effect in self.effects.values():
            lines.append(
                [
                    effect.name,
                    listed(effect.altered) or _("none"),
                    str(effect.judged),
                    str(effect.train),
                    _signed(effect.parameters),
                    _signed(effect.macs),
                ]
            )
        headers = [
            _("network"),
            _("change"),
            _("{error} (points) [interval]").format(error=self.judge),
            _("training error (points) [interval]"),
            _("parameters"),
            _("multiply-adds"),
        ]
        return Table(headers, lines)

    @property
    def note(self) -> str:
        """How the intervals are to be read."""
        if len(self.effects) == 1:
            return _(
                "The difference from the base is paired by seed, over {seeds} seeds. Its "
                "interval has a confidence of 95%; it accounts for the choice of seeds, not for "
                "the choice of images."
            ).format(seeds=len(self.seeds))
        return _(
            "Differences from the base are paired by seed, over {seeds} seeds. The intervals "
            "hold together, for all {changes} changes, with a confidence of 95%; they account "
            "for the choice of seeds, not for the choice of images."
        ).format(seeds=len(self.seeds), changes=len(self.effects))

    def __str__(self) -> str:
        return "\n".join(map(str, self.effects.values()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        sentences = "".join(f"<li>{escape(str(effect))}</li>" for effect in self.effects.values())
        return f"{self.table._repr_html_()}<p>{escape(self.note)}</p><ul>{sentences}</ul>"


def _signed(cost: int) -> str:
    """A difference in cost, with its sign; a zero has none."""
    return f"+{number(cost, 15)}" if cost > 0 else number(cost, 15)


# --- the public door -------------------------------------------------------------------------


def ablate(
    base: Spec,
    changes: Mapping[str, Mapping[str, Any] | Spec],
    seeds: Iterable[int],
    store: str | os.PathLike[str] | Store,
    executor: Executor | None = None,
    *,
    progress: bool = True,
) -> Ablation:
    """Train a net and variants of it over the same seeds, and say which differ from it.

    The runs go through :func:`~course_utils.degradation.sweep`: what is in the store is read, and
    an interrupted ablation goes on where it stopped.

    Args:
        base: the net and how it is trained; its seed is replaced by each of ``seeds``.
        changes: for each name, the one field of the spec that changes, as in ``{"depth": 14}``,
            ``{"family_options": {"width": 8}}`` (other options stay) or, for a composed net,
            ``{"design": [conv(16), gap_head()]}`` (the depth follows); or a whole
            :class:`Spec`, which may change several.
        seeds: two or more.
        store: directory of the records.
        executor: see :func:`~course_utils.degradation.sweep`.
        progress: show a bar.

    Raises:
        ValueError: no change, one seed, a field that does not exist, a change that alters more
            than one, or a value that :class:`Spec` refuses; the sentence names the change.
        TypeError: something of another type.
        OSError, SweepError: as :func:`~course_utils.degradation.sweep` raises them.

    >>> import tempfile
    >>> base = Spec("plain", 8, seed=0, steps=2, family_options=(("width", 2),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(ablate(base, {"itself": {}}, [0, 1], folder, progress=False))
    itself: there is no difference, since this is the base itself.
    """
    seeds = tuple(dict.fromkeys(whole_number("seeds", seed, at_least=0) for seed in seeds))
    nets = _nets(base, changes)
    if len(seeds) < 2:
        raise _too_few_seeds()
    runs = [replace(spec, seed=seed) for spec in nets.values() for seed in seeds]
    return compare(base, changes, sweep(runs, store, executor, progress=progress))


def compare(
    base: Spec, changes: Mapping[str, Mapping[str, Any] | Spec], records: Iterable[Record]
) -> Ablation:
    """What :func:`ablate` says, from records that are there already, as those of a reference.

    Args:
        base, changes: see :func:`ablate`.
        records: those of the base and of every change, and others that are left aside. The seeds
            compared are those that all nets have.

    Raises:
        ValueError: fewer than two such seeds, and whatever :func:`ablate` refuses in a change.
        TypeError: something of another type.
    """
    nets = _nets(base, changes)
    by_net: dict[Spec, dict[int, Record]] = {}
    for record in records:
        by_net.setdefault(replace(record.spec, seed=0), {})[record.spec.seed] = record
    found = {name: by_net.get(replace(spec, seed=0), {}) for name, spec in nets.items()}
    seeds = tuple(seed for seed in found[None] if all(seed in runs for runs in found.values()))
    if len(seeds) < 2:
        few = [name for name, runs in found.items() if len(runs.keys() & found[None].keys()) < 2]
        raise ValueError(
            _(
                "Fewer than two seeds have a record of every network. Records are missing for "
                "these changes: {names}."
            ).format(names=", ".join(map(str, few)))
        )
    kept = {name: [runs[seed] for seed in seeds] for name, runs in found.items()}
    compared = sum(spec != nets[None] for spec in nets.values())
    images = _images(base)
    judged = kept[None][0].validation_error is not None
    effects = {
        name: Effect(
            name=name,
            spec=replace(nets[name], seed=seeds[0]),
            altered=altered(base, nets[name]),
            test=_compared("test", kept[None], kept[name], compared, images),
            train=_compared("train", kept[None], kept[name], compared, images),
            parameters=kept[name][0].parameters - kept[None][0].parameters,
            macs=kept[name][0].macs - kept[None][0].macs,
            validation=_compared("validation", kept[None], kept[name], compared, images)
            if judged
            else None,
        )
        for name in changes
    }
    return Ablation(replace(base, seed=seeds[0]), seeds, effects, kept)


def _nets(base: Any, changes: Any) -> dict[str | None, Spec]:
    """The base, under None, and each change by name, all with the seed of the base."""
    if not isinstance(base, Spec):
        raise TypeError(_("The base of an ablation is a Spec, not {value!r}.").format(value=base))
    if not isinstance(changes, Mapping) or not changes:
        raise (ValueError if isinstance(changes, Mapping) else TypeError)(
            _(
                "Give the changes as a dictionary, with the field that changes under a name for "
                "each."
            )
        )
    nets: dict[str | None, Spec] = {None: base}
    return nets | {name: _changed(base, name, change) for name, change in changes.items()}


def _compared(
    split: str, base: list[Record], changed: list[Record], changes: int, images: Mapping[str, int]
) -> Difference:
    """The error of a change on one split against that of the base."""
    before, after = (
        {r.spec.seed: getattr(r, f"{split}_error") for r in runs} for runs in (base, changed)
    )
    if changed == base:
        return Difference(dict.fromkeys(before, 0.0), 0.0, (0.0, 0.0))
    return difference(before, after, changes=changes, images=images.get(split))


def _images(spec: Spec) -> dict[str, int]:
    """Number of images of each split; none where the data are not here."""
    try:
        data = load(spec.dataset, **dict(spec.dataset_options))
    except FileNotFoundError:  # the runs were made elsewhere
        return {}
    return {name: len(split) for name, split in data.splits.items()}
