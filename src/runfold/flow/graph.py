"""The graph of a definition: who takes what, in which lane, and what leads where.

Nodes are steps, outlets are what they give: emits by name, and an ``after`` and a ``failed``
for each step. Everything here follows from the definition alone and is computed once.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from runfold.flow.definition import COMPENSATION_SUFFIX, FlowDefinition, Source, StepDefinition
from runfold.flow.faults import validate
from runfold.flow.lanes import ROOT, nearest_common, paths
from runfold.flow.limits import Admission

__all__ = ["GRAPHS_MAX", "Graph", "Node", "Outlet", "Taker", "graph_of", "validate"]

GRAPHS_MAX = 256
"""How many graphs are kept for the next run of their definition."""

Kind = Literal["entry", "each", "all", "collect"]


class Outlet:
    """Something that a step gives and others take: an emit's name, a completion, a failure."""

    __slots__ = ("id", "is_keyed", "is_lane", "kind", "name", "takers", "trigger")

    def __init__(self, number: int, source: Source) -> None:
        self.id = number
        self.kind = source.kind
        self.name = source.name
        self.trigger = source.name if source.kind == "emit" else f"{source.kind}:{source.name}"
        self.takers: list[Taker] = []
        self.is_lane = False
        """Some join pairs within the instances of this."""
        self.is_keyed = False
        """Some step that takes this has limits with a key in its input."""


class Node:
    """A step in its graph."""

    __slots__ = (
        "admission", "after", "by", "compensated", "failed", "gives_result", "handled", "index",
        "kind", "labels", "lane", "leads", "name", "priority", "queue", "sources", "step",
    )  # fmt: skip

    def __init__(self, index: int, step: StepDefinition, flow: str) -> None:
        subscription = step.subscription
        self.index = index
        self.step = step
        # What is asked with every activation: of a model it would be ten times as dear.
        self.name, self.queue, self.priority = step.name, step.queue, step.priority
        self.compensated = step.compensated
        self.kind: Kind = subscription.kind if subscription else "entry"
        self.by = subscription.by if subscription else None
        parts = subscription.parts if subscription else ()
        self.labels = tuple(part.label for part in parts)
        self.sources: set[int] = set()
        """The outlets that it takes."""
        self.after: Outlet | None = None
        """Its completion, if something takes it; ``failed`` likewise."""
        self.failed: Outlet | None = None
        self.handled = False
        """Some other step takes its failures."""
        self.lane: int | None = None
        """Of a join: the outlet within whose instances it pairs, None for the whole run."""
        self.leads: tuple[int, ...] = ()
        """Indexes of the collects that wait while an activation of this is open."""
        self.gives_result = False
        """Its result is the run's, or a part of it."""
        limited = step.limits or step.queue_keys
        self.admission = Admission(flow, step) if limited else None
        """What admits its jobs, beside the limits of its whole queue."""


class Taker(NamedTuple):
    """A step that subscribes to an outlet, and the part of its subscription that takes it."""

    node: Node
    part: int


