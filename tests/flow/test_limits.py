"""Limits: which buckets must admit a job, and the key that its events carry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.flow.definition import FlowDefinition, LimitDefinition, StepDefinition
from runfold.flow.events import FlowStart, StepScheduled
from runfold.flow.graph import validate
from runfold.flow.limits import Admission, names_of, scopes_of
from runfold.flow.paths import TEXT_MAX, text_of
from runfold.flow.start import creation
from runfold.testing.building import after, collect, each, failed, flow, join, step
from runfold.testing.driver import BROKEN, Driver


def at_once(most: int = 1, key: str | None = None) -> LimitDefinition:
    return LimitDefinition(kind="concurrency", max=most, key=key)


def rate(key: str | None = None) -> LimitDefinition:
    return LimitDefinition(kind="rate", max=4, per=60, key=key)


def started(definition: FlowDefinition, payload: Any) -> Driver:
    fields = {"run_id": "r", "flow": definition.name, "definition": definition.hash}
    return Driver(definition, FlowStart(**fields, input=payload))


def buckets(driver: Driver, name: str, number: int = 1) -> tuple[str, ...]:
    return driver.jobs[name, number].limits


# The entry.


def test_a_step_without_limits_has_no_bucket() -> None:
    driver = started(flow(step("start")), {"user": "zoe"})
    assert buckets(driver, "start") == ()
    assert driver.jobs["start", 1].key is None


def test_a_limit_without_key_is_one_bucket() -> None:
    driver = started(flow(step("start", limits=(at_once(), rate()))), None)
    assert buckets(driver, "start") == ("step:flow/start#concurrency", "step:flow/start#rate")
    assert driver.jobs["start", 1].key is None


def test_a_key_is_looked_up_in_the_input() -> None:
    driver = started(flow(step("start", limits=(at_once(key="user.id"),))), {"user": {"id": 7}})
    assert buckets(driver, "start") == ("step:flow/start#1:user.id=7",)
    assert driver.jobs["start", 1].key == "7"


def test_the_keys_of_the_queue_come_first_and_only_keyed_ones_are_there() -> None:
    limited = step("start", queue="mail", queue_keys=("to",), limits=(rate(key="sender"),))
    driver = started(flow(limited), {"to": "adam", "sender": "zoe"})
    assert buckets(driver, "start") == ("queue:mail#1:to=adam", "step:flow/start#1:sender=zoe")
    assert driver.jobs["start", 1].key == "adam"


def test_two_limits_of_one_key_are_two_buckets() -> None:
    limited = step("start", limits=(at_once(key="to"), rate(key="to")), queue_keys=("to", "to"))
    driver = started(flow(limited), {"to": "adam"})
    assert buckets(driver, "start") == (
        "queue:default#1:to=adam", "queue:default#2:to=adam",
        "step:flow/start#1:to=adam", "step:flow/start#2:to=adam",
    )  # fmt: skip


def test_the_run_and_the_flow_are_keys() -> None:
    limited = step("start", limits=(at_once(key="@run"), at_once(key="@flow")))
    driver = started(flow(limited), None)
    assert buckets(driver, "start") == (
        "step:flow/start#1:@run=r", "step:flow/start#1:@flow=flow",
    )  # fmt: skip


@pytest.mark.parametrize("payload", [{}, {"to": None}, None, [], "x", 5])
def test_what_is_missing_is_one_key_that_all_share(payload: Any) -> None:
    driver = started(flow(step("start", limits=(at_once(key="to"),))), payload)
    assert buckets(driver, "start") == ("step:flow/start#1:to=null",)


def test_names_that_would_read_as_parts_of_a_bucket_are_escaped() -> None:
    driver = started(flow(step("a=b", limits=(at_once(),)), name="50%#1"), None)
    assert buckets(driver, "a=b") == ("step:50%25%231/a%3Db#concurrency",)


# Every kind of input.


def test_each_takes_the_key_from_its_payload() -> None:
    limited = step("next", each("order"), limits=(at_once(key="user"),))
    driver = started(flow(step("start", emits="order"), limited), None)
    driver.do("start", 1, ("order", {"user": "zoe"}), ("order", {"user": "adam"}))
    assert buckets(driver, "next", 1) == ("step:flow/next#1:user=zoe",)
    assert buckets(driver, "next", 2) == ("step:flow/next#1:user=adam",)


def test_after_takes_the_key_from_the_result() -> None:
    limited = step("next", after("start"), limits=(at_once(key="user"),))
    driver = started(flow(step("start"), limited), None)
    driver.do("start", result={"user": "zoe"})
    assert buckets(driver, "next") == ("step:flow/next#1:user=zoe",)


def test_a_join_takes_keys_from_its_parts() -> None:
    keys = (at_once(key="left.user"), at_once(key="right"), at_once(key="left"))
    limited = step("both", join(left="a", right="b"), limits=keys)
    driver = started(flow(step("start", emits="a b"), limited), None)
    driver.do("start", 1, ("b", 5), ("a", {"user": "zoe"}))
    assert buckets(driver, "both") == (
        "step:flow/both#1:left.user=zoe",
        "step:flow/both#1:right=5",
        'step:flow/both#1:left={"user":"zoe"}',
    )


def test_a_join_of_names_with_dots_finds_its_parts() -> None:
    limited = step("both", join("order.paid", "x"), limits=(at_once(key="order.paid.by"),))
    driver = started(flow(step("start", emits="order.paid x"), limited), None)
    driver.do("start", 1, ("x", None), ("order.paid", {"by": "card"}))
    assert buckets(driver, "both") == ("step:flow/both#1:order.paid.by=card",)


def test_a_collect_takes_keys_from_places_of_its_list() -> None:
    keys = (at_once(key="1.id"), at_once(key="7.id"))
    limited = step("all", collect("item"), limits=keys)
    driver = started(flow(step("start", emits="item"), limited), None)
    driver.do("start", 1, ("item", {"id": "a"}), ("item", {"id": "b"}))
    assert buckets(driver, "all") == ("step:flow/all#1:1.id=b", "step:flow/all#1:7.id=null")


def test_a_failure_gives_its_step_and_error() -> None:
    keys = (at_once(key="step"), at_once(key="error.code"), at_once(key="attempts"))
    limited = step("mend", failed("start"), limits=keys)
    driver = started(flow(step("start", retry=1), limited), None)
    driver.claim("start")
    driver.fail("start", error=BROKEN)
    driver.settle()
    assert buckets(driver, "mend") == (
        "step:flow/mend#1:step=start",
        "step:flow/mend#1:error.code=EXECUTION_ERROR",
        "step:flow/mend#1:attempts=1",
    )


# What lasts.


def test_all_attempts_have_the_same_buckets_and_every_event_the_key() -> None:
    limited = step("next", each("order"), retry=2, queue_keys=("user",), limits=(at_once(),))
    driver = started(flow(step("start", emits="order"), limited), None)
    driver.do("start", 1, ("order", {"user": "zoe"}))
    first = driver.jobs["next", 1]
    driver.claim("next")
    driver.fail("next")
    driver.settle()
    driver.wait(60)
    assert driver.jobs["next", 1].limits == first.limits
    assert driver.jobs["next", 1].key == "zoe"
    driver.claim("next")
    driver.fail("next")
    driver.settle()
    decided = {
        one.event.TOPIC: one.key
        for one in driver.history
        if one.step == "next" and one.event.TOPIC in {"step.scheduled", "step.retry", "step.failed"}
    }
    assert decided == {"step.scheduled": "zoe", "step.retry": "zoe", "step.failed": "zoe"}


def test_the_job_of_a_run_that_is_its_own_key_carries_its_id() -> None:
    driver = started(flow(step("start", limits=(at_once(key="@run"),))), None)
    assert driver.jobs["start", 1].key == "r"
    driver.do("start")
    other = started(flow(step("start"), step("next", after("start"), queue_keys=("@run",))), None)
    other.do("start")
    assert other.jobs["next", 1].key == "r"


def test_a_cancelled_activation_carries_its_key() -> None:
    driver = started(flow(step("start", limits=(at_once(key="user"),))), {"user": "zoe"})
    driver.cancel()
    driver.settle()
    cancelled = [one for one in driver.history if one.event.TOPIC == "step.cancelled"]
    assert [one.key for one in cancelled] == ["zoe"]


def test_a_compensation_is_admitted_by_what_admitted_its_step() -> None:
    charge = step(
        "charge", after("start"), compensated=True, queue_keys=("user",), limits=(at_once(),)
    )
    driver = started(flow(step("start"), charge, step("ship", after("charge"), retry=1)), None)
    driver.do("start", result={"user": "zoe"})
    before = buckets(driver, "charge")
    driver.do("charge", result="paid")
    driver.claim("ship")
    driver.fail("ship", error=BROKEN)
    driver.settle()
    assert before == ("queue:default#1:user=zoe", "step:flow/charge#concurrency")
    assert buckets(driver, "charge.compensate") == before
    assert driver.found(StepScheduled)[-1].key == "zoe"


def test_a_refold_gives_the_same_buckets() -> None:
    limited = step("next", each("order"), limits=(at_once(key="user"),))
    driver = started(flow(step("start", emits="order"), limited), None)
    driver.do("start", 1, ("order", {"user": "zoe"}))
    assert driver.refolded().open["next", 1].keys == ("zoe",)


def test_the_state_keeps_the_values_and_not_the_payloads() -> None:
    limited = step("all", collect("item"), limits=(at_once(key="0.id"),))
    more = step("more", after("start"), emits="item")
    driver = started(flow(step("start", emits="item"), more, limited), None)
    driver.do("start", 1, ("item", {"id": "a", "rest": "x" * 1000}))
    ((waiting,),) = driver.run.collected.values()
    assert waiting.keys == {2: ("a",)}


def test_the_first_job_of_a_run_that_waits_for_its_time_has_its_buckets() -> None:
    definition = flow(step("start", limits=(at_once(key="user"),)))
    start = FlowStart(
        run_id="r", flow="flow", definition=definition.hash, delay=60, input={"user": "zoe"}
    )
    drafts, rows = creation(start, definition)
    assert [(row.kind, row.limits, row.key) for row in rows] == [
        ("start", ("step:flow/start#1:user=zoe",), "zoe")
    ]
    assert [draft.key for draft in drafts] == [None, "zoe"]
    assert isinstance(drafts[1].event, StepScheduled)


# Texts of values.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("zoe", "zoe"), ("7", '"7"'), (7, "7"), (7.0, "7"), (7.5, "7.5"), (True, "true"),
        ("true", '"true"'), (None, "null"), ("null", '"null"'), ("", '""'), ("-1", '"-1"'),
        ("2026-01-01", "2026-01-01"), ("a=b", "a=b"), ('"7"', '"\\"7\\""'), ([1, "1"], '[1,"1"]'),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'), ("{", '"{"'), ("a\x1eb", '"a\\u001eb"'),
    ],
)  # fmt: skip
def test_values_are_written_so_that_people_can_read_them(value: Any, text: str) -> None:
    assert text_of(value) == text


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(plain, plain)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_two_values_have_one_text_only_when_they_are_equal(one: Any, other: Any) -> None:
    def same(value: Any) -> str:
        whole = isinstance(value, float) and value.is_integer()
        return json.dumps(int(value) if whole else value, sort_keys=True)

    assert (text_of(one) == text_of(other)) == (same(one) == same(other))


@given(plain)
def test_a_text_is_short_and_can_be_stored(value: Any) -> None:
    text = text_of(value)
    assert len(text) <= TEXT_MAX + 64
    assert text.isprintable()


def test_long_values_with_one_beginning_are_told_apart() -> None:
    assert text_of("x" * 500 + "a") != text_of("x" * 500 + "b")


# What admits a step, by itself.


def test_only_paths_are_taken_from_an_input_each_once() -> None:
    keyed = step("start", queue_keys=("@run", "user"), limits=(rate("user"), rate("to.id")))
    admission = Admission("flow", keyed)
    assert admission.paths == ("user", "to.id")
    assert admission.values({"user": 1, "to": {"id": 2}}) == ("1", "2")


def test_what_the_log_does_not_say_is_missing() -> None:
    admission = Admission("flow", step("start", limits=(rate("user"), rate("to"))))
    missing = text_of(None)
    assert admission.key("r", ()) == missing
    assert admission.buckets("r", ("zoe",)) == (
        "step:flow/start#1:user=zoe", f"step:flow/start#1:to={missing}",
    )  # fmt: skip
    assert admission.joined([(None, None), (None, "x")]) == (missing, "x")


def test_a_key_may_lie_deep_in_an_item_of_a_list() -> None:
    admission = Admission("flow", step("all", collect("x"), limits=(rate("1.user.id"),)))
    items = [admission.item({"user": {"id": name}}) for name in ("ann", "zoe")]
    assert items == [("ann",), ("zoe",)]
    assert admission.collected(items) == ("zoe",)
    assert admission.collected(items[:1]) == (text_of(None),)
    assert admission.collected([("ann",), (None,)]) == (text_of(None),)


@pytest.mark.parametrize("place", ["a", "-1", "", "\u00b2", "\u0661"])
def test_what_is_no_place_in_a_list_is_missing(place: str) -> None:
    admission = Admission("flow", step("all", collect("x"), limits=(rate(f"{place}.id"),)))
    assert admission.collected([("ann",), ("zoe",)]) == (text_of(None),)


def test_the_scopes_of_a_flow_are_those_of_its_limited_steps() -> None:
    limited = step("pay", "x", limits=(at_once(), rate()))
    assert scopes_of(flow(step("start", emits="x"), limited)) == {
        "step:flow/pay": (at_once(), rate())
    }


# Definitions.


def test_a_definition_without_limits_keeps_its_hash() -> None:
    assert flow(step("start")).data() == {"name": "flow", "steps": [{"name": "start"}]}


def test_limits_change_the_hash_and_come_back_from_data() -> None:
    limited = flow(step("start", limits=(rate(key="user"),), queue_keys=("to",)))
    assert limited.hash != flow(step("start")).hash
    assert FlowDefinition.model_validate(limited.data()) == limited


def test_names_do_not_depend_on_the_order_of_other_kinds() -> None:
    assert names_of([rate(), at_once(), rate(), at_once(key="a"), rate(key="a")]) == [
        "rate", "concurrency", "rate2", "1:a", "2:a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limited", "fault"),
    [
        (step("s", limits=(at_once(0),)), "a limit of 0; admit at least 1"),
        (step("s", limits=(LimitDefinition(kind="rate", max=1),)), "a rate per None seconds"),
        (step("s", limits=(at_once(key="a..b"),)), "with key='a..b'; it is '@run', '@flow' or"),
        (step("s", limits=(at_once(key=""),)), "with key=''; it is '@run'"),
        (step("s", limits=(at_once(key="a=b"),)), "without '=' and '#'"),
        (step("s", limits=(at_once(key="@user"),)), "with key='@user'; it is"),
        (step("s", queue_keys=("a#b",)), "queue 'default' of step 's' has a limit with key='a#b'"),
        (step("s", collect("x"), limits=(at_once(key="id"),)), "but takes a list; begin"),
        (step("s", join("x", "y"), limits=(at_once(key="id"),)), "a dict with 'x', 'y'; begin"),
        (step("s", failed("start"), limits=(at_once(key="input.id"),)), "subscribes to a failure"),
        (step("s", join(a=failed("start"), b="x"), limits=(at_once(key="a.input"),)),
         "subscribes to a failure"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_work_is_a_fault(limited: StepDefinition, fault: str) -> None:
    steps = (limited,) if limited.subscription is None else (step("start", emits="x y"), limited)
    assert [one for one in validate(flow(*steps)) if fault in one]
