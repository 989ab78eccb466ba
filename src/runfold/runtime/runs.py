"""The runs that a dispatcher has folded: a bounded memory, always rebuildable from the log."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowStart
from runfold.flow.run import Run, evolve, new
from runfold.kernel.event import Recorded
from runfold.ports import Codec, EventLog
from runfold.runtime.definitions import Definitions
from runfold.runtime.tail import decode_all

RUNS_MAX = 20_000
"""How many folded runs are remembered; the least recently used go first."""
SHORT = 200
"""How many events of each run are read when many are loaded at once."""
PAGE = 1000
"""How many events one read of a stream returns at most."""


class Runs:
    """Folded runs by stream number, each at some version of its stream."""

    def __init__(
        self, log: EventLog, codec: Codec, definitions: Definitions, *, chains: bool = False
    ) -> None:
        self._log, self._codec, self._definitions = log, codec, definitions
        self._chains = chains
        """Whether what is folded keeps the hash chain, which costs time and only an end needs."""
        self._runs: OrderedDict[int, Run] = OrderedDict()
        self.get: Callable[[int], Run | None] = self._runs.get
        """Returns the run of a stream if it is in memory."""

    def forget(self, stream: int) -> None:
        """Drop what may be wrong or is over; it is read again when somebody asks."""
        self._runs.pop(stream, None)

    def clear(self) -> None:
        """Drop everything."""
        self._runs.clear()

    def begin(self, recorded: Recorded) -> Run | None:
        """Return the run that ``recorded`` starts, not folded yet; None when it starts none, or
        its definition is not in memory."""
        if recorded.version != 1 or not isinstance(recorded.event, FlowStart):
            return None
        definition = self._definitions.known(recorded.event.definition)
        if definition is None:
            return None
        run = self._empty(definition)
        self._keep(recorded.stream, run)
        return run

    async def load_all(self, streams: Sequence[int]) -> list[Recorded]:
        """Have these runs in memory, with one read for the short ones among them.

        Returns what was read, for others who need it.
        """
        begun: dict[int, Run] = {}
        rows = await self._log.read_streams(streams, upto=SHORT)
        read = decode_all(self._codec, rows)
        for recorded in read:
            if recorded.stream not in begun:
                if not isinstance(recorded.event, FlowStart):
                    continue
                begun[recorded.stream] = await self._new(recorded.event)
            evolve(begun[recorded.stream], recorded)
        for stream, run in begun.items():
            self._keep(stream, run)
            if run.version >= SHORT:
                await self.refresh(stream)
        return read

    async def load(self, stream: int) -> Run | None:
        """Return the run of this stream, folded from the store; None when it is no run.

        Raises ``LookupError`` when the log lacks the definition that the run names.
        """
        self._runs.pop(stream, None)
        return await self.refresh(stream)

    async def refresh(self, stream: int) -> Run | None:
        """Return the run of this stream, brought up to the end of the log; None as ``load``."""
        run = self._runs.get(stream)
        version = 0 if run is None else run.version
        while True:
            rows = await self._log.read_stream(stream, after=version, limit=PAGE)
            for recorded in decode_all(self._codec, rows):
                if run is None:
                    if not isinstance(recorded.event, FlowStart):
                        return None
                    run = await self._new(recorded.event)
                # Somebody else may have brought it further while this waited for the store.
                if recorded.version == run.version + 1:
                    evolve(run, recorded)
                version = recorded.version
            if len(rows) < PAGE:
                break
        if run is not None:
            self._keep(stream, run)
        return run

    async def _new(self, start: FlowStart) -> Run:
        definition = await self._definitions.get(start.flow, start.definition)
        if definition is None:
            raise LookupError(
                f"run {start.run_id} follows definition {start.definition} of flow "
                f"{start.flow!r}, which this log does not have"
            )
        return self._empty(definition)

    def _empty(self, definition: FlowDefinition) -> Run:
        run = new(definition)
        if not self._chains:
            run.chain = None
        return run

    def _keep(self, stream: int, run: Run) -> None:
        self._runs[stream] = run
        while len(self._runs) > RUNS_MAX:
            self._runs.popitem(last=False)
