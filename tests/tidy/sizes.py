"""How long, wide and deep a piece of source may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tidy import tables
from tidy.source import Finding, Source, docstring_lines, functions

_DEEPENING = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def check_file_lines(source: Source) -> Iterator[Finding]:
    """A file has at most ``FILE_LINES_MAX`` lines."""
    lines = len(source.text.splitlines())
    if lines > tables.FILE_LINES_MAX:
        yield source.finding(lines, f"file of {lines} lines; at most {tables.FILE_LINES_MAX}")


def check_line_columns(source: Source) -> Iterator[Finding]:
    """A line has at most ``LINE_COLUMNS_MAX`` columns."""
    for number, line in enumerate(source.text.splitlines(), start=1):
        if len(line) > tables.LINE_COLUMNS_MAX:
            text = f"line of {len(line)} columns; at most {tables.LINE_COLUMNS_MAX}"
            yield source.finding(number, text)


def check_function_lines(source: Source) -> Iterator[Finding]:
    """A function has at most ``FUNCTION_LINES_MAX`` lines, its docstring not counted."""
    for node in functions(source.tree):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
        if lines > tables.FUNCTION_LINES_MAX:
            text = f"{node.name} has {lines} lines; at most {tables.FUNCTION_LINES_MAX}"
            yield source.finding(node, text)


def check_positional(source: Source) -> Iterator[Finding]:
    """A function takes at most ``POSITIONAL_MAX`` positional parameters, self aside."""
    for node in functions(source.tree):
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        count = len(names) - (names[:1] in (["self"], ["cls"]))
        if count > tables.POSITIONAL_MAX:
            text = f"{node.name} takes {count} by position; at most {tables.POSITIONAL_MAX}"
            yield source.finding(node, text)


def check_nesting(source: Source) -> Iterator[Finding]:
    """A statement stands inside at most ``NESTING_MAX`` others of its function."""
    for node in functions(source.tree):
        depth, deepest = _depth(node, 0)
        if depth > tables.NESTING_MAX:
            text = f"{node.name} nests {depth} deep; at most {tables.NESTING_MAX}"
            yield source.finding(deepest, text)


def _depth(node: ast.AST, depth: int) -> tuple[int, ast.AST]:
    deepest: tuple[int, ast.AST] = (depth, node)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            continue
        deeper = isinstance(child, _DEEPENING) and not _is_elif(node, child)
        deepest = max(deepest, _depth(child, depth + deeper), key=lambda found: found[0])
    return deepest


def _is_elif(parent: ast.AST, child: ast.AST) -> bool:
    return (
        isinstance(parent, ast.If)
        and isinstance(child, ast.If)
        and parent.orelse == [child]
        and child.col_offset == parent.col_offset
    )


def check_public_names(source: Source) -> Iterator[Finding]:
    """A module offers at most ``PUBLIC_NAMES_MAX`` names."""
    if source.is_one_of(tables.MANY_NAMES):
        return
    names = [name for name in _names(source.tree) if not name.startswith("_")]
    if len(names) > tables.PUBLIC_NAMES_MAX:
        text = f"{len(names)} public names; at most {tables.PUBLIC_NAMES_MAX}: {', '.join(names)}"
        yield source.finding(1, text)


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
