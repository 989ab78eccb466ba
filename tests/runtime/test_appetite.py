"""Which queues are asked, from where, and when again."""

from __future__ import annotations

import math

from runfold.ports import Served
from runfold.runtime.appetite import FLOORS_EVERY, Appetite
from runtime.scene import HandClock

FLOORS = (5, 5, 5, 5, 5, 5, 5, 5, 5, 5)


def asked(clock: HandClock | None = None, *, holds_back: bool = False) -> Appetite:
    """Return the appetite of a worker whose one queue was asked just now."""
    appetite = Appetite(["mail"], clock or HandClock(), lambda _: holds_back)
    appetite.sated("mail")
    return appetite


def test_a_queue_is_asked_at_first_and_not_again_for_nothing() -> None:
    appetite = Appetite(["mail"], HandClock(), lambda _: False)
    assert appetite["mail"]
    appetite.sated("mail")
    assert not appetite["mail"]
    assert appetite.pause() == math.inf


def test_a_claim_starts_where_the_last_one_ended() -> None:
    appetite = asked()
    assert appetite.floors("mail") == ()
    appetite.served("mail", Served(FLOORS, None))
    assert appetite.floors("mail") == FLOORS


def test_from_time_to_time_a_claim_starts_at_the_beginning() -> None:
    clock = HandClock()
    appetite = asked(clock)
    appetite.floors("mail")
    appetite.served("mail", Served(FLOORS, None))
    clock.seconds += FLOORS_EVERY - 1
    assert appetite.floors("mail") == FLOORS
    clock.seconds += 1
    assert appetite.floors("mail") == ()
    appetite.served("mail", Served(FLOORS, None))
    assert appetite.floors("mail") == FLOORS


def test_under_another_token_everything_is_looked_at_anew() -> None:
    appetite = asked()
    appetite.served("mail", Served(FLOORS, 5.0))
    appetite.forget()
    assert appetite["mail"]
    assert appetite.floors("mail") == ()
    assert appetite.pause() == math.inf


def test_what_time_holds_back_is_asked_for_at_its_time() -> None:
    clock = HandClock()
    appetite = asked(clock)
    appetite.served("mail", Served(FLOORS, 5.0))
    appetite.wake()
    assert (appetite["mail"], appetite.pause()) == (False, 5.0)
    clock.seconds += 5
    assert appetite.pause() == 0
    appetite.wake()
    assert appetite["mail"]
    assert appetite.pause() == math.inf


def test_a_wait_of_nothing_means_to_ask_again_at_once() -> None:
    appetite = asked()
    appetite.served("mail", Served(FLOORS, 0.0))
    assert appetite["mail"]


def test_an_earlier_answer_about_time_ends_with_the_next_claim() -> None:
    appetite = asked()
    appetite.served("mail", Served(FLOORS, 5.0))
    appetite.sated("mail")
    appetite.served("mail", Served(FLOORS, None))
    assert appetite.pause() == math.inf
