"""Subscriptions as data: functions become the names of the steps that they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runfold.define.declared import Declared
from runfold.define.signature import place_of
from runfold.define.sources import AllOf, Collect, items_of
from runfold.define.topic import Item, topic_name
from runfold.define.topic import Source as Written
from runfold.errors import InvalidDefinition
from runfold.flow.definition import Part, Source, Subscription


def subscription_of(written: Written[Any] | str, steps: Sequence[Declared]) -> Subscription:
    """Return ``written`` as a part of a definition of ``steps``."""
    if isinstance(written, AllOf):
        parts = tuple(_part(label, items, steps) for label, items in written.parts.items())
        return Subscription(kind="all", parts=parts, by=written.by)
    if isinstance(written, Collect):
        return Subscription(
            kind="collect",
            parts=(_part(None, written.items, steps),),
            at_least=written.at_least,
        )
    return Subscription(kind="each", parts=(_part(None, items_of(written, "subscribes="), steps),))


def source_of(item: Item, steps: Sequence[Declared]) -> Source:
    """Return where ``item`` takes its values from, by name."""
    if item.kind == "emit":
        return Source(kind="emit", name=topic_name(item.what))
    kind = "after" if item.kind == "after" else "failed"
    if isinstance(item.what, str):
        return Source(kind=kind, name=item.what)
    names = [step.name for step in steps if step.fn is item.what]
    if len(names) == 1:
        return Source(kind=kind, name=names[0])
    what = f"{kind}({getattr(item.what, '__name__', item.what)})"
    if not names:
        raise InvalidDefinition(
            f"{what} takes {place_of(item.what)}, which is no step of this flow; its steps are "
            f"{', '.join(repr(step.name) for step in steps)}"
        )
    raise InvalidDefinition(
        f"{what} takes a function that is {len(names)} steps of this flow; name one: "
        f"{' or '.join(f'{kind}({name!r})' for name in names)}"
    )


def _part(label: str | None, items: Sequence[Item], steps: Sequence[Declared]) -> Part:
    sources = tuple(dict.fromkeys(source_of(item, steps) for item in items))
    if label is None:
        label = "|".join(source.name for source in sources)
    elif len(items) == 1 and not isinstance(items[0].what, str) and items[0].kind != "emit":
        # all_of(after(fn)) is labelled by the step, whatever its function is called.
        label = sources[0].name if label == getattr(items[0].what, "__name__", None) else label
    return Part(label=label, sources=sources)
