"""Definitions that cannot work are refused with the steps and the cure; graphs are followed."""

from __future__ import annotations

import math

import pytest

from runfold.flow.definition import (
    FlowDefinition,
    LimitDefinition,
    RetryPolicy,
    StepDefinition,
    Subscription,
)
from runfold.flow.graph import GRAPHS_MAX, Graph, Node, graph_of, validate
from runfold.testing.building import after, collect, each, failed, flow, join, step

START = step("start", emits="x y")


def test_a_flow_that_works_has_no_fault() -> None:
    definition = flow(
        START,
        step("a", "x", emits="a"),
        step("b", each("x", "y"), emits="b lost"),
        step("both", join("a", left="b", by="id")),
        step("gather", collect("a", after("b"), failed("b"))),
    )
    assert validate(definition) == []


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (flow(), ["no entry", "@flow.entry"]),
        (flow(step("a"), step("b")), ["2 entries", "'a'", "'b'", "keep one"]),
        (flow(START, step("a", "x"), step("a", "y")), ["called 'a'", "name of its own"]),
        (flow(START, step("a", "z")), ["'a'", "'z'", "unknown event", "emits="]),
        (flow(START, step("a", after("b"))), ["'a'", "after('b')", "unknown step", "'start'"]),
        (flow(START, step("a", failed("a"))), ["'a'", "its own end", "retry="]),
        (flow(START, step("a", "q", emits="q")), ["'a'", "unreachable", "'q'"]),
        (
            flow(START, step("a", join("x", "q")), step("b", after("a"), emits="q")),
            ["'a'", "unreachable"],
        ),
        (flow(START, step("a", join("x"))), ["'a'", "joins 1 part", "two or more"]),
        (flow(START, step("a", join("x", other="x"))), ["'a'", "'x' with itself"]),
        (flow(START, step("a", collect("z2"), emits="z2")), ["'a'"]),
        (
            flow(START, step("a", collect("x"), emits="q"), step("b", "q", emits="x")),
            ["'a'", "'x'", "lead to itself", "break the loop"],
        ),
        (
            flow(step("start", returns=True, emits="x"), step("a", "x", returns=True)),
            ["'start'", "'a'", "returns=True", "one result"],
        ),
        (flow(step("start", retry=0)), ["'start'", "max_attempts=0"]),
        (flow(step("start", retry=RetryPolicy(base=-1))), ["'start'", "base=-1"]),
        (flow(step("start", retry=RetryPolicy(cap=math.inf))), ["'start'", "cap=inf"]),
        (flow(step("start", retry=RetryPolicy(factor=0))), ["'start'", "factor=0"]),
        (flow(step("start", retry=RetryPolicy(jitter=2))), ["'start'", "jitter=2"]),
        (flow(step("start", retry=RetryPolicy(base=math.nan))), ["'start'", "base=nan"]),
        (flow(step("start", priority=0)), ["'start'", "priority 0", "1 to 10"]),
        (flow(step("start", priority=11)), ["'start'", "priority 11"]),
        (flow(step("start", timeout=0)), ["'start'", "timeout=0", "above 0"]),
        (flow(step("start", queue="")), ["'start'", "queue"]),
        (flow(step("start", emits="")), []),
        (flow(step("")), ["''", "rename"]),
        (flow(step("a__b")), ["'a__b'", "rename"]),
        (flow(step("a#2")), ["'a#2'", "rename"]),
        (flow(step("a\nb")), ["'a\\nb'", "rename"]),
        (flow(step("a.compensate")), ["'a.compensate'", "compensation"]),
        (flow(step("a"), name=" "), ["flow name ' '"]),
        (flow(step("a"), deadline=0), ["deadline=0"]),
        (flow(step("a"), keep=-1), ["keep=-1"]),
        (flow(step("a"), state_cleanup=-1.0), ["state_cleanup=-1"]),
        (flow(step("a"), activations_max=0), ["activations_max=0"]),
        (flow(START, step("a", "x", formerly=("start",))), ["'start'", "former name"]),
        (flow(START, step("a", join("x", "y", by="id..n"))), ["'a'", "by='id..n'"]),
        (flow(START, step("a", each("x").model_copy(update={"by": "id"}))), ["by='id'"]),
        (
            flow(START, step("b", "x"), step("a", join("x", b=failed("b"), by="id"))),
            ["'a'", "failure", "collect"],
        ),
        (flow(START, step("a", collect("x", at_least=-1))), ["'a'", "at_least=-1"]),
        (flow(START, step("a", Subscription(kind="each", parts=()))), ["'a'", "0 parts"]),
        (flow(START, step("a", each())), ["'a'", "nothing fills"]),
    ],
)
def test_a_fault_names_the_step_and_the_cure(definition: FlowDefinition, words: list[str]) -> None:
    faults = validate(definition)
    assert bool(faults) == bool(words)
    assert not words or any(all(word in fault for word in words) for fault in faults)


def test_a_graph_is_made_once_for_each_definition() -> None:
    assert graph_of(flow(START)) is graph_of(flow(START))
    assert graph_of(flow(START)) is not graph_of(flow(step("start", emits="x")))


def test_a_bounded_number_of_graphs_is_kept() -> None:
    first = graph_of(flow(START, name="first"))
    for number in range(GRAPHS_MAX):
        graph_of(flow(START, name=f"flow-{number}"))
    assert graph_of(flow(START, name="first")) is not first


