"""A run in one file: its definition and every event of it, to be replayed or forked elsewhere.

The file is JSON lines: what it is and a checksum of the rest, the run, then one line for
each event in order. It holds plain JSON, whatever codec its log has, and the moments at
which the events were recorded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from runfold.errors import InvalidInput
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import ENDS, REGISTRY, FlowStart
from runfold.kernel.event import Recorded
from runfold.kernel.registry import UnknownEvent
from runfold.kernel.upcast import VERSION_KEY, upcast

FORMAT = "runfold-capsule"
FORMAT_VERSION = 1
"""Of what this release writes; older ones are read as well."""
_PLACE = ("step", "activation", "attempt", "key", "cause")


@dataclass(frozen=True, slots=True)
class Capsule:
    """One run: ``history`` folds with ``definition`` to what it was when it was exported."""

    run_id: str
    flow: str
    definition: FlowDefinition
    history: tuple[Recorded, ...]
    redacted: bool = False
    """Some of its values were replaced."""

    def save(self, path: str | Path) -> None:
        """Write it to the file ``path``, over what is there."""
        Path(path).write_bytes(self.dumps())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the capsule in the file ``path``; raises as ``loads``."""
        return cls.loads(Path(path).read_bytes())

    def dumps(self) -> bytes:
        """Return it as the bytes of its file."""
        about = {
            "run": self.run_id,
            "flow": self.flow,
            "redacted": self.redacted,
            "events": len(self.history),
            "definition": self.definition.data(),
        }
        body = b"".join(_line(one) for one in (about, *map(_written, self.history)))
        checksum = hashlib.sha256(body).hexdigest()
        return _line({"format": FORMAT, "version": FORMAT_VERSION, "sha256": checksum}) + body

    @classmethod
    def loads(cls, content: bytes) -> Self:
        """Return the capsule of ``content``.

        Raises ``InvalidInput`` for what is no capsule, is damaged, or was written by a newer
        release.
        """
        head, _, body = content.partition(b"\n")
        _check(_parsed(head), body)
        lines = [_parsed(line) for line in body.split(b"\n") if line]
        try:
            about, *events = lines
            definition = FlowDefinition.model_validate(about["definition"])
            history = tuple(map(_read, events))
            capsule = cls(about["run"], about["flow"], definition, history, about["redacted"])
        except UnknownEvent as error:
            raise InvalidInput(f"this capsule cannot be read: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"this capsule is not as it should be: {error!r}") from error
        capsule._check()
        return capsule

    def _check(self) -> None:
        start = self.history[0].event if self.history else None
        versions = [recorded.version for recorded in self.history]
        ends = [recorded.version for recorded in self.history if recorded.event.TOPIC in ENDS]
        if (
            not isinstance(start, FlowStart)
            or (start.run_id, start.definition) != (self.run_id, self.definition.hash)
            or versions != list(range(1, len(versions) + 1))
            or ends not in ([], versions[-1:])
        ):
            raise InvalidInput(
                "this capsule does not hold one whole run with its definition; export it again"
            )


def _check(head: Any, body: bytes) -> None:
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise InvalidInput(f"this is no capsule: its first line does not say {FORMAT!r}")
    if head.get("version") not in range(1, FORMAT_VERSION + 1):
        raise InvalidInput(
            f"this capsule has format {head.get('version')!r}, this release reads up to "
            f"{FORMAT_VERSION}; upgrade runfold"
        )
    if hashlib.sha256(body).hexdigest() != head.get("sha256"):
        raise InvalidInput(
            "this capsule is damaged: it does not have the checksum that it names; copy it again"
        )


def _written(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    data = event.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if event.class_version > 1:
        data[VERSION_KEY] = event.class_version
    line = {
        "version": recorded.version,
        "position": recorded.position,
        "ts": recorded.ts.isoformat(),
        "type": event.TOPIC,
        **{name: getattr(recorded, name) for name in _PLACE},
    }
    return {**{name: value for name, value in line.items() if value is not None}, "data": data}


def _read(line: dict[str, Any]) -> Recorded:
    cls = REGISTRY[line["type"]]
    event = cls.model_validate(upcast(cls, line["data"]))
    place = [line.get(name) for name in _PLACE]
    ts = datetime.fromisoformat(line["ts"])
    return Recorded(line["position"], 0, line["version"], ts, event, *place)


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"this is no capsule: a line of it is no JSON: {error}") from error
