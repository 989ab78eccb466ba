"""Bringing the stored state of an older class version up to today's."""

from __future__ import annotations

from typing import Any

from runfold.kernel.event import Event
from runfold.kernel.registry import UnknownEvent

VERSION_KEY = "class_version"
"""Where a stored state says its class version; absent at version 1, as in ``eventsourcing``."""


def upcast(cls: type[Event], state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` in the shape of ``cls.class_version``, changed in place.

    Raises ``UnknownEvent`` when the state is of a newer version than the class.
    """
    version = state.pop(VERSION_KEY, 1)
    if version > cls.class_version:
        raise UnknownEvent(cls.TOPIC, version)
    while version < cls.class_version:
        getattr(cls, f"upcast_v{version}_v{version + 1}")(state)
        version += 1
    return state
