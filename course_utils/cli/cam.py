"""`cam`: where a network looks in photographs, for each of some classes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from course_utils.arguments import whole_number
from course_utils.cam import CAM, class_activation_maps
from course_utils.cli.networks import Network, add_network, network_of
from course_utils.commands import FAILED, add_command, sentence
from course_utils.datasets import read_photograph
from course_utils.gradient_maps import gradient_maps
from course_utils.head import HeadError, logits_of
from course_utils.i18n import _, number, percent
from course_utils.plots import map_grid
from course_utils.tables import Table
from course_utils.whole import write_whole

__all__ = ["add_cam"]

NUMBER: dict[str, Any] = {"type": int, "metavar": "N"}


def add_cam(commands: Any) -> None:
    """Add the command to those of ``python -m course_utils``."""
    parser = add_command(
        commands,
        "cam",
        _("Draw where a network looks in photographs, class by class."),
        'course_utils cam photo.jpg --classes "bow tie" 652 --output cam.png',
        _cam,
    )
    parser.add_argument(
        "photographs", nargs="+", type=Path, metavar=_("PHOTO"), help=_("a file of an image")
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        metavar=_("CLASS"),
        help=_("names or numbers of classes; the most likely ones by default"),
    )
    parser.add_argument(
        "--top",
        default=3,
        **NUMBER,
        help=_("how many classes to draw when none is named (3 by default)"),
    )
    parser.add_argument(
        "--size",
        default=224,
        **NUMBER,
        help=_("length of the shorter side after resizing, in pixels (224 by default)"),
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar=_("PATH"),
        help=_("the picture to write; for several photographs, the folder of their pictures"),
    )
    parser.add_argument(
        "--gradients",
        action="store_true",
        help=_("approximate the maps with gradients, for a network that has no exact ones"),
    )
    add_network(parser.add_argument_group(_("the network (EfficientNet-Lite0 by default)")))


def _cam(arguments: argparse.Namespace) -> int:
    whole_number("--top", arguments.top, at_least=1)
    whole_number("--size", arguments.size, at_least=1)
    network = network_of(arguments)
    asked = [network.number(name) for name in arguments.classes]
    outputs = _outputs(arguments.photographs, arguments.output)
    failed = False
    for path, output in tqdm(outputs, disable=len(outputs) == 1):
        try:
            pixels = read_photograph(path, arguments.size)
        except (OSError, ValueError) as error:
            tqdm.write(sentence(error), file=sys.stderr)
            failed = True
            continue
        found = _maps(network, network.prepared(pixels), asked, arguments)
        tqdm.write(_told(path, network, *found))
        write_whole(output, _drawn(pixels, network, *found))
        tqdm.write(_("Figure: {path}").format(path=output))
    return FAILED if failed else 0


def _outputs(photographs: Sequence[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Each photograph, with the picture to write; two of one name get two pictures."""
    if len(photographs) == 1 and output is not None and not output.is_dir():
        if output.suffix.lower() != ".png":
            raise ValueError(
                _("The picture is a PNG, so {path} should end in .png.").format(path=output)
            )
        return [(photographs[0], output)]
    folder = Path() if output is None else output
    folder.mkdir(parents=True, exist_ok=True)
    pairs: dict[Path, Path] = {}
    for path in photographs:
        pictures = (
            folder / f"{path.stem}-cam{'' if again == 1 else f'-{again}'}.png"
            for again in range(1, len(photographs) + 1)
        )
        pairs[next(each for each in pictures if each not in pairs)] = path
    return [(path, picture) for picture, path in pairs.items()]


def _maps(
    network: Network, images: Tensor, asked: Sequence[int], arguments: argparse.Namespace
) -> tuple[list[int], CAM, Tensor]:
    """The classes asked for, or the first; their maps ``(1, n, h, w)``; the logits of all."""
    exact = not arguments.gradients
    if exact:
        try:
            cam = class_activation_maps(network.model, images, entry=network.entry)
        except HeadError as error:
            raise ValueError(
                _("{error} Here, --gradients does that.").format(error=error)
            ) from error
        logits = cam.logits
    else:
        with torch.no_grad():
            logits = logits_of(network.model(images), network.entry).reshape(1, -1)
    labels = list(asked) or logits[0].argsort(descending=True)[: arguments.top].tolist()
    chosen = torch.tensor([labels])
    if exact:
        return labels, cam.select(chosen), logits
    return labels, gradient_maps(network.model, images, chosen, entry=network.entry), logits


def _told(path: Path, network: Network, labels: list[int], cam: CAM, logits: Tensor) -> str:
    """The classes as a table, and what the maps are."""
    chances = logits.softmax(1)[0]
    ranks = logits[0].argsort(descending=True).argsort()
    rows = []
    for place, label in enumerate(labels):
        means = float(cam.maps[0, place].mean())
        rows.append(
            [
                int(ranks[label]) + 1,
                label,
                network.name(label),
                percent(float(chances[label])),
                number(float(logits[0, label]), 3),
                number(means, 3),
            ]
        )
    headers = [_("rank"), _("number"), _("class"), _("probability"), _("logit"), _("map's mean")]
    return "\n".join([f"{path}", str(Table(headers, rows)), _what(cam)])


def _what(cam: CAM) -> str:
    """How the maps were made, so that an approximation is not taken for more."""
    rows, columns = cam.maps.shape[-2:]
    if cam.method == "CAM":
        return _(
            "These maps of {layer}, of {rows}×{columns} cells, are exact: their means are the "
            "logits."
        ).format(rows=rows, columns=columns, layer=cam.feature_layer)
    return _(
        "{method} is an approximation: its maps of {layer}, of {rows}×{columns} cells, have "
        "means that differ from the logits by {error} times the largest."
    ).format(
        method=cam.method,
        rows=rows,
        columns=columns,
        layer=cam.feature_layer,
        error=percent(cam.error),
    )


def _drawn(pixels: Tensor, network: Network, labels: list[int], cam: CAM, logits: Tensor) -> bytes:
    """The picture: for each class, its map over the photograph, on one scale."""
    size = tuple(pixels.shape[1:])
    chances = logits.softmax(1)[0]
    method = (
        cam.method if cam.method == "CAM" else _("{method}, approximate").format(method=cam.method)
    )
    figure = map_grid(
        cam.positive().resized(size).maps[0],
        pixels[None],
        titles=[f"{network.name(label)}\n{percent(float(chances[label]))}" for label in labels],
        shared=True,
        columns=min(4, len(labels)),
        label=method,
    )
    return figure.png()
