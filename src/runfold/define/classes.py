"""Classes as handlers: what needs to be set up once, and is used by every execution."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from runfold.errors import InvalidDefinition

T = TypeVar("T")
_NAMES = ("__module__", "__name__", "__qualname__", "__doc__")


class _Once(Generic[T]):
    """The one object of a class in this process, made by whoever needs it first."""

    def __init__(self, cls: type[T]) -> None:
        self._cls, self._lock = cls, threading.Lock()
        self._made: T | None = None

    def get(self) -> T:
        """Return the object; what making it raises is raised to each caller, who tries again."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._cls()
        return self._made


def handler_of_class(cls: type[Any]) -> Callable[..., Any]:
    """Return a function that calls ``execute`` of the one object of ``cls``.

    It is named after the class and has the signature of ``execute`` without ``self``. Raises
    ``InvalidDefinition`` for a class without ``execute``, or one that cannot be made without
    arguments.
    """
    execute = getattr(cls, "execute", None)
    if not callable(execute):
        raise InvalidDefinition(
            f"class {cls.__qualname__} has no execute(self, input, ctx); a job is a function, or "
            "a class with that method"
        )
    _check_constructor(cls)
    once = _Once(cls)

    async def execute_async(*given: Any) -> Any:
        return await once.get().execute(*given)

    def execute_blocking(*given: Any) -> Any:
        return once.get().execute(*given)

    is_async = inspect.iscoroutinefunction(inspect.unwrap(execute))
    handler: Any = execute_async if is_async else execute_blocking
    for name in _NAMES:
        setattr(handler, name, getattr(cls, name, None))
    handler.__wrapped__ = execute
    handler.__signature__ = _without_self(cls, execute)
    return handler  # type: ignore[no-any-return]


def _without_self(cls: type[Any], execute: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(execute)
    if isinstance(inspect.getattr_static(cls, "execute"), staticmethod | classmethod):
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _check_constructor(cls: type[Any]) -> None:
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise InvalidDefinition(
            f"class {cls.__qualname__} is made without arguments, once in each process, but: "
            f"{error}; give them defaults, or take what is needed from ctx.deps"
        ) from error
    except ValueError:  # A class in C, of which no signature is known: making it will tell.
        return
