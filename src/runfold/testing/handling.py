"""One handler alone: the context that it is given, which keeps what the handler did with it.

It is the engine's own context, so it accepts and refuses what the engine accepts and refuses:
values go through their stored form, undeclared topics fail where the step is known. Nothing is
recorded anywhere, nothing runs, and nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, cast, overload
from uuid import UUID

from runfold.define.context import SyncState, TransactionMisused
from runfold.define.flow import Flow
from runfold.define.handler import Handler
from runfold.define.job import Job
from runfold.define.values import ANY
from runfold.errors import InvalidDefinition
from runfold.ports import Job as Claimed
from runfold.runtime.context import AttemptContext, ThreadContext
from runfold.runtime.context_attempt import Attempt
from runfold.runtime.task import Task
from runfold.settings import Span
from runfold.testing.handling_kept import (
    Changed,
    Emitted,
    Given,
    KeptAttempt,
    Logged,
    Noted,
    Progressed,
    never,
)
from runfold.testing.simulation.desk import at_once

RUN_ID = UUID("01900000-0000-7000-8000-000000000001")
"""The run of a context that is given none."""


class _Kept:
    """What a handler did, in the order in which it did it."""

    __slots__ = ()
    _attempt: Attempt

    @property
    def _kept(self) -> KeptAttempt:
        return cast("KeptAttempt", self._attempt)

    @property
    def emitted(self) -> list[Emitted]:
        """What it emitted: ``(name, payload)``, the payload as it is stored."""
        return self._kept.emitted

    @property
    def progressed(self) -> list[Progressed]:
        """How far it said to be: ``(percent, message, details)``."""
        return self._kept.progressed

    @property
    def logged(self) -> list[Logged]:
        """The lines of ``ctx.log``: ``(level, message, meta)``. Those of stdlib ``logging`` are
        with pytest's ``caplog``."""
        return self._kept.logged

    @property
    def recorded(self) -> list[Noted]:
        """What it recorded: ``(type, data)``."""
        return self._kept.recorded

    @property
    def output(self) -> dict[str, str]:
        """What it wrote, by stream."""
        return self._kept.output

    @property
    def changed(self) -> list[Changed]:
        """The changes of the state: ``(operation, key, value, ttl)``."""
        return self._kept.changed

    @property
    def data(self) -> dict[str, Any]:
        """The run's state as it is when this attempt has completed."""
        return self._kept.data()

    def cancel(self, reason: str = "cancelled") -> None:
        """Tell the handler that its work is no longer wanted; only the first reason counts."""
        self._attempt.task.cancelled.set(reason)


class HandlerContext(_Kept, AttemptContext):
    """A ``Context`` for one ``async def``, which keeps what the handler did."""

    __slots__ = ()


class SyncHandlerContext(_Kept, ThreadContext):
    """A ``SyncContext`` for one ``def``, which keeps what the handler did."""

    __slots__ = ()

    @property
    def state(self) -> SyncState:
        """The run's shared state."""
        return _State(self._attempt)

    @property
    def deps(self) -> Any:
        """What the test gave; a step with ``process=True`` has none."""
        if self._attempt.task.handler.kind == "process":
            raise RuntimeError("ctx.deps: a handler with process=True has none")
        return super().deps

    @contextmanager
    def transaction(self) -> Generator[Any]:
        """Yield what the test gave as ``transaction=``."""
        given = at_once(self._attempt.begin())
        try:
            yield given.connection
        except BaseException:
            at_once(self._attempt.transaction.undo())
            raise
        self._attempt.transaction.leave()


class _State(SyncState):
    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        return at_once(self._attempt.read(key, default, type))

    def set(self, key: str, value: Any, ttl: Span | None = None) -> None:
        self._attempt.change("set", key, value, ttl)

    def delete(self, key: str) -> None:
        self._attempt.change("delete", key)

    def add(self, key: str, number: float = 1) -> None:
        self._attempt.change("add", key, number)

    def append(self, key: str, value: Any) -> None:
        self._attempt.change("append", key, value)


@overload
def context(
    *, sync: Literal[False] = False, flow: Flow[Any, Any] | None = None, step: Any = None,
    deps: Any = None, attempt: int = 1, state: Mapping[str, Any] | None = None, input: Any = None,
    tags: Iterable[str] = (), run_id: str | UUID = RUN_ID, queue: str = "default",
    trigger: str | None = None, due_at: datetime | None = None, transaction: Any = None,
    cancelled: str | None = None,
) -> HandlerContext: ...  # fmt: skip


