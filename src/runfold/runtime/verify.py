"""Whether a log is whole: what it promises about itself, looked at from its first event on.

Nothing is folded and nothing is believed: positions and versions are contiguous, streams
begin with their number, ends are final, every event can be read, and the chain of each run
that has ended comes out as its end says. In memory are one page, and one chain for each run
that was under way at that place of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runfold.flow.events import ENDS
from runfold.flow.seal import Chain, is_erased, rest_of
from runfold.kernel.event import Event
from runfold.kernel.registry import UnknownEvent
from runfold.ports import Codec, Stored, WholeLog
from runfold.ports_archive import Counted

PAGE = 2000
"""How many events are read at a time."""
FINDINGS_MAX = 1000
"""How many findings are kept; more are counted."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a whole log does not have."""

    position: int
    what: str


@dataclass(slots=True)
class Verified:
    """What a log was found to be."""

    events: int = 0
    streams: int = 0
    archived: int = 0
    """Of the events: how many are in the archive."""
    erased: int = 0
    """Of the events: of how many only what no user wrote is left."""
    ended: int = 0
    """Runs that have ended."""
    sealed: int = 0
    """Of these: whose chain is as their end says. Others ended without a chain, or are findings."""
    faults: int = 0
    """How many findings there are, kept or not."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the log is whole."""
        return not self.faults


@dataclass(slots=True)
class _Open:
    """A stream that has not ended."""

    version: int = 0
    chain: Chain = field(default_factory=Chain)


async def verify(log: WholeLog, codec: Codec, *, progress: Progress | None = None) -> Verified:
    """Return what is wrong with the log, up to where it ended when this was called."""
    head, work = await log.head(), _Verification(codec)
    after = 0
    while after < head:
        page = await log.read(after=after, limit=PAGE, upto=head)
        for stored in page:
            work.look(stored)
        after = page[-1].position if page else head
        if not page:
            work.finds(head, f"positions {work.last + 1} to {head} are missing")
        if progress is not None:
            progress(after, head)
    work.count(await log.counted())
    return work.found


class _Verification:
    """One look through a log."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._open: dict[int, _Open] = {}
        self.last = 0
        """The position of the event before."""
        self.found = Verified()

    def look(self, stored: Stored) -> None:
        """Look at the next event of the log."""
        if stored.position != self.last + 1:
            self.finds(
                stored.position,
                f"positions {self.last + 1} to {stored.position - 1} are missing",
            )
        self.last = stored.position
        self.found.events += 1
        self.found.erased += is_erased(stored.state)
        stream = self._stream(stored)
        event = self._event(stored)
        if stored.topic in ENDS:
            self._end(stored, stream, event)
        else:
            about = (stored.step, stored.activation, stored.attempt, stored.cause)
            stream.chain.add(stored.topic, stored.state or b"", stored.key, *about)
        stream.version = stored.version

    def count(self, counted: Counted) -> None:
        """Compare the last position with how many events there are, here and in the archive."""
        self.found.archived = counted.archive
        if counted.log + counted.archive != counted.head:
            self.finds(
                counted.head,
                f"there are {counted.log} events in the log and {counted.archive} in the archive, "
                f"expected {counted.head} together",
            )

    def finds(self, position: int, what: str) -> None:
        """Keep a finding."""
        self.found.faults += 1
        if len(self.found.findings) < FINDINGS_MAX:
            self.found.findings.append(Finding(position, what))

    def _stream(self, stored: Stored) -> _Open:
        number, version = stored.stream, stored.version
        known = self._open.get(number)
        if version == 1:
            self.found.streams += 1
            if number != stored.position or known is not None:
                self.finds(stored.position, f"stream {number} begins here, expected at {number}")
        elif known is None:
            self.finds(
                stored.position,
                f"version {version} of stream {number}, which has ended or has no beginning",
            )
        elif version != known.version + 1:
            self.finds(
                stored.position,
                f"version {version} of stream {number}, expected {known.version + 1}",
            )
        if known is None:
            known = self._open[number] = _Open()
        return known

    def _event(self, stored: Stored) -> Event | None:
        state: Any = stored.state
        if state is None:  # Stores answer so for a hash without its blob.
            self.finds(stored.position, f"the blob of this {stored.topic!r} is missing")
            return None
        try:
            return self._codec.decode(stored.topic, rest_of(state))
        except (UnknownEvent, ValueError) as error:
            self.finds(stored.position, f"a {stored.topic!r} that cannot be read: {error}")
            return None

    def _end(self, stored: Stored, stream: _Open, event: Any) -> None:
        self.found.ended += 1
        root = getattr(event, "chain", None)
        if root is not None and root == stream.chain.root():
            self.found.sealed += 1
        elif root is not None:
            self.finds(
                stored.position,
                f"the chain of stream {stored.stream} is {stream.chain.root()}, its end says "
                f"{root}: an event before it was changed",
            )
        del self._open[stored.stream]
