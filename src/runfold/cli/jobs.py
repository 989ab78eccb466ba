"""``runfold jobs``: runs of one function in a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from runfold import Runfold, RunNotFound, RunState
from runfold.cli.answer import json_option, say_fields, say_json, say_table
from runfold.cli.database import Database, database_options, find


@click.group()
def jobs() -> None:
    """Find jobs, look at them, cancel them."""


@jobs.command()
@click.argument("queue")
@click.option("--status", "statuses", multiple=True, help="In this one; may be repeated: any.")
@click.option("--tag", "tags", multiple=True, help="With this tag; may be repeated: all of them.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many, 1 to 1000.")
@click.option("--cursor", help="Where the page before ended.")
@click.option(
    "--order", default="newest", show_default=True, help="newest, or next: as workers take them."
)
@database_options
@json_option
def ls(
    database: Database, as_json: bool, queue: str, statuses: Sequence[str], **filters: Any
) -> None:
    """List the jobs of QUEUE, newest first, or those that wait, the next one first."""
    items, cursor = database.ask(lambda rf: _page(rf, queue, status=statuses or None, **filters))
    if as_json:
        return say_json({"items": items, "next": cursor})
    columns = ("id", "name", "status", "priority", "attempt", "progress", "created", "finished")
    rows = [
        (
            one.id, one.name, one.status, one.priority, f"{one.attempt} of {one.max_attempts}",
            one.progress, one.created_at, one.finished_at,
        )
        for one in items
    ]  # fmt: skip
    say_table(columns, rows)
    if cursor is not None:
        click.echo(f"more: --cursor {cursor}", err=True)
    return None


@jobs.command()
@click.argument("job")
@database_options
@json_option
def show(database: Database, as_json: bool, job: str) -> None:
    """Show JOB: its status, its attempts, its progress, its result."""
    state = database.ask(lambda rf: _job(rf, job))
    if as_json:
        return say_json(state)
    error = None if state.error is None else f"{state.error.code}: {state.error.message}"
    return say_fields(
        {
            "job": state.id, "name": state.name, "queue": state.queue, "status": state.status,
            "priority": state.priority, "attempt": f"{state.attempt} of {state.max_attempts}",
            "progress": state.progress, "tags": state.tags, "key": state.key,
            "created": state.created_at, "due": state.due_at, "started": state.started_at,
            "finished": state.finished_at, "input": state.input, "result": state.result,
            "error": error,
        }
    )  # fmt: skip


@jobs.command()
@click.argument("job")
@click.option("--reason", help="Why, for its history.")
@database_options
@json_option
def cancel(database: Database, as_json: bool, job: str, reason: str | None) -> None:
    """Cancel JOB: it does not run, or its handler is told."""

    async def cancelled(rf: Runfold) -> None:
        await _job(rf, job)
        await (await find(rf, job)).cancel(reason)

    database.ask(cancelled)
    if as_json:
        return say_json({"id": job, "accepted": "cancel"})
    return click.echo(f"cancel of {job} is recorded and in force")


async def _page(
    rf: Runfold, queue: str, *, limit: int, cursor: str | None, **filters: Any
) -> tuple[list[RunState], str | None]:
    """Return jobs of ``queue``, and where the next page begins: flows that wait there are left
    out."""
    items: list[RunState] = []
    is_more = True
    while is_more:
        page = await rf.runs.list(queue=queue, limit=limit - len(items), cursor=cursor, **filters)
        items += [one for one in page.items if _is_job(one)]
        cursor = page.next
        is_more = cursor is not None and len(items) < limit
    return items, cursor


async def _job(rf: Runfold, id: str) -> RunState:
    run = await find(rf, id)
    state: RunState = await run.state()
    if not _is_job(state):
        raise RunNotFound(f"run {id} is one of flow {state.name!r}, no job: see `runfold runs`")
    return state


def _is_job(state: RunState) -> bool:
    return state.name.startswith(f"{state.queue}/")
