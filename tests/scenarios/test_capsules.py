"""A run leaves its database in one file and arrives in another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runfold import (
    Capsule,
    Context,
    Flow,
    InvalidInput,
    LogEvent,
    RunCancelled,
    Runfold,
    after,
    all_of,
)
from runfold.flow.run import fold
from scenarios.scene import finished, history, scenario


def orders() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("orders")

    @flow.entry(emits=["left", "right"])
    async def start(data: Any, ctx: Context) -> Any:
        await ctx.state.set("email", data["email"])
        ctx.log.info("order", email=data["email"])
        ctx.emit("left", {"id": 1, "cards": [{"no": 7}, {"no": 8}]})
        ctx.emit("right", {"id": 1})
        return data

    @flow.step(subscribes=all_of("left", "right", by="id"))
    async def pair(data: Any) -> Any:
        return data

    @flow.step(subscribes=after(pair), returns=True)
    async def finish(data: Any) -> Any:
        return ["ü", 1.5, None, data["right"]]

    return flow


ORDER = {"email": "a@b.example", "size": 3}


def told(event: LogEvent) -> tuple[Any, ...]:
    """Return what an import keeps: all but the seal, which is over the bytes of one log."""
    data = {name: value for name, value in event.data.items() if name != "chain"}
    return event.version, event.type, event.step_id, data


@scenario
async def test_a_run_is_exported_imported_and_forked_elsewhere(url: str, tmp_path: Path) -> None:
    file = tmp_path / "run.capsule"
    async with Runfold("memory://", flows=[orders()]) as rf:
        run = await finished(rf, "orders", ORDER, tags=["a"])
        (await run.export()).save(file)
        there = [told(event) for event in await history(run)]
        state = await run.state()
    capsule = Capsule.load(file)
    assert (capsule.run_id, capsule.flow, capsule.redacted) == (run.id, "orders", False)
    assert fold(capsule.definition, capsule.history).status == "completed"
    async with Runfold(url, flows=[orders()]) as rf:
        here = await rf.import_run(capsule)
        assert here.id == run.id
        assert [told(event) for event in await history(here)] == there
        assert await here.result(timeout=0) == state.result
        new = await here.fork(at=2, input={**ORDER, "email": "new"})
        await new.result(timeout=10)
        assert (await new.state()).data == {"email": "new"}
        assert (await here.diff(await rf.get(run.id))).same
        assert (await (await rf.get(here.id)).export()).dumps() != b""
        head = len([e async for e in rf.events()])
        with pytest.raises(InvalidInput, match="in this log already"):
            await rf.import_run(capsule)
        assert len([e async for e in rf.events()]) == head


@scenario
async def test_a_run_that_went_on_ends_where_it_was_and_can_be_forked(url: str) -> None:
    flow = orders()
    async with Runfold("memory://", flows=[flow]).serve({"dispatcher"}) as rf:
        capsule = await (await rf.start(flow, ORDER)).export()
    async with Runfold(url, flows=[flow]) as rf:
        here = await rf.import_run(capsule)
        with pytest.raises(RunCancelled, match="fork it to go on"):
            await here.result(timeout=5)
        await rf.run_until_idle()
        assert [e.type for e in await history(here)] == [
            "flow.start", "step.scheduled", "flow.cancelled",
        ]  # fmt: skip
        new = await here.fork(at=2)
        assert await new.result(timeout=10) == ["ü", 1.5, None, {"id": 1}]


@scenario
async def test_an_imported_definition_is_not_the_one_that_is_served(url: str) -> None:
    older: Flow[Any, Any] = Flow("orders")

    @older.entry()
    async def begin(data: Any) -> str:
        return "older"

    async with Runfold("memory://", flows=[older]) as rf:
        capsule = await (await finished(rf, older)).export()
    async with Runfold(url, flows=[orders()]) as rf:
        here = await rf.import_run(capsule)
        assert await here.result(timeout=5) == "older"
        assert (await here.state()).steps[0].name == "begin"
        restarted = await (await here.fork(at=1, input=ORDER, definition="served")).state()
        assert restarted.name == "orders"
    async with Runfold(url, flows=[Flow("orders")]).connect() as rf:
        if url != "memory://":
            started = await rf.start("orders", ORDER)
            assert [step.name for step in (await started.state()).steps] == ["start"]


@scenario
async def test_values_are_redacted_by_path_or_by_function(url: str) -> None:
    async with Runfold(url, flows=[orders()]) as rf:
        run = await finished(rf, "orders", ORDER, tags=["a"])
        paths = ["input.email", "result.email", "value", "meta.email", "payload.cards.*.no"]
        capsule = await run.export(redact=paths)
        content = capsule.dumps()
        assert capsule.redacted
        assert b"a@b.example" not in content
        assert b'"cards":[{"no":"[redacted]"},{"no":"[redacted]"}]' in content
        assert fold(capsule.definition, capsule.history).status == "completed"

        def sizes(kind: str, data: dict[str, Any]) -> dict[str, Any]:
            return {} if kind == "flow.start" else data

        first: Any = (await run.export(redact=sizes)).history[0].event
        assert (first.input, first.tags) == (None, ())
        with pytest.raises(InvalidInput, match="decides which events meet"):
            await run.export(redact=lambda kind, data: {**data, "payload": {"id": str(data)}})
        for wrong in (["name"], "input.email", ["tags"]):
            with pytest.raises(InvalidInput):
                await run.export(redact=wrong)
        assert (await run.export()).dumps() != content
