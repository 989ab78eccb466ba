"""Events as lines, as they come: coloured on a terminal, plain elsewhere, or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from runfold import LogEvent
from runfold.cli.answer import cell, say_json

STYLES = {
    # how the end of a type's name looks on a terminal
    "completed": "green", "failed": "bold red", "errored": "red", "stalled": "red",
    "retry": "yellow", "cancelled": "yellow", "emit": "cyan", "log": "dim",
    "start": "bold", "scheduled": "dim",
}  # fmt: skip

Data = Mapping[str, Any]
_DETAILS: dict[str, Callable[[Data], Any]] = {
    "flow.start": lambda data: data.get("input"),
    "flow.completed": lambda data: data.get("result"),
    "flow.cancelled": lambda data: data.get("reason"),
    "step.completed": lambda data: data.get("result"),
    "step.retry": lambda data: f"again in {data.get('delay')} ms",
    "step.progress": lambda data: f"{data.get('percent'):.0f} %",
    "emit": lambda data: data.get("name"),
    "log": lambda data: f"{data.get('level')}: {data.get('message')}",
    "state": lambda data: f"{data.get('operation')} {data.get('key')}",
}


class Timeline:
    """Prints events; moments as seconds since the first one."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._console = Console(highlight=False, soft_wrap=True)
        self._first: datetime | None = None

    def heading(self, text: str) -> None:
        """Begin a part of its own, with a clock of its own."""
        self._first = None
        if not self.as_json:
            self._console.print(Text(f"\n{text}", style="bold"))

    def show(self, event: LogEvent) -> None:
        """Print one event."""
        if self.as_json:
            return say_json(event.json())
        if self._first is None:
            self._first = event.ts
        seconds = (event.ts - self._first).total_seconds()
        style = STYLES.get(event.type.rpartition(".")[2], "")
        line = Text(f"{event.id:>7}  {seconds:>8.3f} s  ")
        line.append(f"{event.type:<18}", style=style)
        line.append(f" {step_of(event):<22} ")
        line.append(_detail(event), style="dim")
        line.rstrip()
        return self._console.print(line)


def step_of(event: LogEvent) -> str:
    """Return which activation and attempt the event is of: ``pack #3``, ``charge, attempt 2``."""
    if event.step_name is None:
        return ""
    _, numbered, rest = (event.step_id or "").rpartition(f"__{event.step_name}#")
    activation = f" #{rest.partition('__')[0]}" if numbered else ""
    attempt = f", attempt {event.attempt}" if (event.attempt or 1) > 1 else ""
    return f"{event.step_name}{activation}{attempt}"


def _detail(event: LogEvent) -> str:
    found = _DETAILS.get(event.type)
    if found is not None:
        return cell(found(event.data))
    error = event.data.get("error")
    return cell(f"{error.get('type')}: {error.get('message')}") if error else ""
