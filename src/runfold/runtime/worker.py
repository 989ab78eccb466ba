"""Claims jobs, has them executed, and records how their attempts ended.

A claim travels with whatever this process commits next, so a job that a commit makes
ready is claimed by that same commit. What an attempt did is handed to the dispatcher of
this process, if it leads, to be recorded together with the decisions it causes; else the
facts are recorded alone. The worker decides nothing and re-queues nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from runfold.flow.events import StepReleased, StepStarted
from runfold.flow.work import Gate
from runfold.kernel.event import Draft
from runfold.ports import Claim, Clock, Codec, Job, Jobs, Served
from runfold.runtime.appender import Appender
from runfold.runtime.appetite import Appetite, HoldsBack
from runfold.runtime.bell import Bell
from runfold.runtime.dispatcher import Dispatcher
from runfold.runtime.endings import Endings, Launch
from runfold.runtime.executor_endings import failed
from runfold.runtime.membership import Membership
from runfold.runtime.preparation import Preparation
from runfold.runtime.task import Task
from runfold.runtime.within import Within

CLAIM_MAX = 250
"""How many jobs one claim takes from one queue at most."""
PAUSE_AFTER_ERROR = 1.0
"""Seconds after which jobs that could not be prepared are tried again."""
WAVE = 50
"""How many handlers are started before other tasks have their turn."""

_log = logging.getLogger("runfold.worker")


class Worker:
    """The handlers that run in this process, and the slots they run in."""

    def __init__(
        self,
        jobs: Jobs,
        appender: Appender,
        preparation: Preparation,
        membership: Membership,
        codec: Codec,
        clock: Clock,
        *,
        slots: Mapping[str, int],
        targets: Sequence[tuple[str, str]],
        launch: Launch,
        check_every: float,
        within: Within,
        grace: float,
        holds_back: HoldsBack,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self._jobs, self._appender, self._preparation = jobs, appender, preparation
        self._membership, self._clock, self._launch = membership, clock, launch
        self._dispatcher, self.targets = dispatcher, targets
        self._endings = Endings(
            appender, membership, within, dispatcher, launch=launch, over=self._over
        )
        self.slots = dict(slots)
        self._busy: dict[str, int] = defaultdict(int)
        self._appetite = Appetite(self.slots, clock, holds_back)
        self._grace = grace
        self._codec = codec
        self._states = {queue: self._state(queue) for queue in self.slots}
        self._running: dict[int, Task] = {}
        self._unknown: set[int] = set()
        self._reconcile_at = math.inf
        self._check_every, self._check_at = check_every, 0.0
        self._stopping = False
        self.bell = Bell()
        """Rung when a slot becomes free or something has to be checked."""

    def scale(self, queue: str, slots: int) -> None:
        """Run up to ``slots`` handlers of ``queue`` at once; what runs goes on."""
        self._states.setdefault(queue, self._state(queue))
        self.slots[queue] = slots
        self._appetite.arouse(queue)
        self.bell.ring()

    def busy(self, queue: str) -> int:
        """Return how many slots of ``queue`` are in use."""
        return self._busy[queue]

    def _state(self, queue: str) -> bytes:
        started = StepStarted(queue=queue, worker=self._membership.member.name)
        return self._codec.encode(Draft(started)).state

    # What the appender asks and tells.

    def claims(self, ready: Set[str], opens: bool) -> list[Claim]:
        """Return a claim for each queue that has free slots and may have jobs."""
        if self._stopping or not self._membership.trusted:
            return []
        wanted, appetite = [], self._appetite
        for queue, slots in self.slots.items():
            free = slots - self._busy[queue]
            if queue in ready or (opens and appetite.opens(queue)):
                appetite.arouse(queue)
            if free > 0 and appetite[queue]:
                appetite.sated(queue)
                wanted.append(self._claim(queue, min(free, CLAIM_MAX)))
        return wanted

    def _claim(self, queue: str, limit: int) -> Claim:
        return Claim(
            queue, limit, self._membership.token, self._states[queue], self.targets,
            self._appetite.floors(queue),
        )  # fmt: skip

    def claimed(
        self, claims: Sequence[Claim], jobs: Sequence[Job], served: Sequence[Served]
    ) -> None:
        """Start what was claimed; a claim that was filled may have more behind it."""
        taken: dict[str, int] = defaultdict(int)
        for job in jobs:
            taken[job.queue] += 1
        for claim, told in zip(claims, served, strict=True):
            self._appetite.served(claim.queue, told)
            if not told.is_member and claim.token == self._membership.token:
                self._membership.lost = True  # It was swept: the next turn joins again.
                self.bell.ring()
            if told.wait is not None:
                self.bell.ring()  # The loop's pause ends when that time has come.
        for claim in claims:
            if taken[claim.queue] == claim.limit:
                self._appetite.arouse(claim.queue)
                if self.slots[claim.queue] > self._busy[claim.queue] + claim.limit:
                    self._appender.ask()
        if jobs:
            self._begin(jobs)

    def unanswered(self) -> None:
        """Claims went out and no answer names the jobs: ask what is held."""
        self._reconcile_at = 0.0
        self.wake()

    def wake(self) -> None:
        """There may be jobs in any queue, from another process or for a slot now free."""
        self._appetite.arouse_all()
        self.bell.ring()

    def forget(self) -> None:
        """Look everywhere from the beginning: the log may not be what it was."""
        self._appetite.forget()
        self.bell.ring()

    # Turns.

    async def turn(self) -> bool:
        """Look after what is held, and ask for more where there is room."""
        if not self._membership.trusted:
            self.abort("the lease of this process is over")
            await self._membership.rejoin()
            self.forget()
            return True
        if self._clock.monotonic() >= self._reconcile_at:
            await self._take_over_unknown()
        if self._running and self._clock.monotonic() >= self._check_at:
            await self.check()
        self._appetite.wake()
        room = any(
            slots > self._busy[queue] and self._appetite[queue]
            for queue, slots in self.slots.items()
        )
        if room and not self._stopping:
            # Whatever comes of it rings: to ask again while a commit is under way, or while the
            # database is away, would keep the event loop busy with nothing.
            self._appender.ask()
        return False

    def pause(self, longest: float) -> float:
        """Return the seconds until there may be something to do, at most ``longest``."""
        return min(longest, self._appetite.pause())

    def waits(self, queue: str) -> bool:
        """Return whether what is ready in ``queue`` is held back, as far as is known here."""
        return queue in self.slots and self._appetite.opens(queue) and not self._appetite[queue]

    async def check(self) -> None:
        """Tell handlers whose run is closing, and end those that were fenced."""
        self._check_at = self._clock.monotonic() + self._check_every
        running = dict(self._running)
        gates = await self._jobs.held(self._membership.token)
        for id, task in running.items():
            if id not in self._running:
                continue
            gate = gates.get(id)
            if gate is None:
                task.abort("its lease was taken: the run ended or another worker has the job")
            elif gate == Gate.CLOSED:
                task.cancelled.set("the run is ending")

    async def _take_over_unknown(self) -> None:
        self._reconcile_at = math.inf
        try:
            held = await self._jobs.leased(self._membership.token)
        except BaseException:
            self._reconcile_at = 0.0  # Nobody else will ask for them as long as this one lives.
            raise
        lost = [job for job in held if job.id not in self._running and job.id not in self._unknown]
        if lost:
            _log.warning("%d claims were committed without an answer; they start now", len(lost))
            self._begin(lost)

    # One job.

    def _begin(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._busy[job.queue] += 1
            self._unknown.add(job.id)
        tasks, rest = self._preparation.tasks_at_once(jobs, self._record)
        self._start(tasks)
        if rest:
            self._launch(self._prepare, rest)

    async def _prepare(self, jobs: list[Job]) -> None:
        try:
            await self._read_and_start(jobs)
        except Exception:  # Whatever it was: the jobs are leased, and nobody else has them.
            _log.exception("%d claimed jobs could not be prepared; once more later", len(jobs))
            for job in jobs:
                self._unknown.discard(job.id)
                self._free(job.queue)
            self._reconcile_at = self._clock.monotonic() + PAUSE_AFTER_ERROR
            self.bell.ring()

    async def _read_and_start(self, jobs: list[Job]) -> None:
        if self._dispatcher is not None and self._dispatcher.leading:
            # Their ends can then be recorded together with what follows from them.
            self._preparation.learn(await self._dispatcher.preload({job.stream for job in jobs}))
        self._start(await self._preparation.tasks(jobs, self._record))

    def _start(self, tasks: Sequence[tuple[Job, Task]]) -> None:
        # In waves: what the first ones did is on its way to the database while the next run.
        if len(tasks) > WAVE:
            asyncio.get_running_loop().call_soon(self._start, tasks[WAVE:])
        for job, task in tasks[:WAVE]:
            self._running[job.id] = task
            self._unknown.discard(job.id)
            self._launch(self._execute, job, task)

    async def _execute(self, job: Job, task: Task) -> None:
        try:
            drafts = await self._preparation.execute(task)
        except Exception as error:  # Not the handler's: the attempt must end all the same.
            _log.exception("attempt %d of %s could not be executed", job.attempt, job.step)
            drafts = [failed(job, "EXECUTION_ERROR", error)]
        gone = task.grip.gone
        if drafts and gone is not None and not gone.done() and self._appetite.opens(job.queue):
            # It counts at its limits until it has left, others are admitted only then; or when
            # ``grace`` is over, as in a run that drains.
            await asyncio.wait((gone,), timeout=self._grace)
        self._running.pop(job.id, None)
        self._unknown.add(job.id)
        if gone is None or gone.done():
            self._free(job.queue)
        else:
            # The handler ignores that its time is over: its slot stays taken until it is gone.
            gone.add_done_callback(lambda _: self._free(job.queue))
        if not self._endings.hand_over(job, drafts, task):
            await self._endings.record(job, drafts, task)

    def _over(self, job: Job) -> None:
        self._unknown.discard(job.id)

    def _free(self, queue: str) -> None:
        self._busy[queue] -= 1
        if self._appetite[queue]:
            self.bell.ring()

    async def _record(self, job: Job, drafts: Sequence[Draft]) -> None:
        """Write what a handler logged, reported or recorded while it runs."""
        lease = (job.id, self._membership.token)
        await self._appender.submit(drafts, stream=job.stream, lease=lease)

    # Stopping.

    @property
    def idle(self) -> bool:
        """True when no handler runs and no answer is on its way."""
        return not self._running and not self._unknown and not self.misses

    @property
    def misses(self) -> bool:
        """True while it may hold jobs that it does not know of; it is about to ask for them."""
        return self._reconcile_at != math.inf

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True

    def abort(self, reason: str) -> None:
        """End every handler now; what they did is not recorded."""
        for task in list(self._running.values()):
            task.abort(reason)

    async def release(self) -> None:
        """Give back what still runs: not charged, and at once ready for others."""
        running, self._running = self._running, {}
        for task in running.values():
            task.cancelled.set("the worker stops")
            task.abort("the worker stops")
        endings = [
            self._appender.submit(
                [
                    Draft(
                        StepReleased(queue=task.job.queue),
                        task.job.step, task.job.activation, task.job.attempt, task.job.key,
                    )
                ],
                stream=task.job.stream,
                lease=(task.job.id, self._membership.token),
                frees=True,
            )
            for task in running.values()
        ]  # fmt: skip
        await asyncio.gather(*endings)
