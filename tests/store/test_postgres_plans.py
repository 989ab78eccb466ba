"""Every statement on PostgreSQL is a probe or a short range, also when planned while empty.

Plans are made once a connection, often before the tables hold anything, and stay when they
are full. So statements are explained on an empty database, and the function's own are
counted: planned empty, then run beside thousands of rows that they must not read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import psycopg
import pytest

from runfold.items import Claim, Encoded, Item
from runfold.store.sql import (
    migrate,
    postgres_archive,
    postgres_doorbell,
    postgres_log,
    postgres_work,
)
from runfold.store.sql.compiled import Compiled
from runfold.store.sql.postgres import PostgresStore
from runfold.testing.contract_scene import (
    NOON,
    WORKER,
    Scene,
    after,
    claim,
    event,
    key_of,
    new,
    row,
)

MODULES = (postgres_archive, postgres_log, postgres_work, postgres_doorbell)
RUNS = 2_000
READ_MAX = 60
"""How many index entries one small batch may read, of any index."""
SMALL_TABLES = ("logs", "members", "leaders", "cursors")
"""One row a log, process or reader: read as a whole is fine."""
WHOLE = {
    "postgres_archive._COUNTED": "counts events, for people",
    "postgres_work._COUNTS": "counts jobs, for people",
    "postgres_work._OPEN_TIMERS": "counts timers, for people",
}


def statements(module: ModuleType) -> Iterator[tuple[str, str]]:
    name = module.__name__.rpartition(".")[2]
    for key, value in vars(module).items():
        if isinstance(value, Compiled):
            yield f"{name}.{key}", value.text


STATEMENTS = dict(pair for module in MODULES for pair in statements(module))
EXPLAINED = sorted(STATEMENTS.keys() - WHOLE)


def plan_of(url: str, text: str) -> str:
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off")
        explain: Any = f"EXPLAIN (GENERIC_PLAN) {text}"
        found = connection.execute(explain).fetchall()
    return "\n".join(line for (line,) in found)


@pytest.mark.parametrize("name", EXPLAINED)
def test_no_statement_reads_a_table_or_filters_an_index(postgres_url: str, name: str) -> None:
    plan = plan_of(postgres_url, STATEMENTS[name])
    scanned = set(re.findall(r"Seq Scan on (\w+)", plan))
    assert scanned <= set(SMALL_TABLES), plan


@pytest.mark.parametrize(
    ("name", "index", "condition"),
    [
        ("postgres_log._READ", "events_pk", '(log_id = $1) AND ("position" > $2)'),
        ("postgres_log._READ_STREAM", "events_version", "(stream = $2) AND (log_id = $1)"),
        ("postgres_log._READ_VERSIONS", "events_version", "version = wanted.versions"),
        ("postgres_log._LAST_VERSION", "events_version", "(stream = $2) AND (log_id = $1)"),
        ("postgres_log._READ_ALL", "archive_pk", '(log_id = $1) AND ("position" > $2)'),
        ("postgres_log._READ_STREAM_ARCHIVED", "archive_version", "(stream = $2) AND (log_id"),
        ("postgres_log._READ_VERSIONS_ARCHIVED", "archive_version", "version = wanted.versions"),
        ("postgres_log._LAST_VERSION_ARCHIVED", "archive_version", "(stream = $2) AND (log_id"),
        ("postgres_archive._ARCHIVED", "archive_version", "log_id = $1"),
        ("postgres_archive._ARCHIVABLE", "streams_pk", "stream > $"),
        ("postgres_log._HEAD", "events_pk", "log_id = $1"),
        ("postgres_log._PLACES", "events_pk", '"position" = wanted.positions'),
        ("postgres_log._FIND", "streams_id", "id = wanted.ids"),
        ("postgres_log._NAMES", "streams_pk", "stream = wanted.streams"),
        ("postgres_log._RUNS", "streams_pk", "stream < $2"),
        ("postgres_log._OPEN_RUNS", "open_runs_pk", "stream > $2"),
        ("postgres_work._DUE", "timers_due", "(log_id = $1) AND (due_at <= "),
        ("postgres_work._PENDING", "timers_due", "log_id = $"),
        ("postgres_work._PENDING", "inbox_log", "log_id = $"),
        ("postgres_work._PENDING", "jobs_leased", "log_id = $"),
        ("postgres_work._PENDING", "batches_at", "at < "),
        ("postgres_work._PENDING", "events_pk", "log_id = $"),
        ("postgres_work._STALLED", "jobs_leased", "log_id = $1"),
        ("postgres_work._LEASED", "jobs_leased", "(log_id = $1) AND (member = $2)"),
        ("postgres_work._HELD", "jobs_leased", "(log_id = $1) AND (member = $2)"),
        ("postgres_work._INBOX", "inbox_log", "log_id = $1"),
        ("postgres_work._OLD_BATCHES", "batches_at", "at < (COALESCE($"),
    ],
)
def test_a_statement_uses_its_index(
    postgres_url: str, name: str, index: str, condition: str
) -> None:
    plan = plan_of(postgres_url, STATEMENTS[name])
    assert f" using {index} on " in plan, plan
    assert any(condition in line for line in plan.splitlines() if "Index Cond" in line), plan


CLAIM = {
    "p_log": "$1::integer",
    "c_queue[n]": "$2",
    "v_room": "$3::bigint",
    "v_targets": "$4::text[]",
    "v_given[11 - level.priority]": "$5::bigint",
}
WALK = {
    "p_log": "$1::integer",
    "p_queue": "$2",
    "v_page": "$3::bigint",
    "p_targets": "$4::text[]",
    "v_level": "$6::integer",
    "greatest(v_place, p_given[11 - level.priority])": "$5::bigint",
    "p_given[11 - level.priority]": "$5::bigint",
    "v_place": "$7::bigint",
    "v_id": "$8::bigint",
}


@pytest.mark.parametrize(
    ("file", "pattern", "variables", "condition"),
    [
        ("36_claim", r"FROM \(\s+SELECT found\..*?\) ready", CLAIM, "(place >= $5)"),
        ("72_walk", r"(?<=FOR v_job IN).*?(?=LOOP)", WALK, "(ROW(place, id) >= ROW("),
    ],
)
def test_a_claim_scans_the_index_of_ready_jobs_from_its_floor(
    postgres_url: str, file: str, pattern: str, variables: dict[str, str], condition: str
) -> None:
    text = (migrate.scripts() / f"sql/functions/{file}.sql").read_text()
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None
    scan = found[0] if found[0].lstrip().startswith("SELECT") else f"SELECT ready.* {found[0]}"
    for name, parameter in variables.items():
        scan = scan.replace(name, parameter)
    plan = plan_of(postgres_url, scan)
    assert "Index Scan using jobs_ready on jobs" in plan, plan
    assert "Sort" not in plan, plan
    conditions = next(line for line in plan.splitlines() if "Index Cond" in line)
    assert "(priority = level.priority)" in conditions, plan
    assert condition in conditions, plan


class Counted:
    """What one batch reads from each index and table, on the connection that planned it."""

    def __init__(self, store: PostgresStore, url: str) -> None:
        self.store, self.url = store, url

    async def reads(self, batch: Callable[[], Any]) -> dict[str, int]:
        await self._flush()
        await self._run("SELECT pg_stat_reset()")
        await batch()
        await self._flush()
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                """
                SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
                UNION ALL
                SELECT relname, coalesce(seq_tup_read, 0) FROM pg_stat_user_tables
                """
            ).fetchall()
        return {name: count for name, count in found if count}

    async def _flush(self) -> None:
        await self._run("SELECT pg_stat_force_next_flush()")
        await self._run("SELECT 1")

    async def _run(self, text: str) -> None:
        await self.store._writer.call(lambda link: link.rows(text))


async def one_of_each(scene: Scene, name: str) -> Sequence[Callable[[], Any]]:
    """Return batches of every kind, each ready to be committed once."""
    timed = await scene.start(f"{name}-timed", row(kind="retry", delay=0.0))
    waiting = await scene.start(f"{name}-waiting", row(activation=7))
    paused = await scene.start(f"{name}-paused", row())
    ended = await scene.start(
        f"{name}-ended",
        row(),
    )
    await scene.start(f"{name}-run", row(queue=name))
    (held_job,) = await scene.claim(1, queue=name)
    await scene.start(f"{name}-lost", row(queue=name))
    (lost_job,) = await scene.claim(1, queue=name, token=99)
    floor = await scene.start(f"{name}-ready", row())
    start = new(f"{name}-new", event("flow.start"), event(), rows=[row(1), row(0, kind="grace")])
    facts = Item([event()], stream=timed, version=1)
    items = {
        "start": start,
        "fact": facts,
        "complete": Item(
            [event("step.completed")], stream=held_job.stream, lease=(held_job.id, WORKER),
            frees=True,
        ),
        "timer": Item([event("timer.due")], stream=timed, timer=timed),
        "stalled": Item([event("step.stalled")], stream=lost_job.stream, stalled=lost_job.id),
        "drop": Item([event()], stream=waiting, drops=[("step", 7)]),
        "pause": Item([event()], stream=paused, gate=1),
        "end": Item([event("flow.completed")], stream=ended, clears=True),
    }  # fmt: skip

    def commit(item: Item) -> Callable[[], Any]:
        return lambda: scene.commit(item, now=after(1))

    def claims(wanted: Claim) -> Callable[[], Any]:
        return lambda: scene.commit(claims=[wanted])

    return [
        *(commit(item) for item in items.values()),
        claims(claim(1, floors=[floor] * 10)),
        claims(claim(1, queue="?")),
    ]


def test_batches_that_were_planned_on_empty_tables_read_little_when_they_are_full(
    postgres_url: str,
) -> None:
    async def test() -> None:
        store = PostgresStore(postgres_url)
        await store.open()
        scene, counted = Scene(store), Counted(store, postgres_url)
        for number in range(2):
            for batch in await one_of_each(scene, f"empty-{number}"):
                await batch()
        await _fill(scene)
        for batch in await one_of_each(scene, "full"):
            reads = await counted.reads(batch)
            assert {name: n for name, n in reads.items() if n > READ_MAX} == {}
        await store.close()

    asyncio.run(test())


async def _fill(scene: Scene) -> None:
    """Add runs, ready and leased jobs, timers, ended runs."""
    for start in range(0, RUNS, 500):
        names = [f"fill-{n}" for n in range(start, start + 500)]
        await scene.commit(
            *(new(name, event(), event(), rows=[row(), row(1, kind="sleep", delay=0.0)])
              for name in names)
        )  # fmt: skip
        found = await scene.store.find([key_of(name) for name in names[:100]])
        ends = [
            Item([Encoded("flow.completed", b"{}")], stream=stream, clears=True)
            for stream in found.values()
        ]
        await scene.commit(*ends, claims=[claim(100, token=77)], now=NOON)
