"""This process as a member of the engine: one lease for everything it holds.

The lease is renewed from a thread of its own, so that a handler which blocks the event
loop does not lose the process its jobs. A worker trusts its lease by its own monotonic
clock, counted from *before* the renewal was sent: it never believes in it for longer than
the store does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from runfold.ports import Clock, Member, Members

TRUST = 0.8
"""The part of its term for which a lease is trusted without another renewal."""

LEAVE_MAX = 5.0
"""Seconds that leaving waits for a renewal under way."""

_log = logging.getLogger("runfold.member")


class Membership:
    """A token in the store, and the thread that keeps it alive."""

    def __init__(
        self,
        members: Members,
        clock: Clock,
        *,
        name: str,
        roles: str,
        tokens: Callable[[], int],
        lease: float,
    ) -> None:
        self._members, self._clock, self._lease = members, clock, lease
        self._tokens = tokens
        self.member = Member(tokens(), name, roles)
        self.lost = False
        """The store no longer knows this member: all it held is given to others."""
        self.on_lost: Callable[[], object] | None = None
        self._renewed_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def token(self) -> int:
        """The random number that fences what this process holds."""
        return self.member.token

    @property
    def trusted(self) -> bool:
        """False once the lease may be over: what it holds must not be worked on."""
        return not self.lost and (self._clock.monotonic() - self._renewed_at < self._lease * TRUST)

    async def join(self) -> None:
        """Register, and start to renew."""
        self._stop = threading.Event()
        renewed_at = self._clock.monotonic()
        await self._members.join(self.member, self._lease, now=self._clock.now())
        self._renewed_at, self.lost = renewed_at, False
        self._thread = threading.Thread(
            target=self._renew_forever, name="runfold-lease", daemon=True
        )
        self._thread.start()

    async def rejoin(self) -> None:
        """Begin anew after the lease was lost or could not be renewed in time.

        Under another token: whatever the old one holds stalls and is charged, also where the
        handlers of this process were only suspected to be dead.
        """
        _log.warning("the lease of this process is over; it joins again with nothing in hand")
        await self.leave()
        self.member = self.member._replace(token=self._tokens())
        await self.join()

    async def leave(self) -> None:
        """Stop renewing and let the store forget this member."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, LEAVE_MAX)
        if not self.lost:
            await self._members.leave(self.token)

    def _renew_forever(self) -> None:
        renewer, stop = self._members.renewer(self.token, self._lease), self._stop
        pause = self._lease / 3
        try:
            while not stop.wait(pause):
                before = self._clock.monotonic()
                try:
                    alive = renewer.renew()
                except Exception as error:  # The store is away: others wait for it as well.
                    _log.warning("lease not renewed: %s", error)
                    pause = min(1.0, self._lease / 10)
                    continue
                pause = self._lease / 3
                if not alive:
                    self.lost = True
                    if self.on_lost is not None:
                        self.on_lost()
                    return
                self._renewed_at = before
        finally:
            renewer.close()
