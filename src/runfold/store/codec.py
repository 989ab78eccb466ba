"""Events to bytes and back: JSON with the names of the wire, written and read by pydantic.

A state holds the fields that differ from their defaults, so an absent field reads as its
default and every value (``0``, ``False``, ``""``, ``null``) comes back as it went in. Values
of open fields (inputs, results, payloads) are plain JSON data by the time they get here.

``JsonCodec`` is a ``Mapper`` of the ``eventsourcing`` library, so its compressors, ciphers and
upcasters work here, and so does everything that its users hand to a mapper; our own events
take a path past its transcoder. (Importing that library replaces
``dataclasses._process_class``; the replacement only looks at classes of its own metaclass.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    Cipher,
    Compressor,
    DatetimeAsISO,
    DecimalAsStr,
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    StoredEvent,
    Transcoder,
    UUIDAsHex,
)
from eventsourcing.utils import get_topic, resolve_topic
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from runfold.errors import InvalidInput
from runfold.flow.events import REGISTRY, StepScheduled, StepStarted
from runfold.kernel.event import Draft, Event
from runfold.kernel.registry import Registry, UnknownEvent
from runfold.kernel.upcast import VERSION_KEY, upcast
from runfold.ports import Encoded

_VERSION_MARK = f'"{VERSION_KEY}"'.encode()
_PLACE = {"originator_id", "originator_version"}
_Read = Callable[[bytes], Event]

ALIKE = frozenset({StepScheduled, StepStarted})
"""Events that many runs have alike, to the byte: those of which nothing can be changed once they
are read, so that all who read one may have the same object."""
ALIKE_MAX = 4096
"""How many of one class are remembered; the least recently read go first."""
ALIKE_BYTES_MAX = 200
"""Up to how many bytes: the name of an activation fits, those of all that it collects do not."""


@dataclass(slots=True)
class _Type:
    """What writing one class needs, looked up once."""

    topic: str
    to_json: Callable[..., bytes]
    class_version: int
    """Above 1 it has had other shapes: what is stored says which one it has."""


class JsonCodec(Mapper[UUID]):
    """Writes and reads the events of ``registry``; a mapper for any other domain event.

    ``compressor`` and ``cipher`` apply to every state, in that order. Both must be given
    again to read what was written with them.
    """

    def __init__(
        self,
        transcoder: Transcoder | None = None,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        *,
        registry: Registry = REGISTRY,
    ) -> None:
        super().__init__(transcoder or _transcoder(), compressor, cipher)
        self._registry, self._given = registry, transcoder
        self._plain = compressor is None and cipher is None
        self._types: dict[type[Event], _Type] = {}
        self._readers: dict[str, _Read] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the same in another process, where what was given can be taken there."""
        made = partial(type(self), registry=self._registry)
        return made, (self._given, self.compressor, self.cipher)

    def encode(self, draft: Draft) -> Encoded:
        """Return ``draft`` as a store writes it.

        Raises ``InvalidInput`` when a value has no JSON, ``UnknownEvent`` or ``TypeError`` for
        a class that this codec could not read back.
        """
        event = draft.event
        known = self._types.get(type(event)) or self._learn(type(event))
        try:
            state = known.to_json(event, by_alias=True, exclude_defaults=True)
        except PydanticSerializationError as error:
            raise InvalidInput(f"{known.topic} holds a value without JSON: {error}") from error
        if known.class_version > 1:
            state = _mark(state, known.class_version)
        if not self._plain:
            state = self._pack(state)
        made = (known.topic, state) + draft[1:]  # noqa: RUF005 - twice as fast
        return tuple.__new__(Encoded, made)  # As ``Encoded`` does, with every event.

    def decode(self, topic: str, state: bytes) -> Event:
        """Return the event that was stored, in the shape of today's class.

        Raises ``UnknownEvent`` for a type or class version of a newer release, and
        ``MapperDeserialisationError`` (a ``ValueError``) for a state that cannot be read.
        """
        try:
            read = self._readers[topic]
        except KeyError:
            self._learn(self._registry[topic])
            read = self._readers[topic]
        return read(state)

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return ``domain_event`` as that library stores it; pydantic models take our path."""
        if not isinstance(domain_event, BaseModel):
            return super().to_stored_event(domain_event)
        cls = type(domain_event)
        data = domain_event.model_dump_json(by_alias=True, exclude_defaults=True, exclude=_PLACE)
        state = _mark(data.encode(), getattr(cls, "class_version", 1))
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=_own_topic(cls),
            state=state if self._plain else self._pack(state),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the domain event of ``stored_event``; pydantic models are validated."""
        topic = stored_event.topic
        cls = self._registry[topic] if topic in self._registry else resolve_topic(topic)
        if not (isinstance(cls, type) and issubclass(cls, BaseModel)):
            return super().to_domain_event(stored_event)
        try:
            packed = stored_event.state
            state = from_json(packed if self._plain else self._unpack(packed))
            names = {name: field.alias or name for name, field in cls.model_fields.items()}
            state[names["originator_id"]] = str(stored_event.originator_id)
            state[names["originator_version"]] = stored_event.originator_version
            if VERSION_KEY in state or getattr(cls, "class_version", 1) > 1:
                upcast(cls, state)  # type: ignore[arg-type]
            event: Any = cls.model_validate_json(to_json(state))
        except UnknownEvent:
            raise
        except Exception as error:
            raise _unreadable(topic, stored_event.state, error) from error
        return event  # type: ignore[no-any-return]

    def _learn(self, cls: type[Event]) -> _Type:
        if self._registry[cls.TOPIC] is not cls:
            raise TypeError(
                f"{cls.__name__} is stored as {cls.TOPIC!r}, which names "
                f"{self._registry[cls.TOPIC].__name__}; give it a TOPIC of its own"
            )
        self._readers[cls.TOPIC] = self._reader(cls)
        write = cls.__pydantic_serializer__.to_json
        known = self._types[cls] = _Type(cls.TOPIC, write, cls.class_version)
        return known

    def _reader(self, cls: type[Event]) -> _Read:
        """Return what reads a state of ``cls``: everything that it needs is in its closure."""
        topic, is_marked, is_plain = cls.TOPIC, cls.class_version > 1, self._plain
        validate = cls.__pydantic_validator__.validate_json

        def read(state: bytes) -> Event:
            try:
                if not is_plain:
                    state = self._unpack(state)
                if is_marked or _VERSION_MARK in state:
                    state = to_json(upcast(cls, from_json(state)))
                event: Event = validate(state)
            except UnknownEvent:
                raise
            except Exception as error:
                # Compressors and ciphers raise what they like.
                raise _unreadable(topic, state, error) from error
            return event

        if cls not in ALIKE or self.cipher is not None:
            return read  # A cipher never writes the same twice.
        remembered = lru_cache(ALIKE_MAX)(read)
        return lambda state: (remembered if len(state) <= ALIKE_BYTES_MAX else read)(state)

    def _pack(self, state: bytes) -> bytes:
        if self.compressor:
            state = self.compressor.compress(state)
        return self.cipher.encrypt(state) if self.cipher else state

    def _unpack(self, state: bytes) -> bytes:
        if self.cipher:
            state = self.cipher.decrypt(state)
        return self.compressor.decompress(state) if self.compressor else state


def _mark(state: bytes, class_version: int) -> bytes:
    """Return ``state`` with its class version, which version 1 leaves out."""
    if class_version == 1:
        return state
    rest = state[1:] if state == b"{}" else b"," + state[1:]
    return b"{%b:%d%b" % (_VERSION_MARK, class_version, rest)


def _own_topic(cls: type) -> str:
    """Return the topic of ``cls``; one that is only inherited would read as the parent."""
    if "TOPIC" in vars(cls):
        return get_topic(cls)
    return f"{cls.__module__}:{cls.__qualname__}"


def _unreadable(topic: str, state: bytes, error: Exception) -> MapperDeserialisationError:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'state'}: {first['msg']}"
    else:
        said = str(error)
    return MapperDeserialisationError(
        f"a stored {topic!r} of {len(state)} bytes cannot be read: {said}; "
        "was it written with another compressor or cipher, or changed by hand?"
    )


def _transcoder() -> Transcoder:
    transcoder = JSONTranscoder()
    for transcoding in (UUIDAsHex(), DecimalAsStr(), DatetimeAsISO()):
        transcoder.register(transcoding)
    return transcoder
