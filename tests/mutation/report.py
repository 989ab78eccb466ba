"""What a mutation run found: kept as it goes, shown by file, and as data with every survivor."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutation.mutants import Mutant
from mutation.trial import Verdict

KILLED = ("killed", "timeout")


class Verdicts:
    """The last verdict on each mutant, kept in ``file``, a line each."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        found = (Verdict(**json.loads(line)) for line in lines)
        self._by_key = {verdict.key: verdict for verdict in found}

    def add(self, verdict: Verdict) -> None:
        """Record what was said now."""
        self._by_key[verdict.key] = verdict
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")

    def left(self, mutants: Iterable[Mutant]) -> list[Mutant]:
        """Return those that nothing has killed yet: a change that was noticed once is done."""
        killed = {key for key, verdict in self._by_key.items() if verdict.status in KILLED}
        return [mutant for mutant in mutants if mutant.key not in killed]

    def of(self, mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Verdict]]:
        """Yield what was said of those that were tried."""
        for mutant in mutants:
            if mutant.key in self._by_key:
                yield mutant, self._by_key[mutant.key]


Found = Collection[tuple[Mutant, Verdict]]


def table(found: Found) -> str:
    """Return how many were killed, for each file and in all."""
    files: dict[str, Counter[str]] = {}
    for mutant, verdict in found:
        files.setdefault(mutant.path, Counter())[verdict.status] += 1
    rows = [("file", "mutants", "killed", "survived", "stopped", "no tests", "score")]
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


def summary(found: Found) -> dict[str, Any]:
    """Return the same as data, with the diff of each mutant that was not killed."""
    counts = Counter(verdict.status for _, verdict in found)
    return {
        "mutants": len(found),
        "killed": _killed(counts),
        **{status: counts[status] for status in ("survived", "stopped", "no tests")},
        "left": [
            {"name": mutant.name, "status": verdict.status, "diff": mutant.diff}
            for mutant, verdict in found
            if verdict.status not in KILLED
        ],
    }


def _row(name: str, counts: Counter[str]) -> tuple[str, ...]:
    killed, total = _killed(counts), counts.total()
    score = f"{100 * killed / total:.1f} %" if total else "-"
    others = (counts[status] for status in ("survived", "stopped", "no tests"))
    return (name, *map(str, (total, killed, *others)), score)


def _killed(counts: Counter[str]) -> int:
    return sum(counts[status] for status in KILLED)
