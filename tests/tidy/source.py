"""The files under check, and what a check reports about them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "src/runfold"


@dataclass(frozen=True)
class Finding:
    """One broken rule, in the form that editors make clickable."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Source:
    """One Python file: its path relative to the repository, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def module(self) -> tuple[str, ...]:
        """The dotted name in parts: ``("runfold", "flow", "graph")``; empty outside of src."""
        path = PurePosixPath(self.path)
        if not path.is_relative_to("src"):
            return ()
        parts = path.relative_to("src").with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def in_package(self) -> bool:
        return bool(self.module)

    @property
    def layer(self) -> str:
        """The part of the house that this file belongs to; ``facade`` for ``runfold`` itself."""
        return self.module[1] if len(self.module) > 1 else "facade"

    def is_one_of(self, patterns: Iterable[str]) -> bool:
        return any(_matches(self.path, pattern) for pattern in patterns)

    def finding(self, node: ast.AST | int, text: str) -> Finding:
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return Finding(self.path, line, text)


Check = Callable[[Source], Iterator[Finding]]


def sources(*folders: str) -> list[Source]:
    """Return the Python files under ``folders``, in order of path."""
    files = (file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of ``tree``, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines the docstring of ``node`` takes."""
    if ast.get_docstring(node, clean=False) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _matches(path: str, pattern: str) -> bool:
    if pattern == "**":
        return True
    if pattern.endswith("/**"):
        return path.startswith(pattern.removesuffix("**"))
    if pattern.startswith("**/"):
        return PurePosixPath(path).match(pattern.removeprefix("**/"))
    return PurePosixPath(path).match(pattern)
