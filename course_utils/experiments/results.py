"""What records say, as a table: a line a net."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from course_utils.experiments.record import Record
from course_utils.experiments.statistics import spread
from course_utils.i18n import _, number
from course_utils.tables import Table

__all__ = ["results"]


def results(records: Iterable[Record]) -> Table:
    """One line a family and depth: median error over the seeds, lowest and highest, cost, time.

    Args:
        records: of one experiment.

    >>> results([]).headers[0] in ("net", "réseau")
    True
    """
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.spec.family, record.spec.depth), []).append(record)
    return Table(
        [
            _("net"),
            _("seeds"),
            _("training error [lowest, highest]"),
            _("test error [lowest, highest]"),
            _("parameters"),
            _("seconds a run"),
        ],
        [
            [
                f"{family}-{depth}",
                len(runs),
                spread([run.train_error for run in runs]),
                spread([run.test_error for run in runs]),
                number(runs[0].parameters, 12),
                f"{median(run.seconds for run in runs):.0f}",
            ]
            for (family, depth), runs in sorted(groups.items())
        ],
    )
