"""Runs on a real store in the hands of a test: every claim, answer and tick of time is a move.

Nothing happens by itself, so the same moves lead to the same log on every store.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from runfold.flow import events as ev
from runfold.flow.attempts import holds
from runfold.flow.definition import FlowDefinition
from runfold.flow.inputs import resolve
from runfold.flow.replacing import is_replaceable, replacement
from runfold.flow.run import evolve, new
from runfold.flow.work import ACCEPTING, Gate
from runfold.flow.working import Working
from runfold.kernel.event import Draft, Event
from runfold.ports import Batch, Claim, Job, Member
from runfold.runtime.decisions import replaced
from runfold.runtime.dispatcher import Dispatcher
from runfold.runtime.erasure import Erasure
from runfold.runtime.facts import Facts
from runfold.runtime.node import Node
from runfold.runtime.runs import Runs
from runfold.runtime.tail import Tail, decode
from runfold.runtime.timekeeper import Timekeeper
from runfold.testing.driver import OOPS, Script
from runfold.testing.driver import Work as Played
from runfold.testing.machine_engine import NOON, Hand

TURNS_MAX = 400
LEASE = 10.0


class Play:
    """A node without roles, and by hand a dispatcher, a timekeeper and workers."""

    def __init__(
        self, node: Node, clock: Hand, definition: FlowDefinition, script: Script, seed: int
    ) -> None:
        self.node, self.clock, self.definition = node, clock, definition
        self.script, self.rng = script, random.Random(seed)
        self.streams: list[int] = []
        self.jobs: dict[int, tuple[Job, int]] = {}
        self._token = 100
        self._facts = Facts(node.store, node.codec)
        self._runs = Runs(node.store, node.codec, node.definitions)
        self.renew_roles()

    def renew_roles(self) -> None:
        """Have a new dispatcher and a new timekeeper, which remember nothing."""
        node, self._token = self.node, self._token + 1
        token = self._token
        runs = Runs(node.store, node.codec, node.definitions)
        self.dispatcher = Dispatcher(
            node.store, node.store, node.store, node.appender, runs, self.clock,
            tail=Tail(node.store, node.codec, position=0), tokens=lambda: token, lease=LEASE,
            grace=7,
        )  # fmt: skip
        self.timekeeper = Timekeeper(
            node.store, node.store, node.store, node.store,
            Erasure(node.store, node.store, node.codec), node.appender, self.clock,
            accept=self._accept, lease=LEASE,
        )  # fmt: skip
        self._facts.clear()
        self._runs.clear()

    async def _accept(self, row: Any) -> None:
        raise AssertionError(f"nobody writes into the inbox: {row}")

    async def start(self, **fields: Any) -> int:
        node = self.node
        id = node.starter.id_of(self.definition.name, f"run {len(self.streams)}")
        outcome = await node.starter.start(self.definition, id, fields)
        self.streams.append(outcome.stream)
        return outcome.stream

    async def replace(self) -> None:
        """Give one run another input, and maybe another time, if it has not begun."""
        stream = self.rng.choice(self.streams)
        history = [
            decode(self.node.codec, row) for row in await self.node.store.read_stream(stream)
        ]
        run, working = new(self.definition), Working()
        for recorded in history:
            evolve(run, recorded)
            working.see(recorded)
        if run.ended or not is_replaceable(run):
            return
        version, placed = run.version, working.rows(run)
        found = replacement(run, placed, self.rng.randint(1, 3), self.rng.choice((None, 3.0)))
        outcome = await self.node.appender.submit(
            [found.draft], stream=stream, version=version, **replaced(run.flow, found)
        )
        assert outcome.refusal is None

    async def decide(self) -> None:
        """Let the dispatcher do all that it finds."""
        self.dispatcher.tail.stale = True
        while await self.dispatcher.turn():
            pass

    async def claim(self, limit: int = 1) -> None:
        """Lease jobs to a worker of their own."""
        self._token += 1
        token, store = self._token, self.node.store
        await store.join(Member(token, f"worker {token}", "worker"), 10**6, now=self.clock.now())
        names = [step.name for step in self.definition.steps]
        names += [f"{name}.compensate" for name in names]
        claim = Claim("default", limit, token, b'{"queue":"default","worker":"w"}',
                      [(self.definition.name, name) for name in names])  # fmt: skip
        committed = await store.commit(Batch(token, 1, claims=[claim], now=self.clock.now()))
        self.jobs.update({job.id: (job, token) for job in committed.jobs})

    async def answer(self) -> None:
        """Let one leased attempt end as its script says."""
        if not self.jobs:
            return
        job, token = self.jobs.pop(self.rng.choice(sorted(self.jobs)))
        run = await self._runs.refresh(job.stream)
        assert run is not None
        act = run.open.get((job.step, job.activation))
        if act is None:
            return
        ((_, brief),) = await self._facts.briefs([job])
        start = brief.start.event
        assert isinstance(start, ev.FlowStart)
        input = start.input if brief.plan is None else resolve(brief.plan, brief.events)
        work = Played(job.step, act.name, job.activation, job.attempt, input)
        await self._end(job, token, self._ends(work))

    def _ends(self, work: Played) -> list[Event]:
        outcome = self.script(work)
        if outcome.error is not None:
            later: Any = self.rng.choice(({}, {"retry_after": 3.0}))
            return [ev.StepErrored(queue="default", error=outcome.error, **later)]
        emits = [ev.Emit(name=name, payload=payload) for name, payload in outcome.emits]
        done = ev.StepCompleted(queue="default", result=outcome.result, duration=1)
        return [*emits, *outcome.states, done]

    async def release(self) -> None:
        """Give one attempt back."""
        if self.jobs:
            job, token = self.jobs.pop(self.rng.choice(sorted(self.jobs)))
            await self._end(job, token, [ev.StepReleased(queue="default")])

    async def limit(self) -> None:
        """Let one attempt be put off, uncharged, until a moment."""
        if self.jobs:
            job, token = self.jobs.pop(self.rng.choice(sorted(self.jobs)))
            at = NOON + timedelta(seconds=self.clock.seconds + 4)
            fact = ev.StepErrored(queue="default", error=OOPS, charged=False, retry_at=at)
            await self._end(job, token, [fact])

    async def _end(self, job: Job, token: int, facts: list[Event]) -> None:
        drafts = [Draft(fact, job.step, job.activation, job.attempt) for fact in facts]
        await self.node.appender.submit(
            drafts, stream=job.stream, lease=(job.id, token), frees=True,
            holds=holds(facts[-1]) if isinstance(facts[-1], ev.StepErrored) else None,
        )  # fmt: skip

    async def die(self) -> None:
        """Let the worker of one first attempt be gone."""
        first = [number for number, (job, _) in sorted(self.jobs.items()) if job.attempt == 1]
        if first:
            _, token = self.jobs.pop(first[0])
            await self.node.store.leave(token)

    async def tick(self) -> None:
        """Let time pass, and record what it brings."""
        self.clock.seconds += 2.5
        self.timekeeper.look()
        await self.timekeeper.turn()

    async def request(self, event: Event, gate: Gate) -> None:
        """Ask something of one run."""
        if self.streams:
            stream = self.rng.choice(self.streams)
            await self.node.appender.submit(
                [Draft(event)], stream=stream, gates=ACCEPTING, gate=int(gate)
            )

    async def finish(self) -> None:
        """Work until every run has ended."""
        for _ in range(TURNS_MAX):
            if not await self.node.store.open_runs(after=0, limit=1):
                return
            await self.request_all(ev.FlowResumed(), Gate.OPEN)
            await self.decide()
            await self.claim(50)
            for _ in range(len(self.jobs)):
                await self.answer()
            await self.tick()
        raise AssertionError("it goes on for ever")

    async def request_all(self, event: Event, gate: Gate) -> None:
        for stream in self.streams:
            run = await self._runs.refresh(stream)
            if run is not None and run.gate == Gate.PAUSED:
                await self.node.appender.submit(
                    [Draft(event)], stream=stream, gates=ACCEPTING, gate=int(gate)
                )

    async def outcomes(self) -> list[tuple[str, Any, Any]]:
        """Return how each run ended: status, result, state."""
        ends = []
        for stream in self.streams:
            run = await self._runs.load(stream)
            assert run is not None
            data = {key: entry.value for key, entry in run.data.items()}
            completed = run.status == "completed"
            ends.append((run.status, run.result, data if completed else None))
        return ends
