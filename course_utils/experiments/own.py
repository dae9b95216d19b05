"""Networks that the reader wrote in a notebook, as text that any worker can run.

A spec that trains such a net carries its source: the record belongs to that text, word for word,
and is never taken for one of the course's; a process that has never seen the notebook can run it.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from course_utils.i18n import _, say
from course_utils.models.blocks import draw_seed, initialise

__all__ = ["build_own", "check_own", "own", "own_or"]


def own(builder: Callable[..., nn.Module], **arguments: Any) -> dict[str, Any]:
    """The fields of :func:`~course_utils.experiments.grid` that train the reader's own net.

    What the function uses and the notebook defines – functions, classes, plain values, imports –
    goes along, as source.

    Args:
        builder: a function or a class of the notebook, called as ``builder(depth)``, with
            ``in_channels=…`` and ``num_classes=…`` where it has parameters of these names.
        arguments: others that it is called with, as ``growth_rate=12``: numbers, strings, lists.

    Returns:
        ``families`` and ``family_options``.

    Raises:
        ValueError: its source cannot be found, or it uses something that cannot be written down;
            the sentence names it.
        TypeError: ``builder`` is not a function or a class.
    """
    if not (inspect.isfunction(builder) or inspect.isclass(builder)):
        raise TypeError(
            _("A network of your own is a function or a class, not {value!r}.").format(
                value=builder
            )
        )
    options = {"builder": builder.__name__, "source": _Source(builder).text()}
    return {"families": ["own"], "family_options": arguments | options}


class _Source:
    """The text of a function or a class, after that of all it uses in its own module."""

    def __init__(self, builder: Any) -> None:
        self.module = sys.modules[builder.__module__]
        self.imports: dict[str, str] = {}
        self.parts: dict[str, str] = {}  # in the order in which they have to be run
        self._being_added: set[str] = set()
        self._add(builder.__name__, builder)

    def text(self) -> str:
        return "\n\n\n".join(["\n".join(sorted(self.imports.values())), *self.parts.values()])

    def _add(self, name: str, value: Any) -> None:
        if name in self._being_added:
            return
        self._being_added.add(name)
        if isinstance(value, ModuleType):
            self.imports[name] = f"import {value.__name__} as {name}"
        elif getattr(value, "__module__", None) == self.module.__name__ and (
            inspect.isfunction(value) or inspect.isclass(value)
        ):
            self._add_definition(name, value)
        elif (home := _home(value)) is not None:
            self.imports[name] = f"from {home} import {value.__name__} as {name}"
        else:
            self._add_value(name, value)

    def _add_definition(self, name: str, value: Any) -> None:
        node, lines = _definition(value)
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        text = "\n".join(lines[first - 1 : node.end_lineno])
        for used in _names(compile(text, name, "exec")):
            if used in vars(self.module) and not used.startswith("__"):
                self._add(used, vars(self.module)[used])
        self.parts[name] = text if node.name == name else f"{text}\n\n\n{name} = {node.name}"

    def _add_value(self, name: str, value: Any) -> None:
        try:
            if ast.literal_eval(repr(value)) != value:
                raise ValueError
        except (ValueError, SyntaxError):
            raise ValueError(
                _(
                    "Your network uses {name}, of type {type}, which cannot be copied to "
                    "another process: create it inside your function, or pass it as an argument."
                ).format(name=name, type=type(value).__name__)
            ) from None
        self.parts[name] = f"{name} = {value!r}"


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definition(value: Any) -> tuple[Definition, list[str]]:
    """The last definition of a function or a class in its cell or file, and the lines of these."""
    code = next(
        (
            inspect.unwrap(member).__code__
            for member in (value, *vars(value).values())
            if inspect.isfunction(inspect.unwrap(member))
        ),
        None,
    )
    lines = [] if code is None else linecache.getlines(code.co_filename)
    text = "".join(line if line.lstrip()[:1] not in ("%", "!") else "\n" for line in lines)
    found = [
        node
        for node in ast.parse(text).body
        if isinstance(node, Definition) and node.name == value.__name__
    ]
    if not found:
        raise ValueError(
            _(
                "The source of {name} cannot be found: define it in a cell of the notebook, with "
                "def or class, not inside another function."
            ).format(name=value.__name__)
        )
    return found[-1], text.splitlines()


def _home(value: Any) -> str | None:
    """A module from which a function or a class can be imported under its own name."""
    name = getattr(value, "__name__", None)
    for home in (getattr(value, "__module__", None), "torch"):
        if name and home in sys.modules and getattr(sys.modules[home], name, None) is value:
            return home
    return None


def _names(code: CodeType) -> Iterator[str]:
    """The names that are looked up outside, in the code and in the functions within it."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def check_own(builder: str, source: str) -> None:
    """Refuse a source without the builder, before anything of it is run.

    Raises:
        ValueError: there is none, it is no Python, or it does not define ``builder``.
    """
    if not (builder and source):
        raise ValueError(
            _(
                'The family "own" needs two options, builder and source: write '
                "grid(**own(your_function), …) in a notebook."
            )
        )
    try:
        defined = [getattr(node, "name", None) for node in ast.parse(source).body]
    except SyntaxError as error:
        raise ValueError(
            _("The source of your network is not Python ({error}).").format(error=error)
        ) from error
    if builder not in defined:
        raise ValueError(
            _("The source of your network does not define {name}.").format(name=builder)
        )


