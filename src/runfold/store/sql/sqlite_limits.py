"""Limits on SQLite: what holds, what is used of it, what is closed; and what admits a job."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, delete, func, insert, literal_column, select
from sqlalchemy.dialects.sqlite import insert as upsert

from runfold.ports import Closure, Limit
from runfold.store.buckets import MANY, NEVER, SEPARATOR, Verdict, limit_of, together
from runfold.store.sql.schema import CLOSURES, HOLDS, JOBS, LIMITS, STARTS
from runfold.store.sql.sqlite_values import limited, micros, moment, param, prepared

SECOND = 1_000_000
STARTS_PER_SWEEP = 8
"""How many starts out of their window are removed for a new one, at most."""
CLOSURES_PER_SWEEP = 64
_NEVER = micros(NEVER)

_LOG, _BUCKET, _AFTER = param("log"), param("of_bucket"), param("after")
_HOLD_NAMES = ("job", "log_id", "bucket")
_START_NAMES = ("at", "position", "over_at", "log_id", "bucket")
_LIMIT_NAMES = ("per", "log_id", "max", "keyed", "id", "scope", "kind")

_LIMIT = prepared(
    select(LIMITS.c.max, LIMITS.c.per).where(LIMITS.c.log_id == _LOG, LIMITS.c.id == param("of")),
    "log", "of",
)  # fmt: skip
_SCOPE = prepared(
    select(LIMITS.c.id, LIMITS.c.kind, LIMITS.c.max, LIMITS.c.per, LIMITS.c.keyed).where(
        LIMITS.c.log_id == _LOG, LIMITS.c.scope == param("of_scope")
    ),
    "log", "of_scope",
)  # fmt: skip
_UNTIL = prepared(
    select(CLOSURES.c.until).where(CLOSURES.c.log_id == _LOG, CLOSURES.c.bucket == _BUCKET),
    "log", "of_bucket",
)  # fmt: skip
_HELD = prepared(
    select(func.count())
    .select_from(HOLDS)
    .where(HOLDS.c.log_id == _LOG, HOLDS.c.bucket == _BUCKET),
    "log", "of_bucket",
)  # fmt: skip
_STARTED = prepared(
    select(func.count())
    .select_from(STARTS)
    .where(STARTS.c.log_id == _LOG, STARTS.c.bucket == _BUCKET, STARTS.c.at > _AFTER),
    "log", "of_bucket", "after",
)  # fmt: skip
_NTH_START = prepared(
    select(STARTS.c.at)
    .where(STARTS.c.log_id == _LOG, STARTS.c.bucket == _BUCKET, STARTS.c.at > _AFTER)
    .order_by(STARTS.c.at)
    .limit(literal_column("1"))
    .offset(bindparam("nth")),
    "log", "of_bucket", "after", "nth",
)  # fmt: skip
_HOLD = prepared(
    upsert(HOLDS).values({name: param(name) for name in _HOLD_NAMES}).on_conflict_do_nothing(),
    *_HOLD_NAMES,
)
_FREE = prepared(
    delete(HOLDS).where(HOLDS.c.log_id == _LOG, HOLDS.c.job == param("of")), "log", "of"
)
_START = prepared(insert(STARTS).values({n: param(n) for n in _START_NAMES}), *_START_NAMES)
_old = STARTS.alias("old")
_OVER = prepared(
    limited(
        select(_old.c.bucket, _old.c.at, _old.c.position)
        .where(_old.c.log_id == _LOG, _old.c.over_at <= param("now"))
        .order_by(_old.c.over_at)
    ),
    "log", "now", "limit",
)  # fmt: skip
_FORGET = prepared(
    delete(STARTS).where(
        STARTS.c.log_id == _LOG,
        STARTS.c.bucket == _BUCKET,
        STARTS.c.at == param("of_time"),
        STARTS.c.position == param("of"),
    ),
    "log", "of_bucket", "of_time", "of",
)  # fmt: skip
_CLOSE = prepared(
    (closing := upsert(CLOSURES).values({n: param(n) for n in ("until", "log_id", "bucket")}))
    .on_conflict_do_update(
        index_elements=["log_id", "bucket"], set_={"until": closing.excluded.until}
    ),
    "until", "log_id", "bucket",
)  # fmt: skip
_OPEN = prepared(
    delete(CLOSURES).where(CLOSURES.c.log_id == _LOG, CLOSURES.c.bucket == _BUCKET),
    "log", "of_bucket",
)  # fmt: skip
_CLOSED_BEFORE = prepared(
    limited(
        select(CLOSURES.c.bucket)
        .where(CLOSURES.c.log_id == _LOG, CLOSURES.c.until <= param("now"))
        .order_by(CLOSURES.c.until)
    ),
    "log", "now", "limit",
)  # fmt: skip
_UNSET = prepared(
    delete(LIMITS).where(LIMITS.c.log_id == _LOG, LIMITS.c.scope == param("of_scope")),
    "log", "of_scope",
)  # fmt: skip
_SET = prepared(insert(LIMITS).values({n: param(n) for n in _LIMIT_NAMES}), *_LIMIT_NAMES)
_RELEASE = prepared(
    delete(HOLDS).where(
        HOLDS.c.log_id == _LOG, HOLDS.c.bucket >= param("first"), HOLDS.c.bucket < param("last")
    ),
    "log", "first", "last",
)  # fmt: skip
_LEASED = prepared(
    select(JOBS.c.id, JOBS.c.queue, JOBS.c.limits).where(
        and_(JOBS.c.log_id == _LOG, JOBS.c.member.is_not(None))
    ),
    "log",
)


def buckets_of(limits: str | None) -> tuple[str, ...]:
    """Return the buckets of a lane, as ``jobs.limits`` names it."""
    return tuple(limits.split(SEPARATOR)) if limits else ()


class SqliteLimits:
    """The limits of one log in one commit, at its time ``ts``; settings are read once."""

    def __init__(self, connection: sqlite3.Connection, log: int, ts: int) -> None:
        self._connection, self._log, self._ts = connection, log, ts
        self._known: dict[str, tuple[int, int | None] | None] = {}
        self._wholes: dict[str, list[str]] = {}

    def verdict(self, bucket: str) -> Verdict:
        """Return what ``bucket`` admits now."""
        closed = self._connection.execute(_UNTIL, (self._log, bucket)).fetchone()
        if closed and closed[0] > self._ts:
            return Verdict(0, moment(closed[0]) if closed[0] < _NEVER else None)
        limit = self._limit(limit_of(bucket))
        if limit is None:
            return Verdict(MANY)
        most, per = limit
        if per is None:
            (held,) = self._connection.execute(_HELD, (self._log, bucket)).fetchone()
            return Verdict(max(0, most - held))
        counted = (self._log, bucket, self._ts - per)
        (started,) = self._connection.execute(_STARTED, counted).fetchone()
        if started < most:
            return Verdict(most - started)
        (at,) = self._connection.execute(_NTH_START, (*counted, started - most)).fetchone()
        return Verdict(0, moment(at + per))

    def verdict_on(self, queue: str) -> Verdict:
        """Return what ``queue`` as a whole admits."""
        buckets = [f"queue:{queue}", *self.whole(queue)]
        return together([self.verdict(bucket) for bucket in buckets])

    def whole(self, queue: str) -> list[str]:
        """Return the ids of the limits that are asked once for all of ``queue``."""
        if queue not in self._wholes:
            rows = self._connection.execute(_SCOPE, (self._log, f"queue:{queue}")).fetchall()
            self._wholes[queue] = sorted(row[0] for row in rows if not row[4])
        return self._wholes[queue]

    def start(self, job: int, queue: str, limits: str | None, position: int) -> None:
        """Count a job that is leased, started at ``position``."""
        for bucket in (*buckets_of(limits), *self.whole(queue)):
            limit = self._limit(limit_of(bucket))
            if limit is None:
                continue
            if limit[1] is None:
                self._connection.execute(_HOLD, (job, self._log, bucket))
            else:
                start = (self._ts, position, self._ts + limit[1], self._log, bucket)
                self._connection.execute(_START, start)
                self._sweep_starts()

    def free(self, jobs: Iterable[int]) -> None:
        """Count these jobs no more."""
        self._connection.executemany(_FREE, [(self._log, job) for job in jobs])

    def hold_off(self, queue: str, limits: str | None, holds: datetime | float) -> None:
        """Close what admitted a job; what is closed for longer stays so."""
        until = micros(holds) if isinstance(holds, datetime) else self._ts + round(holds * SECOND)
        for bucket in (*buckets_of(limits), *self.whole(queue)):
            closed = self._connection.execute(_UNTIL, (self._log, bucket)).fetchone()
            if not closed or closed[0] < until:
                self._close(bucket, until)

    def close(self, closure: Closure) -> None:
        """Close or open what ``closure`` names."""
        if closure.until is None:
            self._connection.execute(_OPEN, (self._log, closure.bucket))
        else:
            self._close(closure.bucket, micros(closure.until))

    def replace(self, scope: str, limits: Sequence[Limit]) -> bool:
        """Let ``limits`` be those of ``scope``, counting what is leased; False: they were."""
        rows = self._connection.execute(_SCOPE, (self._log, scope)).fetchall()
        if sorted(limit_of_row(row) for row in rows) == sorted(limits):
            return False
        self._connection.execute(_UNSET, (self._log, scope))
        self._connection.executemany(
            _SET,
            [(at.per, self._log, at.max, at.keyed, at.id, scope, at.kind) for at in limits],
        )
        self._known, self._wholes = {}, {}
        # "$" follows "#", so this is the range of everything that begins with "<scope>#".
        self._connection.execute(_RELEASE, (self._log, f"{scope}#", f"{scope}$"))
        if any(limit.per is None for limit in limits):
            self._recount(scope)
        return True

    def _recount(self, scope: str) -> None:
        for job, queue, lane in self._connection.execute(_LEASED, (self._log,)).fetchall():
            for bucket in (*buckets_of(lane), *self.whole(queue)):
                limit = self._limit(limit_of(bucket))
                if bucket.startswith(f"{scope}#") and limit is not None and limit[1] is None:
                    self._connection.execute(_HOLD, (job, self._log, bucket))

    def _limit(self, name: str) -> tuple[int, int | None] | None:
        """Return max and microseconds of the limit of this id, None without one."""
        if name not in self._known:
            row = self._connection.execute(_LIMIT, (self._log, name)).fetchone()
            per = None if row is None or row[1] is None else round(row[1] * SECOND)
            self._known[name] = None if row is None else (row[0], per)
        return self._known[name]

    def _close(self, bucket: str, until: int) -> None:
        self._connection.execute(_CLOSE, (until, self._log, bucket))
        over = (self._log, self._ts, CLOSURES_PER_SWEEP)
        for (past,) in self._connection.execute(_CLOSED_BEFORE, over).fetchall():
            self._connection.execute(_OPEN, (self._log, past))

    def _sweep_starts(self) -> None:
        over = (self._log, self._ts, STARTS_PER_SWEEP)
        for row in self._connection.execute(_OVER, over).fetchall():
            self._connection.execute(_FORGET, (self._log, *row))


def limit_of_row(row: Sequence[object]) -> Limit:
    """Return the limit that a row of (id, kind, max, per, keyed) says."""
    name, kind, most, per, keyed = row
    return Limit(str(name), str(kind), int(str(most)), per, bool(keyed))  # type: ignore[arg-type]


def due_of(verdict: Verdict) -> int | None:
    """Return when time alone opens what gave ``verdict``, in microseconds."""
    due: datetime | None = verdict.due
    return None if due is None else micros(due)
