"""What a mutation run found, by file: the table, and the JSON with the diff of each survivor."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOT_KILLED = ("survived", "no tests")
STATUSES = {0: "survived", 5: "no tests", 33: "no tests", 24: "timeout", 36: "timeout"}
"""By the exit status of the tests of a mutant, as mutmut keeps it; any other killed it."""
Diff = Callable[[str, str], str]
"""Returns the change of a mutant, by its name and the path of its file."""


@dataclass(frozen=True)
class Mutant:
    """One change, and what the tests said to it."""

    name: str
    path: str
    status: str
    """``killed``, ``timeout`` (killed, too), ``survived`` or ``no tests``."""


def mutants(folder: Path, names: Collection[str] | None = None) -> Iterator[Mutant]:
    """Yield what was tried and is kept in ``folder``; of ``names`` only, if there are any."""
    for meta in sorted(folder.rglob("*.py.meta")):
        path = meta.relative_to(folder).as_posix().removesuffix(".meta")
        codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
        for name, code in codes.items():
            if code is not None and (names is None or name in names):
                yield Mutant(name, path, STATUSES.get(code, "killed"))


def table(found: Collection[Mutant]) -> str:
    """Return how many were killed, for each file and in all."""
    files = {mutant.path: Counter[str]() for mutant in found}
    for mutant in found:
        files[mutant.path][mutant.status] += 1
    rows = [("file", "mutants", "killed", "survived", "no tests", "score")]
    rows += [_row(path, counts) for path, counts in files.items()]
    rows.append(_row("all", sum(files.values(), Counter())))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def summary(found: Collection[Mutant], diff: Diff) -> dict[str, Any]:
    """Return the same as data, with the diff of each mutant that was not killed."""
    counts = Counter(mutant.status for mutant in found)
    return {
        "mutants": len(found),
        "killed": counts["killed"] + counts["timeout"],
        "survived": counts["survived"],
        "no tests": counts["no tests"],
        "left": [
            {
                "name": mutant.name, "file": mutant.path, "status": mutant.status,
                "diff": diff(mutant.name, mutant.path),
            }
            for mutant in found
            if mutant.status in NOT_KILLED
        ],
    }  # fmt: skip


def _row(name: str, counts: Counter[str]) -> tuple[str, ...]:
    killed, total = counts["killed"] + counts["timeout"], counts.total()
    score = f"{100 * killed / total:.1f} %" if total else "-"
    numbers = (total, killed, counts["survived"], counts["no tests"])
    return (name, *map(str, numbers), score)
