"""Members, the leader and cursors on SQLite: small writes, each a transaction of its own."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Table, delete, literal_column, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runfold.ports import Member
from runfold.store.sql import member_queries
from runfold.store.sql.compiled import for_sqlite
from runfold.store.sql.schema import CURSORS, LEADERS, LOGS, MEMBERS
from runfold.store.sql.sqlite_guards import DISPATCHER
from runfold.store.sql.sqlite_lane import transaction
from runfold.store.sql.sqlite_values import limited, param, prepared

_SECOND = 1_000_000
_LOG, _TOKEN = param("log"), param("of_token")


def _upserts(table: Table, *names: str) -> str:
    """Return the insert of ``names``, which replaces a row of the same key."""
    wanted = upsert(table).values({name: param(name) for name in names})
    keys = [column.name for column in table.primary_key]
    changed = {name: wanted.excluded[name] for name in names if name not in keys}
    return prepared(wanted.on_conflict_do_update(index_elements=keys, set_=changed), *names)


_JOIN = _upserts(MEMBERS, "token", "expires_at", "log_id", "name", "roles")
_RENEW = prepared(
    update(MEMBERS)
    .where(MEMBERS.c.log_id == _LOG, MEMBERS.c.token == _TOKEN)
    .values(expires_at=param("until")),
    "until", "log", "of_token",
)  # fmt: skip
_LEAVE = prepared(
    delete(MEMBERS).where(MEMBERS.c.log_id == _LOG, MEMBERS.c.token == _TOKEN), "log", "of_token"
)
_OVER = prepared(
    delete(MEMBERS).where(
        MEMBERS.c.log_id == _LOG,
        MEMBERS.c.token.in_(
            limited(
                select(MEMBERS.alias("m").c.token).where(
                    literal_column("m.log_id") == _LOG,
                    literal_column("m.expires_at") <= param("now"),
                )
            )
        ),
    ),
    "log", "log", "now", "limit",
)  # fmt: skip
_LEADER = prepared(
    select(LEADERS.c.token, LEADERS.c.expires_at).where(
        LEADERS.c.log_id == _LOG, LEADERS.c.role == param("of_role")
    ),
    "log", "of_role",
)  # fmt: skip
_LEAD = _upserts(LEADERS, "token", "expires_at", "log_id", "role")
_RESIGN = prepared(
    delete(LEADERS).where(
        LEADERS.c.log_id == _LOG, LEADERS.c.role == param("of_role"), LEADERS.c.token == _TOKEN
    ),
    "log", "of_role", "of_token",
)  # fmt: skip
_MEMBERS = for_sqlite(member_queries.members())
_CURSOR = for_sqlite(member_queries.cursor())
_IDENTITY = prepared(select(LOGS.c.identity, LOGS.c.generation).where(LOGS.c.log_id == _LOG), "log")
_SAVE_CURSOR = _upserts(CURSORS, "position", "saved_at", "log_id", "generation", "name", "identity")


class SqliteMembers:
    """Who lives, who leads and how far readers are, in one log; moments in microseconds."""

    def __init__(self, log: int) -> None:
        self._log = log

    def join(self, connection: sqlite3.Connection, member: Member, ttl: float, now: int) -> None:
        """Register a process until ``ttl`` seconds after ``now``."""
        until = _until(now, ttl)
        row = (member.token, until, self._log, member.name, member.roles)
        with transaction(connection):
            connection.execute(_JOIN, row)

    def renew(self, connection: sqlite3.Connection, token: int, ttl: float, now: int) -> bool:
        """Extend the lease of ``token``; False when it was swept."""
        with transaction(connection):
            done = connection.execute(_RENEW, (_until(now, ttl), self._log, token))
            return done.rowcount == 1

    def members(self, connection: sqlite3.Connection) -> list[tuple[Member, int]]:
        """Return every registered process with the end of its lease, by name."""
        rows = connection.execute(_MEMBERS.text, _MEMBERS.values(log_id=self._log)).fetchall()
        return [(Member(*row[:3]), row[3]) for row in rows]

    def leave(self, connection: sqlite3.Connection, token: int) -> None:
        """Forget a process."""
        with transaction(connection):
            connection.execute(_LEAVE, (self._log, token))

    def expire(self, connection: sqlite3.Connection, limit: int, now: int) -> int:
        """Remove members whose time is over; return how many."""
        with transaction(connection):
            return connection.execute(_OVER, (self._log, self._log, now, limit)).rowcount

    def lead(self, connection: sqlite3.Connection, token: int, ttl: float, now: int) -> bool:
        """Take or keep the dispatcher lease; False while another token holds it."""
        with transaction(connection):
            leader = connection.execute(_LEADER, (self._log, DISPATCHER)).fetchone()
            if leader and leader[0] != token and leader[1] > now:
                return False
            connection.execute(_LEAD, (token, _until(now, ttl), self._log, DISPATCHER))
            return True

    def resign(self, connection: sqlite3.Connection, token: int) -> None:
        """Give the dispatcher lease back, if held."""
        with transaction(connection):
            connection.execute(_RESIGN, (self._log, DISPATCHER, token))

    def cursor(self, connection: sqlite3.Connection, name: str) -> int:
        """Return the saved position; 0 without one, of another log, or beyond its end."""
        values = _CURSOR.values(log_id=self._log, name=name)
        row = connection.execute(_CURSOR.text, values).fetchone()
        return int(row[0]) if row else 0

    def save_cursor(
        self, connection: sqlite3.Connection, name: str, position: int, now: int
    ) -> None:
        """Save it, with the log's identity as it is now."""
        with transaction(connection):
            identity, generation = connection.execute(_IDENTITY, (self._log,)).fetchone()
            row = (position, now, self._log, generation, name, identity)
            connection.execute(_SAVE_CURSOR, row)


def _until(now: int, ttl: float) -> int:
    return now + round(ttl * _SECOND)
