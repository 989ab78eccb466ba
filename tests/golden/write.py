"""Write what is missing among the golden logs: ``python -m golden.write`` in ``tests``.

A file says how an event of one type and class version, or the history of one run, was stored
by the release that introduced it. It is never written over: what is stored is stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from golden.samples import full, least
from golden.shapes import SHAPES
from runfold.flow.events import REGISTRY
from runfold.kernel.event import Draft, Event, Recorded
from runfold.store.codec import JsonCodec
from runfold.testing.driver import Driver, play
from runfold.testing.strategies import script

HERE = Path(__file__).parent
EVENTS, HISTORIES = HERE / "events", HERE / "histories"
CODEC = JsonCodec()


def file_of(cls: type[Event]) -> Path:
    """Return the file of the type and class version."""
    return EVENTS / f"{cls.TOPIC}.v{cls.class_version}.json"


def stored(event: Event) -> Any:
    """Return what is stored of ``event``."""
    return json.loads(CODEC.encode(Draft(event)).state)


def shown(event: Event) -> Any:
    """Return all that a reader sees of ``event``, defaults too."""
    return event.model_dump(mode="json", by_alias=True)


def example(event: Event) -> dict[str, Any]:
    """Return the stored form of ``event`` and what it reads as."""
    return {"stored": stored(event), "reads": shown(event)}


def history(driver: Driver) -> dict[str, Any]:
    """Return a run as it was stored, and what it folds to."""
    return {
        "definition": driver.definition.data(),
        "events": [_line(recorded) for recorded in driver.history],
        "folds": summary(driver.run),
    }


def summary(run: Any) -> dict[str, Any]:
    """Return what a run says about itself."""
    return {
        "status": run.status, "result": run.result, "version": run.version,
        "error": None if run.error is None else run.error.code,
        "data": {key: entry.value for key, entry in sorted(run.data.items())},
        "steps": [[act.name, act.status, act.attempt] for act in run.steps],
    }  # fmt: skip


def _line(recorded: Recorded) -> dict[str, Any]:
    about = ("step", "activation", "attempt", "key", "cause")
    return {
        "topic": recorded.event.TOPIC, "ts": recorded.ts.isoformat(),
        **{name: getattr(recorded, name) for name in about},
        "state": stored(recorded.event),
    }  # fmt: skip


def main() -> None:
    """Write the files that are not there."""
    for folder in (EVENTS, HISTORIES):
        folder.mkdir(exist_ok=True)
    for topic in REGISTRY:
        cls = REGISTRY[topic]
        _write(file_of(cls), {"full": example(full(cls)), "least": example(least(cls))})
    for name, (definition, seed) in SHAPES.items():
        driver = play(definition, script(definition, seed), seed, chaos=0.1)
        _write(HISTORIES / f"{name}.v1.json", history(driver))


def _write(file: Path, content: Any) -> None:
    if not file.exists():
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"written: {file.relative_to(HERE)}")


if __name__ == "__main__":
    main()
