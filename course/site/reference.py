"""The pages of the reference: every public name once, where readers import it from."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

import course_utils
from course_utils.i18n import _

__all__ = ["public_names", "reader_groups", "write_reference"]


def public_names() -> dict[str, list[str]]:
    """The names of each module of ``course_utils``, each name under one module only.

    A name that a package takes over from a module in it belongs to the package, which is what the
    lessons import it from; a module that is left without any name is not listed.

    >>> names = public_names()
    >>> "cifar_net" in names["course_utils.models"]
    True
    >>> "cifar_net" in names["course_utils.models.cifar"]
    False
    """
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(course_utils.__path__, "course_utils.")
        if not found.name.endswith(".__main__")
    ]
    # The shortest path first; among equals, in the order of the alphabet.
    modules.sort(key=lambda module: (module.__name__.count("."), module.__name__))
    seen: set[tuple[str, int]] = set()
    answer: dict[str, list[str]] = {}
    for module in modules:
        for name in sorted(getattr(module, "__all__", ()), key=str.lower):
            value = getattr(module, name)
            if isinstance(value, ModuleType) or (name, id(value)) in seen:
                continue
            seen.add((name, id(value)))
            answer.setdefault(module.__name__, []).append(name)
    return dict(sorted(answer.items()))


def write_reference(folder: Path) -> None:
    """Write the sources of the reference: an index, and a page for each module or package.

    The page of a package begins with what the package itself gives, and goes on with its modules.

    Args:
        folder: where to write them; it is made.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True)
    pages: dict[str, dict[str, list[str]]] = {}
    for module, names in public_names().items():
        pages.setdefault(".".join(module.split(".")[:2]), {})[module] = names
    for page, modules in pages.items():
        (folder / f"{page}.rst").write_text(_page(page, modules), encoding="utf-8")
    (folder / "index.rst").write_text(_index(pages), encoding="utf-8")


def reader_groups() -> dict[str, tuple[str, ...]]:
    """The pages of the reference by what a reader wants to do, in the order to show them."""
    return {
        _("Load images"): ("datasets",),
        _("Build and count networks"): ("models", "head"),
        _("Train and evaluate"): ("training", "inference"),
        _("See where a network looks"): (
            "cam",
            "gradient_maps",
            "explorer",
            "localization",
            "detection",
        ),
        _("Run experiments and judge them"): ("degradation", "experiments"),
        _("Draw and tabulate"): ("plots", "diagrams", "tables"),
        _("Work on a lesson"): ("lesson", "hosted", "checks", "session", "answers"),
        _("Write a helper"): ("arguments", "i18n", "whole", "moved", "commands", "cli"),
    }


def _index(pages: Iterable[str]) -> str:
    left = set(pages)
    lines = [
        *_heading(_("Reference of course_utils"), "="),
        _("What the lessons call, from the documentation in the code, which is in English."),
        "",
    ]
    for purpose, names in reader_groups().items():
        group = [page for name in names if (page := f"course_utils.{name}") in left]
        left -= set(group)
        lines += _heading(purpose, "-") if group else []
        for page in group:
            summary = (inspect.getdoc(importlib.import_module(page)) or "").partition("\n")[0]
            lines += [f":doc:`{page}`", f"   {summary}", ""]
    if left:
        raise ValueError(
            _("The reference has no group for {pages}: add them to reader_groups.").format(
                pages=", ".join(sorted(left))
            )
        )
    lines += [".. toctree::", "   :hidden:", ""]
    lines += [f"   {page}" for page in pages]
    return "\n".join(lines) + "\n"


def _page(page: str, modules: Mapping[str, list[str]]) -> str:
    lines = _heading(page, "=")
    for module, names in {page: [], **modules}.items():
        if module != page:
            lines += _heading(module, "-")
        lines.append(f".. automodule:: {module}")
        package, _dot, last = module.rpartition(".")
        if last in getattr(importlib.import_module(package), "__all__", ()):
            # The package has a function of that name, and the address is the function's.
            lines.append("   :no-index:")
        lines.append("")
        for name in names:
            lines += [*_directive(module, name), ""]
    return "\n".join(lines)


def _directive(module: str, name: str) -> list[str]:
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return [f".. {kind}:: {module}::{name}", "   :members:"]
    if inspect.isroutine(value):
        return [f".. autofunction:: {module}::{name}"]
    # Of a constant, autodoc would show the documentation of its type.
    return [f".. py:data:: {name}", f"   :module: {module}"]


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]
