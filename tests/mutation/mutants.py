"""Small wrong changes to a module, one at a time, as syntax trees ready to be compiled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Words for people are held by snapshots of whole texts; annotations and asserts do nothing at run time.
_LEFT_OUT = (ast.Assert, ast.Raise, ast.JoinedStr, ast.arguments, ast.AnnAssign)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    Parameters
    ----------
    place
        The function or class that it is in, with dots.
    tree
        The whole module, changed.
    """

    path: Path
    place: str
    line: int
    change: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.path} {self.place}: {self.change}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a module, from top to bottom."""
    text = path.read_text(encoding="utf-8")
    number = 0
    while True:
        changer = _Changer(number)
        tree = changer.module(text)
        if changer.change is None:
            return
        place, line, change = changer.change
        yield Mutant(path, place, line, change, ast.fix_missing_locations(tree))
        number += 1


class _Changer(ast.NodeTransformer):
    """Makes the change with a number, and counts the others."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._place: list[str] = []
        self.change: tuple[str, int, str] | None = None

    def module(self, text: str) -> ast.Module:
        """The module, with the change in it if there are that many."""
        tree = ast.parse(text)
        tree.body = [self.visit(statement) for statement in tree.body]  # type: ignore[misc]
        return tree

    def _changed(self, node: ast.AST, new: ast.AST) -> bool:
        """Whether this is the change to make."""
        self._left -= 1
        if self._left != -1:
            return False
        before, after = (" ".join(ast.unparse(one).split()) for one in (node, new))
        said = (
            f"{before} -> {after}"
            if len(before) + len(after) < 160
            else f"{before[:90]}... -> {after[:90]}..."
        )
        placed = node.target if isinstance(node, ast.comprehension) else node
        self.change = (".".join(self._place) or "module", placed.lineno, said)  # type: ignore[attr-defined]
        return True

    def visit(self, node: ast.AST) -> ast.AST:
        if self.change is not None or isinstance(node, _LEFT_OUT):
            return node
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self._place.append(node.name)
            node.body = [self.visit(statement) for statement in node.body]  # type: ignore[misc]
            self._place.pop()
            return node
        for new in _changes(node):
            if self._changed(node, new):
                return ast.copy_location(new, node)
        return self.generic_visit(node)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What `node` could be instead."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            ops = [*node.ops[:index], _OPPOSITES[type(operator)](), *node.ops[index + 1 :]]
            yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr):
            turned = ast.UnaryOp(ast.Not(), node.test)
            fields = {name: getattr(node, name) for name in node._fields}
            yield type(node)(**{**fields, "test": turned})
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            rest = node.ifs[:index] + node.ifs[index + 1 :]
            yield ast.comprehension(node.target, node.iter, rest, node.is_async)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield ast.Call(ast.Name(_CALLS[node.func.id], ast.Load()), node.args, node.keywords)
    elif isinstance(node, ast.AugAssign | ast.Continue) or _is_call(node):
        yield ast.Pass()


def _is_call(node: ast.AST) -> bool:
    """Whether it is a statement that does something, and no docstring."""
    return isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield)
