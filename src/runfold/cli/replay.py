"""``runfold replay``: what the code of today makes of recorded runs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import click

from runfold import Capsule, Runfold
from runfold.cli.answer import json_option, say_json
from runfold.cli.moment import Moment
from runfold.cli.program import Refused
from runfold.cli.roles import Application
from runfold.client.replaying import ReplayReport


@click.command()
@click.argument("app", type=Application())
@click.option("--file", "paths", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="A capsule, or a folder of them, instead of the database; may be "
              "repeated.")  # fmt: skip
@click.option("--flow", help="Only runs of this flow or job.")
@click.option("--since", type=Moment(), help="Only runs created then or later.")
@click.option("--until", type=Moment(), help="Only runs created before.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the report there.")
@json_option
def replay(
    app: Runfold, paths: tuple[Path, ...], flow: str | None, since: datetime | None,
    until: datetime | None, markdown: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Replay recorded runs against the flows of APP (e.g. shop.main:rf); no handler runs.

    The runs are those in the database of APP, or in files. Exit status 1 when one diverges.
    """
    if paths and (since or until):
        raise click.UsageError("--since and --until choose runs of the database, not of --file")
    report = _of_files(app, paths, flow) if paths else asyncio.run(_of_log(app, flow, since, until))
    if markdown is not None:
        try:
            markdown.write_text(report.markdown(), "utf-8")
        except OSError as error:
            raise Refused(f"{str(markdown)!r} cannot be written: {error.strerror}") from error
    if as_json:
        say_json(report.json())
    else:
        click.echo(str(report))
    if report.diverged:
        click.get_current_context().exit(1)


async def _of_log(
    app: Runfold, flow: str | None, since: datetime | None, until: datetime | None
) -> ReplayReport:
    async with app.connect() as rf:
        return await rf.runs.replay(flow, since=since, until=until)


def _of_files(app: Runfold, paths: tuple[Path, ...], flow: str | None) -> ReplayReport:
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*.capsule")) if path.is_dir() else [path])
    ]
    capsules = {str(file): Capsule.load(file) for file in files}
    wanted = {name: one for name, one in capsules.items() if flow in (None, one.flow)}
    if not wanted:
        raise Refused(f"there is no such *.capsule in {', '.join(map(str, paths))}")
    return app.runs.replay_capsules(wanted)
