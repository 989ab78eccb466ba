"""Faults of a definition, gathered so that one look shows them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from runfold.errors import InvalidDefinition

FAULTS_MAX = 50
"""How many faults one ``InvalidDefinition`` tells at most."""


class Faults:
    """What is wrong with ``subject``."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._found: list[str] = []

    @contextmanager
    def of(self, where: str) -> Iterator[None]:
        """Gather the ``InvalidDefinition`` that the block raises, as one fault of ``where``."""
        try:
            yield
        except InvalidDefinition as error:
            self._found.append(f"{where}: {error}")

    def extend(self, faults: Iterable[str]) -> None:
        """Gather ``faults``."""
        self._found.extend(faults)

    def tell(self) -> None:
        """Raise one ``InvalidDefinition`` that lists what was gathered, if anything was."""
        if not self._found:
            return
        found = list(dict.fromkeys(self._found))[:FAULTS_MAX]
        if len(found) == 1:
            message = f"{self._subject} cannot be served: {found[0]}"
        else:
            listed = "".join(f"\n  {number}. {fault}" for number, fault in enumerate(found, 1))
            message = f"{self._subject} cannot be served, for {len(found)} reasons:{listed}"
        raise InvalidDefinition(message, details=found)
