"""Is there degradation? How training error changes with depth, paired by seed, with its spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from course_utils.experiments.record import Record
from course_utils.experiments.statistics import paired_interval, points
from course_utils.i18n import _

__all__ = ["Change", "Verdict", "verdict"]


@dataclass(frozen=True)
class Change:
    """How the training error of one family changes from the shallow net to the deep one.

    Attributes:
        family: its name.
        by_seed: deep minus shallow for each seed, as a fraction.
        mean: their mean.
        interval: 95% confidence interval of the mean; None with one seed.
    """

    family: str
    by_seed: dict[int, float]
    mean: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        spread = (
            _("one seed, no spread")
            if self.interval is None
            else _("95% interval {low} to {high}").format(
                low=points(self.interval[0]), high=points(self.interval[1])
            )
        )
        return _("{family}: {mean} points ({spread})").format(
            family=self.family, mean=points(self.mean), spread=spread
        )


@dataclass(frozen=True)
class Verdict:
    """What a set of records says of degradation; ``str()`` of it is a sentence.

    Attributes:
        shallow, deep: the two depths compared.
        seeds: those that every family has at both depths.
        changes: one :class:`Change` a family, by name.
        advantage: interval of (plain's change − residual's change), paired by seed; None
            without a residual family or with one seed.
        shown: the plain net's training error rises beyond the noise and, when there are residual
            nets, by more than theirs; None when there is too little to say.
    """

    shallow: int
    deep: int
    seeds: tuple[int, ...]
    changes: dict[str, Change]
    advantage: tuple[float, float] | None
    shown: bool | None

    def _repr_markdown_(self) -> str:
        return str(self)

    def __str__(self) -> str:
        facts = ", ".join(map(str, self.changes.values()))
        if self.shown is None:
            opening = _("Nothing can be concluded from one seed")
        elif self.shown:
            opening = _("Degradation is shown")
        else:
            opening = _("Degradation is not shown")
        return _(
            "{opening}: from depth {shallow} to depth {deep}, over {seeds} seed(s), the training "
            "error changes by — {facts}."
        ).format(
            opening=opening,
            shallow=self.shallow,
            deep=self.deep,
            seeds=len(self.seeds),
            facts=facts,
        )


def _comparable(records: Sequence[Record]) -> None:
    """Refuse records whose specs differ in more than family, depth and seed."""
    # A warm start goes with some depths, as in the ResNet paper.
    free = {"family": "", "depth": 0, "seed": 0, "family_options": {}, "warm_start": False}
    rest = {str(sorted({**record.spec.to_dict(), **free}.items())) for record in records}
    if len(rest) > 1:
        raise ValueError(
            _(
                "These records cannot be compared: they differ in more than family, depth and "
                "seed (data, budget or numerics). Keep those of one experiment."
            )
        )
    options: dict[str, object] = {}
    for spec in (record.spec for record in records):
        if options.setdefault(spec.family, spec.family_options) != spec.family_options:
            raise ValueError(
                _(
                    "The family {family} has records with different options: give a verdict on "
                    "each choice of options by itself."
                ).format(family=spec.family)
            )


def verdict(records: Iterable[Record]) -> Verdict:
    """Compare the shallowest and the deepest net of each family by *training* error.

    Args:
        records: of one experiment: the same data and budget, several depths, families and seeds.

    Raises:
        ValueError: no plain net, one depth, no seed in common, or records of different budgets
            or, within a family, of different options.
    """
    records = list(records)
    errors = {(r.spec.family, r.spec.depth, r.spec.seed): r.train_error for r in records}
    families = list(dict.fromkeys(record.spec.family for record in records))
    depths = sorted({record.spec.depth for record in records})
    if "plain" not in families or len(depths) < 2:
        raise ValueError(
            _(
                "A verdict needs records of the plain net at two depths or more: run it at a "
                "shallow one and at a deep one."
            )
        )
    _comparable(records)
    shallow, deep = depths[0], depths[-1]
    seeds = tuple(
        seed
        for seed in sorted({record.spec.seed for record in records})
        if all((name, depth, seed) in errors for name in families for depth in (shallow, deep))
    )
    if not seeds:
        raise ValueError(
            _(
                "No seed has a record at depth {shallow} and at depth {deep} for every family: "
                "run the missing ones."
            ).format(shallow=shallow, deep=deep)
        )
    changes = {}
    for name in families:
        by_seed = {s: errors[name, deep, s] - errors[name, shallow, s] for s in seeds}
        values = list(by_seed.values())
        changes[name] = Change(name, by_seed, fmean(values), paired_interval(values))
    advantage = None
    if "residual" in changes:
        plain, residual = changes["plain"].by_seed, changes["residual"].by_seed
        advantage = paired_interval([plain[seed] - residual[seed] for seed in seeds])
    return Verdict(shallow, deep, seeds, changes, advantage, _is_shown(changes["plain"], advantage))


def _is_shown(plain: Change, advantage: tuple[float, float] | None) -> bool | None:
    if plain.interval is None:
        return None
    return plain.interval[0] > 0 and (advantage is None or advantage[0] > 0)
