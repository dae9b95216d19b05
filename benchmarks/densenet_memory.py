"""Measure what recomputation saves in memory and costs in time when a DenseNet trains.

The work is one training step (forward pass, backward pass, SGD) on 64 images of 32x32 pixels,
with DenseNet L=40, k=12, with and without BC, keeping its maps or recomputing its layers.

Memory: each measurement is a process of its own. After a step on two images, which loads what
torch loads at first use, the growth is the largest resident memory of the process until the end
of one step on 64 images, less the memory just before it. On a GPU it is what torch's allocator
counts. On the CPU it is measured twice: with an allocator that gives every freed map back to the
system at once, which is what the step needs and repeats to the megabyte; and as the C library
allocates by default, which keeps freed memory in pieces of its own and differs from process to
process, so that several are run and the median, the least and the most are reported.

Time: both nets of a pair step in every round, each round in another order; what is reported is
the median over rounds of the ratio within a round, with its quartiles. Run it on a machine that
does nothing else:

    python benchmarks/densenet_memory.py --rounds 10 --threads 2

Memory on the CPU is read from ``/proc``, which only Linux has.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import RESULTS, alternate, extremes, quartiles, ratio, write
from torch.nn import functional as F

from course_utils.experiments.record import describe_machine
from course_utils.models import count_parameters, densenet

BATCH = 64
MEGABYTE = 1e6
WAYS = {"kept": False, "recomputed": True}
RETURNING = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""glibc maps blocks from 64 KB on one by one, and stops moving that limit up as they are freed."""
NETS: dict[str, dict[str, Any]] = {
    "L=40 k=12": {"bottleneck": False, "compression": 1},
    "L=40 k=12 BC": {"bottleneck": True, "compression": 0.5},
}


def main() -> None:
    """Measure every net, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="2 or more; 0 leaves time out")
    parser.add_argument("--processes", type=int, default=5, help="with the default allocator")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--output", type=Path, default=RESULTS / "densenet_memory.json")
    parser.add_argument("--growth-of", choices=NETS, help=argparse.SUPPRESS)
    parser.add_argument("--recompute", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.device == "cpu" and sys.platform != "linux":
        parser.error("memory on the CPU is read from /proc: run this on Linux or on --device cuda")
    torch.set_num_threads(arguments.threads)
    if arguments.growth_of:
        print(growth(arguments.growth_of, arguments.recompute, arguments.device))
        return
    report = {
        "work": f"a training step on {BATCH} images 3x32x32, 10 classes, float32",
        "machine": describe_machine(arguments.device) | {"threads": arguments.threads},
        "rounds": arguments.rounds,
        "nets": {name: compared(name, arguments) for name in NETS},
    }
    write(report, arguments.output)
    show(report)


def training_step(name: str, recompute: bool, device: str) -> Callable[[int], float]:
    """A function that trains net ``name`` for one step on so many images, and gives the loss."""
    torch.manual_seed(0)
    net = densenet(40, 12, memory_efficient=recompute, **NETS[name]).to(device)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    images = torch.randn(BATCH, 3, 32, 32, device=device)
    labels = torch.randint(10, (BATCH,), device=device)

    def step(count: int = BATCH) -> float:
        optimiser.zero_grad()
        loss = F.cross_entropy(net(images[:count]), labels[:count])
        loss.backward()
        optimiser.step()
        return loss.item()  # waits for a GPU to finish

    return step


def growth(name: str, recompute: bool, device: str) -> float:
    """Megabytes that memory grows by during a step, at its peak; only true in a fresh process."""
    step = training_step(name, recompute, device)
    step(2)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(BATCH)
        return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
    before = resident("VmRSS")
    step(BATCH)
    return (resident("VmHWM") - before) / MEGABYTE


def resident(field: str) -> int:
    """Bytes of this process in memory: ``VmRSS`` now, ``VmHWM`` at the most.

    The kernel's other count, ``ru_maxrss``, would not do: a process inherits its parent's.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _colon, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def compared(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Memory of a net with and without recomputation, and the ratio of their times."""
    result: dict[str, Any] = {
        "parameters": count_parameters(densenet(40, 12, **NETS[name])),
        "megabytes": {
            way: measured_growth(name, recompute, arguments, RETURNING)
            for way, recompute in WAYS.items()
        },
    }
    if arguments.device == "cpu":
        default = {
            way: [
                measured_growth(name, recompute, arguments, {})
                for _process in range(arguments.processes)
            ]
            for way, recompute in WAYS.items()
        }
        result["megabytes_default_allocator"] = {
            way: extremes(each) for way, each in default.items()
        }
    if arguments.rounds:
        steps = {
            way: training_step(name, recompute, arguments.device) for way, recompute in WAYS.items()
        }
        seconds = alternate(steps, arguments.rounds)
        result["seconds"] = {way: quartiles(times) for way, times in seconds.items()}
        result["time_ratio"] = quartiles(ratio(seconds["recomputed"], seconds["kept"]))
    return result


def measured_growth(
    name: str, recompute: bool, arguments: argparse.Namespace, environment: dict[str, str]
) -> float:
    """:func:`growth` in a process of its own, with additions to its environment."""
    command = [sys.executable, __file__, "--growth-of", name, "--device", arguments.device]
    command += ["--threads", str(arguments.threads), *(["--recompute"] if recompute else [])]
    done = subprocess.run(
        command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def show(report: dict[str, Any]) -> None:
    """Print memory and time of every net."""
    print(f"{report['work']}; {report['machine']['processor']}")
    for name, net in report["nets"].items():
        memory = net["megabytes"]
        print(
            f"{name:14} {net['parameters']:>9,} parameters: peak growth {memory['kept']:5.0f} MB, "
            f"recomputed {memory['recomputed']:5.0f} MB "
            f"({1 - memory['recomputed'] / memory['kept']:.0%} less)"
        )
        if "megabytes_default_allocator" in net:
            kept, recomputed = net["megabytes_default_allocator"].values()
            print(
                f"{'':14} default allocator: {kept['median']:.0f} MB "
                f"({kept['least']:.0f} to {kept['most']:.0f}), "
                f"recomputed {recomputed['median']:.0f} MB "
                f"({recomputed['least']:.0f} to {recomputed['most']:.0f}; median "
                f"{1 - recomputed['median'] / kept['median']:.0%} less)"
            )
        if "time_ratio" in net:
            times = net["time_ratio"]
            print(
                f"{'':14} time recomputed / kept: {times['median']:.2f} "
                f"({times['q1']:.2f} to {times['q3']:.2f})"
            )


if __name__ == "__main__":
    main()
