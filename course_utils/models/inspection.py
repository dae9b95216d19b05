"""What a net is made of and what each stage costs, found by running it before anything trains."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.arguments import checked_module, checked_shape, whole_number
from course_utils.i18n import _, number, percent
from course_utils.inference import kept_random_state
from course_utils.models.counting import black_images, run_counted
from course_utils.models.design import Composed
from course_utils.models.receptive_field import Field, receptive_fields
from course_utils.tables import Table

__all__ = ["Budget", "Row", "Summary", "activation_memory", "summary"]

EXPANDED = ("stages", "features")
"""Children whose own children are the stages of a net."""
ELSEWHERE = ""
"""The name of what belongs to no stage."""


# --- the stages of a net ---------------------------------------------------------------------


def _stages(model: nn.Module) -> dict[str, nn.Module]:
    """The parts that a net is summed up by, by name: its children, or itself without any."""
    stages: dict[str, nn.Module] = {}
    for name, child in model.named_children():
        is_container = isinstance(child, nn.ModuleList | nn.ModuleDict) or (
            isinstance(child, nn.Sequential) and name in EXPANDED
        )
        parts = {f"{name}.{inner}": part for inner, part in child.named_children()}
        for place, part in (parts if is_container else {name: child}).items():
            is_new = all(part is not stage for stage in stages.values())
            if is_new and not isinstance(part, nn.Identity):
                stages[place] = part
    return stages or {type(model).__name__: model}


def _parameters(model: nn.Module, stages: Mapping[str, nn.Module]) -> Counter[str]:
    """Number of parameters by stage, each counted in the first stage that has it."""
    counted: set[nn.Parameter] = set()
    numbers: Counter[str] = Counter()
    for name, stage in (*stages.items(), (ELSEWHERE, model)):
        own = set(stage.parameters()) - counted
        numbers[name] += sum(parameter.numel() for parameter in own)
        counted |= own
    return numbers


class _Run:
    """A copy of a net that tells which stage is running, and what each has answered."""

    def __init__(self, model: nn.Module) -> None:
        # Of a compiled net, the net itself.
        self.model = copy.deepcopy(getattr(model, "_orig_mod", model))
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.latest = ELSEWHERE
        self._calls: list[nn.Module] = []
        self._stages = {stage: name for name, stage in _stages(self.model).items()}
        self._owners: dict[nn.Module, str] = {}  # of a shared module, the first stage
        for stage, name in self._stages.items():
            for module in stage.modules():
                self._owners.setdefault(module, name)
        for module in self.model.modules():
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave)

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        self._calls.append(module)

    def _leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        self._calls.pop()
        self.latest = self._owners.get(module, self.latest)
        if module in self._stages and isinstance(output, Tensor):
            self.shapes[self._stages[module]] = tuple(output.shape[1:])

    def stage(self, otherwise: str = ELSEWHERE) -> str:
        """The stage that the module running now belongs to."""
        return self._owners.get(self._calls[-1], otherwise)


# --- memory ----------------------------------------------------------------------------------


@contextmanager
def _recording() -> Iterator[None]:
    """Gradients are recorded within, wherever it is called."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@_recording()
