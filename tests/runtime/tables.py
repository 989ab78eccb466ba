"""The working tables of a store, to be looked at and thrown away by a test."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from runfold.store.memory import MemoryStore
from runfold.store.memory_lanes import Queues
from runfold.store.memory_limits import Limits
from runfold.store.memory_log import Stream
from runfold.store.sql.schema import METADATA

KEPT = {"logs", "events", "archive", "blobs", "inbox", "tracking"}
"""The truth, and what is other people's."""
COMPARED = ("jobs", "timers", "open_runs", "streams")
Row = tuple[tuple[str, Any], ...]


def tables_of(store: Any) -> Tables:
    """Return the tables of ``store``."""
    if isinstance(store, MemoryStore):
        return MemoryTables(store)
    if hasattr(store, "path"):
        return SqliteTables(store)
    return PostgresTables(store)


class Tables:
    """What a rebuild must bring back."""

    def rows(self) -> dict[str, set[Row]]:
        """Return every row, leases as a fact and gates of open runs only.

        Whether a job heads its lane, and who takes turns with whom, is made up anew.
        """
        found = {table: self.read(table) for table in COMPARED}
        for row in found["jobs"]:
            row["member"] = row["member"] is not None
            row["blocked"] = None if row["member"] else row["blocked"] == 1
            row.pop("place", None)
        opened = {row["stream"] for row in found["open_runs"]}
        for row in found["streams"]:
            row["gate"] = row["gate"] if row["stream"] in opened else None
        return {table: {_row(row) for row in rows} for table, rows in found.items()}

    def limits(self, log: int, now: datetime) -> dict[str, list[tuple[Any, ...]]]:
        """Return what limits of one log admit, count and close at ``now``."""

        def read(table: str) -> list[dict[str, Any]]:
            return [one for one in self.read(table) if one.get("log_id", log) == log]

        known = {one["id"]: one for one in read("limits")}
        said = [(one["id"], one["kind"], one["max"], one["per"]) for one in known.values()]
        jobs = [(one["bucket"], one["job"]) for one in read("holds")]
        starts = [(one["bucket"], _moment(one["at"])) for one in read("starts")]
        counted = [
            (bucket, at)
            for bucket, at in starts
            if (limit := known.get(bucket.partition("=")[0])) and limit["per"]
            if at + timedelta(seconds=limit["per"]) > now
        ]
        closed = [(one["bucket"], _moment(one["until"])) for one in read("closures")]
        return {
            "limits": sorted(said), "holds": sorted(jobs), "starts": sorted(counted),
            "closures": sorted(one for one in closed if one[1] > now),
        }  # fmt: skip

    def read(self, table: str) -> list[dict[str, Any]]:
        raise NotImplementedError

    def drop(self) -> None:
        """Throw away everything but the log."""
        for name in [table.name for table in METADATA.tables.values() if table.name not in KEPT]:
            self.execute(f"DELETE FROM {self.schema}{name}")

    schema = ""

    def execute(self, statement: str) -> None:
        raise NotImplementedError


class MemoryTables(Tables):
    """Attributes of a log in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._log = store._log

    def read(self, table: str) -> list[dict[str, Any]]:
        log = self._log
        if table == "streams":
            return [
                {"stream": number, "id": one.id, "flow": one.flow, "gate": one.gate}
                for number, one in log.streams.items()
            ]
        if table == "open_runs":
            return [
                {"stream": number}
                for number, one in log.streams.items()
                if one.flow is not None and not one.ended
            ]
        if table in {"limits", "holds", "starts", "closures"}:
            return _limits(log.limits, table)
        waiting = {id for queue in log.queues.ready.values() for _, _, id in queue}
        for lane in log.queues.waiting.values():
            waiting |= {id for line in lane.values() for id, _ in line}
        works = log.jobs if table == "jobs" else log.timers
        return [
            {
                **work.row._replace(event=0, delay=None)._asdict(),
                # A timer that became a job is still told by the row that it was made from.
                "kind": None if table == "jobs" else work.row.kind,
                "due_at": None if table == "jobs" else work.due,
                "id": work.id, "stream": work.stream, "member": work.token,
                "blocked": work.id not in waiting,
            }
            for work in works.values()
        ]  # fmt: skip

    def drop(self) -> None:
        log = self._log
        for derived in (log.jobs, log.timers, log.works, log.members, log.cursors,
                        log.ids, log.batches):  # fmt: skip
            derived.clear()
        log.agenda.clear()
        log.queues, log.limits = Queues(), Limits()
        log.leader = None
        # Where the events of a stream are is an index of the log; what it is called is not.
        for number, one in log.streams.items():
            log.streams[number] = Stream(b"", None, positions=one.positions)


class SqliteTables(Tables):
    """A file."""

    def __init__(self, store: Any) -> None:
        self._path = store.path

    def read(self, table: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self._path) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
        connection.close()
        return found

    def execute(self, statement: str) -> None:
        with sqlite3.connect(self._path) as connection:
            connection.execute(statement)
        connection.close()


class PostgresTables(Tables):
    """A schema."""

    schema = "runfold."

    def __init__(self, store: Any) -> None:
        url = make_url(store._url).difference_update_query(["statement_cache_size"])
        self._url = url.render_as_string(hide_password=False)

    def read(self, table: str) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=psycopg.rows.dict_row) as connection:
            query: Any = f"SELECT * FROM runfold.{table}"
            return connection.execute(query).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute(statement)  # type: ignore[arg-type]


def _limits(limits: Limits, table: str) -> list[dict[str, Any]]:
    match table:
        case "limits":
            return [one._asdict() for one in limits.known.values()]
        case "holds":
            return [
                {"bucket": one, "job": job} for one in limits.holds for job in limits.holds[one]
            ]
        case "starts":
            starts = limits.starts.items()
            return [{"bucket": bucket, "at": at} for bucket, each in starts for at, _ in each]
        case _:
            return [{"bucket": one, "until": at} for one, at in limits.closures.items()]


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)


def _row(row: dict[str, Any]) -> Row:
    return tuple(sorted(row.items(), key=lambda item: item[0]))
