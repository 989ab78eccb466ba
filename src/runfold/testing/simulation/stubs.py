"""Other handlers in the place of the real ones, held to what those declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runfold.define.context import Context, SyncContext
from runfold.define.fits import fits, show
from runfold.define.handler import Handler
from runfold.define.job import Job
from runfold.define.signature import Signature, scope_of_caller, signature_of
from runfold.define.values import ANY, value_of
from runfold.errors import InvalidDefinition

Handlers = dict[tuple[str, str], Handler]


@dataclass(frozen=True)
class Stub:
    """``signature.fn`` in the place of ``step``; made by ``stub``."""

    step: Any
    signature: Signature


def stub(step: Callable[..., Any] | Job[Any, Any] | str, fn: Callable[..., Any]) -> Stub:
    """Return what replaces a handler in a simulation.

    ``step``: the handler (or the function of a compensation), a job, or the name of a step,
    ``flow/step`` where several flows have it; of two stubs for one step the last counts.
    ``fn`` takes ``()``, ``(input)`` or ``(input, ctx)``, ``async def`` or ``def``, whatever the
    real one is; inputs, results and emits are those of the step. Raises ``InvalidDefinition``
    for a function that can be no handler.
    """
    return Stub(step, signature_of(fn, scope_of_caller(1)))


def replaced(handlers: Mapping[tuple[str, str], Handler], stubs: Iterable[Stub]) -> Handlers:
    """Return ``handlers`` with the stubs in their places; raises ``InvalidDefinition``."""
    found = dict(handlers)
    for one in stubs:
        if not isinstance(one, Stub):
            raise InvalidDefinition(f"stubs= holds {one!r}, expected what stub(step, fn) returns")
        places = [key for key, handler in handlers.items() if _is_meant(one.step, handler)]
        if not places:
            known = ", ".join(sorted("/".join(key) for key in handlers))
            raise InvalidDefinition(
                f"stub({_name(one.step)}, ...) is for no step of this simulation, which has {known}"
            )
        for key in places:
            found[key] = _stubbed(handlers[key], one.signature)
    return found


def _is_meant(step: Any, handler: Handler) -> bool:
    if isinstance(step, str):
        return step in {
            handler.step,
            f"{handler.flow}/{handler.step}",
            handler.flow * handler.standalone,
        }
    if isinstance(step, Job):
        return handler.standalone and handler.flow == step.name
    return handler.fn is step


def _stubbed(handler: Handler, signature: Signature) -> Handler:
    where = f"the stub {signature.place} of step {handler.step!r}"
    given, wanted = handler.input.annotation, signature.input
    if signature.takes and not fits(given, wanted):
        raise InvalidDefinition(f"{where} takes {show(wanted)}, the step takes {show(given)}")
    if not fits(signature.result, handler.result.annotation):
        raise InvalidDefinition(
            f"{where} returns {show(signature.result)}, the step returns "
            f"{show(handler.result.annotation)}"
        )
    context = Context if signature.is_async else SyncContext
    asked = signature.context
    if asked is not Any and isinstance(asked, type) and not issubclass(context, asked):
        raise InvalidDefinition(
            f"{where} takes ctx: {show(asked)}, but is given a {context.__name__}: `async def` "
            "takes Context, `def` takes SyncContext"
        )
    return replace(
        handler,
        fn=signature.fn,
        kind="async" if signature.is_async else "thread",
        takes=signature.takes,
        input=value_of(wanted) if handler.input is ANY else handler.input,
        result=value_of(signature.result) if handler.result is ANY else handler.result,
    )


def _name(step: Any) -> str:
    return repr(step) if isinstance(step, str) else str(getattr(step, "__qualname__", step))
