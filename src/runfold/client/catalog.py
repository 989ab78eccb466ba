"""What one ``Runfold`` can start and run: its flows and jobs, by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from runfold.define.discover import discover
from runfold.define.fitting import Surroundings, fit, limits_by_queue
from runfold.define.flow import Flow
from runfold.define.handler import Handler
from runfold.define.options import Retry, retry_of
from runfold.define.queue import Queue
from runfold.define.target import Sealed, Target
from runfold.define.values import ANY, Value
from runfold.errors import InvalidDefinition, InvalidInput, InvalidSettings, UnknownTarget
from runfold.flow.definition import COMPENSATION_SUFFIX, FlowDefinition, LimitDefinition
from runfold.runtime.node import Node

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a start is aimed at: the definition that the run follows, and its types."""

    name: str
    definition: FlowDefinition
    input: Value
    result: Value

    @property
    def hash(self) -> str:
        """The identity of the definition."""
        return self.definition.hash

    def dump_all(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the inputs as plain JSON; raises ``InvalidInput`` naming each that is wrong."""
        dumped, faults = [], []
        for place, value in enumerate(inputs):
            try:
                dumped.append(self.input.dump(value, f"input {place}"))
            except InvalidInput as error:
                faults += [
                    {**fault, "loc": f"{place}.{fault['loc']}".rstrip(".")}
                    for fault in error.details or [{"loc": "", "msg": str(error)}]
                ]
        if faults:
            raise InvalidInput(
                f"{len(faults)} fields of {len(inputs)} inputs for {self.name!r} are wrong; "
                "nothing was stored",
                details=faults,
            )
        return dumped


class Catalog:
    """Flows and jobs by name, sealed when they are first served."""

    def __init__(
        self,
        flows: Iterable[Flow[Any, Any]],
        queues: Iterable[Queue],
        discovered: Iterable[str | os.PathLike[str]],
        *,
        retry: Retry | int = 3,
        timeout: float | None = None,
    ) -> None:
        self._around = Surroundings(retry=retry_of(retry), timeout=timeout)
        self._flows = _only(Flow, "flows", flows)
        self._queues = _only(Queue, "queues", queues)
        self._discover = [Path(one) if isinstance(one, os.PathLike) else one for one in discovered]
        self._sealed: dict[str, Sealed] | None = None
        self._elsewhere: dict[str, tuple[Sealed, Sealed]] = {}
        """By name, of targets that were started and are none of these: as sealed, as fitted."""
        self._recorded: set[str] = set()

    def seal(self) -> None:
        """Check everything and accept no changes; raises ``InvalidDefinition``."""
        if self._sealed is not None:
            return
        flows, queues = list(self._flows), list(self._queues)
        if self._discover:
            found_flows, found_queues = discover(self._discover)
            flows += [flow for flow in found_flows if flow not in flows]
            queues += [queue for queue in found_queues if queue not in queues]
        found = [flow.seal() for flow in flows] + [job for q in queues for job in q.seal()]
        around = replace(self._around, limits=limits_by_queue(queues, found))
        sealed: dict[str, Sealed] = {}
        for one in found:
            if one.name in sealed:
                raise InvalidDefinition(
                    f"two flows or jobs are called {one.name!r}; names are unique in a Runfold: "
                    "rename one of them"
                )
            sealed[one.name] = fit(one, around)
        self._around, self._sealed, self._queues = around, sealed, queues

    def require_steps(self) -> None:
        """Raise ``InvalidDefinition`` for a flow whose handlers nobody has imported."""
        for one in self._all():
            if one.definition is None:
                raise InvalidDefinition(
                    f"flow {one.name!r} has no steps and is to be worked on here; import the "
                    "module that declares them, or leave it out of flows= (a client needs none)"
                )

    def definitions(self) -> list[FlowDefinition]:
        """Return the definitions that this process serves."""
        return [one.definition for one in self._all() if one.definition is not None]

    def queue_limits(self) -> dict[str, tuple[LimitDefinition, ...]]:
        """Return the limits of every queue that the code here defines, by name.

        One without limits is there too: whoever served it before may have said some.
        """
        self.seal()
        given = (options.queue for one in self._all() for options in one.options.values())
        queues = [queue for queue in (*self._queues, *given) if isinstance(queue, Queue)]
        return dict.fromkeys((queue.name for queue in queues), ()) | dict(self._around.limits)

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers by flow and step, also under what a step was called formerly."""
        handlers = {
            (one.name, step): handler
            for one in self._all()
            for step, handler in one.handlers.items()
        }
        for one in self._all():
            for old, now in _former_names(one):
                if now in one.handlers:
                    handlers.setdefault((one.name, old), one.handlers[now])
        return handlers

    def queue_names(self) -> list[str]:
        """Return the queues that the steps of this process wait in."""
        steps = (step for definition in self.definitions() for step in definition.steps)
        return sorted({step.queue for step in steps})

    def slots(self, queues: Mapping[str, Any] | None, default: int) -> Mapping[str, int]:
        """Return how many handlers of each queue run here; raises ``InvalidSettings``."""
        used = self.queue_names()
        if queues is None:
            return dict.fromkeys(used, default)
        unknown = sorted(queues.keys() - set(used))
        if unknown:
            raise InvalidSettings(
                f"queues {unknown!r} are used by no step or job here, which use {used!r}; "
                "a worker would wait there for nothing"
            )
        for queue, number in queues.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise InvalidSettings(f"queue {queue!r} has {number!r} slots, expected at least 1")
        return queues

    async def resolve(self, target: Any, node: Node) -> Resolved:
        """Return what a run of ``target`` follows; a definition not served yet is recorded.

        Raises ``UnknownTarget`` for a name under which nothing was ever served.
        """
        sealed = self._find(target)
        if sealed is not None and sealed.definition is not None:
            if sealed.definition.hash not in self._recorded:
                await node.definitions.define(sealed.definition, node.appender)
                self._recorded.add(sealed.definition.hash)
            return Resolved(sealed.name, sealed.definition, sealed.input, sealed.result)
        name = self.name_of(target)
        definition = await node.definitions.last(name)
        if definition is None:
            raise UnknownTarget(
                f"no flow or job called {name!r} was ever served here; start a worker that has "
                "it, or pass the Flow or Job object itself",
                details={"target": name},
            )
        return Resolved(
            name, definition, sealed.input if sealed else ANY, sealed.result if sealed else ANY
        )

    def forget_recorded(self) -> None:
        """Record definitions anew at the next start: another log may be behind the URL."""
        self._recorded.clear()

    def name_of(self, target: Any) -> str:
        """Return the name of a target or a name; raises ``UnknownTarget`` for anything else."""
        if isinstance(target, str):
            return target
        if isinstance(target, Target):
            return target.name
        raise UnknownTarget(
            f"{target!r} cannot be started; expected a Flow, a Job or the name of one"
        )

    def input_of(self, name: str) -> Value:
        """Return how the input of a run of the flow or job ``name`` is written."""
        sealed = self._by_name().get(name)
        return sealed.input if sealed is not None else ANY

    def result_of(self, target: Any) -> Value:
        """Return how the result of a run of ``target`` is read."""
        sealed = self._find(target)
        return sealed.result if sealed is not None else ANY

    def sealed(self, name: str) -> Sealed | None:
        """Return the flow or job of this name, None when it is not here."""
        return self._by_name().get(name)

    def _find(self, target: Any) -> Sealed | None:
        if not isinstance(target, Target):
            return self._by_name().get(self.name_of(target))
        sealed = target.seal()
        known = self._elsewhere.get(sealed.name)
        if known is None or known[0] is not sealed:
            self._by_name()
            limits = limits_by_queue((), [sealed]) | dict(self._around.limits)
            known = (sealed, fit(sealed, replace(self._around, limits=limits)))
            self._elsewhere[sealed.name] = known
        return known[1]

    def _all(self) -> Iterable[Sealed]:
        return self._by_name().values()

    def _by_name(self) -> dict[str, Sealed]:
        self.seal()
        assert self._sealed is not None
        return self._sealed


def _former_names(sealed: Sealed) -> Iterator[tuple[str, str]]:
    """Yield what steps and their compensations were called formerly, with today's name."""
    for step in sealed.definition.steps if sealed.definition is not None else ():
        for old in step.formerly:
            yield old, step.name
            yield old + COMPENSATION_SUFFIX, step.name + COMPENSATION_SUFFIX


def _only(kind: type[T], option: str, given: Any) -> list[T]:
    """Return ``given`` without repeats; raises ``InvalidDefinition`` for anything else in it."""
    if isinstance(given, kind) or not isinstance(given, Iterable):
        raise InvalidDefinition(
            f"{option} is {given!r}, expected a list of {kind.__name__} objects"
        )
    unique = list({id(one): one for one in given}.values())
    for one in unique:
        if not isinstance(one, kind):
            raise InvalidDefinition(f"{option} holds {one!r}, expected {kind.__name__} objects")
    return unique
