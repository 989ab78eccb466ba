"""What a simulated handler must not touch: sockets, processes, threads, real waiting.

While a simulation runs, the entrances to the real world are guarded: inside a handler they
raise ``RealWorld``, in all other code they do what they always do. When the last simulation
has ended they are what they were.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import multiprocessing.process
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from runfold.define.handler import Handler
from runfold.runtime.context_logging import CURRENT
from runfold.testing.simulation import lockstep
from runfold.testing.simulation.loop import VirtualLoop
from runfold.testing.simulation.ordered import REPLACED
from runfold.testing.simulation.places import UNKNOWN, place_of

_OF_NAMES = ("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")
_OF_PROCESSES = (
    "system", "fork", "forkpty", "posix_spawn", "posix_spawnp", "execv", "execve", "startfile",
)  # fmt: skip
_OWN_LOOP = "runs an event loop of its own (asyncio.run); make it an async handler"
_ENTRANCES: tuple[tuple[Any, str, str], ...] = (
    (time, "sleep", "sleeps for real (time.sleep); in an async handler await asyncio.sleep"),
    (socket.socket, "__init__", "opens a socket"),
    (socket, "create_connection", "opens a connection"),
    *((socket, name, "asks for an address") for name in _OF_NAMES),
    *((select, name, "waits for sockets") for name in ("select", "poll", "epoll")),
    (subprocess.Popen, "__init__", "starts a process"),
    (multiprocessing.process.BaseProcess, "start", "starts a process"),
    *((os, name, f"starts a process (os.{name})") for name in _OF_PROCESSES),
    (threading.Thread, "start", "starts a thread"),
    *((owner, "new_event_loop", _OWN_LOOP) for owner in (asyncio, asyncio.events)),
    (concurrent.futures.ThreadPoolExecutor, "submit", "hands work to a thread"),
    (concurrent.futures.ProcessPoolExecutor, "submit", "hands work to a process"),
)


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
        self.guards: dict[int, Any] = {}
        """The guard of each entrance that is a function, by the function's own address."""
        self.originals: list[tuple[Any, str, Any]] = []


_INSTALLED = _Installed()


@contextmanager
def guarded(namespaces: Iterable[dict[str, Any]] = ()) -> Iterator[None]:
    """Guard the entrances inside the block.

    ``namespaces``: of modules that may have them under names of their own (``from time import
    sleep``), which are guarded as well.
    """
    with _INSTALLED.lock:
        if not _INSTALLED.users:
            _install()
        _INSTALLED.users += 1
        for names in namespaces:
            for name in [name for name, was in names.items() if _is_entrance(was)]:
                _set(names, name, _INSTALLED.guards[id(names[name])])
    try:
        yield
    finally:
        with _INSTALLED.lock:
            _INSTALLED.users -= 1
            if not _INSTALLED.users:
                _restore()


def _is_entrance(value: Any) -> bool:
    return id(value) in _INSTALLED.guards


def namespaces(handlers: Iterable[Handler]) -> list[dict[str, Any]]:
    """Return the names of the modules in which handlers are written, each module once."""
    found = (getattr(inspect.unwrap(one.fn), "__globals__", None) for one in handlers)
    return list({id(names): names for names in found if names is not None}.values())


_CURE = "a simulation has no such thing: stub the step, or give it a double through deps="


def refuse(what: str, cure: str = _CURE) -> RealWorld | None:
    """Return the error for a handler that does ``what``, None outside of handlers."""
    attempt = CURRENT.get()
    watch = None if attempt is None else getattr(attempt.loop, "touched", None)
    if attempt is None or watch is None:
        return None
    handler = attempt.task.handler
    place = place_of(sys._getframe(1))  # noqa: SLF001 - there is no public way
    code = getattr(inspect.unwrap(handler.fn), "__code__", None)
    if place == UNKNOWN and code is not None:
        # Asked on the loop for a `def`, which waits on its thread.
        place = f"{code.co_filename}:{code.co_firstlineno}"
    error = RealWorld(
        f"the handler of step {handler.step!r} of {handler.flow!r} {what}, at {place}; {cure}"
    )
    watch(error)
    return error


def _install() -> None:
    for owner, name, what in _ENTRANCES:
        original = getattr(owner, name, None)
        if original is not None:  # Not every system has all of them.
            guard = _guard(original, what)
            _set(owner, name, guard)
            if not isinstance(owner, type):
                _INSTALLED.guards[id(original)] = guard
    _set(threading.Condition, "wait", _wait)
    # By which waits with a timeout are bounded in the standard library.
    _set(threading, "_time", lockstep.monotonic)
    _set(queue, "time", lockstep.monotonic)
    _set(*REPLACED)


def _set(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, or a name of a module, until the last simulation has ended."""
    if isinstance(owner, dict):
        _INSTALLED.originals.append((owner, name, owner[name]))
        owner[name] = value
    else:
        _INSTALLED.originals.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)


def _restore() -> None:
    _INSTALLED.guards.clear()
    while _INSTALLED.originals:
        owner, name, original = _INSTALLED.originals.pop()
        if isinstance(owner, dict):
            owner[name] = original
        else:
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
