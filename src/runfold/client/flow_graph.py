"""The graph of a definition as everybody outside sees it: steps, and what leads from one to
another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runfold.flow.definition import FlowDefinition, StepDefinition

_ARROWS = {"emit": "-->", "after": "-->", "failed": "-.->"}


@dataclass(frozen=True, slots=True)
class GraphStep:
    """A step. ``kind``: how it is activated: ``entry``, ``each``, ``all`` or ``collect``."""

    name: str
    kind: str
    queue: str
    emits: list[str]
    returns: bool
    compensated: bool
    max_attempts: int
    timeout: float | None
    priority: int | None


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """``target`` is activated by what ``source`` gives: an ``emit`` of ``name``, its completion
    (``after``) or its failure for good (``failed``)."""

    source: str
    target: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """A definition as a graph."""

    name: str
    hash: str
    """The identity of the definition."""
    failure: str
    deadline: float | None
    steps: list[GraphStep]
    edges: list[GraphEdge]

    @classmethod
    def of(cls, definition: FlowDefinition) -> FlowGraph:
        """Return the graph of ``definition``."""
        return cls(
            definition.name, definition.hash, definition.failure, definition.deadline,
            [_step(step) for step in definition.steps],
            [edge for step in definition.steps for edge in _edges(definition, step)],
        )  # fmt: skip

    def mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart."""
        ids = {step.name: f"s{number}" for number, step in enumerate(self.steps)}
        lines = ["flowchart TD"]
        lines += [f'    {ids[step.name]}["{_quoted(step.name)}"]' for step in self.steps]
        for edge in self.edges:
            label = edge.name if edge.kind == "emit" else edge.kind
            arrow = f'{_ARROWS[edge.kind]}|"{_quoted(label)}"|'
            lines.append(f"    {ids[edge.source]} {arrow} {ids[edge.target]}")
        return "\n".join(lines)


def _step(step: StepDefinition) -> GraphStep:
    return GraphStep(
        step.name,
        step.subscription.kind if step.subscription else "entry",
        step.queue,
        list(step.emits),
        step.returns,
        step.compensated,
        step.retry.max_attempts,
        step.timeout,
        step.priority,
    )


def _edges(definition: FlowDefinition, step: StepDefinition) -> Iterator[GraphEdge]:
    for part in step.subscription.parts if step.subscription else ():
        for source in part.sources:
            if source.kind != "emit":
                yield GraphEdge(source.name, step.name, source.kind, source.name)
                continue
            for other in definition.steps:
                if source.name in other.emits:
                    yield GraphEdge(other.name, step.name, source.kind, source.name)


def _quoted(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;").replace("\n", " ")
