"""The network that `cam` looks into: the course's, torchvision's, or a checkpoint of one's own."""

from __future__ import annotations

import argparse
import inspect
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from course_utils.cli.sweep import parse_setting
from course_utils.experiments.families import family
from course_utils.i18n import _
from course_utils.models.efficientnet_lite import (
    IMAGENET_CLASSES,
    MEAN,
    STD,
    efficientnet_lite0,
)

__all__ = ["Network", "add_network", "network_of"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LUMINANCE = (0.299, 0.587, 0.114)  # of R, G and B: ITU-R BT.601, as Pillow's
WITHIN = ("state_dict", "model_state_dict", "model", "net")
WRAPPERS = ("module.", "_orig_mod.")
"""What a checkpoint may hold its weights under, and put before their names."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network with what turns a photograph into its input, and its output into words."""

    model: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    classes: Sequence[str] = ()  # in the order of the logits; none where they have numbers alone
    entry: str | int | None = None

    def prepared(self, pixels: Tensor) -> Tensor:
        """``(1, C, H, W)``, normalised, of the pixels ``(3, H, W)`` uint8 of a photograph."""
        image = pixels.float() / 255
        stem = next((m for m in self.model.modules() if isinstance(m, nn.Conv2d)), None)
        if stem is not None and stem.in_channels == 1:
            image = torch.einsum("chw,c->hw", image, torch.tensor(LUMINANCE))[None]
        mean, std = (torch.tensor(each)[:, None, None] for each in (self.mean, self.std))
        if len(mean) not in (1, len(image)) or len(std) not in (1, len(image)):
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        return ((image - mean) / std)[None]

    def name(self, number: int) -> str:
        """The name of a class, or its number."""
        return self.classes[number] if number < len(self.classes) else str(number)

    def number(self, name: str) -> int:
        """The number of a class called by name or number; ``ValueError`` if there is none."""
        if name.isdecimal():
            return int(name)
        wanted = name.casefold()
        names = [each.casefold() for each in self.classes]
        found = [number for number, each in enumerate(names) if each == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                _("The classes {numbers} are all called {name!r}: give a number.").format(
                    numbers=", ".join(map(str, found)), name=name
                )
            )
        alike = [self.classes[names.index(each)] for each in get_close_matches(wanted, names)]
        alike += [each for each in self.classes if wanted in each.casefold()][:3]
        raise ValueError(
            _("There is no class {name!r}; the nearest are {alike}.").format(
                name=name, alike=", ".join(map(repr, dict.fromkeys(alike)))
            )
            if alike
            else _(
                "There is no class {name!r}: give a number, or the names of the classes in a file."
            ).format(name=name)
        )


def add_network(group: Any) -> None:
    """The arguments that choose the network."""
    name = {"metavar": _("NAME")}
    group.add_argument("--model", **name, help=_("a network of torchvision, such as resnet50"))
    group.add_argument(
        "--weights",
        metavar=_("WEIGHTS"),
        help=_("its weights: a file, or DEFAULT to have torchvision download them"),
    )
    group.add_argument(
        "--checkpoint", type=Path, metavar=_("FILE"), help=_("weights of a network of your own")
    )
    group.add_argument(
        "--family",
        **name,
        help=_("what builds that network: plain, residual, dense, or your own as module:function"),
    )
    group.add_argument("--depth", type=int, metavar="N", help=_("its depth, if it has several"))
    group.add_argument(
        "--family-option",
        action="append",
        default=[],
        metavar=_("NAME=VALUE"),
        help=_("an option of the networks, such as width=8"),
    )
    group.add_argument(
        "--names", type=Path, metavar=_("FILE"), help=_("the names of its classes, one per line")
    )
    for option, about in (
        (
            "--mean",
            _("what is subtracted from the pixels in [0, 1]: one number, or one per channel"),
        ),
        ("--std", _("what they are then divided by")),
    ):
        group.add_argument(option, type=float, nargs="+", metavar="X", help=about)
    group.add_argument(
        "--entry",
        type=lambda text: int(text) if text.isdecimal() else text,
        **name,
        help=_("where the logits are, if the network returns a dictionary or a tuple"),
    )


def network_of(arguments: argparse.Namespace) -> Network:
    """The network that the arguments choose, in evaluation mode.

    Raises:
        ValueError: no such network, weights that do not fit, or arguments that say two things.
        OSError: a file is missing, or the weights could not be fetched.
    """
    if (arguments.checkpoint is None) != (arguments.family is None):
        raise ValueError(
            _(
                "--checkpoint and --family go together: one names the weights, the other the "
                "function that builds their network."
            )
        )
    if arguments.model is not None and arguments.checkpoint is not None:
        raise ValueError(_("--model and --checkpoint both name a network: give only one of them."))
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    classes = IMAGENET_CLASSES
    if arguments.checkpoint is not None:
        model, classes = _own(arguments), ()
    elif arguments.model in (None, "efficientnet_lite0"):
        if arguments.weights is not None:
            raise ValueError(
                _("EfficientNet-Lite0 comes with its weights: use --weights only with --model.")
            )
        model, mean, std = efficientnet_lite0(), (MEAN,), (STD,)
    else:
        model, mean, std = _torchvisions(arguments.model, arguments.weights)
    if arguments.names is not None:
        classes = tuple(arguments.names.read_text(encoding="utf-8").splitlines())
    return Network(
        model.eval(), arguments.mean or mean, arguments.std or std, classes, arguments.entry
    )


def _torchvisions(
    name: str, weights: str | None
) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    """A network of torchvision, and the mean and deviation that it was trained with."""
    known = models.list_models(module=models)
    if name not in known:
        alike = get_close_matches(name, known) or ["resnet50"]
        raise ValueError(
            _("torchvision has no network {name!r}; the nearest are {alike}.").format(
                name=name, alike=", ".join(map(repr, alike))
            )
        )
    if weights is None:
        raise ValueError(
            _(
                "{name} needs its weights: give --weights FILE, or --weights DEFAULT to have "
                "torchvision download them."
            ).format(name=name)
        )
    if Path(weights).is_file():
        model = models.get_model(name)
        _fill(model, Path(weights))
        return model, IMAGENET_MEAN, IMAGENET_STD
    kinds = models.get_model_weights(name)
    if weights not in kinds.__members__:
        raise ValueError(
            _(
                "{weights} is neither a file nor a set of weights of {name}, which has {known}."
            ).format(weights=weights, name=name, known=", ".join(kinds.__members__))
        )
    chosen = kinds[weights]
    try:
        model = models.get_model(name, weights=chosen)
    except (OSError, HTTPException, RuntimeError) as error:  # torch's, of a file that came in part
        cause = getattr(error, "reason", error)  # urllib wraps it
        raise ConnectionError(
            _(
                "The weights of {name} could not be downloaded ({cause}): --weights FILE takes "
                "them from a file."
            ).format(name=name, cause=getattr(cause, "strerror", None) or cause)
        ) from error
    recipe = chosen.transforms()
    return model, recipe.mean, recipe.std


def _own(arguments: argparse.Namespace) -> nn.Module:
    """The network of a family, with the weights of a checkpoint."""
    weights = _weights(arguments.checkpoint)
    filters = [value for value in weights.values() if value.dim() >= 2]
    if not filters:
        raise ValueError(_("{path} holds no weights.").format(path=arguments.checkpoint))
    builder = family(arguments.family).build
    told = dict(map(parse_setting, arguments.family_option))
    if arguments.depth is not None:
        told["depth"] = arguments.depth
    seen = {"in_channels": filters[0].shape[1], "num_classes": filters[-1].shape[0]}
    parameters = inspect.signature(builder).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    told = {name: size for name, size in seen.items() if takes_any or name in parameters} | told
    try:
        model = builder(**told)
    except TypeError as error:
        raise ValueError(
            _(
                "{family} cannot be called with {options} ({error}): give it what it needs with "
                "--depth and --family-option name=value."
            ).format(family=arguments.family, options=told, error=error)
        ) from error
    _fill(model, arguments.checkpoint, weights)
    return model


def _weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without what it wraps them in."""
    if not path.is_file():
        raise FileNotFoundError(_("There is no file {path}.").format(path=path))
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(
            _(
                "{path} is not a file of weights that can be trusted: save model.state_dict() "
                "with torch.save."
            ).format(path=path)
        ) from error
    for key in WITHIN:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping):
        held = {}
    weights = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    for wrapper in WRAPPERS:
        weights = {name.removeprefix(wrapper): value for name, value in weights.items()}
    return weights


def _fill(model: nn.Module, path: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Give the network the weights of a file; ``ValueError`` if they are another's."""
    weights = _weights(path) if weights is None else weights
    own = model.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += [
        name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape
    ]
    if wrong:
        raise ValueError(
            _(
                "The weights in {path} belong to another network: names or shapes differ in "
                "{number} places, the first at {name}."
            ).format(path=path, number=len(wrong), name=wrong[0])
        )
    model.load_state_dict(weights)
