"""What an attempt has done so far: its emits and state changes, and the facts it left."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from runfold.define.context import AttemptEnded
from runfold.define.topic import Topic
from runfold.define.values import ANY, Value, value_of
from runfold.errors import InvalidInput, RunfoldError
from runfold.flow.definition import EMITS_PER_ATTEMPT_MAX
from runfold.flow.events import Emit, Record, State, StepProgress
from runfold.flow.names import job_id, step_id
from runfold.flow.state import Entry
from runfold.flow.values import change
from runfold.kernel.event import Draft, Event, maker
from runfold.ports import Transaction
from runfold.runtime.context_facts import Facts, Spawn
from runfold.runtime.context_transaction import HandlerTransaction
from runfold.runtime.task import Task
from runfold.settings import Span, seconds

_emit = maker(Emit)
_UNREAD: Any = object()
_NO_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


class UndeclaredEmit(RunfoldError):
    """A handler emitted an event that its step does not declare; the attempt fails."""

    code, status = "UNDECLARED_EMIT", 500


class Attempt:
    """One attempt while its handler runs.

    Everything is called on the loop's thread, or, of a handler in a thread, on that thread:
    then facts travel to the loop in the order of the calls.
    """

    __slots__ = (
        "_facts", "_input", "_loop", "_spawn", "emits", "ended", "fault", "refused", "states",
        "task", "thread", "transaction",
    )  # fmt: skip

    def __init__(self, task: Task, spawn: Spawn, loop: asyncio.AbstractEventLoop) -> None:
        self.task = task
        self.emits: list[Draft] = []
        self.states: list[Draft] = []
        self.ended: str | None = None
        """Why the context does nothing any more."""
        self.fault: RunfoldError | None = None
        """What fails the attempt, whatever its handler does."""
        self.refused: InvalidInput | None = None
        """The last value that the context refused."""
        self._facts: Facts | None = None
        self._spawn, self._loop = spawn, loop
        self._input: Any = _UNREAD
        self.thread = False
        """The handler runs on a thread."""
        self.transaction = HandlerTransaction()

    def draft(self, event: Event) -> Draft:
        """Return ``event`` as one of this attempt."""
        job = self.task.job
        made = (event, job.step, job.activation, job.attempt, job.key, None)
        return tuple.__new__(Draft, made)  # As ``Draft`` does, with every event.

    @property
    def plain_input(self) -> Any:
        """The step's input as it is stored; the handler may change what it gets."""
        if self._input is _UNREAD:
            self._input = ANY.load(self.task.input)
        return self._input

    @property
    def job_id(self) -> str:
        """The public id of the activation."""
        task = self.task
        return job_id(
            task.run_id, task.job.step, task.job.activation, standalone=task.handler.standalone
        )

    @property
    def step_id(self) -> str:
        """The public id of this attempt."""
        job = self.task.job
        return step_id(self.task.run_id, job.step, job.activation, job.attempt)

    def check(self) -> None:
        """Raise ``AttemptEnded`` when this attempt is over."""
        if self.ended is not None:
            raise AttemptEnded(f"attempt {self.step_id} is over: {self.ended}; nothing was done")

    # Effects, which happen when the attempt completes.

    def emit(self, topic: Any, payload: Any, *, is_stored: bool = False) -> None:
        """Emit when the attempt completes; ``is_stored``: the payload is plain JSON already."""
        self.check()
        name = topic.name if isinstance(topic, Topic) else topic
        value = self.task.handler.topics.get(name)
        if value is None:
            raise self._fail(
                f"step {self.task.job.step!r} emits {name!r} and does not declare it; "
                f"add it to its emits= ({', '.join(self.task.handler.topics) or 'now empty'})"
            )
        if len(self.emits) >= EMITS_PER_ATTEMPT_MAX:
            self.fault = InvalidInput(
                f"an attempt of step {self.task.job.step!r} emits more than "
                f"{EMITS_PER_ATTEMPT_MAX} events; split the work over several steps"
            )
            raise self.fault
        where = f"the payload of {name!r}"
        try:
            plain = value.again(payload, where) if is_stored else value.dump(payload, where)
        except InvalidInput as error:
            self.refused = error
            raise
        self.emits.append(self.draft(_emit({"name": name, "payload": plain})))

    def change(self, operation: Any, key: str, value: Any = None, ttl: Span | None = None) -> None:
        """Change the run's state when the attempt completes."""
        self.check()
        self._check_key(key)
        if ttl is not None:
            ttl = seconds(ttl)
            if not (math.isfinite(ttl) and ttl > 0):
                raise self._refuse(f"ttl of {key!r} is {ttl!r}, expected more than 0 seconds")
        if operation == "add" and not _is_number(value):
            raise self._refuse(f"state.add({key!r}) was given {value!r}, expected a number")
        plain = self.dump(ANY, value, f"state {key!r}")
        event = State(operation=operation, key=key, value=plain, ttl=ttl)
        self.states.append(self.draft(event))

    async def read(self, key: str, default: Any, annotation: Any) -> Any:
        """Return the value of ``key`` after this attempt's own changes, else what is committed."""
        self.check()
        self._check_key(key)
        own = [event for event in self._changes() if event.key == key]
        data: dict[str, Entry] = {}
        if not own or own[-1].operation in ("add", "append"):
            found, committed = await self.task.read_state(self.task.job.stream, key)
            self.check()
            if found:
                data[key] = Entry(committed, None)
        for event in own:
            change(data, event, None, _NO_MOMENT)
        if key not in data:
            return default
        value = ANY if annotation is None else value_of(annotation)
        return value.load(data[key].value, f"state {key!r}")

    def _changes(self) -> Iterator[State]:
        for draft in self.states:
            if isinstance(draft.event, State):
                yield draft.event

    # Facts, which are written at once.

    def record(self, type: str, data: Any) -> None:  # noqa: A002 - as on the wire
        """Record an event of the handler's own."""
        if not _is_name(type):
            raise self._refuse(f"record() was given the type {type!r}, expected some text")
        plain = self.dump(ANY, data, f"the data of record {type!r}")
        self.leave(Record(type=type, data=plain))

    def progress(self, percent: float, message: str | None, details: Any) -> None:
        """Record how far the attempt is."""
        if not _is_number(percent) or not 0 <= percent <= 100:
            raise self._refuse(f"progress is {percent!r}, expected a number from 0 to 100")
        plain = self.dump(ANY, details, "the details of a progress")
        event = StepProgress(
            queue=self.task.job.queue,
            percent=percent,
            message=None if message is None else clean(message),
            details=plain,
        )
        self.leave(event)

    def write(self, chunk: Any, stream: str) -> None:
        """Append to an output stream."""
        self.check()
        if not (isinstance(chunk, str) and _is_name(stream)):
            raise self._refuse(
                f"write() was given {type(chunk).__name__} for stream {stream!r}, expected a text "
                "and the name of a stream"
            )
        if chunk:
            self._on_loop(self.facts().write, stream, clean(chunk))

    def leave(self, event: Event) -> None:
        """Write ``event`` at once."""
        self.check()
        self._on_loop(self.facts().add, event)

    def facts(self) -> Facts:
        """Return what writes the facts of this attempt."""
        if self._facts is None:
            self._facts = Facts(partial(self.task.record, self.task.job), self._spawn, self.draft)
        return self._facts

    async def begin(self) -> Transaction:
        """Begin the transaction that commits with this attempt; facts wait for it from now on."""
        self.check()
        await self.flush()
        self.facts().hold()
        self.check()  # It may have ended meanwhile.
        return await self.transaction.begin(self._make_transaction)

    def _make_transaction(self) -> Transaction:
        return self.task.transaction(blocking=self.thread)

    @property
    def has_facts(self) -> bool:
        """Whether it left any."""
        return self._facts is not None

    def held(self) -> list[Draft]:
        """Return the facts that waited for the transaction."""
        return [] if self._facts is None else self._facts.taken()

    async def flush(self) -> None:
        """Return when all facts are written."""
        if self._facts is not None:
            await self._facts.flush()

    def dump(self, value: Value, given: Any, where: str) -> Any:
        """Return ``given`` as plain JSON; a refusal is remembered as the context's own."""
        self.check()
        try:
            return value.dump(given, where)
        except InvalidInput as error:
            self.refused = error
            raise

    # Between threads.

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs the executor."""
        return self._loop

    def _on_loop(self, call: Callable[..., None], *args: Any) -> None:
        if not self.thread:
            call(*args)
            return
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError as error:  # The loop is closed: the process stops.
            raise AttemptEnded("the engine has stopped; nothing was recorded") from error

    def _check_key(self, key: Any) -> None:
        if not _is_name(key):
            raise self._refuse(f"a key of the state is {key!r}, expected some text")

    def _refuse(self, message: str) -> InvalidInput:
        self.refused = InvalidInput(message, details=[{"loc": "", "msg": message}])
        return self.refused

    def _fail(self, message: str) -> RunfoldError:
        self.fault = UndeclaredEmit(message)
        return self.fault


def clean(text: object) -> str:
    """Return ``text`` as something that can be stored: without lone surrogates."""
    found = str(text)
    return found if found.isascii() else found.encode("utf-8", "backslashreplace").decode()


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
