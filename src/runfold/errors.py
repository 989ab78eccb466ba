"""One class for each decision that a caller can take; every message names the cure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RunfoldError(Exception):
    """The base of all errors of Runfold: a stable ``code``, an HTTP ``status``, ``details``."""

    code: str = "RUNFOLD_ERROR"
    status: int = 500

    def __init__(self, message: str, *, details: Any = None) -> None:
        super().__init__(message)
        self.details = details


class InvalidDefinition(RunfoldError):
    """A flow, step, queue or job is defined in a way that cannot work; nothing was served."""

    code = "INVALID_DEFINITION"


class InvalidSettings(RunfoldError):
    """A URL, a driver or a setting is wrong; nothing was connected."""

    code = "INVALID_SETTINGS"


class InvalidInput(RunfoldError):
    """A value does not fit its type; nothing was stored. ``details`` lists the fields."""

    code, status = "VALIDATION_ERROR", 422


class RunNotFound(RunfoldError):
    """There is no run of that id or key in this namespace."""

    code, status = "RUN_NOT_FOUND", 404


class UnknownTarget(RunfoldError):
    """No flow or job of that name was ever served here."""

    code, status = "UNKNOWN_TARGET", 404


class RunFinished(RunfoldError):
    """The run has ended or drains towards its end; nothing was recorded."""

    code, status = "RUN_FINISHED", 409


class RunUnfinished(RunfoldError):
    """The run goes on, and what was asked for takes one that has ended; nothing was recorded."""

    code, status = "RUN_UNFINISHED", 409


class PayloadErased(RunfoldError):
    """What was asked for is made of values that were erased from the run: ``run_id``."""

    code, status = "PAYLOAD_ERASED", 410

    def __init__(self, run_id: str, wanted: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"{wanted} of run {run_id} is gone: what users wrote in it was erased",
            details={"runId": run_id},
        )


class Unforkable(RunfoldError):
    """No run can begin from there; nothing was recorded, and the message says where one can."""

    code, status = "UNFORKABLE", 409


class EngineRunning(RunfoldError):
    """What was asked for needs all roles stopped, and a process still runs one."""

    code, status = "ENGINE_RUNNING", 409

    @classmethod
    def while_alive(cls, names: Sequence[str], *, leads: bool) -> EngineRunning:
        """Return the error that names the processes which have to be stopped first."""
        who = [repr(name) for name in names] or ["a dispatcher"] * leads
        return cls(
            f"{', '.join(who)} runs on this log, expected every role to be stopped; stop it, or "
            "wait a lease if it was killed, and try again",
            details=list(names),
        )


class LogUnreadable(RunfoldError):
    """An event of the log cannot be read by this release: ``position``, ``topic``.

    Nothing may skip it: what is folded without it never was.
    """

    code, status = "LOG_UNREADABLE", 500

    def __init__(self, position: int, topic: str, reason: object) -> None:
        self.position, self.topic = position, topic
        super().__init__(f"event {position} of type {topic!r} cannot be read: {reason}")


class KeyConflict(RunfoldError):
    """The key of a start is taken by a run with another input; nothing was recorded.

    ``run_id`` and ``key`` name it.
    """

    code, status = "KEY_CONFLICT", 409

    def __init__(self, run_id: str, key: str, *, begun: bool = False) -> None:
        self.run_id, self.key = run_id, key
        what = "which has begun with another input" if begun else "which has another input"
        super().__init__(
            f"key {key!r} is that of run {run_id}, {what}; give this start a key of its own, or "
            "leave out on_conflict= to get that run",
            details={"runId": run_id, "key": key},
        )


class RunFailed(RunfoldError):
    """The run whose result was asked for failed: ``run_id``, ``step``, ``error``."""

    code, status = "RUN_FAILED", 409

    def __init__(self, run_id: str, step: str | None, error: Any) -> None:
        self.run_id, self.step, self.error = run_id, step, error
        where = f" in step {step!r}" if step else ""
        code, message = getattr(error, "code", None), getattr(error, "message", error)
        super().__init__(f"run {run_id} failed{where}: {code}: {message}", details=error)


class RunCancelled(RunfoldError):
    """The run whose result was asked for was cancelled: ``run_id``, ``reason``."""

    code, status = "CANCELLED", 409

    def __init__(self, run_id: str, reason: str | None) -> None:
        self.run_id, self.reason = run_id, reason
        super().__init__(f"run {run_id} was cancelled" + (f": {reason}" if reason else ""))


class NameReused(RunfoldError):
    """A name that must be used once in an activation was used twice."""

    code, status = "NAME_REUSED", 409


class PayloadTooLarge(RunfoldError):
    """A value is larger than this log accepts; nothing was stored."""

    code, status = "PAYLOAD_TOO_LARGE", 413


class SchemaOutdated(RunfoldError):
    """The database has another schema than this release; the message names the command."""

    code, status = "SCHEMA_OUTDATED", 503


class StoreUnavailable(RunfoldError):
    """The database cannot be reached now; nothing is lost, try again."""

    code, status = "STORE_UNAVAILABLE", 503


class ViewNotReady(RunfoldError):
    """The view is not built yet, or has stopped before what was asked for; try again later."""

    code, status = "VIEW_NOT_READY", 503


class PermanentError(Exception):
    """Raised by a handler: the step fails for good, whatever attempts remain."""


class RetryableError(Exception):
    """Raised by a handler: try again, at ``retry_at`` or ``retry_after`` seconds if given."""

    def __init__(self, message: str = "", retry_at: Any = None, retry_after: Any = None) -> None:
        super().__init__(message)
        self.retry_at, self.retry_after = retry_at, retry_after


class RateLimited(Exception):
    """Raised by a handler that was told to slow down: not charged, tried again then."""

    def __init__(self, retry_at: Any = None, retry_after: Any = None) -> None:
        super().__init__("rate limited")
        self.retry_at, self.retry_after = retry_at, retry_after


class WaitTimeout(TimeoutError):
    """Nothing came within the time that a handler was willing to wait."""
