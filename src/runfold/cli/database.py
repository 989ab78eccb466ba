"""Which database a command asks: ``--url``, else ``RUNFOLD_URL``, else ``runfold.toml``.

Commands are clients. They never create a database by looking at one: a path that is not
there is an error, not an empty answer.
"""

from __future__ import annotations

import asyncio
import functools
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from runfold import Runfold, RunNotFound
from runfold.cli.program import Refused

T = TypeVar("T")
CONFIGURATION = Path("runfold.toml")
"""Read from the current folder: ``url = "..."``."""
_SQLITE = "sqlite:///"
_URL_OF_NOBODY = "sqlite:///runfold.db"


@dataclass(frozen=True)
class Database:
    """A database and the namespace in it that a command is about."""

    url: str
    namespace: str

    def ask(self, question: Callable[[Runfold], Awaitable[T]]) -> T:
        """Return what ``question`` finds out as a client of this database."""
        self._must_exist()

        async def asked() -> T:
            async with Runfold(self.url, namespace=self.namespace).connect() as rf:
                return await question(rf)

        return asyncio.run(asked())

    def _must_exist(self) -> None:
        if self.url.startswith("memory:"):
            raise click.UsageError(
                f"{self.url} lives inside one process; give the URL of a database"
            )
        file = self.url.removeprefix(_SQLITE).partition("?")[0]
        if self.url.startswith(_SQLITE) and not Path(file).is_file():
            raise Refused(
                f"there is no database {file!r}; give --url, or set RUNFOLD_URL or url in "
                f"{CONFIGURATION}"
            )


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``command`` the options --url and --namespace, as its argument ``database``."""

    @click.option("--url", envvar="RUNFOLD_URL", help="The database; else $RUNFOLD_URL.")
    @click.option("--namespace", default="default", show_default=True, help="The log in it.")
    @functools.wraps(command)
    def configured(*args: Any, url: str | None, namespace: str, **options: Any) -> Any:
        database = Database(url or _configured_url() or _URL_OF_NOBODY, namespace)
        return command(*args, database=database, **options)

    return configured


async def find(rf: Runfold, run_id: str) -> Any:
    """Return the run called ``run_id``; raises ``RunNotFound``, also for what is no id at all."""
    try:
        return await rf.get(run_id)
    except ValueError as error:
        raise RunNotFound(f"there is no run {run_id!r}: {error}") from error


def _configured_url() -> str | None:
    if not CONFIGURATION.is_file():
        return None
    try:
        url = tomllib.loads(CONFIGURATION.read_text("utf-8")).get("url")
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{CONFIGURATION} is no TOML: {error}") from error
    if url is not None and not isinstance(url, str):
        raise click.UsageError(f"url in {CONFIGURATION} is {url!r}, expected a text")
    return url
