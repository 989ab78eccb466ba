"""Originator ids as bytes and back, with their type: UUIDs and strings never collide.

A UUID is its 16 bytes. A string is UTF-8 behind ``s``, and behind ``S`` and a zero where it
would be 16 bytes long: so what has 16 bytes is a UUID, and the first byte tells the others.
"""

from __future__ import annotations

from uuid import UUID

_UUID_BYTES = 16
_TEXT, _PADDED = b"s", b"S\0"


def encode(originator_id: UUID | str) -> bytes:
    """Return the bytes that stand for ``originator_id`` and no other."""
    if isinstance(originator_id, UUID):
        return originator_id.bytes
    text = originator_id.encode()
    return (_PADDED if len(_TEXT + text) == _UUID_BYTES else _TEXT) + text


def decode(stored: bytes) -> UUID | str:
    """Return the id that ``encode`` made these bytes of."""
    if len(stored) == _UUID_BYTES:
        return UUID(bytes=stored)
    prefix = _PADDED if stored.startswith(_PADDED) else _TEXT
    return stored.removeprefix(prefix).decode()
