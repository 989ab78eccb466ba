"""Starts whose key is taken: the first one counts, or the last one, or the second is refused.

    return     the run of the key, whatever its input is
    refuse     the run of the key if it has this input
    replace    the run of the key, with this input if it has not begun
    debounce   the same, and it is put off once more; when it has begun, the next run of the key

The runs of a debounced key are numbered; each has an id that follows from key and number, so
that two callers who make the next one make the same. The first is that of a plain key.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runfold.client.catalog import Resolved
from runfold.client.options import Conflict
from runfold.client.run import Run
from runfold.client.session import Session
from runfold.errors import KeyConflict, StoreUnavailable
from runfold.flow.events import FlowStart, StepStarted
from runfold.flow.paths import canonical
from runfold.flow.replacing import is_replaceable, replacement
from runfold.flow.run import Run as Folded
from runfold.flow.run import evolve
from runfold.flow.work import ACCEPTING
from runfold.flow.working import Working
from runfold.ports import Outcome
from runfold.runtime.decisions import replaced

TRIES_MAX = 1000
"""How often a change is tried again when somebody else was faster."""


class KeyedStart:
    """One start that has a key."""

    def __init__(
        self, session: Session, resolved: Resolved, fields: dict[str, Any], conflict: Conflict
    ) -> None:
        self._session, self._resolved = session, resolved
        self._fields, self._conflict = fields, conflict

    async def run(self) -> Run[Any]:
        """Return the run that has the input now; raises ``KeyConflict`` when none shall have."""
        starter, name, key = self._session.node.starter, self._resolved.name, self._fields["key"]
        number = await starter.newest(name, key) if self._conflict.how == "debounce" else 0
        for _ in range(TRIES_MAX):
            id = starter.id_of(name, key, number)
            started = starter.start(self._resolved.definition, id, self._fields)
            outcome = await self._session.engine.patiently(started)
            if outcome.refusal is None or await self._settles(outcome):
                fresh = outcome.refusal is None
                return self._session.run(
                    id, name, outcome.stream, self._resolved.result, fresh=fresh
                )
            number += self._conflict.how == "debounce"
        raise StoreUnavailable(f"key {key!r} of {name!r} is started by others all the time")

    async def _settles(self, taken: Outcome) -> bool:
        """Return whether the run that has the key is the answer; give it the input if wanted."""
        how, input = self._conflict.how, self._fields["input"]
        if how == "return":
            return True
        for _ in range(TRIES_MAX):
            run, working = await self._opening(taken.stream)
            is_same = not run.erased and canonical(run.input) == canonical(input)
            if is_same and how != "debounce":
                return True
            if how == "refuse" or not is_replaceable(run):
                if how == "debounce":
                    return False
                raise KeyConflict(run.id, self._fields["key"], begun=how == "replace")
            outcome = await self._replace(run, working)
            if outcome.refusal is None:
                return True
            # Claimed, cancelled or replaced meanwhile: look again.
        raise StoreUnavailable(f"run {run.id} is changed by others all the time; try again")

    async def _replace(self, run: Folded, working: Working) -> Outcome:
        version, stream = run.version, run.stream
        delay = None if self._conflict.how == "replace" else await self._delay(run)
        found = replacement(run, working.rows(run), self._fields["input"], delay)
        return await self._session.engine.submit(
            [found.draft], stream=stream, version=version, gates=ACCEPTING,
            **replaced(run.flow, found),
        )  # fmt: skip

    async def _delay(self, run: Folded) -> float:
        """Return the seconds until a run that is put off again is due."""
        delay: float = self._fields["delay"]
        if self._conflict.max_delay is None or run.created_at is None:
            return delay
        latest = run.created_at + timedelta(seconds=self._conflict.max_delay)
        now = await self._session.engine.now()
        return max(0.0, min(delay, (latest - now).total_seconds()))

    async def _opening(self, stream: int) -> tuple[Folded, Working]:
        """Return the run folded until it began, or until now when it has not."""
        engine, working = self._session.engine, Working()
        run: Folded | None = None
        async for recorded, _ in engine.sized(stream):
            if run is None:
                assert isinstance(recorded.event, FlowStart)
                run = await engine.new(recorded.event)
            evolve(run, recorded)
            working.see(recorded)
            if isinstance(recorded.event, StepStarted):
                break
        assert run is not None
        return run, working
