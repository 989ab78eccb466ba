"""The file of a capsule: what it keeps, and what it does not take for one."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from runfold import Capsule, Flow, InvalidInput, Runfold


@pytest.fixture(scope="module")
def capsule() -> Capsule:
    flow: Flow[Any, Any] = Flow("one")

    @flow.entry()
    async def start(data: Any) -> Any:
        return data

    async def made() -> Capsule:
        async with Runfold("memory://", flows=[flow]) as rf:
            run = await rf.start(flow, {"text": "ü\u2028", "n": 1e300}, deadline=60)
            await run.result(timeout=10)
            return await run.export()

    return asyncio.run(made())


def test_what_is_written_is_read_again(capsule: Capsule) -> None:
    again = Capsule.loads(capsule.dumps())
    assert again.dumps() == capsule.dumps()
    assert again.definition == capsule.definition
    assert [(one.version, one.ts, one.event, one.step) for one in again.history] == [
        (one.version, one.ts, one.event, one.step) for one in capsule.history
    ]


def sealed(lines: list[Any]) -> bytes:
    """Return a file of these lines under a checksum that is right."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    head = {"format": "runfold-capsule", "version": 1, "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(head).encode() + b"\n" + body


def test_any_changed_byte_is_noticed(capsule: Capsule) -> None:
    content = capsule.dumps()
    for place in range(len(content)):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        with pytest.raises(InvalidInput):
            Capsule.loads(changed)


Edit = Callable[[list[Any]], object]
EDITS: dict[str, Edit] = {
    "no events": lambda lines: lines.__delitem__(slice(1, None)),
    "an event less": lambda lines: lines.pop(2),
    "another run": lambda lines: lines[0].update(run="00000000-0000-7000-8000-000000000000"),
    "another definition": lambda lines: lines[0]["definition"].update(failure="ignore"),
    "an unknown type": lambda lines: lines[2].update(type="step.danced"),
    "a newer class": lambda lines: lines[2]["data"].update(class_version=99),
    "no field": lambda lines: lines[2]["data"].clear(),
    "no line": lambda lines: lines.append(3),
    "an event after the end": lambda lines: lines.append({**lines[-1], "version": len(lines)}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_what_is_no_whole_run_is_refused(capsule: Capsule, edit: Edit) -> None:
    lines = [json.loads(line) for line in capsule.dumps().split(b"\n")[1:-1]]
    assert Capsule.loads(sealed(lines)).run_id == capsule.run_id
    edit(lines)
    with pytest.raises(InvalidInput, match="capsule"):
        Capsule.loads(sealed(lines))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no capsule"),
        (b"\xff\xfe", "no capsule"),
        (b"[1]\n", "no capsule"),
        (b'{"format": "runfold-capsule", "version": 2}\n', "upgrade runfold"),
        (b'{"format": "runfold-capsule", "version": 1}\n', "damaged"),
        (sealed([]), "capsule"),
        (sealed([[]]), "capsule"),
    ],
)
def test_what_is_no_capsule_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Capsule.loads(content)
