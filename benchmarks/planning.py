"""Time what is done with a large grid besides training: plan it, store it, read it back.

For each size: a grid of so many specs; a record written for each, without waiting for the disk,
whose time is its own; all read back, one by one and together; what a run costs, estimated from
them; the plan; a sweep that finds everything done; the table, figure and verdict of the results.
Times are of the processor, so that what else the machine does counts for little. Then short runs
on a Dask cluster of two workers here, from the first to the last record on the disk:

    python benchmarks/planning.py
    python benchmarks/planning.py --sizes 1000 10000 --runs 100
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, wait
from pathlib import Path
from typing import Any, TypeVar

from measuring import RESULTS, write

from course_utils.degradation import verdict
from course_utils.experiments import Record, Spec, Store, grid, results, run, sweep
from course_utils.experiments.engines import Engine
from course_utils.experiments.estimating import estimate, plan
from course_utils.experiments.record import describe_machine, peak_megabytes
from course_utils.plots import error_by_depth

DEPTHS = (8, 14, 20, 26, 32, 38, 44, 50, 56, 62)
SHORT = {"steps": 2, "family_options": {"width": 4}}
Answer = TypeVar("Answer")


def main() -> None:
    """Time each size and the short runs, print them and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=1000, help="short ones on Dask, 0 for none")
    parser.add_argument("--output", type=Path, default=RESULTS / "planning.json")
    arguments = parser.parse_args()
    one = run(Spec("plain", 8, seed=0, **SHORT))
    sizes = {str(size): planned(size, one) for size in arguments.sizes}
    report: dict[str, Any] = {
        "work": f"grids of {', '.join(sizes)} specs, all done",
        "machine": describe_machine(),
        "sizes": sizes,
    }
    if arguments.runs:
        report["dask"] = on_dask(arguments.runs)
    write(report, arguments.output)


def planned(size: int, one: Record) -> dict[str, float]:
    """Seconds of each thing done with a grid of this size, and the process's peak, in MB."""
    seconds: dict[str, float] = {}

    def timed(what: str, do: Callable[[], Answer]) -> Answer:
        started = time.process_time()
        answer = do()
        seconds[what] = time.process_time() - started
        print(f"{size}: {what} {seconds[what]:.2f} s", file=sys.stderr, flush=True)
        return answer

    def written() -> None:
        fsync, os.fsync = os.fsync, lambda _descriptor: None
        try:
            for record in records:
                store.write(record)
        finally:
            os.fsync = fsync

    seeds = range(size // (2 * len(DEPTHS)))
    specs = timed("specs made", lambda: grid(depths=DEPTHS, seeds=seeds, **SHORT))
    records = [dataclasses.replace(one, spec=spec) for spec in specs]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        timed("records written", written)
        found = timed("read, one by one", lambda: {spec: store.read(spec) for spec in specs})
        assert timed("read, together", lambda: len(store.records())) == size
        costs = timed("costs estimated", lambda: estimate(specs, records, Executor()))
        timed("plan", lambda: str(plan(specs, found, costs)))
        timed("sweep, all done", lambda: sweep(specs, store, progress=False))
    timed("table", lambda: str(results(records)))
    timed("figure", lambda: error_by_depth(records).png())
    timed("verdict", lambda: str(verdict(records)))
    return seconds | {"MB at the peak": peak_megabytes() or 0.0}


def on_dask(runs: int) -> dict[str, float]:
    """Short runs on two workers: seconds in all and of training, and memory of this process."""
    specs = grid(families=["plain"], depths=[8], seeds=range(runs), **SHORT)
    before = peak_megabytes() or 0.0
    with (
        tempfile.TemporaryDirectory() as store,
        Engine(cluster="local", workers=2).start(specs) as (executor, workers),
    ):
        warm = [executor.submit(run, spec) for spec in specs[: 2 * workers]]
        wait(warm)
        started = time.perf_counter()
        records = sweep(specs, store, executor, progress=False)
        seconds = time.perf_counter() - started
    return {
        "runs": runs,
        "workers": workers,
        "seconds": seconds,
        "seconds of training": sum(record.seconds for record in records),
        "MB more at the peak": (peak_megabytes() or 0.0) - before,
    }


if __name__ == "__main__":
    main()
