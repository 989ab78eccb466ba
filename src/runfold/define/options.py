"""Options of steps and jobs, documented where they are declared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypedDict

from runfold.define.limits import AnyLimit
from runfold.errors import InvalidDefinition
from runfold.flow.definition import LimitDefinition, RetryPolicy
from runfold.settings import SPAN_MAX, Span, seconds

PRIORITY_MIN = 1
PRIORITY_MAX = 10


def check_name(name: Any, what: str) -> None:
    """Raise ``InvalidDefinition`` unless ``name`` is a text of some length."""
    _check(isinstance(name, str) and name != "", f"the name of a {what}", name, "some text")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _check(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise InvalidDefinition(f"{name} is {value!r}, expected {expected}")


@dataclass(frozen=True)
class Retry:
    """How often an activation is executed, and how long it waits in between.

    An int wherever ``retry=`` stands is ``Retry(int)``.
    """

    max_attempts: int = 3
    """Executions in total, the first one included; 1 never tries again. Defaults to 3."""
    _: KW_ONLY
    base: float = 1.0
    """Seconds before the second execution. Defaults to 1."""
    factor: float = 2.0
    """How much longer each further wait is. Defaults to 2: 1 s, 2 s, 4 s, ..."""
    cap: float = 30.0
    """Seconds that no wait exceeds, jitter aside. Defaults to 30."""
    jitter: float = 0.1
    """The share of a wait by which chance makes it shorter or longer; 0 for none, at most 1.
    Defaults to 0.1."""
    never: Sequence[type[BaseException]] = ()
    """Exceptions, subclasses included, after which nothing is tried again. Defaults to none."""

    def __post_init__(self) -> None:
        said: dict[str, Any] = vars(self)
        attempts, jitter, never = said["max_attempts"], said["jitter"], said["never"]
        fits = _is_int(attempts) and attempts >= 1
        _check(fits, "max_attempts", attempts, "an int of at least 1")
        for name in ("base", "factor", "cap"):
            fits = _is_number(said[name]) and said[name] >= 0
            _check(fits, name, said[name], "a number of at least 0")
        _check(_is_number(jitter) and 0 <= jitter <= 1, "jitter", jitter, "a number from 0 to 1")
        classes = tuple(never) if isinstance(never, Sequence) else (never,)
        for item in classes:
            fits = isinstance(item, type) and issubclass(item, BaseException)
            _check(fits, "never", item, "exception classes")
        object.__setattr__(self, "never", classes)

    @property
    def policy(self) -> RetryPolicy:
        """The part of it that a definition keeps: classes are no data."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            base=self.base,
            factor=self.factor,
            cap=self.cap,
            jitter=self.jitter,
        )


class QueueDefaults:
    """A queue as steps refer to it: its name, and what holds where they say nothing."""

    def __init__(
        self,
        name: str,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
        limits: tuple[LimitDefinition, ...] = (),
        keep: float | None = None,
        keep_failed: float | None = None,
    ) -> None:
        check_name(name, "queue")
        if limits and set("=#") & set(name):
            raise InvalidDefinition(
                f"queue {name!r} has limits, and '=' or '#' in its name; rename it"
            )
        self.name = name
        self.retry = retry
        self.timeout = timeout
        self.limits = limits
        """What admits its jobs, whatever step or flow they are of."""
        self.keep = keep
        self.keep_failed = keep_failed


class Options(TypedDict, total=False):
    """What ``@flow.entry`` and ``@flow.step`` take beside their place in the graph."""

    queue: QueueDefaults | str
    """Where the step's jobs wait for a worker; of a ``Queue``, its ``retry`` and ``timeout``
    hold where the step says nothing. Defaults to ``"default"``."""
    priority: int | None
    """1 to 10, 10 is served first. None, the default, takes the run's."""
    retry: Retry | int | None
    """How often it is tried. None, the default: the queue's, else ``Settings.retry``."""
    timeout: Span | None
    """Seconds that one attempt may take before it fails with ``JOB_TIMEOUT``; it keeps its
    slot until its handler is gone. None, the default: the queue's, else ``Settings.timeout``."""
    limits: Sequence[AnyLimit] | AnyLimit
    """What admits the step's jobs, over all workers, beside the limits of its queue: a
    ``Concurrency``, ``RateLimit`` or ``MinDelay``, or a list of which all must admit. Its
    compensation counts as well. Defaults to none."""
    process: bool
    """Run a ``def`` in a process of its own: for work that keeps a core busy, or that must be
    killed when its time is over. Function and values must be importable there. Defaults to
    False."""


@dataclass(frozen=True)
class StepOptions:
    """Options after checking, as steps and jobs keep them."""

    queue: QueueDefaults = field(default_factory=lambda: QueueDefaults("default"))
    priority: int | None = None
    retry: Retry | None = None
    """None: neither the step nor its queue says."""
    timeout: float | None = None
    process: bool = False
    limits: tuple[LimitDefinition, ...] = ()


def retry_of(retry: Retry | int) -> Retry:
    """Return what stands at ``retry=`` as a ``Retry``."""
    return retry if isinstance(retry, Retry) else Retry(retry)


def span_of(span: Span | None, name: str) -> float | None:
    """Return ``span`` in seconds; None stays None."""
    if span is None:
        return None
    _check(hasattr(span, "total_seconds") or _is_number(span), name, span, "seconds")
    found = seconds(span)
    _check(math.isfinite(found) and found > 0, name, span, "more than 0 seconds")
    return found


def keep_of(keep: Span | None, name: str) -> float | None:
    """Return ``keep`` in seconds, 0 too; None stays None."""
    if keep is None:
        return None
    _check(hasattr(keep, "total_seconds") or _is_number(keep), name, keep, "seconds")
    found = seconds(keep)
    _check(0 <= found <= SPAN_MAX, name, keep, "0 seconds or more, at most a hundred years")
    return found


def priority_of(priority: int | None) -> int | None:
    """Return ``priority`` when it is one."""
    fits = priority is None or (_is_int(priority) and PRIORITY_MIN <= priority <= PRIORITY_MAX)
    _check(fits, "priority", priority, f"{PRIORITY_MIN} to {PRIORITY_MAX}")
    return priority
