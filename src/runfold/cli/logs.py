"""``runfold logs``: what handlers logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from runfold.cli.answer import json_option, say_json, say_table
from runfold.cli.database import Database, database_options
from runfold.cli.moment import Moment
from runfold.projections.views.logs import LEVELS


@click.command()
@click.option("--flow", help="Of runs of this flow or job only.")
@click.option("--run", help="Of this run only.")
@click.option("--step", help="Of this step of the flow or run.")
@click.option("--level", "levels", multiple=True, type=click.Choice(LEVELS),
              help="At this one; may be repeated: any.")  # fmt: skip
@click.option("--since", type=Moment(), help="Logged at this moment, as ISO 8601, or after it.")
@click.option("--until", type=Moment(), help="Logged before this moment.")
@click.option("--oldest", is_flag=True, help="Oldest first.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many, 1 to 1000.")
@click.option("--cursor", help="Where the page before ended.")
@database_options
@json_option
def logs(
    database: Database,
    as_json: bool,
    flow: str | None,
    levels: Sequence[str],
    oldest: bool,
    **filters: Any,
) -> None:
    """List what handlers logged, newest first."""
    order = "oldest" if oldest else "newest"
    page = database.ask(
        lambda rf: rf.logs.list(flow, level=list(levels) or None, order=order, **filters)
    )
    if as_json:
        return say_json({"items": page.items, "next": page.next})
    rows = [
        (line.ts, line.level, line.run_id, line.step_name, line.message, line.meta or None)
        for line in page.items
    ]
    say_table(("time", "level", "run", "step", "message", "meta"), rows)
    if page.next is not None:
        click.echo(f"more: --cursor {page.next}", err=True)
    return None
