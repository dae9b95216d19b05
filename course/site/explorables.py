"""What the pages that compute need: the lessons' networks and measurements, as small scripts.

A page opened from a file may not fetch another one, but it may name scripts: each file written here
is one line, a name and an object.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from course.files import REPOSITORY
from course.lessons import find_lessons
from course.notebooks.dependencies import needed
from course.notebooks.normaliser import read_notebook
from course_utils.datasets import load
from course_utils.datasets.digit_sheets import digit_sheet
from course_utils.datasets.digits import native_digits
from course_utils.degradation import Spec
from course_utils.degradation.references import references
from course_utils.i18n import speaking
from course_utils.models import GapNet, cifar_net, convolutionalise
from course_utils.models.blocks import ConvBNReLU, Shortcut
from course_utils.models.digit_classifier import WINDOW
from course_utils.training import evaluate
from course_utils.whole import write_whole

__all__ = ["FOLDER", "after_cell", "make_explorables", "stored_data", "stored_network"]

FOLDER = Path(__file__).parent / "static" / "explorables"
_OF_EACH_CLASS = 6  # digits that a reader can place
_SHEETS = 3
_DEPTHS = (8, 14, 20, 32, 44, 56)
_SHORTCUTS: tuple[Shortcut, ...] = (None, "A")
_SLOPES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
_SEEDS = (0, 1, 2)


def make_explorables(folder: Path = FOLDER) -> list[Path]:
    """Train the networks of lessons 1 and 2, measure lesson 3's, and write what the pages read.

    Args:
        folder: where to write the scripts, ``<name>.data.js``.

    Raises:
        OSError: a file cannot be written.
    """
    made = {"class_maps": _class_maps, "sliding_window": _sliding_window, "signal": _signal}
    paths = []
    for name, make in made.items():
        text = json.dumps(make(), separators=(",", ":"))
        paths.append(folder / f"{name}.data.js")
        write_whole(paths[-1], f"window.COURSE_{name.upper()}={text};\n".encode())
    return paths


def stored_data(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What the script of an explorable holds.

    Raises:
        OSError: there is no such script.
    """
    text = (folder / f"{name}.data.js").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text.partition("=")[2].strip().removesuffix(";"))
    return data


def stored_network(name: str) -> nn.Sequential:
    """The network that the page of an explorable computes with, as torch has it.

    Args:
        name: ``"class_maps"``, from normalised scenes ``(B, 3, H, W)`` to maps ``(B, 10, h, w)``
            whose means are the logits; or ``"sliding_window"``, from sheets ``(B, 1, H, W)`` to the
            logits of each window ``(B, 10, h, w)``.
    """
    stored = stored_data(name)["network"]
    halves = np.frombuffer(base64.b64decode(stored["weights"]), "<f2")
    numbers = torch.from_numpy(halves.astype(np.float32))
    net, at = nn.Sequential(), 0
    for layer in stored["layers"]:
        out, channels, side, _side = layer["shape"]
        conv = nn.Conv2d(channels, out, side, layer["stride"], layer["padding"])
        with torch.no_grad():
            for parameter in conv.parameters():  # the weights, then the biases
                parameter.copy_(numbers[at : at + parameter.numel()].view_as(parameter))
                at += parameter.numel()
        net.append(conv)
        if layer.get("relu"):
            net.append(nn.ReLU())
        if layer.get("pool"):
            net.append(nn.MaxPool2d(2))
    return net.eval()


def _class_maps() -> dict[str, Any]:
    """Lesson 2's first network with global average pooling, and digits to make scenes of."""
    lesson = after_cell(2, "train", seeds=[0])
    net, scenes = lesson["net"], lesson["scenes"]
    images, labels = native_digits()[1]  # of the test: training has not seen them
    inks = [_levels(images[labels == c][:_OF_EACH_CLASS]) for c in range(10)]
    return {
        "network": _packed(_gap_layers(net)),
        "mean": scenes.train.mean.flatten().tolist(),
        "std": scenes.train.std.flatten().tolist(),
        "error": round(evaluate(net, scenes.test, device="cpu").error, 4),
        "digits": inks,
    }


def _sliding_window() -> dict[str, Any]:
    """Lesson 1's classifier, its dense layers as convolutions, and sheets to slide it over."""
    lesson = after_cell(1, "classifier")
    layers = list(convolutionalise(lesson["classifier"], (1, WINDOW, WINDOW)))
    sheets = [digit_sheet(lesson["windows"].test, seed) for seed in range(_SHEETS)]
    return {
        "network": _packed(_described(layers)),
        "error": round(lesson["error"], 4),
        "sheets": [
            {
                "ink": _encoded((255 * sheet.image).round().to(torch.uint8).numpy()),
                "shape": list(sheet.image.shape[1:]),
                "corners": sheet.corners.tolist(),
                "labels": sheet.labels.tolist(),
            }
            for sheet in sheets
        ],
    }


