"""Folding the parts of a build in processes of their own, which are spawned, never forked.

Each process opens the store by itself, finds the projection by its name in its module, folds
one part and says how far it is. Rows and position of a part change together, so whoever is
killed loses nothing that was written: the part is taken up again where it stood. A process
whose parent is gone stops after the page that it is at.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from runfold.errors import InvalidDefinition, InvalidInput, RunfoldError, ViewNotReady
from runfold.ports import Clock, Codec, Store
from runfold.ports_views import View
from runfold.projections.metric import Metric
from runfold.projections.projection import Projection
from runfold.runtime import view_build
from runfold.runtime.view_build import BuildProgress, Report, ViewBuild

_SPAWN = multiprocessing.get_context("spawn")
Address = tuple[str, str]
"""The module of a projection, and what it is called there."""


class Order(NamedTuple):
    """What every process of a build is told."""

    store: Store
    codec: Codec
    clock: Clock
    projection: Address
    lease: float
    page: int


class Errand(NamedTuple):
    """What one of them does."""

    view: View
    upto: int
    token: int


class Parts:
    """Folds the parts of one build, so many at a time."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        clock: Clock,
        projection: Projection[Any],
        *,
        processes: int,
        tokens: Callable[[], int],
        lease: float,
        report: Report | None = None,
    ) -> None:
        self._order = Order(store, codec, clock, address_of(projection), lease, view_build.PAGE)
        check(self._order)
        self._name, self._views, self._tokens = projection.name, store.views, tokens
        self._processes, self._clock, self._report = processes, clock, report

    async def fold(self, views: Sequence[View], upto: int) -> None:
        """Fold these parts up to ``upto``; raise ``ViewNotReady`` when one of them cannot."""
        progress = _Progress(self._name, views, upto, self._clock, self._report)
        turns = asyncio.Semaphore(self._processes)
        children: list[_Child] = []

        async def fold(view: View) -> None:
            async with turns:
                errand = Errand(view, upto, self._tokens())
                child = await asyncio.to_thread(_Child, self._order, errand)
                children.append(child)
                try:
                    await child.follow(lambda at: progress.at(view.at.part, at))
                finally:
                    # Nothing of it is written any more; what it held is free without a wait.
                    await asyncio.to_thread(child.end)
                    await self._views.disown(errand.token)

        try:
            await asyncio.gather(*[fold(view) for view in views if view.position < upto])
        finally:
            for child in children:
                child.process.kill()


class _Child:
    """One process, and our end of its pipe."""

    def __init__(self, order: Order, errand: Errand) -> None:
        self.name, self.part = errand.view.at.name, errand.view.at.part
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=serve, args=(theirs, order, errand), name="runfold-rebuild", daemon=True
        )
        self.process.start()
        theirs.close()

    async def follow(self, told: Callable[[int], None]) -> None:
        """Tell how far it is until it is done; raise ``ViewNotReady`` when it never is."""
        while (said := await asyncio.to_thread(self._next)) is not None:
            if isinstance(said, str):
                raise ViewNotReady(said)
            told(said)

    def _next(self) -> int | str | None:
        try:
            said: int | str | None = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return (
                f"the process that builds part {self.part} of {self.name!r} has ended with "
                f"{self.process.exitcode}; rebuild it again: it goes on where it stood"
            )
        return said

    def end(self) -> None:
        """End the process, which then holds nothing open."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class _Progress:
    """How far all parts are together."""

    def __init__(
        self, name: str, views: Sequence[View], upto: int, clock: Clock, report: Report | None
    ) -> None:
        self._name, self._upto, self._clock, self._report = name, upto, clock, report
        self._at = {view.at.part: view.position for view in views}
        self._first, self._began = self._mean(), clock.monotonic()

    def at(self, part: int, position: int) -> None:
        """Take note, and tell whoever wants to know."""
        self._at[part] = position
        if self._report is None:
            return
        reached, spent = self._mean(), max(self._clock.monotonic() - self._began, 1e-6)
        rate = (reached - self._first) / spent
        left = (self._upto - reached) / rate if rate else 0.0
        self._report(BuildProgress(self._name, reached, self._upto, rate, left))

    def _mean(self) -> int:
        return sum(self._at.values()) // len(self._at)


def address_of(projection: Projection[Any]) -> Address:
    """Return where another process finds ``projection``; raise ``InvalidInput`` if nowhere."""
    for handlers in projection.handlers.values():
        module = getattr(handlers[0].fn, "__module__", None) or ""
        for name, found in vars(sys.modules.get(module)).items() if module in sys.modules else ():
            if _projection(found) is projection:
                return module, name
    raise InvalidInput(
        f"processes: no other process can find projection {projection.name!r}; define it at the "
        "top of the module of its handlers, or leave processes= out"
    )


def check(order: Order) -> None:
    """Raise ``InvalidInput`` when no other process can be given ``order``."""
    if order.store.in_process:
        raise InvalidInput("processes: no other process sees a store in memory; leave it out")
    try:
        pickle.dumps(order)
    except Exception as error:
        raise InvalidInput(
            f"processes: what is needed cannot be handed to another process: {error}; leave it out"
        ) from error


def serve(connection: Connection, order: Order, errand: Errand) -> None:
    """Fold the part of ``errand``, and tell how far it is: in a process of its own."""

    def told(progress: BuildProgress) -> None:
        if connection.poll():  # Nobody says anything, so it is the end: the parent is gone.
            raise SystemExit(1)
        connection.send(progress.position)

    async def folded() -> None:
        await order.store.open()
        try:
            module, name = order.projection
            found = _projection(getattr(import_module(module), name))
            if found is None:
                raise InvalidDefinition(f"{module}.{name} is no projection")
            build = ViewBuild(
                order.store, order.store.views, order.codec, order.clock, found,
                token=errand.token, lease=order.lease, page=order.page, report=told,
            )  # fmt: skip
            await build.fold_part(errand.view, errand.upto)
        finally:
            await order.store.close()

    try:
        asyncio.run(folded())
    except RunfoldError as error:
        connection.send(str(error))
    else:
        connection.send(None)


def _projection(found: Any) -> Projection[Any] | None:
    one = found.projection if isinstance(found, Metric) else found
    return one if isinstance(one, Projection) else None
