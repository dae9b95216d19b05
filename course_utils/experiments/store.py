"""Records on disk: one file a run, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.i18n import _

__all__ = ["Store"]


class Store:
    """A directory with one ``<hash of the spec>.json`` a record and no other ``.json``.

    A run that was tried and gave no record has a ``<hash>.failed`` instead: a text that says why.

    Args:
        path: the directory; made if it is not there.

    Raises:
        OSError: it cannot be made or written to, in one sentence, before anything is run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise type(error)(
                _(
                    "The store {path} cannot be written to ({reason}). Nothing was run: choose "
                    "another folder, or make this one writable."
                ).format(path=self.path, reason=error.strerror)
            ) from error

    def path_of(self, spec: Spec) -> Path:
        """Where the record of ``spec`` is, or will be."""
        return self.path / f"{spec.hash}.json"

    def read(self, spec: Spec) -> Record | None:
        """The record of ``spec``, or None when it is not there.

        A file that is not a whole record is kept under another name, with a warning: nothing is
        lost, and the run is done again.
        """
        path = self.path_of(spec)
        try:
            record = Record.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._set_aside(path, error)
            return None
        if record.spec != spec:
            self._set_aside(path, ValueError(_("It is the record of another run.")))
            return None
        return record

    def _set_aside(self, path: Path, error: ValueError) -> None:
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        try:
            path.rename(aside)
        except FileNotFoundError:
            return  # another sweep has just done so
        warnings.warn(
            _(
                "{path} was damaged. {reason} It is kept as {aside}, and its run is repeated."
            ).format(path=path.name, reason=error, aside=aside.name),
            stacklevel=4,
        )

    def write(self, record: Record) -> None:
        """Put the record in its place, in one move, once all of it is on the disk.

        Raises:
            OSError: the disk is full or the directory is gone; the place is left as it was.
        """
        self._put(record.spec, ".json", record.to_json())
        self.path_of(record.spec).with_suffix(".failed").unlink(missing_ok=True)

    def write_failure(self, spec: Spec, reasons: Sequence[str]) -> None:
        """Note that ``spec`` was tried and why it gave no record, once a try.

        Raises:
            OSError: the disk is full or the directory is gone.
        """
        tries = "".join(f"- {reason}\n" for reason in reasons)
        self._put(spec, ".failed", f"{spec}\n\n{tries}\n{json.dumps(spec.to_dict(), indent=1)}\n")

    def _put(self, spec: Spec, ending: str, text: str) -> None:
        path = self.path / f"{spec.hash}{ending}"
        temporary = None
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.path, suffix=".tmp", delete=False
            ) as file:
                temporary = Path(file.name)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise type(error)(
                _("The record of {spec} could not be written to {path} ({reason}).").format(
                    spec=spec, path=self.path, reason=error.strerror
                )
            ) from error

    def records(self) -> list[Record]:
        """Every whole record there is, in the order of family, depth and seed.

        Raises:
            ValueError: a file is not a whole record; the sentence names it.
        """
        found = []
        for path in sorted(self.path.glob("*.json")):
            try:
                found.append(Record.from_json(path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        return sorted(found, key=lambda r: (r.spec.family, r.spec.depth, r.spec.seed))
