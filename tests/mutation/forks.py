"""A process of its own for whatever may hang, end the process or leave something behind."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Callable

BROKEN = 70
"""The exit status of work that raised."""
MEMORY_BYTES_MAX = 4 * 2**30
TIMED_OUT = (-signal.SIGPROF, -signal.SIGALRM)
"""How it ends when it takes longer than ``limit`` said."""


def fork(work: Callable[[], int]) -> int:
    """Return the exit status that ``work`` returns in a copy of this process; -N: by signal N.

    What it prints is dropped, but for the traceback of what it raises: the status is ``BROKEN``.
    """
    child = os.fork()
    if child == 0:
        status, errors = BROKEN, os.dup(2)
        try:
            _shut_in()
            status = work()
        except BaseException:
            os.write(errors, traceback.format_exc().encode())
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def limit(seconds: float) -> None:
    """Let this process end after so much more processor time, or where it only waits."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 10 + 5 * seconds)


def _shut_in() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
