"""A job: a function that a queue runs; each execution is a run of a one-step flow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic

from typing_extensions import ParamSpec, TypeVar

from runfold.define.compiler import compile_job
from runfold.define.declared import Declared
from runfold.define.target import In, Out, Sealed, Target

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)


class Job(Target[In, Out], Generic[In, Out, P, R]):
    """A function and the queue that it runs in; called, it is the function."""

    def __init__(self, fn: Callable[P, R], declared: Declared) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.declared = declared
        self.name = f"{declared.options.queue.name}/{declared.name}"
        self._sealed: Sealed | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, here and now."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    def compile(self) -> Sealed:
        """Return the one-step flow that this is, checked."""
        return compile_job(self.name, self.declared)

    def seal(self) -> Sealed:
        """Return ``compile()``, computed once."""
        if self._sealed is None:
            self._sealed = self.compile()
        return self._sealed
