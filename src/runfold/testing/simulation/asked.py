"""What a test may ask of a simulation: its steps by any of their names, numbers in their bounds.

Whatever cannot be meant is refused when it is asked, before anything happens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, get_args

from runfold.client.catalog import Catalog
from runfold.define.handler import Handler
from runfold.define.job import Job
from runfold.errors import UnknownTarget
from runfold.settings import seconds as as_seconds
from runfold.testing.simulation.faults import Fault, Faults

PROCESSES_MAX = 16
YEARS_MAX = 1000
"""How far from its beginning a simulation may go: a moment has no more than four digits."""
SPAN_MAX = YEARS_MAX * 365.0 * 86_400
What = Literal["scheduled", "started", "completed", "errored", "retry", "failed"]
"""What a step may have been when a test stops."""
_WHATS = get_args(What)


class Steps:
    """The steps of a simulation, and what tests call them."""

    def __init__(self, catalog: Catalog, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._catalog, self._keys = catalog, list(handlers)

    def meant(self, step: Any) -> set[tuple[str, str]]:
        """Return flow and step of all that ``step`` may mean: a name of one, ``flow/step``, a
        flow's name for all of its steps, a handler or a job. Raises ``ValueError`` for none."""
        found = set()
        if isinstance(step, Job):
            found = {key for key in self._keys if key[0] == step.name}
        elif isinstance(step, str):
            found = {key for key in self._keys if step in (*key, "/".join(key))}
        else:
            real = self._catalog.handlers()
            found = {key for key, handler in real.items() if handler.fn is step}
        if not found:
            known = sorted("/".join(key) for key in self._keys)
            raise ValueError(f"{step!r} is no step of this simulation, which has {known}")
        return found

    def name_of(self, step: Any, what: str, times: int) -> str:
        """Return the name of the one step that a test waits for until it was ``what``."""
        names = {name for _, name in self.meant(step)}
        if len(names) > 1:
            raise ValueError(f"{step!r} has several steps; say which: {sorted(names)}")
        if what not in _WHATS:
            raise ValueError(f"what is {what!r}, expected one of {', '.join(_WHATS)}")
        whole(times, "times", least=1)
        return names.pop()

    def require(self, target: Any) -> None:
        """Raise ``UnknownTarget`` for what this simulation was not made with."""
        name = self._catalog.name_of(target)
        if self._catalog.sealed(name) is None:
            known = sorted({flow for flow, _ in self._keys})
            raise UnknownTarget(
                f"{name!r} is not in this simulation, which has {known}; make it with the flow, "
                "or with the queue of the job: Simulation(...)",
                details={"target": name},
            )


def whole(value: Any, name: str, *, least: int | None = None, most: float = math.inf) -> int:
    """Return ``value`` if it is a whole number in its bounds; raises ``ValueError``."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not (least is None or least <= value) or value > most:
        bound = "" if least is None else f" of {least} or more" if most == math.inf else (
            f" from {least} to {most}"
        )  # fmt: skip
        raise ValueError(f"{name} is {value!r}, expected a whole number{bound}")
    return value  # type: ignore[no-any-return]


def span(value: Any, name: str, *, least: float = 0.0) -> float:
    """Return a span in seconds, of seconds or a ``timedelta``; raises ``ValueError``.

    ``least``: 0, or less where it may also go back as far.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, timedelta) or is_number:
        found = as_seconds(value)
        if least <= found <= SPAN_MAX:
            return found
    raise ValueError(
        f"{name} is {value!r}, expected seconds or a timedelta, "
        f"{'0 or more' if not least else 'ahead or back'} and at most {YEARS_MAX} years"
    )


def plan(faults: Faults | Sequence[Fault] | None) -> Faults | Sequence[Fault]:
    """Return what goes wrong: ``faults``, nothing for None; raises ``ValueError``."""
    if faults is None:
        return Faults.none()
    if isinstance(faults, Faults):
        return faults
    listed: Any = faults if isinstance(faults, list | tuple) else [faults]
    strange = [one for one in listed if not isinstance(one, Fault)]
    if strange:
        raise ValueError(
            f"faults holds {strange[0]!r}, expected a plan, Faults(...), or what went wrong in "
            "another simulation: the Fault objects of its `faults`"
        )
    return listed  # type: ignore[no-any-return]
