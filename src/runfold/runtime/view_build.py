"""Building a view from the first event: beside the live one, in its place at the end.

Reading the next page, folding this one and writing the one before go on at the same time.
Whoever is killed while building leaves a build that is taken up again where it stood, as
soon as its lease is over. Nothing here has an effect outside of the table that is built.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from runfold.errors import ViewNotReady
from runfold.flow.events import FlowErased, FlowStart
from runfold.ports import Clock, Codec, Stored, WholeLog
from runfold.ports_archive import Wanted
from runfold.ports_views import View, ViewPart, Views, ViewSum, ViewTable, ViewWrite
from runfold.projections.projection import Projection
from runfold.runtime.keeper import Keeper, table_of
from runfold.runtime.naming import Naming
from runfold.runtime.ownership import tidy
from runfold.runtime.tail import decode_all

PAGE = 5000
"""How many events one read passes, for each part that its build has."""
SWITCH_TRIES = 100
"""How often a build that has caught up tries to be as far as the live one."""

_log = logging.getLogger("runfold.views")


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build is."""

    name: str
    position: int
    head: int
    """The end of the log."""
    rate: float
    """Events a second, since this process began."""
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Verified:
    """What a comparison of the live rows with rows folded anew has shown."""

    name: str
    position: int
    """Both are as of this event."""
    is_equal: bool
    rows: int
    """How many rows are live."""
    rebuilt_rows: int


Report = Callable[[BuildProgress], None]
Elsewhere = Callable[[Sequence[View], int], Awaitable[None]]
"""Folds the parts of a build up to a position; raises ``ViewNotReady`` when it does not."""
_SHARED = (FlowErased.TOPIC,)
"""Events that are about a run and stand in another stream: every part reads them."""


class _Page(NamedTuple):
    """What a part wants of the events up to a position."""

    rows: Sequence[Stored]
    upto: int


