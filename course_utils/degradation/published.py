"""Published figures, each with its source and its protocol, to be set beside one's own."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from course_utils.experiments.families import net_name
from course_utils.i18n import _, current_language, listed

__all__ = ["PublishedResult", "published"]


@dataclass(frozen=True)
class PublishedResult:
    """One number that somebody printed.

    Attributes:
        data: name of the data set; C10, C10+, C100 and C100+ are CIFAR-10 and CIFAR-100 without and
            with crops and flips, as the DenseNet paper calls them.
        net, family, depth: what was trained; ``depth`` is None where it is not a number of layers
            comparable with ours.
        measure: what the number is, with its unit.
        value, spread: the number, and its standard deviation where one was printed.
        protocol: how it was obtained, in the reader's language.
        source: where it was printed, in the reader's language.
    """

    data: str
    net: str
    family: str
    depth: int | None
    measure: str
    value: float
    spread: float | None
    protocol: str
    source: str

    @property
    def label(self) -> str:
        """The net as the reader's language calls it; a network with a name of its own keeps it."""
        return self.net.replace("plain", net_name("plain"))


@lru_cache
def _table(language: str) -> tuple[PublishedResult, ...]:
    words = {"replication": _("replication"), "table": _("table")}
    with (Path(__file__).parent / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            PublishedResult(
                row["data"],
                row["net"],
                row["family"],
                int(row["depth"]) if row["depth"] else None,
                row["measure"],
                float(row["value"]),
                float(row["spread"]) if row["spread"] else None,
                row[f"protocol_{language}"],
                re.sub("replication|table", lambda word: words[word[0]], row["source"]),
            )
            for row in csv.DictReader(file)
        )


def published(data: str | None = None, measure: str | None = None) -> tuple[PublishedResult, ...]:
    """The published figures, all of them or those of one data set and one measure.

    Raises:
        ValueError: nothing is known under that name.

    >>> [row.value for row in published("CIFAR-10", "test error (%)") if row.net == "ResNet-56"]
    [6.97, 7.4]
    """
    table = _table(current_language())
    rows = tuple(
        row for row in table if data in (None, row.data) and measure in (None, row.measure)
    )
    if not rows:
        raise ValueError(
            _(
                "There is no published figure for {data!r}, {measure!r}. The figures known are "
                "{known}."
            ).format(
                data=data,
                measure=measure,
                known=listed(sorted({f"{row.data}, {row.measure}" for row in table})),
            )
        )
    return rows
