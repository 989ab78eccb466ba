"""How commands answer: a table for people, JSON for programs, never both.

On a terminal tables have lines and colours; elsewhere they are plain columns of full width,
so that nothing is cut off in a pipe or a log.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from pydantic.alias_generators import to_camel
from rich.console import Console
from rich.table import Table

CELL_MAX = 60
"""Characters of a value that a table shows; JSON has all of it."""

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Answer as JSON."
)


def wire(value: Any) -> Any:
    """Return dataclasses, however deep, as the wire has them: dicts of camelCase names."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {to_camel(field.name): wire(getattr(value, field.name)) for field in fields}
    if isinstance(value, list | tuple):
        return [wire(item) for item in value]
    if isinstance(value, dict):
        return {key: wire(item) for key, item in value.items()}
    return value


def say_json(value: Any) -> None:
    """Print ``value`` as one line of JSON; moments as ISO 8601."""
    click.echo(json.dumps(wire(value), default=_text, ensure_ascii=False))


def say_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print ``rows`` under the names of their ``columns``."""
    cells = [[cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*columns, header_style="bold")
        for row in cells:
            table.add_row(*row)
        return Console(highlight=False).print(table)
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (list(columns), *cells):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
    return None


def say_fields(fields: Mapping[str, Any]) -> None:
    """Print the ``fields`` that have a value, one on each line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is not None and value != []:
            click.echo(f"{name.ljust(width)}  {cell(value, most=None)}")


def cell(value: Any, *, most: int | None = CELL_MAX) -> str:
    """Return ``value`` in one line of at most ``most`` characters."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    text = (
        value
        if isinstance(value, str)
        else json.dumps(wire(value), default=_text, ensure_ascii=False)
    )
    text = " ".join(text.split())
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
