"""Time training steps of CIFAR nets against the loop that people usually write.

The work is the same for all: batches of 128 images of 32x32 pixels in colour, cropped and mirrored
at random, SGD with momentum, from the same 5,000 images in CIFAR-10's own format, made of noise
(time does not depend on what is in a picture).

The usual loop is torchvision's CIFAR10 with PIL transforms in a DataLoader of two worker processes,
fp32, eager. Ours is ``course_utils.training.fit`` with ``evaluate="never"``, in each precision
that the machine has, and with its layers fused by ``torch.compile`` where a compiler is found.

Every contestant runs in every round, in an order drawn anew; what is reported is the median over
rounds, with its quartiles, of images a second, and of the ratio to the usual loop within a round.
Beside it: the share of the rate at which the machine multiplies 2048x2048 matrices, in the better
of the two precisions, a training step counted as 6 operations a multiply-add; the same of the best
of the net's own convolutions, forwards; and what the time of our own steps, as readers run them,
goes to. With ``--before``, a folder with an older checkout of this repository, its ``fit`` takes
part, in a process of its own. Run it on a machine that does nothing else:

    python benchmarks/throughput.py --rounds 5 --steps 20 --threads 2
    python benchmarks/throughput.py --device cuda --rounds 5 --steps 300
"""

from __future__ import annotations

import argparse
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import RESULTS, quartiles, ratio, write
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10

from course_utils.datasets import Dataset, load
from course_utils.experiments.record import describe_machine
from course_utils.models import cifar_net, count_macs
from course_utils.training import best_precision, fit

BATCH = 128
IMAGES = 1000  # in each of the five training batches
WARM_UP = 3  # steps
GEMM = 2048
NETS = {"ResNet-20": (20, "A"), "ResNet-56": (56, "A"), "plain-56": (56, None)}
# By what the names of torch's operations contain; the first that fits.
KINDS = {
    "convolutions": ("conv",),
    "batch normalisation": ("batch_norm",),
    "ReLU": ("clamp_min", "relu", "threshold"),
    "additions": ("add",),
}
REST = "the rest"
Rate = Callable[[], float]


def main() -> None:
    """Run the rounds, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="2 or more")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--before", type=Path, help="an older checkout, to be compared with")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    skipped = []
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here: run this with --device cpu")
    if arguments.device == "cpu" and not torch.cuda.is_available():
        skipped.append("GPU: none here; --device cuda runs the same on one")
    if arguments.compile and not (shutil.which("c++") or shutil.which("g++")):
        arguments.compile = False
        skipped.append("torch.compile: no C++ compiler here")
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder))
        nets = {name: measured(name, Path(folder), arguments) for name in arguments.nets}
    report = {
        "work": f"training steps on batches of {BATCH} images 3x32x32, crops and mirrors",
        "machine": describe_machine(arguments.device) | {"threads": arguments.threads},
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "gemm_gigaflops": gemm_rates(arguments.device),
        "convolution_gigaflops": convolution_rates(arguments.device),
        "nets": nets,
        "skipped": skipped,
    }
    output = arguments.output or RESULTS / f"throughput_{arguments.device}.json"
    write(report, output)
    show(report)


def write_images(root: Path) -> None:
    """Noise in CIFAR-10's own format, for torchvision's reader and for ours."""
    folder = root / CIFAR10.base_folder
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, _md5 in (*CIFAR10.train_list, *CIFAR10.test_list):
        batch = {
            "data": draw.integers(256, size=(IMAGES, 3072), dtype=np.uint8),
            "labels": draw.integers(10, size=IMAGES).tolist(),
        }
        (folder / name).write_bytes(pickle.dumps(batch))
    names = {"label_names": list("0123456789")}
    (folder / CIFAR10.meta["filename"]).write_bytes(pickle.dumps(names))


class Unverified(CIFAR10):  # type: ignore[misc]
    """torchvision's reader, told not to compare sums with those of the real pictures."""

    train_list = [(name, None) for name, _md5 in CIFAR10.train_list]  # noqa: RUF012
    test_list = [(name, None) for name, _md5 in CIFAR10.test_list]  # noqa: RUF012
    meta = {**CIFAR10.meta, "md5": None}  # noqa: RUF012


def usual(net: str, root: Path, arguments: argparse.Namespace) -> Rate:
    """Images a second of the loop that tutorials show."""
    mean, std = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
    pictures = Unverified(
        root,
        transform=transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        ),
    )
    device = arguments.device
    model = built(net).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    def forever() -> Iterator[Any]:
        while True:
            yield from DataLoader(
                pictures,
                batch_size=BATCH,
                shuffle=True,
                num_workers=2,
                drop_last=True,
                pin_memory=device == "cuda",
            )

    def rate() -> float:
        model.train()
        running_loss = 0.0
        started = 0.0
        for step, (inputs, labels) in enumerate(forever()):
            if step == WARM_UP:
                started = time.perf_counter()  # the worker processes are there by now
            if step == WARM_UP + arguments.steps:
                break
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        return BATCH * arguments.steps / (time.perf_counter() - started)

    return rate


def ours(net: str, data: Dataset, arguments: argparse.Namespace, **options: Any) -> Rate:
    """Images a second of ``fit``, its first steps left out."""
    model = built(net)

    def rate() -> float:
        moments = []

        def note(step: int, _model: nn.Module) -> None:
            if step in (WARM_UP, WARM_UP + arguments.steps):
                if arguments.device == "cuda":
                    torch.cuda.synchronize()
                moments.append(time.perf_counter())

        fit(
            model,
            data,
            steps=WARM_UP + arguments.steps + 1,
            batch_size=BATCH,
            evaluate="never",
            augmentation="crop_flip",
            device=arguments.device,
            on_step=note,
            progress=False,
            **options,
        )
        return BATCH * arguments.steps / (moments[1] - moments[0])

    return rate


