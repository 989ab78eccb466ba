"""Two runs compared by names: what differs, and what came first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from flow.branching import MOST, SEEDS, TWO_SIDES, forked, half_way
from runfold.errors import Unforkable
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition
from runfold.flow.diff import ABSENT, DIFFERENCES_MAX, Diff, Difference, diff
from runfold.flow.trace import Trace
from runfold.testing.building import after, collect, flow, join, step
from runfold.testing.driver import BROKEN, Driver, Outcome, Script, Work, play
from runfold.testing.strategies import definitions, script


def compared(one: Driver, other: Driver) -> Diff:
    return diff(Trace(one.definition, one.history), Trace(other.definition, other.history))


def differences(one: Driver, other: Driver) -> tuple[Difference, ...]:
    return compared(one, other).differences


def done(b: Any = "b", result: Any = None) -> Driver:
    driver = half_way()
    driver.complete("b", 1, ("b", b), result=result)
    driver.settle()
    driver.do("end", result={"got": b})
    return driver


def test_a_run_is_the_same_as_itself() -> None:
    found = compared(done(), done())
    assert (found.same, found.first, str(found)) == (True, None, "run r and run r are the same")


def test_a_difference_is_named_down_to_the_field_and_causes_come_first() -> None:
    found = compared(done({"n": 1, "m": 2}), done({"n": 5, "m": 2}))
    assert [(one.step, one.field, one.one, one.other) for one in found.differences] == [
        ("b", "emits.0.payload.n", 1, 5),
        ("end", "input.b.n", 1, 5),
        ("end", "result.got.n", 1, 5),
        (None, "result.got.n", 1, 5),
    ]
    assert str(found).splitlines()[1] == "  b emits.0.payload.n: 1 | 5"


def test_what_a_step_did_to_the_state_is_compared_key_by_key() -> None:
    def run(value: int) -> Driver:
        driver = Driver(flow(step("start")))
        driver.claim("start")
        change = ev.State(operation="set", key="n", value=value)
        driver.complete("start", states=[change])
        driver.settle()
        return driver

    assert [(one.step, one.field, one.one, one.other) for one in differences(run(1), run(2))] == [
        ("start", "state.0.value", 1, 2), (None, "state.n", 1, 2),
    ]  # fmt: skip


def test_another_key_or_operation_of_the_state_is_a_difference() -> None:
    def run(**said: Any) -> Driver:
        driver = Driver(flow(step("start")))
        driver.claim("start")
        driver.complete("start", states=[ev.State(value=1, **said)])
        driver.settle()
        return driver

    one = run(operation="set", key="n")
    assert next(d.field for d in differences(one, run(operation="set", key="m"))) == "state.0.key"
    (only,) = differences(one, run(operation="add", key="n"))
    assert (only.field, only.one, only.other) == ("state.0.operation", "set", "add")


def erring(**said: str) -> Driver:
    driver = Driver(flow(step("start")))
    driver.claim("start")
    driver.fail("start", error=BROKEN.model_copy(update=said))
    driver.settle()
    return driver


def test_errors_are_compared_by_code_and_message() -> None:
    one, other = erring(message="one"), erring(message="other")
    assert [(one.step, one.field) for one in differences(one, other)] == [
        ("start", "error.message"), (None, "error.message"),
    ]  # fmt: skip


def test_what_only_one_run_has_is_named() -> None:
    found = compared(half_way(), done())
    assert found.first is not None
    assert (found.first.step, found.first.field) == ("b", "status")
    (missing,) = [one for one in found.differences if one.field == "activation"]
    assert (missing.step, missing.one, str(missing)) == (
        "end", ABSENT, "end: only in the second run",
    )  # fmt: skip


def test_attempts_state_and_errors_are_compared() -> None:
    def run(flaky: bool) -> Driver:
        driver = Driver(flow(step("start")))
        driver.claim("start")
        driver.fail("start", error=BROKEN) if flaky else driver.complete("start")
        driver.settle()
        return driver

    fields = {one.field for one in compared(run(True), run(False)).differences}
    assert fields == {"status", "error"}


def test_runs_of_two_versions_of_a_flow_are_compared_by_what_they_share() -> None:
    longer = flow(*TWO_SIDES.steps, step("audit", after("a")))
    old, new = done(), Driver(longer)
    new.do("start", 1, "go", result=1)
    new.do("b", 1, ("b", "b"))
    new.do("a", 1, "a")
    new.do("end", result={"got": "b"})
    new.do("audit")
    (extra,) = compared(old, new).differences
    assert (extra.step, extra.field) == ("audit", "activation")


def test_no_more_than_a_bound_is_listed() -> None:
    wide = [list(range(DIFFERENCES_MAX)), list(range(1, DIFFERENCES_MAX + 1))]
    found = compared(done(wide[0]), done(wide[1]))
    assert len(found.differences) == DIFFERENCES_MAX
    assert "at least 1000 differences" in str(found)
    assert str(found).endswith("and 960 more")


@given(definitions(), SEEDS, SEEDS, SEEDS)
@MOST
def test_no_interleaving_makes_a_difference(
    definition: FlowDefinition, seed: int, order: int, other: int
) -> None:
    handlers = script(definition, seed)
    runs = [play(definition, handlers, place) for place in (order, other)]
    assume(runs[0].run.status == "completed")
    assert compared(*runs).same


@given(definitions(), SEEDS, SEEDS, st.data())
@MOST
def test_a_fork_differs_in_nothing_that_was_copied(
    definition: FlowDefinition, seed: int, order: int, data: st.DataObject
) -> None:
    handlers = script(definition, seed)
    origin = play(definition, handlers, order)
    cut = data.draw(st.integers(1, len(origin.history)))
    try:
        new = forked(origin, cut)
    except Unforkable:
        assume(False)
    over = {act.name for act in new.run.steps if not act.is_open}
    found = compared(origin, new)
    assert not [one for one in found.differences if one.name in over]
    play(definition, handlers, order, driver=new)
    if origin.run.status == "completed":
        assert compared(origin, new).same


@given(definitions(), SEEDS, SEEDS, st.data())
@MOST
def test_the_first_difference_is_where_the_runs_parted(
    definition: FlowDefinition, seed: int, order: int, data: st.DataObject
) -> None:
    handlers = script(definition, seed, failing=False)
    origin = play(definition, handlers, order)
    assume(origin.run.status == "completed")
    name = data.draw(st.sampled_from(sorted(act.name for act in origin.run.steps)))
    other = play(definition, changed(handlers, name), order)
    first = compared(origin, other).first
    assert first is not None
    assert (first.name, first.field) == (name, "result.own")


def changed(handlers: Script, name: str) -> Script:
    """Return ``handlers``, of which activation ``name`` gives another result."""

    def run(work: Work) -> Outcome:
        outcome = handlers(work)
        if work.name == name:
            return replace(outcome, result={**outcome.result, "own": 1})
        return outcome

    return run


def test_what_only_the_first_run_has_is_named_with_its_number() -> None:
    found = compared(done(), half_way())
    (missing,) = [one for one in found.differences if one.field == "activation"]
    assert (missing.step, missing.number, missing.other) == ("end", 1, ABSENT)
    assert missing.one == missing.name == half_way_end(done())
    assert str(missing) == "end: only in the first run"


def half_way_end(driver: Driver) -> str:
    """Return the name of the activation that a run which is half way does not have."""
    (name,) = (act.name for act in driver.run.steps if act.step == "end")
    return name


def test_what_came_first_is_first_whatever_it_is_called() -> None:
    chain = flow(step("z", emits="x"), step("m", "x", emits="y"), step("a", "y"))

    def run(told: int) -> Driver:
        driver = Driver(chain)
        driver.do("z", 1, ("x", told))
        driver.do("m", 1, ("y", told))
        driver.do("a", result=told)
        return driver

    assert [one.step for one in differences(run(1), run(2)) if one.field != "input"] == [
        "z", "m", "a", None,
    ]  # fmt: skip


def test_a_difference_has_the_number_and_name_of_its_activation() -> None:
    def run(told: int) -> Driver:
        driver = Driver(flow(step("start", emits="x"), step("a", "x")))
        driver.do("start", 1, "x", "x")
        driver.do("a", 1)
        driver.do("a", 2, result=told)
        return driver

    first = compared(run(1), run(2)).first
    assert first is not None
    assert (first.step, first.number, first.field) == ("a", 2, "result")
    assert first.name == run(1).run.steps[-1].name


def test_what_only_one_run_has_hides_no_difference_behind_it() -> None:
    graph = flow(step("start", emits="x y"), step("a", "x"), step("b", "y"))

    def run(*emits: str, told: int) -> Driver:
        driver = Driver(graph)
        driver.do("start", 1, *emits)
        driver.do("b", result=told)
        return driver

    one, other = run("x", "y", told=1), run("y", "y", told=2)
    found = [(d.step, d.field) for d in differences(one, other)]
    assert ("a", "activation") in found
    assert found.index(("a", "activation")) < found.index(("b", "activation"))
    only = [d for d in differences(one, other) if d.field == "activation"]
    assert [(d.one is ABSENT, d.other is ABSENT) for d in only] == [
        (False, True), (True, False),
    ]  # fmt: skip
    assert only[1].other == only[1].name
    assert found[-1] == ("b", "result")


def test_a_field_that_only_one_value_has_is_absent_in_the_other() -> None:
    found = differences(done({"n": 1}), done({"m": None}))
    assert [(d.field, d.one, d.other) for d in found if d.step == "b"] == [
        ("emits.0.payload.n", 1, ABSENT), ("emits.0.payload.m", ABSENT, None),
    ]  # fmt: skip


def test_another_code_is_a_difference_of_the_error() -> None:
    found = differences(erring(code="A"), erring(code="B"))
    assert [(d.step, d.field, d.other) for d in found] == [
        ("start", "error.code", "B"), (None, "error.code", "B"),
    ]  # fmt: skip


def test_of_a_run_that_was_erased_only_the_shape_is_compared() -> None:
    whole, short = done({"n": 1}), half_way()
    for one, other in ((whole, short), (short, whole)):
        left, right = (Trace(driver.definition, driver.history) for driver in (one, other))
        assert any(d.field.startswith("result") for d in diff(left, right).differences)
        left.run.erased = True
        fields = [(d.step, d.field) for d in diff(left, right).differences]
        assert fields == [("b", "status"), ("end", "activation"), (None, "status")]


def test_the_depth_of_an_activation_is_how_many_came_before_it() -> None:
    graph = flow(
        step("start", emits="x y never"), step("a", "x", emits="p"), step("b", "y", emits="z"),
        step("c", "z", emits="q"), step("both", join("p", "q")), step("last", after("both")),
        step("none", collect("never", at_least=0)),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x", "y")
    for name in ("a", "b", "c", "both", "last"):
        driver.do(name, 1, *{"a": "p", "b": "z", "c": "q"}.get(name, ""))
    trace = Trace(graph, driver.history)
    assert {deed.act.step: deed.depth for deed in trace.deeds.values()} == {
        "start": 0, "a": 1, "b": 1, "c": 2, "both": 3, "last": 4, "none": 0,
    }  # fmt: skip


def test_another_number_of_attempts_is_a_difference_of_its_own() -> None:
    def run(*, is_flaky: bool) -> Driver:
        driver = Driver(flow(step("start", retry=3)))
        if is_flaky:
            driver.claim("start")
            driver.fail("start")
            driver.settle()
            driver.wait(60)
        driver.do("start")
        return driver

    found = compared(run(is_flaky=False), run(is_flaky=True))
    assert [(one.step, one.field, one.one, one.other) for one in found.differences] == [
        ("start", "attempts", 1, 2)
    ]
