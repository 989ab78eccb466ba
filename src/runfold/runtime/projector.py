"""Keeps views live: one reader feeds every projection that this process owns.

What is caught up is fed by one ``Tail``: from memory what this process committed, and from
the log what others did. What lags (a new version, a view just taken over) reads pages of its
own until it meets the tail. Rows are gathered and written together, at most once every
``PACE`` seconds, each projection's with its position and only if it is still owned here.

A projection whose handler raises is stopped alone; it goes on when somebody resumes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from runfold.flow.events import FlowStart
from runfold.kernel.event import Recorded
from runfold.kernel.registry import UnknownEvent
from runfold.ports import Clock, Codec, EventLog
from runfold.ports_views import Views
from runfold.projections.projection import Projection
from runfold.runtime.bell import Bell
from runfold.runtime.keeper import Keeper
from runfold.runtime.naming import Naming
from runfold.runtime.ownership import Ownership, tidy
from runfold.runtime.tail import Tail, decode

PAGE = 5000
"""How many events one turn reads from the store at most. Under load each answer of the database
waits for a pass of the loop, so few large pages catch up sooner than many small ones."""
PACE_MIN, PACE = 0.004, 0.03
"""Seconds between two writes: the first when they are quick, as for few events, the second under
load; what is appended meanwhile is written together, each row once."""
GENTLE = 4
"""Up to ``PACE`` a pause is so many times as long as the write before it took."""
SHARE = 2
"""Writing may take one part in so many of the time: a slow database is written to less often."""
PACE_MAX = 0.25
"""The longest pause between two writes, in seconds."""
MOVE_EVERY = 0.25
"""Seconds after which a position is written although no row has changed."""

_log = logging.getLogger("runfold.projector")


class Projector:
    """Reads, folds, writes; ``turn`` does it once."""

    def __init__(
        self,
        log: EventLog,
        views: Views,
        codec: Codec,
        clock: Clock,
        projections: Sequence[Projection[Any]],
        *,
        tokens: Callable[[], int],
        lease: float,
    ) -> None:
        self._log, self._views, self._codec, self._clock = log, views, codec, clock
        self.ownership = Ownership(log, views, clock, projections, token=tokens(), lease=lease)
        self._naming = Naming(log)
        self._keepers: dict[Any, Keeper] = {}
        self._tail: Tail | None = None
        self._wrote_at, self._pace = 0.0, PACE_MIN
        self._hurried = self._knows = self._leaving = False
        self._hurry, self._looked = Bell(), Bell()
        self._turning = asyncio.Lock()
        self.bell = Bell()
        """Rung when something was appended."""

    async def turn(self) -> bool:
        """Do one bounded piece of work; return False when there was none."""
        async with self._turning:
            if self._leaving:
                return False
            try:
                return await self._work()
            except BaseException:
                # What was written is unknown now: begin again from what the store says.
                self.forget()
                raise

    async def pause(self) -> float:
        """Return how many seconds there is nothing to do unless the bell rings."""
        waits = [self.ownership.pause()]
        if any(keeper.reached != keeper.saved for keeper in self._keepers.values()):
            waits.append(MOVE_EVERY)
        return min(waits)

    def push(self, recorded: Sequence[Recorded]) -> None:
        """Take what this process has just committed."""
        if self._tail is not None:
            self._tail.push(recorded)
        self.bell.ring()

    def look(self) -> None:
        """Have a look at the store: another process may have appended."""
        if self._tail is not None:
            self._tail.stale = True
        self.bell.ring()

    def look_again(self) -> None:
        """Look also at who keeps what: somebody has changed it."""
        self.ownership.is_due = True
        self.look()

    def forget(self) -> None:
        """Drop all memory; the next turn begins with what the store says."""
        self._keepers, self._tail, self._knows = {}, None, False
        self.ownership.is_due = True

    def reached(self, name: str) -> int | None:
        """Return how far the live view of ``name`` is in its table; None: not kept here."""
        for keeper in self._keepers.values():
            if keeper.view.at.name == name and keeper.view.state == "live":
                return keeper.reached if keeper.is_written else keeper.saved
        return None

    def caught_up(self, head: int) -> bool:
        """Return whether every view that is kept here has everything up to ``head``.

        When not, somebody waits for it: what is folded is written without a pause before.
        """
        if self.ownership.is_due or not self._knows:
            return False
        is_there = all(
            keeper.is_written and keeper.reached >= head and keeper.view.state == "live"
            for keeper in self._keepers.values()
        )
        if not is_there:
            self._hurried = True
            self._hurry.ring()
        return is_there

    async def looked(self) -> None:
        """Return once it knows who keeps what: until then a view seems to be kept by nobody."""
        while not self._knows and not self._leaving:
            await self._looked.wait(self._looked.count)

    async def leave(self) -> None:
        """Give everything back; what is folded and not written will be folded again.

        Not in the middle of a turn: what it asks for now could be granted after it was given back,
        and nobody would keep those views until its lease is over.
        """
        self._leaving = True
        self._hurry.ring()
        self._looked.ring()
        async with self._turning:
            self.forget()
            await self._views.disown(self.ownership.token)

    async def _work(self) -> bool:
        await self._own()
        if not self._keepers:
            return False
        left = self._wrote_at + self._pace - self._clock.monotonic()
        if left > 0 and not self._hurried:
            await self._hurry.wait(self._hurry.count, left)
            if self._leaving:
                return False
        moved = await self._follow()
        moved = await self._catch_up() or moved
        await self._write_what_is_due()
        await self._stop_poisoned()
        await self._switch()
        return moved

    async def _own(self) -> None:
        if not self.ownership.due():
            return
        kept = await self.ownership.renew()
        self._knows = True
        self._looked.ring()
        for at, keeper in list(self._keepers.items()):
            held = kept.get(at)
            if held is None or held[1].position != keeper.saved:
                del self._keepers[at]
            else:
                keeper.view = held[1]
        for at, (projection, view) in kept.items():
            if at not in self._keepers:
                self._keepers[at] = Keeper(projection, view, self._views)
        if not self._keepers:
            self._tail = None
        elif self._tail is None:
            self._follow_from(max(keeper.reached for keeper in self._keepers.values()))
        else:
            self._tail.topics = self._topics(self._keepers.values())

    def _follow_from(self, position: int) -> None:
        topics = self._topics(self._keepers.values())
        self._tail = Tail(self._log, self._codec, position=position, topics=topics)

    async def _follow(self) -> bool:
        """Feed what is caught up; return False at the end of the log."""
        if self._tail is None:
            return False
        before, tail = self._tail.position, self._tail
        live = [one for one in self._keepers.values() if one.reached == before]
        try:
            page = await tail.read(PAGE)
        except (UnknownEvent, ValueError):
            # Something that this process cannot read: find out whom that concerns.
            self._tail = None
            return True
        if page:
            named = await self._naming.logged(page)
            for keeper in live:
                await keeper.fold(named, tail.position)
        else:
            for keeper in live:
                keeper.reached = tail.position
        return tail.position != before

    async def _catch_up(self) -> bool:
        """Feed one page to what lags behind the tail; return False when nothing does."""
        upto = None if self._tail is None else self._tail.position
        lagging = [one for one in self._keepers.values() if upto is None or one.reached < upto]
        lagging = [one for one in lagging if one.poison is None]
        if not lagging:
            return False
        after = min(one.reached for one in lagging)
        rows = await self._log.read(after=after, limit=PAGE, upto=upto)
        if rows:
            await self._feed(lagging, rows)
        if self._tail is None:
            self._follow_from(max(one.reached for one in self._keepers.values()))
        return True

    async def _feed(self, lagging: Sequence[Keeper], rows: Sequence[Any]) -> None:
        topics, page, last = self._topics(lagging), list[Recorded](), rows[-1].position
        for row in rows:
            if row.topic not in topics:
                continue
            try:
                page.append(decode(self._codec, row))
            except (UnknownEvent, ValueError) as error:
                if row.position > rows[0].position:
                    last = row.position - 1  # As far as it can be read; the rest is for a turn.
                    break
                for keeper in lagging:
                    if row.topic in keeper.projection.handlers and keeper.reached < row.position:
                        keeper.refuse(row.position, row.topic, error)
        named = await self._naming.logged(page)
        for keeper in lagging:
            await keeper.fold(named, last)

    async def _write_what_is_due(self) -> None:
        now, hurried = self._clock.monotonic(), self._hurried
        self._hurried = False
        keepers = [one for one in self._keepers.values() if one.reached != one.saved]
        changed = [one for one in keepers if one.pending]
        is_late = any(hurried or now - one.saved_at >= MOVE_EVERY for one in keepers)
        if changed or is_late:
            await self._write(keepers if is_late else changed)

    async def _write(self, keepers: Sequence[Keeper]) -> None:
        began = self._clock.monotonic()
        writes = [(one, one.write()) for one in keepers if one.reached != one.saved]
        if not writes:
            return
        done = await self._views.apply(self.ownership.token, [write for _, write in writes])
        now = self._clock.monotonic()
        for (keeper, write), is_ours in zip(writes, done, strict=True):
            if is_ours:
                keeper.wrote(write, now)
            else:
                _log.info("projection %r is kept by somebody else now", keeper.view.at.name)
                self._keepers.pop(keeper.view.at, None)
                self.ownership.is_due = True
        self._wrote_at, self._pace = began, _pace(now - began)

    async def _stop_poisoned(self) -> None:
        for at, keeper in list(self._keepers.items()):
            if keeper.poison is not None:
                await self._write([keeper])
                await self._views.stop(self.ownership.token, at, keeper.poison)
                self._keepers.pop(at, None)
                _log.error("projection %r stopped: %s", at.name, keeper.poison)

    async def _switch(self) -> None:
        """Make live what was built beside the live one and has caught up."""
        tail = self._tail
        for keeper in list(self._keepers.values()):
            is_there = tail is not None and keeper.reached == keeper.saved == tail.position
            if keeper.view.state == "building" and is_there:
                await self._views.index(keeper.table)
                if await self._views.switch(keeper.table):
                    _log.info("projection %r: version %d is live", *keeper.view.at[:2])
                    await tidy(self._views, keeper.projection)
                    self.ownership.is_due = True

    @staticmethod
    def _topics(keepers: Any) -> frozenset[str]:
        # Starts always: they say what their runs are called.
        return frozenset({FlowStart.TOPIC}).union(*[one.projection.topics for one in keepers])


def _pace(took: float) -> float:
    """Return how long after its beginning a write that ``took`` so long is followed by one."""
    gentle = max(PACE_MIN, min(PACE, GENTLE * took))
    return min(PACE_MAX, max(gentle, SHARE * took))
