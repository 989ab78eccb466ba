"""``runfold migrate``: bring a database to the schema of this release."""

from __future__ import annotations

import asyncio

import click

from runfold import Runfold, Settings
from runfold.cli.answer import json_option, say_json
from runfold.cli.database import Database, database_options


@click.command()
@database_options
@json_option
def migrate(database: Database, as_json: bool) -> None:
    """Set up the database, or bring it to the schema of this release.

    One process does the work, others that do the same wait for it. A database that is up to
    date is left as it is.
    """
    health = asyncio.run(_migrated(database))
    if as_json:
        say_json({"url": _without_password(database.url), "namespaces": health})
    else:
        for namespace, line in health.items():
            click.echo(f"up to date: {namespace}: {line}")


async def _migrated(database: Database) -> dict[str, str]:
    settings = Settings(migrate=True)
    rf = Runfold(database.url, namespace=database.namespace, settings=settings)
    async with rf.connect():
        return await rf.health()


def _without_password(url: str) -> str:
    scheme, found, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{found}{user.partition(':')[0]}{at}{place}"
