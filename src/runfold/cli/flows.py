"""``runfold flows``: what was served in a log, and how its steps follow each other."""

from __future__ import annotations

import click

from runfold.cli.answer import json_option, say_fields, say_json, say_table
from runfold.cli.database import Database, database_options


@click.group()
def flows() -> None:
    """See which flows and jobs there are."""


@flows.command()
@database_options
@json_option
def ls(database: Database, as_json: bool) -> None:
    """List the flows and jobs that were ever served."""
    found = database.ask(lambda rf: rf.flows.list())
    if as_json:
        return say_json({"items": found})
    columns = ("name", "kind", "steps", "queues", "defined", "hash")
    rows = [
        (one.name, one.kind, one.steps, ", ".join(one.queues), one.defined_at, one.hash)
        for one in found
    ]
    return say_table(columns, rows)


@flows.command()
@click.argument("flow")
@database_options
@json_option
def show(database: Database, as_json: bool, flow: str) -> None:
    """Show FLOW as it was served last: its rules and its steps."""
    graph = database.ask(lambda rf: rf.flows.graph(flow))
    if as_json:
        return say_json(graph)
    say_fields(
        {"flow": graph.name, "hash": graph.hash, "failure": graph.failure,
         "deadline": graph.deadline}
    )  # fmt: skip
    click.echo()
    columns = ("step", "kind", "queue", "after", "emits", "attempts", "timeout")
    rows = [
        (
            step.name, step.kind, step.queue,
            ", ".join(sorted({edge.source for edge in graph.edges if edge.target == step.name})),
            ", ".join(step.emits), step.max_attempts, step.timeout,
        )
        for step in graph.steps
    ]  # fmt: skip
    return say_table(columns, rows)


@flows.command()
@click.argument("flow")
@database_options
@json_option
def graph(database: Database, as_json: bool, flow: str) -> None:
    """Print the graph of FLOW as a Mermaid flowchart."""
    found = database.ask(lambda rf: rf.flows.graph(flow))
    if as_json:
        return say_json(found)
    return click.echo(found.mermaid())
