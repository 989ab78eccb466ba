"""The chain of a run: another root whenever anything of its past is another."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from runfold.flow import events as ev
from runfold.flow.run import evolve, new
from runfold.flow.seal import BLOCK, SHORT, Chain, digest, erased, rest_of
from runfold.kernel.event import Recorded
from runfold.testing.building import flow, step
from runfold.testing.driver import NOON

ONE = flow(step("start"))
START = Recorded(
    1, 1, 1, NOON, ev.FlowStart(run_id="r", flow="flow", definition=ONE.hash), state=b"{}"
)
STARTED = Recorded(
    2, 1, 2, NOON, ev.StepStarted(queue="default", worker="w"), "start", 1, 1, "zoe", 1, b"[]"
)


def chain(*history: Recorded) -> Chain | None:
    run = new(ONE)
    for recorded in history:
        evolve(run, recorded)
    return run.chain


def root(*history: Recorded) -> str:
    found = chain(*history)
    assert found is not None
    return found.root()


@pytest.mark.parametrize(
    "other",
    [
        {"step": "end"}, {"step": None}, {"activation": 2}, {"attempt": 2}, {"cause": 2},
        {"cause": None}, {"key": "ann"}, {"key": None}, {"state": b"[1]"},
        {"event": ev.StepReleased(queue="default")},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_is_changed_of_an_event_changes_the_root(other: dict[str, Any]) -> None:
    assert root(START, STARTED._replace(**other)) != root(START, STARTED)


def test_where_and_when_an_event_stands_is_no_part_of_it() -> None:
    moved = STARTED._replace(position=9, stream=8)
    assert root(START, moved) == root(START, STARTED)


def test_an_event_that_is_left_out_or_in_another_place_changes_the_root() -> None:
    one, other = STARTED, STARTED._replace(version=3, attempt=2)
    roots = {root(START), root(START, one), root(START, one, other), root(START, other, one)}
    assert len(roots) == 4


def test_a_run_of_which_an_event_was_folded_without_its_bytes_has_no_chain() -> None:
    assert chain(START, STARTED._replace(state=None), STARTED._replace(version=3)) is None


def test_the_root_is_of_the_link_before_and_of_what_came_since() -> None:
    entries = [
        f"{number},1,None,5,3:topicpay".encode() + sha256(b"%d" % number).digest()
        for number in range(BLOCK + 2)
    ]
    link = sha256(b"".join(entries[:BLOCK])).digest()
    found = Chain()
    assert found.root() == ""
    for number in range(BLOCK):
        found.add("topic", b"%d" % number, None, "pay", number, 1, None)
    assert found.root() == link.hex()
    for number in range(BLOCK, BLOCK + 2):
        found.add("topic", b"%d" % number, None, "pay", number, 1, None)
    assert found.root() == sha256(link + entries[BLOCK] + entries[BLOCK + 1]).hexdigest()


def test_what_is_hashed_of_an_event_never_changes_because_logs_have_it() -> None:
    short, long = b"{}", b"x" * (SHORT + 1)
    for state in (short, long, b"x" * SHORT):
        own = sha256(state).digest()
        assert digest(state, None) == own
        assert digest(state, "ann") == sha256(own + b":ann").digest()
        assert rest_of(state) == state
        assert rest_of(erased(own, b"left")) == b"left"
        assert digest(erased(own, b"left"), None) == own


def test_an_event_of_no_step_has_an_empty_one_in_its_entry() -> None:
    found = Chain()
    found.add("flow.start", b"{}", "ann", None, None, None, None)
    entry = b"None,None,None,10,0:flow.start" + digest(b"{}", "ann")
    assert found.root() == sha256(entry).hexdigest()
