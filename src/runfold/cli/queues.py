"""``runfold queues``: what waits where, and pausing it, for all workers of a log."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from runfold.cli.answer import cell, json_option, say_json, say_table
from runfold.cli.database import Database, database_options
from runfold.cli.moment import Moment
from runfold.client.queues import LimitInfo, QueueInfo


def key_of(text: str) -> Any:
    """Return a key's value: ``7`` is the number, ``de`` and ``"7"`` are texts."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


_KEY = click.option("--key", type=key_of, help="Only jobs with this value of the queue's key.")


@click.group()
def queues() -> None:
    """See what waits in queues; pause them and let them go on."""


@queues.command()
@click.option("--at", type=Moment(), help="As they were at this moment.")
@database_options
@json_option
def ls(database: Database, as_json: bool, at: datetime | None) -> None:
    """List the queues that have jobs, limits or a pause."""
    found = database.ask(lambda rf: rf.queues.list(at=at))
    if as_json:
        return say_json({"items": found})
    columns = ("name", "ready", "blocked", "leased", "delayed", "paused", "limits")
    rows = [
        (
            one.name, one.ready, one.blocked, one.leased, one.delayed,
            _paused(one), ", ".join(map(_limit, one.limits)),
        )
        for one in found
    ]  # fmt: skip
    return say_table(columns, rows)


@queues.command()
@click.argument("queue")
@_KEY
@click.option("--until", type=Moment(), help="Go on by itself then, as ISO 8601.")
@database_options
@json_option
def pause(database: Database, as_json: bool, queue: str, key: Any, until: datetime | None) -> None:
    """Pause QUEUE: what runs goes on, nothing more of it is claimed by anybody."""
    database.ask(lambda rf: rf.queues.pause(queue, key=key, until=until))
    _say_done(queue, "pause", as_json)


@queues.command()
@click.argument("queue")
@_KEY
@database_options
@json_option
def resume(database: Database, as_json: bool, queue: str, key: Any) -> None:
    """Let QUEUE go on after a pause."""
    database.ask(lambda rf: rf.queues.resume(queue, key=key))
    _say_done(queue, "resume", as_json)


def _paused(queue: QueueInfo) -> str:
    whole = [] if not queue.paused else ["all" + _until(queue.paused_until)]
    keys = [f"key {key}{_until(until)}" for key, until in queue.paused_keys.items()]
    return ", ".join(whole + keys)


def _until(moment: datetime | None) -> str:
    return "" if moment is None else f" until {cell(moment)}"


def _limit(limit: LimitInfo) -> str:
    of_key = " a key" if limit.keyed else ""
    if limit.kind == "concurrency":
        return f"{limit.max} at once{of_key}"
    return f"{limit.max} in {limit.per:g} s{of_key}"


def _say_done(queue: str, request: str, as_json: bool) -> None:
    if as_json:
        say_json({"queue": queue, "accepted": request})
    else:
        click.echo(f"{request} of queue {queue} is recorded and in force")
