"""What a worker remembers of histories, and what it has to read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runfold.flow import events as ev
from runfold.kernel.event import Recorded
from runfold.ports import Job
from runfold.runtime.facts import Facts

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(stream: int, inputs: str | None = None) -> Job:
    fields: dict[str, Any] = dict.fromkeys(Job._fields)
    return Job(**{**fields, "stream": stream, "inputs": inputs})


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
