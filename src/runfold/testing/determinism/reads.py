"""What handlers read that is not the same twice: the clock of this machine, and chance.

Looked for only when a run has ended in two ways already, in one more play of it: nothing is
replaced, and right programs run as they always do.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

from runfold.runtime.context_logging import CURRENT
from runfold.testing.simulation import lockstep
from runfold.testing.simulation.places import place_of

_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_CALLS = {
    **{getattr(time, name + end): f"time.{name}{end}" for name in _CLOCKS for end in ("", "_ns")},
    os.urandom: "os.urandom",
}
_OF_DATES = ("now", "utcnow", "today")
_OF_RANDOM = ("random", "getrandbits")
_NAMES = {call.__name__ for call in _CALLS} | {*_OF_DATES, *_OF_RANDOM}
_BOUNDING = ("logging", "asyncio", "concurrent", "threading.py", "queue.py", "sched.py")
_NOT_ITS_OWN = (
    *(os.path.normcase(str(Path(os.__file__).parent / name)) for name in _BOUNDING),
    os.path.normcase(lockstep.__file__),
)
"""What stamps log lines and bounds waits: no handler's outcome depends on that."""
_FOR_PEOPLE = {
    os.path.normcase(str(Path(os.__file__).parent / f"{name}.py")): name
    for name in ("uuid", "secrets", "random")
}


@dataclass(frozen=True, slots=True)
class Read:
    """One call in a handler that gives something else each time."""

    step: str
    what: str
    """``the clock`` or ``chance``."""
    call: str
    """``datetime.now``, ``uuid.uuid4`` ..."""
    place: str
    """File and line in the program's own code."""

    def __str__(self) -> str:
        return f"step {self.step!r} reads {self.what} at {self.place} ({self.call})"


@contextmanager
def watching() -> Iterator[list[Read] | None]:
    """Note what handlers read in simulations that begin and end in the block, once each.

    None where a profiler watches threads already: there can be but one.
    """
    if threading.getprofile() is not None:
        yield None
        return
    seen: dict[Read, None] = {}
    found: list[Read] = []

    def saw(frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call" and getattr(arg, "__name__", "") in _NAMES:
            read = _read(frame, arg)
            if read is not None:
                seen[read] = None

    threading.setprofile(saw)
    try:
        yield found
    finally:
        threading.setprofile(None)
        found.extend(seen)


def _read(frame: FrameType, call: Any) -> Read | None:
    attempt, name = CURRENT.get(), _named(call)
    if attempt is None or name is None:
        return None
    if os.path.normcase(frame.f_code.co_filename).startswith(_NOT_ITS_OWN):
        return None
    what = "the clock" if name.startswith(("time.", "date")) else "chance"
    return Read(attempt.task.handler.step, what, _asked_for(frame) or name, _short(frame))


def _named(call: Any) -> str | None:
    """Return what ``call`` is called, None when it gives the same each time."""
    owner, name = getattr(call, "__self__", None), call.__name__
    if isinstance(owner, type) and issubclass(owner, date) and name in _OF_DATES:
        return f"{owner.__name__}.{name}"
    if owner is random._inst and name in _OF_RANDOM:  # noqa: SLF001 - that of the module
        return f"random.{name}"
    try:
        return _CALLS.get(call)
    except TypeError:  # What it belongs to has no hash.
        return None


def _asked_for(frame: FrameType) -> str | None:
    """Return the outermost function of uuid, secrets or random that leads to ``frame``."""
    found: str | None = None
    one: FrameType | None = frame
    while one is not None:
        name = _FOR_PEOPLE.get(os.path.normcase(one.f_code.co_filename))
        if name is None:
            break
        found, one = f"{name}.{one.f_code.co_name}", one.f_back
    return found


def _short(frame: FrameType) -> str:
    return place_of(frame).removeprefix(str(Path.cwd()) + os.sep)
