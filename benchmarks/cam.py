"""Time class activation maps against a bare forward pass and against other libraries.

The work is one batch of 64 images of 64x64 pixels through a ResNet-18 with ten classes. All
contestants run in every round, each round in another order, so that a slow moment of the machine
meets them all; what is reported is the median over rounds of the ratio within a round, with its
quartiles. Run it on a machine that does nothing else:

    python benchmarks/cam.py --rounds 30 --threads 2

Contestants whose library is missing are left out. ``pip install torchcam captum grad-cam`` brings
them all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from measuring import RESULTS, alternate, quartiles, ratio, write
from torch import Tensor, nn

from course_utils.cam import class_activation_maps
from course_utils.experiments.record import describe_machine

CLASS = 3
LIBRARIES = ("torch", "torchvision", "torchcam", "captum", "grad-cam")
Contestant = Callable[[], Any]


def main() -> None:
    """Run the rounds, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, default=RESULTS / "cam.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=10).eval()
    images = torch.randn(64, 3, 64, 64)

    warnings.filterwarnings("ignore", "The maps are only")  # 2x2: what a ResNet-18 leaves of 64
    contestants = ours(net, images)
    for add in (torchcam, captum, grad_cam):
        try:
            contestants |= add(net, images)
        except ImportError as missing:
            print(f"left out: {add.__name__} ({missing})")
    seconds = alternate(contestants, arguments.rounds)
    report = {
        "work": "ResNet-18, 10 classes, 64 images 3x64x64, float32",
        "machine": describe_machine()
        | {
            "threads": arguments.threads,
            "versions": {name: version(name) for name in LIBRARIES},
        },
        "rounds": arguments.rounds,
        "seconds": {name: quartiles(times) for name, times in seconds.items()},
        "ratios": ratios(seconds),
    }
    write(report, arguments.output)
    show(report)


def ours(net: nn.Module, images: Tensor) -> dict[str, Contestant]:
    """The bare forward pass, and this course's maps with and without the steps that draw them."""

    def forward() -> Any:
        with torch.no_grad():
            return net(images)

    def drawn() -> Tensor:
        cam = class_activation_maps(net, images).select(CLASS)
        return cam.positive().resized(64).normalized().maps

    return {
        "forward pass": forward,
        "ours, all classes": lambda: class_activation_maps(net, images).maps,
        "ours, one class": lambda: class_activation_maps(net, images).select(CLASS).maps,
        "ours, one class, drawn": drawn,
    }


def torchcam(net: nn.Module, images: Tensor) -> dict[str, Contestant]:
    """torchcam's CAM, raw, its hooks registered once and switched on for its own turn."""
    from torchcam.methods import CAM

    extractor = CAM(net, "layer4", "fc")
    extractor.disable_hooks()

    def run() -> Tensor:
        extractor.enable_hooks()
        with torch.no_grad():
            net(images)
        maps: Tensor = extractor.compute_cams(CLASS, normalized=False)[0]
        extractor.disable_hooks()
        return maps

    return {"torchcam, one class": run}


def captum(net: nn.Module, images: Tensor) -> dict[str, Contestant]:
    """captum's LayerGradCam, raw."""
    from captum.attr import LayerGradCam

    attribution = LayerGradCam(net, net.layer4)
    return {
        "captum, one class": lambda: attribution.attribute(
            images, CLASS, relu_attributions=False
        ).detach()
    }


def grad_cam(net: nn.Module, images: Tensor) -> dict[str, Contestant]:
    """grad-cam's GradCAM, which always resizes and normalises; its hooks stay for its turn only."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(CLASS)] * len(images)

    def run() -> Any:
        with GradCAM(net, [net.layer4]) as extractor:
            return extractor(images, targets)

    return {"grad-cam, one class, drawn": run}


def ratios(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """How many times as long as the second the first of each pair took, round by round."""
    pairs = [("ours, all classes", "forward pass"), ("ours, one class", "forward pass")]
    pairs += [(name, "ours, one class") for name in seconds if name.endswith(", one class")]
    pairs += [(name, "ours, one class, drawn") for name in seconds if name.endswith("drawn")]
    return {
        f"{above} / {below}": quartiles(ratio(seconds[above], seconds[below]))
        for above, below in pairs
        if above in seconds and above != below
    }


def version(library: str) -> str | None:
    """The installed version of ``library``, if any."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def show(report: dict[str, Any]) -> None:
    """Print times and ratios."""
    print(f"{report['work']}; {report['machine']['processor']}")
    for name, times in report["seconds"].items():
        print(f"{name:30} {times['median'] * 1e3:9.1f} ms")
    for name, each in report["ratios"].items():
        print(f"{name:55} {each['median']:.3f} ({each['q1']:.3f} to {each['q3']:.3f})")


if __name__ == "__main__":
    main()
