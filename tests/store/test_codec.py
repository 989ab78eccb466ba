"""Events to bytes and back: lossless, small, upcast, and clear about what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, get_type_hints
from uuid import UUID

import pytest
from eventsourcing.cipher import Cipher
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent
from eventsourcing.utils import Environment
from pydantic import BaseModel

from runfold.errors import InvalidInput
from runfold.flow.events import Emit, ErrorInfo, FlowStart, Log, StepErrored, StepStarted, TimerDue
from runfold.kernel.event import Draft, Event
from runfold.kernel.registry import Registry, UnknownEvent
from runfold.ports import Encoded
from runfold.store.codec import ALIKE, ALIKE_BYTES_MAX, JsonCodec

ID = UUID("018f0000-0000-7000-8000-000000000001")


class Reversing(Cipher):
    """Stands for a cipher: nobody reads what it wrote by chance."""

    def __init__(self, environment: Environment) -> None: ...

    def encrypt(self, plaintext: bytes) -> bytes:
        return b"!" + plaintext[::-1]

    def decrypt(self, ciphertext: bytes) -> bytes:
        if ciphertext[:1] != b"!":
            raise RuntimeError("wrong key")
        return ciphertext[:0:-1]


class Renamed(Event):
    """At version 2 ``old`` became ``new``, at version 3 it became a list."""

    TOPIC: ClassVar[str] = "renamed"
    class_version: ClassVar[int] = 3

    new: list[int]
    note: str | None = None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["new"] = state.pop("old")

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        state["new"] = [state["new"]]


class Impostor(Event):
    TOPIC: ClassVar[str] = "emit"


class Moved(BaseModel):
    """A domain event of somebody else's, as pydantic users of ``eventsourcing`` write them."""

    originator_id: UUID
    originator_version: int
    to: str
    at: datetime | None = None


class Widened(Moved):
    class_version: ClassVar[int] = 2

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["to"] = state["to"].upper()


class Dog(Aggregate):
    @event("Registered")
    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def codec() -> JsonCodec:
    return JsonCodec()


def encrypting() -> JsonCodec:
    return JsonCodec(None, ZlibCompressor(), Reversing(Environment()))


CODECS: dict[str, Callable[[], JsonCodec]] = {
    "plain": JsonCodec,
    "compressing": lambda: JsonCodec(compressor=ZlibCompressor()),
    "encrypting": encrypting,
}


@pytest.mark.parametrize("make", CODECS.values(), ids=CODECS.keys())
@pytest.mark.parametrize(
    "given",
    [
        StepStarted(queue="default", worker="w"),
        FlowStart(
            run_id=str(ID), flow="f", definition="d", due_at=datetime(2030, 1, 1, tzinfo=UTC),
            tags=("a", "b"), input={"flowId": None, "class_version": 9, "é": [1, 2.5, "x"]},
        ),
        FlowStart(run_id=str(ID), flow="f", definition="d", deadline=1.5),
        StepErrored(
            queue="q", charged=False,
            error=ErrorInfo(type="T", code="C", message="m", retryable=False, details={}),
        ),
        TimerDue(kind="retry"),
        Log(level="info", message="", meta={"class_version": 2}),
    ],
    ids=lambda given: given.TOPIC,
)  # fmt: skip
def test_an_event_comes_back_as_it_was(given: Event, make: Callable[[], JsonCodec]) -> None:
    codec = make()
    encoded = codec.encode(Draft(given))
    assert codec.decode(encoded.topic, encoded.state) == given


@pytest.mark.parametrize("payload", [None, 0, False, "", [], {}, 0.0, {"a": None}, [None], "é\x00"])
def test_every_value_is_a_value(codec: JsonCodec, payload: Any) -> None:
    encoded = codec.encode(Draft(Emit(name="x", payload=payload)))
    decoded = codec.decode("emit", encoded.state)
    assert isinstance(decoded, Emit)
    assert (decoded.payload, type(decoded.payload)) == (payload, type(payload))


def test_a_state_holds_what_differs_from_the_defaults(codec: JsonCodec) -> None:
    assert codec.encode(Draft(TimerDue(kind="retry"), "s", 1, 2, "k", 3)) == Encoded(
        "timer.due", b'{"kind":"retry"}', "s", 1, 2, "k", 3
    )


STARTED = b'{"queue":"q","worker":"w"}'


@pytest.mark.parametrize("make", [CODECS["plain"], CODECS["compressing"]])
def test_an_event_that_many_runs_have_alike_is_made_once(make: Callable[[], JsonCodec]) -> None:
    codec = make()
    encoded = codec.encode(Draft(StepStarted(queue="q", worker="w")))
    first = codec.decode(encoded.topic, encoded.state)
    assert first == StepStarted(queue="q", worker="w")
    assert codec.decode(encoded.topic, bytes(bytearray(encoded.state))) is first
    assert make().decode(encoded.topic, encoded.state) is not first


@pytest.mark.parametrize("kind", sorted(ALIKE, key=lambda kind: kind.TOPIC))
def test_of_an_event_that_is_made_once_nothing_can_be_changed(kind: type[Event]) -> None:
    hints = get_type_hints(kind)
    held = {hints[name] for name in kind.model_fields}
    assert held <= {str, str | None, tuple[str, ...], datetime | None}
    assert kind.model_config["frozen"]


def test_an_event_with_what_users_wrote_is_made_anew_for_each_reader(codec: JsonCodec) -> None:
    first = codec.decode("emit", b'{"name":"n","payload":{"a":[]}}')
    assert isinstance(first, Emit)
    first.payload["a"].append("changed")
    assert codec.decode("emit", b'{"name":"n","payload":{"a":[]}}') == Emit(
        name="n", payload={"a": []}
    )


