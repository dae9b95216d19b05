"""Run a model without leaving a trace, and see each operation that torch carries out for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["OperationWatcher", "evaluating", "kept_random_state"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradient within; then every module's own mode is as before.

    The modes are set one by one: ``train()`` and ``eval()`` may be overridden and do more.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, mode in modes:
            if mode:  # setting an attribute of a module is slow
                module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            if module.training != mode:
                module.training = mode


@contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """Leave torch's generators as they were, even if the model draws random numbers."""
    mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


class OperationWatcher(TorchDispatchMode):
    """Within, ``watch`` is told of every operation that torch carries out, and of its output.

    Modules, functions, traced and exported networks all come down to the same operations, such as
    ``aten.addmm.default``; compiled code does not. One that is made of others is taken apart: in
    inference mode, a linear layer would else arrive in one piece.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._simple: set[Any] = set()

    def watch(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        """One operation: the function with its types, the arguments, what came out."""
        raise NotImplementedError

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self._simple:
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
            self._simple.add(func)
        output = func(*args, **kwargs)
        self.watch(func, args, kwargs, output)
        return output
