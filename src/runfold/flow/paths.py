"""Values inside of payloads, found by a dotted path and written in one way only.

Two values are equal when they are written alike, in whatever process they were folded.
"""

from __future__ import annotations

import json
from typing import Any

_PLACES = {str(place): place for place in range(100)}


def at(payload: Any, path: str) -> Any:
    """Return the value at the dotted ``path``, None of a missing one; ``""`` is the payload.

    A number is a key of a dict, or a place (0 to 99) in a list.
    """
    value = payload
    for key in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key in _PLACES:
            value = value[_PLACES[key]] if _PLACES[key] < len(value) else None
        else:
            value = None
    return value


def canonical(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys; whole numbers have no fraction."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError):
        return "null"
