"""One run as the model of ``machine_model`` knows it, and the targets that there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One of the steps of a target, which follow each other."""

    name: str
    queue: str
    attempts: int


TARGETS: dict[str, tuple[Step, ...]] = {
    "mail/send": (Step("send", "mail", 3),),
    "order": (Step("pay", "work", 2), Step("ship", "work", 2)),
}
QUEUES = ("mail", "work")
KEYED = "mail"
"""The queue that has a limit for each user: ``OF_USER``, where nobody has said another."""
OF_USER = 2
WINDOW = 6.0
"""Seconds of every rate: what counts in one that has become longer, nobody says."""
USERS = ("ann", "")
"""Whose mail it is; of nobody's the input has no user."""
PAUSE = 5.0
"""Seconds between an attempt that failed and the next."""
GRACE = 7.0
"""Seconds that a run which is cancelled, or too late, waits for what is under way."""
ENDS = ("completed", "failed", "cancelled")
FOREVER = float("inf")


@dataclass
class Known:
    """A run; ``work`` says of what is next whether somebody does it. Times are seconds."""

    number: int
    target: str
    user: str = ""
    priority: int = 5
    since: float = 0.0
    """When it was started."""
    said: tuple[tuple[str, ...], ...] = ()
    """The names of the limits of each step, in the definition that it follows."""
    work: str = "ready"
    """``ready``, ``leased``, ``later``, or ``none``."""
    due: float = 0.0
    """When what waits for its time is ready."""
    turn: int = 0
    """When what is ready became so: a lower one is served first."""
    holder: int = 0
    """Who leases it."""
    at: int = 0
    attempt: int = 1
    starts_at: float | None = None
    """Before which it does not begin."""
    has_begun: bool = False
    """Something of it was claimed, if it was not made of another run."""
    is_delayed: bool = False
    is_paused: bool = False
    is_passed: bool = False
    """It was paused while it was ready, so others may have passed it."""
    span: float | None = None
    """What ``deadline`` is counted from in runs that descend from it; None: it is a moment."""
    deadline: float | None = None
    grace_ends: float | None = None
    """Of a run that is to end, as ``ends_as``, while an attempt of it is under way."""
    ends_as: str = ""
    end: str = ""
    result: Any = None
    results: list[Any] = field(default_factory=list)

    @property
    def step(self) -> Step:
        """What is next, or was last."""
        return TARGETS[self.target][self.at]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the limits that its definition gives the step."""
        return self.said[self.at]

    @property
    def status(self) -> str:
        """As ``Run.status()``."""
        if self.end:
            return self.end
        if self.grace_ends is not None:
            return "cancelling" if self.ends_as == "cancelled" else "failing"
        if self.is_paused:
            return "paused"
        return "scheduled" if self.is_delayed else "running"

    def delay(self) -> None:
        """Let it begin when it is due."""
        assert self.starts_at is not None
        self.work, self.due, self.is_delayed = "later", self.starts_at, True

    def pause(self) -> None:
        """Let nothing more of it be taken."""
        self.is_paused = self.is_passed = True

    def finish(self, end: str) -> None:
        """End it."""
        self.end, self.work = end, "none"
        self.grace_ends = None
