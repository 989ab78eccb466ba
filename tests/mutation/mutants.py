"""What may be wrong: one changed place of one function each, as mutmut changes them.

Nothing is written to disk: a mutant is the text of its function, and takes the place of the
function in a process that has the module loaded (``apply``). Functions with decorators are
left alone, but for ``staticmethod`` and ``classmethod``.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import cached_property
from pathlib import Path
from types import FunctionType

MARK = "__mutmut_"
"""Follows the name of a function in those that mutmut makes of it."""


@dataclass(frozen=True)
class Mutant:
    """One function with one place changed."""

    path: str
    """Of its file, from ``src``: ``runfold/flow/decide.py``."""
    owner: str
    """The class of a method, or empty."""
    function: str
    number: int
    """From 1, among those of its function."""
    original: str
    changed: str
    lines: frozenset[int]
    """A test that runs none of these lines of the file cannot notice it."""

    @property
    def name(self) -> str:
        """Where it is, and which: ``runfold.flow.diff.Difference.text#3``."""
        return f"{self.place}#{self.number}"

    @property
    def place(self) -> str:
        """The function: ``runfold.flow.diff.Difference.text``."""
        return ".".join(filter(None, (self.module, self.owner, self.function)))

    @property
    def module(self) -> str:
        """The module: ``runfold.flow.diff``."""
        return _module(self.path)

    @cached_property
    def key(self) -> str:
        """The same as long as neither the function nor the change is another."""
        return hashlib.sha256(
            "\0".join((self.place, self.original, self.changed)).encode()
        ).hexdigest()

    @property
    def diff(self) -> str:
        """The change, as a person reads it."""
        texts = self.original.splitlines(), self.changed.splitlines()
        return "\n".join(unified_diff(*texts, self.path, self.path, lineterm="", n=2))


def mutants(source: Path, folders: tuple[str, ...], names: Sequence[str] = ()) -> Iterator[Mutant]:
    """Yield every mutant of the modules in ``folders`` of ``source``, in their order there.

    With ``names`` only those whose own begins with one of them.
    """
    names = tuple(names) or ("",)
    for path in (path for folder in folders for path in sorted((source / folder).rglob("*.py"))):
        relative = path.relative_to(source).as_posix()
        module = _module(relative)
        if any(module.startswith(name) or name.startswith(f"{module}.") for name in names):
            made = _made(relative, path.read_text("utf-8"))
            yield from (mutant for mutant in made if mutant.name.startswith(names))


def _made(path: str, text: str) -> Iterator[Mutant]:
    from mutmut.mutation.file_mutation import mutate_file_contents

    made = mutate_file_contents(path, text)
    code = made.code.splitlines(keepends=True)
    texts = {
        name: "".join(code[span.start - 1 : span.end])
        for name, span in made.line_span_by_function_name.items()
    }
    tree = ast.parse(text)
    return (_mutant(path, tree, texts, name) for name in made.mutant_names)


def apply(mutant: Mutant) -> None:
    """Let the function of this process do what the mutant does, whoever has it."""
    module = sys.modules[mutant.module]
    holder = getattr(module, mutant.owner) if mutant.owner else module
    made = dict(vars(module))
    text = f"class {mutant.owner}:\n{mutant.changed}" if mutant.owner else mutant.changed
    flags = __future__.annotations.compiler_flag
    exec(compile(text, mutant.path, "exec", flags, dont_inherit=True), made)
    new = _plain(
        vars(made[mutant.owner])[mutant.function] if mutant.owner else made[mutant.function]
    )
    old = _plain(vars(holder)[mutant.function])
    if len(new.__code__.co_freevars) != len(old.__code__.co_freevars):
        setattr(holder, mutant.function, new)  # It asks for ``super()`` no more.
        return
    old.__code__, old.__defaults__ = new.__code__, new.__defaults__
    old.__kwdefaults__ = new.__kwdefaults__


def reached_by(tree: ast.AST, line: int) -> frozenset[int]:
    """Return the lines that run when the innermost statement at ``line`` does: its own, or those
    before its block."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    innermost = max(around, key=lambda node: node.lineno)
    if isinstance(innermost, ast.FunctionDef):
        # Its defaults are read by whoever runs anything of it.
        return frozenset(range(innermost.body[0].lineno, (innermost.end_lineno or 0) + 1))
    block = getattr(innermost, "body", None) or getattr(innermost, "cases", None)
    if block is None:
        return frozenset(range(innermost.lineno, (innermost.end_lineno or 0) + 1))
    first = block[0].pattern if isinstance(innermost, ast.Match) else block[0]
    return frozenset(range(innermost.lineno, max(first.lineno, innermost.lineno + 1)))


def _mutant(path: str, tree: ast.Module, texts: dict[str, str], name: str) -> Mutant:
    mangled, _, number = name.partition(MARK)
    owner, function = _named(mangled)
    original = texts[f"{mangled}{MARK}orig"].replace(f"{mangled}{MARK}orig", function, 1)
    changed = texts[name].replace(name, function, 1)
    node = _definition(tree, owner, function)
    lines = reached_by(node, _first_change(original, changed) + node.lineno)
    return Mutant(path, owner, function, int(number), original, changed, lines)


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _named(mangled: str) -> tuple[str, str]:
    """Return class and function: mutmut writes ``x_function`` and ``xǁClassǁmethod``."""
    if mangled.startswith("x_"):
        return "", mangled.removeprefix("x_")
    _, owner, function = mangled.split("ǁ")
    return owner, function


def _definition(tree: ast.Module, owner: str, function: str) -> ast.FunctionDef:
    body = tree.body
    if owner:
        body = next(n.body for n in body if isinstance(n, ast.ClassDef) and n.name == owner)
    found = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == function]
    return found[-1]  # Those before it are its overloads.


def _first_change(original: str, changed: str) -> int:
    """Return how many lines below ``def`` the two first differ."""
    before, after = original.splitlines(), changed.splitlines()
    begin = next(n for n, line in enumerate(before) if line.lstrip().startswith("def "))
    pairs = enumerate(zip(before, after, strict=False))
    return next((n for n, (a, b) in pairs if a != b), len(before) - 1) - begin


def _plain(found: object) -> FunctionType:
    plain = getattr(found, "__func__", found)
    assert isinstance(plain, FunctionType)
    return plain
