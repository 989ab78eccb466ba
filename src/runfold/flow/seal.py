"""The hash chain of a run: one value that changes when anything of its past is changed.

Each event gives an *entry*: its envelope and the SHA-256 of its stored bytes. ``BLOCK`` entries
make a link: the SHA-256 of the link before and the entries. The *root* is the link after the
last event so far; a run's end carries that of everything before it. Only hashes of states
go in, so a state can be erased and its hash be kept.
"""

from __future__ import annotations

from hashlib import sha256

BLOCK = 64
"""How many entries one link takes: a hash for each event beside that of its state costs more."""


class Chain:
    """The links of one run, as far as its events were added."""

    __slots__ = ("_entries", "_link")

    def __init__(self) -> None:
        self._link = b""
        self._entries: list[bytes] = []

    def add(self, entry: bytes) -> None:
        """Take the next event."""
        entries = self._entries
        entries.append(entry)
        if len(entries) == BLOCK:
            self._link = sha256(self._link + b"".join(entries)).digest()
            entries.clear()

    def root(self) -> str:
        """Return the link after the last event, in hex."""
        if not self._entries:
            return self._link.hex()
        return sha256(self._link + b"".join(self._entries)).hexdigest()


def digest(state: bytes) -> bytes:
    """Return the hash of an event as it was first stored."""
    return sha256(state).digest()


def entry(
    topic: str,
    digest: bytes,
    step: str | None,
    activation: int | None,
    attempt: int | None,
    key: str | None,
    cause: int | None,
) -> bytes:
    """Return what an event with the state hash ``digest`` gives to its chain.

    The numbers, the lengths of the texts, the texts, the digest: nothing reads in two ways.
    """
    step, key = step or "", key or ""
    head = f"{activation},{attempt},{cause},{len(topic)},{len(step)},{len(key)}:{topic}{step}{key}"
    return head.encode() + digest
