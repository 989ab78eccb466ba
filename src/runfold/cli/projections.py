"""``runfold projections``: how far read models are, build them anew, prove them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from runfold import Runfold
from runfold.cli.answer import json_option, say_json, say_table
from runfold.cli.database import Database, database_options
from runfold.cli.program import Refused
from runfold.cli.roles import Application

T = TypeVar("T")
app_option: Callable[[Any], Any] = click.option(
    "--app", type=Application(), help="MODULE:ATTRIBUTE of the application that declares it."
)


@click.group()
def projections() -> None:
    """Look at read models, build them anew, prove them."""


@projections.command()
@database_options
@json_option
def ls(database: Database, as_json: bool) -> None:
    """List every build of every projection: how far it is, and why it stopped."""
    found = database.ask(lambda rf: rf.projections.status())
    if as_json:
        return say_json(found)
    rows = [
        (one.name, one.version, one.build, one.state, one.position, one.lag,
         one.error and f"{one.error['type']} at {one.error['position']}: {one.error['error']}")
        for one in found
    ]  # fmt: skip
    return say_table(("name", "version", "build", "state", "position", "lag", "error"), rows)


@projections.command()
@click.argument("name")
@app_option
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, show_default=True,
    help="How many fold it, each a part of the runs.",
)  # fmt: skip
@database_options
@json_option
def rebuild(
    database: Database, as_json: bool, name: str, app: Runfold | None, processes: int
) -> None:
    """Fold projection NAME anew beside the live view, then put it in its place.

    Ended in the middle, it goes on where it stood when called again.
    """
    told = _told(as_json)
    _ask(
        database, app,
        lambda rf: rf.projections.rebuild(name, processes=processes, progress=told),
    )  # fmt: skip
    if as_json:
        return say_json({"name": name, "rebuilt": True})
    return click.echo(f"{name} is rebuilt and live; the old table is kept")


@projections.command()
@click.argument("name")
@app_option
@database_options
@json_option
def rollback(database: Database, as_json: bool, name: str, app: Runfold | None) -> None:
    """Put the rows of projection NAME back that were live before the last rebuild."""
    _ask(database, app, lambda rf: rf.projections.rollback(name, progress=_told(as_json)))
    if as_json:
        return say_json({"name": name, "rolled_back": True})
    return click.echo(f"{name} is as it was built before, and up to date; the other is kept")


@projections.command()
@click.argument("name")
@app_option
@database_options
@json_option
def verify(database: Database, as_json: bool, name: str, app: Runfold | None) -> None:
    """Fold projection NAME anew and compare it with the live view; exit with 1 if they differ."""
    found = _ask(database, app, lambda rf: rf.projections.verify(name, progress=_told(as_json)))
    if as_json:
        say_json(found)
    elif found.is_equal:
        click.echo(f"{name} is what the log says at {found.position}: {found.rows} rows")
    if not found.is_equal:
        raise Refused(
            f"{name} is not what the log says at {found.position}: {found.rows} rows, folded anew "
            f"{found.rebuilt_rows}; run `runfold projections rebuild {name}`"
        )


@projections.command()
@click.argument("name")
@app_option
@database_options
@json_option
def resume(database: Database, as_json: bool, name: str, app: Runfold | None) -> None:
    """Let projection NAME, which has stopped, try the same event again."""
    resumed = _ask(database, app, lambda rf: rf.projections.resume(name))
    if as_json:
        return say_json({"name": name, "resumed": resumed})
    return click.echo(f"{name} goes on" if resumed else f"{name} had not stopped")


def _ask(database: Database, app: Runfold | None, question: Callable[[Runfold], Awaitable[T]]) -> T:
    """Return the answer of the application, or of the database with the built-in views."""
    if app is None:
        return database.ask(question)

    async def asked() -> T:
        async with app.connect() as rf:
            return await question(rf)

    return asyncio.run(asked())


def _told(as_json: bool) -> Callable[[Any], None] | None:
    def told(at: Any) -> None:
        done = at.position >= at.head
        left = "" if done else f", {at.seconds_left:.0f} s left"
        said = f"\r{at.position} of {at.head} events, {at.rate:.0f}/s{left}   "
        click.echo(said, nl=done, err=True)

    return None if as_json else told
