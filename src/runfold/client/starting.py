"""Starting runs and finding them again: ``rf.start``, ``rf.start_many``, ``rf.get``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload
from uuid import UUID

from runfold.client.catalog import Resolved
from runfold.client.conflicts import KeyedStart
from runfold.client.enlisted import Enlisted
from runfold.client.options import OnConflict, inbox_body, start_fields, take_conflict
from runfold.client.run import Run
from runfold.client.session import Session
from runfold.define.target import Target
from runfold.define.values import ANY
from runfold.errors import RunNotFound
from runfold.settings import Span

In = TypeVar("In")
Out = TypeVar("Out")
START_MANY_MAX = 10_000
"""How many runs one ``start_many`` may create."""


class Starting:
    """The part of a ``Runfold`` that creates runs and hands them out."""

    _session: Session

    @overload
    async def start(
        self,
        target: Target[In, Out],
        input: In = ...,
        *,
        key: str | None = ...,
        tags: Sequence[str] | None = ...,
        run_at: datetime | None = ...,
        delay: Span | None = ...,
        deadline: datetime | Span | None = ...,
        priority: int | None = ...,
        retry: Any = ...,
        timeout: Span | None = ...,
        on_conflict: OnConflict = ...,
        max_delay: Span | None = ...,
        connection: Any = ...,
    ) -> Run[Out]: ...

    @overload
    async def start(self, target: str, input: Any = ..., **options: Any) -> Run[Any]: ...

    async def start(self, target: Any, input: Any = None, **options: Any) -> Run[Any]:
        """Record a new run of ``target`` (a ``Flow``, a ``Job`` or a name) and return it.

        ``key``: the same target and key give the same run. ``on_conflict`` says what becomes of
        a start whose key is taken: ``"return"`` that run, ``"refuse"`` it when its input is
        another (``KeyConflict``); ``"replace"`` its input while nothing of it was claimed (else
        ``KeyConflict`` when that is another), ``"debounce"``: replace its input and put it off
        by ``delay`` once more, at most ``max_delay`` seconds after the first start; when it has
        begun, start the next run of the key. Other options are those of its first start.
        ``tags``: strings to find it by.
        ``run_at`` (aware) or ``delay``: not before. ``deadline``: a moment, or a span from the
        start, after which it is ended. ``priority`` 1-10, 10 first. ``retry``, ``timeout``: over
        those of its steps. ``connection``: write it in the caller's own transaction.
        Raises ``InvalidInput`` with field errors, ``UnknownTarget``, ``PayloadTooLarge``; nothing
        is stored then.
        """
        connection = options.pop("connection", None)
        if connection is not None:
            prepared = await self.prepare_rows(target, [input], options)
            await prepared.enlist(connection)
            return prepared.runs[0]
        conflict = take_conflict(options)
        resolved = await self._session.catalog.resolve(target, self._session.node)
        fields = start_fields(resolved.input.dump(input, "input"), **options)
        if fields.get("key") is not None:
            return await KeyedStart(self._session, resolved, fields, conflict).run()
        starter = self._session.node.starter
        id = starter.id_of(resolved.name, None)
        future = starter.start(resolved.definition, id, fields)
        outcome = await self._session.engine.patiently(future)
        return self._session.run(id, resolved.name, outcome.stream, resolved.result, fresh=True)

    async def start_many(
        self,
        target: Any,
        inputs: Sequence[Any],
        *,
        tags: Sequence[str] | None = None,
        priority: int | None = None,
        connection: Any = None,
    ) -> list[Run[Any]]:
        """Record a run of ``target`` for each of ``inputs``, at most 10,000: all or none."""
        if len(inputs) > START_MANY_MAX:
            raise ValueError(
                f"start_many got {len(inputs)} inputs, at most {START_MANY_MAX} are atomic; "
                "split them"
            )
        options = {"tags": tags, "priority": priority}
        if connection is not None:
            prepared = await self.prepare_rows(target, inputs, options)
            await prepared.enlist(connection)
            return prepared.runs
        resolved = await self._session.catalog.resolve(target, self._session.node)
        starter = self._session.node.starter
        starts = self._starts(resolved, inputs, options)
        if not starts:
            return []
        creations = [starter.prepare(resolved.definition, id, fields) for id, fields in starts]
        outcomes = await self._session.engine.patiently(starter.start_all(creations))
        return [
            self._session.run(id, resolved.name, outcome.stream, resolved.result, fresh=True)
            for (id, _), outcome in zip(starts, outcomes, strict=True)
        ]

    async def prepare_rows(
        self, target: Any, inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> Enlisted:
        """Return starts that are checked and ready to be written through a connection."""
        options = dict(options)
        take_conflict(options, later=True)
        resolved = await self._session.catalog.resolve(target, self._session.node)
        starts = self._starts(resolved, inputs, options)
        for id, fields in starts:  # What is too large is refused here, not once it is committed.
            drafts, _ = self._session.node.starter.prepare(resolved.definition, id, fields)
            self._session.node.appender.encode(drafts)
        rows = [(id, inbox_body(resolved.name, resolved.hash, fields)) for id, fields in starts]
        runs = [self._session.run(id, resolved.name, 0, resolved.result) for id, _ in starts]
        return Enlisted(self._session.node.store, rows, runs)

    def _starts(
        self, resolved: Resolved, inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> list[tuple[bytes, dict[str, Any]]]:
        fields = start_fields(None, **options)
        id_of = self._session.node.starter.id_of
        return [
            (id_of(resolved.name, fields.get("key")), {**fields, "input": value})
            for value in resolved.dump_all(inputs)
        ]

    async def get(
        self, id: str | UUID | None = None, *, of: Any = None, key: str | None = None
    ) -> Run[Any]:
        """Return the run of this id, or the newest of this target and key.

        Raises ``RunNotFound``.
        """
        result = ANY
        if id is not None:
            try:
                wanted = UUID(str(id)).bytes
            except ValueError:
                raise RunNotFound(f"there is no run {id!r}: a run's id is a UUID") from None
        elif of is not None and key is not None:
            starter, name = self._session.node.starter, self._session.catalog.name_of(of)
            wanted = starter.id_of(name, key, await starter.newest(name, key))
        else:
            raise ValueError("get() takes an id, or of= and key=")
        stream = await self._session.engine.number(wanted)
        names = await self._session.node.store.names([stream]) if stream else {}
        flow = names[stream].flow if stream in names else None
        if flow is None:
            what = f"id {id}" if id is not None else f"key {key!r} of {of!r}"
            raise RunNotFound(f"there is no run of {what} in namespace {self._session.namespace!r}")
        if of is not None:
            result = self._session.catalog.result_of(of)
            if flow != self._session.catalog.name_of(of):
                raise RunNotFound(f"run {id} is one of {flow!r}, not of {of!r}")
        return self._session.run(wanted, flow, stream, result)
