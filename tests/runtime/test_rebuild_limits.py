"""Limits, what they count and what is closed come back from the log, and hold as before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, LimitDefinition
from runfold.flow.limits import keys_of
from runfold.flow.work import Gate
from runfold.runtime.node import Node
from runfold.runtime.rebuild import rebuild
from runfold.testing.building import flow, step
from runfold.testing.driver import OOPS, Outcome
from runfold.testing.driver import Work as Played
from runfold.testing.machine_engine import NOON, Hand
from runtime.playing import Play
from runtime.tables import tables_of
from runtime.test_rebuild import Stores, opened, stores, table

__all__ = ["stores"]

MOVES = ("start", "decide", "decide", "claim", "claim", "claim", "answer", "answer",
         "tick", "release", "limit", "die", "pause", "resume", "cancel", "pause_queue",
         "pause_key", "resume_queue", "resume_key", "less", "more")  # fmt: skip
QUICK = settings(
    max_examples=10, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def limit(most: int, key: str | None = None, *, per: float | None = None) -> LimitDefinition:
    kind: Any = "concurrency" if per is None else "rate"
    return LimitDefinition(kind=kind, max=most, per=per, key=key)


QUEUE = (limit(4), limit(6, per=12), limit(2, "user"), limit(3, "user", per=9))
LESS = (limit(2), limit(5, per=10), limit(1, "user"))
OWN = (limit(3), limit(5, per=5), limit(1, "@run"))
LIMITED = flow(
    step("take", emits="taken", queue_keys=keys_of(QUEUE)),
    step("book", "taken", limits=OWN, queue_keys=keys_of(QUEUE), retry=3),
)


def script(work: Played) -> Outcome:
    """Return how an attempt ends: every fifth of a booking fails at first."""
    if work.step == "take":
        user = work.input["user"]
        return Outcome(emits=[("taken", {"user": user}), ("taken", {"user": f"{user}'s"})])
    return Outcome(error=OOPS if work.number % 5 == 4 and work.attempt == 1 else None)


class Limited(Play):
    """Plays with a queue whose limits change, and which is paused."""

    users = "abc"

    async def start(self, **fields: Any) -> int:
        user = self.rng.choice(self.users)
        return await super().start(input={"user": user}, **fields)

    async def pause(self) -> None:
        await self.request(ev.FlowPaused(), Gate.PAUSED)

    async def resume(self) -> None:
        await self.request_all(ev.FlowResumed(), Gate.OPEN)

    async def cancel(self) -> None:
        await self.request(ev.FlowCancelRequested(), Gate.CLOSED)

    async def pause_queue(self) -> None:
        until = NOON + timedelta(seconds=self.clock.seconds + self.rng.choice((2, 200)))
        await self.node.queues.pause("default", until=self.rng.choice((None, until)))

    async def pause_key(self) -> None:
        await self.node.queues.pause("default", key=self.rng.choice("ab"))

    async def resume_queue(self) -> None:
        await self.node.queues.resume("default")

    async def resume_key(self) -> None:
        await self.node.queues.resume("default", key=self.rng.choice("ab"))

    async def less(self) -> None:
        await self.node.queues.limit("default", LESS)

    async def more(self) -> None:
        await self.node.queues.limit("default", QUEUE)

    async def finish(self) -> None:
        await self.node.queues.limit("default", (limit(50), limit(50, "user")))
        for key in (None, "a", "b"):
            await self.node.queues.resume("default", key=key)
        await super().finish()


async def prepared(node: Node, clock: Hand, definition: FlowDefinition, seed: int) -> Limited:
    """Return a play of ``definition`` on a node that has served it."""
    await node.queues.define("default", QUEUE)
    await node.definitions.define(definition, node.appender)
    return Limited(node, clock, definition, script, seed)


@given(st.integers(0, 99), st.lists(st.sampled_from(MOVES), min_size=20, max_size=40))
@QUICK
def test_limits_are_after_a_rebuild_what_they_were(
    stores: Stores, seed: int, moves: list[str]
) -> None:
    async def scenario() -> None:
        clock, store = Hand(), stores()
        node = await opened(store, clock)
        try:
            played = await prepared(node, clock, LIMITED, seed)
            await played.start()
            for move in moves:
                clock.seconds += 0.25
                await getattr(played, move)()
            tables, log, now = tables_of(store), store.identity.log_id, clock.now()
            assert now is not None
            before, said = table(tables, log), tables.limits(log, now)
            tables.drop()
            await rebuild(store, node.codec, now=now)
            assert table(tables, log) == before
            assert tables.limits(log, now) == said
            played.jobs.clear()
            played.renew_roles()
            await played.finish()
        finally:
            await node.stop(drain=0)
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def on_each(test: Callable[[Limited], Any]) -> Callable[..., None]:
    """Run an async test with a play of ``LIMITED`` on a store of ``stores``."""

    def run(stores: Stores) -> None:
        async def main() -> None:
            clock, store = Hand(), stores()
            node = await opened(store, clock)
            try:
                await test(await prepared(node, clock, LIMITED, 1))
            finally:
                await node.stop(drain=0)
                await store.close()

        asyncio.run(asyncio.wait_for(main(), 30))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def rebuilt(played: Limited) -> None:
    """Drop everything but the log, and make it anew."""
    node, now = played.node, played.clock.now()
    tables_of(node.store).drop()
    await rebuild(node.store, node.codec, now=now)
    played.renew_roles()


async def claimed(played: Limited) -> list[str | None]:
    """Return the keys of what can be claimed now."""
    played.jobs.clear()
    await played.claim(50)
    return [job.key for job, _ in played.jobs.values()]


@on_each
async def test_who_was_told_to_slow_down_still_closes_what_admitted_it(played: Limited) -> None:
    await played.start()
    await played.claim()
    await played.limit()
    await played.decide()
    await rebuilt(played)
    assert await claimed(played) == []
    played.clock.seconds += 3.9
    await played.start()
    assert await claimed(played) == []
    await played.tick()
    assert len(await claimed(played)) == 2


@on_each
async def test_starts_of_runs_that_have_ended_still_count(played: Limited) -> None:
    await played.node.queues.limit("default", (limit(1, "user", per=60),))
    played.users = "a"
    await played.start()
    await played.claim()
    await played.request(ev.FlowCancelRequested(), Gate.CLOSED)
    job, token = played.jobs.popitem()[1]
    await played._end(job, token, [ev.StepReleased(queue="default")])
    await played.decide()
    await played.decide()
    assert await played.node.store.open_runs(after=0, limit=9) == []
    await played.start()
    await rebuilt(played)
    assert await claimed(played) == []
    played.clock.seconds += 59.9
    assert await claimed(played) == []
    played.clock.seconds += 0.1
    assert await claimed(played) == ["a"]


@on_each
async def test_what_people_paused_stays_paused(played: Limited) -> None:
    await played.node.queues.pause("default", until=NOON + timedelta(seconds=60))
    await played.start()
    await rebuilt(played)
    assert await claimed(played) == []
    played.clock.seconds += 60
    assert len(await claimed(played)) == 1