def before(net: str, root: Path, arguments: argparse.Namespace) -> Rate:
    """Images a second of an older checkout's ``fit`` at its defaults, told by its own benchmark."""
    folder = arguments.before.resolve()
    script = f"""
import argparse, sys
sys.path[:0] = [{str(folder)!r}, {str(folder / "benchmarks")!r}]
import throughput as old
old.torch.set_num_threads({arguments.threads})
arguments = argparse.Namespace(steps={arguments.steps}, device={arguments.device!r})
data = old.load("cifar10", root={str(root)!r}, verify=False)
print(old.ours({net!r}, data, arguments)())
"""

    def rate() -> float:
        command = [sys.executable, "-c", script]
        answer = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
        return float(answer.stdout.split()[-1])

    return rate


def built(net: str) -> nn.Module:
    """The net, the same weights for every contestant."""
    torch.manual_seed(0)
    depth, shortcut = NETS[net]
    return cifar_net(depth, shortcut)


def measured(net: str, root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Rates and ratios of every contestant on one net."""
    data = load("cifar10", root=root, verify=False)
    contestants = {"usual loop, fp32": usual(net, root, arguments)}
    if arguments.before:
        contestants["before, at its defaults"] = before(net, root, arguments)
    for precision in dict.fromkeys(("fp32", "bf16", best_precision(arguments.device))):
        contestants[f"ours, {precision}"] = ours(net, data, arguments, precision=precision)
        if arguments.compile:
            contestants[f"ours, {precision}, compiled"] = ours(
                net, data, arguments, precision=precision, compiled=True
            )
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for number in range(-1, arguments.rounds):  # the first is not counted
        order = order[1:] + order[:1]
        for name in order:
            rate = contestants[name]()
            if number >= 0:
                rates[name].append(rate)
            print(f"{net}, {name}: {rate:.0f} images/s", file=sys.stderr, flush=True)
    chosen = best_precision(arguments.device)
    macs = count_macs(built(net), (3, 32, 32))
    baseline = rates["usual loop, fp32"]
    return {
        "macs": macs,
        "default": f"ours, {chosen}",
        "time_of_the_default": time_by_kind(
            ours(net, data, arguments, precision=chosen), arguments.device
        ),
        "images_per_second": {name: quartiles(each) for name, each in rates.items()},
        "ratio_to_the_usual_loop": {
            name: quartiles(ratio(each, baseline)) for name, each in rates.items()
        },
    }


def time_by_kind(work: Rate, device: str) -> dict[str, float]:
    """The share of ``work``'s time that each kind of operation takes."""
    on_gpu = device == "cuda"
    activities = [ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        work()
    times = dict.fromkeys((*KINDS, REST), 0.0)
    for event in profiler.key_averages():
        kind = next((k for k, parts in KINDS.items() if any(p in event.key for p in parts)), REST)
        times[kind] += event.self_device_time_total if on_gpu else event.self_cpu_time_total
    return {kind: time / sum(times.values()) for kind, time in times.items()}


def gemm_rates(device: str) -> dict[str, float]:
    """Billions of operations a second of a large matrix product, in each precision."""
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left = torch.randn(GEMM, GEMM, device=device, dtype=dtype)
        seconds = []
        for _time in range(9):
            started = time.perf_counter()
            product = left @ left
            F.relu(product[0, 0]).item()  # waits for a GPU
            seconds.append(time.perf_counter() - started)
        rates[name] = 2 * GEMM**3 / statistics.median(seconds[2:]) / 1e9
    return rates


def convolution_rates(device: str) -> dict[str, float]:
    """Billions of operations a second of the fastest 3x3 convolution of the nets, forwards."""
    layout = torch.channels_last
    rates = dict.fromkeys(("fp32", "bf16"), 0.0)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for channels, side in ((16, 32), (32, 16), (64, 8)):
            images = torch.randn(BATCH, channels, side, side, device=device, dtype=dtype)
            images = images.contiguous(memory_format=layout)
            weight = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
            weight = weight.contiguous(memory_format=layout)
            seconds = []
            for _time in range(9):
                started = time.perf_counter()
                maps = F.conv2d(images, weight, padding=1)
                F.relu(maps[0, 0, 0, 0]).item()  # waits for a GPU
                seconds.append(time.perf_counter() - started)
            operations = 2 * 9 * channels * maps.numel()
            rates[name] = max(rates[name], operations / statistics.median(seconds[2:]) / 1e9)
    return rates


def show(report: dict[str, Any]) -> None:
    """Print the rates, the ratios and the shares of the machine's own."""
    print(f"{report['work']}; {report['machine']['processor']}")
    for name, net in report["nets"].items():
        for contestant, rate in net["images_per_second"].items():
            times = net["ratio_to_the_usual_loop"][contestant]
            print(
                f"{name:10} {contestant:24} {rate['median']:8.0f} images/s  "
                f"x {times['median']:.2f} ({times['q1']:.2f} to {times['q3']:.2f})  "
                f"{share(report, net, contestant):.0%} of the matrix product"
            )
        parts = ", ".join(f"{part:.0%} {kind}" for kind, part in net["time_of_the_default"].items())
        print(f"{name:10} {net['default']}: {parts}")
    for what in report["skipped"]:
        print(f"skipped: {what}")


def share(report: dict[str, Any], net: dict[str, Any], contestant: str) -> float:
    """Operations a second over those of a large matrix product in the better precision."""
    rate = net["images_per_second"][contestant]["median"]
    return float(6 * net["macs"] * rate / (max(report["gemm_gigaflops"].values()) * 1e9))


if __name__ == "__main__":
    main()