def _kept_bytes(model: nn.Module, shape: Sequence[int], batch_size: int) -> Counter[str]:
    """Bytes kept for the backward pass, by the stage that first keeps them."""
    run = _Run(model)
    run.model.train()
    state = [*run.model.parameters(), *run.model.buffers()]
    known = {tensor.untyped_storage()._cdata for tensor in state}
    kept: Counter[str] = Counter()
    alive: list[Tensor] = []  # an address freed could be given to another storage

    def pack(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            known.add(storage._cdata)
            alive.append(tensor.detach())
            # What follows a stage, outside of any, counts with it.
            kept[run.stage(otherwise=run.latest)] += storage.nbytes()

    images = black_images(run.model, shape, batch_size)
    saving = torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed)
    with kept_random_state(images.device), saving:
        try:
            run.model(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ValueError(
                _(
                    "Batch normalisation has only one value per channel here, and cannot train "
                    "on it: ask for a batch_size of 2 or more, or for larger images."
                )
            ) from error
    return kept


def activation_memory(model: nn.Module, shape: Sequence[int], batch_size: int = 1) -> int:
    """Bytes that one forward pass in training keeps for the backward pass.

    The net is run, and every tensor that autograd saves is counted once, however many layers save
    it: a convolution keeps its input, a ReLU its output, batch normalisation its input and the
    statistics of the batch. Parameters and buffers are left out, and so are what comes on top of
    it in a training step: gradients, the optimiser's state, work space of the layers, maps that
    are freed at once, and what the allocator holds in reserve.

    Args:
        model: any module; it is left as it was. Frozen parameters keep less.
        shape: ``(C, H, W)`` of an image.
        batch_size: number of images.

    Raises:
        ValueError: ``shape`` is not that of an image, ``batch_size`` is below 1, or batch
            normalisation cannot train on a single value.
        TypeError: ``batch_size`` is not a whole number.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    >>> activation_memory(net, (3, 4, 4)) == 4 * (3 + 8) * 4 * 4  # bytes of input and output
    True
    """
    batch_size = whole_number("batch_size", batch_size, at_least=1)
    return _kept_bytes(model, checked_shape(shape), batch_size).total()


# --- the summary -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """What a net may cost; a limit left out is none.

    Attributes:
        parameters: how many it may have.
        macs: how many multiply-adds one image may take.

    Raises:
        ValueError, TypeError: a limit that is not a whole number from 1 on, or no limit.

    >>> Budget(parameters=60_000, macs=6_000_000).parameters
    60000
    """

    parameters: int | None = None
    macs: int | None = None

    def __post_init__(self) -> None:
        if self.parameters is None and self.macs is None:
            raise ValueError(
                _("A budget limits parameters=…, macs=… or both: give at least one number.")
            )
        for name in ("parameters", "macs"):
            if getattr(self, name) is not None:
                limit = whole_number(name, getattr(self, name), at_least=1)
                object.__setattr__(self, name, limit)


@dataclass(frozen=True)
class Row:
    """One stage of a net.

    Attributes:
        name: that of the module, ``"stages.0"``; empty for what belongs to no stage.
        layers: what it is made of, in a few words.
        output: shape of what it answers for one image; None if that is not one tensor.
        parameters, macs: its share of the net's.
        receptive_field: height and width of what one output pixel depends on, in pixels of the
            image; ``math.inf`` where that is the whole image.
        activations: bytes that it keeps for the gradient of one image; None where the net cannot
            train on one image.
    """

    name: str
    layers: str
    output: tuple[int, ...] | None
    parameters: int
    macs: int
    receptive_field: Field
    activations: int | None


@dataclass(frozen=True)
class Summary:
    """The stages of a net, what each costs, and what breaks the budget. See :func:`summary`.

    Attributes:
        rows: one per stage, in the order of the net.
        budget: the limits asked for.
        left_out: a sentence that names the products that ``macs`` leaves out; empty without any.
        parameters, macs, activations: the totals.
    """

    rows: tuple[Row, ...]
    budget: Budget | None = None
    left_out: str = ""

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows)

    @property
    def activations(self) -> int | None:
        kept = [row.activations for row in self.rows if row.activations is not None]
        return sum(kept) if kept else None

    @property
    def _limits(self) -> dict[str, int]:
        """What the budget limits."""
        limits = {} if self.budget is None else vars(self.budget)
        return {name: limit for name, limit in limits.items() if limit}

    @property
    def excess(self) -> dict[str, int]:
        """By how much each limit is exceeded, those that are: ``{"parameters": 1234}``."""
        over = {name: getattr(self, name) - limit for name, limit in self._limits.items()}
        return {name: number for name, number in over.items() if number > 0}

    @property
    def fits(self) -> bool:
        """Whether no limit is exceeded."""
        return not self.excess

    @property
    def verdict(self) -> str:
        """What breaks the budget, by how much, and where most of it goes; then ``left_out``."""
        sentences = [self._excess_sentence(name) for name in self.excess]
        if self.budget is not None and self.fits:
            shares = [
                _("{share} of the {limit} {what}").format(
                    share=percent(getattr(self, name) / limit),
                    limit=number(limit, 15),
                    what=_cost_name(name),
                )
                for name, limit in self._limits.items()
            ]
            sentences = [
                _("The design is within the budget: it uses {shares}.").format(
                    shares=", ".join(shares)
                )
            ]
        return " ".join(filter(None, (*sentences, self.left_out)))

    def _excess_sentence(self, name: str) -> str:
        total, limit = getattr(self, name), self._limits[name]
        row = max(self.rows, key=lambda row: getattr(row, name))
        return _(
            "The design is over the budget: its {total} {what} exceed the limit of {limit} by "
            "{excess} ({share}). The largest share, {part}, is in {stage}."
        ).format(
            total=number(total, 15),
            what=_cost_name(name),
            excess=number(total - limit, 15),
            share=percent((total - limit) / limit),
            limit=number(limit, 15),
            part=percent(getattr(row, name) / total),
            stage=" ".join(filter(None, (row.name or _("elsewhere"), f"({row.layers})"))),
        )

    @property
    def table(self) -> Table:
        """One line per stage, and the totals."""
        lines = [
            [
                row.name or _("elsewhere"),
                row.layers,
                "×".join(map(str, row.output)) if row.output else "–",
                number(row.parameters, 15),
                number(row.macs, 15),
                _field(row.receptive_field),
                _kilobytes(row.activations),
            ]
            for row in self.rows
        ]
        totals = [number(self.parameters, 15), number(self.macs, 15)]
        lines.append([_("total"), "", "", *totals, "", _kilobytes(self.activations)])
        headers = [
            _("stage"),
            _("layers"),
            _("output"),
            _("parameters"),
            _("multiply-adds"),
            _("receptive field (px)"),
            _("kept for the gradient (kB per image)"),
        ]
        return Table(headers, lines)

    def __str__(self) -> str:
        return "\n".join(filter(None, (str(self.table), self.verdict)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        paragraph = f"<p>{escape(self.verdict)}</p>" if self.verdict else ""
        return self.table._repr_html_() + paragraph


def _cost_name(name: str) -> str:
    return {"parameters": _("parameters"), "macs": _("multiply-adds")}[name]


def _field(field: Field) -> str:
    """A receptive field in pixels: one number when it is square."""
    sides = [_("whole image") if math.isinf(side) else str(side) for side in field]
    return sides[0] if sides[0] == sides[1] else "×".join(sides)


def _kilobytes(count: int | None) -> str:
    return "–" if count is None else number(round(count / 1000, 1), 15)


def _layers(stage: nn.Module) -> str:
    """What a stage is made of, in a few words."""
    kinds = [type(child).__name__ for child in stage.children()]
    if type(stage) is not nn.Sequential or not kinds:
        return type(stage).__name__
    if len(set(kinds)) == 1:
        return f"{len(kinds)} × {kinds[0]}"
    return ", ".join(kinds)


def summary(model: nn.Module, shape: Sequence[int], budget: Budget | None = None) -> Summary:
    """The stages of a net with shapes, costs and receptive fields; nothing trains.

    The stages are the children of the net, and those of its child ``stages`` or ``features`` in
    their place. All numbers come from running copies of the net; the net is left as it was.

    Args:
        model: any net that takes images; those of the course, torchvision's, the reader's.
        shape: ``(C, H, W)`` of an image.
        budget: limits to judge it by.

    Returns:
        A :class:`Summary`, which a notebook shows as a table and ``print`` as text. The totals
        equal :func:`count_parameters` and :func:`count_macs`.

    Raises:
        ValueError: ``shape`` is not that of an image.
        TypeError: ``model`` is not a module, or ``budget`` not a :class:`Budget`.

    >>> from course_utils.models import cifar_net
    >>> report = summary(cifar_net(20), (3, 32, 32), Budget(parameters=250_000))
    >>> report.parameters, report.excess, report.rows[1].receptive_field
    (269722, {'parameters': 19722}, (15, 15))
    """
    checked_module(model)
    if budget is not None and not isinstance(budget, Budget):
        raise TypeError(
            _(
                "Write a budget as Budget(parameters=60_000, macs=6_000_000), not as {value!r}."
            ).format(value=budget)
        )
    shape = checked_shape(shape)
    model = getattr(model, "_orig_mod", model)
    stages = _stages(model)
    run = _Run(model)
    counted = run_counted(run.model, shape, run.stage)
    parameters = _parameters(model, stages)
    names = {module: name for name, module in model.named_modules()}
    fields = receptive_fields(model, shape, [names[stage] for stage in stages.values()])
    try:
        kept: Counter[str] | None = _kept_bytes(model, shape, 1)
    except ValueError:
        kept = None
    design = [str(spec) for spec in model.design] if isinstance(model, Composed) else []
    described = {f"stages.{position}": line for position, line in enumerate(design)}
    rows = [
        Row(
            name=name,
            layers=described.get(name) or _layers(stage),
            output=run.shapes.get(name),
            parameters=parameters[name],
            macs=counted.macs[name],
            receptive_field=fields[names[stage]],
            activations=None if kept is None else kept[name],
        )
        for name, stage in stages.items()
    ]
    left = [parameters[ELSEWHERE], counted.macs[ELSEWHERE], 0 if kept is None else kept[ELSEWHERE]]
    if any(left):
        whole = (math.inf, math.inf)
        rows.append(Row(ELSEWHERE, type(model).__name__, None, left[0], left[1], whole, left[2]))
    return Summary(tuple(rows), budget, counted.left_out)
