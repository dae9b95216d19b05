"""What one run is: everything that its numbers depend on, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from course_utils.datasets import NAMES
from course_utils.degradation.families import family
from course_utils.i18n import _
from course_utils.training import Augmentation, Schedule, best_precision

__all__ = ["RECIPE", "Spec", "grid"]

RECIPE = 1
"""Raised when the code changes the numbers that a spec gives, so that old records stay apart."""

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Spec:
    """One run of an experiment, frozen.

    Attributes:
        dataset, dataset_options: what :func:`course_utils.datasets.load` is called with.
        family, family_options: ``"plain"``, ``"residual"`` or the reader's own
            ``"module:function"``, and what its builder is called with beside the depth.
        depth: number of layers with weights, ``6n + 2`` for the course's families.
        seed: of the initial weights, the order and the augmentation, each with its own stream.
        epochs, steps: how long, one of the two.
        batch_size, learning_rate, schedule, momentum, nesterov, weight_decay, augmentation: see
            :func:`course_utils.training.fit`.
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

    def __post_init__(self) -> None:
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", DEFAULT_EPOCHS)
        for name in ("dataset_options", "family_options"):
            object.__setattr__(self, name, _options(name, getattr(self, name)))
        for name, hint in get_type_hints(Spec).items():
            if get_origin(hint) is Literal:
                _check_choice(name, getattr(self, name), get_args(hint))
            else:
                _check_type(name, getattr(self, name), hint)
        _check_choice("dataset", self.dataset, NAMES)
        for name in ("depth", "epochs", "steps", "batch_size", "evaluate_every", "threads"):
            if getattr(self, name) is not None:
                _check_at_least(name, getattr(self, name), 2 if name == "batch_size" else 1)
        _check_at_least("seed", self.seed, 0)
        if self.epochs is not None and self.steps is not None:
            raise ValueError(_("Say how long to train with epochs=… or with steps=…, not both."))
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(
                _("A learning rate is a positive number, not {value}.").format(
                    value=self.learning_rate
                )
            )
        family(self.family).check_depth(self.depth)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, for JSON."""
        plain = dataclasses.asdict(self)
        for name in ("dataset_options", "family_options"):
            plain[name] = dict(plain[name])
        return plain

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that are the same for the same spec, everywhere."""
        text = json.dumps({"recipe": RECIPE, **self.to_dict()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.family}-{self.depth}, seed {self.seed}"


DEFAULT_EPOCHS = 15


def _options(name: str, options: object) -> Options:
    """A mapping, or its pairs, as pairs in the order of their names."""
    if isinstance(options, tuple):
        options = dict(options)
    if not isinstance(options, Mapping):
        raise TypeError(
            _('{name} is a dictionary such as {{"size": 8}}, not {value!r}.').format(
                name=name, value=options
            )
        )
    return tuple(sorted((key, _hashable(value)) for key, value in options.items()))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _check_type(name: str, value: object, hint: Any) -> None:
    if hint == Options:
        return
    kinds = get_args(hint) or (hint,)
    if float in kinds:
        kinds = (*kinds, int)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " / ".join(kind.__name__ for kind in kinds if kind is not type(None))
        raise TypeError(
            _("{name} must be of type {wanted}, not {value!r}.").format(
                name=name, wanted=wanted, value=value
            )
        )


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            _("No {name} {value!r}: choose one of {choices}.").format(
                name=name, value=value, choices=", ".join(map(repr, choices))
            )
        )


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(
            _("{name} must be {least} or more, not {value}.").format(
                name=name, least=least, value=value
            )
        )


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
        options: any other field of :class:`Spec`; ``precision="auto"`` takes the fastest of this
            machine, and the specs then name it.

    Raises:
        ValueError, TypeError: nothing to combine, or a value that :class:`Spec` refuses.

    >>> [str(spec) for spec in grid(families=["plain"], depths=[8, 20], seeds=[0])]
    ['plain-8, seed 0', 'plain-20, seed 0']
    """
    unknown = set(options) - {field.name for field in dataclasses.fields(Spec)}
    if unknown:
        raise TypeError(
            _("A run has no option {unknown}. It has: {known}.").format(
                unknown=", ".join(sorted(unknown)),
                known=", ".join(field.name for field in dataclasses.fields(Spec)),
            )
        )
    if isinstance(families, str):
        families = (families,)
    if options.get("precision") == "auto":
        options["precision"] = best_precision(options.get("device", "cpu"))
    specs = [
        Spec(dataset=dataset, family=name, depth=depth, seed=seed, **options)
        for name, depth, seed in itertools.product(families, depths, seeds)
    ]
    if not specs:
        raise ValueError(_("There is nothing to run: give at least one family, depth and seed."))
    return specs
