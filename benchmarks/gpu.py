"""Nine minutes of a GPU: the records of lesson 3 on photographs, then the throughput.

First a sweep of plain and residual nets of depths 20 and 56, several runs at once on the GPU, on
CIFAR-10 in the folder that is named; when its time is over it is interrupted, as by Ctrl-C, and the
same command goes on from what is in the store. Then ``throughput.py`` in the time that is left,
without what was done before; ``--only`` does one of the two.

    python benchmarks/gpu.py --root data/cifar10 --store build/gpu

What else is on the line is for the sweep, after its own defaults: ``--steps 20000 --seeds 0 1 2``.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 20  # seconds that a sweep may take to end its runs
PART = 0.65  # of the time for the sweep


def main() -> None:
    """Do both, and say what was not done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--store", type=Path, default=Path("build/gpu"))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--per-gpu", default="8", help="runs at once")
    parser.add_argument("--only", choices=("sweep", "throughput"))
    arguments, more = parser.parse_known_args()
    end = time.monotonic() + 60 * arguments.minutes - PATIENCE
    if arguments.only != "throughput":
        part = 1.0 if arguments.only else PART
        sweep = [
            *("-m", "course_utils", "sweep", "--store", str(arguments.store), "--no-estimate"),
            *("--dataset", "cifar10", "--dataset-option", f"root={arguments.root}"),
            *("--family", "plain", "residual", "--depths", "56", "20", "--seeds", "0", "1"),
            *("--set", "batch_size=128", "--set", "augmentation=crop_flip", "--steps", "8000"),
            *("--device", arguments.device, "--precision", "auto"),
            *("--per-gpu", arguments.per_gpu),
        ]
        ended = within(part * (end - time.monotonic()), sweep + more)
        print("the sweep is done" if ended else "the sweep goes on with the same command")
    if arguments.only != "sweep":
        script = Path(__file__).with_name("throughput.py")
        timing = [str(script), "--device", arguments.device, "--rounds", "2", "--steps", "100"]
        if not within(end - time.monotonic(), [*timing, "--nets", "ResNet-20", "ResNet-56"]):
            print("the throughput was not measured: --only throughput, with more --minutes")


def within(seconds: float, command: list[str]) -> bool:
    """Whether Python did ``command`` in that time; it is interrupted if not.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    process = subprocess.Popen([sys.executable, *command])
    try:
        status = process.wait(max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        return False
    if status:
        raise subprocess.CalledProcessError(status, command)
    return True


if __name__ == "__main__":
    main()
