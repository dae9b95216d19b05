"""Which gradient map locates better behind which head, without an exact map to compare with.

A small net learns to name the digit of a scene, and its features then serve four other heads, each
trained on them alone: flattened maps and a hidden layer, a global maximum, averages and a hidden
layer, averages that are normalised. The maps of the true class are judged on scenes never seen:

    python benchmarks/gradient_maps.py --seeds 0 1
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import RESULTS, write
from report import gradient_maps as table
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.datasets import Dataset, load
from course_utils.experiments.record import describe_machine
from course_utils.gradient_maps import METHODS, gradient_maps
from course_utils.localization import max_box_accuracy_v2, pointing_game
from course_utils.models import gap_net
from course_utils.training import fit

WIDTH, SIDE, CLASSES, TESTS = 48, 16, 10, 300
HEADS: dict[str, Callable[[], nn.Module]] = {
    "flattened, hidden layer": lambda: nn.Sequential(
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(WIDTH * (SIDE // 2) ** 2, 64), nn.ReLU(),
        nn.Linear(64, CLASSES),
    ),
    "maximum": lambda: nn.Sequential(
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(WIDTH, CLASSES)
    ),
    "average, hidden layer": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 64), nn.Hardswish(),
        nn.Linear(64, CLASSES),
    ),
    "average, normalised": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)
    ),
}  # fmt: skip


def main() -> None:
    """Train, judge, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--output", type=Path, default=RESULTS / "gradient_maps.json")
    arguments = parser.parse_args()
    scenes = load("digit_scenes", seed=0, n_train=arguments.scenes, n_test=TESTS)
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        torch.manual_seed(seed)
        net = gap_net(width=WIDTH)
        recipe = {"learning_rate": 0.1, "augmentation": "crop", "precision": "fp32"}
        fit(net, scenes, epochs=arguments.epochs, seed=seed, evaluate="never", **recipe)
        features = net.cpu().features.eval()
        with torch.no_grad():
            maps = features(scenes.train.normalised())
        for name, make in HEADS.items():
            torch.manual_seed(seed)
            head = trained(make(), maps, scenes.train.labels)
            rows += judged(name, seed, nn.Sequential(features, head).eval(), scenes)
    report = {
        "work": f"maps of the true class on {TESTS} digit scenes, gap_net of width {WIDTH} with "
        "four heads",
        "settings": f"{arguments.scenes} scenes to learn from, {arguments.epochs} epochs",
        "machine": describe_machine() | {"threads": torch.get_num_threads()},
        "maps": rows,
    }
    write(report, arguments.output)
    print("\n".join(table(report)))


def trained(head: nn.Module, maps: Tensor, labels: Tensor) -> nn.Module:
    """The head after six passes over the features."""
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    for _epoch in range(6):
        for batch in torch.randperm(len(maps)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(head(maps[batch]), labels[batch]).backward()
            optimizer.step()
    return head


def judged(name: str, seed: int, net: nn.Module, scenes: Dataset) -> list[dict[str, Any]]:
    """What is found for each method: shares of the scenes."""
    test, rows = scenes.test, []
    images = test.normalised()
    with torch.no_grad():
        error = float((net(images).argmax(1) != test.labels).float().mean())
    for method in METHODS:
        cam = gradient_maps(net, images, test.labels, method=method)
        large = cam.resized(tuple(images.shape[2:]), geometry="true")
        unit = large.positive().normalized().maps
        pointing = float(pointing_game(large.maps, test.boxes))
        thresholds = torch.arange(0, 1, 0.1)
        boxes = float(max_box_accuracy_v2(unit, test.boxes, thresholds=thresholds))
        found = {"error": error, "pointing game": pointing, "MaxBoxAccV2": boxes}
        rows.append({"head": name, "seed": seed, "method": method} | found)
    return rows


if __name__ == "__main__":
    main()
