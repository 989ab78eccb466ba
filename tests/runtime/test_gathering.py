"""What may share a batch, and what must not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold.flow.events import Log
from runfold.kernel.event import Draft
from runfold.ports import Encoded, Item, Outcome, Refusal
from runfold.runtime.gathering import Submission, Waiting
from runfold.settings import Settings

EVENT = [Encoded("log", b"{}")]
LEASE = {"lease": (7, 100)}


def batches(*items: dict[str, Any]) -> list[list[int]]:
    """Return the places of ``items`` of stream 1, batch by batch."""

    async def main() -> list[list[int]]:
        waiting, loop = Waiting(Settings()), asyncio.get_running_loop()
        made = [Item(events=EVENT, **{"stream": 1, **fields}) for fields in items]
        for item in made:
            drafts = [Draft(Log(level="info", message=""))]
            waiting.add([Submission(item, drafts, 1, loop.create_future())])
        found = []
        while waiting:
            parcels = waiting.gather().parcels
            found.append([made.index(one.item) for parcel in parcels for one in parcel])
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("stalled_first", [False, True])
def test_a_job_is_not_taken_from_its_holder_in_the_batch_in_which_it_answers(
    stalled_first: bool,
) -> None:
    items = [{"stalled": 7}, {**LEASE, "frees": True}, {**LEASE}]
    if stalled_first:
        assert batches(*items) == [[0], [1, 2]]
    else:
        assert batches(*reversed(items)) == [[0, 1], [2]]


def test_what_is_said_of_different_jobs_shares_a_batch() -> None:
    leased = [{"lease": (job, 100), "frees": True} for job in (1, 2)]
    assert batches({"stalled": 3}, *leased, {"stalled": 4}) == [[0, 1, 2, 3]]
    assert batches(LEASE, {**LEASE, "frees": True}) == [[0, 1]]


def test_nothing_overtakes_what_was_left_for_the_next_batch() -> None:
    other = {"lease": (8, 100), "frees": True}
    assert batches({"stalled": 7}, {**LEASE, "frees": True}, other) == [[0], [1, 2]]
    elsewhere = {**other, "stream": 2}
    assert batches({"stalled": 7}, {**LEASE, "frees": True}, elsewhere) == [[0, 2], [1]]


def test_who_sets_a_gate_or_expects_a_version_has_its_stream_to_itself() -> None:
    for alone in ({"gate": 1}, {"version": 3}, {"clears": True}, {"drops": [("s", 1)]}):
        assert batches(LEASE, alone, LEASE | {"frees": True}) == [[0], [1], [2]]


def test_who_is_told_is_told_once_and_what_builds_upon_it_shares_its_fate() -> None:
    seen: list[str] = []

    def tell(submission: Submission) -> None:
        answer = submission.answered
        seen.append(str(answer if isinstance(answer, Exception) else answer and answer.refusal))

    def made(after: Submission | None = None) -> Submission:
        return Submission(Item(EVENT), [], 1, None, tell, after)

    good, bad, refused = made(), made(), made()
    waiting = Waiting(Settings())
    behind = [made(good), made(bad), made(refused)]
    for one in behind:
        waiting.add([one])
    assert len(waiting.gather().parcels) == 3, "nobody knows yet what becomes of those before"
    good.answer(Outcome(None, 1, 1, 1))
    bad.answer(ValueError("away"))
    refused.answer(Outcome(Refusal.LEADER))
    for again in (good, bad, refused):
        again.answer(Outcome(Refusal.GATE))
        again.answer(ValueError("late"))
    assert seen == ["None", "away", str(Refusal.LEADER)]
    for one in behind:
        waiting.add([one])
    assert waiting.gather().parcels == [[behind[0]]]
    assert seen[3:] == [str(Refusal.VERSION), str(Refusal.LEADER)]
