"""Facts about the machine, without which a figure says nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

FSYNCS = 50


def facts() -> dict[str, object]:
    """Return processor, load, versions, and what one fsync of 4 KiB costs here."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": platform.platform(),
        "load": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "fsync": f"{_fsync_milliseconds():.2f} ms in {tempfile.gettempdir()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {version(name)}" for name in ("pydantic", "asyncpg")),
        "runfold": version("runfold"),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _fsync_milliseconds() -> float:
    spans = []
    with tempfile.TemporaryFile() as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            spans.append((time.perf_counter() - began) * 1000)
    return median(spans)
