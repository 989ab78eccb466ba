"""Code that keeps the turn for ever: found after a while, named by its line, interrupted.

A simulation runs one thing at a time. A handler that loops, or waits for a lock that another
one holds, stops all of it where no virtual time passes and nothing can be counted.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path
from types import FrameType

from runfold.testing.simulation.places import place_of

PATIENCE = 60.0
"""Real seconds for which a handler may keep the turn."""
_DEBUGGERS = ("bdb.py", "pdb.py", "pydevd.py")


class Hung(RuntimeError):
    """A handler keeps the simulation: it loops, or blocks in a way that nothing here sees.

    Raised by the call that drives the simulation, which cannot go on.
    """


class Over(BaseException):
    """Unwinds a handler whose simulation is over, or whose process was killed."""


def hung(thread: threading.Thread) -> Hung | None:
    """Return the error for what ``thread`` has not ended in time; None while it is debugged."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - no public way
    if _is_debugged(frame):
        return None
    return Hung(
        f"a handler has kept the simulation for {PATIENCE:g} real seconds, at {place_of(frame)}: "
        "it loops, or waits for something that another handler holds, such as a lock that is "
        "kept across a call of ctx"
    )


def interrupt(thread: threading.Thread) -> None:
    """Raise ``Over`` in ``thread`` as soon as it executes Python code."""
    ident = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Over))


def _is_debugged(frame: FrameType | None) -> bool:
    while frame is not None:
        if Path(frame.f_code.co_filename).name in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False