@overload
def context(
    *, sync: Literal[True], flow: Flow[Any, Any] | None = None, step: Any = None,
    deps: Any = None, attempt: int = 1, state: Mapping[str, Any] | None = None, input: Any = None,
    tags: Iterable[str] = (), run_id: str | UUID = RUN_ID, queue: str = "default",
    trigger: str | None = None, due_at: datetime | None = None, transaction: Any = None,
    cancelled: str | None = None,
) -> SyncHandlerContext: ...  # fmt: skip


def context(
    *,
    sync: bool = False,
    flow: Flow[Any, Any] | None = None,
    step: Callable[..., Any] | Job[Any, Any] | str | None = None,
    deps: Any = None,
    attempt: int = 1,
    state: Mapping[str, Any] | None = None,
    input: Any = None,
    tags: Iterable[str] = (),
    run_id: str | UUID = RUN_ID,
    queue: str = "default",
    trigger: str | None = None,
    due_at: datetime | None = None,
    transaction: Any = None,
    cancelled: str | None = None,
) -> HandlerContext | SyncHandlerContext:
    """Return what one handler alone is given: ``await charge(ORDER, ctx)``.

    ``sync``: for a ``def``, whose calls block; else for an ``async def``. ``step``: the
    handler or its name, with its ``flow``, or a job: then only what it declares may be
    emitted. Without it every topic may. ``deps``, ``attempt`` (from 1), ``input`` (of the
    step), ``tags``, ``run_id``, ``queue``, ``trigger`` and ``due_at`` are what the handler
    reads there. ``state``: the run's state before this attempt, a value for each key.
    ``transaction``: the connection that ``ctx.transaction()`` yields; what becomes of it is the
    test's. ``cancelled``: the reason for which the work is no longer wanted; ``ctx.cancel()``
    says so later.

    Raises ``InvalidDefinition`` for a step that is not there or is of the other kind,
    ``InvalidInput`` for an ``input`` or a value of ``state`` that cannot be stored.
    """
    if attempt < 1:
        raise ValueError(f"attempt is {attempt!r}, expected 1 or more")
    handler = _handler(flow, step, sync=sync)
    id = run_id if isinstance(run_id, UUID) else UUID(run_id)
    job = Claimed(
        id=1, stream=1, run_id=id.bytes, flow=handler.flow, step=handler.step, activation=1,
        attempt=attempt, queue=queue, priority=5, key=None, inputs=None, position=1, version=1,
        ts=due_at or datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    before = {key: ANY.dump(value, f"state {key!r}") for key, value in (state or {}).items()}

    async def read_state(_: int, key: str) -> tuple[bool, Any]:
        return key in before, ANY.load(before.get(key))

    task = Task(
        job=job, handler=handler, run_id=str(id), tags=tuple(tags),
        input=None if input is None else handler.input.dump(input, "input="),
        trigger=trigger, due_at=due_at, deps=deps, record=never, read_state=read_state,
        transaction=partial(_given, handler, transaction),
    )  # fmt: skip
    if cancelled is not None:
        task.cancelled.set(cancelled)
    kept = KeptAttempt(task, before, is_open=step is None)
    return SyncHandlerContext(kept) if sync else HandlerContext(kept)


def _given(handler: Handler, connection: Any, *, blocking: bool) -> Given:
    del blocking  # It is of the kind that the test gave.
    if handler.kind == "process":
        raise TransactionMisused("ctx.transaction() is not there in a process of its own")
    if connection is None:
        raise TransactionMisused(
            "this context has no transaction; give it one: context(transaction=...)"
        )
    return Given(connection)


def _handler(flow: Flow[Any, Any] | None, step: Any, *, sync: bool) -> Handler:
    """Return the handler of ``step``; without one, a handler that declares nothing."""
    if step is None:
        if flow is not None:
            raise InvalidDefinition(f"flow {flow.name!r} has several steps; say which: step=...")
        return Handler(
            flow="flow", step="step", fn=_nothing, kind="thread" if sync else "async", takes=2
        )
    found = _found(flow, step)
    if (found.kind != "async") is not sync:
        asked, has = ("sync=False", "`def`") if not sync else ("sync=True", "`async def`")
        raise InvalidDefinition(
            f"step {found.step!r} is {has}, and {asked} makes a context for the other kind"
        )
    return found


def _found(flow: Flow[Any, Any] | None, step: Any) -> Handler:
    if isinstance(step, Job):
        return next(iter(step.seal().handlers.values()))
    if flow is None:
        raise InvalidDefinition(f"step {step!r} belongs to a flow; say which: flow=...")
    handlers = flow.compile().handlers
    for name, handler in handlers.items():
        if step == name or step is handler.fn:
            return handler
    raise InvalidDefinition(
        f"{step!r} is no step of flow {flow.name!r}, which has {sorted(handlers)}"
    )


def _nothing(given: Any, ctx: Any) -> None:
    del given, ctx
