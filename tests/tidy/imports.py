"""Who may import whom: layers inward only, each third party in its home."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tidy import tables
from tidy.source import Finding, Source

_LAYERS_AND_FACADE = frozenset(tables.LAYERS)


@dataclass(frozen=True)
class Import:
    """One imported module or name, absolute: ``("runfold", "kernel", "fold")``."""

    node: ast.stmt
    parts: tuple[str, ...]


def imports(source: Source) -> Iterator[Import]:
    """Yield every import of ``source``, those for type checkers and inside functions too."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield Import(node, tuple(name.name.split(".")))
            case ast.ImportFrom(names=names):
                base = _absolute(source, node)
                for name in names:
                    yield Import(node, (*base, name.name))


def _absolute(source: Source, node: ast.ImportFrom) -> tuple[str, ...]:
    named = tuple(node.module.split(".")) if node.module else ()
    if not node.level:
        return named
    package = source.module if source.path.endswith("__init__.py") else source.module[:-1]
    return package[: len(package) - (node.level - 1)] + named


def check_layers(source: Source) -> Iterator[Finding]:
    """A layer imports itself and what ``LAYERS`` allows."""
    if not source.in_package:
        return
    if source.layer not in _LAYERS_AND_FACADE:
        yield source.finding(1, f"layer {source.layer!r} has no row in tables.LAYERS")
        return
    allowed = tables.LAYERS[source.layer] | {source.layer}
    for item in imports(source):
        target = _layer_of(item.parts)
        if target is not None and target not in allowed:
            text = f"{source.layer} imports {target}; it may import {_listed(allowed)}"
            yield source.finding(item.node, text)


def _layer_of(parts: tuple[str, ...]) -> str | None:
    if parts[0] != "runfold":
        return None
    if len(parts) > 1 and parts[1] in _LAYERS_AND_FACADE:
        return parts[1]
    return "facade"


def check_homes(source: Source) -> Iterator[Finding]:
    """A third party is imported only in its home."""
    for item in imports(source):
        name = item.parts[0]
        if name == "runfold" or (name in sys.stdlib_module_names and name not in tables.HOMES):
            continue
        homes = tables.HOMES.get(name)
        if homes is None:
            yield source.finding(item.node, f"{name} has no home: no row in tables.HOMES")
        elif not source.is_one_of(homes):
            yield source.finding(item.node, f"{name} is imported outside of {_listed(homes)}")


def files_importing(name: str, among: Iterable[Source]) -> list[str]:
    """Return the paths of the files that import ``name``."""
    return [s.path for s in among if any(item.parts[0] == name for item in imports(s))]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
