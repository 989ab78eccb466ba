"""What a rebuild puts back into the working tables, as plain values beside those of ``items``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from runfold.items import Closure, Limit, Row


class Restored(NamedTuple):
    """A job or a timer as a rebuild puts it back, under the id that it had."""

    id: int
    row: Row
    """``event`` and ``delay`` mean nothing here; a timer has its ``due_at``."""
    leased: bool
    """An attempt has begun: the job is put back as leased by a member that is gone."""


class Start(NamedTuple):
    """A start that a rate limit counts: of which bucket, when, and where it is in the log."""

    bucket: str
    at: datetime
    position: int


class RestoredLimits(NamedTuple):
    """What a rebuild puts back of limits; settings before anything that they count."""

    limits: Sequence[tuple[str, Sequence[Limit]]] = ()
    """All limits of each of these scopes."""
    closures: Sequence[Closure] = ()
    starts: Sequence[Start] = ()


class RestoredRun(NamedTuple):
    """What a rebuild puts back of an open run."""

    stream: int
    gate: int
    work: Sequence[Restored]
