"""A doorbell for subscribers of this process; those of other processes poll.

A ring is a hint: several become one, and an event that nobody waits for is simply set.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Event, Lock
from weakref import WeakSet

_LISTENERS: defaultdict[tuple[str, str], WeakSet[Event]] = defaultdict(WeakSet)
_LOCK = Lock()


def listen(place: str, log: str) -> Event:
    """Return an event that is set after each commit to ``log`` of the database ``place``."""
    event = Event()
    with _LOCK:
        _LISTENERS[place, log].add(event)
    return event


def ring(place: str, log: str) -> None:
    """Wake all that listen to ``log``."""
    with _LOCK:
        events = list(_LISTENERS.get((place, log), ()))
    for event in events:
        event.set()
