"""The questions that are asked about streams: their names, and which of them are runs.

All of them are probes or short ranges of ``streams_pk``, ``streams_id`` or ``open_runs_pk``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    LargeBinary,
    Select,
    bindparam,
    func,
    select,
    true,
)
from sqlalchemy.sql.selectable import TableValuedAlias

from runfold.store.sql.schema import OPEN_RUNS, STREAMS

_LOG: BindParameter[int] = bindparam("log_id")
_NUMBERS = ARRAY(BigInteger())


def unnested(**arrays: ARRAY[Any]) -> TableValuedAlias:
    """Return the rows of parallel arrays, each a parameter of that name."""
    columns = [bindparam(name, type_=kind) for name, kind in arrays.items()]
    return func.unnest(*columns).table_valued(*arrays).render_derived("wanted")


def each(wanted: TableValuedAlias, probe: Select[Any]) -> Select[Any]:
    """Return what ``probe`` finds for each row of ``wanted``; it finds at most one.

    The limit keeps the probe a probe: without statistics (a table that was empty when the
    statement was planned) the planner would read the whole log instead.
    """
    found = probe.correlate(wanted).limit(1).lateral("found")
    return select(*found.c).select_from(wanted.join(found, true()))


def find() -> Select[Any]:
    """Return id and number of those of ``ids`` that are streams."""
    wanted = unnested(ids=ARRAY(LargeBinary()))
    return each(
        wanted,
        select(STREAMS.c.id, STREAMS.c.stream).where(
            STREAMS.c.log_id == _LOG, STREAMS.c.id == wanted.c.ids
        ),
    )


def names() -> Select[Any]:
    """Return number, id and flow of ``streams``."""
    wanted = unnested(streams=_NUMBERS)
    return each(
        wanted,
        select(STREAMS.c.stream, STREAMS.c.id, STREAMS.c.flow).where(
            STREAMS.c.log_id == _LOG, STREAMS.c.stream == wanted.c.streams
        ),
    )


def runs(*, of_flow: bool) -> Select[Any]:
    """Return numbers of runs below ``before``, newest first; only of ``flow`` if asked."""
    found = select(STREAMS.c.stream).where(
        STREAMS.c.log_id == _LOG,
        STREAMS.c.stream < bindparam("before"),
        STREAMS.c.flow == bindparam("flow") if of_flow else STREAMS.c.flow.is_not(None),
    )
    return found.order_by(STREAMS.c.stream.desc()).limit(bindparam("limit"))


def open_runs() -> Select[Any]:
    """Return numbers above ``after`` of runs that have not ended, oldest first."""
    at = OPEN_RUNS.c.stream
    return (
        select(at)
        .where(OPEN_RUNS.c.log_id == _LOG, at > bindparam("after"))
        .order_by(at)
        .limit(bindparam("limit"))
    )
