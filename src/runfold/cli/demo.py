"""``runfold demo``: real flows on a real database, with their events as they happen."""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from runfold import Run, RunCancelled, RunFailed, Runfold, RunState
from runfold.cli.answer import json_option, say_json, say_table
from runfold.cli.program import Refused
from runfold.cli.timeline import Timeline
from runfold.demo.tour import TOUR, Stop, deps

SECONDS_MAX = 60
"""How long one run of the demo may take before it counts as stuck."""
ENDS = ("flow.completed", "flow.failed", "flow.cancelled")


@dataclass(frozen=True)
class Visit:
    """One run of the tour, and what became of it."""

    stop: Stop
    state: RunState
    result: Any = None

    @property
    def as_it_should(self) -> bool:
        """Whether the run ended as the tour says."""
        return self.state.status == self.stop.ends


@click.command()
@click.option("--url", help="A database of yours instead of an embedded one.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for the database and the files; else a new temporary one.")  # fmt: skip
@json_option
def demo(url: str | None, keep: Path | None, as_json: bool) -> None:
    """Run real flows on an embedded database, and show their events as they happen.

    Exits with 0 only when every run ended as it should.
    """
    folder = (keep or Path(tempfile.mkdtemp(prefix="runfold-demo-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    place = url or f"sqlite:///{folder / 'demo.db'}"
    if not as_json:
        click.echo(f"files: {folder}\ndatabase: {place if url is None else 'the one of --url'}")
    visits = asyncio.run(_tour(place, folder, Timeline(as_json=as_json)))
    if as_json:
        say_json({"files": str(folder), "runs": [_summary(visit) for visit in visits]})
    else:
        _say_results(visits)
        _say_next(visits, folder, "--url ..." if url is not None else f"--url {shlex.quote(place)}")
    wrong = [f"{visit.stop.flow.name} ({visit.state.id})" for visit in visits
             if not visit.as_it_should]  # fmt: skip
    if wrong:
        raise Refused(f"not every run ended as it should: {', '.join(wrong)}")


async def _tour(url: str, folder: Path, timeline: Timeline) -> list[Visit]:
    """Return a visit of every stop, one after the other, all roles in this process."""
    rf = Runfold(url, flows=[stop.flow for stop in TOUR], lifespan=deps(folder))
    visits = []
    async with rf:
        for number, stop in enumerate(TOUR, start=1):
            timeline.heading(f"{number}. {stop.flow.name}: {stop.title}")
            visits.append(await _visit(rf, stop, timeline))
        if not timeline.as_json:
            await _say_versions(rf, visits[1])
    return visits


async def _visit(rf: Runfold, stop: Stop, timeline: Timeline) -> Visit:
    run = await rf.start(stop.flow, stop.input)
    result = None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await _follow(rf, stop, run, timeline)
            result = await run.result()
    except TimeoutError:
        click.echo(f"{run!r} did not end within {SECONDS_MAX} seconds", err=True)
    except (RunFailed, RunCancelled):
        pass  # Its state says so, and whether that is how it should end.
    return Visit(stop, await run.state(), result)


async def _follow(rf: Runfold, stop: Stop, run: Run[Any], timeline: Timeline) -> None:
    """Show the events of ``run`` as they are recorded, from its first to its end."""
    first = await anext(aiter(run.events()))
    following = rf.events(of=stop.flow, after=first.id - 1, follow=True)
    async with aclosing(following) as events:
        async for event in events:
            if event.run_id == run.id:
                timeline.show(event)
                if event.type in ENDS:
                    return


async def _say_versions(rf: Runfold, visit: Visit) -> None:
    """Show the state of one run, folded from a part of its history and from all of it."""
    run = await rf.get(visit.state.id)
    retries = [event async for event in run.events(types=["step.retry"])]
    middle = retries[0].version if retries else max(1, visit.state.version // 2)
    earlier = await run.state(version=middle)
    click.echo(
        f"\nThe state of a run is the fold of its events, at any version: {visit.state.name}\n"
    )
    before, after = _statuses(earlier), _statuses(visit.state)
    say_table(
        ("step", f"at version {middle}", f"at version {visit.state.version}"),
        [
            ("(the run)", earlier.status, visit.state.status),
            *((name, before.get(name, "-"), after[name]) for name in after),
        ],
    )


def _statuses(state: RunState) -> dict[str, str]:
    """Return how many activations of each step are in which status, in words."""
    counts: dict[str, Counter[str]] = {}
    for step in state.steps:
        counts.setdefault(step.name, Counter())[step.status] += 1
    return {
        name: ", ".join(s if n == 1 else f"{n} {s}" for s, n in sorted(count.items()))
        for name, count in counts.items()
    }


def _say_results(visits: list[Visit]) -> None:
    click.echo("\nHow they ended\n")
    say_table(
        ("flow", "ended", "as it should", "ms", "events", "result"),
        [
            (
                visit.stop.flow.name, visit.state.status,
                "yes" if visit.as_it_should else f"NO, expected {visit.stop.ends}",
                _milliseconds(visit.state), visit.state.version,
                visit.result if visit.state.error is None else visit.state.error.message,
            )
            for visit in visits
        ],
    )  # fmt: skip


def _say_next(visits: list[Visit], folder: Path, url: str) -> None:
    run, program = visits[1].state.id, "uv run runfold" if "UV" in os.environ else "runfold"
    click.echo(f"\nThe invoice is in {folder / 'invoices'}, its mail in {folder / 'outbox'}.")
    click.echo("\nTry next:\n")
    for command in (
        f"runs ls {url}",
        f"runs show {run} {url}",
        f"runs state {run} --version 20 {url}",
        f"runs events {run} --type step.errored {url}",
    ):
        click.echo(f"  {program} {command}")
    click.echo("\nThen write a flow of your own: docs/tutorial/first-flow.md")


def _summary(visit: Visit) -> dict[str, Any]:
    return {
        "id": visit.state.id, "name": visit.state.name, "status": visit.state.status,
        "asItShould": visit.as_it_should, "events": visit.state.version, "result": visit.result,
    }  # fmt: skip


def _milliseconds(state: RunState) -> float | None:
    if state.created_at is None or state.finished_at is None:
        return None
    return round((state.finished_at - state.created_at).total_seconds() * 1000, 1)
