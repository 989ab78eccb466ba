"""How an attempt ended, as the events that say so."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from pydantic_core import to_jsonable_python

from runfold.errors import PermanentError, RateLimited, RetryableError, RunfoldError
from runfold.flow.events import ErrorInfo, StepCompleted, StepErrored
from runfold.kernel.event import Draft, maker
from runfold.ports import Job
from runfold.runtime.context_attempt import Attempt, UndeclaredEmit, clean
from runfold.settings import seconds

STACK_MAX = 8_000
"""How many characters of a stack are kept: the last ones, where it was raised."""
MESSAGE_MAX = 4_000
"""How many characters of a message are kept."""

_step_completed = maker(StepCompleted)
_ENGINE = ("runfold/runtime/executor", "runfold/runtime/process")


@dataclass(frozen=True)
class Raised:
    """What a handler raised, as plain data: it may come from another process."""

    info: ErrorInfo
    retry_at: datetime | None = None
    retry_after: float | None = None
    charged: bool = True


def name_of(cls: type) -> str:
    """Return the name by which data speaks of a class: module and qualified name."""
    # The worker's __main__ has another name in a spawned process.
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}.{cls.__qualname__}"


def is_among(cls: type, names: Collection[str]) -> bool:
    """Return whether ``names`` has that of ``cls`` or of one of its bases."""
    return bool(names) and any(name_of(base) in names for base in cls.__mro__)


def raised(
    error: BaseException,
    *,
    never: Sequence[type[BaseException]] = (),
    names: Collection[str] = (),
    refused: bool = False,
) -> Raised:
    """Return ``error`` as history keeps it. ``refused``: it is about a value of the handler's.

    ``never``, ``names``: classes of exceptions after which nothing is tried again.
    """
    is_ours = refused or isinstance(error, UndeclaredEmit)
    final = is_ours or isinstance(error, (PermanentError, *never)) or is_among(type(error), names)
    retry_at, retry_after, note = (None, None, "") if final else _when(error)
    told = traceback.TracebackException(type(error), error, _outside(error.__traceback__))
    info = ErrorInfo(
        type=type(error).__qualname__,
        code=error.code if is_ours and isinstance(error, RunfoldError) else "EXECUTION_ERROR",
        message=clean(told)[:MESSAGE_MAX] + note,
        stack=clean("".join(told.format()))[-STACK_MAX:],
        retryable=not final,
        details=_details(error) if refused else None,
    )
    return Raised(info, retry_at, retry_after, charged=not isinstance(error, RateLimited))


def completed(attempt: Attempt, result: Any, duration: float) -> list[Draft]:
    """Return what an attempt did that returned: its emits, its state changes, its end."""
    queue = attempt.task.job.queue
    event = _step_completed({"queue": queue, "result": result, "duration": duration})
    return [*attempt.emits, *attempt.states, attempt.draft(event)]


def errored(attempt: Attempt, found: Raised, duration: float) -> list[Draft]:
    """Return the end of an attempt that raised; nothing that it emitted counts."""
    event = StepErrored(
        queue=attempt.task.job.queue,
        error=found.info,
        retry_at=found.retry_at,
        retry_after=found.retry_after,
        charged=found.charged,
        duration=duration,
    )
    return [attempt.draft(event)]


def timed_out(attempt: Attempt, timeout: float) -> Raised:
    """Return what stands for a handler that took longer than ``timeout`` seconds."""
    handler = attempt.task.handler
    info = ErrorInfo(
        type="TimeoutError",
        code="JOB_TIMEOUT",
        message=f"attempt {attempt.task.job.attempt} of step {handler.step!r} took longer than "
        f"its timeout of {timeout:g} s",
        retryable=not (
            issubclass(TimeoutError, handler.never) or is_among(TimeoutError, attempt.task.never)
        ),
    )
    return Raised(info)


def died(exitcode: int | None) -> Raised:
    """Return what stands for a handler whose process died under it."""
    info = ErrorInfo(
        type="ProcessDied",
        code="EXECUTION_ERROR",
        message=f"the process of the handler died with exit code {exitcode} before it answered",
    )
    return Raised(info)


def failed(job: Job, code: str, error: Exception, *, again: bool = False) -> Draft:
    """Return the end of an attempt that can end in no other way.

    ``again``: trying again may help.
    """
    info = ErrorInfo(
        type=type(error).__name__, code=code, message=str(error), retryable=again,
        details=getattr(error, "details", None),
    )  # fmt: skip
    event = StepErrored(queue=job.queue, error=info)
    return Draft(event, job.step, job.activation, job.attempt, job.key)


def _when(error: BaseException) -> tuple[datetime | None, float | None, str]:
    """Return (retry_at, retry_after, note) as the handler asked; the note tells its mistake."""
    if not isinstance(error, RetryableError | RateLimited):
        return None, None, ""
    retry_at, retry_after = error.retry_at, error.retry_after
    if retry_at is not None:
        if isinstance(retry_at, datetime) and retry_at.utcoffset() is not None:
            return retry_at, None, ""
        return None, None, f" (retry_at={retry_at!r} is no moment with a time zone; ignored)"
    if retry_after is None:
        return None, None, ""
    try:
        return None, max(0.0, seconds(retry_after)), ""
    except (TypeError, ValueError):
        return None, None, f" (retry_after={retry_after!r} is no span; ignored)"


def _details(error: BaseException) -> Any:
    return to_jsonable_python(getattr(error, "details", None), fallback=repr)


def _outside(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of ``trace`` that begins in the handler."""
    while trace is not None and any(
        part in trace.tb_frame.f_code.co_filename.replace("\\", "/") for part in _ENGINE
    ):
        trace = trace.tb_next
    return trace
