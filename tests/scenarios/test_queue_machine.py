"""A queue against a plain model of it: whatever callers and handlers do, in any order.

Handlers stay until they are told to end, so what runs is known at every moment. After each
move the queue must come to rest where the model says nothing more may start; and nothing may
ever start that the model forbids, or before something better that it allows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runfold import Concurrency, Queue, Retry, Run, RunCancelled, RunFailed, Runfold, Settings

SLOTS, PER_KEY = 3, 2
KEYS = st.sampled_from("ab")
PATIENCE = 15.0
RESTS_MAX = 1000
"""How often the queue is looked at until it must be at rest."""


@dataclass
class Job:
    """What the model knows of a job."""

    number: int
    key: str
    priority: int
    run: Run[Any]
    state: str = "waiting"
    """``waiting``, ``running``, or how it ended."""
    attempts: int = 1
    began: int = 0
    leave: asyncio.Future[str] | None = None


@dataclass
class Model:
    """A queue of three slots, of which each key may use two."""

    jobs: dict[int, Job] = field(default_factory=dict)
    paused: set[str | None] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def running(self, key: str | None = None) -> list[Job]:
        return [
            job for job in self.jobs.values() if job.state == "running" and key in (None, job.key)
        ]

    def admits(self, job: Job) -> bool:
        free = len(self.running()) < SLOTS and len(self.running(job.key)) < PER_KEY
        return free and job.state == "waiting" and self.paused.isdisjoint({None, job.key})

    def at_rest(self) -> bool:
        return not any(self.admits(job) for job in self.jobs.values())


class QueueMachine(RuleBasedStateMachine):
    """The public client, and what it must do."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model, self.count = Model(), 0
        queue = Queue("q", limits=[Concurrency(PER_KEY, key="key")])
        queue.job("work", retry=Retry(2, base=0.01))(self._handler())
        self.rf = Runfold(
            self.url, queues=[queue], namespace=uuid4().hex, settings=Settings(slots=SLOTS)
        )
        self._do(self.rf.__aenter__())

    def _handler(self) -> Any:
        async def work(data: dict[str, Any]) -> int:
            job = self.model.jobs[data["number"]]
            if not self.model.admits(job):
                self.model.wrong.append(f"job {job.number} began while {job.state}")
            job.state, job.began = "running", job.began + 1
            job.leave = self.loop.create_future()
            how = await job.leave
            job.state = "waiting" if how == "fails" and job.attempts < 2 else "ended"
            if how == "fails":
                job.attempts += 1
                raise ValueError(data)
            return job.number

        return work

    def _do(self, call: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(call, PATIENCE))

    async def _rest(self) -> None:
        for _ in range(RESTS_MAX):
            if self.model.at_rest():
                break
            await asyncio.sleep(0.005)
        assert self.model.at_rest(), "something may start, and does not"
        await asyncio.sleep(0.005)  # What must not start has had its chance.

    @rule(wanted=st.lists(st.tuples(KEYS, st.sampled_from([1, 5, 10])), min_size=1, max_size=4))
    def start(self, wanted: list[tuple[str, int]]) -> None:
        for key, priority in wanted:
            self._do(self._start(key, priority))
        self._do(self._rest())

    async def _start(self, key: str, priority: int) -> None:
        self.count += 1
        # The model knows it before it can begin.
        job = Job(self.count, key, priority, run=None)  # type: ignore[arg-type]
        self.model.jobs[self.count] = job
        data = {"number": self.count, "key": key}
        job.run = await self.rf.start("q/work", data, priority=priority)

    @precondition(lambda self: self.model.running())
    @rule(data=st.data(), how=st.sampled_from(["ends", "ends", "fails"]))
    def finish(self, data: st.DataObject, how: str) -> None:
        job = data.draw(st.sampled_from(self.model.running()))
        waiting = [
            one for one in self.model.jobs.values() if one.state == "waiting" and one.attempts == 1
        ]  # What has failed may wait for its time.
        best = max((one.priority for one in waiting), default=0)
        before = {one.number for one in self.model.running()}
        assert job.leave is not None
        job.leave.set_result(how)
        self._do(self._rest())
        new = [one for one in self.model.running() if one.number not in before]
        if new and not self.model.paused and best > max(one.priority for one in new):
            held = [one for one in waiting if one.priority == best and self._is_held(one)]
            assert held, f"{new} began before a job of priority {best}"
        if job.state == "ended" and how == "fails":
            with pytest.raises(RunFailed):
                self._do(job.run.result(timeout=10))
        elif job.state == "ended":
            assert self._do(job.run.result(timeout=10)) == job.number

    def _is_held(self, job: Job) -> bool:
        return job.state != "waiting" or len(self.model.running(job.key)) >= PER_KEY

    @precondition(lambda self: any(job.state == "waiting" for job in self.model.jobs.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        waiting = [job for job in self.model.jobs.values() if job.state == "waiting"]
        job = data.draw(st.sampled_from(waiting))
        job.state = "cancelled"
        self._do(job.run.cancel("not wanted"))
        with pytest.raises(RunCancelled, match="not wanted"):
            self._do(job.run.result(timeout=10))
        self._do(self._rest())

    @precondition(lambda self: self.model.at_rest() and not self.model.paused)
    @rule(key=st.none() | KEYS)
    def pause(self, key: str | None) -> None:
        self._do(self.rf.queues.pause("q", key=key))
        self.model.paused.add(key)

    @precondition(lambda self: self.model.paused)
    @rule()
    def resume(self) -> None:
        (key,) = self.model.paused
        self.model.paused.discard(key)
        self._do(self.rf.queues.resume("q", key=key))
        self._do(self._rest())

    @invariant()
    def nothing_went_wrong(self) -> None:
        assert self.model.wrong == []

    @invariant()
    def the_line_is_what_waits(self) -> None:
        self._do(self._line())

    async def _line(self) -> None:
        waiting = {job.number for job in self.model.jobs.values() if job.state == "waiting"}
        found: set[int] = set()
        for _ in range(RESTS_MAX):  # An attempt that failed just now is not recorded yet.
            page = await self.rf.runs.list(queue="q", order="next")
            found = {item.input["number"] for item in page.items}
            if found == waiting:
                return
            await asyncio.sleep(0.005)
        assert found == waiting

    def teardown(self) -> None:
        self._do(self.rf.queues.pause("q"))
        for job in self.model.running():
            assert job.leave is not None
            job.leave.set_result("ends")
        self._do(self.rf.__aexit__(None, None, None))
        self.loop.close()


@pytest.mark.parametrize("place", ["memory", "sqlite", "postgres"])
def test_a_queue_does_what_its_model_does(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    class Machine(QueueMachine):
        url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'q.db'}"}.get(
            place
        ) or request.getfixturevalue("postgres_url")

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12 if place == "memory" else 3, stateful_step_count=20, deadline=None,
            derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
