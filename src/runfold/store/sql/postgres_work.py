"""Jobs, members, cursors and the inbox on PostgreSQL, outside of a commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, bindparam, exists, func, literal_column

from runfold.ports import BucketUse, Due, InboxRow, Job, Member, QueueState, Stalled, Upcoming
from runfold.ports_jobs import Pending
from runfold.store.buckets import limit_of
from runfold.store.sql import (
    line_queries,
    log_queries,
    member_queries,
    queue_queries,
    usage_queries,
    work_queries,
)
from runfold.store.sql.compiled import for_postgres
from runfold.store.sql.inbox import enlist
from runfold.store.sql.postgres_driver import Address
from runfold.store.sql.postgres_queries import PostgresQueries
from runfold.store.sql.postgres_renewer import PostgresRenewer
from runfold.store.sql.schema import BATCHES

_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
BATCHES_KEPT_SECONDS = 3600
"""How long a batch number is remembered."""

BATCHES_SWEPT_MAX = 20_000
"""How many old batch numbers one ``expire`` forgets at most."""

_KEPT: ColumnElement[timedelta] = literal_column(f"interval '{BATCHES_KEPT_SECONDS} seconds'")
_IS_OLD = BATCHES.c.at < work_queries.now() - _KEPT


def _is_wanted(column: Any) -> Any:
    return column == func.any(bindparam("wanted", type_=ARRAY(Text())))


_DUE = for_postgres(work_queries.due())
_STALLED = for_postgres(work_queries.stalled())
_LEASED = for_postgres(work_queries.leased())
_HELD = for_postgres(work_queries.held())
_COUNTS = for_postgres(work_queries.counts())
_OPEN_TIMERS = for_postgres(work_queries.open_timers())
_JOBS_OF = for_postgres(queue_queries.jobs_of())
_DELAYED_OF = for_postgres(queue_queries.delayed_of())
_LIMITS_OF = for_postgres(queue_queries.limits_of())
_LIMITS_IN = for_postgres(usage_queries.limits_in(_is_wanted))
_CLOSED_IN = for_postgres(usage_queries.closed_in(_is_wanted))
_HOLDERS_IN = for_postgres(usage_queries.holders_in(_is_wanted))
_STARTS_IN = for_postgres(usage_queries.starts_in(_is_wanted))
_CLOSURES_OF = for_postgres(queue_queries.closures_of())
_WAITING = [for_postgres(line_queries.waiting(of_queue=of)) for of in (False, True)]
_LATER = [for_postgres(line_queries.later(of_queue=of)) for of in (False, True)]
_INBOX = for_postgres(work_queries.inbox())
_JOIN = for_postgres(member_queries.join())
_MEMBERS = for_postgres(member_queries.members())
_RENEW = for_postgres(member_queries.renew())
_LEAVE = for_postgres(member_queries.leave())
_RESIGN = for_postgres(member_queries.resign())
_CURSOR = for_postgres(member_queries.cursor())
_SAVE_CURSOR = for_postgres(member_queries.save_cursor())
_NOW = for_postgres(member_queries.now())
_OLD_BATCHES = for_postgres(log_queries.old_batches(_IS_OLD))
_PENDING = for_postgres(
    work_queries.pending(
        exists().where(BATCHES.c.log_id == bindparam("log_id"), _IS_OLD)
    ).add_columns(log_queries.head().scalar_subquery())
)
_LEAD = "SELECT runfold.lead($1, 'dispatcher', $2, $3, $4)"
_EXPIRE = "SELECT runfold.expire($1, $2, $3)"


class PostgresWork(PostgresQueries):
    """``ports.Jobs``, ``Members``, ``Cursors`` and ``Inbox``."""

    _address: Address
    _told: Callable[[int], None]
    """Told where the log ends, by whoever has asked for it."""

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        """Return timers that are due by the store's clock, soonest first."""
        return [Due(*row) for row in await self._rows(_DUE, now=now, limit=limit)]

    async def pending(self, *, sweeps: bool = False, now: datetime | None = None) -> Pending:
        """Return whether there may be something to record; ``sweeps``: also what is over."""
        (row,) = await self._rows(_PENDING, sweeps=sweeps, now=now)
        inbox, soonest, moment, over, head = row
        self._told(head or 0)
        due = None if soonest is None else max(0.0, (soonest - moment).total_seconds())
        return Pending(inbox, due, over)

    async def stalled(self, limit: int, *, now: datetime | None = None) -> list[Stalled]:
        """Return leased jobs whose token has no live member."""
        rows = await self._rows(_STALLED, now=now, limit=limit)
        return sorted(Stalled(*row) for row in rows)

    async def leased(self, token: int) -> list[Job]:
        """Return the jobs that this token holds, by id."""
        rows = await self._rows(_LEASED, token=token)
        ts = await self.now() if rows else None
        return sorted((Job(*(*row, 0, 0, ts)) for row in rows), key=attrgetter("id"))

    async def held(self, token: int) -> dict[int, int]:
        """Return the gate of its run for each job that this token holds, by job id."""
        return dict([tuple(row) for row in await self._rows(_HELD, token=token)])

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Return (ready, leased) by queue, of queues that have either."""
        return {queue: (ready, leased) for queue, ready, leased in await self._rows(_COUNTS)}

    async def queues(self, *, now: datetime | None = None) -> list[QueueState]:
        """Return every queue that has jobs, timers, limits or a closure, by name."""
        return queue_queries.states(
            await self._rows(_JOBS_OF),
            await self._rows(_DELAYED_OF),
            await self._rows(_LIMITS_OF),
            await self._rows(_CLOSURES_OF, now=now or await self.now()),
        )

    async def usage(
        self, buckets: Sequence[str], *, now: datetime | None = None
    ) -> list[BucketUse]:
        """Return what counts against each of ``buckets``, or closes it."""
        asked = {"wanted": list(buckets), "now": now or await self.now()}
        ids = [limit_of(one) for one in buckets]
        return usage_queries.uses(
            buckets,
            await self._rows(_LIMITS_IN, wanted=ids),
            await self._rows(_CLOSED_IN, **asked),
            await self._rows(_HOLDERS_IN, wanted=list(buckets)),
            await self._rows(_STARTS_IN, **asked),
        )

    async def upcoming(
        self, queue: str | None, *, after: Sequence[int] = (), limit: int
    ) -> list[Upcoming]:
        """Return runs with something that waits to be claimed, as workers will take them."""
        of, found = queue is not None, list[Upcoming]()
        if line_queries.is_in_line(after):
            asked = line_queries.behind(after)
            rows = await self._rows(_WAITING[of], queue=queue, limit=limit, **asked)
            found = line_queries.in_line(rows)
        if len(found) < limit:
            due, number = line_queries.later_than(after)
            rows = await self._rows(
                _LATER[of], queue=queue, limit=limit - len(found),
                due=_EPOCH + due * _MICRO, after4=number,
            )  # fmt: skip
            found += line_queries.due_later([(s, (at - _EPOCH) // _MICRO, n) for s, at, n in rows])
        return found

    async def open_timers(self) -> int:
        """Return how many timers are waiting."""
        return int((await self._rows(_OPEN_TIMERS))[0][0])

    async def join(self, member: Member, ttl: float, *, now: datetime | None = None) -> None:
        """Register a process for ``ttl`` seconds."""
        await self._rows(_JOIN, ttl=ttl, now=now, **member._asdict())

    async def members(self) -> list[tuple[Member, datetime]]:
        """Return every registered process with the end of its lease, by name."""
        return [(Member(*row[:3]), row[3]) for row in await self._rows(_MEMBERS)]

    async def renew(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Extend the lease of ``token``; False when it was swept."""
        return bool(await self._rows(_RENEW, of=token, ttl=ttl, now=now))

    async def leave(self, token: int) -> None:
        """Forget a process; what it still leases is stalled from now on."""
        await self._rows(_LEAVE, token=token)

    async def lead(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Take or keep the dispatcher lease; False while another token holds it."""
        values = (self.identity.log_id, token, ttl, now)
        return bool(await self._writer.call(lambda link: link.value(_LEAD, values)))

    async def resign(self, token: int) -> None:
        """Give the dispatcher lease back, if held."""
        await self._rows(_RESIGN, token=token)

    async def expire(self, limit: int, *, now: datetime | None = None) -> int:
        """Remove members whose time is over; forget batch numbers that nobody repeats."""
        values = (self.identity.log_id, limit, now)
        removed = await self._writer.call(lambda link: link.value(_EXPIRE, values))
        await self._rows(_OLD_BATCHES, now=now, limit=BATCHES_SWEPT_MAX)
        return int(removed)

    def renewer(self, token: int, ttl: float) -> PostgresRenewer:
        """Return something that renews from another thread, with a connection of its own."""
        values = _RENEW.values(log_id=self.identity.log_id, of=token, ttl=ttl, now=None)
        return PostgresRenewer(self._address, _RENEW.text, values)

    async def cursor(self, name: str) -> int:
        """Return the saved position, 0 without one or one of another log."""
        rows = await self._rows(_CURSOR, name=name)
        return int(rows[0][0]) if rows else 0

    async def save_cursor(self, name: str, position: int) -> None:
        """Save it, with the log's identity."""
        await self._rows(_SAVE_CURSOR, name=name, position=position)

    async def inbox(self, limit: int) -> list[InboxRow]:
        """Return committed rows, oldest first."""
        return [InboxRow(*row) for row in await self._rows(_INBOX, limit=limit)]

    def enlist(self, connection: Any, rows: Sequence[tuple[bytes, str]]) -> Any:
        """Write (run id, body) rows through a caller's connection, in its transaction."""
        return enlist(connection, self.identity, rows)

    async def now(self) -> datetime:
        """Return the store's time."""
        moment: datetime = await self._readers.call(lambda link: link.value(_NOW.text))
        return moment
