"""What one run is: everything that its numbers depend on, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from course_utils.arguments import flag, one_of, whole_number
from course_utils.datasets import NAMES
from course_utils.experiments.families import check_net, net_name
from course_utils.i18n import _
from course_utils.training import Augmentation, Schedule, best_precision

__all__ = ["RECIPE", "Spec", "grid"]

RECIPE = 1
"""Raised when the code changes the numbers that a spec gives, so that old records stay apart."""

LATER = {
    "warm_start": False,
    "reestimate_bn": False,
    "compiled": False,
    "gradient_clip": None,
    "lars": None,
}
"""Fields younger than the first records, with the value that those were made with: a spec that
has it is the one that it was, with the hash that it had."""

DEFAULT_EPOCHS = 14
VARIED = ("family", "depth", "seed")
DEVICES = ("cpu", "cuda", "mps")

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Spec:
    """One run of an experiment, frozen.

    Attributes:
        dataset, dataset_options: what :func:`course_utils.datasets.load` is called with.
        family, family_options: ``"plain"``, ``"residual"``, ``"dense"`` or the reader's own
            ``"module:function"``, and what its builder is called with beside the depth.
        depth: number of weight layers: ``6n + 2`` for plain and residual nets, ``6n + 4``
            for dense ones (``3n + 4`` without bottlenecks).
        seed: of the initial weights, the order and the augmentation, each with its own stream.
        epochs, steps: how long, one of the two.
        batch_size, learning_rate, schedule, momentum, nesterov, weight_decay, augmentation: see
            :func:`course_utils.training.fit`.
        warm_start: begin at a tenth of the learning rate, until the training error is below 80%.
        reestimate_bn: take the statistics of batch normalisation anew after training.
        gradient_clip, lars: see :func:`course_utils.training.fit`.
        compiled: the steps are compiled, see :func:`course_utils.training.fit`.
        evaluate_every: epochs between two measurements of both splits (the last always is one).
        device, precision: ``"fp32"`` or ``"bf16"``, said and not guessed: a spec means the same
            on every machine.
        threads: per run; sums over several threads come out differently, and so do the numbers.

    Raises:
        ValueError, TypeError: a value out of range or of the wrong type, in one sentence.

    >>> Spec(family="plain", depth=20, seed=0).hash == Spec(depth=20, family="plain", seed=0).hash
    True
    """

    family: str
    depth: int
    seed: int
    dataset: str = "digits"
    dataset_options: Options = ()
    family_options: Options = ()
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 64
    learning_rate: float = 0.1
    schedule: Schedule = "linear"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    augmentation: Augmentation = "none"
    evaluate_every: int = 3
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = 1
    warm_start: bool = False
    reestimate_bn: bool = False
    compiled: bool = False
    gradient_clip: float | None = None
    lars: float | None = None

    def __post_init__(self) -> None:
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", DEFAULT_EPOCHS)
        for name, hint in _hints().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), hint))
        one_of("dataset", self.dataset, NAMES)
        kind, colon, index = self.device.partition(":")
        if kind not in DEVICES or (colon and not index.isdecimal()):
            one_of("device", self.device, DEVICES)
        if self.epochs is not None and self.steps is not None:
            raise ValueError(_("Say how long to train with either epochs=… or steps=…, not both."))
        if not self.learning_rate > 0:
            raise ValueError(
                _("A learning rate must be positive, and this one is {value}.").format(
                    value=self.learning_rate
                )
            )
        check_net(self.family, self.depth, dict(self.family_options))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, for JSON; those of :data:`LATER` only where they say more."""
        plain = dict(vars(self))
        for name, default in LATER.items():
            if plain[name] == default:
                del plain[name]
        for name in ("dataset_options", "family_options"):
            plain[name] = dict(plain[name])
        return plain

    @property
    def choices(self) -> dict[str, Any]:
        """Every choice by name, options of data and family among them; the seed is none."""
        chosen = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("seed", "dataset_options", "family_options"):
            del chosen[name]
        return chosen | dict(self.dataset_options) | dict(self.family_options)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that are the same for the same spec, everywhere."""
        text = json.dumps({"recipe": RECIPE, **self.to_dict()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return _("{family}-{depth}, seed {seed}").format(
            family=net_name(self.family), depth=self.depth, seed=self.seed
        )


@functools.cache
def _hints() -> dict[str, Any]:
    """The type of each field; to read them anew for every spec took longer than to check it."""
    return get_type_hints(Spec)


def _checked(name: str, value: Any, hint: Any) -> Any:
    """``value`` as the field ``name`` of type ``hint`` holds it, or a refusal in a sentence."""
    if get_origin(hint) is Literal:
        return one_of(name, value, get_args(hint))
    if hint is bool:
        return flag(name, value)
    if value is None and type(None) in get_args(hint):
        return None
    if hint is float or float in get_args(hint):
        return _number(name, value)
    if hint == Options:
        return _options(name, value)
    if hint is str:
        if not isinstance(value, str):
            raise TypeError(
                _("{name} must be a string and is {value!r}.").format(name=name, value=value)
            )
        return value
    return whole_number(name, value, at_least={"seed": 0, "batch_size": 2}.get(name, 1))


def _number(name: str, value: Any) -> float:
    """A real number from 0 on, as a float: 1 and 1.0 are one spec, and one hash."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            _("{name} must be a number and is {value!r}.").format(name=name, value=value)
        )
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError(
            _("{name} must be a finite number, 0 or more, and is {value!r}.").format(
                name=name, value=value
            )
        )
    return number


