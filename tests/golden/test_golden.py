"""What released versions have stored is read and folded by today's code, to the same.

A test here fails when an event class changes so that an old log reads as something else.
Then: raise its ``class_version``, write ``upcast_v1_v2`` (``docs/how-to/change-an-event.md``),
and add the new golden file by ``python -m golden.write`` in ``tests``. Never change a file.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from golden.samples import full, least
from golden.write import CODEC, EVENTS, HISTORIES, file_of, shown, stored, summary
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import REGISTRY
from runfold.flow.run import fold
from runfold.kernel.event import Event, Recorded
from runfold.kernel.registry import Registry, UnknownEvent
from runfold.store.codec import JsonCodec

FILES = sorted(EVENTS.glob("*.json"))
BOTH = ("full", "least")


def read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def decoded(topic: str, state: Any, codec: JsonCodec = CODEC) -> Event:
    return codec.decode(topic, json.dumps(state).encode())


@pytest.mark.parametrize("topic", list(REGISTRY))
def test_every_type_and_version_has_its_file(topic: str) -> None:
    file = file_of(REGISTRY[topic])
    assert file.is_file(), f"run `python -m golden.write` in tests and commit {file.name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("example", BOTH)
def test_what_was_stored_reads_as_it_did(file: Path, example: str) -> None:
    topic = file.stem.rpartition(".v")[0]
    kept = read(file)[example]
    event = decoded(topic, kept["stored"])
    now = shown(event)
    # Fields that came later are not in the file; what is there reads as it always did.
    assert {name: now.get(name) for name in kept["reads"]} == kept["reads"]


@pytest.mark.parametrize("topic", list(REGISTRY))
@pytest.mark.parametrize("example", BOTH)
def test_an_event_of_today_is_stored_as_its_version_was(topic: str, example: str) -> None:
    cls = REGISTRY[topic]
    kept = read(file_of(cls))[example]["stored"]
    today = stored({"full": full, "least": least}[example](cls))
    # A field that came later may be left out; one that is gone or renamed needs a new version.
    assert {name: today.get(name) for name in kept} == kept
    assert set(today) - set(kept) <= _optional(cls)


def _optional(cls: type[Event]) -> set[str]:
    fields = cls.model_fields.items()
    return {one.alias or name for name, one in fields if not one.is_required()}


@pytest.mark.parametrize("file", sorted(HISTORIES.glob("*.json")), ids=lambda file: file.stem)
def test_a_run_of_then_folds_to_what_it_did(file: Path) -> None:
    kept = read(file)
    events = [
        Recorded(
            version, 1, version, datetime.fromisoformat(line["ts"]),
            decoded(line["topic"], line["state"]),
            line["step"], line["activation"], line["attempt"], line["key"], line["cause"],
        )
        for version, line in enumerate(kept["events"], start=1)
    ]  # fmt: skip
    run = fold(FlowDefinition.model_validate(kept["definition"]), events)
    assert summary(run) == kept["folds"]


def test_the_histories_show_every_way_to_end() -> None:
    folded = [read(file)["folds"] for file in HISTORIES.glob("*.json")]
    assert {one["status"] for one in folded} >= {"completed", "failed"}
    assert any(name.startswith("s0.compensate") for one in folded for name, *_ in one["steps"])


class Greeted(Event):
    """A class at its second version: the first had one name."""

    TOPIC: ClassVar[str] = "greeted"
    class_version: ClassVar[int] = 2

    names: tuple[str, ...]

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """One name became a list of them."""
        state["names"] = [state.pop("name")]


def test_an_older_version_is_read_through_its_upcaster() -> None:
    codec = JsonCodec(registry=Registry([Greeted]))
    assert decoded("greeted", {"name": "you"}, codec) == Greeted(names=("you",))
    again = {"class_version": 2, "names": ["you", "me"]}
    assert decoded("greeted", again, codec) == Greeted(names=("you", "me"))


def test_a_newer_version_is_refused_by_name() -> None:
    codec = JsonCodec(registry=Registry([Greeted]))
    with pytest.raises(UnknownEvent, match=r"'greeted' \(class version 3\)"):
        decoded("greeted", {"class_version": 3, "who": "you"}, codec)
