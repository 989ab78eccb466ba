"""What the working tables say of what a run waits for: who works, what is closed, what is full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from runfold.flow.holding import Hold
from runfold.kernel.ids import text
from runfold.ports import BucketUse, Limit, Member, QueueState, Store
from runfold.runtime.dispatcher import CURSOR
from runfold.runtime.limits import closed
from runfold.runtime.queues import UNTIL_OPENED

HOLDERS_SHOWN = 5
"""How many of the runs that take up a limit are named in the text."""


class Obstacles:
    """Answers for the holds of one run, as of ``now``."""

    def __init__(self, store: Store, now: datetime) -> None:
        self._store, self._now = store, now
        self._members: list[tuple[Member, datetime]] = []
        self._queues: dict[str, QueueState] = {}

    async def told(self, holds: Sequence[Hold], *, position: int) -> list[Hold]:
        """Return ``holds`` with what stands in their way now; ``position``: the run's last."""
        if not holds:
            return []
        self._members = await self._store.members()
        if any(hold.kind == "queued" for hold in holds):
            self._queues = {state.name: state for state in await self._store.queues()}
        return [await self._told(hold, position) for hold in holds]

    async def _told(self, hold: Hold, position: int) -> Hold:
        match hold.kind:
            case "running":
                return self._lease(hold)
            case "queued":
                return await self._queued(hold)
            case "retrying" | "delayed" if hold.until is not None and hold.until <= self._now:
                return _and(hold, self._who("timekeeper", "it is due"))
            case "undecided":
                return await self._undecided(hold, position)
        return hold

    def _lease(self, hold: Hold) -> Hold:
        for member, until in self._members:
            if member.name == hold.worker and until > self._now:
                said = f"its lease holds until {_time(until)} unless renewed"
                return _and(replace(hold, until=until), said)
        said = "whose lease is over: it is stalled as soon as a timekeeper sees it"
        return _and(hold, said, self._who("timekeeper", ""))

    async def _undecided(self, hold: Hold, position: int) -> Hold:
        behind = position - await self._store.cursor(CURSOR)
        far = (
            f"the dispatcher was {behind} events behind when it last said so" if behind > 0 else ""
        )
        return _and(hold, self._who("dispatcher", ""), far)

    async def _queued(self, hold: Hold) -> Hold:
        queue = hold.queue or ""
        state = self._queues.get(queue)
        limits = () if state is None else state.limits
        whole = [limit.id for limit in limits if not limit.keyed]
        of_key = [] if hold.key is None else [closed(queue, hold.key)]
        asked = [closed(queue, None), *of_key, *whole, *hold.buckets]
        uses = [use for use in await self._store.usage(asked) if self._refuses(use)]
        ready, leased = (0, 0) if state is None else (state.ready, state.leased)
        told = hold
        for use in uses:
            told = await self._held_back(told, use)
        counts = "" if uses else f"{ready} are ready there and {leased} are worked on"
        return _and(told, self._who("worker", ""), counts)

    def _refuses(self, use: BucketUse) -> bool:
        if use.closed_until is not None:
            return True
        limit = use.limit
        if limit is None:
            return False
        counted = use.holders if limit.per is None else self._counted(use, limit)
        return len(counted) >= limit.max

    def _counted(self, use: BucketUse, limit: Limit) -> list[datetime]:
        since = self._now - timedelta(seconds=limit.per or 0)
        return [at for at in use.starts if at > since]

    async def _held_back(self, hold: Hold, use: BucketUse) -> Hold:
        named = _named(use)
        if use.closed_until is not None:
            until = None if use.closed_until >= UNTIL_OPENED else use.closed_until
            when = "until it is resumed" if until is None else f"until {_time(until)}"
            what = "is closed" if "#" in use.bucket else "is paused"
            return _and(replace(hold, limit=use.bucket, until=until), f"{named} {what} {when}")
        limit = use.limit
        assert limit is not None
        if limit.per is not None:
            counted = self._counted(use, limit)
            until = counted[len(counted) - limit.max] + timedelta(seconds=limit.per)
            said = (
                f"{named} admits {limit.max} starts in {limit.per:g} s; the next at {_time(until)}"
            )
            return _and(replace(hold, limit=use.bucket, until=until), said)
        names = await self._store.names(sorted({one.stream for one in use.holders}))
        runs = tuple(dict.fromkeys(text(names[one.stream].id) for one in use.holders))
        by = [f"{one.step} of run {text(names[one.stream].id)}" for one in use.holders]
        shown = ", ".join(by[:HOLDERS_SHOWN]) + (", ..." if len(by) > HOLDERS_SHOWN else "")
        said = f"{named} admits {limit.max} at once, taken up by {shown}"
        return _and(replace(hold, limit=use.bucket, held_by=runs), said)

    def _who(self, role: str, otherwise: str) -> str:
        """Return that no process has ``role``, or ``otherwise``."""
        alive = [member for member, until in self._members if until > self._now]
        if any(role in member.roles.split() for member in alive):
            return otherwise
        return f"no {role} is alive: serve the role {role!r}"


def _named(use: BucketUse) -> str:
    limit, _, key = use.bucket.partition("=")
    place, is_limit, _ = limit.partition("#")
    kind, _, of = place.partition(":")
    what = "the limit of " if is_limit else ""
    return f"{what}{kind} {of!r}" + (f" for key {key!r}" if key else "")


def _and(hold: Hold, *said: str) -> Hold:
    return replace(hold, text="; ".join([hold.text, *[one for one in said if one]]))


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
