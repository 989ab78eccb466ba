"""How commands end: every error that has a name becomes one line and an exit status."""

from __future__ import annotations

from typing import Any

import click

from runfold.errors import InvalidDefinition, InvalidInput, InvalidSettings, RunfoldError

ASKED_WRONGLY = (InvalidInput, InvalidSettings, InvalidDefinition)
"""Errors that the same command would meet again: exit status 2, as for unknown options."""
INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


class Refused(click.ClickException):
    """A command that was not carried out, and why."""

    def __init__(self, error: RunfoldError | str) -> None:
        super().__init__(_line(error))
        self.exit_code = 2 if isinstance(error, ASKED_WRONGLY) else 1  # type: ignore[misc]


class Program(click.Group):
    """A group whose commands may raise ``RunfoldError``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors become one line, Ctrl-C a status of its own."""
        try:
            return super().invoke(ctx)
        except RunfoldError as error:
            raise Refused(error) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


def _line(error: RunfoldError | str) -> str:
    details = getattr(error, "details", None)
    if not isinstance(error, InvalidInput) or not isinstance(details, list):
        return str(error)
    fields = [f"{fault.get('loc')}: {fault.get('msg')}" for fault in details if fault.get("loc")]
    unsaid = [field for field in fields if field not in str(error)]
    return "; ".join([str(error), *unsaid])
