"""Lines that a handler logs, through its context or through stdlib ``logging``."""

from __future__ import annotations

import logging
import math
from contextvars import ContextVar
from typing import Any

from pydantic_core import to_jsonable_python

from runfold.define.context import Logger
from runfold.flow.events import Log
from runfold.runtime.context_attempt import Attempt, clean

CURRENT: ContextVar[Attempt | None] = ContextVar("runfold_attempt", default=None)
"""The attempt on whose behalf this code runs."""

_LEVELS = {"debug", "info", "warning", "error"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class AttemptLogger(Logger):
    """Records lines of one attempt. What cannot be stored is recorded as its ``repr``."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def log(self, level: str, message: str, meta: dict[str, Any]) -> None:
        """Record ``message`` at ``level``."""
        self._attempt.leave(Log(level=level, message=clean(message), meta=loose(meta)))


class Bridge(logging.Handler):
    """Records what reaches the root logger inside a handler, at the levels configured there."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0

    def install(self) -> None:
        """Listen, until ``remove`` was called as often."""
        self._users += 1
        if self._users == 1:
            logging.getLogger().addHandler(self)

    def remove(self) -> None:
        """Listen no longer."""
        self._users -= 1
        if self._users == 0:
            logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Record the line, and print it as Python would have done without us."""
        last = logging.lastResort
        is_alone = logging.getLogger().handlers == [self]
        if is_alone and last is not None and record.levelno >= last.level:
            last.handle(record)
        attempt = CURRENT.get()
        # The engine's own lines are about the engine; recording them would cause more.
        if attempt is None or attempt.ended is not None or _is_ours(record.name):
            return
        try:
            attempt.leave(line_of(record))
        except RuntimeError:  # It ended in between, on another thread.
            return


BRIDGE = Bridge()


def loose(meta: dict[str, Any]) -> dict[str, Any]:
    """Return ``meta`` as plain JSON, with the ``repr`` of what has none."""
    if all(type(value) in (str, int, bool) and _is_plain(value) for value in meta.values()):
        return meta
    made = to_jsonable_python(meta, fallback=repr, serialize_unknown=True, bytes_mode="base64")
    return {clean(key): _plain(value) for key, value in made.items()}


def _is_plain(value: Any) -> bool:
    return not isinstance(value, str) or value.isascii()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def line_of(record: logging.LogRecord) -> Log:
    """Return a line of stdlib ``logging`` as the event that records it."""
    level = record.levelname.lower()
    meta = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    meta["logger"] = record.name
    if record.exc_info:
        meta["exception"] = logging.Formatter().formatException(record.exc_info)
    return Log(
        level=level if level in _LEVELS else "error" if record.levelno >= 40 else "info",
        message=clean(record.getMessage()),
        meta=loose(meta),
    )


def _is_ours(name: str) -> bool:
    return name == "runfold" or name.startswith("runfold.")