def test_what_collects_many_emits_is_not_remembered(codec: JsonCodec) -> None:
    start = b'{"queue":"q","name":"n","inputRefs":["%b"]}'
    fits = start % (b"x" * (ALIKE_BYTES_MAX - len(start) + 2))
    longer = start % (b"x" * (ALIKE_BYTES_MAX - len(start) + 3))
    assert codec.decode("step.scheduled", fits) is codec.decode("step.scheduled", fits)
    first, second = (codec.decode("step.scheduled", longer) for _ in range(2))
    assert first == second
    assert first is not second


def test_what_cannot_be_read_is_refused_again(codec: JsonCodec) -> None:
    for _ in range(2):
        with pytest.raises(MapperDeserialisationError, match="worker: Field required"):
            codec.decode("step.started", b'{"queue":"q"}')
        with pytest.raises(UnknownEvent, match="class version 2"):
            codec.decode("step.started", b'{"queue":"q","worker":"w","class_version":2}')


def test_an_unknown_type_is_never_skipped(codec: JsonCodec) -> None:
    with pytest.raises(UnknownEvent, match=r"'step\.invented'"):
        codec.decode("step.invented", b"{}")


def test_a_newer_class_version_is_never_guessed_at(codec: JsonCodec) -> None:
    with pytest.raises(UnknownEvent, match="class version 2"):
        codec.decode("step.started", b'{"queue":"q","worker":"w","class_version":2}')


@pytest.mark.parametrize(
    "state",
    [
        b'{"old":7}',
        b'{"class_version":2,"new":7}',
        b'{"new":7,"class_version":2}',
        b'{"class_version":3,"new":[7]}',
    ],
)
def test_an_old_shape_is_brought_up_to_date(state: bytes) -> None:
    codec = JsonCodec(registry=Registry([Renamed]))
    assert codec.decode("renamed", state) == Renamed(new=[7])


def test_a_class_version_above_one_is_written() -> None:
    codec = JsonCodec(registry=Registry([Renamed]))
    encoded = codec.encode(Draft(Renamed(new=[])))
    assert encoded.state == b'{"class_version":3,"new":[]}'
    assert codec.decode("renamed", encoded.state) == Renamed(new=[])


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (b"", "Invalid JSON"),
        (b'{"queue":', "Invalid JSON"),
        (b"[]", "an object"),
        (b'{"queue":"q"}', "worker: Field required"),
        (b'{"class_version":1,', "cannot be read"),
        (b'["class_version"]', "cannot be read"),
    ],
)
def test_a_damaged_state_says_what_is_wrong(codec: JsonCodec, state: bytes, says: str) -> None:
    with pytest.raises(MapperDeserialisationError, match=says) as raised:
        codec.decode("step.started", state)
    assert "'step.started'" in str(raised.value)


def test_the_wrong_compressor_or_cipher_is_a_clear_error(codec: JsonCodec) -> None:
    encoded = codec.encode(Draft(TimerDue(kind="retry")))
    for other in (JsonCodec(compressor=ZlibCompressor()), encrypting()):
        with pytest.raises(MapperDeserialisationError, match="another compressor or cipher"):
            other.decode(encoded.topic, encoded.state)


@pytest.mark.parametrize("payload", [object(), b"\xff", "\ud800"])
def test_a_value_without_json_is_refused(codec: JsonCodec, payload: Any) -> None:
    with pytest.raises(InvalidInput, match="emit holds a value without JSON"):
        codec.encode(Draft(Emit(name="x", payload=payload)))


def test_an_event_that_could_not_be_read_back_is_not_written(codec: JsonCodec) -> None:
    with pytest.raises(TypeError, match="give it a TOPIC of its own"):
        codec.encode(Draft(Impostor()))
    with pytest.raises(UnknownEvent, match="'renamed'"):
        codec.encode(Draft(Renamed(new=[])))


@pytest.mark.parametrize("make", CODECS.values(), ids=CODECS.keys())
def test_it_is_a_mapper_for_aggregates(make: Callable[[], Mapper[UUID]]) -> None:
    mapper = make()
    (registered,) = Dog("Fido").collect_events()
    stored = mapper.to_stored_event(registered)
    assert mapper.to_domain_event(stored) == registered


@pytest.mark.parametrize("make", CODECS.values(), ids=CODECS.keys())
def test_it_is_a_mapper_for_pydantic_events(make: Callable[[], Mapper[UUID]]) -> None:
    mapper = make()
    moved = Moved(
        originator_id=ID, originator_version=3, to="x", at=datetime(2030, 1, 1, tzinfo=UTC)
    )
    stored = mapper.to_stored_event(moved)
    assert (stored.originator_id, stored.originator_version) == (ID, 3)
    assert mapper.to_domain_event(stored) == moved


def test_events_of_others_are_upcast_too(codec: JsonCodec) -> None:
    widened = Widened(originator_id=ID, originator_version=1, to="x")
    stored = codec.to_stored_event(widened)
    assert stored.state == b'{"class_version":2,"to":"x"}'
    assert codec.to_domain_event(stored) == widened
    old = StoredEvent(ID, 1, stored.topic, b'{"to":"x"}')
    assert codec.to_domain_event(old) == Widened(originator_id=ID, originator_version=1, to="X")


def test_events_of_others_are_validated(codec: JsonCodec) -> None:
    stored = codec.to_stored_event(Moved(originator_id=ID, originator_version=1, to="x"))
    damaged = StoredEvent(ID, 1, stored.topic, b'{"to":7}')
    with pytest.raises(MapperDeserialisationError, match="to: "):
        codec.to_domain_event(damaged)
