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
from runfold.runtime.task import Task

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
        self._definitions, self._facts = definitions, facts
        self.execute: Callable[[Task], Awaitable[list[Draft]]] = executor.execute
        """Runs the handler of a task; returns what ends the attempt."""
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

    def _task(self, job: Job, brief: Brief, record: RecordFor) -> Task:
        start = brief.start.event
        assert isinstance(start, FlowStart)
        handler = self._handlers[job.flow, job.step]
        plan = brief.plan
        retry = start.retry
        return Task(  # By position, which takes half the time.
            job, handler, text(job.run_id),
            record, self._read_state, self._transactions.handler_transaction,
            start.tags,
            start.input if plan is None else resolve(plan, brief.events),
            None if plan is None else trigger(plan),
            _due_at(start, brief.start),
            self._timeout(job, start, handler),
            never_of(retry) if retry else (),
            partial(self._pause, job, start),
            self._deps,
        )  # fmt: skip

    def _pause(self, job: Job, start: FlowStart) -> float:
        """Return the backoff after this attempt."""
        definition = self._definitions.known(start.definition)
        steps = {} if definition is None else definition.by_name
        step = steps.get(job.step.removesuffix(COMPENSATION_SUFFIX))
        policy = policy_of(RetryPolicy() if step is None else step.retry, start.retry)
        seed = f"{start.run_id}/{job.step}/{job.activation}/{job.attempt}"
        return backoff(policy, job.attempt, seed)

    def _timeout(self, job: Job, start: FlowStart, handler: Handler) -> float | None:
        timeout = start.timeout
        if timeout is not None:
            return timeout
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
    due_at, delay = start.due_at, start.delay
    if due_at is not None:
        return due_at
    return recorded.ts + timedelta(seconds=delay) if delay else recorded.ts
