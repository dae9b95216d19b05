"""Says where to import from now what lay elsewhere in version 0.1, instead of that it is not there.

Python asks the finders of ``sys.meta_path`` for a module; the one here comes last, and knows the
old names alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from course_utils.i18n import _

__all__ = ["MODULES", "install", "moved_name"]

EXPERIMENTS = (
    *("ablation", "claims", "estimating", "families", "interrupting", "processes", "progress"),
    *("record", "running", "spec", "store", "sweeping"),
)
TOOLS = "course, the package of the repository's own tools"
MODULES = {
    **{f"degradation.{name}": f"course_utils.experiments.{name}" for name in EXPERIMENTS},
    "degradation.engines": "course_utils.experiments.engines and course_utils.experiments.clusters",
    "authoring": TOOLS,
    "course": TOOLS,
    "datasets.options": "course_utils.arguments",
    "location": TOOLS,
    "models.composing": "course_utils.models.design and course_utils.models.stages",
    "pages": TOOLS,
    "profiles": TOOLS,
    "sheets": "course_utils.datasets.digit_sheets and course_utils.detection",
    "site": TOOLS,
    "suite": TOOLS,
    "sweeps": "course_utils.cli.sweep and course_utils.experiments",
    "usage": "course_utils.commands",
}
"""The modules of version 0.1 that moved, and where to."""


class _Moved(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _dot, inside = name.partition(".")
        if package == "course_utils" and inside in MODULES:
            # Not ModuleNotFoundError, which `from package import module` would put in other words.
            raise ImportError(
                _("{old} has moved: import it from {new}.").format(old=name, new=MODULES[inside])
            )
        return None


def install() -> None:
    """Let the finder answer, once a process."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())


def moved_name(module: str, name: str, new: dict[str, str]) -> Exception:
    """What a module's ``__getattr__`` raises for a name that it has not, or no longer has."""
    if name in new:
        return ImportError(
            _("{old} has moved: import it from {new}.").format(
                old=f"{module}.{name}", new=new[name]
            ),
            name=module,
        )
    return AttributeError(f"module {module!r} has no attribute {name!r}")
