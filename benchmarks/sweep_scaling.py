"""Time one sweep with one worker and with two, and on a Dask cluster of this machine.

The work is lesson 3's own sweep, or a part of it, each time in a store of its own: one worker of
one thread, two workers of one thread, one worker of two threads, and a Dask cluster of two workers
of one thread. Each contestant's workers are started before its clock is, which counts from the
first run's start to the last record on the disk; how long they took to start stands beside it.
Every contestant does the sweep once in every round, in an order that moves on from round to round;
what is reported is the median over rounds of the seconds, and of the ratios within a round, with
the least and the most. Run it on a machine that does nothing else:

    python benchmarks/sweep_scaling.py --rounds 3

For runs of 10 s or more alone, by which Dask is to be judged: ``--depths 44 --seeds 0``.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import RESULTS, extremes, ratio, write

from course_utils.degradation.profiles import specs_of
from course_utils.experiments import Spec, local_executor, sweep
from course_utils.experiments.engines import Engine
from course_utils.experiments.record import describe_machine


@dataclass(frozen=True)
class Contestant:
    """So many workers of so many threads, in processes or in a Dask cluster."""

    workers: int
    threads: int
    dask: bool = False

    def __str__(self) -> str:
        engine = "Dask" if self.dask else "processes"
        return f"{engine}, {self.workers} x {self.threads} thread(s)"

    @contextlib.contextmanager
    def executor(self, specs: list[Spec]) -> Iterator[Executor]:
        """An executor whose workers are there."""
        if self.dask:
            with Engine(cluster="local", workers=self.workers).start(specs) as (executor, _many):
                wait([executor.submit(ready, number) for number in range(4 * self.workers)])
                yield executor
        else:
            with local_executor(len(specs), self.threads, workers=self.workers) as executor:
                wait([executor.submit(ready, number) for number in range(4 * self.workers)])
                yield executor


ONE, TWO, WIDE = Contestant(1, 1), Contestant(2, 1), Contestant(1, 2)
DASK = Contestant(2, 1, dask=True)
CONTESTANTS = (ONE, TWO, WIDE, DASK)
RATIOS = {
    "one worker / two workers": (ONE, TWO),
    "one worker of two threads / two workers": (WIDE, TWO),
    "Dask / processes, two workers": (DASK, TWO),
}


def ready(number: int) -> int:
    """Load in a worker what a run needs, and take long enough that each worker gets one."""
    import course_utils.experiments.running  # noqa: F401

    time.sleep(0.5)
    return number


def main() -> None:
    """Run the rounds, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--depths", nargs="+", type=int)
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--output", type=Path, default=RESULTS / "sweep_scaling.json")
    arguments = parser.parse_args()
    grid = {name: getattr(arguments, name) for name in ("depths", "seeds", "epochs")}
    seconds: dict[str, list[float]] = {str(one): [] for one in CONTESTANTS}
    starts: dict[str, list[float]] = {str(one): [] for one in CONTESTANTS}
    runs: list[float] = []
    order = list(CONTESTANTS)
    for number in range(arguments.rounds):
        for contestant in order:
            specs = specs_of(threads=contestant.threads, **grid)
            with tempfile.TemporaryDirectory() as store:
                began = time.perf_counter()
                with contestant.executor(specs) as executor:
                    started = time.perf_counter()
                    records = sweep(specs, store, executor, progress=False)
                    ended = time.perf_counter()
            seconds[str(contestant)].append(ended - started)
            starts[str(contestant)].append(started - began)
            if contestant == ONE:
                runs += [record.seconds for record in records]
            print(
                f"round {number + 1}, {contestant}: {ended - started:.1f} s",
                file=sys.stderr,
                flush=True,
            )
        order = order[1:] + order[:1]
    report = {
        "work": f"{len(specs)} runs: "
        + ", ".join(sorted({s.family for s in specs}))
        + f", depths {sorted({s.depth for s in specs})}, {specs[0].epochs} epochs",
        "machine": describe_machine(),
        "rounds": arguments.rounds,
        "seconds_a_run": extremes(runs),
        "seconds": {name: extremes(each) for name, each in seconds.items()},
        "seconds_to_start": {name: extremes(each) for name, each in starts.items()},
        "ratios": {
            name: extremes(ratio(seconds[str(up)], seconds[str(low)]))
            for name, (up, low) in RATIOS.items()
        },
    }
    write(report, arguments.output)
    show(report)


def show(report: dict[str, Any]) -> None:
    """Print seconds and ratios."""
    print(f"{report['work']}; {report['machine']['processor']}")
    for name, each in report["seconds"].items():
        start = report["seconds_to_start"][name]["median"]
        print(f"{name:28} {each['median']:8.1f} s, after {start:.1f} s to start")
    for name, each in report["ratios"].items():
        print(f"{name:42} {each['median']:.2f} ({each['least']:.2f} to {each['most']:.2f})")


if __name__ == "__main__":
    main()
