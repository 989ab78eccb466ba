"""The run's own state: what handlers set, add and append, and how long it stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from runfold.flow.events import State
from runfold.flow.state import Entry


def change(data: dict[str, Entry], event: State, expires_at: datetime | None, at: datetime) -> None:
    """Apply one change in place. What had expired at ``at`` counts as not there.

    Adding to what is no number starts from 0, appending to what is no list from ``[]``. An
    addition or append without a ``ttl`` keeps the moment at which the value expires.
    """
    entry = data.get(event.key)
    if entry is not None and entry.expires_at is not None and entry.expires_at <= at:
        entry = None
    if event.operation == "delete":
        data.pop(event.key, None)
    elif event.operation == "set":
        data[event.key] = Entry(event.value, expires_at)
    else:
        if event.ttl is None and entry is not None:
            expires_at = entry.expires_at
        value = entry.value if entry is not None else None
        owned = entry is not None and entry.owned
        if event.operation == "add":
            data[event.key] = Entry(_sum(value, event.value), expires_at)
        else:
            data[event.key] = Entry(_appended(value, event.value, owned), expires_at, True)


def later(moment: datetime, seconds: float) -> datetime | None:
    """Return the moment ``seconds`` after ``moment``, None where no calendar goes."""
    try:
        return moment + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def _sum(value: Any, number: Any) -> Any:
    try:
        return _number(value) + _number(number)
    except OverflowError:
        # An integer beyond what a float can hold met a float: it is all that counts.
        return max(_number(value), _number(number), key=abs)


def _number(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else 0


def _appended(value: Any, item: Any, owned: bool) -> list[Any]:
    """Return the list with ``item``; a list that came in an event is copied once, not changed."""
    if not isinstance(value, list):
        return [item]
    if not owned:
        return [*value, item]
    value.append(item)
    return value


def clean(data: dict[str, Entry], cleanup: str | float, outcome: str, at: datetime) -> None:
    """Apply ``state_cleanup`` at the end of a run.

    ``immediate``: nothing stays. ``on-complete``: nothing stays of a run that completed. A
    number: everything expires that many seconds after the end.
    """
    if cleanup == "immediate" or (cleanup == "on-complete" and outcome == "completed"):
        data.clear()
    elif isinstance(cleanup, int | float):
        _expire(data, cleanup, at)


def _expire(data: dict[str, Entry], seconds: float, at: datetime) -> None:
    moment = later(at, seconds)
    if moment is None:
        return
    for entry in data.values():
        if entry.expires_at is None or entry.expires_at > moment:
            entry.expires_at = moment
