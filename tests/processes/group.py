"""Starting and killing processes of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMBER = Path(__file__).with_name("member.py")


def environment(**more: str) -> dict[str, str]:
    """Return that of this process, in which a script of this folder finds the others by name."""
    return {**os.environ, "PYTHONPATH": str(MEMBER.parents[1]), **more}


class Group:
    """Processes over one database; all are gone when the test is over."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._all: list[subprocess.Popen[str]] = []

    def start(self, roles: str, *, skew: float = 0) -> subprocess.Popen[str]:
        """Return a process that serves ``roles`` and has begun; its clock is ``skew`` s ahead."""
        process = subprocess.Popen(
            [sys.executable, str(MEMBER), self._url, roles],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(SKEW=str(skew)),
        )
        self._all.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._all:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def group(url: str) -> Iterator[Group]:
    """Yield a group that ends with the block."""
    one = Group(url)
    try:
        yield one
    finally:
        one.end()
