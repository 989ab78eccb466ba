"""``rf.flows``: the flows and jobs that were ever served in a log, and their graphs."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runfold.client.filters import Filter
from runfold.client.flow_graph import FlowGraph
from runfold.client.session import Session
from runfold.errors import UnknownTarget
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowDefined
from runfold.wire import LogEvent


@dataclass(frozen=True, slots=True)
class FlowInfo:
    """A flow or job as it was served last. ``kind``: ``flow`` or ``job``."""

    name: str
    kind: str
    hash: str
    """The identity of its definition."""
    entry: str
    steps: int
    queues: list[str]
    """Where its steps wait."""
    defined_at: datetime


class Flows:
    """``rf.flows``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: dict[str, FlowInfo] = {}
        self._upto = 0

    async def list(self) -> list[FlowInfo]:
        """Return what was ever served, by name, each as it was served last.

        The first call reads the log for it, later ones what has come since.
        """
        engine = self._session.engine
        head = await engine.node.store.head()
        if head < self._upto:  # The log is not what it was.
            self._found, self._upto = {}, 0
        wanted = Filter(frozenset({FlowDefined.TOPIC}))
        found = engine.following.log(wanted, after=self._upto, follow=False)
        async with aclosing(found):
            async for event in found:
                if event is not None:
                    self._found[event.data["name"]] = _info(event)
        self._upto = head
        return [self._found[name] for name in sorted(self._found)]

    async def graph(self, flow: Any) -> FlowGraph:
        """Return the graph of a flow or job as it was served last; raises ``UnknownTarget``."""
        name = self._session.catalog.name_of(flow)
        definition = await self._session.node.definitions.last(name)
        if definition is None:
            raise UnknownTarget(
                f"no flow or job called {name!r} was ever served here", details={"target": name}
            )
        return FlowGraph.of(definition)


def _info(event: LogEvent) -> FlowInfo:
    definition = FlowDefinition.model_validate(event.data["definition"])
    entry = definition.entry
    is_job = definition.name == f"{entry.queue}/{entry.name}"
    return FlowInfo(
        definition.name, "job" if is_job else "flow", event.data["hash"], entry.name,
        len(definition.steps), sorted({step.queue for step in definition.steps}), event.ts,
    )  # fmt: skip
