"""The questions that are asked about members, cursors and the store's clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    DateTime,
    Float,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from runfold.store.sql.schema import CURSORS, EVENTS, LEADERS, LOGS, MEMBERS

_LOG: BindParameter[int] = bindparam("log_id")


def until() -> ColumnElement[Any]:
    """Return the moment ``ttl`` seconds from ``now``, by the store's clock without one."""
    now = func.coalesce(bindparam("now", type_=DateTime(timezone=True)), func.clock_timestamp())
    return now + bindparam("ttl", type_=Float()) * literal_column("interval '1 second'")


def join() -> Any:
    """Register ``token`` for ``ttl`` seconds, also when it had been."""
    wanted = insert(MEMBERS).values(
        token=bindparam("token"),
        expires_at=until(),
        log_id=_LOG,
        name=bindparam("name"),
        roles=bindparam("roles"),
    )
    renewed = {name: wanted.excluded[name] for name in ("expires_at", "name", "roles")}
    return wanted.on_conflict_do_update(constraint="members_pk", set_=renewed)


def renew() -> Any:
    """Extend the lease of ``token``; return it, nothing when it was swept."""
    return (
        MEMBERS.update()
        .where(MEMBERS.c.log_id == _LOG, MEMBERS.c.token == bindparam("of"))
        .values(expires_at=until())
        .returning(MEMBERS.c.token)
    )


def members() -> Any:
    """Return token, name, roles and end of the lease of every member, by name."""
    at = MEMBERS.c
    return (
        select(at.token, at.name, at.roles, at.expires_at)
        .where(at.log_id == _LOG)
        .order_by(at.name, at.token)
    )


def leave() -> Any:
    """Forget ``token``."""
    return MEMBERS.delete().where(MEMBERS.c.log_id == _LOG, MEMBERS.c.token == bindparam("token"))


def resign() -> Any:
    """Give the dispatcher lease back, if ``token`` holds it."""
    return LEADERS.delete().where(
        LEADERS.c.log_id == _LOG,
        LEADERS.c.role == "dispatcher",
        LEADERS.c.token == bindparam("token"),
    )


def cursor() -> Any:
    """Return the position of the cursor ``name``, 0 for one of another log or beyond the end."""
    head = select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == _LOG).scalar_subquery()
    ours = and_(
        CURSORS.c.identity == LOGS.c.identity,
        CURSORS.c.generation == LOGS.c.generation,
        CURSORS.c.position <= func.coalesce(head, 0),
    )
    return (
        select(case((ours, CURSORS.c.position), else_=0))
        .join_from(CURSORS, LOGS, LOGS.c.log_id == CURSORS.c.log_id)
        .where(CURSORS.c.log_id == _LOG, CURSORS.c.name == bindparam("name"))
    )


def save_cursor() -> Any:
    """Save ``position`` under ``name``, with the log's identity."""
    names = ("position", "saved_at", "log_id", "generation", "name", "identity")
    wanted = insert(CURSORS).from_select(
        names,
        select(
            bindparam("position", type_=CURSORS.c.position.type),
            func.clock_timestamp(),
            LOGS.c.log_id,
            LOGS.c.generation,
            bindparam("name", type_=CURSORS.c.name.type),
            LOGS.c.identity,
        ).where(LOGS.c.log_id == _LOG),
    )
    saved = {name: wanted.excluded[name] for name in names if name not in ("log_id", "name")}
    return wanted.on_conflict_do_update(constraint="cursors_pk", set_=saved)


def now() -> Any:
    """Return the store's time."""
    return select(func.clock_timestamp())
