"""What a caller may say about a run when starting it: checked before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from runfold.define.options import Retry, retry_of
from runfold.errors import InvalidDefinition, InvalidInput
from runfold.settings import SPAN_MAX, Span, seconds

OnConflict = Literal["return", "refuse", "replace", "debounce"]
"""What becomes of a start whose key is taken."""
_CONFLICTS = get_args(OnConflict)
TAGS_MAX = 50
TEXT_MAX = 500
"""The longest key or tag, in characters."""
YEAR_MIN, YEAR_MAX = 2, 9000
"""Moments outside cannot be computed with in every time zone."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What the caller wants to become of the start."""

    how: OnConflict = "return"
    max_delay: float | None = None
    """Seconds after the first start by which a debounced run is due, whoever starts it again."""


def start_fields(
    input: Any,
    *,
    key: str | None = None,
    tags: Sequence[str] | None = None,
    run_at: datetime | None = None,
    delay: Span | None = None,
    deadline: datetime | Span | None = None,
    priority: int | None = None,
    retry: Any = None,
    timeout: Span | None = None,
) -> dict[str, Any]:
    """Return the fields of ``flow.start``; raises ``InvalidInput`` naming the option."""
    fields: dict[str, Any] = {"input": input}
    if key is not None:
        fields["key"] = _text("key", key)
    if tags is not None:
        fields["tags"] = _tags(tags)
    if run_at is not None and delay is not None:
        raise _refused("run_at", "run_at and delay were both given; give one of them")
    if run_at is not None:
        fields["due_at"] = _moment("run_at", run_at)
    if delay is not None:
        fields["delay"] = checked_span("delay", delay)
    if deadline is not None:
        moment = isinstance(deadline, datetime)
        fields["deadline"] = (
            _moment("deadline", deadline) if moment else checked_span("deadline", deadline)
        )
    if priority is not None:
        fields["priority"] = _priority(priority)
    if retry is not None:
        fields["retry"] = _retry(retry)
    if timeout is not None:
        fields["timeout"] = checked_span("timeout", timeout, least=0.0, strictly=True)
    return fields


def take_conflict(options: dict[str, Any], *, later: bool = False) -> Conflict:
    """Take ``on_conflict`` and ``max_delay`` out of ``options``; raises ``InvalidInput``.

    ``later``: the start is recorded after the caller's commit.
    """
    how, max_delay = options.pop("on_conflict", "return"), options.pop("max_delay", None)
    if how not in _CONFLICTS:
        raise _refused("on_conflict", f"on_conflict is {how!r}, expected one of {_CONFLICTS!r}")
    if how != "return" and (options.get("key") is None or later):
        raise _refused(
            "on_conflict",
            f"on_conflict={how!r} needs key=, and goes without connection=: whether a key is "
            "taken is known when the start is recorded, after the caller's commit",
        )
    if how == "debounce" and not (options.get("delay") and options.get("run_at") is None):
        raise _refused(
            "delay",
            f"delay is {options.get('delay')!r}, and on_conflict='debounce' needs one of more "
            "than 0: each start with the key puts the run off by it",
        )
    if max_delay is None:
        return Conflict(how)
    if how != "debounce":
        raise _refused(
            "max_delay", "max_delay is for on_conflict='debounce'; nothing else puts a run off"
        )
    return Conflict(how, checked_span("max_delay", max_delay, strictly=True))


def inbox_body(flow: str, hash: str, fields: Mapping[str, Any]) -> str:
    """Return the JSON that the inbox keeps of a start inside somebody's transaction."""
    return json.dumps({"target": flow, "definition": hash, **fields}, default=_iso)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no JSON")


def _refused(option: str, message: str) -> InvalidInput:
    return InvalidInput(message, details=[{"loc": option, "msg": message}])


def _text(option: str, value: object) -> str:
    fits = isinstance(value, str) and 0 < len(value) <= TEXT_MAX and "\0" not in value
    if not fits or any("\ud800" <= char <= "\udfff" for char in str(value)):
        raise _refused(
            option, f"{option} is {value!r}, expected a string of 1 to {TEXT_MAX} characters"
        )
    return str(value)


def _tags(tags: Any) -> tuple[str, ...]:
    fits = isinstance(tags, Collection) and not isinstance(tags, str | bytes | Mapping)
    if not fits or len(tags) > TAGS_MAX:
        raise _refused("tags", f"tags are {tags!r}, expected a list of at most {TAGS_MAX} strings")
    return tuple(_text("tags", tag) for tag in tags)


def _moment(option: str, value: object) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise _refused(option, f"{option} is {value!r}, expected a datetime with a time zone")
    if not YEAR_MIN <= value.year <= YEAR_MAX:
        raise _refused(option, f"{option} is {value!r}, expected a year up to {YEAR_MAX}")
    return value


def checked_span(
    option: str, value: object, *, least: float = 0.0, strictly: bool = False
) -> float:
    """Return ``value`` in seconds; raises ``InvalidInput`` naming the option."""
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise _refused(option, f"{option} is {value!r}, expected seconds or a timedelta")
    span = seconds(value)
    if not least <= span <= SPAN_MAX or (strictly and span == least):
        bound = "more than 0" if strictly else "0 or more"
        raise _refused(
            option, f"{option} is {value!r}, expected {bound} seconds, at most a hundred years"
        )
    return span


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10:
        raise _refused("priority", f"priority is {value!r}, expected 1 to 10 (10 goes first)")
    return value


def _retry(value: Any) -> dict[str, Any]:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and not isinstance(value, Retry):
        raise _refused("retry", f"retry is {value!r}, expected a number of attempts or a Retry")
    try:
        retry = retry_of(value)
    except InvalidDefinition as error:
        raise _refused("retry", f"retry: {error}") from error
    if is_number:
        return {"max_attempts": retry.max_attempts}
    return retry.policy.model_dump() | _never(retry)


def _never(retry: Retry) -> dict[str, Any]:
    """Return the exceptions of ``retry`` by name: a start is data, whoever reads it."""
    for cls in retry.never:
        if "<" in cls.__qualname__:
            raise _refused(
                "retry",
                f"retry has never={cls.__qualname__!r}, a class inside of a function, which a "
                "worker cannot know by name: define it at the top of a module",
            )
    if not retry.never:
        return {}
    return {"never": [f"{cls.__module__}.{cls.__qualname__}" for cls in retry.never]}
