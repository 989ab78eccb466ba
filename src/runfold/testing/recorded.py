"""Recorded histories as test cases: files that were exported, against the code of today."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runfold.client.capsule import Capsule
from runfold.client.replaying import replayed
from runfold.define.target import Target
from runfold.errors import InvalidInput
from runfold.flow.replay import Verdict
from runfold.kernel.event import Recorded


class History:
    """A capsule in a file; as text it is the name of the file, for ``ids=str``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return self.path.stem

    def __repr__(self) -> str:
        return f"History({str(self.path)!r})"

    @property
    def capsule(self) -> Capsule:
        """What is in the file, read at each call; raises ``InvalidInput`` for what is none."""
        return Capsule.load(self.path)


def histories(folder: str | Path) -> list[History]:
    """Return the capsules (``*.capsule``) in ``folder`` and below, by name.

    Raises ``InvalidInput`` for a folder without any: a test over nothing would pass.
    """
    found = sorted(Path(folder).rglob("*.capsule"))
    if not found:
        raise InvalidInput(
            f"there is no *.capsule in {str(folder)!r}; export some with `runfold runs export`, "
            "or `(await run.export()).save(path)`"
        )
    return [History(path) for path in found]


def replay(history: History | Capsule | Sequence[Recorded], target: Target[Any, Any]) -> Verdict:
    """Return what today's ``target`` makes of a recorded run: ``Same``, ``Diverges``, ``Unknown``.

    Every recorded decision must be one that today's code would take, and every recorded input,
    emit and result must fit today's annotations (not those of a redacted capsule). Handlers
    do not run.
    """
    values = True
    if isinstance(history, History):
        history = history.capsule
    if isinstance(history, Capsule):
        values, history = not history.redacted, history.history
    return replayed(target.compile(), history, values=values)
