"""Limits as people write them, and what a served step takes from its queue and the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runfold import (
    Concurrency,
    Flow,
    InvalidDefinition,
    InvalidSettings,
    MinDelay,
    Queue,
    RateLimit,
    Retry,
    Settings,
)
from runfold.client.catalog import Catalog
from runfold.flow.definition import FlowDefinition, LimitDefinition, StepDefinition


def served(*, flows: Any = (), queues: Any = (), **defaults: Any) -> list[FlowDefinition]:
    catalog = Catalog(flows, queues, (), **defaults)
    catalog.seal()
    return catalog.definitions()


def only(definitions: list[FlowDefinition]) -> StepDefinition:
    ((step,),) = [definition.steps for definition in definitions]
    return step


def flow_in(queue: Any, **options: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("ship")

    @flow.entry(queue=queue, **options)
    async def start(order: Any) -> None: ...

    return flow


# One limit.


def test_limits_are_data() -> None:
    assert Concurrency(2).definition == LimitDefinition(kind="concurrency", max=2)
    assert RateLimit(4, timedelta(minutes=1), key="user").definition == LimitDefinition(
        kind="rate", max=4, per=60, key="user"
    )
    assert MinDelay(0.5).definition == LimitDefinition(kind="rate", max=1, per=0.5)


def test_an_even_rate_is_one_start_in_its_share_of_the_window() -> None:
    assert RateLimit(4, 60, even=True).definition == LimitDefinition(kind="rate", max=1, per=15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Concurrency(0), "Concurrency has a limit of 0; admit at least 1"),
        (lambda: Concurrency(True), "max of Concurrency is True, expected an int"),
        (lambda: Concurrency(1.5), "max of Concurrency is 1.5, expected an int"),
        (lambda: Concurrency(1, key=len), "key of Concurrency is <built-in"),
        (lambda: Concurrency(1, key="a..b"), "Concurrency has a limit with key='a..b'"),
        (lambda: Concurrency(1, key="@user"), "with key='@user'; it is '@run', '@flow' or"),
        (lambda: RateLimit(1, 0), "per of RateLimit is 0, expected more than 0 seconds"),
        (lambda: RateLimit(1, "60"), "per of RateLimit is '60', expected more"),
        (lambda: RateLimit(1, float("nan")), "per of RateLimit is nan, expected more"),
        (lambda: RateLimit(1, timedelta(days=400)), "at most a year"),
        (lambda: MinDelay(-1), "seconds of MinDelay is -1, expected more than 0"),
        (lambda: Queue("mail", limits=5), "limits are 5, expected a list"),
        (lambda: Queue("mail", limits=[5]), "limits hold 5, expected Concurrency()"),
        (lambda: Queue("mail", limits="ab"), "limits hold 'a', expected Concurrency()"),
        (lambda: Queue("mail", concurrency=0), "a limit of 0; admit at least 1"),
        (lambda: Queue("a=b", concurrency=1), "queue 'a=b' has limits, and '=' or '#'"),
        (lambda: flow_in("mail", limits=[None]), "limits hold None, expected"),
    ],
)
def test_a_limit_that_cannot_work_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        make()
    assert message in str(refused.value)


# Where they are written.


def test_a_lone_limit_counts_as_a_list_of_one() -> None:
    step = only(served(flows=[flow_in("mail", limits=Concurrency(1))]))
    assert step.limits == (Concurrency(1).definition,)


def test_a_job_has_limits_of_its_own() -> None:
    mail = Queue("mail")

    @mail.job(limits=[MinDelay(1), Concurrency(2, key="to")])
    async def send(message: Any) -> None: ...

    step = only(served(queues=[mail]))
    assert step.limits == (MinDelay(1).definition, Concurrency(2, key="to").definition)
    assert step.queue_keys == ()


def test_concurrency_of_a_queue_is_the_first_of_its_limits() -> None:
    mail = Queue("mail", concurrency=3, limits=[RateLimit(4, 60)])
    assert mail.limits == (Concurrency(3).definition, RateLimit(4, 60).definition)


def test_a_step_has_the_keys_of_the_queue_it_was_given() -> None:
    mail = Queue("mail", limits=[Concurrency(1, key="to"), RateLimit(4, 60), MinDelay(1, key="to")])
    assert only(served(flows=[flow_in(mail)])).queue_keys == ("to", "to")


def test_a_step_has_the_keys_of_the_queue_it_named() -> None:
    mail = Queue("mail", limits=[Concurrency(1, key="to")])
    assert only(served(flows=[flow_in("mail")], queues=[mail])).queue_keys == ("to",)
    assert only(served(flows=[flow_in("mail")])).queue_keys == ()


def test_one_flow_in_two_runfolds_takes_the_queue_of_each() -> None:
    flow = flow_in("mail")
    one, other = Queue("mail", limits=[Concurrency(1, key="to")]), Queue("mail")
    assert only(served(flows=[flow], queues=[one])).queue_keys == ("to",)
    assert only(served(flows=[flow], queues=[other])).queue_keys == ()


def test_two_queues_of_one_name_with_different_limits_are_refused() -> None:
    one, other = Queue("mail", concurrency=1), Queue("mail", concurrency=2)
    with pytest.raises(InvalidDefinition, match="two Queue objects are called 'mail'"):
        served(flows=[flow_in(one)], queues=[other])


def test_a_key_that_an_input_cannot_have_is_refused_with_its_step() -> None:
    mail = Queue("mail", limits=[Concurrency(1, key="to")])
    flow: Flow[Any, Any] = Flow("ship")

    @flow.entry(emits="item")
    async def start() -> None: ...

    from runfold import collect

    @flow.step(subscribes=collect("item"), queue="mail")
    async def send(items: Any) -> None: ...

    with pytest.raises(InvalidDefinition, match="step 'send' has a limit with key='to', but"):
        served(flows=[flow], queues=[mail])


# Precedence.


def test_the_settings_hold_where_neither_step_nor_queue_says() -> None:
    step = only(served(flows=[flow_in("mail")], retry=Retry(7, base=3), timeout=12.0))
    assert (step.retry, step.timeout) == (Retry(7, base=3).policy, 12.0)


def test_the_queue_holds_over_the_settings() -> None:
    mail = Queue("mail", retry=2, timeout=5)
    step = only(served(flows=[flow_in(mail)], retry=7, timeout=12.0))
    assert (step.retry, step.timeout) == (Retry(2).policy, 5.0)


def test_the_step_holds_over_the_queue() -> None:
    mail = Queue("mail", retry=2, timeout=5)
    step = only(served(flows=[flow_in(mail, retry=4, timeout=1)], retry=7, timeout=12.0))
    assert (step.retry, step.timeout) == (Retry(4).policy, 1.0)


def test_exceptions_of_the_settings_are_those_of_handlers_that_say_nothing() -> None:
    said = flow_in("mail", retry=Retry(3, never=[ValueError]))
    catalog = Catalog([said], [], (), retry=Retry(3, never=[KeyError]))
    assert catalog.handlers()["ship", "start"].never == (ValueError,)
    catalog = Catalog([flow_in("mail")], [], (), retry=Retry(3, never=[KeyError]))
    assert catalog.handlers()["ship", "start"].never == (KeyError,)


def test_settings_as_they_come_change_no_definition() -> None:
    settings = Settings()
    flow = flow_in("mail")
    assert served(flows=[flow], retry=settings.retry, timeout=settings.timeout) == [
        flow.compile().definition
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"retry": 0}, {"retry": True}, {"retry": "3"}, {"timeout": 0}, {"timeout": "1"}],
)
def test_a_default_that_cannot_work_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSettings, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_timeout_of_the_settings_may_be_a_timedelta() -> None:
    assert Settings(timeout=timedelta(minutes=1), retry=Retry(5)).timeout == 60
