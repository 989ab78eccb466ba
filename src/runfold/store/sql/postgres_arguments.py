"""A batch as the arrays that the function ``runfold.commit`` takes.

Parallel arrays, one element an item, an event, a row, a drop, a blob or a claim; an array
that would hold nothing but nulls is left out, and the function skips what it would be for.

Items that are alike but for what their first events say, as those of one ``start_many`` are,
send the rest once: the driver looks at each element of an array, and so does the server.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from operator import is_
from typing import Any

from runfold.flow.events import ENDS
from runfold.ports import Batch, Claim, Encoded, Item, Row
from runfold.store.sql.postgres_arrays import Literal, numbers, texts

_EVENT = ("topic", "state", "step", "activation", "attempt", "key", "cause")
_ROW = (
    "event", "kind", "due", "delay", "flow", "step", "activation", "attempt", "queue",
    "priority", "key", "inputs", "limits",
)  # fmt: skip
ANY_GATE = Item(()).gates
"""What an item that names no gates is recorded behind."""
PRIORITIES = 10
"""How many priorities there are; a claim has a floor for each."""
_UNIT, _RECORD = "\x1f", "\x1e"

NAMES: tuple[str, ...] = (
    "p_log", "p_appender", "p_number", "p_now",
    "p_streams", "p_counts", "p_ids", "p_flows", "p_twins", "p_versions", "p_gates",
    "p_leaders", "p_leases", "p_tokens", "p_frees", "p_timers", "p_stalled", "p_inbox",
    "p_clears", "p_set_gate", "p_ends", "p_settings",
    "e_item", "e_index", *(f"e_{name}" for name in _EVENT), "e_blob",
    "r_item", *(f"r_{name}" for name in _ROW),
    "d_item", "d_step", "d_activation",
    "b_item", "b_hash", "b_body",
    "c_queue", "c_limit", "c_token", "c_state", "c_targets", "c_floors",
)  # fmt: skip
"""The parameters of ``runfold.commit``, in the order of ``arguments``."""
_WRITTEN: dict[str, str] = {
    "bigint[]": "p_streams p_leaders p_leases p_tokens p_timers p_stalled p_inbox",
    "integer[]": "p_counts p_versions p_gates p_set_gate p_ends "
    "e_item e_index e_activation e_attempt e_cause "
    "r_item r_event r_activation r_attempt r_priority",
    "boolean[]": "p_frees p_clears",
    "text[]": "p_flows e_topic e_step e_key r_flow r_step r_queue",
}
"""The parameters that are sent as a text, by what it is read as: those of many elements."""
_LITERALS: dict[str, Literal] = {
    name: texts if kind == "text[]" else numbers
    for kind, names in _WRITTEN.items()
    for name in names.split()
}
_KINDS = {name: kind for kind, names in _WRITTEN.items() for name in names.split()}
COMMIT = "SELECT * FROM runfold.commit({})".format(  # noqa: S608 - names of parameters
    ", ".join(
        f"{name} => ${place}" + (f"::text::{_KINDS[name]}" if name in _KINDS else "")
        for place, name in enumerate(NAMES, start=1)
    )
)
"""Calls ``runfold.commit`` with ``arguments`` as its parameters."""


def arguments(log_id: int, batch: Batch, *, blob_min: int) -> list[Any]:
    """Return the values for ``NAMES``; events larger than ``blob_min`` bytes become blobs.

    Raises ``ValueError`` for an item that would have no place in the log.
    """
    given: dict[str, Any] = {
        "p_log": log_id,
        "p_appender": batch.appender,
        "p_number": batch.number,
        "p_now": batch.now,
    }
    if batch.items:
        _items(given, batch.items)
        if _are_alike(batch.items):
            _alike(given, batch.items, blob_min)
        else:
            _events(given, batch.items, blob_min)
            _rows(given, batch.items)
        _drops(given, batch.items)
        _settings(given, batch.items)
    if batch.claims:
        _claims(given, batch.claims)
    for name, column in given.items():
        if column is not None and name in _LITERALS:
            given[name] = _LITERALS[name](column)
    return [given.get(name) for name in NAMES]


def _items(given: dict[str, Any], items: Sequence[Item]) -> None:
    for item in items:
        _check(item)
    given["p_streams"] = [item.stream for item in items]
    given["p_counts"] = [len(item.events) for item in items]
    ids = [item.id for item in items]
    if _any(ids):
        given["p_ids"], given["p_flows"] = ids, [item.flow for item in items]
        known = [one for one in ids if one is not None]
        given["p_twins"] = len(set(known)) < len(known)
    leases = [item.lease for item in items]
    if _any(leases):
        given["p_leases"] = [lease and lease[0] for lease in leases]
        given["p_tokens"] = [lease and lease[1] for lease in leases]
        given["p_frees"] = _unless_false([item.frees for item in items])
    given["p_versions"] = _unless_null([item.version for item in items])
    given["p_gates"] = _unless_all([item.gates for item in items], ANY_GATE)
    given["p_leaders"] = _unless_null([item.leader for item in items])
    given["p_timers"] = _unless_null([item.timer for item in items])
    given["p_stalled"] = _unless_null([item.stalled for item in items])
    given["p_inbox"] = _unless_null([item.inbox for item in items])
    given["p_clears"] = _unless_false([item.clears for item in items])
    given["p_set_gate"] = _unless_null([item.gate for item in items])


def _check(item: Item) -> None:
    if item.id is None and not item.stream:
        raise ValueError("an item names no stream; give it a number, or the id of a new one")
    if not item.events and (item.id or item.rows or item.timer):
        raise ValueError("an item without events makes rows; their ids are places of its events")
    if item.holds is not None and item.lease is None:
        raise ValueError("an item holds what admitted a job, and names no lease: whose limits?")


def _are_alike(items: Sequence[Item]) -> bool:
    """Return whether all create streams with the same jobs, ready and in no lane, and the same
    events, of which the first may differ in what it says."""
    first = items[0]
    if len(items) == 1 or not first.events or any(event.topic in ENDS for event in first.events):
        return False
    if any(row.kind is not None or row.limits for row in first.rows):
        return False
    (topic, _, *where), rest = first.events[0], first.events[1:]
    return all(
        item.id is not None
        and item.gate is None
        and item.rows is first.rows
        and item.events[0].topic == topic
        and [*item.events[0][2:]] == where
        and len(item.events) == len(rest) + 1
        and all(map(is_, item.events[1:], rest))
        for item in items
    )


def _alike(given: dict[str, Any], items: Sequence[Item], blob_min: int) -> None:
    """Set all states, and the other columns of events and rows as the first item has them."""
    _events(given, items[:1], blob_min=sys.maxsize)
    _rows(given, items[:1])
    states = [event.state for item in items for event in item.events]
    given["e_item"] = given["r_item"] = None
    given["e_state"] = states
    if max(map(len, states)) > blob_min:
        count = len(items[0].events)
        places = [place for place in range(1, len(items) + 1) for _ in range(count)]
        _blobs(given, places, blob_min)


def _events(given: dict[str, Any], items: Sequence[Item], blob_min: int) -> None:
    places: list[int] = []
    indexes: list[int] = []
    events: list[Encoded] = []
    for place, item in enumerate(items, start=1):
        count = len(item.events)
        places += [place] * count
        indexes += range(count)
        events += item.events
    if not events:
        return
    given["e_item"], given["e_index"] = places, indexes
    for name, column in zip(_EVENT, zip(*events, strict=True), strict=True):
        given[f"e_{name}"] = _unless_null(column)
    if not ENDS.isdisjoint(given["e_topic"]):
        given["p_ends"] = [
            place for place, event in zip(places, events, strict=True) if event.topic in ENDS
        ]
    if max(map(len, given["e_state"])) > blob_min:
        _blobs(given, places, blob_min)


def _blobs(given: dict[str, Any], items: Sequence[int], blob_min: int) -> None:
    states = list(given["e_state"])
    hashes: list[bytes | None] = [None] * len(states)
    large = [n for n, state in enumerate(states) if len(state) > blob_min]
    given["b_item"] = [items[n] for n in large]
    given["b_body"] = [states[n] for n in large]
    for n in large:
        hashes[n], states[n] = sha256(states[n]).digest(), None
    given["b_hash"] = [hashes[n] for n in large]
    given["e_state"], given["e_blob"] = states, hashes


def _rows(given: dict[str, Any], items: Sequence[Item]) -> None:
    rows: list[Row] = []
    places: list[int] = []
    for place, item in enumerate(items, start=1):
        if item.rows:
            rows += item.rows
            places += [place] * len(item.rows)
    if rows:
        given["r_item"] = places
        for name, column in zip(_ROW, zip(*rows, strict=True), strict=True):
            given[f"r_{name}"] = _unless_null(column)
        lanes = given["r_limits"]
        given["r_limits"] = [_RECORD.join(lane) or None for lane in lanes] if any(lanes) else None


def _drops(given: dict[str, Any], items: Sequence[Item]) -> None:
    drops = [
        (place, step, activation)
        for place, item in enumerate(items, start=1)
        for step, activation in item.drops
    ]
    if drops:
        given["d_item"], given["d_step"], given["d_activation"] = zip(*drops, strict=True)


def _settings(given: dict[str, Any], items: Sequence[Item]) -> None:
    settings = [
        {"item": place} | said
        for place, item in enumerate(items, start=1)
        if item.limits or item.closures or item.changes or item.holds is not None
        for said in [_said(item)]
    ]
    if settings:
        given["p_settings"] = json.dumps(settings)


def _said(item: Item) -> dict[str, Any]:
    """Return what ``item`` says about limits and rows, as ``runfold.set_limits`` takes it."""
    said: dict[str, Any] = {}
    if item.changes:
        said["changes"] = [
            (change.id, change.inputs, change.due_at and change.due_at.isoformat(), change.delay)
            for change in item.changes
        ]
    if item.limits:
        said["limits"] = item.limits
    if item.closures:
        said["closures"] = [
            (closure.bucket, closure.until and closure.until.isoformat())
            for closure in item.closures
        ]
    if item.holds is not None and item.lease is not None:
        said["holds"] = (
            (item.lease[0], item.holds.isoformat(), None)
            if isinstance(item.holds, datetime)
            else (item.lease[0], None, item.holds)
        )
    return said


def _claims(given: dict[str, Any], claims: Sequence[Claim]) -> None:
    given["c_queue"] = [claim.queue for claim in claims]
    given["c_limit"] = [claim.limit for claim in claims]
    given["c_token"] = [claim.token for claim in claims]
    given["c_state"] = [claim.state for claim in claims]
    given["c_targets"] = [
        _RECORD.join(flow + _UNIT + step for flow, step in claim.targets) for claim in claims
    ]
    if any(claim.floors for claim in claims):
        given["c_floors"] = [
            floor for claim in claims for floor in claim.floors or (0,) * PRIORITIES
        ]


def _any(column: Sequence[Any]) -> bool:
    return column.count(None) < len(column)


def _unless_null(column: Sequence[Any]) -> Sequence[Any] | None:
    return column if _any(column) else None


def _unless_all(column: Sequence[Any], value: Any) -> Sequence[Any] | None:
    return column if column.count(value) < len(column) else None


def _unless_false(column: Sequence[bool]) -> Sequence[bool] | None:
    return column if any(column) else None
