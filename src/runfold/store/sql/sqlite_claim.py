"""Claims: ready jobs, best first, leased to a member and started in the stream of their run.

The index ``jobs_ready`` holds claimable rows only, by queue, priority and id; a claim walks it
from the best priority down, skipping priorities that nobody uses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, select, text, update

from runfold.flow.events import StepStarted
from runfold.ports import Claim, Encoded, Job
from runfold.store.sql.schema import JOBS, STREAMS
from runfold.store.sql.sqlite_values import limited, moment, param, prepared
from runfold.store.sql.sqlite_write import Writing

PAGE_JOBS_MIN = 32
"""How many rows one probe reads at least, so that jobs without a taker are passed quickly."""
_ABOVE_BEST = 11

_LOG, _QUEUE = param("log"), param("of_queue")
_READY = text("member IS NULL AND NOT blocked")

_PRIORITY = prepared(
    limited(
        select(JOBS.c.priority)
        .where(
            JOBS.c.log_id == _LOG,
            JOBS.c.queue == _QUEUE,
            JOBS.c.priority < param("below"),
            _READY,
        )
        .order_by(JOBS.c.priority.desc())
    ),
    "log", "of_queue", "below", "limit",
)  # fmt: skip
_READY_JOBS = prepared(
    limited(
        select(
            JOBS.c.id, JOBS.c.stream, STREAMS.c.id, JOBS.c.flow, JOBS.c.step, JOBS.c.activation,
            JOBS.c.attempt, JOBS.c.queue, JOBS.c.priority, JOBS.c.key, JOBS.c.inputs,
        )
        .join(STREAMS, and_(STREAMS.c.log_id == _LOG, STREAMS.c.stream == JOBS.c.stream))
        .where(
            JOBS.c.log_id == _LOG,
            JOBS.c.queue == _QUEUE,
            JOBS.c.priority == param("of_priority"),
            JOBS.c.id >= param("floor"),
            _READY,
        )
        .order_by(JOBS.c.id)
    ),
    "log", "log", "of_queue", "of_priority", "floor", "limit",
)  # fmt: skip
_LEASE = prepared(
    update(JOBS)
    .where(JOBS.c.log_id == _LOG, JOBS.c.id == param("of"))
    .values(member=param("token")),
    "token", "log", "of",
)  # fmt: skip


def claim(connection: sqlite3.Connection, log: int, asked: Claim, writing: Writing) -> list[Job]:
    """Lease and start what ``asked`` gets, seeing everything that ``writing`` has sent."""
    taken = _best(connection, log, asked)
    connection.executemany(_LEASE, [(asked.token, log, row[0]) for row in taken])
    writing.know_all({row[1] for row in taken})
    ts, jobs = moment(writing.ts), []
    for row in taken:
        step, activation, attempt, key = row[4], row[5], row[6], row[9]
        started = Encoded(StepStarted.TOPIC, asked.state, step, activation, attempt, key)
        version = writing.append(row[1], started)
        jobs.append(Job._make((*row, writing.position, version, ts)))
    return jobs


def _best(connection: sqlite3.Connection, log: int, asked: Claim) -> list[tuple[Any, ...]]:
    targets = set(asked.targets)
    taken: list[tuple[Any, ...]] = []
    for priority in _priorities(connection, log, asked.queue):
        if len(taken) >= asked.limit:
            break
        for row in _ready(connection, log, asked, priority):
            if (row[3], row[4]) in targets:
                taken.append(row)
                if len(taken) == asked.limit:
                    break
    return taken


def _priorities(connection: sqlite3.Connection, log: int, queue: str) -> Iterator[int]:
    """Yield the priorities in use, best first."""
    below = _ABOVE_BEST
    while row := connection.execute(_PRIORITY, (log, queue, below, 1)).fetchone():
        below = row[0]
        yield below


def _ready(
    connection: sqlite3.Connection, log: int, asked: Claim, priority: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the ready jobs of one priority, first ready first, page by page."""
    size = max(asked.limit, PAGE_JOBS_MIN)
    floor = asked.floors[_ABOVE_BEST - 1 - priority] if asked.floors else 0
    page: list[tuple[Any, ...]] = [()] * size
    while len(page) == size:
        where = (log, log, asked.queue, priority, floor, size)
        page = connection.execute(_READY_JOBS, where).fetchall()
        yield from page
        floor = page[-1][0] + 1 if page else floor
