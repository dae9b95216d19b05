"""Keep the records of a store with the course, for lesson 3 to draw beside the reader's own.

    python benchmarks/reference.py build/records --name cifar10_gpu --data "CIFAR-10"

``--data`` says what the pictures are: "CIFAR-10" for the published files alone, "CIFAR-10, JPEG
copy" for a copy that lost something. The commit is that of the working tree, which must be clean:
a record is worth what its code was.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import subprocess
from pathlib import Path

from course.files import REPOSITORY
from course_utils.degradation.references import FOLDER, Reference
from course_utils.experiments import Record, Store


def main() -> None:
    """Read the store and write the reference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--date", default=datetime.datetime.now(tz=datetime.UTC).date().isoformat())
    parser.add_argument("--commit", help="that of the runs; by default, of the working tree")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    commit = arguments.commit or clean_commit(parser)
    records = tuple(short(anywhere(record)) for record in Store(arguments.store).records())
    reference = Reference(arguments.name, arguments.data, arguments.date, commit, records)
    path = reference.write(arguments.folder)
    print(f"{path}: {len(records)} records, {path.stat().st_size / 1000:.0f} kB")


def anywhere(record: Record) -> Record:
    """The record without where one machine had the data, and how they were read there."""
    local = ("root", "verify")
    options = {key: value for key, value in record.spec.dataset_options if key not in local}
    spec = dataclasses.replace(record.spec, dataset_options=tuple(options.items()))
    return dataclasses.replace(record, spec=spec)


def short(record: Record) -> Record:
    """The record with its curves to three digits, as a figure needs them: a third of the bytes."""
    curves = {
        name: type(getattr(record, name))(float(f"{value:.3g}") for value in getattr(record, name))
        for name in ("losses", "running_errors", "learning_rates")
    }
    return dataclasses.replace(record, **curves)


def clean_commit(parser: argparse.ArgumentParser) -> str:
    """The commit of the working tree, refused when files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(REPOSITORY), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    if git("status", "--porcelain", "--", "course_utils"):
        parser.error("course_utils/ differs from its last commit: commit first, or say --commit")
    return git("rev-parse", "--short=12", "HEAD")


if __name__ == "__main__":
    main()
