"""From a claimed job to a task: which handler, with which input, on whose behalf."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from runfold.define.handler import Handler
from runfold.flow.definition import COMPENSATION_SUFFIX, RetryPolicy
from runfold.flow.events import FlowStart
from runfold.flow.inputs import resolve, trigger
from runfold.flow.retry import backoff, never_of, policy_of
from runfold.kernel.event import Draft, Recorded
from runfold.kernel.ids import text
from runfold.ports import Codec, EventLog, Job, Transactions
from runfold.runtime.appender import Appender
from runfold.runtime.definitions import Definitions
from runfold.runtime.executor import Executor
from runfold.runtime.facts import Brief, Facts
from runfold.runtime.runs import Runs
from runfold.runtime.task import CancelSignal, Task

_log = logging.getLogger("runfold.worker")

RecordFor = Callable[[Job, Sequence[Draft]], Awaitable[None]]


class Preparation:
    """Everything that a handler is given, made from the job's history."""

    def __init__(
        self,
        log: EventLog,
        codec: Codec,
        definitions: Definitions,
        facts: Facts,
        executor: Executor,
        appender: Appender,
        *,
        handlers: Mapping[tuple[str, str], Handler],
        transactions: Transactions,
        deps: Any,
    ) -> None:
        self._transactions = transactions
        self._definitions, self._facts, self._executor = definitions, facts, executor
        self._appender, self._handlers, self._deps = appender, handlers, deps
        self._runs = Runs(log, codec, definitions)

    def forget(self) -> None:
        """Drop what is remembered of any history: the log may not be what it was."""
        self._facts.clear()
        self._runs.clear()

    def learn(self, recorded: Sequence[Recorded]) -> None:
        """Remember what somebody else has read of the histories of jobs."""
        self._facts.push(recorded)

    def tasks_at_once(
        self, jobs: Sequence[Job], record: RecordFor
    ) -> tuple[list[tuple[Job, Task]], list[Job]]:
        """Return a task for each of ``jobs`` whose history is in memory, and the other jobs."""
        briefs, rest = self._facts.known(jobs)
        return self._tasks(briefs, record), rest

    async def tasks(self, jobs: Sequence[Job], record: RecordFor) -> list[tuple[Job, Task]]:
        """Return a task for each of ``jobs``."""
        return self._tasks(await self._facts.briefs(jobs), record)

    def _tasks(
        self, briefs: Sequence[tuple[Job, Brief]], record: RecordFor
    ) -> list[tuple[Job, Task]]:
        return [(job, self._task(job, brief, record)) for job, brief in briefs]

    def execute(self, task: Task) -> Awaitable[list[Draft]]:
        """Run the handler; return what ends the attempt."""
        return self._executor.execute(task)

    def _task(self, job: Job, brief: Brief, record: RecordFor) -> Task:
        start = brief.start.event
        assert isinstance(start, FlowStart)
        handler = self._handlers[job.flow, job.step]
        plan = brief.plan
        return Task(
            job=job,
            handler=handler,
            run_id=text(job.run_id),
            tags=start.tags,
            run_input=start.input,
            input=start.input if plan is None else resolve(plan, brief.events),
            trigger=None if plan is None else trigger(plan),
            due_at=_due_at(start, brief.start),
            timeout=self._timeout(job, start, handler),
            never=never_of(start.retry) if start.retry else (),
            pause=partial(self._pause, job, start),
            deps=self._deps,
            record=record,
            read_state=self._read_state,
            transaction=self._transactions.handler_transaction,
            cancelled=CancelSignal(),
        )

    def _pause(self, job: Job, start: FlowStart) -> float:
        """Return the backoff after this attempt."""
        definition = self._definitions.known(start.definition)
        steps = {} if definition is None else definition.by_name
        step = steps.get(job.step.removesuffix(COMPENSATION_SUFFIX))
        policy = policy_of(RetryPolicy() if step is None else step.retry, start.retry)
        seed = f"{start.run_id}/{job.step}/{job.activation}/{job.attempt}"
        return backoff(policy, job.attempt, seed)

    def _timeout(self, job: Job, start: FlowStart, handler: Handler) -> float | None:
        if start.timeout is not None:
            return start.timeout
        definition = self._definitions.known(start.definition)
        step = None if definition is None else definition.by_name.get(job.step)
        return handler.timeout if step is None else step.timeout

    async def _read_state(self, stream: int, key: str) -> tuple[bool, Any]:
        run = await self._runs.refresh(stream)
        if run is None:
            return False, None
        entry = run.data.get(key)
        now = self._appender.now()
        if entry is None or (entry.expires_at and now and entry.expires_at <= now):
            return False, None
        return True, entry.value


def _due_at(start: FlowStart, recorded: Recorded) -> Any:
    if start.due_at is not None:
        return start.due_at
    return recorded.ts + timedelta(seconds=start.delay) if start.delay else recorded.ts
