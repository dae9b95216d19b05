"""Is there degradation? How training error changes with depth, and what the runs can speak of.

Two phenomena go by that name. *Trainability at a fixed budget*: after so many updates, at this rate
or at the best of several, the deep plain net has learnt less. *Degradation between trained nets*:
it has learnt less although nothing more is gained by training on. Which of the two a set of records
can speak of depends on the rates and the budgets among them, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from course_utils.experiments.families import net_name
from course_utils.experiments.record import Record
from course_utils.experiments.statistics import interval_text, paired_interval, points_text
from course_utils.i18n import _, listed, ngettext, number

__all__ = ["Change", "Plateau", "Scope", "Verdict", "verdict"]

Net = tuple[str, int]
"""A family and a depth."""

Scope = Literal["one rate", "best rates", "trained"]

RATES = 3
"""Learning rates that a net has to be tried at before one of them is called its best."""

STILL = 0.02
"""A net is trained when twice the updates change its training error by less than this."""


@dataclass(frozen=True)
class Change:
    """How the training error of one family changes from the shallow net to the deep one.

    Attributes:
        family: its name.
        by_seed: deep minus shallow for each seed, as a fraction.
        mean: their mean.
        interval: 95% confidence interval of the mean, within what an error can do and no narrower
            than one image; None with one seed.
    """

    family: str
    by_seed: dict[int, float]
    mean: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        spread = (
            _("one seed, no spread")
            if self.interval is None
            else _("95% interval {interval}").format(interval=interval_text(*self.interval))
        )
        return _("{family}: {mean} ({spread})").format(
            family=net_name(self.family), mean=points_text(self.mean), spread=spread
        )


@dataclass(frozen=True)
class Plateau:
    """What more training does to one net, at the best of its rates.

    Attributes:
        rates: those that it was tried at with the budget of the comparison.
        best: the one with the lowest training error.
        error: mean training error there.
        doubled: the same after twice the updates, the whole schedule stretched; None if no run
            had them.
    """

    rates: tuple[float, ...]
    best: float
    error: float
    doubled: float | None

    @property
    def is_reached(self) -> bool:
        """Three rates or more were tried, and twice the updates change less than two points."""
        enough = len(self.rates) >= RATES and self.doubled is not None
        return enough and abs(self.doubled - self.error) < STILL  # type: ignore[operator]


@dataclass(frozen=True)
class Verdict:
    """What a set of records says of degradation; ``str()`` of it says so in sentences.

    Attributes:
        shallow, deep: the two depths compared.
        steps: number of updates of the runs compared.
        seeds: those that every family has at both depths.
        changes: one :class:`Change` a family, by name.
        advantage: interval of (plain's change − that of the nets with shortcuts), paired by seed;
            None without such nets or with one seed.
        plateaus: a :class:`Plateau` for each net compared, by family and depth.
        scope: what the records can speak of: nets at ``"one rate"`` and budget, nets each at the
            best of its rates (``"best rates"``) and one budget, or ``"trained"`` nets.
        shown: the plain net's training error rises beyond the noise and, when there are nets with
            shortcuts, by more than theirs; None when there is too little to say. It is said of the
            scope, and of nothing larger.
    """

    shallow: int
    deep: int
    steps: int
    seeds: tuple[int, ...]
    changes: dict[str, Change]
    advantage: tuple[float, float] | None
    plateaus: dict[Net, Plateau]
    scope: Scope
    shown: bool | None

    def _repr_markdown_(self) -> str:
        return str(self)

    def __str__(self) -> str:
        facts = ngettext(
            "The change in training error from depth {shallow} to depth {deep}, over {seeds} "
            "seed, is as follows: {changes}.",
            "The mean change in training error from depth {shallow} to depth {deep}, over "
            "{seeds} seeds, is as follows: {changes}.",
            len(self.seeds),
        ).format(
            shallow=self.shallow,
            deep=self.deep,
            seeds=len(self.seeds),
            changes=listed(map(str, self.changes.values())),
        )
        return " ".join([self._conclusion(), facts, self._reach()])

    def _conclusion(self) -> str:
        if self.shown is None:
            return _("One seed is not enough for a conclusion.")
        others = len(self.changes) > 1
        if self.scope == "trained":
            return (
                _("Degradation between trained networks is established.")
                if self.shown
                else _("Degradation between trained networks is not established.")
            )
        if self.scope == "best rates":
            where = _(
                "At this budget of {steps} steps, with each network at the best of its learning "
                "rates"
            )
        else:
            where = _("At this learning rate, {rate}, and this budget of {steps} steps")
        rates = {plateau.best for plateau in self.plateaus.values()}
        place = where.format(
            rate=" / ".join(number(rate, 3) for rate in sorted(rates)),
            steps=number(self.steps, 9),
        )
        if not self.shown:
            said = _("{place}, it is not established that depth harms the plain network.")
        elif others:
            said = _(
                "{place}, depth harms the plain network, and more than the network with shortcuts."
            )
        else:
            said = _("{place}, depth harms the plain network.")
        return said.format(place=place)

    def _reach(self) -> str:
        """What these runs cannot say, and what it would take."""
        if self.scope == "one rate":
            return _(
                "This says nothing about other learning rates or longer training: the networks may "
                "not be fully trained."
            )
        if self.scope == "trained":
            return _(
                "Every network compared is fully trained: at the best of its learning rates, twice "
                "as many steps change its training error by less than two points."
            )
        moving = [
            net_name(family, depth)
            for (family, depth), plateau in self.plateaus.items()
            if not plateau.is_reached
        ]
        return _(
            "This says nothing about fully trained networks: for {nets}, the records lack either "
            "three learning rates, or a run of twice as many steps that changes the error by "
            "less than two points."
        ).format(nets=", ".join(moving))


# --- what may be compared ------------------------------------------------------------------


def _comparable(records: Sequence[Record]) -> None:
    """Refuse records whose specs differ in more than family, depth, seed, rate and budget."""
    # A warm start goes with some depths, as in the ResNet paper.
    free = {"family": "", "depth": 0, "seed": 0, "family_options": {}, "warm_start": False}
    free |= {"learning_rate": 0, "epochs": None, "steps": None, "evaluate_every": 0}
    rest = {str(sorted({**record.spec.to_dict(), **free}.items())) for record in records}
    if len(rest) > 1:
        raise ValueError(
            _(
                "These records cannot be compared: they differ in more than family, depth, seed, "
                "learning rate and budget (data, recipe or numerics). Keep those of one experiment."
            )
        )
    options: dict[str, object] = {}
    for spec in (record.spec for record in records):
        if options.setdefault(spec.family, spec.family_options) != spec.family_options:
            raise ValueError(
                _(
                    "The family {family} has records with different options: ask for one "
                    "verdict per choice of options."
                ).format(family=net_name(spec.family))
            )


class _Runs:
    """The records of one net: errors by budget, rate and seed."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.errors: dict[int, dict[float, dict[int, float]]] = {}
        for record in records:
            at_budget = self.errors.setdefault(record.steps, {})
            at_rate = at_budget.setdefault(record.spec.learning_rate, {})
            at_rate[record.spec.seed] = record.train_error

    def best_rate(self, steps: int) -> float:
        """The rate of the lowest mean error over the seeds that all have.

        Of equals, the one with the most seeds; of these, the largest.
        """
        by_rate = self.errors[steps]
        common = set.intersection(*(set(errors) for errors in by_rate.values()))
        if not common:
            return max(by_rate, key=lambda rate: (len(by_rate[rate]), rate))

        def order(rate: float) -> tuple[float, int, float]:
            errors = by_rate[rate]
            return fmean(errors[seed] for seed in common), -len(errors), -rate

        return min(by_rate, key=order)

    def at_rates(self, steps: int, rates: set[float]) -> _Runs:
        """The same, with these rates alone at this budget."""
        kept = _Runs([])
        at_budget = {rate: self.errors[steps][rate] for rate in rates}
        kept.errors = {**self.errors, steps: at_budget}
        return kept

    def at(self, steps: int) -> dict[int, float]:
        """Errors by seed at the best rate."""
        return self.errors[steps][self.best_rate(steps)]

    def plateau(self, steps: int) -> Plateau:
        best = self.best_rate(steps)
        once, twice = self.errors[steps][best], self.errors.get(2 * steps, {}).get(best, {})
        both = sorted(once.keys() & twice.keys())
        seeds = both or sorted(once)
        return Plateau(
            tuple(sorted(self.errors[steps])),
            best,
            fmean(once[seed] for seed in seeds),
            fmean(twice[seed] for seed in both) if both else None,
        )


def _fairly(nets: Mapping[Net, _Runs], steps: int) -> dict[Net, _Runs] | None:
    """The nets with their rates after ``steps`` updates, or None where these cannot be compared.

    Where one net was tried at a single rate, all are compared at that rate.
    """
    rates = [set(runs.errors.get(steps, ())) for runs in nets.values()]
    if min(map(len, rates)) > 1:
        return dict(nets)
    shared = set.intersection(*rates)
    return {net: runs.at_rates(steps, shared) for net, runs in nets.items()} if shared else None


def _compared(nets: Mapping[Net, _Runs]) -> tuple[int, dict[Net, _Runs]]:
    """The largest budget that can be compared, and the nets with the rates that they have there.

    The largest after which every net rests comes first.
    """
    budgets = sorted({steps for runs in nets.values() for steps in runs.errors}, reverse=True)
    fair = [(steps, kept) for steps in budgets if (kept := _fairly(nets, steps)) is not None]
    if not fair:
        raise ValueError(
            _(
                "These records cannot be compared: the networks have no budget of steps in common "
                "with a learning rate in common. Give every network the same budget and the same "
                "learning rates."
            )
        )
    resting = [
        (steps, kept)
        for steps, kept in fair
        if all(runs.plateau(steps).is_reached for runs in kept.values())
    ]
    return (resting or fair)[0]


def _bounded(by_seed: Sequence[float], shallow: float, image: float) -> tuple[float, float] | None:
    """The interval of a mean change, one image wide at least, within what an error can do."""
    interval = paired_interval(by_seed)
    if interval is None:
        return None
    mean = fmean(by_seed)
    half = max(interval[1] - mean, image)
    return max(mean - half, -shallow), min(mean + half, 1 - shallow)


def _image(record: Record) -> float:
    """What one training image weighs in an error, about: images are updates a pass times batch."""
    return record.epochs[-1] / (record.steps * record.spec.batch_size)


def verdict(records: Iterable[Record]) -> Verdict:
    """Compare the shallowest and the deepest net of each family by *training* error.

    Among several budgets, the largest after which every net rests is judged, or else the largest
    that all have; among several rates, each net has its best.

    Args:
        records: of one experiment: the same data and recipe; several depths, families and seeds,
            and rates and budgets where there are some.

    Raises:
        ValueError: no plain net, one depth, no seed or no budget in common, or records that differ
            in more than family, depth, seed, learning rate and budget.
    """
    records = list(records)
    families = list(dict.fromkeys(record.spec.family for record in records))
    depths = sorted({record.spec.depth for record in records})
    if "plain" not in families or len(depths) < 2:
        raise ValueError(
            _(
                "A verdict needs records of the plain network at two depths or more: train a "
                "shallow one and a deep one."
            )
        )
    _comparable(records)
    shallow, deep = depths[0], depths[-1]
    nets = {
        (name, depth): _Runs(r for r in records if (r.spec.family, r.spec.depth) == (name, depth))
        for name in families
        for depth in (shallow, deep)
    }
    missing = ValueError(
        _(
            "No seed has records of every family at both depths, {shallow} and {deep}: run the "
            "missing ones."
        ).format(shallow=shallow, deep=deep)
    )
    if not all(runs.errors for runs in nets.values()):
        raise missing
    steps, nets = _compared(nets)
    errors = {net: runs.at(steps) for net, runs in nets.items()}
    seeds = tuple(sorted(set.intersection(*(set(by_seed) for by_seed in errors.values()))))
    if not seeds:
        raise missing
    image = _image(next(record for record in records if record.steps == steps))
    changes = {}
    for name in families:
        before, after = errors[name, shallow], errors[name, deep]
        by_seed = {seed: after[seed] - before[seed] for seed in seeds}
        start = fmean(before[seed] for seed in seeds)
        interval = _bounded(list(by_seed.values()), start, image)
        changes[name] = Change(name, by_seed, fmean(by_seed.values()), interval)
    plateaus = {net: runs.plateau(steps) for net, runs in nets.items()}
    advantage = _advantage(changes)
    return Verdict(
        shallow,
        deep,
        steps,
        seeds,
        changes,
        advantage,
        plateaus,
        _scope(plateaus.values()),
        _is_shown(changes["plain"], advantage),
    )


def _advantage(changes: Mapping[str, Change]) -> tuple[float, float] | None:
    """How much more the plain net changes than the residual one, or than the reader's own."""
    for name in ("residual", "own"):
        if name in changes:
            plain, other = changes["plain"].by_seed, changes[name].by_seed
            return paired_interval([plain[seed] - other[seed] for seed in plain])
    return None


def _scope(plateaus: Iterable[Plateau]) -> Scope:
    plateaus = list(plateaus)
    if all(plateau.is_reached for plateau in plateaus):
        return "trained"
    return "best rates" if all(len(plateau.rates) > 1 for plateau in plateaus) else "one rate"


def _is_shown(plain: Change, advantage: tuple[float, float] | None) -> bool | None:
    if plain.interval is None:
        return None
    return plain.interval[0] > 0 and (advantage is None or advantage[0] > 0)
