"""Time and memory of every lesson, run from its first cell to its last as ``make run`` does.

Each lesson runs in a process of its own, at the lessons' own settings or at those of a profile. The
memory is the most that this process and all those it starts hold at a time: what they share counts
for each, so that it is rather too much than too little.
Run it on a machine that does nothing else:

    python benchmarks/lessons_time.py
    python benchmarks/lessons_time.py --profile quick
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from measuring import RESULTS, write

from course.files import REPOSITORY
from course.lessons import find_lessons
from course_utils.experiments.record import describe_machine


def followed(command: list[str], root: Path) -> tuple[float, int]:
    """The seconds that a command takes, and the most bytes that it and its processes hold."""
    started, peak = time.perf_counter(), 0
    process = psutil.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        held = 0
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                held += one.memory_info().rss
        peak = max(peak, held)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.perf_counter() - started, peak


def main() -> None:
    """Run the lessons, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", help="of profiles/; the lessons' own settings by default")
    parser.add_argument("--lessons", nargs="+", type=int, metavar="N")
    parser.add_argument("--language", default="fr", choices=["fr", "en"])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    root = REPOSITORY
    lessons = find_lessons(root, arguments.language, arguments.lessons)
    seconds, peak_bytes = {}, {}
    for lesson in lessons:
        command = [sys.executable, "-m", "course", "run", "--lesson", str(lesson.number)]
        command += ["--language", arguments.language]
        command += ["--profile", arguments.profile] if arguments.profile else []
        seconds[lesson.stem], peak_bytes[lesson.stem] = followed(command, root)
        print(f"{lesson.stem}: {seconds[lesson.stem]:.0f} s", file=sys.stderr, flush=True)
    report: dict[str, Any] = {
        "work": f"the lessons, edition {arguments.language}",
        "settings": arguments.profile or "the lessons' own",
        "machine": describe_machine(),
        "seconds": seconds,
        "peak_bytes": peak_bytes,
    }
    name = f"lessons_time_{arguments.profile}" if arguments.profile else "lessons_time"
    output = arguments.output or RESULTS / f"{name}.json"
    write(report, output)
    for stem, each in seconds.items():
        print(f"{stem:20} {each:6.0f} s {peak_bytes[stem] / 1e9:6.1f} GB")


if __name__ == "__main__":
    main()
