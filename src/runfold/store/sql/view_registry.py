"""The questions that are asked about the registry of views: which builds, how far, whose."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    Integer,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from runfold.store.sql.schema import EVENTS, LOGS, VIEWS

_NAMES = ("name", "version", "build", "part")
_KEY = ("log_id", *_NAMES)
_LOG: BindParameter[int] = bindparam("log_id")


def _of_part(*names: str) -> ColumnElement[bool]:
    """Return the condition that a row of the registry is the one of the parameters."""
    return and_(*[VIEWS.c[name] == bindparam(f"of_{name}") for name in names])


def parts(now: ColumnElement[Any]) -> Select[Any]:
    """Return all rows of the registry as the fields of ``ports.View``; last two moments."""
    head = select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == _LOG).scalar_subquery()
    foreign = or_(
        VIEWS.c.identity != LOGS.c.identity,
        VIEWS.c.generation != LOGS.c.generation,
        VIEWS.c.position > func.coalesce(head, 0),
    )
    is_held = VIEWS.c.expires_at > now
    return (
        select(
            VIEWS.c.name, VIEWS.c.version, VIEWS.c.build, VIEWS.c.part,
            VIEWS.c.parts, VIEWS.c.state, VIEWS.c.position, VIEWS.c.shape,
            VIEWS.c.token, is_held.label("is_held"), VIEWS.c.error, foreign.label("is_foreign"),
            VIEWS.c.saved_at, now.label("now"),
        )
        .join_from(VIEWS, LOGS, LOGS.c.log_id == VIEWS.c.log_id)
        .where(VIEWS.c.log_id == _LOG)
        .order_by(VIEWS.c.name, VIEWS.c.version, VIEWS.c.build, VIEWS.c.part)
    )  # fmt: skip


def own(until: ColumnElement[Any], now: ColumnElement[Any], *, together: bool) -> Executable:
    """Give what is free to ``of_token``: one part, or ``together`` those of parallel arrays."""
    is_free = and_(
        VIEWS.c.error.is_(None),
        or_(
            VIEWS.c.token.is_(None),
            VIEWS.c.token == bindparam("of_token"),
            VIEWS.c.expires_at <= now,
        ),
    )
    taken = update(VIEWS).values(token=bindparam("of_token"), expires_at=until)
    if not together:
        return taken.where(_of_part(*_KEY), is_free)
    wanted = _wanted()
    # What somebody changes at this moment is not free; waiting for it could be a deadlock.
    free = (
        select(*[VIEWS.c[name] for name in _KEY])
        .join_from(VIEWS, wanted, and_(*[VIEWS.c[name] == wanted.c[name] for name in _NAMES]))
        .where(VIEWS.c.log_id == _LOG, is_free)
        .with_for_update(of=VIEWS, skip_locked=True)
        .cte("free")
    )
    return taken.where(*[VIEWS.c[name] == free.c[name] for name in _KEY])


def advance() -> Executable:
    """Move the parts of parallel arrays that ``of_token`` holds where they are thought to be.

    Locks in the order of the key; returns name, version, build and part of those that moved.
    """
    wanted = _wanted(after=BigInteger(), upto=BigInteger())
    is_wanted = and_(
        VIEWS.c.log_id == _LOG,
        *[VIEWS.c[name] == wanted.c[name] for name in _NAMES],
        VIEWS.c.position == wanted.c.after,
        VIEWS.c.token == bindparam("of_token"),
    )
    return (
        update(VIEWS)
        .where(is_wanted)
        .values(position=wanted.c.upto, saved_at=func.clock_timestamp())
        .returning(*[VIEWS.c[name] for name in _NAMES])
    )


def advance_one() -> Executable:
    """Move a part from ``after`` to ``upto``, if ``of_token`` holds it there."""
    return (
        update(VIEWS)
        .where(
            _of_part(*_KEY),
            VIEWS.c.token == bindparam("of_token"),
            VIEWS.c.position == bindparam("after"),
        )
        .values(position=bindparam("upto"), saved_at=bindparam("moment"))
    )


def _wanted(**more: TypeEngine[Any]) -> TableValuedAlias:
    kinds: dict[str, TypeEngine[Any]] = {
        "name": Text(), "version": Integer(), "build": Integer(), "part": Integer(), **more
    }  # fmt: skip
    arrays = [bindparam(f"{name}s", type_=ARRAY(kind)) for name, kind in kinds.items()]
    return func.unnest(*arrays).table_valued(*kinds).render_derived("wanted")


def disown() -> Executable:
    """Give back what ``of_token`` holds."""
    return (
        update(VIEWS)
        .where(VIEWS.c.log_id == bindparam("of_log_id"), VIEWS.c.token == bindparam("of_token"))
        .values(token=null(), expires_at=null())
    )


def stop() -> Update:
    """Note ``why`` in a part that ``of_token`` holds, and give it back."""
    return (
        update(VIEWS)
        .where(_of_part(*_KEY), VIEWS.c.token == bindparam("of_token"))
        .values(token=null(), expires_at=null(), error=bindparam("why"))
    )


def resume() -> Update:
    """Forget why the parts of ``of_name`` have stopped."""
    return (
        update(VIEWS)
        .where(_of_part("log_id", "name"), VIEWS.c.error.is_not(None))
        .values(error=null())
    )


def remove() -> Executable:
    """Remove a build from the registry."""
    return VIEWS.delete().where(_of_part("log_id", "name", "version", "build"))


def standing() -> Select[Any]:
    """Return place and keeper of every part of every build of ``of_name``."""
    return (
        select(
            VIEWS.c.version, VIEWS.c.build, VIEWS.c.part, VIEWS.c.state, VIEWS.c.position,
            VIEWS.c.token, VIEWS.c.expires_at,
        )
        .where(_of_part("log_id", "name"))
        .order_by(VIEWS.c.version, VIEWS.c.build, VIEWS.c.part)
    )  # fmt: skip


def retire(moment: ColumnElement[Any]) -> Executable:
    """Make a build old, at this moment."""
    return (
        update(VIEWS)
        .where(_of_part("log_id", "name", "version", "build"))
        .values(state="old", token=null(), expires_at=null(), saved_at=moment)
    )


def join_parts() -> Executable:
    """Remove the parts of a build but the first."""
    return VIEWS.delete().where(_of_part("log_id", "name", "version", "build"), VIEWS.c.part > 0)


def enliven() -> Executable:
    """Make a build live and give it to a keeper."""
    return (
        update(VIEWS)
        .where(_of_part("log_id", "name", "version", "build"))
        .values(
            state="live", parts=1, error=null(),
            token=bindparam("keeper"), expires_at=bindparam("until"),
        )
    )  # fmt: skip