class ViewBuild:
    """Builds one projection; one process does it at a time, and others at its behest."""

    def __init__(
        self,
        log: WholeLog,
        views: Views,
        codec: Codec,
        clock: Clock,
        projection: Projection[Any],
        *,
        token: int,
        lease: float,
        page: int | None = None,
        report: Report | None = None,
    ) -> None:
        self._log, self._views, self._codec, self._clock = log, views, codec, clock
        self._projection, self._token, self._lease = projection, token, lease
        self._naming, self._page_size, self._report = Naming(log), page or PAGE, report
        self._topics = sorted(projection.topics | {FlowStart.TOPIC})
        self._renewed_at = 0.0
        self._held: list[ViewPart] = []

    async def rebuild(self, *, parts: int = 1, elsewhere: Elsewhere | None = None) -> ViewTable:
        """Build beside the live view, take its place, and return the new table.

        ``parts``: in so many parts, unless a build that was left behind has another number of
        them; ``elsewhere`` folds several parts up to a position, in processes of their own.
        Raises ``ViewNotReady`` when another process is building it, or when a handler fails.
        """
        views = await self._table(parts)
        table = table_of(self._projection, views[0].at.build)
        if elsewhere is not None and len(views) > 1:
            if any(view.token is not None for view in views):
                raise _held_elsewhere(table.name)
            await elsewhere(views, await self._log.head())
        return await self._put_live(table, len(views))

    async def rollback(self) -> ViewTable:
        """Put the build that was live before back, and return its table.

        It is brought up to date beside the live one first. Raises ``ViewNotReady`` when there is
        none of this version, or when the live one is of an older version.
        """
        return await self._put_live(await self._former(), 1)

    async def _put_live(self, table: ViewTable, parts: int) -> ViewTable:
        try:
            keepers = await self._own(table, parts)
            for keeper in keepers:
                await self._fold(keeper, await self._log.head())
            await self._views.index(table)
            for _ in range(SWITCH_TRIES):
                head = await self._log.head()
                for keeper in keepers:
                    await self._fold(keeper, head)
                if await self._views.switch(table):
                    await tidy(self._views, self._projection)
                    return table
            raise ViewNotReady(
                f"the build of {table.name!r} does not catch up with the live view; it is kept "
                "and goes on when rebuilt again, at a quieter time"
            )
        finally:
            await self._views.disown(self._token)

    async def fold_part(self, view: View, upto: int) -> None:
        """Fold one part of a build up to ``upto``, and give it back.

        Raises ``ViewNotReady`` as ``rebuild``.
        """
        try:
            (keeper,) = await self._owned([view.at])
            await self._fold(keeper, upto)
        finally:
            await self._views.disown(self._token)

    async def verify(self) -> Verified:
        """Fold everything anew up to where the live view is, and compare; keep nothing of it."""
        live = await self._live()
        live_table = table_of(self._projection, live.at.build)
        table = await self._create(await self._views.parts(), state="checking")
        try:
            (keeper,) = await self._own(table, 1)
            # Nearly there first: the sum of the live rows is of the moment when it is taken.
            await self._fold(keeper, live.position)
            known = await self._views.checksum(live_table)
            await self._fold(keeper, known.position)
            again = await self._views.checksum(table)
            return _compared(self._projection.name, known, again)
        finally:
            await self._views.drop(table)

    async def _live(self) -> View:
        for view in await self._views.parts():
            is_ours = view.at[:2] == (self._projection.name, self._projection.version)
            if is_ours and view.state == "live" and view.shape == self._projection.shape:
                return view
        raise ViewNotReady(
            f"version {self._projection.version} of {self._projection.name!r} is not live here"
        )

    async def _table(self, parts: int) -> list[View]:
        """Return the parts of the build to go on with, a new one if none was left behind."""
        found = self._left(await self._views.parts())
        if not found:
            await self._create(await self._views.parts(), parts=parts)
            found = self._left(await self._views.parts())
        elif any(view.error is not None for view in found):
            await self._views.resume(self._projection.name)
        return found

    async def _former(self) -> ViewTable:
        """Return the build to be put back: the last that was live, made by this version."""
        name, version = self._projection.name, self._projection.version
        of_name = [view for view in await self._views.parts() if view.at.name == name]
        old = [view for view in of_name if view.state == "old" and not view.is_foreign]
        for view in sorted(old, key=lambda one: one.idle):
            if view.at.version == version and view.shape == self._projection.shape:
                if view.error is not None:
                    await self._views.resume(name)
                return table_of(self._projection, view.at.build)
        kept = ", ".join(f"version {view.at.version} build {view.at.build}" for view in old)
        raise ViewNotReady(
            f"no build of version {version} of {name!r} is kept to be put back; kept: "
            f"{kept or 'none'}. A build of another version is put back by the code of that "
            "version; rebuild() makes one anew"
        )

    def _left(self, known: Sequence[View]) -> list[View]:
        wanted = self._projection
        left = [
            view
            for view in known
            if view.at[:2] == (wanted.name, wanted.version)
            and view.state == "building" and view.shape == wanted.shape and not view.is_foreign
        ]  # fmt: skip
        return [view for view in left if view.at.build == left[0].at.build]

    async def _create(
        self, known: Sequence[View], *, state: str = "building", parts: int = 1
    ) -> ViewTable:
        mine = (self._projection.name, self._projection.version)
        last = max((view.at.build for view in known if view.at[:2] == mine), default=0)
        table = table_of(self._projection, last + 1)
        await self._views.create(table, state=state, parts=parts)
        return table

    async def _own(self, table: ViewTable, parts: int) -> list[Keeper]:
        return await self._owned([ViewPart(*table[:3], part) for part in range(parts)])

    async def _owned(self, wanted: Sequence[ViewPart]) -> list[Keeper]:
        held = {view.at: view for view in await self._renew(wanted)}
        if not all(at in held for at in wanted):
            raise _held_elsewhere(wanted[0].name)
        return [Keeper(self._projection, held[at], self._views) for at in wanted]

    async def _renew(self, wanted: Sequence[ViewPart] = ()) -> list[View]:
        self._renewed_at, now = self._clock.monotonic(), self._clock.now()
        self._held = [*wanted] or self._held
        return await self._views.own(self._token, self._held, self._lease, now=now)

    async def _fold(self, keeper: Keeper, upto: int) -> None:
        """Fold everything up to ``upto`` into the table."""
        began, first = self._clock.monotonic(), keeper.reached
        page = await self._read(keeper, keeper.reached, upto)
        write: ViewWrite | None = None
        while page is not None or write is not None:
            last = keeper.reached if page is None else page.upto
            following, _, _ = await asyncio.gather(
                self._read(keeper, last, upto), self._page(keeper, page), self._apply(write)
            )
            write = None if page is None else self._next_write(keeper)
            if keeper.reached < last:  # It starts over.
                following = await self._read(keeper, keeper.reached, upto)
            page = following
            await self._keep()
            self._tell(keeper, began, first, upto)

    async def _read(self, keeper: Keeper, after: int, upto: int) -> _Page | None:
        """Return what the part wants of the events behind ``after``; None at the end."""
        if after >= upto:
            return None
        part, parts = keeper.view.at.part, keeper.view.parts
        end = min(upto, after + self._page_size * parts)
        wanted = Wanted(self._topics, part, parts, _SHARED)
        return _Page(await self._log.read_wanted(wanted, after=after, upto=end), end)

    async def _page(self, keeper: Keeper, page: _Page | None) -> None:
        if page is None:
            return
        recorded = decode_all(self._codec, page.rows)
        await keeper.fold(await self._naming.logged(recorded), page.upto)
        if keeper.poison is not None:
            raise ViewNotReady(
                f"projection {keeper.projection.name!r} cannot be built: {keeper.poison}"
            )

    @staticmethod
    def _next_write(keeper: Keeper) -> ViewWrite:
        write = keeper.write()
        keeper.saved = write.upto  # The next write begins where this one, on its way, ends.
        return write

    async def _apply(self, write: ViewWrite | None) -> None:
        if write is None:
            return
        if not (await self._views.apply(self._token, [write]))[0]:
            raise ViewNotReady(
                f"the build of {write.table.name!r} was taken over by another process"
            )

    async def _keep(self) -> None:
        if self._clock.monotonic() > self._renewed_at + self._lease / 3:
            await self._renew()

    def _tell(self, keeper: Keeper, began: float, first: int, head: int) -> None:
        if self._report is not None:
            spent = max(self._clock.monotonic() - began, 1e-6)
            rate = (keeper.reached - first) / spent
            left = (head - keeper.reached) / rate if rate else 0.0
            name = self._projection.name
            self._report(BuildProgress(name, keeper.reached, head, rate, left))


def _held_elsewhere(name: str) -> ViewNotReady:
    return ViewNotReady(
        f"{name!r} is being built by another process; look at rf.projections.status(), and try "
        "again when it is done"
    )


def _compared(name: str, live: ViewSum, again: ViewSum) -> Verified:
    is_equal = live == again
    if not is_equal:
        _log.error("view %r differs from its log at %d: %s, %s", name, live.position, live, again)
    return Verified(name, live.position, is_equal, live.rows, again.rows)
