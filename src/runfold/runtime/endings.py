"""How attempts end in the log, once their handlers have left.

    handed over    to the dispatcher, if it leads: one item with the decisions that follow;
                   nobody waits for the answer, which calls
    recorded       the facts alone, when the dispatcher would not have them, or another event
                   has moved the run meanwhile; in the handler's own transaction if it has one

What cannot be recorded is itself how the attempt ended. A lease that is over leaves nothing:
somebody else answers for the attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from runfold.errors import RunfoldError, StoreUnavailable
from runfold.flow.attempts import holds
from runfold.flow.events import StepErrored
from runfold.kernel.event import Draft
from runfold.ports import Item, Job, Outcome, Refusal, Transaction
from runfold.runtime.appender import Appender
from runfold.runtime.dispatcher import Dispatcher
from runfold.runtime.executor_endings import failed
from runfold.runtime.membership import Membership
from runfold.runtime.task import Task
from runfold.runtime.within import Undone, Within

_log = logging.getLogger("runfold.worker")


class Launch(Protocol):
    """Starts a task of ``main(*args)`` that ends before the service does."""

    def __call__(self, main: Callable[..., Coroutine[Any, Any, None]], /, *args: Any) -> None: ...


class Endings:
    """Records the ends of attempts; ``over`` is told of each job when its answer is there."""

    def __init__(
        self,
        appender: Appender,
        membership: Membership,
        within: Within,
        dispatcher: Dispatcher | None,
        *,
        launch: Launch,
        over: Callable[[Job], object],
    ) -> None:
        self._appender, self._membership, self._within = appender, membership, within
        self._dispatcher, self._launch, self._over = dispatcher, launch, over

    def hand_over(self, job: Job, drafts: list[Draft], task: Task) -> bool:
        """Have the dispatcher record the end with what follows from it; False: it does not."""
        grip, dispatcher = task.grip, self._dispatcher
        if dispatcher is None or not drafts or grip.aborted is not None or grip.transaction:
            return False
        told = partial(self._told, job, drafts, task)
        try:
            return dispatcher.fuse(self._item(job, drafts), drafts, told)
        except StoreUnavailable:
            self._over(job)
            _log_left(job)
        except Exception as error:  # What it did cannot be recorded: that is how it ended.
            self._launch(self.record, job, [_unfit(job, error)], task)
        return True

    def _told(self, job: Job, drafts: list[Draft], task: Task, answer: Outcome | Exception) -> None:
        if not isinstance(answer, Exception):
            refusal = answer.refusal
            if refusal is None or refusal == Refusal.LEASE:
                self._over(job)
                if refusal is not None:
                    _log_refused(job, refusal)
                return
            # Something else has moved the run: the facts alone are as true as before.
        elif isinstance(answer, StoreUnavailable):
            # The process ends in the middle of a commit: what became of it is in the log.
            self._over(job)
            _log_left(job, logging.INFO)
            return
        else:
            drafts = [_unfit(job, answer)]
        self._launch(self.record, job, drafts, task)

    async def record(self, job: Job, drafts: list[Draft], task: Task) -> None:
        """Record the end alone; return when it is in the log, or never will be."""
        try:
            await self._record(job, drafts, task)
        except StoreUnavailable:
            _log_left(job)
        finally:
            self._over(job)

    async def _record(self, job: Job, drafts: list[Draft], task: Task) -> None:
        transaction = task.grip.transaction
        if not drafts or task.aborted:
            if transaction is not None:
                await transaction.rollback()
            return  # Fenced: somebody else answers for this attempt.
        try:
            if transaction is None:
                outcome = await self._record_end(job, drafts)
            else:
                outcome = await self._record_within(transaction, job, drafts)
        except StoreUnavailable:
            raise
        except Exception as error:  # What it did cannot be recorded: that is how it ended.
            outcome = await self._record_end(job, [_unfit(job, error)])
        if outcome.refusal is not None:
            _log_refused(job, outcome.refusal)

    async def _record_end(self, job: Job, drafts: list[Draft]) -> Outcome:
        future = self._appender.take(drafts, self._item(job, drafts))
        if self._dispatcher is not None:
            self._dispatcher.expect(job.stream, future)
        return await future

    async def _record_within(
        self, transaction: Transaction, job: Job, drafts: list[Draft]
    ) -> Outcome:
        """Record the end in the handler's own transaction; that one undone, it has failed."""
        lease = (job.id, self._membership.token)
        underway: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self._dispatcher is not None:
            self._dispatcher.expect(job.stream, underway)
        try:
            return await self._within.record(transaction, drafts, stream=job.stream, lease=lease)
        except Undone as error:
            return await self._record_end(job, [failed(job, "EXECUTION_ERROR", error, again=True)])
        finally:
            underway.cancel()

    def _item(self, job: Job, drafts: list[Draft]) -> Item:
        """Return the item that ends the attempt, still without its events."""
        item = Item((), job.stream)
        item.lease, item.frees = (job.id, self._membership.token), True
        event = drafts[-1].event
        if type(event) is StepErrored:
            item.holds = holds(event)
        return item


def _unfit(job: Job, error: Exception) -> Draft:
    _log.warning("attempt %d of %s: %s", job.attempt, job.step, error)
    code = error.code if isinstance(error, RunfoldError) else "EXECUTION_ERROR"
    return failed(job, code, error)


def _log_left(job: Job, level: int = logging.WARNING) -> None:
    _log.log(level, "left before attempt %d of %s was recorded", job.attempt, job.step)


def _log_refused(job: Job, refusal: Refusal) -> None:
    _log.warning(
        "attempt %d of %s no longer held its lease (%s); what it did was not recorded",
        job.attempt, job.step, refusal.name,
    )  # fmt: skip
