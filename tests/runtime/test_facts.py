"""What a worker remembers of histories, and what it has to read."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from runfold.flow import events as ev
from runfold.kernel.event import Draft, Recorded
from runfold.ports import Job, Stored
from runfold.runtime.facts import Facts
from runfold.store.codec import JsonCodec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(stream: int, inputs: str | None = None) -> Job:
    values: dict[str, Any] = {field.name: None for field in fields(Job)}
    return Job(**{**values, "stream": stream, "inputs": inputs})


def begun(stream: int) -> Recorded:
    start = ev.FlowStart(run_id=str(stream), flow="f", definition="d")
    return Recorded(stream, stream, 1, NOON, start)


def test_what_is_known_of_some_jobs_does_not_wait_for_what_is_not_known_of_others() -> None:
    facts = Facts(log=None, codec=None)  # type: ignore[arg-type]
    facts.push([begun(1), begun(3)])
    jobs = [job(1), job(2), job(3, '["one",2,"go"]'), job(3)]
    known, rest = facts.known(jobs)
    assert [(one, brief.start.stream) for one, brief in known] == [(jobs[0], 1), (jobs[3], 3)]
    assert rest == [jobs[1], jobs[2]]
    facts.push([Recorded(4, 3, 2, NOON, ev.Emit(name="go", payload=5), "s", 1, 1)])
    known, rest = facts.known(jobs[2:3])
    assert rest == []
    ((_, brief),) = known
    assert brief.plan == ["one", 2, "go"]
    assert set(brief.events) == {1, 2}


class Reads:
    """A log of starts that counts how often it is asked."""

    def __init__(self) -> None:
        self.codec, self.asked = JsonCodec(), list[list[tuple[int, int]]]()

    async def read_versions(self, wanted: list[tuple[int, int]]) -> list[Stored]:
        self.asked.append(wanted)
        return [
            Stored(stream, stream, at, NOON, *self.codec.encode(Draft(begun(stream).event)))
            for stream, at in wanted
        ]


def test_the_start_of_a_run_of_somebody_else_is_read_once() -> None:
    reads = Reads()
    facts = Facts(reads, reads.codec)  # type: ignore[arg-type]
    jobs = [job(1), job(2)]
    assert facts.known(jobs) == ([], jobs)
    briefs = asyncio.run(facts.briefs(jobs))
    assert [brief.start.event for _, brief in briefs] == [begun(1).event, begun(2).event]
    assert facts.known(jobs) == (briefs, [])
    assert reads.asked == [[(1, 1), (2, 1)]]
    assert len(asyncio.run(facts.briefs([job(1), job(3)]))) == 2
    assert reads.asked[1:] == [[(3, 1)]]


def test_of_a_run_that_has_ended_nothing_is_remembered() -> None:
    facts = Facts(log=None, codec=None)  # type: ignore[arg-type]
    facts.push([begun(1), begun(2)])
    facts.push([Recorded(3, 1, 2, NOON, ev.FlowCompleted(duration=1.0))])
    known, rest = facts.known([job(1), job(2)])
    assert ([one.stream for one, _ in known], [one.stream for one in rest]) == ([2], [1])


def test_what_others_have_read_is_learned_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runfold.runtime.facts.LEARNED_MAX", 2)
    monkeypatch.setattr("runfold.runtime.facts.FACTS_MAX", 3)
    facts = Facts(log=None, codec=None)  # type: ignore[arg-type]
    jobs = [job(stream) for stream in range(1, 6)]
    facts.learn([begun(1)])
    facts.learn([begun(2)])
    facts.learn([begun(3)])
    assert facts.known(jobs)[1] == jobs[2:]
    facts.push([begun(3)])
    assert facts.known(jobs)[1] == jobs[3:]
    facts.push([begun(4), begun(5)])
    assert facts.known(jobs)[1] == jobs[:2], "the oldest give way"
