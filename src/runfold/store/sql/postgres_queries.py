"""What every part of the PostgreSQL store sends its statements through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runfold.ports import LogIdentity, Stored
from runfold.store.sql.compiled import Compiled
from runfold.store.sql.moments import moment, with_moments
from runfold.store.sql.postgres_line import Line, Lines


class PostgresQueries:
    """The log that is asked, a line for engine transactions and a few for everything else."""

    identity: LogIdentity
    _writer: Line
    _readers: Lines

    async def _rows(self, statement: Compiled, **given: Any) -> list[Any]:
        """Return the rows that ``statement`` answers with, through a line of the readers."""
        values = statement.values(log_id=self.identity.log_id, **given)
        return await self._readers.call(lambda link: link.rows(statement.text, values))


def stored(rows: Sequence[Any]) -> list[Stored]:
    """Return rows as events."""
    return with_moments(rows, moment)
