"""Events with the runs that they belong to; a run's name is read once, mostly from its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runfold.flow.events import FlowStart
from runfold.kernel.event import Recorded
from runfold.ports import EventLog, Name
from runfold.projections.logged import Logged, run_id_of

STREAMS_MAX = 100_000
"""How many names are remembered, in each of two generations."""


class Naming:
    """Knows what the streams of a log are called."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._young: dict[int, tuple[Name, str | None]] = {}
        self._old: dict[int, tuple[Name, str | None]] = {}

    async def logged(self, page: Sequence[Recorded]) -> list[Logged[Any]]:
        """Return the events of ``page`` with their runs."""
        known = self._young
        unknown: dict[int, None] = {}
        for recorded in page:
            stream = recorded.stream
            if stream not in known:
                before = self._old.get(stream)
                event = recorded.event
                if before is not None:
                    known[stream] = before
                elif isinstance(event, FlowStart):
                    name = Name(bytes.fromhex(event.run_id.replace("-", "")), event.flow)
                    known[stream] = name, run_id_of(name)
                else:
                    unknown[stream] = None
        if unknown:
            found = await self._log.names(list(unknown))
            known.update({stream: (name, run_id_of(name)) for stream, name in found.items()})
        named: list[Logged[Any]] = [Logged(recorded, *known[recorded.stream]) for recorded in page]
        if len(known) > STREAMS_MAX:
            self._old, self._young = known, {}
        return named
