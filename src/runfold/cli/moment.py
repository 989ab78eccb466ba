"""Moments and spans on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from runfold.settings import SPAN_MAX

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
"""What a span ends with, in seconds."""


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


class Span(click.ParamType[float]):
    """A span: seconds, or a number and one of ``s``, ``m``, ``h``, ``d``."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds; what is none is a wrong option."""
        number, unit = (value[:-1], value[-1]) if value[-1:] in UNITS else (value, "s")
        try:
            span = float(number) * UNITS[unit]
        except ValueError:
            span = -1.0
        if not 0 <= span <= SPAN_MAX:
            self.fail(f"{value!r} is no span, expected for example 90d, 12h, 30m or 45", param, ctx)
        return span
