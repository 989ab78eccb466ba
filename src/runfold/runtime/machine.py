"""What a node takes from the computer under it: a name, tasks, threads.

A simulation gives a node another one, on which nothing happens by itself.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from runfold.ports import Clock
from runfold.runtime.context_facts import Spawn
from runfold.runtime.executor import Executor
from runfold.runtime.membership import Renewals, RenewalThread, Renewing
from runfold.runtime.service import Service
from runfold.runtime.watchdog import Watchdog


def _nothing() -> None:
    return


class Machine:
    """This computer."""

    @property
    def name(self) -> str:
        """What a process that runs here is called in the log."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def service(self) -> Service:
        """Return what starts the tasks of one node."""
        return Service()

    def executor(self, *, spawn: Spawn, clock: Clock, threads: int) -> Executor:
        """Return what runs handlers."""
        return Executor(spawn=spawn, clock=clock, threads=threads)

    def watch(self, after: float) -> Callable[[], object]:
        """Warn of handlers that keep the event loop for ``after`` seconds; return what ends it.

        0: watch nothing.
        """
        return Watchdog(asyncio.get_running_loop(), after).stop if after else _nothing

    def renewals(self, renewing: Renewing) -> Renewals:
        """Renew a lease again and again, whatever the event loop does; return what ends it."""
        return RenewalThread(renewing)