def build_own(
    depth: int, *, builder: str, source: str, in_channels: int, num_classes: int, **arguments: Any
) -> nn.Module:
    """Run a source and have its builder make a net, with He's initial weights.

    The weights are drawn as those of :func:`~course_utils.models.cifar_net` are: a net that is
    equal to it starts from the same ones.

    Raises:
        TypeError: what the builder makes is not a module.
        ValueError: its layers do not know their sizes.
    """
    seed = draw_seed()
    module = ModuleType("own_network")
    exec(compile(source, "<your network>", "exec"), vars(module))
    make = vars(module)[builder]
    sizes: Mapping[str, int] = {"in_channels": in_channels, "num_classes": num_classes}
    taken = inspect.signature(make).parameters
    with torch.random.fork_rng(devices=[]):
        net = make(depth, **arguments, **{name: sizes[name] for name in sizes if name in taken})
    if net is ... or net is None:
        raise TypeError(_("it does not return anything yet"))
    if not isinstance(net, nn.Module):
        raise TypeError(
            _("{name}({depth}) must return an nn.Module, and returns {value!r}.").format(
                name=builder, depth=depth, value=net
            )
        )
    if any(map(is_lazy, net.parameters())):
        raise ValueError(
            _("{name} has lazy layers: give each its number of input channels.").format(
                name=builder
            )
        )
    initialise(net, seed)
    return net


def own_or(
    builder: Callable[..., nn.Module],
    course: Mapping[str, Any],
    *,
    depth: int,
    images: Tensor,
    num_classes: int,
    **arguments: Any,
) -> dict[str, Any]:
    """The fields that train the reader's own net if it answers, and else those of the course's.

    Which of the two it is, and why, is printed: a figure drawn from the records is worth what its
    network was.

    Args:
        builder: see :func:`own`; it may not be written yet.
        course: the fields to take instead.
        depth: one that the net is tried at.
        images: ``(B, C, H, W)``, a few to try it on.
        num_classes: length of its answer.
        arguments: see :func:`own`.
    """
    name = getattr(builder, "__name__", repr(builder))
    try:
        fields = own(builder, **arguments)
        sizes = {"in_channels": images.shape[1], "num_classes": num_classes}
        answer = build_own(depth, **fields["family_options"] | sizes)(images)
        if getattr(answer, "shape", None) != (len(images), num_classes):
            raise ValueError(
                _("it does not return {number} logits per image").format(number=num_classes)
            )
    except Exception as error:  # the function is the reader's: anything may go wrong in it
        say(
            _(
                "{name} cannot be trained yet ({error}): the course's network takes its place."
            ).format(name=name, error=error)
        )
        return dict(course)
    say(_("Your {name} is the network that is trained.").format(name=name))
    return fields
