"""The archive on PostgreSQL: ``runfold.archive`` moves runs in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, select

from runfold.ports import Stored
from runfold.ports_archive import AGAIN_SECONDS, EVENTS_MAX, Counted, Rest, Wanted
from runfold.store.sql import archive_queries
from runfold.store.sql.compiled import for_postgres
from runfold.store.sql.postgres_queries import PostgresQueries, stored
from runfold.store.sql.schema import ARCHIVE

_ARCHIVE = "SELECT runfold.archive($1, $2, $3, $4, $5)"
_READ_WANTED = for_postgres(
    archive_queries.read_wanted(
        lambda column, name: column == any_(bindparam(name, type_=ARRAY(Text())))
    )
)
_ERASE = "SELECT runfold.erase($1, $2, $3, $4, $5)"
_ARCHIVABLE = for_postgres(archive_queries.archivable())
_COUNTED = for_postgres(archive_queries.counted())
_ARCHIVED = for_postgres(
    select(ARCHIVE.c.stream).where(
        ARCHIVE.c.log_id == bindparam("log_id"),
        ARCHIVE.c.stream == any_(bindparam("streams", type_=ARRAY(BigInteger()))),
        ARCHIVE.c.version == 1,
    )
)


class PostgresArchive(PostgresQueries):
    """``ports_archive.Archives``."""

    async def archive(self, streams: Sequence[int], *, now: datetime | None = None) -> int:
        """Move those of these runs that have ended, in this order; return how many were moved."""
        values = [self.identity.log_id, list(streams), now, EVENTS_MAX, AGAIN_SECONDS]
        return int(await self._writer.call(lambda link: link.value(_ARCHIVE, values)))

    async def archivable(self, *, after: int, before: datetime, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs in the log that ended by ``before``, in order."""
        rows = await self._rows(_ARCHIVABLE, after=after, before=before, limit=limit)
        return [stream for (stream,) in rows]

    async def archived(self, streams: Sequence[int]) -> set[int]:
        """Return those of these streams that are in the archive."""
        return {stream for (stream,) in await self._rows(_ARCHIVED, streams=streams)}

    async def read_wanted(self, wanted: Wanted, *, after: int, upto: int) -> list[Stored]:
        """Return the events with positions in ``(after, upto]`` that are wanted, in order."""
        topics, part, parts, shared = wanted
        asked = {"topics": topics, "part": part, "parts": parts, "shared": shared}
        rows = await self._rows(_READ_WANTED, after=after, upto=upto, **asked)
        return stored(rows)

    async def erase(self, stream: int, rests: Sequence[Rest], *, timer: int | None = None) -> None:
        """Store ``rests`` in place of these events of a run."""
        versions, states = [one.version for one in rests], [one.state for one in rests]
        values = [self.identity.log_id, stream, versions, states, timer]
        await self._writer.call(lambda link: link.value(_ERASE, values))

    async def counted(self) -> Counted:
        """Return how many events are in the log and in the archive, read in one statement."""
        log, archive, head = (await self._rows(_COUNTED))[0]
        return Counted(log, archive, head or 0)
