"""Ids are what they were: streams are found by them, in logs of every release."""

from __future__ import annotations

from uuid import UUID

import pytest

from runfold.flow import events as ev
from runfold.flow.streams import definitions_id, erasure_id, name_of, queue_id
from runfold.kernel.ids import keyed_id, parsed, text, uuid7

RANDOM = bytes(range(0xF0, 0x100))


def test_a_keyed_id_is_a_uuid_of_its_parts_and_of_where_they_end() -> None:
    id = UUID(bytes=keyed_id("7", "order", "ä"))
    assert str(id) == "bddb3b79-aff5-8df8-9b81-98c140eb29f7"
    assert (id.version, id.variant) == (8, "specified in RFC 4122")
    assert keyed_id("ab", "c") != keyed_id("a", "bc") != keyed_id("abc")


def test_a_uuid7_is_time_and_chance() -> None:
    id = UUID(bytes=uuid7(0x0123456789AB, RANDOM))
    assert str(id) == "01234567-89ab-70f1-b2f3-f4f5f6f7f8f9"
    assert (id.version, id.variant) == (7, "specified in RFC 4122")


def test_an_id_is_written_and_read_as_a_uuid() -> None:
    assert text(RANDOM) == str(UUID(bytes=RANDOM))
    assert parsed(text(RANDOM)) == RANDOM
    with pytest.raises(ValueError, match=r"^'0123' is no UUID$"):
        parsed("0123")
    with pytest.raises(ValueError, match="is no UUID"):
        parsed(text(RANDOM) + "00")


def test_streams_have_the_ids_they_always_had() -> None:
    assert text(definitions_id(7, "shop")) == "49762d6e-73cb-85aa-bf56-c45d1ba9828b"
    assert text(queue_id(7, "shop")) == "b5aab684-f859-81a2-9eba-99e6108254f4"
    assert text(erasure_id(1, "r")) == "782d18ea-a9e6-862a-8b07-85dc0193072a"
    assert definitions_id(8, "shop") != definitions_id(7, "shop")


def test_the_name_of_a_stream_follows_from_its_first_event() -> None:
    run = ev.FlowStart(run_id=text(RANDOM), flow="shop", definition="d")
    assert name_of(7, run) == (RANDOM, "shop")
    defined = ev.FlowDefined(name="shop", hash="d", definition={})
    assert name_of(7, defined) == (definitions_id(7, "shop"), None)
    for about in (ev.QueuePaused(queue="mail"), ev.QueueResumed(queue="mail")):
        assert name_of(7, about) == (queue_id(7, "mail"), None)
    assert name_of(7, ev.FlowErased(run_id="r", stream=1)) == (erasure_id(7, "r"), None)
    with pytest.raises(LookupError, match=r"^no stream begins with such an event$"):
        name_of(7, ev.FlowPaused())
