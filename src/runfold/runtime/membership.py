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
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from runfold.ports import Clock, Member, Members, Renewer

TRUST = 0.8
"""The part of its term for which a lease is trusted without another renewal."""

LEAVE_MAX = 5.0
"""Seconds that leaving waits for a renewal under way."""

_log = logging.getLogger("runfold.member")


@dataclass(frozen=True, kw_only=True)
class Renewing:
    """How a lease is renewed."""

    open: Callable[[], Renewer]
    """Called where it will be used; closed there after the last time."""
    renew: Callable[[Renewer], float | None]
    """Renews it; answers after how many seconds again, None when it is lost."""
    first: float
    """Seconds until the first time."""


class Renewals(Protocol):
    """Renewing under way."""

    async def end(self) -> None:
        """Renew no more; return when the one under way is over, or takes too long."""
        ...


class RenewalThread:
    """A thread of its own, which a handler that blocks the event loop does not stop."""

    def __init__(self, renewing: Renewing) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(renewing,), name="runfold-lease", daemon=True
        )
        self._thread.start()

    async def end(self) -> None:
        """Renew no more; wait for the renewal under way, ``LEAVE_MAX`` seconds at most."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, LEAVE_MAX)

    def _run(self, renewing: Renewing) -> None:
        renewer = renewing.open()
        pause: float | None = renewing.first
        try:
            while pause is not None and not self._stop.wait(pause):
                pause = renewing.renew(renewer)
        finally:
            renewer.close()


class Membership:
    """A token in the store, and what keeps it alive."""

    def __init__(
        self,
        members: Members,
        clock: Clock,
        *,
        name: str,
        roles: str,
        tokens: Callable[[], int],
        lease: float,
        renewals: Callable[[Renewing], Renewals] = RenewalThread,
    ) -> None:
        self._members, self._clock, self._lease = members, clock, lease
        self._tokens, self._start = tokens, renewals
        self.member = Member(tokens(), name, roles)
        self.lost = False
        """The store no longer knows this member: all it held is given to others."""
        self.on_lost: Callable[[], object] | None = None
        self._renewed_at = 0.0
        self._renewals: Renewals | None = None

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
        renewed_at = self._clock.monotonic()
        await self._members.join(self.member, self._lease, now=self._clock.now())
        self._renewed_at, self.lost = renewed_at, False
        self._renewals = self._start(
            Renewing(
                open=partial(self._members.renewer, self.token, self._lease),
                renew=self._renew,
                first=self._lease / 3,
            )
        )

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
        if self._renewals is not None:
            await self._renewals.end()
        if not self.lost:
            await self._members.leave(self.token)

    def _renew(self, renewer: Renewer) -> float | None:
        before = self._clock.monotonic()
        try:
            alive = renewer.renew()
        except Exception as error:  # The store is away: others wait for it as well.
            _log.warning("lease not renewed: %s", error)
            return min(1.0, self._lease / 10)
        if alive:
            self._renewed_at = before
            return self._lease / 3
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()
        return None
