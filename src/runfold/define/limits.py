"""Limits, as people write them: on a queue, a step or a job, over all workers of all machines.

A list of limits means all of them. A job waits, ready, until every one admits it. How many
handlers one process runs at once is no limit but its ``slots``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from runfold.errors import InvalidDefinition
from runfold.flow.definition import LimitDefinition
from runfold.flow.faults_limits import faults_of_limit
from runfold.settings import Span, seconds

PER_MAX = 366 * 86_400.0
"""The longest window of a rate, in seconds: the starts of that time are remembered."""


@dataclass(frozen=True)
class Concurrency:
    """At most ``max`` jobs are leased at once; of each key, where there is one."""

    max: int
    """Jobs at once, at least 1. A job counts from its claim to the end of its attempt, also when
    the attempt has outlived its timeout and its handler is not gone."""
    _: KW_ONLY
    key: str | None = None
    """A dotted path into the input, ``"@run"`` or ``"@flow"``: one count for each value. A
    missing value is a key as well. None, the default: one count for all."""

    def __post_init__(self) -> None:
        self.definition  # noqa: B018 - checks

    @property
    def definition(self) -> LimitDefinition:
        """The limit as data."""
        return _checked("concurrency", self.max, None, self.key, self)


@dataclass(frozen=True)
class RateLimit:
    """At most ``max`` jobs are started in any window of ``per`` seconds; of each key."""

    max: int
    """Starts in the window, at least 1. A retry is a start as well."""
    per: Span
    """The window, a span of at most a year. It slides: it holds for every moment."""
    _: KW_ONLY
    key: str | None = None
    """As of ``Concurrency``."""
    even: bool = False
    """Spread the starts: one in any ``per / max`` seconds. Defaults to False."""

    def __post_init__(self) -> None:
        self.definition  # noqa: B018 - checks

    @property
    def definition(self) -> LimitDefinition:
        """The limit as data."""
        per = _span(self.per, "per", self)
        whole = _checked("rate", self.max, per, self.key, self)
        return whole.model_copy(update={"max": 1, "per": per / self.max}) if self.even else whole


@dataclass(frozen=True)
class MinDelay:
    """At least ``seconds`` between one start and the next; of each key."""

    seconds: Span
    """A span of more than 0, at most a year."""
    _: KW_ONLY
    key: str | None = None
    """As of ``Concurrency``."""

    def __post_init__(self) -> None:
        self.definition  # noqa: B018 - checks

    @property
    def definition(self) -> LimitDefinition:
        """The limit as data."""
        return _checked("rate", 1, _span(self.seconds, "seconds", self), self.key, self)


AnyLimit = Concurrency | RateLimit | MinDelay


def limits_of(
    limits: Iterable[AnyLimit] | AnyLimit, concurrency: int | None = None
) -> tuple[LimitDefinition, ...]:
    """Return what stands at ``limits=``, and at ``concurrency=`` before it, as data."""
    listed: list[Any] = [] if concurrency is None else [Concurrency(concurrency)]
    if isinstance(limits, AnyLimit):
        listed.append(limits)
    else:
        try:
            listed.extend(limits)
        except TypeError:
            raise InvalidDefinition(f"limits are {limits!r}, expected a list of limits") from None
    for one in listed:
        if not isinstance(one, AnyLimit):
            raise InvalidDefinition(
                f"limits hold {one!r}, expected Concurrency(), RateLimit() or MinDelay() objects"
            )
    return tuple(one.definition for one in listed)


def _checked(kind: Any, most: Any, per: float | None, key: Any, limit: Any) -> LimitDefinition:
    name = type(limit).__name__
    if not isinstance(most, int) or isinstance(most, bool):
        raise InvalidDefinition(f"max of {name} is {most!r}, expected an int of at least 1")
    if key is not None and not isinstance(key, str):
        raise InvalidDefinition(
            f"key of {name} is {key!r}, expected a dotted path as a string: definitions are "
            "data, so a function cannot be one"
        )
    definition = LimitDefinition(kind=kind, max=most, per=per, key=key)
    for fault in faults_of_limit(definition, name):
        raise InvalidDefinition(fault)
    return definition


def _span(span: Any, field: str, limit: Any) -> float:
    is_number = isinstance(span, int | float) and not isinstance(span, bool)
    if (is_number or hasattr(span, "total_seconds")) and 0 < seconds(span) <= PER_MAX:
        return seconds(span)
    raise InvalidDefinition(
        f"{field} of {type(limit).__name__} is {span!r}, expected more than 0 seconds, at most a "
        "year"
    )