def after_cell(number: int, cell: str, **parameters: object) -> dict[str, Any]:
    """The names that a cell of a lesson leaves, run with the cells that it needs and no other.

    Args:
        number: of the lesson.
        cell: its id.
        parameters: other values for names of the cell tagged ``parameters``.
    """
    (lesson,) = find_lessons(REPOSITORY, "en", [number])
    cells = read_notebook(lesson.path).cells
    sources = [each.source if each.cell_type == "code" else "" for each in cells]
    names: dict[str, Any] = {}
    with speaking(lesson.language), redirect_stdout(None):
        for place in needed(sources, [[each.id for each in cells].index(cell)]):
            exec(compile(sources[place], f"<{lesson.stem} {cells[place].id}>", "exec"), names)
            if "parameters" in cells[place].metadata.get("tags", []):
                names |= parameters
    return names


def _gap_layers(net: GapNet) -> Iterator[tuple[nn.Conv2d, dict[str, Any]]]:
    """The convolutions, each with the batch normalisation behind it inside; then the linear one."""
    for block in net.features:
        assert isinstance(block, ConvBNReLU)
        conv, norm, _relu = block.eval().children()
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        yield fuse_conv_bn_eval(conv, norm), {"relu": True}
    everywhere = nn.Conv2d(net.linear.in_features, net.linear.out_features, 1)
    assert everywhere.bias is not None
    with torch.no_grad():
        everywhere.weight.copy_(net.linear.weight[:, :, None, None])
        everywhere.bias.copy_(net.linear.bias)
    yield everywhere, {}


def _described(layers: list[nn.Module]) -> Iterator[tuple[nn.Conv2d, dict[str, Any]]]:
    """The convolutions, each with what follows it."""
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            after = layers[place + 1 : place + 3]
            yield (
                layer,
                {
                    "relu": any(isinstance(each, nn.ReLU) for each in after[:1]),
                    "pool": any(isinstance(each, nn.MaxPool2d) for each in after),
                },
            )


def _packed(layers: Iterator[tuple[nn.Conv2d, dict[str, Any]]]) -> dict[str, Any]:
    """Layers as JSON, their weights as numbers of 16 bits: what the page computes with."""
    about, numbers = [], []
    for conv, rest in layers:
        assert conv.bias is not None
        shape = list(conv.weight.shape)
        about.append({"shape": shape, "stride": conv.stride[0], "padding": conv.padding[0], **rest})
        numbers += [conv.weight.detach().flatten(), conv.bias.detach()]
    return {"layers": about, "weights": _encoded(torch.cat(numbers).numpy().astype("<f2"))}


def _encoded(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _levels(images: Tensor) -> list[str]:
    """Digits ``(N, 1, 8, 8)`` as texts of 64 letters, from 0 for paper to g for ink."""
    letters = "0123456789abcdefg"
    return ["".join(letters[round(16 * ink)] for ink in one.flatten().tolist()) for one in images]


def _signal() -> dict[str, Any]:
    """What goes through lesson 3's networks before any training, and how well some then learn."""
    split = load("digits").train.subset(torch.arange(256))
    batch = split.normalised(), split.labels
    travelled = {}
    for depth, shortcut, slope in itertools.product(_DEPTHS, _SHORTCUTS, _SLOPES):
        runs = [_travelled(depth, shortcut, slope, seed, batch) for seed in _SEEDS]
        median = torch.tensor(runs).median(0).values.tolist()  # (2, convolutions)
        travelled[_name(depth, shortcut is not None, slope)] = [
            [float(f"{value:.3g}") for value in each] for each in median
        ]
    return {
        "depths": _DEPTHS,
        "slopes": _SLOPES,
        "seeds": len(_SEEDS),
        "travelled": travelled,
        "errors": _stored_errors(),
    }


def _stored_errors() -> dict[str, list[float]]:
    """The training errors of stored runs that differ in depth, shortcut, slope and seed alone."""
    known = {each.name: each.records for each in references()}
    runs = {
        record.spec: record.train_error
        for name in ("digits_depths", "digits_interventions")
        for record in known[name]
    }

    def recipe(spec: Spec) -> Spec:
        return replace(spec, family="plain", depth=8, seed=0, family_options=())

    wanted = recipe(known["digits_depths"][0].spec)
    errors: dict[str, list[float]] = {}
    for spec, error in runs.items():
        options = dict(spec.family_options)
        if recipe(spec) == wanted and options.keys() <= {"slope"}:
            name = _name(spec.depth, spec.family == "residual", options.get("slope", 0))
            errors.setdefault(name, []).append(round(error, 4))
    return errors


def _name(depth: int, residual: bool, slope: float) -> str:
    return f"{depth} {'residual' if residual else 'plain'} {slope:g}"


def _travelled(
    depth: int, shortcut: Shortcut, slope: float, seed: int, batch: tuple[Tensor, Tensor]
) -> list[list[float]]:
    """Of each convolution, the size of what it reads, and the norm of its gradient."""
    torch.manual_seed(seed)
    net = cifar_net(depth, shortcut, in_channels=1, slope=slope).train()
    sizes: list[float] = []
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_pre_hook(
            lambda _layer, given: sizes.append(given[0].pow(2).mean().sqrt().item())
        )
    images, labels = batch
    F.cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
    gradients = [layer.weight.grad for layer in convolutions]
    return [sizes, [each.norm().item() for each in gradients if each is not None]]
