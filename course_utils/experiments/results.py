"""What records say, as a table: a line a net."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

from course_utils.experiments.families import net_name
from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.i18n import _, number, percent
from course_utils.tables import Table

__all__ = ["results"]


def results(records: Iterable[Record]) -> Table:
    """One line a net: the errors over the seeds, the number of weights, the time.

    An error is the median, with the lowest and the highest where there are several seeds. Nets of
    one family and depth that were trained otherwise, or have other options, have a line each, which
    names what tells them apart.

    Args:
        records: of one experiment.

    >>> results([]).headers[0] in ("network", "réseau")
    True
    """
    groups: dict[Spec, list[Record]] = {}
    for record in sorted(records, key=lambda one: (one.spec.family, one.spec.depth)):
        groups.setdefault(replace(record.spec, seed=0), []).append(record)
    return Table(
        [
            _("network"),
            _("seeds"),
            _("training error, %"),
            _("test error, %"),
            _("parameters"),
            _("s/run"),
        ],
        [
            [
                name,
                len(runs),
                _spread([run.train_error for run in runs]),
                _spread([run.test_error for run in runs]),
                number(runs[0].parameters, 12),
                number(round(median(run.seconds for run in runs)), 9),
            ]
            for name, runs in zip(_names(list(groups)), groups.values(), strict=True)
        ],
    )


def _names(specs: Sequence[Spec]) -> list[str]:
    """Family and depth; where that is not enough, the choices that tell the nets apart too."""
    names = [net_name(spec.family, spec.depth) for spec in specs]
    for name in set(names):
        alike = [place for place, other in enumerate(names) if other == name]
        choices = [specs[place].choices for place in alike]
        keys = dict.fromkeys(key for of in choices for key in of)
        telling = [key for key in keys if len({repr(of.get(key)) for of in choices}) > 1]
        for place, of in zip(alike, choices, strict=True):
            said = [f"{key} {_written(of[key])}" for key in telling if of.get(key) is not None]
            if len(alike) > 1 and "source" not in telling:
                names[place] = ", ".join([name, *said])
    return names


def _written(value: object) -> str:
    return number(value, 6) if isinstance(value, float) else str(value)


def _spread(shares: Sequence[float]) -> str:
    """As :func:`~course_utils.experiments.statistics.spread`, the unit left to the header.

    >>> _spread([0.25]), _spread([0.5, 0.125, 0.25])
    ('25.0', '25.0 [12.5–50.0]')
    """
    middle, low, high = (
        percent(share).rstrip("%").rstrip() for share in (median(shares), min(shares), max(shares))
    )
    return middle if len(shares) == 1 else f"{middle} [{low}–{high}]"
