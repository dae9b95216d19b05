"""What the maps of lesson 2's nets find, where training them takes longer than the lesson.

    python benchmarks/localisation.py --nets build/nets

For each case, four seeds are trained on the scenes of lesson 2 and measured on the 1,000 that
serve for nothing else; ``course_utils/localization/runs.json`` then holds the measures, for the
lesson to show beside the reader's own. Nets that ``--nets`` holds already are not trained again.
The commit is that of the working tree, which must be clean.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from reference import clean_commit
from torch import nn

from course_utils.cam import CAM, class_activation_maps
from course_utils.datasets import Dataset, Split, load
from course_utils.experiments.record import describe_machine
from course_utils.localization import (
    boxes_from_map,
    energy_game,
    max_box_accuracy_v2,
    pixel_average_precision,
    pointing_game,
)
from course_utils.localization.stored import STORED
from course_utils.models import gap_net, receptive_field
from course_utils.models.blocks import ConvBNReLU, he_initialised
from course_utils.models.gap import GapNet
from course_utils.training import evaluate, fit

SEEDS = (0, 1, 2, 3)
WIDTH = 48
# Pooling, learning rate, epochs, and side of the receptive field in pixels.
CASES = {
    "mean": ("average", 0.1, 8, 39),
    "maximum": ("max", 0.01, 8, 39),
    "mean, 5 epochs": ("average", 0.1, 5, 39),
    "mean, 5 epochs, field 23": ("average", 0.1, 5, 23),
    "mean, 5 epochs, field 63": ("average", 0.1, 5, 63),
}
THRESHOLDS = torch.arange(0, 1, 0.02)


def main() -> None:
    """Train what is missing, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=Path, default=Path("build/nets"))
    parser.add_argument("--out", type=Path, default=STORED)
    parser.add_argument("--commit", help="that of the runs; by default, of the working tree")
    arguments = parser.parse_args()
    commit = arguments.commit or clean_commit(parser)
    scenes = load("digit_scenes", seed=0, n_train=4000, n_test=1500)
    held_out = scenes.test.subset(torch.arange(500, 1500))
    runs = []
    for case, seed, net in nets(scenes, arguments.nets):
        error = evaluate(net, held_out, device="cpu").error
        for jump, measured in measures(case, net, held_out):
            rounded = {name: round(value, 6) for name, value in measured.items()}
            runs.append({"case": case, "seed": seed, "error": error, "jump": jump, **rounded})
            print(runs[-1], flush=True)
    about = {"date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(), "commit": commit}
    lines = ",\n".join(json.dumps(run) for run in runs)
    head = json.dumps(about | {"machine": describe_machine()})[:-1]
    arguments.out.write_text(f'{head}, "runs": [\n{lines}\n]}}\n', encoding="utf-8")


def nets(scenes: Dataset, folder: Path) -> Iterator[tuple[str, int, GapNet]]:
    """Each case and seed, with its net, trained as lesson 2 trains."""
    folder.mkdir(parents=True, exist_ok=True)
    for case, (pool, rate, epochs, field) in CASES.items():
        for seed in SEEDS:
            torch.manual_seed(seed)
            net = with_field(gap_net(pool, width=WIDTH), field)  # type: ignore[arg-type]
            path = folder / f"{pool}-{rate}-{epochs}-{field}-{seed}.pt"
            if path.exists():
                net.load_state_dict(torch.load(path))
            else:
                fit(
                    net,
                    scenes,
                    epochs=epochs,
                    seed=seed,
                    learning_rate=rate,
                    augmentation="crop",
                    evaluate="never",
                    precision="fp32",
                )
                torch.save(net.cpu().state_dict(), path)
            net.eval()
            yield case, seed, net


def with_field(net: GapNet, field: int) -> GapNet:
    """The net, its last layers made 1x1 for a small field, or reaching twice as far for a large."""
    if field == 23:
        with he_initialised(net):
            for place in (-2, -1):
                net.features[place] = ConvBNReLU(WIDTH, WIDTH, 1)
    elif field == 63:
        for layer in list(net.features.modules()):
            if isinstance(layer, nn.Conv2d) and layer.in_channels == WIDTH:
                layer.dilation = layer.padding = (2, 2)
    assert receptive_field(net.features, (3, 64, 64)) == (field, field)
    return net


def measures(case: str, net: GapNet, split: Split) -> Iterator[tuple[int, dict[str, float]]]:
    """Pixels between two cells, and the measures; of "mean", with finer cells too."""
    twin = copy.deepcopy(net)
    twin.pool = nn.AdaptiveAvgPool2d(1)  # the map of a maximum's net, read as if it were a mean's
    for times in (0, 1) if case == "mean" else (0,):
        cam = class_activation_maps(finer(twin, times), split.normalised()).select(split.labels)
        measured = judged(cam, split, "true")
        if case == "mean" and times == 0:
            stretched = judged(cam, split, "stretched")
            measured |= {f"{name}, stretched": value for name, value in stretched.items()}
        yield round(cam.centres[0][1]), measured


def finer(net: GapNet, times: int) -> GapNet:
    """The same weights and receptive field, with twice as many cells a side for each time."""
    net = copy.deepcopy(net)
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    strided = [layer for layer in convolutions if layer.stride != (1, 1)]
    reach = 1
    for layer in convolutions:
        layer.dilation = reach, reach
        layer.padding = tuple(reach * int(side) for side in layer.padding)
        if layer in strided[len(strided) - times :]:
            layer.stride, reach = (1, 1), 2 * reach
    return net


def judged(cam: CAM, split: Split, geometry: str) -> dict[str, float]:
    """The measures of lesson 2, and the median size of the box found, over that of the true one."""
    assert split.boxes is not None
    large = cam.resized(64, geometry=geometry)
    unit = large.positive().normalized().maps
    boxes = max_box_accuracy_v2(unit, split.boxes, thresholds=THRESHOLDS)
    published = max_box_accuracy_v2(
        unit, split.boxes, thresholds=THRESHOLDS, convention="published"
    )
    found, true = boxes_from_map(unit, boxes.at[0.5].threshold), split.boxes[:, 0]
    sizes = (found[:, 2:] - found[:, :2] + 1) / (true[:, 2:] - true[:, :2] + 1)
    width, height = sizes.median(0).values.tolist()
    return {
        "pointing": float(pointing_game(large.maps, split.boxes)),
        "energy": float(energy_game(large.maps, split.boxes)),
        **{f"IoU {delta}": float(accuracy) for delta, accuracy in boxes.at.items()},
        "V2": float(boxes),
        "V2 published": float(published),
        "PxAP": float(pixel_average_precision(unit, split.masks)),
        "width": width,
        "height": height,
    }


if __name__ == "__main__":
    main()
