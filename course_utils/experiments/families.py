"""The nets that an experiment can train, by name: the course's own and the reader's."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from course_utils.experiments.own import build_own, check_own
from course_utils.i18n import _
from course_utils.models.cifar import blocks_per_stage, cifar_net
from course_utils.models.densenet import densenet, layers_per_block
from course_utils.models.design import (
    as_options,
    channel_trace,
    compose,
    design_depth,
    from_options,
)
from course_utils.models.stages import StageSpec

__all__ = ["FAMILIES", "Builder", "Family", "check_net", "composed", "family", "net_name"]

Builder = Callable[..., nn.Module]
"""Called as ``builder(depth, in_channels=…, num_classes=…, **family_options)``."""


@dataclass(frozen=True)
class Family:
    """A builder of nets, with what is known of it before any net is built.

    Attributes:
        build: makes a net.
        check_depth: called with a depth and the options, refuses what cannot be built.
        options: their names; None where only the builder knows them.
    """

    build: Builder
    check_depth: Callable[..., object]
    options: tuple[str, ...] | None = None


def _plain(depth: int, **options: Any) -> nn.Module:
    return cifar_net(depth, shortcut=None, **options)


def _residual(depth: int, **options: Any) -> nn.Module:
    return cifar_net(depth, **{"shortcut": "A", **options})


def _dense(depth: int, **options: Any) -> nn.Module:
    return densenet(depth, **{"growth_rate": 12, **options})


def _composed(depth: int, *, design: Iterable[str], **options: Any) -> nn.Module:
    return compose(from_options(design), **options)


def _options_of(builder: Builder, *fixed: str) -> tuple[str, ...]:
    """The options of a builder, but for those that the family has ``fixed``."""
    return tuple(
        name
        for name in inspect.signature(builder).parameters
        if name not in ("depth", "in_channels", "num_classes", *fixed)
    )


def _depth_in_stages(depth: int, /, **_others: Any) -> None:
    blocks_per_stage(depth)


def _depth_in_dense_blocks(depth: int, /, bottleneck: bool = True, **_others: Any) -> None:
    layers_per_block(depth, bottleneck)


def _depth_of_design(depth: int, /, design: Iterable[str] = (), **others: Any) -> None:
    if others or not design or isinstance(design, str):
        raise ValueError(
            _(
                'The family "composed" has one option, the lines of a design: write '
                "Spec(seed=0, **composed([conv(16), gap_head()]))."
            )
        )
    lines = from_options(design)
    channel_trace(lines, in_channels=1)  # refuses now what could not be built then
    needed = design_depth(lines)
    if depth != needed:
        raise ValueError(
            _(
                "The longest path of the design has {needed} weight layers, but the depth asked "
                "for is {depth}: give the depth of the design."
            ).format(needed=needed, depth=depth)
        )


def _any_depth(depth: int, /, **_options: Any) -> None:
    """A reader's own net says itself what depths it has."""


def _checked_source(depth: int, /, builder: str = "", source: str = "", **_others: Any) -> None:
    check_own(builder, source)


FAMILIES: dict[str, Family] = {
    "plain": Family(_plain, _depth_in_stages, _options_of(cifar_net, "shortcut")),
    "residual": Family(_residual, _depth_in_stages, _options_of(cifar_net)),
    "dense": Family(_dense, _depth_in_dense_blocks, _options_of(densenet)),
    "composed": Family(_composed, _depth_of_design),
    "own": Family(build_own, _checked_source),
}


def net_name(name: str, depth: int | None = None) -> str:
    """A family, or its net of some depth, as the reader's language calls it.

    Args:
        name: of the family; one of the reader's own keeps it.
        depth: of the net.

    >>> from course_utils.i18n import speaking
    >>> with speaking("fr"):
    ...     net_name("plain", 56)
    'ordinaire-56'
    """
    words = {
        "plain": _("plain"),
        "residual": _("residual"),
        "dense": _("dense"),
        "composed": _("composed"),
        "own": _("own"),
    }
    word = words.get(name, name)
    return word if depth is None else f"{word}-{depth}"


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
                "There is no family {name!r}: choose one of {known}, or name a function of your "
                'own as "module:function", written in a file module.py beside the notebook.'
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


def check_net(name: str, depth: int, options: Mapping[str, Any]) -> None:
    """Refuse a net that cannot be built, as far as can be told without building it.

    Raises:
        ValueError: no such family, or none of that depth.
        TypeError: an option that the family does not have.

    >>> check_net("residual", 20, {"shortcut": "B"})
    """
    chosen = family(name)
    for option in options:
        if chosen.options is not None and option not in chosen.options:
            raise TypeError(
                _(
                    'The family "{name}" has no option {option!r}: its options are {options}.'
                ).format(name=name, option=option, options=", ".join(chosen.options))
            )
    chosen.check_depth(depth, **options)


def composed(design: Iterable[StageSpec]) -> dict[str, Any]:
    """The fields of a :class:`~course_utils.degradation.Spec` that train the net of a design.

    >>> from course_utils.degradation import Spec
    >>> from course_utils.models.stages import conv, gap_head
    >>> str(Spec(seed=0, **composed([conv(16), gap_head()])))
    'composed-2, seed 0'
    """
    lines = as_options(design)
    return {
        "family": "composed",
        "depth": design_depth(from_options(lines)),
        "family_options": {"design": lines},
    }
