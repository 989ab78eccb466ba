"""Commands in processes of their own, in one folder, without anybody's configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

SECONDS_MAX = 60


class Shell:
    """Runs commands of runfold in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if k != "RUNFOLD_URL"}

    @contextmanager
    def spawn(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a process of its own; killed if it still runs when the block is left."""
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "runfold", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # In the background of a shell Ctrl-C is ignored, and so it would be here.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a process of its own to its end."""
        with self.spawn(*arguments) as process:
            stdout, stderr = process.communicate(timeout=SECONDS_MAX)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
