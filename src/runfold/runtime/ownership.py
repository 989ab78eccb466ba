"""Which views this process keeps: it makes what is missing and takes what is free.

A projection is kept in one build of its version. The first build of a name is live at once,
a later version is built beside the live one. A process that knows only an older version than
the live one keeps nothing of it: it waits to be replaced, or for its version to be put back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from runfold.errors import InvalidDefinition
from runfold.ports import Clock, EventLog
from runfold.ports_views import View, ViewPart, Views, ViewTable
from runfold.projections.projection import Projection
from runfold.runtime.keeper import table_of

LOOK_EVERY = 5.0
"""The longest pause, in seconds, between two looks at who keeps what."""
BUILDS_KEPT = 1
"""How many builds that were live are kept, to be put back."""
KEPT_FOR = 7 * 86_400.0
"""How many seconds a build is kept at most when it is not live any more."""

_log = logging.getLogger("runfold.projector")

Kept = dict[ViewPart, tuple[Projection[Any], View]]


async def tidy(views: Views, projection: Projection[Any]) -> None:
    """Drop the builds of ``projection`` that were live before the last one, or long ago."""
    old = [
        view
        for view in await views.parts()
        if view.at.name == projection.name and view.state == "old"
    ]
    for number, view in enumerate(sorted(old, key=lambda one: one.idle)):
        if number >= BUILDS_KEPT or view.idle > KEPT_FOR:
            await views.drop(former(projection, view))


def former(projection: Projection[Any], view: View) -> ViewTable:
    """Return the table of a build of any version of ``projection``."""
    return table_of(projection, view.at.build)._replace(version=view.at.version)


class Ownership:
    """One token, and the views that it holds."""

    def __init__(
        self,
        log: EventLog,
        views: Views,
        clock: Clock,
        projections: Sequence[Projection[Any]],
        *,
        token: int,
        lease: float,
    ) -> None:
        self._log, self._views, self._clock = log, views, clock
        self._projections = {one.name: one for one in projections}
        self.token, self._lease = token, lease
        self._every = min(lease / 3, LOOK_EVERY)
        self._looked_at = 0.0
        self.is_due = True
        """Somebody has changed who keeps what."""

    def due(self) -> bool:
        """Return whether it is time to renew."""
        return self.is_due or self.pause() <= 0

    def pause(self) -> float:
        """Return the seconds until it is time to renew."""
        return 0.0 if self.is_due else self._looked_at + self._every - self._clock.monotonic()

    async def renew(self) -> Kept:
        """Make what is missing, take what is free, renew the rest; return what is held."""
        self._looked_at, self.is_due = self._clock.monotonic(), False
        parts = await self._views.parts()
        wanted: list[ViewPart] = []
        for projection in self._projections.values():
            wanted += await self._wanted(projection, parts)
            if any(_is_over(view) for view in parts if view.at.name == projection.name):
                await tidy(self._views, projection)
        held = await self._views.own(self.token, wanted, self._lease, now=self._clock.now())
        return {
            view.at: (self._projections[view.at.name], view) for view in held if view.at in wanted
        }

    async def check(self) -> None:
        """Raise ``InvalidDefinition`` for a projection that its table does not fit."""
        for view in await self._views.parts():
            projection = self._projections.get(view.at.name)
            if projection is None or view.at.version != projection.version:
                continue
            if view.shape != projection.shape:
                raise InvalidDefinition(
                    f"projection {projection.name!r}: version {projection.version} was built "
                    "with other columns, key or indexes than it has now; give it version="
                    f"{projection.version + 1}, and it is built anew beside the old one"
                )

    async def _wanted(self, projection: Projection[Any], parts: Sequence[View]) -> list[ViewPart]:
        """Return the builds of ``projection`` to keep, after making the first if need be."""
        of_name = [view for view in parts if view.at.name == projection.name]
        live = [view for view in of_name if view.state == "live"]
        if live and live[0].at.version > projection.version:
            return []
        ours = [
            view
            for view in of_name
            if view.at.version == projection.version and view.parts == 1
            and view.state in ("live", "building") and view.shape == projection.shape
        ]  # fmt: skip
        for view in ours:
            if view.is_foreign:
                _log.warning("view %r is of another log; it is built anew", projection.name)
                table = table_of(projection, view.at.build)
                await self._views.drop(table)
                await self._views.create(table, state=view.state)
        if (
            not ours
            and live
            and any(
                view.state == "old" and view.at.version == projection.version for view in of_name
            )
        ):
            return []  # It was live, and an older version was put back in its place.
        if not ours:
            build = 1 + max([one.at.build for one in of_name
                             if one.at.version == projection.version], default=0)  # fmt: skip
            table = table_of(projection, build)
            await self._views.create(table, state="building" if live else "live")
            return [ViewPart(*table[:3])]
        return [view.at for view in ours]


def _is_over(view: View) -> bool:
    return view.state == "old" and view.idle > KEPT_FOR
