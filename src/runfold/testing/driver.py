"""A store, a dispatcher and workers in one: small enough to be read, strict about guards.

It appends what it is told, keeps the rows that decisions ask for, and refuses what the engine
would refuse. Time passes only by ``wait``; nothing happens unless a test says so. What it
records, the real engine could have recorded, so it is the model that others are compared with.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runfold.flow import events as ev
from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.inputs import resolve, versions
from runfold.flow.replacing import is_replaceable, replacement
from runfold.flow.run import Run, evolve, fold, new
from runfold.flow.start import creation
from runfold.flow.work import ACCEPTING, Decision, Gate, Ready
from runfold.flow.working import Working
from runfold.kernel.event import Draft, Event, Recorded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OOPS = ev.ErrorInfo(type="ValueError", code="EXECUTION_ERROR", message="oops")
"""An error after which the step is tried again; ``BROKEN``: one after which it is not."""
BROKEN = OOPS.model_copy(update={"retryable": False})
STEPS_MAX = 20_000


@dataclass
class Outcome:
    """What a scripted handler does."""

    emits: list[tuple[str, Any]] = field(default_factory=list)
    result: Any = None
    error: ev.ErrorInfo | None = None
    states: list[ev.State] = field(default_factory=list)


@dataclass
class Work:
    """What a scripted handler sees."""

    step: str
    name: str
    number: int
    attempt: int
    input: Any


Script = Callable[[Work], Outcome]


class Driver:
    """One run, in the hands of a test."""

    def __init__(
        self,
        definition: FlowDefinition,
        start: ev.FlowStart | None = None,
        *,
        begun: tuple[list[Draft], list[Ready]] | None = None,
        now: datetime = NOON,
    ) -> None:
        self.definition = definition
        self.history: list[Recorded] = []
        self.run: Run = new(definition)
        self.now = now
        self.commits: list[int] = []
        """The versions at which a commit ended."""
        self.gate = Gate.OPEN
        self.jobs: dict[tuple[str, int], Ready] = {}
        self.leased: dict[tuple[str, int], Ready] = {}
        self.timers: list[tuple[datetime, Ready]] = []
        self.decisions: list[Decision] = []
        start = start or ev.FlowStart(run_id="r", flow=definition.name, definition=definition.hash)
        drafts, rows = begun or creation(start, definition)
        places = [row.draft for row in rows]
        assert len(set(places)) == len(places), "two rows would have one id"
        assert all(0 <= place < len(drafts) for place in places)
        self.append(drafts, rows)

    # What is recorded -----------------------------------------------------------------------

    def append(self, drafts: Iterable[Draft], rows: Iterable[Ready] = ()) -> None:
        """Record ``drafts`` as one commit, and keep the rows that come with them."""
        assert not self.ended, "nothing follows an end"
        for draft in drafts:
            version = len(self.history) + 1
            recorded = Recorded(version, 1, version, self.now, *draft)
            self.history.append(recorded)
            evolve(self.run, recorded)
        self.commits.append(len(self.history))
        for row in rows:
            self._place(row)

    def _place(self, row: Ready) -> None:
        if row.kind is None:
            place = (row.step, row.activation)
            assert place not in self.jobs
            assert place not in self.leased
            self.jobs[place] = row
        else:
            due = row.due_at or self.now + timedelta(seconds=row.delay or 0)
            self.timers.append((due, row))

    def decide(self, limit: int = 500) -> Decision:
        """Decide once and record it, as far as its guards hold."""
        decision = decide(self.run, limit=limit)
        if decision:
            assert decision.gates >> self.gate & 1, "a decision that its own gates refuse"
            assert decision.expected_version in {None, len(self.history)}
            assert len(decision.drafts) <= limit + 1
            for row in decision.ready:
                made_by = decision.drafts[row.draft]
                is_of_step = row.kind in (None, "retry")
                assert not is_of_step or made_by[1:3] == (row.step, row.activation)
            self.decisions.append(decision)
            self.append(decision.drafts, decision.ready)
            for place in decision.drops:
                self.jobs.pop(place, None)
                self.leased.pop(place, None)
                self.timers = [
                    (due, row) for due, row in self.timers if (row.step, row.activation) != place
                ]
            if decision.gate is not None:
                self.gate = decision.gate
            if self.ended:
                self.jobs.clear()
                # As in a store: what comes with the end is put in after all else is gone.
                self.timers = [one for one in self.timers if one[1].kind == "archive"]
        return decision

    def settle(self, limit: int = 500) -> None:
        """Decide until nothing is undecided."""
        for _ in range(STEPS_MAX):
            if self.ended or not self.decide(limit):
                return
        raise AssertionError("decides for ever")

    # What workers do ------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return bool(self.history) and self.history[-1].event.TOPIC in ev.ENDS

    def ready(self) -> list[tuple[str, int]]:
        """Return the places, ``(step, number)``, that a worker could claim."""
        allowed = self.gate == Gate.OPEN or self.gate == Gate.COMPENSATING
        return list(self.jobs) if allowed else []

    def claim(self, step: str, number: int = 1) -> Work:
        """Begin an attempt; return what its handler sees."""
        row = self.jobs.pop((step, number))
        self.leased[step, number] = row
        started = ev.StepStarted(queue=row.queue, worker="w")
        self.append([Draft(started, step, number, row.attempt)])
        act = self.run.open[step, number]
        found = {version: self.history[version - 1].event for version in versions(row.inputs)}
        return Work(step, act.name, number, row.attempt, resolve(row.inputs, found))

    def _fact(self, step: str, number: int, *facts: Event) -> None:
        row = self.leased.pop((step, number))
        self.append([Draft(fact, step, number, row.attempt) for fact in facts])

    def complete(
        self, step: str, number: int = 1, *emits: Any, result: Any = None, states: Any = ()
    ) -> None:
        """Let a claimed attempt return; an emit is a name, or a name and a payload."""
        pairs = [emit if isinstance(emit, tuple) else (emit, emit) for emit in emits]
        self._fact(
            step,
            number,
            *(ev.Emit(name=name, payload=payload) for name, payload in pairs),
            *states,
            ev.StepCompleted(queue="default", result=result, duration=1),
        )

    def fail(self, step: str, number: int = 1, error: ev.ErrorInfo = OOPS, **more: Any) -> None:
        """Let a claimed attempt raise."""
        self._fact(step, number, ev.StepErrored(queue="default", error=error, **more))

    def stall(self, step: str, number: int = 1) -> None:
        """Let the lease of an attempt end: charged."""
        self._fact(step, number, ev.StepStalled(queue="default"))

    def release(self, step: str, number: int = 1) -> None:
        """Let an attempt be given back: not charged."""
        self._fact(step, number, ev.StepReleased(queue="default"))

    def do(self, step: str, number: int = 1, *emits: Any, **more: Any) -> Any:
        """Claim, complete, settle; return the input."""
        work = self.claim(step, number)
        self.complete(step, number, *emits, **more)
        self.settle()
        return work.input

    # What callers and time do ---------------------------------------------------------------

    def cancel(self, reason: str | None = None) -> bool:
        """Ask for the end of the run; return whether that was accepted."""
        if self.ended or not ACCEPTING >> self.gate & 1:
            return False
        self.append([Draft(ev.FlowCancelRequested(reason=reason))])
        self.gate = Gate.CLOSED
        return True

    def pause(self) -> None:
        """Let nothing more be claimed."""
        if not self.ended and self.gate == Gate.OPEN:
            self.append([Draft(ev.FlowPaused())])
            self.gate = Gate.PAUSED

    def resume(self) -> None:
        """Let it go on."""
        if not self.ended and self.gate == Gate.PAUSED:
            self.append([Draft(ev.FlowResumed())])
            self.gate = Gate.OPEN

    def replace(self, input: Any, delay: float | None = None) -> bool:
        """Give the run another input, and another time; return whether that was accepted."""
        run, working = new(self.definition), Working()
        for recorded in self.history:
            evolve(run, recorded)
            working.see(recorded)
        if self.ended or not is_replaceable(run):
            return False
        found = replacement(run, working.rows(run), input, delay)
        for place in found.drops:
            self.jobs.pop(place, None)
            self.timers = [one for one in self.timers if (one[1].step, one[1].activation) != place]
        self.append([found.draft], found.ready)
        for _, row in found.changed:
            self._change(row)
        return True

    def _change(self, row: Ready) -> None:
        if row.kind is None:
            self.jobs[row.step, row.activation] = row
            return
        due = None if row.delay is None else self.now + timedelta(seconds=row.delay)
        self.timers = [
            (due or at, row) if other.kind == row.kind else (at, other) for at, other in self.timers
        ]

    def wait(self, seconds: float) -> None:
        """Let time pass and the timers fire, soonest first."""
        self.now += timedelta(seconds=seconds)
        for due, row in sorted(self.timers, key=lambda timer: timer[0]):
            if due <= self.now and not self.ended:
                self.fire(row)

    def fire(self, row: Ready) -> None:
        """Let one timer be due."""
        self.timers = [timer for timer in self.timers if timer[1] is not row]
        assert row.kind is not None, "a job is claimed, not fired"
        fact = ev.TimerDue(kind=row.kind)
        place = (row.step, row.activation, row.attempt) if row.step else (None, None, None)
        self.append([Draft(fact, *place)])
        if row.kind in {"start", "retry"}:
            self._place(replace(row, kind=None))
        elif row.kind == "deadline" and self.gate < Gate.CLOSED:
            self.gate = Gate.CLOSED

    # What a test looks at -------------------------------------------------------------------

    def topics(self) -> list[str]:
        """Return the types of all events."""
        return [recorded.event.TOPIC for recorded in self.history]

    def found(self, kind: type[Event]) -> list[Recorded]:
        """Return the events of one type."""
        return [recorded for recorded in self.history if isinstance(recorded.event, kind)]

    def names(self) -> set[str]:
        """The names of everything that was scheduled."""
        events = [recorded.event for recorded in self.history]
        return {event.name for event in events if isinstance(event, ev.StepScheduled)}

    def scheduled(self, step: str) -> int:
        """Return how often ``step`` was scheduled."""
        return sum(recorded.step == step for recorded in self.found(ev.StepScheduled))

    def refolded(self) -> Run:
        """Return the run, folded anew from its history."""
        return fold(self.definition, self.history)


def play(
    definition: FlowDefinition,
    script: Script,
    seed: int = 0,
    *,
    chaos: float = 0.0,
    meddling: float = 0.0,
    limit: int = 7,
    driver: Driver | None = None,
) -> Driver:
    """Play a run to its end: one of the possible things at a time, chosen by ``seed``.

    ``chaos``: the chance that an attempt stalls or is released instead of being answered.
    ``meddling``: the chance, before each move, that a caller pauses, resumes or cancels it.
    ``limit``: how many activations one decision may cause at most. ``driver``: one that has
    begun already.
    """
    rng = random.Random(seed)
    driver = driver or Driver(definition)
    works: dict[tuple[str, int], Work] = {}
    for _ in range(STEPS_MAX):
        if driver.ended:
            return driver
        if meddling and rng.random() < meddling:
            _meddle(driver, rng)
        retries = [row for _, row in driver.timers if row.kind == "retry"]
        ready = driver.ready()
        ways: list[tuple[str, Sequence[Any]]] = [
            ("claim", ready),
            ("answer", list(driver.leased)),
            ("fire", retries),
        ]
        moves = [(what, choices) for what, choices in ways if choices]
        what, choices = rng.choice([*moves, ("decide", [None])])
        chosen: Any = rng.choice(choices)
        if what == "claim":
            works[chosen] = driver.claim(*chosen)
        elif what == "answer":
            _answer(driver, script, works[chosen], rng, chaos)
        elif what == "fire":
            driver.fire(chosen)
        elif driver.decide(limit=rng.choice((1, 2, limit))) or moves:
            continue
        elif driver.gate == Gate.PAUSED:
            driver.resume()
        else:
            raise AssertionError(f"stranded: {driver.topics()}")
    raise AssertionError("goes on for ever")


def _meddle(driver: Driver, rng: random.Random) -> None:
    what = rng.choice(("pause", "pause", "resume", "resume", "cancel"))
    if what == "pause":
        driver.pause()
    elif what == "resume":
        driver.resume()
    else:
        driver.cancel("a caller wanted it")


def _answer(driver: Driver, script: Script, work: Work, rng: random.Random, chaos: float) -> None:
    luck = rng.random()
    place = (work.step, work.number)
    if luck < chaos / 2 and work.attempt < 3:
        driver.stall(*place)
    elif luck < chaos:
        driver.release(*place)
    else:
        outcome = script(work)
        if outcome.error is not None:
            driver.fail(*place, error=outcome.error)
        else:
            driver.complete(*place, *outcome.emits, result=outcome.result, states=outcome.states)
