"""What a pure layer must not have: waiting, a clock, chance, I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tidy import tables
from tidy.imports import imports
from tidy.source import Finding, Source

_WAITING = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def check_no_waiting(source: Source) -> Iterator[Finding]:
    """A pure layer has no ``async`` and no ``await``."""
    for node in _pure_nodes(source):
        if isinstance(node, _WAITING):
            yield source.finding(node, f"pure layer {source.layer} waits: async or await")


def check_no_impure_import(source: Source) -> Iterator[Finding]:
    """A pure layer imports nothing that reads a clock, rolls dice or does I/O."""
    if source.layer not in tables.PURE or not source.in_package:
        return
    for item in imports(source):
        brought = tables.IMPURE_IMPORTS.get(item.parts[0])
        if brought is None and item.parts[0] != "runfold" and len(item.parts) > 1:
            brought = tables.IMPURE_NAMES.get(item.parts[-1])
        if brought is not None:
            name = ".".join(item.parts)
            yield source.finding(item.node, f"pure layer {source.layer} imports {brought}: {name}")


def check_no_impure_call(source: Source) -> Iterator[Finding]:
    """A pure layer asks nobody for the time or for a random number."""
    for node in _pure_nodes(source):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)):
                brought = tables.IMPURE_NAMES.get(name)
            case ast.Call(func=ast.Name(id=name)):
                brought = tables.IMPURE_BUILTINS.get(name)
            case _:
                continue
        if brought is not None:
            yield source.finding(node, f"pure layer {source.layer} calls {brought}: {name}()")


def _pure_nodes(source: Source) -> Iterator[ast.AST]:
    if source.in_package and source.layer in tables.PURE:
        yield from ast.walk(source.tree)
