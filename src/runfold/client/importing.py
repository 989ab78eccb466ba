"""Taking in a run that was recorded in another database: ``rf.import_run``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from runfold.client.capsule import Capsule
from runfold.client.run import Run
from runfold.client.session import Session
from runfold.client.travel import COPIED_EVENTS_MAX
from runfold.errors import InvalidInput
from runfold.flow.ending import archive_row
from runfold.flow.events import ENDS, FlowCancelled
from runfold.kernel.event import Draft, Event
from runfold.ports import Refusal
from runfold.runtime.decisions import rows

GOES_ON = "imported while it went on; fork it to go on here"


class Importing:
    """The part of a ``Runfold`` that records runs of elsewhere."""

    _session: Session

    async def import_run(self, capsule: Capsule) -> Run[Any]:
        """Record the run of ``capsule`` under its own id, and return it.

        It has ended: it can be read, compared and forked. One that went on when it was exported
        ends as cancelled. Its events are recorded now; the moments of the origin are in the
        capsule. Its definition becomes known, and not the one served last. Raises
        ``InvalidInput`` when the id is taken, or for more than 20,000 events.
        """
        if len(capsule.history) > COPIED_EVENTS_MAX:
            raise InvalidInput(
                f"the capsule has {len(capsule.history)} events, at most {COPIED_EVENTS_MAX} are "
                "recorded in one commit; fork the run at an earlier version and export that"
            )
        engine, node = self._session.engine, self._session.node
        id = UUID(capsule.run_id).bytes
        if await engine.number(id):
            raise _taken(capsule)
        await node.definitions.keep(capsule.definition, node.appender)
        drafts = [
            Draft(_unsealed(one.event), one.step, one.activation, one.attempt, one.key, one.cause)
            for one in capsule.history
        ]
        if drafts[-1].event.TOPIC not in ENDS:
            drafts.append(Draft(FlowCancelled(reason=GOES_ON), cause=len(drafts)))
        row = archive_row(capsule.definition, drafts[-1].event.TOPIC)
        leaves = [] if row is None else rows(capsule.flow, [row], offset=len(drafts) - 1)
        outcome = await engine.submit(drafts, id=id, flow=capsule.flow, rows=leaves)
        if outcome.refusal == Refusal.EXISTS:
            raise _taken(capsule)
        result = self._session.catalog.result_of(capsule.flow)
        return self._session.run(id, capsule.flow, outcome.stream, result)


def _unsealed(event: Event) -> Event:
    # The chain is one over what is stored, and that is another here.
    return event.model_copy(update={"chain": None}) if event.TOPIC in ENDS else event


def _taken(capsule: Capsule) -> InvalidInput:
    message = f"run {capsule.run_id} is in this log already; nothing was recorded"
    return InvalidInput(message, details=[{"loc": "run", "msg": message}])
