"""Names, docstrings, and the few statements that are allowed in few places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from tidy import tables
from tidy.source import Finding, Source

_BROAD = {"Exception", "BaseException"}
_TASK_STARTERS = {"create_task", "ensure_future"}


def check_module_name(source: Source) -> Iterator[Finding]:
    """No file or folder is called utils, helpers, manager or common."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part.split("_")[-1] in tables.BANNED_MODULES:
            yield source.finding(1, f"{part!r} says nothing; name what it is about")


def check_module_docstring(source: Source) -> Iterator[Finding]:
    """A module says what it is for and what always holds."""
    if not ast.get_docstring(source.tree):
        yield source.finding(1, "module without a docstring")


def check_public_docstrings(source: Source) -> Iterator[Finding]:
    """Public functions and classes of a module have docstrings."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in source.tree.body:
        if not isinstance(node, kinds) or node.name.startswith("_") or _is_overload(node):
            continue
        if not ast.get_docstring(node):
            yield source.finding(node, f"{node.name} has no docstring")


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(mark).endswith("overload") for mark in node.decorator_list)


def check_create_task(source: Source) -> Iterator[Finding]:
    """Tasks are started in one place, so that none outlives the block that started it."""
    if source.is_one_of(tables.CREATE_TASK):
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
                if name in _TASK_STARTERS:
                    text = f"{name} outside of {', '.join(tables.CREATE_TASK)}"
                    yield source.finding(node, text)


def check_broad_except(source: Source) -> Iterator[Finding]:
    """``except Exception`` raises again, or stands in a file that says why it need not."""
    if source.is_one_of(tables.BROAD_EXCEPT):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node):
            yield source.finding(node, "catches everything; tables.BROAD_EXCEPT has no reason")


def _is_broad(node: ast.ExceptHandler) -> bool:
    if node.type is None:
        return True
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(isinstance(name, ast.Name) and name.id in _BROAD for name in caught)


def _raises_again(node: ast.ExceptHandler) -> bool:
    return isinstance(node.body[-1], ast.Raise)


def check_forever(source: Source) -> Iterator[Finding]:
    """``while True`` stands only where a loop is meant to outlive its work."""
    if source.is_one_of(tables.FOREVER):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
            yield source.finding(node, "loops without a bound; tables.FOREVER has no reason")
