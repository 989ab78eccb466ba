"""What a simulated handler must not touch: sockets, processes, threads, real waiting.

While a simulation runs, the entrances to the real world are guarded: inside a handler they
raise ``RealWorld``, in all other code they do what they always do. When the last simulation
has ended they are what they were.
"""

from __future__ import annotations

import concurrent.futures
import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from runfold.runtime.context_logging import CURRENT
from runfold.testing.simulation import lockstep
from runfold.testing.simulation.loop import VirtualLoop
from runfold.testing.simulation.ordered import REPLACED

_ENTRANCES: tuple[tuple[Any, str, str], ...] = (
    (time, "sleep", "sleeps for real (time.sleep); in an async handler await asyncio.sleep"),
    (socket.socket, "__init__", "opens a socket"),
    (socket, "create_connection", "opens a connection"),
    (socket, "getaddrinfo", "asks for an address"),
    (subprocess.Popen, "__init__", "starts a process"),
    (os, "system", "starts a process (os.system)"),
    (threading.Thread, "start", "starts a thread"),
    (concurrent.futures.ThreadPoolExecutor, "submit", "hands work to a thread"),
    (concurrent.futures.ProcessPoolExecutor, "submit", "hands work to a process"),
)
_LIBRARY = tuple(os.path.normcase(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
_PACKAGES = tuple(os.path.normcase(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
_OURS = os.path.normcase(str(Path(__file__).parents[2])) + os.sep


_UNKNOWN = "an unknown place"


class RealWorld(RuntimeError):
    """A simulated handler touched what is not simulated: use a stub, or ``deps``.

    Raised in the handler, and again by the call that drives the simulation, so that no
    ``except`` of the handler hides it.
    """


_OF_LOOPS = {
    "hands work to a thread": ("run_in_executor",),
    "asks for an address": ("getaddrinfo", "getnameinfo"),
    "starts a process": ("subprocess_exec", "subprocess_shell"),
    "opens a connection": (
        "create_connection", "create_datagram_endpoint", "create_server", "create_unix_connection",
        "create_unix_server", "connect_accepted_socket", "connect_read_pipe",
        "connect_write_pipe", "sock_accept", "sock_connect", "sock_recv", "sock_recv_into",
        "sock_recvfrom", "sock_sendall", "sock_sendfile", "sock_sendto", "start_tls",
        "add_reader", "add_writer",
    ),
    "waits for signals": ("add_signal_handler",),
}  # fmt: skip


class GuardedLoop(VirtualLoop):
    """A loop without a way out: what leads to the real world raises ``RealWorld``."""

    touched: Callable[[RealWorld], None]
    """Told of each error before it is raised."""

    def _process_events(self, events: object) -> None:
        """Do nothing: there are none."""


def _closed(what: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise refuse(what) or NotImplementedError(f"a simulation's loop never {what}")

    return refused


for _what, _names in _OF_LOOPS.items():
    for _name in _names:
        setattr(GuardedLoop, _name, _closed(_what))


class _Installed:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.originals: list[tuple[Any, str, Any]] = []


_INSTALLED = _Installed()


@contextmanager
def guarded() -> Iterator[None]:
    """Guard the entrances inside the block."""
    with _INSTALLED.lock:
        if not _INSTALLED.users:
            _install()
        _INSTALLED.users += 1
    try:
        yield
    finally:
        with _INSTALLED.lock:
            _INSTALLED.users -= 1
            if not _INSTALLED.users:
                _restore()


_CURE = "a simulation has no such thing: stub the step, or give it a double through deps="


def refuse(what: str, cure: str = _CURE) -> RealWorld | None:
    """Return the error for a handler that does ``what``, None outside of handlers."""
    attempt = CURRENT.get()
    watch = None if attempt is None else getattr(attempt.loop, "touched", None)
    if attempt is None or watch is None:
        return None
    handler = attempt.task.handler
    place = place_of(sys._getframe(1))  # noqa: SLF001 - there is no public way
    if place == _UNKNOWN:  # Asked on the loop for a `def`, which waits on its thread.
        code = handler.fn.__code__
        place = f"{code.co_filename}:{code.co_firstlineno}"
    error = RealWorld(
        f"the handler of step {handler.step!r} of {handler.flow!r} {what}, at {place}; {cure}"
    )
    watch(error)
    return error


def _install() -> None:
    for owner, name, what in _ENTRANCES:
        original = getattr(owner, name)
        _INSTALLED.originals.append((owner, name, original))
        setattr(owner, name, _guard(original, what))
    _INSTALLED.originals.append((threading.Condition, "wait", threading.Condition.wait))
    setattr(threading.Condition, "wait", _wait)  # noqa: B010 - as the others
    owner, name, code = REPLACED
    _INSTALLED.originals.append((owner, name, getattr(owner, name)))
    setattr(owner, name, code)


def _restore() -> None:
    while _INSTALLED.originals:
        owner, name, original = _INSTALLED.originals.pop()
        setattr(owner, name, original)


def _guard(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def guard(*args: Any, **kwargs: Any) -> Any:
        error = refuse(what)
        if error is not None:
            raise error
        return original(*args, **kwargs)

    guard.__wrapped__ = original  # type: ignore[attr-defined]
    return guard


def _wait(condition: Any, timeout: float | None = None) -> bool:
    if not lockstep.is_simulated_thread():
        error = refuse("waits for another thread")
        if error is not None:
            raise error
    return lockstep.wait(condition, timeout)


def place_of(frame: FrameType | None) -> str:
    """Return file and line of the call in ``frame``, in the caller's own code if there is any."""
    found = None
    while frame is not None:
        file = os.path.normcase(frame.f_code.co_filename)
        if not file.startswith((*_LIBRARY, _OURS)) or file.startswith(_PACKAGES):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            if not file.startswith(_PACKAGES):
                return place
            found = found or place
        frame = frame.f_back
    return found or _UNKNOWN
