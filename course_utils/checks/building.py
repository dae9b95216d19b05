"""Make the module that a reader's class or function describes, or say why none comes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from course_utils.checks.feedback import is_blank, kind_of, reject, unfilled
from course_utils.i18n import _

__all__ = ["build", "double_copy", "label_of", "run", "takes"]


def label_of(name: str, *args: object, **kwargs: object) -> str:
    """A call as one writes it: what feedback calls the thing that the reader's code made.

    >>> label_of("block", 3, 8, stride=2)
    'block(3, 8, stride=2)'
    """
    written = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return f"{name}({', '.join(written)})"


def build(answer: object, name: str, *args: object, **kwargs: object) -> nn.Module:
    """Call what the reader wrote to make a module.

    Args:
        answer: the class or function.
        name: what the exercise calls it.
        args, kwargs: what to call it with.

    Raises:
        Stop: the answer is blank, or does not make a module; the feedback says why.

    >>> build(nn.ReLU, "activation")
    ReLU()
    """
    if is_blank(answer):
        unfilled(name)
    _require_forward(answer, name)
    itself = _("Pass `{name}` itself to the checker, without calling it.").format(name=name)
    if isinstance(answer, nn.Module):
        reject(_("This module is already built, and the checker builds its own."), itself)
    if not callable(answer):
        reject(
            _("The checker needs a function or a class, not a value of type `{kind}`.").format(
                kind=kind_of(answer)
            ),
            itself,
        )
    module = answer(*args, **kwargs)
    if is_blank(module):
        unfilled(name)
    if inspect.isclass(module):
        reject(
            _("`{name}` returns the class `{kind}`, not a module built from it.").format(
                name=name, kind=module.__name__
            ),
            _("A class builds a module only when you call it, with parentheses."),
        )
    if (
        type(module) in (list, tuple, nn.ModuleList)
        and len(module)
        and all(isinstance(item, nn.Module) for item in module)
    ):
        reject(
            _(
                "`{name}` returns its layers in a `{kind}`, which cannot be called on maps: "
                "return one module that runs them in turn."
            ).format(name=name, kind=kind_of(module)),
            _("`nn.Sequential` takes modules, not a list: a `*` before the list unpacks it."),
        )
    if not isinstance(module, nn.Module):
        reject(
            _(
                "`{name}` returns a value of type `{kind}`, and should return an `nn.Module`."
            ).format(name=name, kind=kind_of(module)),
            _("A class must derive from `nn.Module`; a function must `return` a module."),
        )
    _require_initialised(module, name)
    return module


def takes(function: object, name: str) -> bool:
    """Whether a function of the reader's has a parameter of this name."""
    return inspect.isfunction(function) and name in inspect.signature(function).parameters


def _require_forward(answer: object, name: str) -> None:
    """A class without ``forward`` is blank if it has no method at all; one may be misspelt."""
    if (
        not inspect.isclass(answer)
        or not issubclass(answer, nn.Module)
        or answer.forward is not nn.Module.forward
    ):
        return
    methods = [f"`{key}`" for key, value in vars(answer).items() if inspect.isfunction(value)]
    if not methods:
        unfilled(name)
    reject(
        _("`{name}` has no `forward` method, the one that runs when the module is called.").format(
            name=name
        ),
        _("Is its name spelt right? The methods here are {methods}.").format(
            methods=", ".join(methods)
        ),
    )


def _require_initialised(module: nn.Module, name: str) -> None:
    """``super().__init__()`` has been called, and torch sees every layer."""
    if "_modules" not in vars(module):
        if is_blank(type(module).forward(module, torch.zeros(1))):
            unfilled(name)
        reject(
            _("`{name}` never calls `super().__init__()`.").format(name=name),
            _("It comes first in `__init__`. Without it, torch cannot keep track of the layers."),
        )
    for inner in module.modules():
        known = set(inner.modules())
        for attribute in vars(inner).keys() - vars(nn.Module()).keys():
            value = getattr(inner, attribute)
            items = value.values() if isinstance(value, dict) else value
            if isinstance(value, list | tuple | dict) and any(
                isinstance(item, nn.Module) and item not in known for item in items
            ):
                reject(
                    _(
                        "`{name}` keeps layers in a Python {kind}, `{attribute}`, where torch "
                        "cannot see them: their weights would never be trained."
                    ).format(name=name, kind=kind_of(value), attribute=attribute),
                    _("torch has containers for layers: `nn.Sequential`, `nn.ModuleList`."),
                )


def double_copy(module: nn.Module, x: Tensor) -> nn.Module:
    """The module in float64 on the CPU, its weights its own; ``x`` lets lazy layers be made.

    >>> double_copy(nn.LazyLinear(2), torch.ones(1, 3)).weight.dtype
    torch.float64
    """
    if any(map(is_lazy, chain(module.parameters(), module.buffers()))):
        training = module.training
        module.eval()(x.float())
        module.train(training)
    return deepcopy(module).cpu().double()  # MPS has no float64: to the CPU first


def run(module: Callable[[Tensor], object], x: Tensor, label: str) -> Tensor:
    """What a module or function answers to ``x``; ends the check if it is blank or no tensor.

    >>> run(nn.ReLU(), torch.tensor([-1.0, 2.0]), "relu")
    tensor([0., 2.])
    """
    output = module(x)
    if is_blank(output):
        unfilled(label)
    if not isinstance(output, Tensor):
        reject(
            _("`{label}` returns a value of type `{kind}`, and should return a tensor.").format(
                label=label, kind=kind_of(output)
            ),
            _("Look at what your code really returns."),
        )
    return output
