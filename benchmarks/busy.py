"""Time training steps beside processes that keep the machine's cores busy.

The work is that of a lesson, plain-20 on 8x8 digits in batches of 64, and ResNet-20 on batches of
128 images 3x32x32 of noise, both in fp32, by ``course_utils.training.fit``. Contestants are torch's
threads as OpenMP has them wait by default, spinning for milliseconds; spinning for microseconds, as
the course asks for; never spinning; and one thread, which waits for none. Each is a process of its
own that does steps of each net for some seconds, beside none, one, two and four others that only
count; all of them in every round, in an order that moves on. On Linux alone, where torch's OpenMP
is GCC's. Run it on a machine that does nothing else, so that the processes beside are those started
here:

    python benchmarks/busy.py --rounds 2 --seconds 1.5
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from measuring import RESULTS, extremes, ratio, write
from torch import nn

from course_utils.datasets import Dataset, load
from course_utils.experiments.record import describe_machine
from course_utils.models import cifar_net
from course_utils.training import fit

SPINNING, OURS, PASSIVE, ONE = "spinning", "spinning a little", "never spinning", "one thread"
CONTESTANTS = {
    SPINNING: {"GOMP_SPINCOUNT": "300000"},  # what GCC's OpenMP does when it is told nothing
    OURS: {"GOMP_SPINCOUNT": "1000"},  # what the course tells it
    PASSIVE: {"OMP_WAIT_POLICY": "PASSIVE"},
    ONE: {"OMP_NUM_THREADS": "1"},
}
BESIDE = (0, 1, 2, 4)
WORKS = ("plain-20, 8×8", "ResNet-20, 32×32")
WARM_UP = 2  # steps


class Enough(Exception):
    """The time is over."""


def main() -> None:
    """Run the rounds, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of steps of each net")
    parser.add_argument("--output", type=Path, default=RESULTS / "busy.json")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps([milliseconds(work, arguments.seconds) for work in WORKS]))
        return
    steps: dict[str, dict[str, dict[int, list[float]]]] = {
        work: {name: {number: [] for number in BESIDE} for name in CONTESTANTS} for work in WORKS
    }
    order = list(CONTESTANTS)
    for _round in range(arguments.rounds):
        for number in BESIDE:
            with counting(number):
                for name in order:
                    for work, each in zip(WORKS, measured(name, arguments.seconds), strict=True):
                        steps[work][name][number].append(each)
                        print(f"{work}, {name}, {number} beside: {each:.0f} ms", file=sys.stderr)
        order = order[1:] + order[:1]
    report = {
        "work": "training steps beside processes that only count",
        "machine": describe_machine() | {"threads": torch.get_num_threads()},
        "rounds": arguments.rounds,
        "milliseconds": {
            work: {
                name: {str(number): extremes(each) for number, each in of.items()}
                for name, of in by.items()
            }
            for work, by in steps.items()
        },
        "spinning / a little": {
            work: {
                str(number): extremes(ratio(by[SPINNING][number], by[OURS][number]))
                for number in BESIDE
            }
            for work, by in steps.items()
        },
    }
    write(report, arguments.output)


@contextlib.contextmanager
def counting(number: int) -> Iterator[None]:
    """So many processes that do nothing but count."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _process in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measured(contestant: str, seconds: float) -> list[float]:
    """Milliseconds a step of each work, in a process that OpenMP starts in as told."""
    ours = {name for told in CONTESTANTS.values() for name in told}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    answer = subprocess.run(
        [sys.executable, __file__, "--measure", "--seconds", str(seconds)],
        check=True,
        stdout=subprocess.PIPE,
        env=inherited | CONTESTANTS[contestant],
    )
    return json.loads(answer.stdout)


def milliseconds(work: str, seconds: float) -> float:
    """Milliseconds a step of ``fit``, its first steps left out."""
    data = load("digits", size=8)
    torch.manual_seed(0)
    net, batch = cifar_net(20, in_channels=1), 64
    if work == WORKS[1]:
        data, net, batch = noise(data), cifar_net(20, "A"), 128
    moments: list[float] = []

    def note(_step: int, _model: nn.Module) -> None:
        moments.append(time.perf_counter())
        if len(moments) > WARM_UP + 2 and moments[-1] - moments[WARM_UP] > seconds:
            raise Enough

    with contextlib.suppress(Enough):
        fit(
            net,
            data,
            steps=100_000,
            batch_size=batch,
            evaluate="never",
            device="cpu",
            precision="fp32",
            progress=False,
            on_step=note,
        )
    return 1000 * (moments[-1] - moments[WARM_UP]) / (len(moments) - 1 - WARM_UP)


def noise(data: Dataset) -> Dataset:
    """Pictures of 32x32 pixels in colour: time does not depend on what is in them."""
    split = dataclasses.replace(
        data.train,
        images=torch.rand(512, 3, 32, 32),
        labels=torch.arange(512) % 10,
        mean=torch.zeros(3, 1, 1),
        std=torch.ones(3, 1, 1),
    )
    return dataclasses.replace(data, train=split, test=split)


if __name__ == "__main__":
    main()
