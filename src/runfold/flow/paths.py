"""Values inside of payloads, found by a dotted path and written in one way only.

Two values are equal when they are written alike, in whatever process they were folded.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

TEXT_MAX = 200
"""The longest text of a value, in characters; a longer one is shortened and ends in its hash."""
_HEAD = 160
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


def text_of(value: Any) -> str:
    """Return ``value`` as short text that no other value has.

    A string stands for itself, unless it reads as JSON or has characters that cannot be
    printed; then, and for all else, it is the JSON: ``"7"`` is the text ``"7"`` with quotes,
    7 is ``7``, True is ``true``, None and what is missing are ``null``.
    """
    is_plain = isinstance(value, str) and value.isprintable() and not _is_json(value)
    text = value if is_plain else canonical(value)
    if len(text) <= TEXT_MAX:
        return str(text)
    return f"{text[:_HEAD]}~{hashlib.sha256(text.encode()).hexdigest()}"


def _is_json(text: str) -> bool:
    """Return whether ``text`` is, or begins like, what ``canonical`` gives for some value."""
    if not text or text[0] in '"[{':
        return True
    if text[0] not in "-0123456789tfn":
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
