"""``runfold start``: record a new run of a flow or job that somebody serves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from runfold import RunCancelled, RunFailed, Runfold
from runfold.cli.answer import cell, json_option, say_json
from runfold.cli.database import Database, database_options
from runfold.cli.program import Refused


class Json(click.ParamType[Any]):
    """A value as JSON, in a file after ``@``, or on standard input as ``-``."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value; what is no JSON is a wrong option."""
        try:
            return json.loads(_read(value))
        except json.JSONDecodeError as error:
            self.fail(f"{value!r} is no JSON: {error}; texts need quotes: '\"text\"'", param, ctx)
        except OSError as error:
            self.fail(f"{value[1:]!r} cannot be read: {error.strerror}", param, ctx)


@click.command()
@click.argument("name")
@click.option("--input", "data", type=Json(), help="JSON, @FILE or - for standard input.")
@click.option("--key", help="The same name and key give the same run.")
@click.option("--on-conflict", help="Of a key that is taken: return, refuse, replace or debounce.")
@click.option("--tag", "tags", multiple=True, help="To find it by; may be repeated.")
@click.option("--delay", type=float, help="Seconds before it may begin.")
@click.option("--priority", type=int, help="1 to 10, 10 goes first.")
@click.option("--wait", type=float, help="Seconds to wait for its result.")
@database_options
@json_option
def start(name: str, *, database: Database, as_json: bool, **options: Any) -> None:
    """Start a run of the flow or job NAME, and print its id.

    With --wait its result is printed as well; a run that failed or was cancelled, or has no
    result by then, gives exit status 1.
    """
    wait = options.pop("wait")
    answer = database.ask(lambda rf: _started(rf, name, wait=wait, **options))
    if as_json:
        return say_json(answer)
    click.echo(answer["id"])
    if wait is not None:
        click.echo(cell(answer["result"], most=None))
    return None


async def _started(rf: Runfold, name: str, *, wait: float | None, **options: Any) -> dict[str, Any]:
    data, tags = options.pop("data"), list(options.pop("tags")) or None
    if options["on_conflict"] is None:
        del options["on_conflict"]
    run = await rf.start(name, data, tags=tags, **options)
    answer: dict[str, Any] = {"id": run.id, "name": name}
    if wait is not None:
        try:
            answer["result"] = await run.result(timeout=wait)
        except (RunFailed, RunCancelled, TimeoutError) as error:
            raise Refused(str(error)) from error
    return answer


def _read(value: str) -> str:
    if value == "-":
        return sys.stdin.read()
    return Path(value[1:]).read_text("utf-8") if value.startswith("@") else value
