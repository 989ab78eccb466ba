"""A projection: rows of one model, kept by handlers of events."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar, overload

from runfold.errors import InvalidDefinition
from runfold.flow.events import REGISTRY
from runfold.kernel.event import Event
from runfold.projections.columns import Kind
from runfold.projections.in_place import InPlace
from runfold.projections.logged import Logged
from runfold.projections.model import RowModel, Values
from runfold.projections.rows import Rows, Sheet
from runfold.wire import LogEvent

Row = TypeVar("Row")
E = TypeVar("E", bound=Event)
Shown = TypeVar("Shown", bound=Callable[[Any, LogEvent], None])
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Handler(NamedTuple):
    """What is called for an event of one type."""

    fn: Callable[[Any, Any], None]
    flows: frozenset[str] | None
    """Only for events of runs of these; None: for all."""
    is_typed: bool
    """Called with a ``Logged``; else with a ``LogEvent``."""


class Projection(Generic[Row]):
    """A table of rows that is folded from the log, kept live and can be rebuilt.

    ``name``: lower-case letters, digits and ``_``, at most 40; also the table's. ``row_model``:
    a pydantic model or a dataclass; ``str int float bool datetime bytes`` are columns of these
    kinds, everything else is kept as text or JSON, None as NULL. ``key``: the field or fields
    that name a row. ``version``: a new one builds a new table beside the old one, which is read
    until then; change it with the handlers or the model. ``indexes``: for ``list``, each a tuple
    of fields, ``"-field"`` from high to low. ``parallel``: every row belongs to one run, so a
    rebuild may be divided by run. ``in_place``: ``rows.get`` gives the row and no copy, at half
    the price; each type of event has one handler, of its class and of all flows, which gets all
    the rows it needs before it changes one, and puts all that it changed. ``counts``: fields of
    ``str`` by which rows are counted as they change (only those that are ``counted``, by field
    and value), so that ``count`` of them costs the same for any number of rows; a handler then
    puts a row without ``get`` only where there was none. Raises ``InvalidDefinition``.
    """

    def __init__(
        self,
        name: str,
        row_model: type[Row],
        *,
        key: str | Sequence[str],
        version: int = 1,
        indexes: Iterable[Sequence[str]] = (),
        parallel: bool = False,
        in_place: bool = False,
        counts: Sequence[str] = (),
        counted: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.version, self.parallel = name, version, parallel
        self.in_place, self.counts = in_place, tuple(counts)
        self.counted = tuple((counted or {}).items())
        place = f"projection {name!r}"
        if not _NAME.fullmatch(str(name)):
            raise InvalidDefinition(
                f"{place}: a name has lower-case letters, digits and '_', begins with a letter "
                f"and is at most 40 long"
            )
        if type(version) is not int or not 0 < version < 2**31:
            raise InvalidDefinition(f"{place}: version is {version!r}, expected 1 or more")
        self.rows = RowModel(place, row_model)
        self.key = (key,) if isinstance(key, str) else tuple(key)
        self.indexes = tuple(_index(place, one, self.rows) for one in indexes)
        _check_key(place, self.key, self.rows)
        _check_counts(place, (*self.counts, *dict(self.counted)), self.rows)
        self.handlers: dict[str, list[Handler]] = {}
        """By type of event, in the order in which they were declared."""
        self._sealed = False

    def __repr__(self) -> str:
        return f"Projection({self.name!r}, version={self.version})"

    @overload
    def on(
        self, *types: str, flow: Any = None
    ) -> Callable[
        [Callable[[Rows[Row], LogEvent], None]], Callable[[Rows[Row], LogEvent], None]
    ]: ...

    @overload
    def on(
        self, *types: type[E], flow: Any = None
    ) -> Callable[
        [Callable[[Rows[Row], Logged[E]], None]], Callable[[Rows[Row], Logged[E]], None]
    ]: ...

    def on(self, *types: Any, flow: Any = None) -> Any:
        """Call the function for events of these types, in the order of the log.

        It gets ``rows`` and the event: a ``LogEvent`` for names of types, a ``Logged`` for
        classes of events. ``flow``: only events of runs of this flow, job or name, or of several.
        It must be pure; what it raises stops this projection before the event. Raises
        ``InvalidDefinition`` for a type that does not exist, and once the projection is served.
        """
        place = f"projection {self.name!r}"
        topics, is_typed = topics_of(place, types)
        flows = flows_of(place, flow)

        def add(fn: Any) -> Any:
            if self._sealed:
                raise InvalidDefinition(
                    f"{place} got a handler after it was served; import its module before"
                )
            check_handler(place, fn, 2)
            self._check_in_place(fn, topics, is_typed and flows is None)
            for topic in topics:
                self.handlers.setdefault(topic, []).append(Handler(fn, flows, is_typed))
            return fn

        return add

    def seal(self) -> None:
        """Take no more handlers; raise ``InvalidDefinition`` when there is none."""
        if not self.handlers:
            raise InvalidDefinition(f"projection {self.name!r} has no handler; add one with .on()")
        self._sealed = True

    @property
    def topics(self) -> frozenset[str]:
        """The types of event that it wants."""
        return frozenset(self.handlers)

    @property
    def shape(self) -> str:
        """A short hash of columns, key and indexes: another one needs another table."""
        columns = [(one.name, one.kind.value, one.null) for one in self.rows.columns]
        told: tuple[Any, ...] = (columns, self.key, self.indexes)
        if self.counts:
            told += (self.counts, self.counted)
        return sha256(repr(told).encode()).hexdigest()[:16]

    def sheet(
        self, *, whole: bool = False, cache_max: int | None = None, careful: bool = False
    ) -> Sheet[Row]:
        """Return rows in memory for a table; ``whole`` when the table is empty.

        ``careful``: a handler that raises leaves nothing behind, also where it is ``in_place``.
        """
        places = tuple(self.rows.names.index(name) for name in self.key)
        options = {} if cache_max is None else {"cache_max": cache_max}
        kind: type[Sheet[Row]] = InPlace if self.in_place and not careful else Sheet
        sheet = kind(self.rows, places, whole=whole, **options)
        if self.counts:
            sheet.count_by(self.counts, self.counted)
        return sheet

    def _check_in_place(self, fn: Any, topics: Sequence[str], is_plain: bool) -> None:
        taken = [topic for topic in topics if topic in self.handlers]
        if self.in_place and (taken or not is_plain):
            raise InvalidDefinition(
                f"projection {self.name!r} is in_place: {fn.__qualname__} must be for classes of "
                "events, of all flows, and no other handler for the same"
            )

    def key_of(self, key: Sequence[Any]) -> Values:
        """Return ``key`` as it stands in the table; raise ``ValueError`` or ``TypeError``."""
        columns = {one.name: one for one in self.rows.columns}
        if len(key) != len(self.key):
            raise TypeError(f"the key is {list(self.key)}, got {len(key)} values: {key!r}")
        return tuple(columns[name].freeze(one) for name, one in zip(self.key, key, strict=True))


def topics_of(place: str, types: Sequence[Any]) -> tuple[list[str], bool]:
    """Return the types as they are stored, and whether they were given as classes."""
    classes = [one for one in types if isinstance(one, type) and issubclass(one, Event)]
    topics = [one.TOPIC for one in classes] if classes else list(types)
    if not types or (classes and len(classes) < len(types)):
        raise InvalidDefinition(
            f"{place}: .on() takes names of event types or classes of events, got {types!r}"
        )
    for topic in topics:
        if topic not in REGISTRY:
            known = ", ".join(sorted(REGISTRY))
            raise InvalidDefinition(f"{place}: no event has the type {topic!r}; types: {known}")
    return list(dict.fromkeys(topics)), bool(classes)


def flows_of(place: str, flow: Any) -> frozenset[str] | None:
    """Return the names that ``flow`` stands for: a flow, a job, a name, or several."""
    if flow is None:
        return None
    several = flow if isinstance(flow, list | tuple | set | frozenset) else [flow]
    names = [one if isinstance(one, str) else getattr(one, "name", None) for one in several]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidDefinition(f"{place}: flow is {flow!r}, expected a flow, a job or a name")
    return frozenset(name for name in names if name)


def check_handler(place: str, fn: Any, count: int) -> None:
    """Raise ``InvalidDefinition`` unless ``fn`` is a plain function of ``count`` arguments."""
    if not callable(fn):
        raise InvalidDefinition(f"{place}: {fn!r} is no function")
    name = getattr(fn, "__qualname__", repr(fn))
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn):
        raise InvalidDefinition(f"{place}: {name} waits or yields; handlers are pure, use `def`")
    try:
        inspect.signature(fn).bind(*range(count))
    except TypeError:
        raise InvalidDefinition(
            f"{place}: {name}{inspect.signature(fn)} does not take {count} arguments, "
            + ("(rows, event)" if count == 2 else "(event)")
        ) from None


def _check_key(place: str, key: tuple[str, ...], rows: RowModel) -> None:
    columns = {one.name: one for one in rows.columns}
    if not key or len(set(key)) < len(key):
        raise InvalidDefinition(f"{place}: key is {key!r}, expected one field or more, each once")
    for name in key:
        if name not in columns:
            raise InvalidDefinition(
                f"{place}: key names {name!r}, which {rows.model.__name__} does not have; "
                f"fields: {', '.join(rows.names)}"
            )
        if columns[name].null or columns[name].kind in (Kind.JSON, Kind.REAL):
            raise InvalidDefinition(
                f"{place}: {name!r} cannot be part of the key: it may be None, or is no plain "
                "value that equals itself in every database"
            )


def _check_counts(place: str, names: Sequence[str], rows: RowModel) -> None:
    plain = {one.name for one in rows.columns if one.kind is Kind.TEXT and not one.null}
    if not plain >= set(names) or len(set(names)) < len(names):
        raise InvalidDefinition(
            f"{place}: counts and counted name {[*names]!r}, expected fields of text that are "
            f"never None, each once: {', '.join(sorted(plain))}"
        )


def _index(place: str, index: Sequence[str], rows: RowModel) -> tuple[str, ...]:
    names = (index,) if isinstance(index, str) else tuple(index)
    for name in names:
        if name.removeprefix("-") not in rows.names:
            raise InvalidDefinition(
                f"{place}: an index names {name!r}, which {rows.model.__name__} does not have; "
                f"fields: {', '.join(rows.names)}"
            )
    if not names or len({name.removeprefix("-") for name in names}) < len(names):
        raise InvalidDefinition(f"{place}: an index is {names!r}, expected fields, each once")
    return names