def _options(name: str, options: Any) -> Options:
    """A mapping, or its pairs, as pairs in the order of their names."""
    try:
        pairs = [(key, _plain(value)) for key, value in dict(options).items()]
        if not all(isinstance(key, str) for key, value in pairs):
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(
            _(
                '{name} must be a dictionary such as {{"size": 8}}, with numbers, strings and '
                "lists of them, and is {value!r}."
            ).format(name=name, value=options)
        ) from None
    return tuple(sorted(pairs))


def _plain(value: Any) -> Any:
    """What JSON holds, with tuples for lists so that a spec can be a key."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if value is not None and not isinstance(value, str | int | float):
        raise TypeError
    return value


def _among(depth: int, depths: Any) -> bool:
    if not isinstance(depths, list | tuple | set | range):
        raise TypeError(
            _("warm_start must be True, False or a list of depths, and is {value!r}.").format(
                value=depths
            )
        )
    return depth in depths


def grid(
    *,
    dataset: str = "digits",
    families: Iterable[str] = ("plain", "residual"),
    depths: Iterable[int],
    seeds: Iterable[int],
    **options: Any,
) -> list[Spec]:
    """Every combination of family, depth and seed, with the same budget for all.

    Args:
        dataset: name of the data set.
        families, depths, seeds: the values to combine.
        options: any other field of :class:`Spec`. ``precision="auto"`` takes the fastest of this
            machine, and the specs then name it. ``warm_start`` may be the list of depths that
            have one. ``steps`` takes the place of ``epochs``, so that a recipe that counts in
            steps fits a lesson that counts in epochs.

    Raises:
        ValueError, TypeError: nothing to combine, or a value that :class:`Spec` refuses.

    >>> [str(spec) for spec in grid(families=["plain"], depths=[8, 20], seeds=[0])]
    ['plain-8, seed 0', 'plain-20, seed 0']
    """
    # What varies has a parameter of its own, in the plural.
    named = [field.name for field in dataclasses.fields(Spec)]
    known = ["families", "depths", "seeds", *(n for n in named if n not in VARIED)]
    unknown = options.keys() - set(known)
    if unknown:
        raise TypeError(
            _("A run has no option {unknown}. Its options are {known}.").format(
                unknown=", ".join(sorted(unknown)), known=", ".join(known)
            )
        )
    if isinstance(families, str):
        families = (families,)
    if options.get("precision") == "auto":
        options["precision"] = best_precision(options.get("device", "cpu"))
    if options.get("steps") is not None:
        options["epochs"] = None
    warm = options.pop("warm_start", False)
    specs = [
        Spec(
            dataset=dataset,
            family=name,
            depth=depth,
            seed=seed,
            warm_start=warm if isinstance(warm, bool) else _among(depth, warm),
            **options,
        )
        for name, depth, seed in itertools.product(families, depths, seeds)
    ]
    if not specs:
        raise ValueError(_("There is nothing to run: give at least one family, depth and seed."))
    return specs
