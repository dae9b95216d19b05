"""What the experiment is by default and with each profile, for lesson 3 and for ``sweep``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.arguments import one_of
from course_utils.experiments.spec import Spec, grid

__all__ = ["parameters", "specs_of"]

PROFILES = Path(__file__).with_name("profiles.toml")
FAMILIES = ("plain", "residual")


def parameters(profile: str | None = None) -> dict[str, Any]:
    """What lesson 3 sweeps with this profile, or without one: data, depths, seeds, epochs, recipe.

    Raises:
        ValueError: no such profile.

    >>> parameters("quick")["depths"]
    [8, 20]
    """
    tables = tomllib.loads(PROFILES.read_text(encoding="utf-8"))
    default = tables.pop("default")
    if profile is None:
        return default
    return default | tables[one_of("profile", profile, tuple(tables))]


def specs_of(
    profile: str | None = None,
    *,
    families: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
    family_options: Mapping[str, Any] | None = None,
    **said: Any,
) -> list[Spec]:
    """The grid of a profile, or lesson 3's own, with what the reader said in the place of it.

    Args:
        profile: its name.
        families: those of the nets; plain and residual by default.
        settings: fields of :class:`~course_utils.degradation.Spec`, by name.
        dataset_options: replace those of the profile one by one, unless ``dataset`` is another.
        family_options: of every family.
        said: ``dataset``, ``depths``, ``seeds``, ``epochs``, ``steps``, ``device``,
            ``precision``, ``threads``; one that is None was not said.

    Raises:
        ValueError, TypeError: a value that :func:`course_utils.degradation.grid` refuses.

    >>> [str(spec) for spec in specs_of("quick", families=["plain"], seeds=[3])]
    ['plain-8, seed 3', 'plain-20, seed 3']
    """
    fields = parameters(profile)
    fields |= fields.pop("recipe")
    options = fields.pop("dataset_options")
    own = {name: value for name, value in said.items() if value is not None}
    own |= settings or {}
    if own.keys() & {"epochs", "steps"}:  # either takes the place of both
        fields["epochs"] = fields["steps"] = None
    if own.get("dataset", fields["dataset"]) != fields["dataset"]:
        options = {}
    for name, given in (("dataset_options", dataset_options), ("family_options", family_options)):
        own[name] = {**own.get(name, {}), **(given or {})}
    own["dataset_options"] = {**options, **own["dataset_options"]}
    return grid(families=families or FAMILIES, **{**fields, **own})
