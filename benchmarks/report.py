"""How results are shown: a table for people, JSON for comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Result, figure_of

_COLUMNS = ("benchmark", "figure", "database", "median", "min", "max", "unit", "first bar")


def print_facts(facts: Mapping[str, object]) -> None:
    """Print what the figures depend on."""
    for name, value in facts.items():
        print(f"{name:<12} {value}")
    print()


def print_table(results: Sequence[Result]) -> None:
    """Print one line for each result."""
    rows = [_COLUMNS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        cells = (
            cell.rjust(width) if 3 <= column <= 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def write_json(file: Path, facts: Mapping[str, object], results: Sequence[Result]) -> None:
    """Write everything to ``file``."""
    report = {"machine": facts, "results": [result.json() for result in results]}
    file.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _row(result: Result) -> tuple[str, ...]:
    figure = figure_of(result.name)
    return (
        result.benchmark, result.name, result.place,
        _number(result.median), _number(min(result.values)), _number(max(result.values)),
        figure.unit, figure.verdict(result.place, result.median),
    )  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
