"""The tables that are the truth: the logs, their streams, events and blobs.

``events``, ``archive``, ``blobs`` and the row in ``logs`` are all that a rebuild needs;
``streams`` and ``batches`` are derived and stand here because every append writes them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from runfold.store.sql.columns import METADATA, MOMENT, column, log_id

LOGS = Table(
    "logs",
    METADATA,
    column("log_id", Integer(), "number of the log, in every key"),
    column("generation", Integer(), "counts the times that the log was replaced by a copy"),
    column("created_at", MOMENT, "when the log was created"),
    column("name", Text(), "name of the namespace or Application"),
    column("identity", Text(), "random; a cursor of another identity is refused"),
    PrimaryKeyConstraint("log_id", name="logs_pk"),
    UniqueConstraint("name", name="logs_name"),
    comment="The logs of this database, each with a lock and positions of its own.",
)

STREAMS = Table(
    "streams",
    METADATA,
    column("stream", BigInteger(), "number of the stream: position of its first event"),
    log_id(),
    column("gate", SmallInteger(), "what the run lets through: Gate", server_default="0"),
    column("id", LargeBinary(), "the 16 bytes of the stream's UUID"),
    column("flow", Text(), "name of the run's flow; null: not a run", null=True),
    PrimaryKeyConstraint("log_id", "stream", name="streams_pk"),
    UniqueConstraint("log_id", "id", name="streams_id"),
    comment="What a stream number stands for.",
    sqlite_with_rowid=False,
)


def _events(name: str, comment: str) -> Table:
    """Return the log, or the archive: the same columns and keys."""
    return Table(
        name,
        METADATA,
        column("position", BigInteger(), "place in the log, from 1, contiguous"),
        column("stream", BigInteger(), "number of the stream"),
        column("ts", MOMENT, "when recorded, never before the event before it"),
        log_id(),
        column("version", Integer(), "place in the stream, from 1, contiguous"),
        column("activation", Integer(), "activation that this is about", null=True),
        column("attempt", Integer(), "attempt that this is about", null=True),
        column("cause", Integer(), "version of the event that caused this one", null=True),
        column("topic", Text(), "type of the event; never changes"),
        column("step", Text(), "step that this is about", null=True),
        column("key", Text(), "key of the queue's keyed limit", null=True),
        column("state", LargeBinary(), "the encoded event; null: kept in blobs", null=True),
        column("blob", LargeBinary(), "hash of the encoded event in blobs", null=True),
        column("chain", LargeBinary(), "reserved: hash over the stream up to here", null=True),
        PrimaryKeyConstraint("log_id", "position", name=f"{name}_pk"),
        # The stream first: with two times four bytes behind it, an entry has no padding.
        UniqueConstraint("stream", "log_id", "version", name=f"{name}_version"),
        # Who else has a blob: only the few events that have one are in it.
        Index(
            f"{name}_blob",
            "log_id",
            "blob",
            sqlite_where=text("blob IS NOT NULL"),
            postgresql_where=text("blob IS NOT NULL"),
        ),
        comment=comment,
        sqlite_with_rowid=False,
    )


EVENTS = _events("events", "The log: append-only, the only truth.")

ARCHIVE = _events("archive", "Runs that have ended and left the log, whole; read with it as one.")

BLOBS = Table(
    "blobs",
    METADATA,
    log_id(),
    column("hash", LargeBinary(), "SHA-256 of body"),
    column("body", LargeBinary(), "the encoded event"),
    PrimaryKeyConstraint("log_id", "hash", name="blobs_pk"),
    comment="Encoded events too large for a row of the log.",
)

BATCHES = Table(
    "batches",
    METADATA,
    column("appender", BigInteger(), "random, of the process that sent it"),
    column("number", BigInteger(), "counts the batches of the appender"),
    column("first_position", BigInteger(), "position of its first event; 0: recorded none"),
    column("at", MOMENT, "when it was committed"),
    log_id(),
    column(
        "outcomes",
        Text(),
        "what was refused: JSON [[item, refusal, stream], ...]; null: nothing",
        null=True,
    ),
    PrimaryKeyConstraint("log_id", "appender", "number", name="batches_pk"),
    Index("batches_at", "log_id", "at"),
    comment="Commits of the last hour, so that one sent twice is answered as at first.",
    sqlite_with_rowid=False,
)
