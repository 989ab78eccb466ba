"""The log on PostgreSQL: a batch is one call of ``runfold.commit``, a page one statement.

A commit whose answer is lost is sent again under the same number; the function then finds
the number among ``batches`` and says what had become of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Executable, Table

from runfold.ports import Batch, Committed, Name, Outcome, Stored
from runfold.settings import Settings
from runfold.store.sql import log_queries, postgres_answer, stream_queries
from runfold.store.sql.compiled import Compiled, for_postgres
from runfold.store.sql.postgres_arguments import COMMIT, arguments
from runfold.store.sql.postgres_driver import Link
from runfold.store.sql.postgres_line import Memory, Seen
from runfold.store.sql.postgres_queries import PostgresQueries, stored
from runfold.store.sql.schema import ARCHIVE, EVENTS

_READ, _READ_ALL = for_postgres(log_queries.read()), for_postgres(log_queries.read_all())


def _of_both(question: Callable[[Table], Executable]) -> tuple[Compiled, Compiled]:
    """Return ``question`` of the log, and of the archive."""
    return for_postgres(question(EVENTS)), for_postgres(question(ARCHIVE))


_READ_STREAM, _READ_STREAM_ARCHIVED = _of_both(log_queries.read_stream)
_READ_VERSIONS, _READ_VERSIONS_ARCHIVED = _of_both(log_queries.read_versions)
_READ_STREAMS, _READ_STREAMS_ARCHIVED = _of_both(log_queries.read_streams)
_LAST_VERSION, _LAST_VERSION_ARCHIVED = _of_both(log_queries.last_version)
_PLACES, _PLACES_ARCHIVED = _of_both(log_queries.places)
_HEAD = for_postgres(log_queries.head())
_FIND = for_postgres(stream_queries.find())
_NAMES = for_postgres(stream_queries.names())
_RUNS = for_postgres(stream_queries.runs(of_flow=False))
_RUNS_OF_FLOW = for_postgres(stream_queries.runs(of_flow=True))
_OPEN_RUNS = for_postgres(stream_queries.open_runs())

_POSITION_MAX = 2**63 - 1
_VERSION_MAX = 2**31 - 1


class PostgresLog(PostgresQueries):
    """``ports.EventLog``: one line for commits, a few for reads."""

    settings: Settings
    _memory: Memory
    _recorded: Callable[[int, int], None]
    """Told the positions of the first and the last event of each commit."""

    async def commit(self, batch: Batch) -> Committed:
        """Record the batch in one transaction; see ``ports.EventLog``."""
        values = arguments(self.identity.log_id, batch, blob_min=self.settings.blob_min)

        async def ask(link: Link) -> Committed:
            row = await link.row(COMMIT, values)
            if not row["repeated"]:
                return postgres_answer.committed(batch, row)
            positions = [at for at in postgres_answer.first_positions(batch, row) if at]
            asked = {"log_id": self.identity.log_id, "positions": positions}
            found = await link.rows(_PLACES.text, _PLACES.values(**asked))
            if len(found) < len(positions):
                archived = _PLACES_ARCHIVED.values(**asked)
                found = [*found, *await link.rows(_PLACES_ARCHIVED.text, archived)]
            places = {at: (stream, version) for at, stream, version in found}
            return postgres_answer.repeated(batch, row, places)

        answer = await self._writer.call(ask)
        self._learn(batch, answer)
        return answer

    def _learn(self, batch: Batch, answer: Committed) -> None:
        """Remember the last event of a commit: a database that lacks it was rewound."""
        if answer.ts is None or answer.repeated:
            return
        if answer.jobs:
            job = answer.jobs[-1]
            self._memory.learn(Seen(job.position, job.stream, job.version, answer.ts))
            self._recorded(answer.first_position, job.position)
            return
        for item, outcome in zip(reversed(batch.items), reversed(answer.outcomes), strict=True):
            if outcome.position:
                last = _last(outcome, len(item.events), answer)
                self._memory.learn(last)
                self._recorded(answer.first_position, last.position)
                return

    async def read(self, *, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """Return at most ``limit`` events above ``after`` in order of position, no hole."""
        last = _POSITION_MAX if upto is None else upto
        rows = await self._rows(_READ, after=after, upto=last, limit=limit)
        if log_queries.has_hole(rows, after=after, limit=limit, upto=upto):
            rows = await self._rows(_READ_ALL, after=after, upto=last, limit=limit)
        events = stored(rows)
        if events:
            end = events[-1]
            self._memory.learn(Seen(end.position, end.stream, end.version, end.ts))
        return events

    async def read_stream(
        self, stream: int, *, after: int = 0, limit: int = 1000, upto: int | None = None
    ) -> list[Stored]:
        """Return events of one stream with versions in ``(after, upto]``, in order."""
        last = _VERSION_MAX if upto is None else upto
        asked = {"stream": stream, "after": after, "upto": last, "limit": limit}
        rows = await self._rows(_READ_STREAM, **asked)
        if not rows:
            rows = await self._rows(_READ_STREAM_ARCHIVED, **asked)
        return stored(rows)

    async def read_versions(self, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
        """Return the events at these (stream, version) places; missing ones are left out."""
        if not wanted:
            return []
        streams, versions = zip(*wanted, strict=True)
        rows = await self._rows(_READ_VERSIONS, streams=streams, versions=versions)
        if len(rows) < len(wanted):
            here = {(row["stream"], row["version"]) for row in rows}
            rest = [place for place in wanted if tuple(place) not in here]
            asked = dict(zip(("streams", "versions"), zip(*rest, strict=True), strict=False))
            rows += await self._rows(_READ_VERSIONS_ARCHIVED, **asked) if rest else []
        return stored(rows)

    async def read_streams(self, streams: Sequence[int], *, upto: int) -> list[Stored]:
        """Return the events of all these streams with versions up to ``upto``, each in order."""
        rows = await self._rows(_READ_STREAMS, streams=streams, upto=upto)
        if rest := set(streams) - {row["stream"] for row in rows}:
            rows += await self._rows(_READ_STREAMS_ARCHIVED, streams=sorted(rest), upto=upto)
        return sorted(stored(rows), key=_by_version)

    async def last_version(self, stream: int) -> int:
        """Return the version a stream is at, 0 for one that does not exist."""
        here = (await self._rows(_LAST_VERSION, stream=stream))[0][0]
        return here or (await self._rows(_LAST_VERSION_ARCHIVED, stream=stream))[0][0] or 0

    async def head(self) -> int:
        """Return the position of the last event, 0 in an empty log."""
        return int((await self._rows(_HEAD))[0][0] or 0)

    async def find(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the numbers of those of these stream ids that exist."""
        return dict([tuple(row) for row in await self._rows(_FIND, ids=ids)])

    async def names(self, streams: Sequence[int]) -> dict[int, Name]:
        """Return what these stream numbers stand for."""
        rows = await self._rows(_NAMES, streams=streams)
        return {stream: Name(found, flow) for stream, found, flow in rows}

    async def runs(self, *, flow: str | None, before: int | None, limit: int) -> list[int]:
        """Return stream numbers of runs, newest first, below ``before``."""
        last = _POSITION_MAX if before is None else before
        if flow is None:
            rows = await self._rows(_RUNS, before=last, limit=limit)
        else:
            rows = await self._rows(_RUNS_OF_FLOW, flow=flow, before=last, limit=limit)
        return [stream for (stream,) in rows]

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return stream numbers above ``after`` of runs that have not ended, oldest first."""
        return [stream for (stream,) in await self._rows(_OPEN_RUNS, after=after, limit=limit)]


def _last(outcome: Outcome, count: int, answer: Committed) -> Seen:
    assert answer.ts is not None
    return Seen(
        outcome.position + count - 1, outcome.stream, outcome.version + count - 1, answer.ts
    )


def _by_version(stored: Stored) -> int:
    return stored.version
