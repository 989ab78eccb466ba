"""What every part of a ``Run`` stands on: its id, its stream, its fold, its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runfold.errors import RunFinished, RunNotFound
from runfold.flow.run import Run as Folded
from runfold.flow.work import Gate
from runfold.kernel.event import Draft, Event
from runfold.kernel.ids import text
from runfold.ports import Name, Refusal

if TYPE_CHECKING:
    from runfold.client.engine import Engine


class Handle:
    """One run of one log, as a client addresses it."""

    def __init__(self, engine: Engine, id: bytes, *, flow: str, stream: int) -> None:
        self._engine, self._bytes, self._flow, self._stream = engine, id, flow, stream
        self.id: str = text(id)
        """The run's id, a UUID."""

    def __repr__(self) -> str:
        return f"Run({self._flow!r}, {self.id})"

    @property
    def _name(self) -> Name:
        return Name(self._bytes, self._flow)

    async def _fold(self) -> Folded:
        return await self._engine.fold(await self._number())

    async def _number(self) -> int:
        """Return its stream's number; of a run that waits in the inbox it is known later."""
        if not self._stream:
            self._stream = await self._engine.number(self._bytes) or 0
            if not self._stream:
                raise RunNotFound(
                    f"run {self.id} is not recorded (yet): it was started inside a transaction "
                    "that has not committed, or was rolled back"
                )
        return self._stream

    async def _request(self, event: Event, gates: int, gate: Gate) -> None:
        number = await self._number()
        outcome = await self._engine.submit(
            [Draft(event)], stream=number, gates=gates, gate=int(gate)
        )
        if outcome.refusal in (Refusal.ENDED, Refusal.GATE):
            raise RunFinished(
                f"run {self.id} is {(await self._fold()).status!r}: it has ended or is ending; "
                "nothing was recorded"
            )
        if outcome.refusal is not None:
            raise RunNotFound(f"run {self.id} is not in this log")
