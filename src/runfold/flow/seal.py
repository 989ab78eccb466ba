"""The hash chain of a run: one value that changes when anything of its past is changed.

Each event gives an *entry*: its envelope and the SHA-256 of its stored bytes and its key.
``BLOCK`` entries make a link: the SHA-256 of the link before and the entries. The *root* is the
link after the last event so far; a run's end carries that of everything before it. Only the
hash of what users wrote goes in, so it can be erased and its hash be kept: an erased event is
stored as a mark, that hash, and what is left of it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

BLOCK = 64
"""How many entries one link takes: a hash for each event beside that of its state costs more."""
SHORT = 200
"""Up to how many bytes of an event are remembered with their hash: many events say the same."""

_ERASED = b"\x00erased\x00"
"""With which no encoded event begins: JSON does not, and of a cipher one in 2**64 does."""
_REST = len(_ERASED) + sha256().digest_size


class Chain:
    """The links of one run, as far as its events were added."""

    __slots__ = ("_entries", "_link")

    def __init__(self) -> None:
        self._link = b""
        self._entries: list[bytes] = []

    def add(
        self, topic: str, state: bytes, key: str | None,
        step: str | None, activation: int | None, attempt: int | None, cause: int | None,
    ) -> None:  # fmt: skip
        """Take the next event: its entry is the head of its envelope and the hash of the rest.

        The numbers, the lengths of the texts, the texts, the hash: nothing reads in two ways.
        """
        known = _short(state) if key is None and len(state) <= SHORT else digest(state, key)
        entries = self._entries
        entries.append(_head(topic, step or "", activation, attempt, cause) + known)
        if len(entries) == BLOCK:
            self._link = sha256(self._link + b"".join(entries)).digest()
            entries.clear()

    def root(self) -> str:
        """Return the link after the last event, in hex."""
        if not self._entries:
            return self._link.hex()
        return sha256(self._link + b"".join(self._entries)).hexdigest()


def digest(state: bytes, key: str | None) -> bytes:
    """Return the hash of an event as it was first stored, also when it was erased since."""
    digest = _short(state) if len(state) <= SHORT else _digest(state)
    if key is None or state.startswith(_ERASED):
        return digest
    return sha256(b"%b:%b" % (digest, key.encode())).digest()


def is_erased(state: bytes | None) -> bool:
    """Return whether ``state``, as stored, is that of an erased event."""
    return state is not None and state.startswith(_ERASED)


def erased(digest: bytes, rest: bytes) -> bytes:
    """Return what is stored of an erased event: its hash, and the encoded ``rest`` of it."""
    return _ERASED + digest + rest


def rest_of(state: bytes) -> bytes:
    """Return the encoded event in ``state``, of an erased one what is left of it."""
    return state[_REST:] if state.startswith(_ERASED) else state


@lru_cache(maxsize=4096)
def _head(
    topic: str, step: str, activation: int | None, attempt: int | None, cause: int | None
) -> bytes:
    # The runs of a flow are much alike.
    head = f"{activation},{attempt},{cause},{len(topic)},{len(step)}:{topic}{step}"
    return head.encode()


@lru_cache(maxsize=512)
def _short(state: bytes) -> bytes:
    # Every start of an attempt in one process and queue says the same.
    return _digest(state)


def _digest(state: bytes) -> bytes:
    if state.startswith(_ERASED):
        return state[len(_ERASED) : _REST]
    return sha256(state).digest()
