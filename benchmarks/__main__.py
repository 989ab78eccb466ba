"""The command: which benchmarks, where, how often, and where the report goes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks import machine, places, report
from benchmarks.figures import Result
from benchmarks.server import running_server

NAMES = (
    "append", "fold", "dispatch", "jobs", "flows", "latency", "follow", "views", "listings",
    "rebuild", "size", "simulation", "limits", "history", "snapshot", "idle",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for, print the table, and return the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    unknown = set(asked.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}: {', '.join(NAMES)}")
    facts = machine.facts()
    with contextlib.ExitStack() as stack:
        fresh = _places(asked, stack, facts)
        report.print_facts(facts)
        results: list[Result] = []
        for name in asked.names or NAMES:
            needs_none = getattr(import_module(f"benchmarks.{name}"), "NEEDS_NO_DATABASE", False)
            for place, maker in ({"memory": places.none} if needs_none else fresh).items():
                results += _measured(name, place, maker, asked)
    report.print_table(results)
    if asked.json is not None:
        report.write_json(asked.json, facts, results)
    return 0


def _measured(
    name: str, place: str, maker: places.Fresh, asked: argparse.Namespace
) -> list[Result]:
    """Return the figures of one benchmark on one database, each measured ``repeat`` times."""
    measure = import_module(f"benchmarks.{name}").measure
    rounds = []
    for number in range(asked.repeat):
        print(f"{name} on {place}, {number + 1} of {asked.repeat}", file=sys.stderr)
        with maker() as there:
            rounds.append(asyncio.run(measure(there, asked.scale)))
    return [
        Result(name, place, figure, [figures[figure] for figures in rounds]) for figure in rounds[0]
    ]


def _places(
    asked: argparse.Namespace, stack: contextlib.ExitStack, facts: dict[str, object]
) -> dict[str, places.Fresh]:
    found: dict[str, places.Fresh] = {}
    for name in asked.on or places.NAMES:
        if name == "postgresql":
            url = asked.url or stack.enter_context(running_server())
            version = asyncio.run(places.query(url, "SHOW server_version"))
            facts["postgresql"] = f"{version} ({'given' if asked.url else 'from the wheel'})"
            found[name] = places.postgresql(url)
        else:
            found[name] = places.sqlite(name.removeprefix("sqlite-").upper())
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; or all")
    parser.add_argument("--on", action="append", choices=places.NAMES,
                        help="this database only; may be repeated")  # fmt: skip
    parser.add_argument("--url", help="a PostgreSQL server to use; its role may create databases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a report, too")
    parser.add_argument("--repeat", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes (default 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
