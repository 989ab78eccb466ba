"""What a commit has recorded, made of what was sent and the places that the store answered."""

from __future__ import annotations

from collections.abc import Sequence

from runfold.flow.events import StepStarted
from runfold.kernel.event import Recorded
from runfold.ports import Claim, Committed
from runfold.runtime.gathering import Submission


def recorded_by(
    submissions: Sequence[Submission], claims: Sequence[Claim], committed: Committed, worker: str
) -> list[Recorded]:
    """Return the events of a batch in order of position: of its items, then of its claims.

    None of a batch that was committed before: its answer does not know the places of all, and
    readers fetch these from the store. ``worker``: the name that the claims carry.
    """
    ts = committed.ts
    if ts is None:
        return []
    recorded: list[Recorded] = []
    new = tuple.__new__  # As ``Recorded`` does, with every event that is recorded.
    for submission, outcome in zip(submissions, committed.outcomes, strict=True):
        if outcome.refusal is None:
            _, stream, position, version = outcome
            for draft, kept in zip(submission.drafts, submission.item.events, strict=True):
                at = (position, stream, version, ts)
                # Adding takes half the time of writing all of it out.
                recorded.append(new(Recorded, at + draft + (kept.state,)))
                position, version = position + 1, version + 1
    started = {
        claim.queue: (StepStarted(queue=claim.queue, worker=worker), claim.state)
        for claim in claims
    }
    for job in committed.jobs:
        event, state = started[job.queue]
        place = (
            job.position, job.stream, job.version, job.ts,
            event, job.step, job.activation, job.attempt, job.key, None, state,
        )  # fmt: skip
        recorded.append(new(Recorded, place))
    return recorded
