"""The two houses as they are built: imports run one way, and no function is too long to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = ("course_utils", "course")
LONGEST = 80

# From the ground up: a room imports from its own floor's rooms never, from those below at will.
FLOORS = (
    {"i18n", "whole"},
    {"moved"},
    {"arguments", "inference", "tables", "commands", "hosted", "answers"},
    {"datasets", "models", "head"},
    {"training", "cam", "detection", "localization"},
    {"experiments", "gradient_maps"},
    {"degradation", "session"},
    {"plots", "lesson"},
    {"diagrams", "checks", "explorer"},
    {"cli"},
    {"__main__"},
)
TOOLS = {
    "course",
    "papermill",
    "nbformat",
    "nbclient",
    "nbconvert",
    "jupyterlab",
    "sphinx",
    "babel",
}


def files(house: str) -> Iterator[Path]:
    yield from sorted((ROOT / house).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for house in HOUSES for path in files(house)}


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def test_every_room_has_a_floor_and_imports_from_the_floors_below() -> None:
    floor = {name: number for number, rooms in enumerate(FLOORS) for name in rooms}
    upwards = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        if name.startswith("course_utils.")
        for other in imported(path)
        if other.startswith("course_utils.")
        and room(other) != room(name)
        and floor[room(other)] >= floor[room(name)]
    ]
    assert upwards == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        name: {other for other in imported(path) if other in MODULES and other != name}
        for name, path in MODULES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_package_does_without_the_tools_of_the_repository() -> None:
    strangers = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        if name.split(".")[0] == "course_utils"
        for other in imported(path)
        if other.split(".")[0] in TOOLS
    ]
    assert strangers == []


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


@pytest.mark.parametrize("house", HOUSES)
def test_a_function_fits_on_a_screen_and_a_half(house: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name} has {length} lines"
        for path in files(house)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)) > LONGEST
    ]
    assert long == []
