"""Handlers in processes of their own: spawned, kept for the next one, killed one by one.

Each process runs one handler at a time. The thread that waits for it here answers what its
context asks, by calling the context of that thread. Killing a process ends its handler and
nothing else.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from runfold.define.importable import address_of
from runfold.errors import RunfoldError
from runfold.runtime.context import ThreadContext
from runfold.runtime.context_attempt import Attempt
from runfold.runtime.executor_endings import died, name_of

_SPAWN = multiprocessing.get_context("spawn")
_MISSING = object()


class Call(NamedTuple):
    """A handler to be run, as plain data."""

    address: tuple[str, str]
    takes: int
    flow: str
    step: str
    input: Any
    never: tuple[str, ...]
    context: dict[str, Any]


class Child:
    """One process, and our end of its pipe."""

    def __init__(self) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self.cancelled = _SPAWN.Event()
        self.process = _SPAWN.Process(
            target=_serve, args=(theirs, self.cancelled), name="runfold-handler", daemon=True
        )
        self.process.start()
        theirs.close()

    def kill(self) -> None:
        """End the process now; whoever reads from it is told by the end of the pipe."""
        self.process.kill()

    def bury(self) -> int | None:
        """Close what is left of a process that ended; return its exit code."""
        self.process.join()
        self.connection.close()
        return self.process.exitcode


class Processes:
    """At most ``size`` processes, and a thread for each handler that runs in one."""

    def __init__(self, size: int) -> None:
        self.threads = ThreadPoolExecutor(size, "runfold-process")
        self._idle: list[Child] = []
        self._busy: dict[Attempt, Child] = {}
        self._lock = threading.Lock()
        self._closed = False

    def run(
        self, attempt: Attempt, context: ThreadContext, begin: Callable[[], object]
    ) -> tuple[bool, Any]:
        """Run the handler of ``attempt`` in a process; called on one of ``threads``."""
        child = self._take(attempt)
        if child is None:
            return False, None
        begin()
        forward = attempt.task.cancelled.event(child.cancelled)
        try:
            child.connection.send(_call_of(attempt))
            answer = _conversation(child.connection, context)
        except (EOFError, OSError):
            with self._lock:
                self._busy.pop(attempt, None)
            return False, died(child.bury())
        finally:
            attempt.task.cancelled.forget(forward)
        self._give_back(attempt, child)
        return answer

    def kill(self, attempt: Attempt) -> None:
        """End the process that runs the handler of ``attempt``, if one does."""
        with self._lock:
            child = self._busy.get(attempt)
        if child is not None:
            child.kill()

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            self._closed = True
            children = [*self._idle, *self._busy.values()]
            idle, self._idle = self._idle, []
        for child in children:
            child.kill()
        for child in idle:
            child.bury()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _take(self, attempt: Attempt) -> Child | None:
        with self._lock:
            if self._is_over(attempt):
                return None
            child = self._idle.pop() if self._idle else None
        if child is not None and not child.process.is_alive():
            child.bury()
            child = None
        child = child or Child()
        with self._lock:
            self._busy[attempt] = child
        if self._is_over(attempt):  # Its time was over while the process started.
            self._give_back(attempt, child)
            return None
        child.cancelled.clear()
        return child

    def _is_over(self, attempt: Attempt) -> bool:
        return self._closed or attempt.ended is not None

    def _give_back(self, attempt: Attempt, child: Child) -> None:
        with self._lock:
            self._busy.pop(attempt, None)
            keep = not self._is_over(attempt)
            if keep:
                self._idle.append(child)
        if not keep:  # It may have been killed in this very moment.
            child.kill()
            child.bury()


def _serve(connection: Connection, cancelled: Any) -> None:
    from runfold.runtime.process_child import serve

    serve(connection, cancelled)


def _call_of(attempt: Attempt) -> Call:
    task, handler = attempt.task, attempt.task.handler
    return Call(
        address=address_of(handler.fn),
        takes=handler.takes,
        flow=handler.flow,
        step=handler.step,
        input=task.input,
        never=(*map(name_of, handler.never), *task.never),
        context={
            "run_id": task.run_id, "flow_name": task.job.flow, "step_name": task.job.step,
            "queue": task.job.queue, "attempt": task.job.attempt, "tags": task.tags,
            "job_id": attempt.job_id, "step_id": attempt.step_id,
            "trigger": task.trigger, "due_at": task.due_at,
        },
    )  # fmt: skip


def _conversation(connection: Connection, context: ThreadContext) -> tuple[bool, Any]:
    """Answer what the handler asks until it has ended; return how."""
    kind, *rest = connection.recv()
    while kind == "ask":
        connection.send(_answer(context, *rest))
        kind, *rest = connection.recv()
    return kind == "done", rest[0]


def _answer(context: ThreadContext, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, _ASKED[name](context, *arguments)
    except (RunfoldError, RuntimeError, TimeoutError) as error:
        return False, error


def _get(context: ThreadContext, key: str) -> tuple[bool, Any]:
    found = context.state.get(key, _MISSING)
    return found is not _MISSING, None if found is _MISSING else found


_ASKED: dict[str, Callable[..., Any]] = {
    "emit": lambda context, name, plain: context.emit_stored(name, plain),
    "log": lambda context, level, message, meta: context.log.log(level, message, meta),
    "record": lambda context, type_, data: context.record(type_, data),
    "progress": lambda context, *told: context.progress(*told),
    "write": lambda context, chunk, stream: context.write(chunk, stream=stream),
    "get": _get,
    "set": lambda context, key, value, ttl: context.state.set(key, value, ttl),
    "delete": lambda context, key: context.state.delete(key),
    "add": lambda context, key, number: context.state.add(key, number),
    "append": lambda context, key, value: context.state.append(key, value),
    "reason": lambda context: context.cancelled.reason,
}
"""What a context in another process may ask."""
