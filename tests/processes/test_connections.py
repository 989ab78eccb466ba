"""Connections that die under load: every run ends, once."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy.engine import make_url

from processes.member import engine
from processes.test_kills import RUNS, check, ended

KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def kill_connections(url: str) -> None:
    """End every session of the database but this one."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(KILL)


@pytest.mark.parametrize("kills", [5])
def test_connections_that_are_killed_lose_and_repeat_nothing(postgres_url: str, kills: int) -> None:
    async def scenario() -> None:
        async with engine(postgres_url) as rf:
            runs = await rf.start_many("work", list(range(RUNS)))
            for number in range(1, kills + 1):
                await ended(rf, number * 10)
                await asyncio.to_thread(kill_connections, postgres_url)
            counts = await check(rf, runs)
            assert counts["step.stalled"] == 0

    asyncio.run(asyncio.wait_for(scenario(), 60))
