"""Flows: a name, the types that go in and come out, and the steps in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeVar, cast, overload

from typing_extensions import TypeVar as DefaultTypeVar
from typing_extensions import Unpack

from runfold.define.compiler import compile_flow
from runfold.define.declared import Declared, checked_options, many, name_of
from runfold.define.decorators import Loose, Returning, Step
from runfold.define.options import Options, check_name, keep_of, span_of
from runfold.define.signature import place_of, scope_of_caller
from runfold.define.target import In, Out, Sealed, Target
from runfold.define.topic import Source, Topic
from runfold.errors import InvalidDefinition
from runfold.settings import Span

P = TypeVar("P")
I2 = DefaultTypeVar("I2", default=Any)
O2 = DefaultTypeVar("O2", default=Any)

Emits = Iterable[Topic[Any] | str] | Topic[Any] | str
Failing = Literal["stop", "finish", "ignore"]
Cleanup = Literal["never", "immediate", "on-complete"]


class Flow(Target[In, Out], Generic[In, Out]):
    """A flow. Constructing it does nothing but remember what is said here.

    ``input``: the type of a run's input; callers and the entry are checked against it.
    Defaults to anything.

    ``result``: the type of a run's result; one step has ``returns=True`` then. Without it the
    result is that of the only leaf, else a dict by leaf.

    ``failure``: when a step fails for good, ``stop`` starts nothing new and fails the run,
    ``finish`` runs to the end and then fails it, ``ignore`` completes it. Defaults to
    ``stop``.

    ``deadline``: seconds after the start at which a run is ended as failed; None: never.

    ``keep``: seconds after its end until a run leaves the log for the archive, 0: at once; who
    waits for it gets its result all the same. None, the default, keeps it in the log.

    ``state_cleanup``: when a run's state is removed: ``never``, ``immediate``,
    ``on-complete``, or seconds after its end. Defaults to ``never``.
    """

    @overload
    def __init__(
        self, name: str, *, input: type[In] = ..., result: type[Out] = ...,
        failure: Failing = ..., deadline: Span | None = ..., keep: Span | None = ...,
        state_cleanup: Cleanup | Span = ...,
    ) -> None: ...  # fmt: skip
    @overload
    def __init__(
        self: Flow[Any, O2], name: str, *, input: Any, result: type[O2] = ...,
        failure: Failing = ..., deadline: Span | None = ..., keep: Span | None = ...,
        state_cleanup: Cleanup | Span = ...,
    ) -> None: ...  # fmt: skip
    @overload
    def __init__(
        self: Flow[I2, Any], name: str, *, input: type[I2] = ..., result: Any,
        failure: Failing = ..., deadline: Span | None = ..., keep: Span | None = ...,
        state_cleanup: Cleanup | Span = ...,
    ) -> None: ...  # fmt: skip
    @overload
    def __init__(
        self: Flow[Any, Any], name: str, *, input: Any, result: Any,
        failure: Failing = ..., deadline: Span | None = ..., keep: Span | None = ...,
        state_cleanup: Cleanup | Span = ...,
    ) -> None: ...  # fmt: skip
    def __init__(
        self,
        name: str,
        *,
        input: Any = Any,
        result: Any = Any,
        failure: Failing = "stop",
        deadline: Span | None = None,
        keep: Span | None = None,
        state_cleanup: Cleanup | Span = "never",
    ) -> None:
        check_name(name, "flow")
        if failure not in ("stop", "finish", "ignore"):
            raise InvalidDefinition(
                f"failure is {failure!r}, expected 'stop', 'finish' or 'ignore'"
            )
        self.name = name
        self.input, self.result = input, result
        self.failure = failure
        self.deadline = span_of(deadline, "deadline")
        self.keep = keep_of(keep, "keep")
        self.state_cleanup = _cleanup(state_cleanup)
        self.declared: list[Declared] = []
        """Its steps, in the order in which they were declared."""
        self._sealed: Sealed | None = None

    def __repr__(self) -> str:
        return f"Flow({self.name!r})"

    @overload
    def entry(
        self, name: str | None = None, *, emits: Emits = (), returns: Literal[False] = False,
        **options: Unpack[Options],
    ) -> Step[In]: ...  # fmt: skip
    @overload
    def entry(
        self, name: str | None = None, *, emits: Emits = (), returns: Literal[True],
        **options: Unpack[Options],
    ) -> Returning[In, Out]: ...  # fmt: skip
    def entry(
        self, name: str | None = None, *, emits: Emits = (), returns: bool = False,
        **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """Return a decorator that makes a function the first step of this flow.

        ``name`` defaults to the function's. ``emits``: the topics and names that it may emit.
        ``returns``: its result is the run's.
        """
        return self._decorator(None, name, emits, options, returns=returns)

    @overload
    def step(
        self, name: str | None = None, *, subscribes: str, emits: Emits = (),
        returns: Literal[False] = False, compensate: Callable[..., Any] | None = None,
        formerly: Iterable[str] | str = (), **options: Unpack[Options],
    ) -> Loose: ...  # fmt: skip
    @overload
    def step(
        self, name: str | None = None, *, subscribes: Source[P], emits: Emits = (),
        returns: Literal[False] = False, compensate: Callable[..., Any] | None = None,
        formerly: Iterable[str] | str = (), **options: Unpack[Options],
    ) -> Step[P]: ...  # fmt: skip
    @overload
    def step(
        self, name: str | None = None, *, subscribes: str, emits: Emits = (),
        returns: Literal[True], compensate: Callable[..., Any] | None = None,
        formerly: Iterable[str] | str = (), **options: Unpack[Options],
    ) -> Returning[Any, Out]: ...  # fmt: skip
    @overload
    def step(
        self, name: str | None = None, *, subscribes: Source[P], emits: Emits = (),
        returns: Literal[True], compensate: Callable[..., Any] | None = None,
        formerly: Iterable[str] | str = (), **options: Unpack[Options],
    ) -> Returning[P, Out]: ...  # fmt: skip
    def step(
        self, name: str | None = None, *, subscribes: Source[Any] | str, emits: Emits = (),
        returns: bool = False, compensate: Callable[..., Any] | None = None,
        formerly: Iterable[str] | str = (), **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """Return a decorator that makes a function a step of this flow.

        ``subscribes``: when it is activated, and what it is given. ``compensate``: a function
        of (result of the step, ctx) that undoes it when the run does not complete; it runs
        once for each completed activation, last one first, with the step's own queue, retries
        and timeout. ``formerly``: names that the step had, under which runs of older
        definitions find it.
        """
        return self._decorator(
            subscribes, name, emits, options, returns=returns, compensate=compensate,
            formerly=many(formerly),
        )  # fmt: skip

    def compile(self) -> Sealed:
        """Return the definition and the handlers, checked.

        Raises one ``InvalidDefinition`` that lists every fault, with the places.
        """
        return compile_flow(self)

    def seal(self) -> Sealed:
        """Return ``compile()``; a step added from now on is refused."""
        if self._sealed is None:
            self._sealed = self.compile()
        return self._sealed

    def _decorator(
        self,
        subscribes: Source[Any] | str | None,
        name: str | None,
        emits: Emits,
        options: Options,
        *,
        returns: bool,
        compensate: Callable[..., Any] | None = None,
        formerly: tuple[str, ...] = (),
    ) -> Any:
        scope = scope_of_caller(2)
        checked = checked_options(options)

        def add(fn: Callable[..., Any]) -> Callable[..., Any]:
            self._add(
                Declared(
                    fn=fn,
                    name=name_of(name, fn),
                    subscribes=subscribes,
                    emits=many(emits),
                    returns=returns,
                    compensate=compensate,
                    formerly=formerly,
                    options=checked,
                    scope=scope,
                )
            )
            return fn

        return add

    def _add(self, declared: Declared) -> None:
        if self._sealed is not None:
            raise InvalidDefinition(
                f"step {declared.name!r}, {place_of(declared.fn)}, was added to flow "
                f"{self.name!r} after it was served; import its module before"
            )
        self.declared.append(declared)


def _cleanup(cleanup: Cleanup | Span) -> Cleanup | float:
    if isinstance(cleanup, str):
        if cleanup not in ("never", "immediate", "on-complete"):
            raise InvalidDefinition(
                f"state_cleanup is {cleanup!r}, expected 'never', 'immediate', 'on-complete' or "
                "seconds"
            )
        return cleanup
    return cast("float", span_of(cleanup, "state_cleanup"))
