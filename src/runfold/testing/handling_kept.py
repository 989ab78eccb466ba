"""An attempt that keeps what a handler does instead of recording it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, cast

from runfold.define.topic import Topic
from runfold.define.values import ANY
from runfold.flow.events import Emit, Log, Record, StepProgress
from runfold.flow.state import Entry
from runfold.flow.values import change
from runfold.kernel.event import Draft, Event
from runfold.ports import Batch, Committed, Job, Transaction
from runfold.runtime.context_attempt import Attempt
from runfold.runtime.context_facts import Facts
from runfold.runtime.task import Task

_NO_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


class Emitted(NamedTuple):
    """One emit."""

    name: str
    payload: Any


class Progressed(NamedTuple):
    """One progress."""

    percent: float
    message: str | None
    details: Any


class Logged(NamedTuple):
    """One line of the context's log."""

    level: str
    message: str
    meta: dict[str, Any]


class Noted(NamedTuple):
    """One event of the handler's own."""

    type: str
    data: Any


class Changed(NamedTuple):
    """One change of the run's state; ``ttl`` in seconds."""

    operation: str
    key: str
    value: Any
    ttl: float | None


async def never(_: Job, drafts: Sequence[Draft]) -> None:
    """Stand where facts are recorded: they are kept before they come there."""
    raise AssertionError(f"nobody records {drafts!r} here")


class Given(Transaction):
    """The connection of a test in the place of a transaction: the test ends it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def begin(self) -> None:
        """Do nothing: it is the test's."""

    async def commit(self, batch: Batch) -> Committed:
        """Never called: nothing is recorded here."""
        raise AssertionError(f"nobody commits {batch!r} here")

    async def rollback(self) -> None:
        """Do nothing: it is the test's."""


class _Facts(Facts):
    """Facts that are kept as they come."""

    __slots__ = ("events", "output")

    def __init__(self, attempt: KeptAttempt) -> None:
        record = partial(never, attempt.task.job)
        super().__init__(record, cast("Any", None), attempt.draft)
        self.events: list[Event] = []
        self.output: dict[str, str] = {}

    def add(self, event: Event) -> None:
        self.events.append(event)

    def write(self, stream: str, chunk: str) -> None:
        self.output[stream] = self.output.get(stream, "") + chunk

    async def flush(self) -> None:
        """Return at once: nothing waits to be written."""


class KeptAttempt(Attempt):
    """One attempt of a handler that nobody but a test looks at."""

    __slots__ = ("_before", "_is_open", "_kept")

    def __init__(self, task: Task, before: Mapping[str, Any], *, is_open: bool) -> None:
        """``before``: the plain state; ``is_open``: the handler may emit whatever it likes."""
        super().__init__(task, cast("Any", None), cast("Any", None))
        self._before, self._is_open = before, is_open
        self._kept = _Facts(self)

    def facts(self) -> Facts:
        """Return what keeps the facts."""
        return self._kept

    def emit(self, topic: Any, payload: Any, *, is_stored: bool = False) -> None:
        """Keep an emit."""
        if self._is_open:
            name = topic.name if isinstance(topic, Topic) else topic
            cast("dict[str, Any]", self.task.handler.topics)[name] = (
                topic.value if isinstance(topic, Topic) else ANY
            )
        super().emit(topic, payload, is_stored=is_stored)

    # What was kept.

    @property
    def emitted(self) -> list[Emitted]:
        found = [draft.event for draft in self.emits]
        return [Emitted(one.name, one.payload) for one in found if isinstance(one, Emit)]

    @property
    def progressed(self) -> list[Progressed]:
        found = [one for one in self._kept.events if isinstance(one, StepProgress)]
        return [Progressed(one.percent, one.message, one.details) for one in found]

    @property
    def logged(self) -> list[Logged]:
        found = [one for one in self._kept.events if isinstance(one, Log)]
        return [Logged(one.level, one.message, one.meta) for one in found]

    @property
    def recorded(self) -> list[Noted]:
        found = [one for one in self._kept.events if isinstance(one, Record)]
        return [Noted(one.type, one.data) for one in found]

    @property
    def output(self) -> dict[str, str]:
        return dict(self._kept.output)

    @property
    def changed(self) -> list[Changed]:
        return [Changed(one.operation, one.key, one.value, one.ttl) for one in self._changes()]

    def data(self) -> dict[str, Any]:
        """Return the state after this attempt."""
        data = {key: Entry(value, None) for key, value in self._before.items()}
        for event in self._changes():
            change(data, event, None, _NO_MOMENT)
        return {key: ANY.load(entry.value) for key, entry in data.items()}
