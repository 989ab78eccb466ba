"""What handlers did to the world: noted by the fakes that stand for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from runfold.runtime.context_logging import CURRENT


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect, and the attempt that had it."""

    name: str
    key: str
    step: str
    number: int
    attempt: int


_NOTED: ContextVar[list[Effect] | None] = ContextVar("runfold_effects", default=None)


def effect(name: str, key: Any = "") -> None:
    """Note that the world was changed, from a fake: ``effect("charge", order.id)``.

    ``assert_deterministic`` compares how often each name and key were noted. Outside of it
    nothing happens.
    """
    noted = _NOTED.get()
    if noted is None:
        return
    attempt = CURRENT.get()
    job = attempt.task.job if attempt is not None else None
    place = ("", 0, 0) if job is None else (job.step, job.activation, job.attempt)
    noted.append(Effect(str(name), str(key), *place))


@contextmanager
def noting() -> Iterator[list[Effect]]:
    """Collect what is noted in the block and in simulations that are entered in it."""
    noted: list[Effect] = []
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)
