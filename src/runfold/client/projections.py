"""``rf.projections`` and ``rf.view``: how far read models are, and reading them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from runfold.client.filters import refused
from runfold.client.session import Session
from runfold.client.view import ViewRows
from runfold.errors import InvalidDefinition, InvalidInput, RunfoldError, ViewNotReady
from runfold.ports_views import View, Views, ViewTable
from runfold.projections.metric import Metric
from runfold.projections.projection import Projection
from runfold.runtime.keeper import table_of
from runfold.runtime.ownership import KEPT_FOR
from runfold.runtime.view_build import Report, Verified, ViewBuild
from runfold.runtime.view_parts import Parts
from runfold.settings import seconds

Row = TypeVar("Row")
PATIENCE = 1.0
"""Seconds that a listing waits for a view before it asks the log."""
PROCESSES_MAX = 64
"""How many processes one rebuild spawns at most."""
WAIT_MIN, WAIT_MAX = 0.002, 0.05
"""Seconds between two looks at how far a view is that another process keeps."""


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """One build of a projection."""

    name: str
    version: int
    build: int
    state: str
    """``live``, ``building``, ``old``, or ``stopped``: a handler failed on an event."""
    position: int
    """The last event that its rows contain."""
    lag: int
    """How many events of the log come after it."""
    error: dict[str, Any] | None
    """Why it stopped: ``position``, ``type`` and ``error``."""
    kept_for: float | None = None
    """Of an ``old`` one: how many seconds it can still be put back, if no other takes over."""


class Projections:
    """The read models of a log."""

    def __init__(self, session: Session, declared: Iterable[Any]) -> None:
        self._session = session
        self._declared: dict[str, Projection[Any]] = {}
        for one in declared:
            self._add(one)

    def view(self, projection: Any) -> ViewRows[Any]:
        """Return the rows of a projection: the object, or its name."""
        return ViewRows(self, self._find(projection))

    async def status(self) -> list[ProjectionStatus]:
        """Return one line for each build of each projection, with its lag behind the log."""
        node = self._session.node
        parts, head = await node.store.views.parts(), await node.store.head()
        return [_status(view, head) for view in parts]

    async def wait(self, name: Any, position: int) -> None:
        """Return when the live view of ``name`` has the event at ``position``.

        Raises ``InvalidInput`` for a position beyond the end of the log, ``ViewNotReady`` when
        the projection has stopped before it.
        """
        wanted = self._find(name).name
        node, pause = self._session.node, WAIT_MIN
        if position > await node.store.head():
            raise InvalidInput(f"position {position} is beyond the end of the log")
        while True:
            kept = None if node.projector is None else node.projector.reached(wanted)
            if kept is not None and kept >= position:
                return
            if kept is None or pause > WAIT_MIN:
                view = await self._live(wanted)
                if view is not None and view.position >= position:
                    return
                if view is not None and view.error is not None:
                    raise ViewNotReady(
                        f"projection {wanted!r} has stopped at {view.position}, before position "
                        f"{position}: {view.error}; mend it and resume it, or raise its version"
                    )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, WAIT_MAX)

    async def resume(self, name: Any) -> bool:
        """Let a projection that has stopped go on with the same event; False when it had not."""
        node, wanted = self._session.node, self._find(name).name
        resumed = await node.store.views.resume(wanted)
        if node.projector is not None:
            node.projector.look_again()
        return bool(resumed)

    async def rebuild(
        self, name: Any, *, processes: int = 1, progress: Report | None = None
    ) -> None:
        """Fold a projection anew, beside the live view, and put the new rows in its place.

        Readers see the old rows until then; the old table is kept. One that was interrupted is
        taken up where it stood. ``processes`` (1 to 64): so many are spawned, each folds a part
        of the runs; only of projections with ``parallel=True``. ``progress`` is called after each
        page. Raises ``ViewNotReady`` while another process builds it, or when one that was
        spawned has died, ``InvalidInput`` for what cannot be divided or handed to a process.
        """
        if type(processes) is not int or not 1 <= processes <= PROCESSES_MAX:
            raise refused("processes", f"processes is {processes!r}, expected 1 to {PROCESSES_MAX}")
        build = self._build(name, progress)
        if processes == 1:
            await build.rebuild()
        else:
            parts = self._parts(name, processes, progress)
            await build.rebuild(parts=processes, elsewhere=parts.fold)

    async def rollback(self, name: Any, *, progress: Report | None = None) -> None:
        """Put the rows that were live before the last rebuild or version back in their place.

        They are kept for 7 days, until another build takes over; ``status`` lists them as
        ``old``. They are brought up to date first; what was live is kept in turn, so this can be
        undone by calling it again. After a new version it is for the code of the version before:
        processes with the newer one keep nothing from then on, until it is rebuilt or raised.
        Raises ``ViewNotReady`` when nothing of this version is kept.
        """
        await self._build(name, progress).rollback()
        if self._session.node.projector is not None:
            self._session.node.projector.look_again()

    async def verify(self, name: Any, *, progress: Report | None = None) -> Verified:
        """Return whether the live rows are what folding the log anew gives, at one position."""
        return await self._build(name, progress).verify()

    def _build(self, name: Any, progress: Report | None) -> ViewBuild:
        node = self._session.node
        return ViewBuild(
            node.store, node.store.views, node.codec, node.clock, self._find(name),
            token=node.ids.token(), lease=seconds(node.settings.lease), report=progress,
        )  # fmt: skip

    async def caught_up(self, projection: Projection[Any]) -> ViewTable | None:
        """Return the table of a view once it has all that was recorded at the call.

        None where nobody keeps it, it has stopped, or it stays behind for ``PATIENCE``: who asks
        can read the log instead.
        """
        head = await self._session.node.store.head()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._looked()
                live = [
                    view
                    for view in await self.store.parts()
                    if view.at.name == projection.name
                    and view.state == "live" and not view.is_foreign
                ]  # fmt: skip
                kept = all(view.token is not None or view.position >= head for view in live)
                if not live or not kept or any(view.error is not None for view in live):
                    return None
                await self.wait(projection, head)
            return await self._table(projection)
        except (TimeoutError, ViewNotReady):
            return None

    async def freshest(self, projection: Projection[Any]) -> ViewTable:
        """Return the table of a view, with all that was recorded at the call if that is soon there.

        For what cannot be read out of the log instead: after ``PATIENCE``, or where nobody keeps
        it, it is as far as it is. Raises ``ViewNotReady`` without one.
        """
        return await self.caught_up(projection) or await self._table(projection)

    def _parts(self, name: Any, processes: int, progress: Report | None) -> Parts:
        node, projection = self._session.node, self._find(name)
        if not projection.parallel:
            raise refused(
                "processes",
                f"projection {projection.name!r} is not divided by run (parallel=True): its rows "
                "are about several runs, so one process folds it; leave processes out",
            )
        return Parts(
            node.store, node.codec, node.clock, projection, processes=processes,
            tokens=node.ids.token, lease=seconds(node.settings.lease), report=progress,
        )  # fmt: skip

    async def table(self, projection: Projection[Any]) -> ViewTable:
        """Return the table that is read for a projection; raise ``ViewNotReady`` without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._looked()
        return await self._table(projection)

    async def _table(self, projection: Projection[Any]) -> ViewTable:
        """Return the table that is there now."""
        views = await self.store.parts()
        of_name = [view for view in views if view.at.name == projection.name]
        fits = [view for view in of_name if view.shape == projection.shape]
        # The live one; while another version with other columns is live, the one of this version.
        ranked = sorted(
            (view for view in fits if view.state != "building"),
            key=lambda view: (view.state == "live", view.at.version == projection.version),
        )
        if not ranked:
            building = next((view for view in of_name if view.state == "building"), None)
            how_far = f"; it is at position {building.position}" if building else ""
            raise ViewNotReady(
                f"projection {projection.name!r} version {projection.version} is not built yet"
                f"{how_far}: serve the role `projector` with it and try again"
            )
        table = table_of(projection, ranked[-1].at.build)
        return table._replace(version=ranked[-1].at.version)

    def seal(self) -> list[Projection[Any]]:
        """Take no more handlers; return everything that is to be kept."""
        for projection in self._declared.values():
            projection.seal()
        return list(self._declared.values())

    @property
    def store(self) -> Views:
        """The views of the log."""
        return self._session.node.store.views

    async def _looked(self) -> None:
        """Let the projector of this process, which has just begun, take or make its views."""
        projector = self._session.node.projector
        if projector is not None:
            await projector.looked()

    async def _live(self, name: str) -> View | None:
        views = await self.store.parts()
        return next((one for one in views if one.at.name == name and one.state == "live"), None)

    def _add(self, one: Any) -> None:
        projection = one.projection if isinstance(one, Metric) else one
        if not isinstance(projection, Projection):
            raise InvalidDefinition(f"projections has {one!r}, expected a Projection or a Metric")
        if self._declared.setdefault(projection.name, projection) is not projection:
            raise InvalidDefinition(
                f"two projections are called {projection.name!r}; rename one of them"
            )

    def _find(self, wanted: Any) -> Projection[Any]:
        projection: Any = wanted.projection if isinstance(wanted, Metric) else wanted
        found = self._declared.get(str(getattr(projection, "name", projection)))
        if found is None or (isinstance(projection, Projection) and found is not projection):
            known = ", ".join(sorted(self._declared))
            raise RunfoldError(
                f"there is no projection {wanted!r} here; pass it in Runfold(projections=[...]). "
                f"Known: {known}"
            )
        return found


def _status(view: View, head: int) -> ProjectionStatus:
    return ProjectionStatus(
        view.at.name,
        view.at.version,
        view.at.build,
        view.state if view.error is None else "stopped",
        view.position,
        max(0, head - view.position),
        None if view.error is None else json.loads(view.error),
        max(0.0, KEPT_FOR - view.idle) if view.state == "old" else None,
    )
