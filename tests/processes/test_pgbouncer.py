"""The engine behind a real PgBouncer in transaction mode, where one is installed."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from processes.group import Group, group
from processes.member import engine

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
RUNS = 60
CONFIGURATION = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def pooled_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database behind a pooler that keeps no session for anybody."""
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed: nothing here was tested through it")
    url, port = make_url(postgres_url), free_port()
    file = tmp_path / "pgbouncer.ini"
    host = url.query.get("host") or url.host
    file.write_text(CONFIGURATION.format(host=host, user=url.username or "postgres", port=port))
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    # It does not run as root; whoever runs the server may open the server's socket.
    owner = pwd.getpwuid(Path(str(host)).stat().st_uid).pw_name if Path(str(host)).exists() else ""
    as_other = ["-u", owner or "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([PGBOUNCER, "-q", *as_other, str(file)]) as pooler:
        wait_for(port)
        yield f"postgresql://postgres@127.0.0.1:{port}/{url.database}?statement_cache_size=0"
        pooler.kill()


def wait_for(port: int) -> None:
    """Return when somebody listens there."""
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")


def test_runs_end_behind_a_pooler_in_transaction_mode(pooled_url: str) -> None:
    async def scenario(members: Group) -> None:
        async with engine(pooled_url).serve({"dispatcher", "timekeeper"}) as rf:
            await asyncio.to_thread(members.start, "worker")
            await asyncio.to_thread(members.start, "worker,dispatcher,timekeeper")
            runs = await rf.start_many("work", list(range(RUNS)))
            assert [await run.result(timeout=30) for run in runs] == [2 * n for n in range(RUNS)]
            types = [event.type async for event in rf.events()]
            assert types.count("flow.completed") == RUNS
            assert "step.stalled" not in types

    with group(pooled_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))
