"""Moments on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click


class Moment(click.ParamType[datetime]):
    """A moment as ISO 8601; without a zone: UTC."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment; what is none is a wrong option."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            self.fail(f"{value!r} is no moment: {error}", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