def test_a_changed_copy_of_a_definition_has_a_hash_of_its_own() -> None:
    definition = flow(START)
    assert definition.hash != definition.model_copy(update={"failure": "finish"}).hash
    assert list(definition.by_name) == ["start"]
    other = definition.model_copy(update={"steps": (step("other"),)})
    assert list(other.by_name) == ["other"]


def lane(definition: FlowDefinition, name: str) -> str | None:
    graph = Graph(definition)
    number = graph.nodes[name].lane
    return next((out.name for out in graph.outlets.values() if out.id == number), None)


def test_the_lane_is_the_nearest_event_on_every_path() -> None:
    definition = flow(
        step("start", emits="outer"),
        step("split", "outer", emits="item"),
        step("a", "item", emits="p"),
        step("b", "item", emits="q"),
        step("both", join("p", "q"), emits="r"),
        step("wide", join("outer", "r")),
    )
    assert lane(definition, "both") == "item"
    assert lane(definition, "wide") == "outer"


def test_two_ways_from_the_entry_share_only_the_entry() -> None:
    assert lane(flow(START, step("both", join("x", "y"))), "both") is None


def test_behind_a_collect_and_behind_by_the_lanes_begin_anew() -> None:
    definition = flow(
        step("start", emits="item"),
        step("a", "item", emits="p"),
        step("sum", collect("p"), emits="q"),
        step("c", "q", emits="r"),
        step("d", "q", emits="s"),
        step("both", join("r", "s"), emits="t"),
        step("apart", join("item", "t")),
    )
    assert lane(definition, "both") == "q"
    assert lane(definition, "apart") is None


def test_what_leads_to_a_collect_is_known_through_joins_and_collects() -> None:
    graph = Graph(
        flow(
            START,
            step("a", "x", emits="p"),
            step("b", "y", emits="q"),
            step("both", join("p", "q"), emits="r"),
            step("first", collect("r"), emits="s"),
            step("second", collect("s")),
            step("aside", "x"),
        )
    )
    first, second = graph.nodes["first"].index, graph.nodes["second"].index
    assert set(graph.nodes["a"].leads) == {first, second}
    assert graph.nodes["first"].leads == (second,)
    assert graph.nodes["aside"].leads == ()


def test_a_graph_of_a_faulty_definition_is_made_all_the_same() -> None:
    definition = flow(step("a", "nothing"), step("a", collect("a")), step("b", join("q")))
    assert Graph(definition).entry is None


def test_a_step_by_itself_leads_nowhere() -> None:
    node = Node(3, step("a", "x", queue="slow"), "flow")
    assert (node.index, node.name, node.kind, node.by, node.labels) == (3, "a", "each", None, ("",))
    assert (node.after, node.failed, node.lane, node.admission) == (None, None, None, None)
    assert (node.handled, node.gives_result, node.leads, node.sources) == (False, False, (), set())


def test_only_what_something_needs_is_a_lane_or_has_keys() -> None:
    by_user = LimitDefinition(kind="concurrency", max=1, key="user")
    of_all = LimitDefinition(kind="concurrency", max=1)
    graph = Graph(
        flow(
            step("start", emits="item"),
            step("a", "item", emits="p"),
            step("b", "item", emits="q", limits=(of_all,)),
            step("both", join("p", "q")),
            step("c", after("a"), limits=(by_user,)),
            step("d", failed("c"), queue_keys=("@run",)),
        )
    )
    outlets = {outlet.trigger: outlet for outlet in graph.outlets.values()}
    assert list(outlets) == ["item", "p", "q", "after:a", "failed:c"]
    assert [name for name, outlet in outlets.items() if outlet.is_lane is not False] == ["item"]
    assert [name for name, outlet in outlets.items() if outlet.is_keyed] == ["after:a"]
    assert [node.name for node in graph.nodes.values() if node.handled] == ["c"]
    assert [node.name for node in graph.nodes.values() if node.gives_result] == ["both", "c"]


def test_the_name_of_a_compensation_stands_for_its_step() -> None:
    graph = Graph(flow(START, step("a", "x")))
    assert graph.base("a") == (graph.nodes["a"], False)
    assert graph.base("a.compensate") == (graph.nodes["a"], True)
    assert graph.base("b.compensate") == (None, True)
    assert graph.base(None) == graph.base("") == graph.base("b") == (None, False)


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ((step("a", emits="x", returns=True), step("b", "x")), ["a"]),
        ((step("z", emits="x y"), step("b", "y"), step("a", "x")), ["b", "a"]),
        ((step("a", emits="x"), step("b", "x"), step("mend", failed("b"))), ["b"]),
        ((step("a", emits="x"), step("b", "x", emits="x")), []),
        ((step("a", emits="x"), step("b", "x"), step("c", after("b")), step("d", after("b"))),
         ["c", "d"]),
        ((step("a", emits="w x y"), step("b", "w"), step("c", "x", emits="p"),
          step("d", "y", emits="p"), step("e", "p")), ["b", "e"]),
        ((step("a", emits="x", returns=True), step("b", "x", returns=True)), ["a"]),
    ],
)  # fmt: skip
def test_the_result_is_of_the_step_with_returns_or_of_the_leaves(
    steps: tuple[StepDefinition, ...], named: list[str]
) -> None:
    assert [node.name for node in Graph(flow(*steps)).results] == named
