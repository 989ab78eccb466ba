"""What is left of a run that is erased: nothing that a user wrote, and the same shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow.test_properties import MOST, SEEDS
from golden.samples import full, least
from runfold.client.redaction import FIELDS
from runfold.flow.definition import FlowDefinition
from runfold.flow.erasure import ERASED, ERRORS_PER_EVENT, erasures, rest
from runfold.flow.events import REGISTRY, ErrorInfo, FlowErased, StepErrored
from runfold.flow.run import Run, evolve, fold, new
from runfold.flow.seal import digest, erased, is_erased, rest_of
from runfold.flow.streams import erasure_id
from runfold.kernel.event import Draft, Event, Recorded
from runfold.ports import Name
from runfold.projections.logged import Logged
from runfold.store.codec import JsonCodec
from runfold.testing.driver import play
from runfold.testing.strategies import broken_histories, definitions, script

STAYS = {
    # type, field: why it is not what a user wrote in a run
    ("state", "key"): "a name that the code gives",
    ("queue.paused", "key"): "of a queue, not of a run",
    ("queue.resumed", "key"): "of a queue, not of a run",
    ("step.retry", "reason"): "one of four words of the engine",
}
NOTHING = (None, "", ERASED, {}, ())
CODEC = JsonCodec()


@pytest.mark.parametrize("topic", list(REGISTRY))
def test_every_field_that_a_user_writes_is_gone(topic: str) -> None:
    event = full(REGISTRY[topic])
    left = rest(event)
    assert type(left) is type(event)
    for name in type(event).model_fields:
        was, stays = getattr(event, name), getattr(left, name)
        if isinstance(was, ErrorInfo):
            assert (stays.message, stays.stack, stays.details) == (ERASED, None, None)
            assert (stays.type, stays.code) == (was.type, was.code)
        elif name in FIELDS and (topic, name) not in STAYS:
            assert stays in NOTHING
        elif name not in FIELDS:
            assert stays == was
    assert rest(left) == left
    assert rest(least(REGISTRY[topic])) is not None


def erased_of(recorded: Recorded) -> Recorded:
    """Return the event as a reader meets it once it is erased."""
    state = CODEC.encode(Draft(recorded.event)).state
    left = erased(digest(state, recorded.key), CODEC.encode(Draft(rest(recorded.event))).state)
    event = CODEC.decode(recorded.event.TOPIC, rest_of(left))
    return recorded._replace(event=event, key=None, state=left)


def shape(run: Run) -> dict[str, Any]:
    """Return what of a run is neither a value nor derived from one."""
    error = None if run.error is None else run.error.code
    steps = [(one.step, one.number, one.name, one.status, one.attempt) for one in run.steps]
    ends = (run.outcome, run.created_at, run.finished_at, run.failed_step)
    return {"status": run.status, "error": error, "steps": steps, "ends": ends, "at": run.version}


@given(definitions(), SEEDS, st.sampled_from([0.0, 0.2]))
@MOST
def test_an_erased_run_folds_to_the_same_shape(
    definition: FlowDefinition, seed: int, chaos: float
) -> None:
    driver = play(definition, script(definition, seed), seed, chaos=chaos)
    left = [erased_of(recorded) for recorded in driver.history]
    run = fold(definition, left)
    assert shape(run) == shape(fold(definition, driver.history))
    assert run.erased
    assert (run.input, run.result, run.key, run.tags) == (None, None, None, ())
    assert set(map(str, run.values().values())) <= {"None", "0", "[None]"} | {
        str([None] * n) for n in range(2, 30)
    }


@given(broken_histories(), definitions(steps_max=3))
@MOST
def test_folding_what_is_left_never_raises(
    history: list[Recorded], definition: FlowDefinition
) -> None:
    run = new(definition)
    for recorded in history:
        evolve(run, erased_of(recorded))
        assert run.version == recorded.version


@given(definitions(), SEEDS)
@MOST
def test_the_chain_of_an_erased_run_is_that_which_it_had(
    definition: FlowDefinition, seed: int
) -> None:
    driver = play(definition, script(definition, seed), seed)
    before, after = new(definition), new(definition)
    for recorded in driver.history:
        recorded = recorded._replace(key="ann", state=CODEC.encode(Draft(recorded.event)).state)
        evolve(before, recorded)
        evolve(after, erased_of(recorded))
    assert before.chain is not None
    assert after.chain is not None
    assert before.chain.root() == after.chain.root()


@pytest.mark.parametrize("key", [None, "", "ann", "bob"])
def test_the_hash_of_an_event_has_its_key(key: str | None) -> None:
    others = {digest(b"{}", other) for other in (None, "", "ann", "bob") if other != key}
    assert digest(b"{}", key) not in others
    assert digest(erased(digest(b"{}", key), b"rest"), None) == digest(b"{}", key)
    assert not is_erased(b"{}")


def errored(number: int, code: str = "E") -> Recorded:
    error = ErrorInfo(type="T", code=code, message="secret")
    event = StepErrored(queue="q", error=error)
    return Recorded(number, 1, number, None, event, "pay", number, 1)  # type: ignore[arg-type]


def test_an_erasure_names_the_attempts_that_had_an_error_in_events_of_bounded_size() -> None:
    said = erasures("run", 7, [errored(n) for n in range(1, ERRORS_PER_EVENT + 2)])
    assert [len(one.errors) for one in said] == [ERRORS_PER_EVENT, 1]
    assert {(one.run_id, one.stream) for one in said} == {("run", 7)}
    assert erasures("run", 7, []) == [FlowErased(run_id="run", stream=7)]
    (one,) = erasures("run", 7, [errored(1, "FIRST"), errored(1, "LAST")])
    assert [(e.step, e.number, e.attempt, e.code) for e in one.errors] == [("pay", 1, 1, "LAST")]


def test_an_erasure_belongs_to_the_run_that_it_is_about() -> None:
    event: Event = FlowErased(run_id="run", stream=7)
    recorded = Recorded(9, 9, 1, None, event)  # type: ignore[arg-type]
    assert Logged(recorded, Name(b"", None), None).stream == 7


def test_each_run_has_an_erasure_of_its_own_in_each_log() -> None:
    ids = {erasure_id(log, run) for log in (1, 2) for run in ("r", "s")}
    assert len(ids) == 4
    assert erasure_id(1, "r") == erasure_id(1, "r")
