"""The types of the decorators: which functions can handle what.

At run time a decorator gives back the very function. To a type checker it gives back what the
function takes by position and what it returns; where nothing is known of the input, the very
function too.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar, overload

from runfold.define.context import Context, SyncContext
from runfold.define.job import Job
from runfold.define.job_classes import (
    AsyncExecute,
    AsyncExecuteBare,
    AsyncExecuteInput,
    Execute,
    ExecuteBare,
    ExecuteInput,
)
from runfold.define.storable import Storable

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the input
O = TypeVar("O")  # noqa: E741 - the result
R = TypeVar("R", bound=Storable)

Later: TypeAlias = Coroutine[Any, Any, T]

AnyHandler: TypeAlias = (
    Callable[[], Later[Storable]]
    | Callable[[Any], Later[Storable]]
    | Callable[[Any, Context], Later[Storable]]
    | Callable[[], Storable]
    | Callable[[Any], Storable]
    | Callable[[Any, SyncContext], Storable]
)
F = TypeVar("F", bound=AnyHandler)


class Loose(Protocol):
    """Takes a handler of any input."""

    def __call__(self, fn: F, /) -> F:
        """Return ``fn``."""


class Step(Protocol[I]):
    """Takes a handler of the input ``I``, with any result."""

    @overload
    def __call__(
        self, fn: Callable[[I, Context], Later[R]], /
    ) -> Callable[[I, Context], Later[R]]: ...
    @overload
    def __call__(self, fn: Callable[[I], Later[R]], /) -> Callable[[I], Later[R]]: ...
    @overload
    def __call__(self, fn: Callable[[], Later[R]], /) -> Callable[[], Later[R]]: ...
    @overload
    def __call__(self, fn: Callable[[I, SyncContext], R], /) -> Callable[[I, SyncContext], R]: ...
    @overload
    def __call__(self, fn: Callable[[I], R], /) -> Callable[[I], R]: ...
    @overload
    def __call__(self, fn: Callable[[], R], /) -> Callable[[], R]: ...


class Returning(Protocol[I, O]):
    """Takes a handler of the input ``I`` whose result is the run's, ``O``."""

    @overload
    def __call__(
        self, fn: Callable[[I, Context], Later[O]], /
    ) -> Callable[[I, Context], Later[O]]: ...
    @overload
    def __call__(self, fn: Callable[[I], Later[O]], /) -> Callable[[I], Later[O]]: ...
    @overload
    def __call__(self, fn: Callable[[], Later[O]], /) -> Callable[[], Later[O]]: ...
    @overload
    def __call__(self, fn: Callable[[I, SyncContext], O], /) -> Callable[[I, SyncContext], O]: ...
    @overload
    def __call__(self, fn: Callable[[I], O], /) -> Callable[[I], O]: ...
    @overload
    def __call__(self, fn: Callable[[], O], /) -> Callable[[], O]: ...


class MakesJob(Protocol):
    """Takes a handler of any input and result, or a class of one, and makes it a job."""

    # Classes first: one without arguments would pass as a function that makes its object.
    @overload
    def __call__(self, cls: type[AsyncExecute[I, R]], /) -> Job[I, R, [I, Context], Later[R]]: ...
    @overload
    def __call__(self, cls: type[AsyncExecuteInput[I, R]], /) -> Job[I, R, [I], Later[R]]: ...
    @overload
    def __call__(self, cls: type[AsyncExecuteBare[R]], /) -> Job[None, R, [], Later[R]]: ...
    @overload
    def __call__(self, cls: type[Execute[I, R]], /) -> Job[I, R, [I, SyncContext], R]: ...
    @overload
    def __call__(self, cls: type[ExecuteInput[I, R]], /) -> Job[I, R, [I], R]: ...
    @overload
    def __call__(self, cls: type[ExecuteBare[R]], /) -> Job[None, R, [], R]: ...
    @overload
    def __call__(
        self, fn: Callable[[I, Context], Later[R]], /
    ) -> Job[I, R, [I, Context], Later[R]]: ...
    @overload
    def __call__(self, fn: Callable[[I], Later[R]], /) -> Job[I, R, [I], Later[R]]: ...
    @overload
    def __call__(self, fn: Callable[[], Later[R]], /) -> Job[None, R, [], Later[R]]: ...
    @overload
    def __call__(self, fn: Callable[[I, SyncContext], R], /) -> Job[I, R, [I, SyncContext], R]: ...
    @overload
    def __call__(self, fn: Callable[[I], R], /) -> Job[I, R, [I], R]: ...
    @overload
    def __call__(self, fn: Callable[[], R], /) -> Job[None, R, [], R]: ...
