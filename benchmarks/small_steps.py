"""Time training steps of the lessons' own nets, and what of them no kernel is at work in.

The usual loop is a DataLoader over the tensors of the data set, in this process, each image
cropped by torchvision where the lesson does so, and eager steps in fp32. Ours is
``course_utils.training.fit`` at its defaults. Both learn from the same batches of 64, in every
round, in an order drawn anew; what is reported is the median over rounds, with its quartiles.

A step on two images has next to no arithmetic to do: the share of its time in that of a step on
64 is about what goes to Python, to torch's dispatch and to starting kernels. Run it on a machine
that does nothing else:

    python benchmarks/small_steps.py --rounds 5 --threads 2
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any

import torch
from measuring import RESULTS, alternate, quartiles, ratio, write
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Items
from torchvision import transforms

from course_utils.datasets import Dataset, load
from course_utils.experiments.record import describe_machine
from course_utils.models import cifar_net, densenet
from course_utils.models.digit_classifier import digit_classifier
from course_utils.models.gap import gap_net
from course_utils.training import fit

BATCH, FEW = 64, 2
WARM_UP = 3  # steps

digits = functools.partial(load, "digits", size=8)
scenes = functools.partial(load, "digit_scenes", n_train=500, n_test=10)

SETTINGS: dict[str, tuple[Callable[[], Dataset], Callable[[], nn.Module], str, int]] = {
    "lesson 1: digit_classifier, 20×20": (
        functools.partial(load, "digits", size=20),
        functools.partial(digit_classifier, 10),
        "crop",
        40,
    ),
    "lesson 2: gap_net, 64×64": (
        scenes,
        functools.partial(gap_net, "average", width=48),
        "crop",
        6,
    ),
    "lesson 3: plain-20, 8×8": (
        digits,
        functools.partial(cifar_net, 20, in_channels=1),
        "none",
        40,
    ),
    "lesson 3: plain-56, 8×8": (
        digits,
        functools.partial(cifar_net, 56, in_channels=1),
        "none",
        20,
    ),
    "lesson 4: dense-40, 8×8": (
        digits,
        functools.partial(densenet, 40, 12, in_channels=1),
        "none",
        10,
    ),
    "lesson 5: ResNet-8, 24×24": (
        functools.partial(scenes, size=24, digit_scale=(0.5, 0.6), clutter=3),
        functools.partial(cifar_net, 8, "A"),
        "crop",
        20,
    ),
}
"""Data, net, augmentation and steps a round."""


def main() -> None:
    """Run the rounds, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="2 or more")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = {}
    for name, (data, net, augmentation, steps) in SETTINGS.items():
        settings[name] = measured(data(), net, augmentation, steps, arguments.rounds)
        print(name, settings[name], flush=True)
    report = {
        "work": f"training steps on {BATCH} images, at the lessons' own settings",
        "machine": describe_machine() | {"threads": arguments.threads},
        "rounds": arguments.rounds,
        "settings_of": settings,
    }
    write(report, RESULTS / "small_steps.json")


def measured(
    data: Dataset, net: Callable[[], nn.Module], augmentation: str, steps: int, rounds: int
) -> dict[str, Any]:
    """Milliseconds a step, times the usual loop, and the share that a step on two images takes."""
    work = {
        "usual": functools.partial(usual, data, net(), augmentation, steps),
        "ours": functools.partial(ours, data, net(), augmentation, steps, BATCH),
        "few": functools.partial(ours, data, net(), augmentation, steps, FEW),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    alternate({name: lambda n=name: seconds[n].append(work[n]()) for name in work}, rounds)
    seconds = {name: each[-rounds:] for name, each in seconds.items()}
    return {
        "milliseconds": {
            name: quartiles([1000 * each for each in seconds[name]]) for name in ("usual", "ours")
        },
        "times_the_usual_loop": quartiles(ratio(seconds["usual"], seconds["ours"])),
        "share_on_two_images": quartiles(ratio(seconds["few"], seconds["ours"])),
    }


class Cropped(Items[Any]):
    """The images of a split one by one, as a tutorial's data set has them."""

    def __init__(self, data: Dataset, augmentation: str) -> None:
        images = data.train.normalised()
        side = images.shape[-1]
        crop = transforms.RandomCrop(side, padding=side // 8)
        self.change = crop if augmentation == "crop" else lambda image: image
        self.images, self.labels = images, data.train.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.change(self.images[index]), self.labels[index]


def usual(data: Dataset, model: nn.Module, augmentation: str, steps: int) -> float:
    """Seconds a step of the loop that tutorials show."""
    loader = DataLoader(Cropped(data, augmentation), BATCH, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    model.train()
    step, running_loss, started = 0, 0.0, 0.0
    while True:
        for inputs, labels in loader:
            if step == WARM_UP:
                started = time.perf_counter()
            if step == WARM_UP + steps:
                return (time.perf_counter() - started) / steps
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            step += 1


def ours(data: Dataset, model: nn.Module, augmentation: Any, steps: int, batch: int) -> float:
    """Seconds a step of ``fit`` at its defaults."""
    moments = []

    def note(step: int, _model: nn.Module) -> None:
        if step in (WARM_UP, WARM_UP + steps):
            moments.append(time.perf_counter())

    fit(
        model,
        data,
        steps=WARM_UP + steps + 1,
        batch_size=batch,
        evaluate="never",
        augmentation=augmentation,
        device="cpu",
        on_step=note,
        progress=False,
    )
    return (moments[1] - moments[0]) / steps


if __name__ == "__main__":
    main()
