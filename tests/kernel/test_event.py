"""What every event is: frozen, named once, readable when its class has moved on."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from runfold.kernel.event import Event
from runfold.kernel.registry import Registry, UnknownEvent
from runfold.kernel.upcast import upcast


class Paid(Event):
    TOPIC: ClassVar[str] = "paid"
    class_version: ClassVar[int] = 3

    amount_cents: int
    currency: str = "EUR"

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["amountCents"] = state.pop("amount") * 100

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        state["currency"] = "USD"


class Refunded(Event):
    TOPIC: ClassVar[str] = "refunded"


class AlsoPaid(Event):
    TOPIC: ClassVar[str] = "paid"


def test_an_event_cannot_be_changed() -> None:
    event = Paid(amount_cents=5)
    with pytest.raises(ValidationError):
        event.amount_cents = 6  # type: ignore[misc]


def test_an_event_is_in_camel_case_on_the_wire() -> None:
    assert Paid(amount_cents=5).model_dump(by_alias=True) == {"amountCents": 5, "currency": "EUR"}


def test_a_registry_finds_a_class_by_its_topic() -> None:
    registry = Registry((Paid, Refunded))
    assert registry["paid"] is Paid
    assert "refunded" in registry
    assert list(registry) == ["paid", "refunded"]


def test_an_unknown_topic_is_an_error_that_names_it() -> None:
    with pytest.raises(UnknownEvent, match=r"'lost'.*upgrade") as caught:
        Registry((Paid,))["lost"]
    assert caught.value.topic == "lost"


def test_one_topic_has_one_class() -> None:
    with pytest.raises(ValueError, match="'paid' names both Paid and AlsoPaid"):
        Registry((Paid, AlsoPaid))


def test_an_old_state_is_brought_up_version_by_version() -> None:
    state = upcast(Paid, {"amount": 5})
    assert Paid.model_validate(state) == Paid(amount_cents=500, currency="USD")


def test_a_state_of_the_version_between_skips_what_it_has() -> None:
    assert upcast(Paid, {"class_version": 2, "amountCents": 7})["amountCents"] == 7


def test_a_state_of_today_is_left_alone() -> None:
    state = {"class_version": 3, "amountCents": 7, "currency": "CHF"}
    assert upcast(Paid, state) == {"amountCents": 7, "currency": "CHF"}


def test_a_state_of_tomorrow_is_refused() -> None:
    with pytest.raises(UnknownEvent, match="class version 4"):
        upcast(Paid, {"class_version": 4})
