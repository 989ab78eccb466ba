"""One commit on SQLite: the lock, the guards, the items, the claims, the batch's number."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, delete, insert, select, tuple_

from runfold.ports import Batch, Claim, Committed, Item, Job, Outcome, Refusal, Served
from runfold.store.sql.schema import ARCHIVE, BATCHES, EVENTS
from runfold.store.sql.sqlite_claim import claim
from runfold.store.sql.sqlite_guards import facts, refusals
from runfold.store.sql.sqlite_lane import transaction
from runfold.store.sql.sqlite_values import clock, given, limited, listed, moment, param, prepared
from runfold.store.sql.sqlite_write import Writing

BATCHES_KEPT_MICROS = 3600 * 1_000_000
"""How long a batch number is remembered."""
BATCHES_PER_SWEEP = 256
"""Every so many batches of an appender, twice as many forgotten ones are removed at most."""

_LOG = param("log")
_KNOWN = prepared(
    select(BATCHES.c.first_position, BATCHES.c.at, BATCHES.c.outcomes).where(
        BATCHES.c.log_id == _LOG,
        BATCHES.c.appender == param("by"),
        BATCHES.c.number == param("counted"),
    ),
    "log", "by", "counted",
)  # fmt: skip
_LAST = prepared(
    limited(
        select(EVENTS.c.position, EVENTS.c.ts)
        .where(EVENTS.c.log_id == _LOG)
        .order_by(EVENTS.c.position.desc())
    ),
    "log", "limit",
)  # fmt: skip
_COLUMNS = ("appender", "number", "first_position", "at", "log_id", "outcomes")
_REMEMBER = prepared(insert(BATCHES).values({name: param(name) for name in _COLUMNS}), *_COLUMNS)
_places = given("positions")
_PLACES = [
    prepared(
        select(of.c.position, of.c.stream, of.c.version)
        .select_from(_places)
        .join(of, and_(of.c.log_id == _LOG, of.c.position == _places.c.value)),
        "positions", "log",
    )
    for of in (EVENTS, ARCHIVE)
]  # fmt: skip
_old = BATCHES.alias("old")
_FORGET = prepared(
    delete(BATCHES).where(
        BATCHES.c.log_id == _LOG,
        tuple_(BATCHES.c.appender, BATCHES.c.number).in_(
            limited(
                select(_old.c.appender, _old.c.number)
                .where(_old.c.log_id == _LOG, _old.c.at < param("before"))
                .order_by(_old.c.at)
            )
        ),
    ),
    "log", "log", "before", "limit",
)  # fmt: skip


class LogSettings(NamedTuple):
    """What a commit has to know of its log."""

    log: int
    blob_min: int


def commit(connection: sqlite3.Connection, log: LogSettings, batch: Batch) -> Committed:
    """Record ``batch`` in one transaction, or answer as at first when it was recorded before."""
    with transaction(connection):
        return record(connection, log, batch)


def record(connection: sqlite3.Connection, log: LogSettings, batch: Batch) -> Committed:
    """Do so in the transaction that holds the file's write lock already."""
    key = (log.log, batch.appender, batch.number)
    if known := connection.execute(_KNOWN, key).fetchone():
        return _repeated(connection, log.log, batch, *known)
    now, before = clock(batch.now), connection.total_changes
    last, last_ts = connection.execute(_LAST, (log.log, 1)).fetchone() or (0, 0)
    ts = max(now, last_ts)
    writing = Writing(connection, log.log, last=last, ts=ts, blob_min=log.blob_min)
    outcomes = _items(connection, log.log, batch.items, writing, now)
    writing.settle()
    jobs, served = _claims(connection, log.log, batch.claims, writing)
    writing.flush()
    if batch.claims and not batch.items and connection.total_changes == before:
        # Claims that got nothing leave no trace: a commit would be a change of the file, which
        # wakes every other process, which claims, which wakes this one.
        return Committed([], [], moment(ts), served=served)
    first = last + 1 if writing.position > last else 0
    refused = _refused(outcomes)
    row = (batch.appender, batch.number, first, ts, log.log, refused)
    connection.execute(_REMEMBER, row)
    if not batch.number % BATCHES_PER_SWEEP:
        forgotten = (log.log, log.log, now - BATCHES_KEPT_MICROS, 2 * BATCHES_PER_SWEEP)
        connection.execute(_FORGET, forgotten)
    return Committed(outcomes, jobs, moment(ts), first, served=served)


def _claims(
    connection: sqlite3.Connection, log: int, claims: Sequence[Claim], writing: Writing
) -> tuple[list[Job], list[Served]]:
    first = writing.position + 1
    jobs: list[Job] = []
    answers: list[Served] = []
    for asked in claims:
        found, served = claim(connection, log, asked, writing, first)
        jobs += found
        answers.append(served)
    return jobs, answers


def _items(
    connection: sqlite3.Connection, log: int, items: Sequence[Item], writing: Writing, now: int
) -> list[Outcome]:
    if not items:
        return []
    found = facts(connection, log, items, now)
    writing.know(found.heads)
    made: dict[bytes, int] = found.taken
    outcomes: list[Outcome] = []
    for item, refusal in zip(items, refusals(items, found), strict=True):
        if refusal is None:
            outcome = writing.item(item, found)
            if item.id is not None:
                made[item.id] = outcome.stream
        elif refusal is Refusal.EXISTS and item.id is not None:
            writing.exists(item)
            outcome = Outcome(refusal, made[item.id])
        else:
            outcome = Outcome(refusal)
        outcomes.append(outcome)
    return outcomes


def _refused(outcomes: Sequence[Outcome]) -> str | None:
    """Return what was refused, as ``batches.outcomes`` keeps it."""
    refused = [
        [place, int(outcome.refusal), outcome.stream]
        for place, outcome in enumerate(outcomes)
        if outcome.refusal is not None
    ]
    return json.dumps(refused) if refused else None


def _repeated(
    connection: sqlite3.Connection, log: int, batch: Batch, first: int, at: int, kept: str | None
) -> Committed:
    """Return the first answer, from what was kept and from the log itself."""
    refused = {
        place: Outcome(Refusal(refusal), stream)
        for place, refusal, stream in json.loads(kept or "[]")
    }
    position, positions = first, {}
    for place, item in enumerate(batch.items):
        if place not in refused and item.events:
            positions[place] = position
            position += len(item.events)
    asked = (listed(positions.values()), log)
    rows = [row for places in _PLACES for row in connection.execute(places, asked)]
    found = {row[0]: Outcome(None, row[1], row[0], row[2]) for row in rows}
    outcomes = [
        refused.get(place)
        or (found[positions[place]] if place in positions else Outcome(None, item.stream))
        for place, item in enumerate(batch.items)
    ]
    return Committed(outcomes, (), moment(at), first, repeated=True)
