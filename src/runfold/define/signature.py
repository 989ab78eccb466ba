"""What a handler's own signature says: its form, and its annotations, resolved."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from runfold.errors import InvalidDefinition

FORMS = "(), (input) or (input, ctx)"


@dataclass(frozen=True)
class Signature:
    """A handler as it was written. ``input`` and ``result`` are Any where nothing is said."""

    fn: Callable[..., Any]
    is_async: bool
    takes: int
    """0, 1 or 2 of (input, ctx)."""
    input: Any
    result: Any
    context: Any
    """The annotation of ctx, Any without one."""
    place: str
    """Where it stands, for people: ``finish (shop/flows.py:12)``."""


def scope_of_caller(depth: int) -> Mapping[str, Any]:
    """Return the local names where a decorator is applied; nothing at the top of a module.

    A copy: the frame itself would keep everything alive that it refers to.
    """
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - there is no public way
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def place_of(fn: Callable[..., Any]) -> str:
    """Return the name of ``fn`` with file and line."""
    inner = inspect.unwrap(fn)
    code = getattr(inner, "__code__", None)
    name = getattr(inner, "__qualname__", None) or repr(inner)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else str(name)


def signature_of(fn: Callable[..., Any], scope: Mapping[str, Any]) -> Signature:
    """Return the signature of ``fn``, whose annotations may use the names of ``scope``.

    Raises ``InvalidDefinition`` naming the function, the parameter and the cure.
    """
    place = place_of(fn)
    inner = inspect.unwrap(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise InvalidDefinition(
            f"{place} is a generator; a handler returns one result: write chunks with ctx.write()"
        )
    names = _positional(fn, place)
    resolve = _Resolver(inner, scope, place)
    return Signature(
        fn=fn,
        is_async=inspect.iscoroutinefunction(_callee(fn)) or inspect.iscoroutinefunction(inner),
        takes=len(names),
        input=resolve(names[0]) if names else Any,
        result=resolve("return"),
        context=resolve(names[1]) if len(names) > 1 else Any,
        place=place,
    )


def _callee(fn: Callable[..., Any]) -> Any:
    """Return the function behind an object with ``__call__``."""
    return fn if inspect.isroutine(fn) else getattr(fn, "__call__", fn)  # noqa: B004


def _positional(fn: Callable[..., Any], place: str) -> list[str]:
    """Return the names of (input, ctx), as many as ``fn`` takes."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError) as error:
        raise InvalidDefinition(f"{place} is no function with a signature: {error}") from error
    names: list[str] = []
    for parameter in parameters:
        needed = parameter.default is parameter.empty
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            if needed or len(names) < 2:
                names.append(parameter.name)
        elif needed and parameter.kind is parameter.KEYWORD_ONLY:
            raise InvalidDefinition(
                f"{place} needs {parameter.name!r} by keyword; a handler takes {FORMS}"
            )
        elif parameter.kind is parameter.VAR_POSITIONAL and len(names) < 2:
            raise InvalidDefinition(f"{place} takes *{parameter.name}; a handler takes {FORMS}")
    if len(names) > 2:
        raise InvalidDefinition(
            f"{place} takes {len(names)} parameters ({', '.join(names)}); a handler takes {FORMS}"
        )
    return names


class _Resolver:
    """Annotations of one function, one at a time, so that an error names its parameter."""

    def __init__(self, fn: Any, scope: Mapping[str, Any], place: str) -> None:
        callee = _callee(fn)
        function = getattr(callee, "__func__", callee)
        self._annotations = getattr(function, "__annotations__", {})
        self._globals = getattr(function, "__globals__", {})
        self._locals = {**scope, **_closure(function)}
        self._place = place

    def __call__(self, name: str) -> Any:
        if name not in self._annotations:
            return Any
        one = SimpleNamespace(__annotations__={name: self._annotations[name]})
        try:
            found = typing.get_type_hints(
                one, globalns=self._globals, localns=self._locals, include_extras=True
            )
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            what = "its result" if name == "return" else f"its parameter {name!r}"
            raise InvalidDefinition(
                f"{self._place}: the annotation {self._annotations[name]!r} of {what} cannot be "
                f"resolved: {error}; import the type, outside of `if TYPE_CHECKING:`, and define "
                "it at the top of its module, before the flow is served"
            ) from error
        return found[name]


def _closure(function: Any) -> dict[str, Any]:
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    found: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), cells or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # Not assigned yet.
            continue
    return found
