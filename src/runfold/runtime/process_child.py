"""The other end of the pipe: runs one handler at a time in a process of its own."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import AbstractContextManager
from datetime import datetime
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from typing import Any

from runfold.define.context import (
    Logger,
    SyncCancelled,
    SyncContext,
    SyncState,
    TransactionMisused,
)
from runfold.define.importable import find
from runfold.define.signature import signature_of
from runfold.define.topic import Topic
from runfold.define.values import ANY, Value, value_of
from runfold.errors import InvalidInput
from runfold.runtime.context_logging import line_of, loose
from runfold.runtime.executor import guarded
from runfold.runtime.executor_endings import Raised, raised
from runfold.runtime.process import Call


def serve(connection: Connection, cancelled: Any) -> None:
    """Run what is asked for until the pipe ends."""
    # Ctrl-C reaches every process of a terminal; the worker decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asking = _Asking(connection)
    forward = _Forward()
    logging.getLogger().addHandler(forward)
    try:
        while (call := _receive(connection)) is not None:
            context = _ProcessContext(call, asking, cancelled)
            forward.context = context
            is_done, value = guarded(partial(_run, call, context))
            forward.context = None
            connection.send(
                ("done", value) if is_done else ("raised", _raised(call, context, value))
            )
    except (BrokenPipeError, ConnectionResetError):
        return  # The worker is gone.


def _receive(connection: Connection) -> Call | None:
    try:
        return connection.recv()  # type: ignore[no-any-return]
    except EOFError:
        return None


@lru_cache(maxsize=256)
def _handler(address: tuple[str, str]) -> tuple[Any, Value, Value]:
    fn = find(*address)
    signature = signature_of(fn, {})
    return fn, value_of(signature.input), value_of(signature.result)


def _run(call: Call, context: _ProcessContext) -> Any:
    fn, given, result = _handler(call.address)
    try:
        taken = given.load(call.input, f"the input of step {call.step!r}") if call.takes else None
    except InvalidInput as error:
        context.refused = error
        raise
    made = fn(*(taken, context)[: call.takes])
    return context.dump(result, made, f"the result of step {call.step!r}")


def _raised(call: Call, context: _ProcessContext, error: BaseException) -> Raised:
    refused = isinstance(error, InvalidInput) and error is context.refused
    return raised(error, names=call.never, refused=refused)


class _Asking:
    """Questions to the worker, one at a time, whatever thread of the handler asks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            self._connection.send(("ask", name, arguments))
            is_done, value = self._connection.recv()
        if not is_done:
            raise value
        return value


class _Forward(logging.Handler):
    """Hands what the handler logs through ``logging`` to the worker."""

    context: _ProcessContext | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one line."""
        if self.context is not None and not record.name.startswith("runfold"):
            line = line_of(record)
            self.context.log.log(line.level, line.message, line.meta)


class _ProcessContext(SyncContext):
    """A ``SyncContext`` whose every call is answered by the worker."""

    def __init__(self, call: Call, asking: _Asking, cancelled: Any) -> None:
        self._call, self._asking = call, asking
        self._cancelled = _ProcessCancelled(asking, cancelled)
        self._state = _ProcessState(self)
        self._log = _ProcessLogger(asking)
        self.refused: InvalidInput | None = None

    def ask(self, name: str, *arguments: Any) -> Any:
        """Ask the worker; a refusal is remembered as the context's own."""
        try:
            return self._asking(name, *arguments)
        except InvalidInput as error:
            self.refused = error
            raise

    def dump(self, value: Value, given: Any, where: str) -> Any:
        """Return ``given`` as plain JSON."""
        try:
            return value.dump(given, where)
        except InvalidInput as error:
            self.refused = error
            raise

    @property
    def run_id(self) -> str:
        return str(self._call.context["run_id"])

    @property
    def flow_name(self) -> str:
        return str(self._call.context["flow_name"])

    @property
    def step_name(self) -> str:
        return str(self._call.context["step_name"])

    @property
    def queue(self) -> str:
        return str(self._call.context["queue"])

    @property
    def attempt(self) -> int:
        return int(self._call.context["attempt"])

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self._call.context["tags"])

    @property
    def input(self) -> Any:
        return self._call.input

    @property
    def job_id(self) -> str:
        return str(self._call.context["job_id"])

    @property
    def step_id(self) -> str:
        return str(self._call.context["step_id"])

    @property
    def trigger(self) -> str | None:
        trigger: str | None = self._call.context["trigger"]
        return trigger

    @property
    def due_at(self) -> datetime | None:
        due_at: datetime | None = self._call.context["due_at"]
        return due_at

    @property
    def deps(self) -> Any:
        """What ``lifespan`` yielded stays in the worker's process."""
        raise RuntimeError(
            "ctx.deps is what lifespan yielded in the worker's process; a handler with "
            "process=True has none: open what it needs at the top of its module"
        )

    @property
    def log(self) -> Logger:
        return self._log

    @property
    def state(self) -> SyncState:
        return self._state

    @property
    def cancelled(self) -> SyncCancelled:
        return self._cancelled

    def transaction(self) -> AbstractContextManager[Any]:
        raise TransactionMisused(
            "ctx.transaction() is not there in a process of its own: the transaction commits "
            "where the attempt is recorded; leave out process=True"
        )

    def emit(self, topic: Any, payload: Any = None) -> None:
        is_topic = isinstance(topic, Topic)
        name = topic.name if is_topic else topic
        value = topic.value if is_topic else ANY
        self.ask("emit", name, self.dump(value, payload, f"the payload of {name!r}"))

    def record(self, type: str, data: Any = None) -> None:  # noqa: A002 - as on the wire
        self.ask("record", type, self.dump(ANY, data, f"the data of record {type!r}"))

    def progress(self, percent: float, message: str | None = None, details: Any = None) -> None:
        plain = self.dump(ANY, details, "the details of a progress")
        self.ask("progress", percent, message, plain)

    def write(self, chunk: str, *, stream: str = "output") -> None:
        self.ask("write", chunk, stream)


class _ProcessLogger(Logger):
    def __init__(self, asking: _Asking) -> None:
        self._asking = asking

    def log(self, level: str, message: str, meta: dict[str, Any]) -> None:
        self._asking("log", level, str(message), loose(meta))


class _ProcessState(SyncState):
    def __init__(self, context: _ProcessContext) -> None:
        self._context = context

    def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        found, plain = self._context.ask("get", key)
        if not found:
            return default
        return plain if type is None else value_of(type).load(plain, f"state {key!r}")

    def set(self, key: str, value: Any, ttl: Any = None) -> None:
        self._context.ask("set", key, self._context.dump(ANY, value, f"state {key!r}"), ttl)

    def delete(self, key: str) -> None:
        self._context.ask("delete", key)

    def add(self, key: str, number: float = 1) -> None:
        self._context.ask("add", key, number)

    def append(self, key: str, value: Any) -> None:
        self._context.ask("append", key, self._context.dump(ANY, value, f"state {key!r}"))


class _ProcessCancelled(SyncCancelled):
    def __init__(self, asking: _Asking, event: Any) -> None:
        self._asking, self._event = asking, event

    @property
    def reason(self) -> str | None:
        reason: str | None = self._asking("reason")
        return reason

    def is_set(self) -> bool:
        return bool(self._event.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        return bool(self._event.wait(timeout))
