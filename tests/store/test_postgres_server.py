"""The server of the tests does not outlive the run that started it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy.engine import make_url

GONE_SECONDS_MAX = 60.0
PROJECT = Path(__file__).parents[2]
RUN = """
from benchmarks.server import running_server
with running_server() as url:
    print(url, flush=True)
    input()
"""


def test_a_killed_run_leaves_no_server() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        data = Path(str(make_url(run.stdout.readline().strip()).query["host"]))
        assert (data / "postmaster.pid").exists()
        run.kill()
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while data.parent.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not data.parent.exists()
