"""Definitions by hash and by name: each flow's definitions are the history of one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowDefined
from runfold.flow.streams import definitions_id
from runfold.kernel.event import Draft
from runfold.ports import Codec, EventLog, Limit, LogIdentity, Refusal
from runfold.runtime.appender import Appender
from runfold.runtime.limits import limits_of_steps

READ_LIMIT = 1000


class Definitions:
    """What this process knows of the definitions in its log, read when first asked for."""

    def __init__(self, log: EventLog, codec: Codec, identity: LogIdentity) -> None:
        self._log, self._codec, self._identity = log, codec, identity
        self._by_hash: dict[str, FlowDefinition] = {}
        self.known: Callable[[str], FlowDefinition | None] = self._by_hash.get
        """Returns the definition of a hash if it is in memory."""
        self._one_at_a_time = asyncio.Lock()
        self._last: dict[str, tuple[int, str]] = {}

    async def get(self, flow: str, hash: str) -> FlowDefinition | None:
        """Return the definition of ``flow`` with that hash, None when the log has none."""
        if hash not in self._by_hash:
            await self._read(flow)
        return self._by_hash.get(hash)

    async def last(self, flow: str) -> FlowDefinition | None:
        """Return what was served last under that name, None when nothing ever was."""
        await self._read(flow)
        if flow not in self._last:
            return None
        return self._by_hash[self._last[flow][1]]

    async def define(self, definition: FlowDefinition, appender: Appender) -> None:
        """Record ``definition`` unless it is what was served last under its name."""
        async with self._one_at_a_time:
            await self._define(definition, appender, last=True)

    async def keep(self, definition: FlowDefinition, appender: Appender) -> None:
        """Record ``definition`` unless it is known; what was served last stays the last."""
        async with self._one_at_a_time:
            await self._define(definition, appender, last=False)

    async def _define(self, definition: FlowDefinition, appender: Appender, *, last: bool) -> None:
        while True:
            await self._read(definition.name)
            version, hash = self._last.get(definition.name, (0, ""))
            if hash == definition.hash or (not last and definition.hash in self._by_hash):
                return
            defined = [definition]
            if hash and not last:
                defined.append(self._by_hash[hash])
            stream = await self._stream(definition.name)
            where: dict[str, Any] = (
                {"stream": stream, "version": version}
                if stream
                else {"id": definitions_id(self._identity.log_id, definition.name)}
            )
            earlier = [one for one in self._by_hash.values() if one.name == definition.name]
            limits: dict[str, list[Limit]] = {}
            for one in defined:
                limits |= limits_of_steps(one, earlier)
                earlier.append(one)
            drafts = [_defining(one) for one in defined]
            outcome = await appender.submit(drafts, limits=list(limits.items()), **where)
            if outcome.refusal is None:
                self._by_hash[definition.hash] = definition
            elif outcome.refusal not in (Refusal.EXISTS, Refusal.VERSION):
                raise RuntimeError(f"definition of {definition.name!r}: {outcome.refusal!r}")
            # Another process that served first moved the stream: look again, compare again.

    async def _stream(self, flow: str) -> int:
        id = definitions_id(self._identity.log_id, flow)
        return (await self._log.find([id])).get(id, 0)

    async def _read(self, flow: str) -> None:
        stream = await self._stream(flow)
        if not stream:
            return
        while True:
            after = self._last.get(flow, (0, ""))[0]
            rows = await self._log.read_stream(stream, after=after, limit=READ_LIMIT)
            for row in rows:
                event = self._codec.decode(row.topic, row.state)
                if isinstance(event, FlowDefined):
                    if event.hash not in self._by_hash:
                        self._by_hash[event.hash] = FlowDefinition.model_validate(event.definition)
                    self._last[flow] = (row.version, event.hash)
            if len(rows) < READ_LIMIT:
                return


def _defining(one: FlowDefinition) -> Draft:
    return Draft(FlowDefined(name=one.name, hash=one.hash, definition=one.data()))
