"""The tables of limits: what holds, what is used of it, what is closed, which lanes wait.

A *bucket* is a limit's id, with ``=`` and the value of its key where it is keyed. A *lane* is
the jobs of one queue with the same buckets (``jobs.limits``). ``limits`` and ``closures`` are
settings; the others follow from them and from the jobs, but for ``starts``, which are history.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from runfold.store.sql.columns import METADATA, MOMENT, column, log_id

LIMITS = Table(
    "limits",
    METADATA,
    column("per", Float(53), "seconds of a rate's window; null: not a rate", null=True),
    log_id(),
    column("max", Integer(), "leased at once, or starts in a window"),
    column("keyed", Boolean(), "one bucket for each value of the key"),
    column("id", Text(), "<scope>#<n>"),
    column("scope", Text(), "queue:<name> or step:<flow>/<step>"),
    column("kind", Text(), "concurrency or rate"),
    PrimaryKeyConstraint("log_id", "id", name="limits_pk"),
    Index("limits_scope", "log_id", "scope"),
    comment="Limits that hold now, across all workers.",
    sqlite_with_rowid=False,
)

HOLDS = Table(
    "holds",
    METADATA,
    column("job", BigInteger(), "a leased job"),
    log_id(),
    column("bucket", Text(), "a bucket of a concurrency limit that counts it"),
    PrimaryKeyConstraint("log_id", "bucket", "job", name="holds_pk"),
    Index("holds_job", "log_id", "job"),
    comment="Which leased jobs the concurrency limits count.",
    sqlite_with_rowid=False,
)

STARTS = Table(
    "starts",
    METADATA,
    column("at", MOMENT, "when the job was started"),
    column("position", BigInteger(), "of its step.started"),
    column("over_at", MOMENT, "end of the window of its limit: not counted from then on"),
    log_id(),
    column("bucket", Text(), "a bucket of a rate limit that counts it"),
    PrimaryKeyConstraint("log_id", "bucket", "at", "position", name="starts_pk"),
    Index("starts_over", "log_id", "over_at"),
    comment="Which starts the rate limits count.",
    sqlite_with_rowid=False,
)

CLOSURES = Table(
    "closures",
    METADATA,
    column("until", MOMENT, "admits nothing until then"),
    log_id(),
    column("bucket", Text(), "a bucket, a queue (queue:<name>), a key of it (queue:<name>=<key>)"),
    PrimaryKeyConstraint("log_id", "bucket", name="closures_pk"),
    Index("closures_until", "log_id", "until"),
    comment="What is closed, by a person or by a handler that was told to wait.",
    sqlite_with_rowid=False,
)

PARKED = Table(
    "parked",
    METADATA,
    column("place", BigInteger(), "place of the head that was refused"),
    column("head", BigInteger(), "id of the head that was refused"),
    log_id(),
    column("rank", SmallInteger(), "10 minus the best priority in the lane"),
    column("queue", Text(), "name of the queue"),
    column("lane", Text(), "jobs.limits"),
    column("bucket", Text(), "the bucket or closure that refused"),
    PrimaryKeyConstraint("log_id", "queue", "lane", name="parked_pk"),
    Index("parked_bucket", "log_id", "bucket", "queue", "rank", "place", "head"),
    comment="Lanes of which nothing is ready until a bucket opens.",
    sqlite_with_rowid=False,
)

ALARMS = Table(
    "alarms",
    METADATA,
    column("due_at", MOMENT, "when time alone may open the bucket"),
    log_id(),
    column("queue", Text(), "name of the queue whose lanes wait"),
    column("bucket", Text(), "the bucket or closure that they are parked on"),
    PrimaryKeyConstraint("log_id", "queue", "bucket", name="alarms_pk"),
    Index("alarms_due", "log_id", "queue", "due_at"),
    comment="When a parked lane is to be woken; one row for all lanes of a queue and bucket.",
    sqlite_with_rowid=False,
)
