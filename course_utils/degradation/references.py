"""Results of larger runs than a reader would do, kept with the course to be set beside theirs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.experiments.record import Record
from course_utils.i18n import _

__all__ = ["FOLDER", "Reference", "references"]

FOLDER = Path(__file__).parent / "references"


@dataclass(frozen=True)
class Reference:
    """Records of one experiment, with where they come from.

    Attributes:
        name: that of its file.
        data: what the pictures are, said honestly: ``"CIFAR-10"`` for the published files alone.
        date: of the runs, as ``2026-11-24``.
        commit: of the code that did them.
        records: the runs; each names its machine.
    """

    name: str
    data: str
    date: str
    commit: str
    records: tuple[Record, ...]

    def __post_init__(self) -> None:
        for name in ("data", "date", "commit"):
            if not getattr(self, name):
                raise ValueError(_("A reference needs its {name}.").format(name=name))
        if not self.records:
            raise ValueError(_("A reference needs records, and there are none."))

    @property
    def title(self) -> str:
        """What the pictures are, in the reader's language."""
        titles = {
            "digits 8×8 (scikit-learn), fp32": _("8×8 digits (scikit-learn), fp32"),
            "digits 8×8 (scikit-learn), bf16": _("8×8 digits (scikit-learn), bf16"),
            "CIFAR-10, the first 200 images of each file, 16×16": _(
                "CIFAR-10, the first 200 images of each file, 16×16"
            ),
            "digit_scenes": _("scenes of digits"),
        }
        return titles.get(self.data, self.data)

    @property
    def machine(self) -> str:
        """The accelerator, or else the processor, of the runs."""
        names = {r.machine.get("accelerator") or r.machine["processor"] for r in self.records}
        return ", ".join(sorted(names))

    def write(self, folder: Path = FOLDER) -> Path:
        """Write the reference as ``<name>.json``, one record a line.

        >>> import tempfile
        >>> from course_utils.degradation import Spec, run
        >>> record = run(Spec("plain", 8, seed=0, steps=2, family_options={"width": 2}))
        >>> made = Reference("tiny", "digits", "2026-11-24", "abc1234", (record,))
        >>> folder = Path(tempfile.mkdtemp())
        >>> _path = made.write(folder)
        >>> references(folder) == (made,)
        True
        """
        about = {name: getattr(self, name) for name in ("data", "date", "commit")}
        lines = ",\n".join(json.dumps(record.to_dict()) for record in self.records)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        head = json.dumps(about, ensure_ascii=False)[:-1]
        path.write_text(f'{head}, "records": [\n{lines}\n]}}\n', encoding="utf-8")
        return path


def references(folder: Path = FOLDER) -> tuple[Reference, ...]:
    """The references there are, by name; records of an older recipe are read as they were.

    Raises:
        ValueError: a file is not one; the sentence names it.
    """
    return tuple(_read(path) for path in sorted(folder.glob("*.json")))


def _read(path: Path) -> Reference:
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        records: Sequence[Record] = [Record.from_dict(each) for each in plain["records"]]
        about = {name: plain[name] for name in ("data", "date", "commit")}
        return Reference(path.stem, **about, records=tuple(records))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            _("{path} is not a reference ({kind}: {error}).").format(
                path=path.name, kind=type(error).__name__, error=error
            )
        ) from error
