"""``runfold rebuild``: make everything but the log anew, from the log."""

from __future__ import annotations

import click

from runfold.cli.answer import json_option, say_json
from runfold.cli.database import Database, database_options


@click.command()
@click.option("--all", "everything", is_flag=True, help="Every working table.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_options
@json_option
def rebuild(database: Database, as_json: bool, everything: bool, yes: bool) -> None:
    """Make the working tables anew from the log: jobs, timers, gates, keys.

    Every role must be stopped. Attempts that were open count as stalled. Ended in the middle, it
    has changed nothing.
    """
    if not everything:
        raise click.UsageError("say --all: the working tables are only rebuilt together")
    if not yes:
        click.confirm("Are all roles stopped, and the tables to be replaced?", abort=True, err=True)

    def told(done: int, count: int) -> None:
        click.echo(f"\r{done} of {count} events", nl=done == count, err=True)

    done = database.ask(lambda rf: rf.log.rebuild(progress=None if as_json else told))
    if as_json:
        return say_json(done)
    click.echo(
        f"rebuilt from {done.events} events: {done.runs} runs under way, {done.jobs} jobs "
        f"({done.stalled} stalled), {done.timers} timers"
    )
    return None
