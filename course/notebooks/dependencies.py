"""Which cells a cell needs: those that give the names it reads, and what these need in turn."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Names", "names_of", "needed"]


class Names(NamedTuple):
    """What a program reads from before it, and what it leaves behind it."""

    read: frozenset[str]
    bound: frozenset[str]


def names_of(source: str) -> Names:
    """The names that a cell reads before it binds them, and those that it binds or fills.

    What a function reads counts as read where it stands, unless the cell itself binds it.
    What a cell puts into a thing of an earlier one, as in ``counts["a"] = 1``, it reads and fills.

    Args:
        source: plain Python, without IPython's magics.

    Raises:
        SyntaxError: it is not Python.

    >>> cell = names_of("y = x + 1\\nfor i in range(y):\\n    counts[i] = y")
    >>> sorted(cell.read), sorted(cell.bound)
    (['counts', 'range', 'x'], ['counts', 'i', 'y'])
    """
    reader = _Reader()
    reader.visit(ast.parse(source))
    later = reader.later - reader.bound
    return Names(frozenset(reader.read | later), frozenset(reader.bound | reader.filled))


def needed(sources: Sequence[str], wanted: Iterable[int]) -> list[int]:
    """The places of the cells that some cells need to run, and their own, in order.

    Args:
        sources: the code of all cells, in order; of one that is no code, an empty text.
        wanted: the places of the cells that are to run.

    Raises:
        SyntaxError: a cell is not Python.

    >>> needed(["import math", "a = 1", "b = 2", "math.sqrt(a)"], [3])
    [0, 1, 3]
    """
    names = [names_of(source) for source in sources]
    kept = set(wanted)
    waiting = sorted(kept)
    while waiting:
        place = waiting.pop()
        for name in names[place].read:
            for before in range(place - 1, -1, -1):
                if name not in names[before].bound:
                    continue
                if before not in kept:
                    kept.add(before)
                    waiting.append(before)
                if name not in names[before].read:
                    break  # made anew here: what came before does not matter
    return sorted(kept)


class _Reader(ast.NodeVisitor):
    """Walks a program in the order in which it runs."""

    def __init__(self, known: frozenset[str] = frozenset()) -> None:
        self.known = known  # to the functions around this one
        self.read: set[str] = set()
        self.bound: set[str] = set()
        self.filled: set[str] = set()
        self.later: set[str] = set()  # by functions, when they are called

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            if node.id not in self.bound | self.known:
                self.read.add(node.id)
        else:
            self.bound.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._fill(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self.visit_Name(ast.Name(node.target.id, ast.Load()))
            self.bound.add(node.target.id)
        else:
            self._fill(node.target)

    def _fill(self, target: ast.expr) -> None:
        """Visit what is assigned to; what it is a part of is read, and filled."""
        self.visit(target)
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
            if isinstance(target, ast.Name) and target.id in self.read:
                self.filled.add(target.id)

    def visit_For(self, node: ast.For) -> None:
        self._in_turn([node.iter, node.target, *node.body, *node.orelse])

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._in_turn([node.iter, node.target, *node.ifs])

    def _comprehended(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        inner = _Reader(frozenset(self.bound | self.known))
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inner._in_turn([*node.generators, *parts])
        self._take(inner)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehended

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.bound.add(alias.asname or alias.name.split(".")[0])

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bound.add(node.name)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._in_turn(node.decorator_list)
        self.bound.add(node.name)
        self._within(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within(node.args, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._in_turn([*node.decorator_list, *node.bases, *node.keywords])
        inner = _Reader(frozenset(self.bound | self.known | {node.name}))
        inner._in_turn(node.body)
        self._take(inner)
        self.bound.add(node.name)

    def _within(self, args: ast.arguments, body: Sequence[ast.AST]) -> None:
        """The body of a function: its own names are its own, wherever in it they are bound."""
        self._in_turn([*args.defaults, *(each for each in args.kw_defaults if each)])
        own = {each.arg for each in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
        own |= {each.arg for each in (args.vararg, args.kwarg) if each}
        first = _Reader()
        first._in_turn(body)
        inner = _Reader(frozenset(self.bound | self.known | own | first.bound))
        inner._in_turn(body)
        self.later |= inner.read | inner.later

    def _take(self, inner: _Reader) -> None:
        self.read |= inner.read
        self.later |= inner.later

    def _in_turn(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)
