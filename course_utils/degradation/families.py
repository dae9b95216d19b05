"""The nets that an experiment can train, by name: the course's own and the reader's."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from course_utils.i18n import _
from course_utils.models.cifar import blocks_per_stage, cifar_net
from course_utils.models.densenet import densenet, layers_per_block

__all__ = ["FAMILIES", "Builder", "Family", "family"]

Builder = Callable[..., nn.Module]
"""Called as ``builder(depth, in_channels=…, num_classes=…, **family_options)``."""


@dataclass(frozen=True)
class Family:
    """A builder of nets, and what refuses a depth that it cannot build with these options."""

    build: Builder
    check_depth: Callable[..., object]


def _plain(depth: int, **options: Any) -> nn.Module:
    return cifar_net(depth, shortcut=None, **options)


def _residual(depth: int, **options: Any) -> nn.Module:
    return cifar_net(depth, **{"shortcut": "A", **options})


def _dense(depth: int, **options: Any) -> nn.Module:
    return densenet(depth, **{"growth_rate": 12, **options})


def _depth_in_stages(depth: int, /, **_others: Any) -> None:
    blocks_per_stage(depth)


def _depth_in_dense_blocks(depth: int, /, bottleneck: bool = True, **_others: Any) -> None:
    layers_per_block(depth, bottleneck)


def _any_depth(depth: int, /, **_options: Any) -> None:
    """A reader's own net says itself what depths it has."""


FAMILIES: dict[str, Family] = {
    "plain": Family(_plain, _depth_in_stages),
    "residual": Family(_residual, _depth_in_stages),
    "dense": Family(_dense, _depth_in_dense_blocks),
}

_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def family(name: str) -> Family:
    """The family called ``name``: a registered one, or the reader's own ``"module:function"``.

    Raises:
        ValueError: no such family, module or function.

    >>> family("plain").build(8, in_channels=1, num_classes=10).depth
    8
    """
    if name in FAMILIES:
        return FAMILIES[name]
    if not _OWN.fullmatch(name) or name.startswith("__main__:"):
        raise ValueError(
            _(
                "No family {name!r}: choose one of {known}, or name a function of your own as "
                '"module:function", written in a file module.py beside the notebook.'
            ).format(name=name, known=", ".join(map(repr, FAMILIES)))
        )
    module_name, function_name = name.split(":")
    importlib.invalidate_caches()  # the notebook may have written the file a moment ago
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        if not callable(function):
            raise TypeError(_("it is not a function"))
    except Exception as error:  # the module is the reader's: anything may go wrong in it
        raise ValueError(
            _(
                "The family {name!r} cannot be imported ({kind}: {error}). Write the function in "
                "a file {module}.py beside the notebook, so that every process can import it."
            ).format(name=name, kind=type(error).__name__, error=error, module=module_name)
        ) from error
    return Family(function, _any_depth)