class Graph:
    """A definition, ready to be followed. Total: faults of the definition only leave gaps."""

    __slots__ = ("collects", "emits", "entry", "nodes", "outlets", "results")

    def __init__(self, definition: FlowDefinition) -> None:
        self.nodes: dict[str, Node] = {}
        for index, step in enumerate(definition.steps):
            self.nodes.setdefault(step.name, Node(index, step, definition.name))
        self.outlets: dict[tuple[str, str], Outlet] = {}
        self.entry = next((node for node in self.nodes.values() if node.kind == "entry"), None)
        self._connect()
        self.emits = {
            name: outlet for (kind, name), outlet in self.outlets.items() if kind == "emit"
        }
        self.collects = tuple(node for node in self.nodes.values() if node.kind == "collect")
        self._find_lanes()
        self._find_leads()
        self.results = _result_steps(self)
        for node in self.results:
            node.gives_result = True

    def base(self, step: str | None) -> tuple[Node | None, bool]:
        """Return the node that the name of a step stands for, and whether as compensation."""
        node = self.nodes.get(step or "")
        if node is None and step and step.endswith(COMPENSATION_SUFFIX):
            return self.nodes.get(step.removesuffix(COMPENSATION_SUFFIX)), True
        return node, False

    def gives(self, node: Node) -> list[Outlet]:
        """Return what ``node`` gives and something takes."""
        emits = (self.outlets.get(("emit", name)) for name in node.step.emits)
        return [outlet for outlet in (*emits, node.after, node.failed) if outlet is not None]

    def _connect(self) -> None:
        for node in self.nodes.values():
            subscription = node.step.subscription
            for part, taken in enumerate(subscription.parts if subscription else ()):
                for source in dict.fromkeys(taken.sources):
                    self._take(source, node, part)
        for node in self.nodes.values():
            node.after = self.outlets.get(("after", node.name))
            node.failed = self.outlets.get(("failed", node.name))
            takers = node.failed.takers if node.failed else ()
            node.handled = any(taker.node is not node for taker in takers)

    def _take(self, source: Source, node: Node, part: int) -> None:
        place = (source.kind, source.name)
        outlet = self.outlets.get(place)
        if outlet is None:
            outlet = self.outlets[place] = Outlet(len(self.outlets), source)
        outlet.takers.append(Taker(node, part))
        outlet.is_keyed |= node.admission is not None and bool(node.admission.paths)
        node.sources.add(outlet.id)

    def _find_lanes(self) -> None:
        joins = [node for node in self.nodes.values() if node.kind == "all" and node.by is None]
        if not joins:
            return
        edges: dict[int, set[int]] = {ROOT: set()}
        for node in self.nodes.values():
            barrier = node.kind == "collect" or node.by is not None or node.kind == "entry"
            given = {outlet.id for outlet in self.gives(node)}
            for source in {ROOT} if barrier else node.sources:
                edges.setdefault(source, set()).update(given)
        dominators = paths(edges, len(self.outlets))
        places = {outlet.id: outlet for outlet in self.outlets.values()}
        for node in joins:
            node.lane = nearest_common(dominators, node.sources)
            if node.lane is not None:
                places[node.lane].is_lane = True

    def _find_leads(self) -> None:
        for node in self.nodes.values():
            reached = self._reach(node)
            node.leads = tuple(
                collect.index
                for collect in self.collects
                if collect is not node and collect.sources & reached
            )

    def _reach(self, start: Node) -> set[int]:
        """Return the outlets that an activation of ``start`` can lead to."""
        reached: set[int] = set()
        stack = [start]
        while stack:
            for outlet in self.gives(stack.pop()):
                if outlet.id not in reached:
                    reached.add(outlet.id)
                    stack.extend(taker.node for taker in outlet.takers)
        return reached


def _result_steps(graph: Graph) -> tuple[Node, ...]:
    """Return the step with ``returns``, else the leaves of the graph without its failures.

    A leaf is followed by nothing: no emit of it is taken, nor its completion. Steps that only
    a failure reaches count as leaves no more than the handling of a failure is a result.
    """
    returning = tuple(node for node in graph.nodes.values() if node.step.returns)
    if returning:
        return returning[:1]
    reached: dict[int, Node] = {}
    stack = [graph.entry] if graph.entry else []
    leaves: list[Node] = []
    while stack:
        node = stack.pop()
        if node.index in reached:
            continue
        reached[node.index] = node
        ways = [outlet for outlet in graph.gives(node) if outlet.kind != "failed"]
        stack.extend(taker.node for outlet in ways for taker in outlet.takers)
        if not ways:
            leaves.append(node)
    return tuple(sorted(leaves, key=lambda node: node.index))


_GRAPHS: dict[str, Graph] = {}


def graph_of(definition: FlowDefinition) -> Graph:
    """Return the graph of ``definition``, computed once for each hash."""
    graph = _GRAPHS.get(definition.hash)
    if graph is None:
        if len(_GRAPHS) >= GRAPHS_MAX:
            _GRAPHS.pop(next(iter(_GRAPHS)), None)
        graph = _GRAPHS[definition.hash] = Graph(definition)
    return graph
