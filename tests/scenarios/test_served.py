"""``rf.flows``: what was ever served, and the graph of it."""

from __future__ import annotations

from typing import Any

import pytest

from runfold import Context, Flow, Queue, Runfold, UnknownTarget, after, all_of, failed
from runfold.client.flow_graph import GraphEdge
from scenarios.scene import finished, scenario


def orders(*, bigger: bool = False) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("orders", deadline=3600)

    @flow.entry(emits=["paid", 'the "other"'])
    async def accept(data: Any, ctx: Context) -> None: ...

    @flow.step(subscribes="paid", queue="cpu", retry=5, timeout=30)
    async def pack(data: Any) -> None: ...

    @flow.step(subscribes=all_of(packed=after(pack), other='the "other"'), returns=True)
    async def ship(data: Any) -> None: ...

    @flow.step(subscribes=failed(pack))
    async def complain(data: Any) -> None: ...

    if bigger:

        @flow.step(subscribes="paid")
        async def thank(data: Any) -> None: ...

    return flow


def mail() -> Queue:
    queue = Queue("mail")

    @queue.job()
    async def send(data: Any) -> None: ...

    return queue


@scenario
async def test_flows_and_jobs_are_listed_as_they_were_served_last(url: str) -> None:
    async with Runfold(url, flows=[orders()], queues=[mail()]) as rf:
        await finished(rf, "mail/send")
        found = await rf.flows.list()
        assert [(one.name, one.kind, one.steps, one.queues, one.entry) for one in found] == [
            ("mail/send", "job", 1, ["mail"], "send"),
            ("orders", "flow", 4, ["cpu", "default"], "accept"),
        ]
        assert found[1].hash == (await rf.flows.graph("orders")).hash
        assert await rf.flows.list() == found


@scenario
async def test_a_client_lists_what_others_served_and_what_they_serve_later(
    shared_url: str,
) -> None:
    async with Runfold(shared_url).connect() as client:
        assert await client.flows.list() == []
        async with Runfold(shared_url, flows=[orders()]):
            [first] = await client.flows.list()
        async with Runfold(shared_url, flows=[orders(bigger=True)]):
            [second] = await client.flows.list()
        assert (first.steps, second.steps) == (4, 5)
        assert second.defined_at > first.defined_at
        graph = await client.flows.graph("orders")
        assert [step.name for step in graph.steps][-1] == "thank"


@scenario
async def test_a_graph_names_steps_and_what_leads_to_them(url: str) -> None:
    async with Runfold(url, flows=[orders()]) as rf:
        graph = await rf.flows.graph("orders")
        by_name = {step.name: step for step in graph.steps}
        assert {name: step.kind for name, step in by_name.items()} == {
            "accept": "entry", "pack": "each", "ship": "all", "complain": "each",
        }  # fmt: skip
        pack = by_name["pack"]
        assert (pack.queue, pack.max_attempts, pack.timeout) == ("cpu", 5, 30)
        assert by_name["ship"].returns
        assert graph.deadline == 3600
        assert graph.edges == [
            GraphEdge("accept", "pack", "emit", "paid"),
            GraphEdge("pack", "ship", "after", "pack"),
            GraphEdge("accept", "ship", "emit", 'the "other"'),
            GraphEdge("pack", "complain", "failed", "pack"),
        ]
        assert graph.mermaid().splitlines() == [
            "flowchart TD",
            '    s0["accept"]',
            '    s1["pack"]',
            '    s2["ship"]',
            '    s3["complain"]',
            '    s0 -->|"paid"| s1',
            '    s1 -->|"after"| s2',
            '    s0 -->|"the #quot;other#quot;"| s2',
            '    s1 -.->|"failed"| s3',
        ]


@scenario
async def test_what_was_never_served_has_no_graph(url: str) -> None:
    async with Runfold(url).connect() as rf:
        with pytest.raises(UnknownTarget, match="'nothing'"):
            await rf.flows.graph("nothing")
        with pytest.raises(UnknownTarget, match="expected a Flow"):
            await rf.flows.graph(7)
