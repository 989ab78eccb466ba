"""Every setting, in one frozen object that is read once, at the border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Protocol

from runfold.errors import InvalidSettings

Span = float | timedelta
"""Seconds, or a ``timedelta``."""

SPAN_MAX = 100 * 366 * 86_400.0
"""The longest delay, deadline or timeout of a run, in seconds: a hundred years."""


def seconds(span: Span) -> float:
    """Return ``span`` in seconds."""
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


class SaysRetry(Protocol):
    """What ``Retry`` is to those who do not know it."""

    max_attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How an engine behaves; spans are seconds or ``timedelta``."""

    migrate: bool = False
    """Bring an older PostgreSQL schema up to date at entry. Memory and SQLite always do so."""

    lease: Span = 30
    """How long a process keeps its claimed jobs without renewing. At least 3 seconds.

    Shorter finds dead workers sooner; longer tolerates slower databases. Renewed every third
    of it, from a thread of its own.
    """

    grace: Span = 30
    """How long handlers of a run that was cancelled or failed may go on before they are fenced."""

    chain: bool = True
    """Whether the end of a run carries a hash of everything before it, for ``runfold log verify``.

    Costs the dispatcher about a twentieth of its time; a log may hold runs with and without.
    """

    drain: Span = 30
    """How long a stopping process waits for its handlers before it gives their jobs back."""

    poll_max: Span = 0.25
    """The longest pause between two looks at the log when no doorbell rings."""

    slots: int = 10
    """How many handlers of one queue one process runs at once."""

    retry: int | SaysRetry = 3
    """How often a step or job is executed that says nothing itself, and whose queue neither does:
    a number of executions in total, at least 1, or a ``Retry``."""

    timeout: Span | None = None
    """How long one attempt of a step or job may take that says nothing itself, and whose queue
    neither does. None: as long as it likes."""

    threads: int = 32
    """How many sync handlers one process runs at once, over all queues."""

    transactions: int = 10
    """How many ``ctx.transaction()`` of one process are open at once; more handlers wait. Each
    has a connection of its own, beside the engine's."""

    blocking_warn: Span = 1.0
    """An ``async def`` handler that keeps the event loop for longer than this is named in a
    warning, with its stack, while it does. 0: never."""

    batch_items: int = 500
    """How many items one commit gathers at most."""

    batch_events: int = 2000
    """How many events one commit gathers at most (``start_many`` may exceed it)."""

    batch_bytes: int = 4_000_000
    """How many bytes of payload one commit gathers at most."""

    payload_warn: int = 256 * 1024
    """An event larger than this (bytes as stored, of its largest value mostly) is warned about."""

    payload_max: int = 16 * 1024 * 1024
    """An event larger than this (bytes as stored) is refused with ``PayloadTooLarge``."""

    blob_min: int = 64 * 1024
    """An encoded event larger than this (bytes) is kept beside the log, named by its hash."""

    gc_threshold: int = 20_000
    """How many new objects start a collection of garbage while a Runfold is entered, at least.

    Open runs are many long-lived objects; Python's own 700 looks through them so often that it
    costs a fifth of the throughput. Put back when the Runfold is left; 0 leaves the collector
    alone.
    """

    synchronous: str = "FULL"
    """SQLite's ``synchronous``: ``FULL`` survives a power cut, ``NORMAL`` may lose the last
    commits of one."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, timedelta):
                object.__setattr__(self, item.name, value.total_seconds())
        self._check()

    def _check(self) -> None:
        for name, (fits, expected) in _SPANS.items():
            span = getattr(self, name)
            is_number = isinstance(span, int | float) and not isinstance(span, bool)
            if not (is_number and fits(span) and span <= SPAN_MAX):
                raise InvalidSettings(f"{name} is {span!r}, expected {expected} seconds")
        for name, least in _NUMBERS.items():
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise InvalidSettings(f"{name} is {number!r}, expected at least {least}")
        if self.timeout is not None and not _is_span(self.timeout):
            raise InvalidSettings(
                f"timeout is {self.timeout!r}, expected more than 0 seconds, or None"
            )
        attempts = getattr(self.retry, "max_attempts", self.retry)
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise InvalidSettings(f"retry is {self.retry!r}, expected at least 1, or a Retry()")
        if self.synchronous not in ("FULL", "NORMAL"):
            raise InvalidSettings(
                f"synchronous is {self.synchronous!r}, expected 'FULL' or 'NORMAL'"
            )


def _is_span(span: object) -> bool:
    is_number = isinstance(span, int | float) and not isinstance(span, bool)
    return is_number and 0 < span <= SPAN_MAX  # type: ignore[operator]


_Fits = Callable[[float], bool]
_SPANS: dict[str, tuple[_Fits, str]] = {
    "lease": (lambda span: span >= 3, "at least 3"),
    "grace": (lambda span: span >= 0, "0 or more"),
    "drain": (lambda span: span >= 0, "0 or more"),
    "blocking_warn": (lambda span: span >= 0, "0 or more"),
    "poll_max": (lambda span: span > 0, "more than 0"),
}
_NUMBERS = dict.fromkeys(
    (
        "slots",
        "threads",
        "transactions",
        "batch_items",
        "batch_events",
        "batch_bytes",
        "payload_max",
    ),
    1,
) | {"payload_warn": 0, "blob_min": 0}
