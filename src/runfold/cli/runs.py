"""``runfold runs``: find runs, look at them, ask something of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from runfold import Runfold, RunState
from runfold.cli.answer import json_option, say_fields, say_json, say_table
from runfold.cli.database import Database, database_options, find
from runfold.cli.moment import Moment
from runfold.cli.program import Refused
from runfold.cli.timeline import Timeline


@click.group()
def runs() -> None:
    """Find runs, look at them, ask something of them."""


@runs.command()
@click.option("--flow", help="Of this flow or job only.")
@click.option("--status", "statuses", multiple=True, help="In this one; may be repeated: any.")
@click.option("--tag", "tags", multiple=True, help="With this tag; may be repeated: all of them.")
@click.option("--queue", help="Of this queue only.")
@click.option("--since", type=Moment(), help="Created at this moment, as ISO 8601, or after it.")
@click.option("--until", type=Moment(), help="Created before this moment.")
@click.option("--at", type=Moment(), help="As they were at this moment.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many, 1 to 1000.")
@click.option("--cursor", help="Where the page before ended.")
@database_options
@json_option
def ls(
    database: Database,
    as_json: bool,
    flow: str | None,
    statuses: Sequence[str],
    **filters: Any,
) -> None:
    """List runs, newest first."""
    page = database.ask(lambda rf: rf.runs.list(flow, status=statuses or None, **filters))
    if as_json:
        return say_json({"items": page.items, "next": page.next})
    columns = ("id", "name", "status", "created", "finished", "error")
    say_table(columns, [_row(state) for state in page.items])
    if page.next is not None:
        click.echo(f"more: --cursor {page.next}", err=True)
    return None


@runs.command()
@click.argument("run")
@database_options
@json_option
def show(database: Database, as_json: bool, run: str) -> None:
    """Show RUN: its status, its steps, its result."""
    _say_state(database.ask(lambda rf: _state(rf, run)), as_json)


@runs.command()
@click.argument("run")
@click.option("--version", type=int, help="After this many of its events.")
@click.option("--at", type=Moment(), help="At this moment, as ISO 8601; without a zone: UTC.")
@database_options
@json_option
def state(
    database: Database, as_json: bool, run: str, version: int | None, at: datetime | None
) -> None:
    """Show the state of RUN now, at a version, or at a moment."""
    if version is not None and at is not None:
        raise click.UsageError("give --version or --at, not both")
    _say_state(database.ask(lambda rf: _state(rf, run, version=version, at=at)), as_json)


@runs.command()
@click.argument("run")
@click.option("--type", "types", multiple=True, help="Of this type only; may be repeated.")
@click.option("--after", type=int, default=0, help="Behind the event of this id.")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@database_options
@json_option
def events(
    database: Database, as_json: bool, run: str, types: Sequence[str], after: int, follow: bool
) -> None:
    """Print the events of RUN in order, one on each line."""
    timeline = Timeline(as_json=as_json)

    async def printed(rf: Runfold) -> None:
        found = await find(rf, run)
        async for event in found.events(types=types, after=after, follow=follow):
            timeline.show(event)

    database.ask(printed)


@runs.command()
@click.argument("run")
@click.option("--reason", help="Why, for its history.")
@database_options
@json_option
def cancel(database: Database, as_json: bool, run: str, reason: str | None) -> None:
    """Cancel RUN: nothing of it starts any more."""
    database.ask(lambda rf: _request(rf, run, "cancel", reason))
    _say_done(run, "cancel", as_json)


@runs.command()
@click.argument("run")
@database_options
@json_option
def pause(database: Database, as_json: bool, run: str) -> None:
    """Pause RUN: what runs goes on, nothing more is begun."""
    database.ask(lambda rf: _request(rf, run, "pause"))
    _say_done(run, "pause", as_json)


@runs.command()
@click.argument("run")
@database_options
@json_option
def resume(database: Database, as_json: bool, run: str) -> None:
    """Let RUN go on after a pause."""
    database.ask(lambda rf: _request(rf, run, "resume"))
    _say_done(run, "resume", as_json)


async def _state(rf: Runfold, run_id: str, **at: Any) -> RunState:
    run = await find(rf, run_id)
    try:
        found: RunState = await run.state(**at)
    except ValueError as error:
        raise Refused(f"run {run_id} has no such state: {error}") from error
    return found


async def _request(rf: Runfold, run_id: str, request: str, *details: Any) -> None:
    run = await find(rf, run_id)
    await getattr(run, request)(*details)


def _row(state: RunState) -> tuple[Any, ...]:
    error = None if state.error is None else f"{state.error.code}: {state.error.message}"
    return state.id, state.name, state.status, state.created_at, state.finished_at, error


def _say_state(state: RunState, as_json: bool) -> None:
    if as_json:
        return say_json(state)
    error = None if state.error is None else f"{state.error.code}: {state.error.message}"
    say_fields(
        {
            "run": state.id, "name": state.name, "status": state.status,
            "version": state.version, "tags": state.tags, "key": state.key,
            "created": state.created_at, "due": state.due_at,
            "started": state.started_at, "finished": state.finished_at,
            "input": state.input, "state": state.data or None,
            "result": state.result, "error": error,
        }
    )  # fmt: skip
    if state.steps:
        click.echo()
        say_table(
            ("step", "#", "status", "attempt", "error"),
            [
                (
                    s.name,
                    s.number,
                    s.status,
                    s.attempt,
                    None if s.error is None else s.error.message,
                )
                for s in state.steps
            ],
        )
    return None


def _say_done(run: str, request: str, as_json: bool) -> None:
    if as_json:
        say_json({"id": run, "accepted": request})
    else:
        click.echo(f"{request} of {run} is recorded and in force")
