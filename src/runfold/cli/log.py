"""``runfold log``: the log as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runfold import Runfold
from runfold.cli.answer import json_option, say_json
from runfold.cli.database import Database, database_options
from runfold.cli.moment import Span
from runfold.cli.program import Refused
from runfold.cli.timeline import Timeline


@click.group()
def log() -> None:
    """Look at the log as a whole."""


@log.command()
@click.option("--type", "types", multiple=True, help="Of this type only; may be repeated.")
@click.option("--after", type=click.IntRange(0), help="Behind this event; else the last 20.")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@database_options
@json_option
def tail(
    database: Database, as_json: bool, types: Sequence[str], after: int | None, follow: bool
) -> None:
    """Print the last events of all streams, one on each line."""
    timeline = Timeline(as_json=as_json)

    async def printed(rf: Runfold) -> None:
        begin = max(0, await rf.log.head() - 20) if after is None else after
        async for event in rf.events(types=types, after=begin, follow=follow):
            timeline.show(event)

    database.ask(printed)


@log.command()
@click.option(
    "--older-than", type=Span(), required=True, help="Ended so long ago: 90d, 12h, 30m, or seconds."
)
@database_options
@json_option
def archive(database: Database, as_json: bool, older_than: float) -> None:
    """Move runs that ended long ago to the archive."""
    moved = database.ask(lambda rf: rf.log.archive(older_than=older_than))
    if as_json:
        say_json({"archived": moved})
    else:
        click.echo(f"{moved} runs archived")


@log.command()
@database_options
@json_option
def verify(database: Database, as_json: bool) -> None:
    """Say whether the log is whole: no hole, nothing unreadable, no chain that was broken."""

    def told(done: int, count: int) -> None:
        click.echo(f"\r{done} of {count} events", nl=done == count, err=True)

    found = database.ask(lambda rf: rf.log.verify(progress=None if as_json else told))
    if as_json:
        say_json(found)
    else:
        for finding in found.findings:
            click.echo(f"{finding.position}: {finding.what}")
        erased = f", {found.erased} erased" if found.erased else ""
        click.echo(
            f"{found.events} events ({found.archived} archived{erased}) of "
            f"{found.streams} streams; {found.ended} runs ended, {found.sealed} with their chain; "
            f"{found.faults} faults"
        )
    if not found.ok:
        raise Refused(f"the log is not whole: {found.faults} faults")
