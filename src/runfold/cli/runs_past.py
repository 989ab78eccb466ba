"""``runfold runs``: explain and compare runs, and begin new ones with their past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runfold import Capsule, Runfold
from runfold.cli.answer import json_option, say_json
from runfold.cli.database import Database, database_options, find
from runfold.cli.program import Refused
from runfold.cli.start import Json


class Given(Json):
    """A value as JSON in a list of one, so that null can be told from nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the list."""
        return [super().convert(value, param, ctx)]


_which = click.option(
    "--definition",
    type=click.Choice(["recorded", "served"]),
    help="Follow the graph recorded in RUN, or the one served last.",
)
_deadline = click.option("--deadline", type=float, help="Seconds that the new run may take.")


@click.command()
@click.argument("run")
@click.option("--step", help="Of this step; STEP#2 for its second activation.")
@database_options
@json_option
def why(database: Database, as_json: bool, run: str, step: str | None) -> None:
    """Explain why RUN is where it is: what caused it, and what it waits for."""
    _say(database.ask(lambda rf: _asked(rf, run, "why", step)), as_json)


@click.command()
@click.argument("run")
@click.argument("other")
@database_options
@json_option
def diff(database: Database, as_json: bool, run: str, other: str) -> None:
    """Compare RUN with OTHER, activation by activation.

    Exit status 1 when they differ, as other programs of that name have it.
    """

    async def compared(rf: Runfold) -> Any:
        return await (await find(rf, run)).diff(await find(rf, other))

    found = database.ask(compared)
    _say(found, as_json)
    if not found.same:
        click.get_current_context().exit(1)


@click.command()
@click.argument("run")
@_which
@_deadline
@database_options
@json_option
def restart(database: Database, as_json: bool, run: str, **options: Any) -> None:
    """Start a new run with the input of RUN, and print its id."""
    _begin(database, run, "restart", as_json, **options)


@click.command()
@click.argument("run")
@click.option("--from-step", help="Every activation of this step, and what came of it.")
@_which
@_deadline
@database_options
@json_option
def retry(database: Database, as_json: bool, run: str, **options: Any) -> None:
    """Start a new run that keeps what completed in RUN, and print its id."""
    _begin(database, run, "retry", as_json, **options)


@click.command()
@click.argument("run")
@click.option("--at", required=True, help="A version of RUN, or a moment as ISO 8601.")
@click.option("--input", "given", type=Given(), help="JSON, @FILE or -: instead of its input.")
@click.option("--state", type=Json(), help="A JSON object: set over its state.")
@_which
@_deadline
@database_options
@json_option
def fork(
    database: Database, as_json: bool, run: str, at: str, given: list[Any] | None, **options: Any
) -> None:
    """Start a new run that goes on from a point in the past of RUN, and print its id."""
    if given is not None:
        options["input"] = given[0]
    _begin(database, run, "fork", as_json, at=_place(at), **options)


@click.command()
@click.argument("run")
@click.option("--output", type=click.Path(path_type=Path), help="The file; else RUN.capsule.")
@click.option("--redact", multiple=True, help="A path such as input.email; may be repeated.")
@database_options
@json_option
def export(
    database: Database, as_json: bool, run: str, output: Path | None, redact: tuple[str, ...]
) -> None:
    """Write RUN, its definition and all its events, into one file."""
    capsule = database.ask(lambda rf: _asked(rf, run, "export", list(redact) or None))
    file = output or Path(f"{run}.capsule")
    try:
        capsule.save(file)
    except OSError as error:
        raise Refused(f"{str(file)!r} cannot be written: {error.strerror}") from error
    if as_json:
        return say_json({"id": run, "file": str(file), "events": len(capsule.history)})
    return click.echo(file)


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@database_options
@json_option
def import_(database: Database, as_json: bool, file: Path) -> None:
    """Take in the run of FILE, to be read, compared and forked; print its id."""
    try:
        capsule = Capsule.load(file)
    except OSError as error:
        raise Refused(f"{str(file)!r} cannot be read: {error.strerror}") from error

    async def imported(rf: Runfold) -> str:
        return (await rf.import_run(capsule)).id

    _say_id(database.ask(imported), as_json)


@click.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_options
@json_option
def erase(database: Database, as_json: bool, run: str, yes: bool) -> None:
    """Erase what users wrote in RUN, which has ended, for good.

    Its shape stays: steps, times, statuses. Forks, retries and exported files of it are not
    touched.
    """
    if not yes:
        click.confirm(f"Erase all payloads of {run}? This cannot be undone", abort=True, err=True)
    database.ask(lambda rf: _asked(rf, run, "erase"))
    if as_json:
        return say_json({"id": run, "erased": True})
    return click.echo(f"{run} is erased")


COMMANDS = (why, diff, restart, retry, fork, export, import_, erase)


async def _asked(rf: Runfold, run_id: str, question: str, *details: Any) -> Any:
    return await getattr(await find(rf, run_id), question)(*details)


def _begin(database: Database, run: str, how: str, as_json: bool, **options: Any) -> None:
    said = {name: value for name, value in options.items() if value is not None or name == "input"}

    async def begun(rf: Runfold) -> str:
        new = await getattr(await find(rf, run), how)(**said)
        return str(new.id)

    _say_id(database.ask(begun), as_json)


def _place(at: str) -> int | datetime:
    if at.isascii() and at.isdecimal():
        return int(at)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise click.BadParameter(f"{at!r} is no version and no moment: {error}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _say(answer: Any, as_json: bool) -> None:
    say: Callable[[Any], None] = say_json if as_json else lambda found: click.echo(str(found))
    say(answer)


def _say_id(id: str, as_json: bool) -> None:
    if as_json:
        say_json({"id": id})
    else:
        click.echo(id)
