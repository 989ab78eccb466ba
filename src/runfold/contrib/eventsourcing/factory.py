"""The factory that the ``eventsourcing`` library finds in ``PERSISTENCE_MODULE``."""

from __future__ import annotations

from typing import TypeVar

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from runfold.contrib.eventsourcing.recorders import (
    RunfoldAggregateRecorder,
    RunfoldApplicationRecorder,
    RunfoldProcessRecorder,
    RunfoldRecorder,
    RunfoldTrackingRecorder,
)
from runfold.store.sql.attached_log import AttachedLog, open_database

DEFAULT_URL = "sqlite:///runfold.db"
"""Where to store without ``RUNFOLD_URL``, as everywhere in Runfold."""

_R = TypeVar("_R", bound=RunfoldRecorder)


class RunfoldFactory(InfrastructureFactory[RunfoldTrackingRecorder]):
    """Makes recorders for the Application that the environment is named after.

    ``RUNFOLD_URL`` says in which database, ``CREATE_TABLE=n`` that an empty one is refused.
    Nothing is opened before a recorder is used.
    """

    RUNFOLD_URL = "RUNFOLD_URL"
    CREATE_TABLE = "CREATE_TABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.database = open_database(
            self.env.get(self.RUNFOLD_URL) or DEFAULT_URL,
            creates=strtobool(self.env.get(self.CREATE_TABLE) or "y"),
        )

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """Return a recorder of this purpose: snapshots have a log beside that of the events."""
        return RunfoldAggregateRecorder(self.log(purpose))

    def application_recorder(self) -> ApplicationRecorder:
        """Return a recorder of the Application's events."""
        return self._recorder(self.APPLICATION_RECORDER_TOPIC, RunfoldApplicationRecorder)

    def tracking_recorder(
        self, tracking_recorder_class: type[RunfoldTrackingRecorder] | None = None
    ) -> RunfoldTrackingRecorder:
        """Return a recorder of the given class: a view with tables of its own, if any."""
        if tracking_recorder_class is not None:
            return tracking_recorder_class(self.log())
        return self._recorder(self.TRACKING_RECORDER_TOPIC, RunfoldTrackingRecorder)

    def process_recorder(self) -> ProcessRecorder:
        """Return a recorder of the Application's events and of what it has processed."""
        return self._recorder(self.PROCESS_RECORDER_TOPIC, RunfoldProcessRecorder)

    def log(self, purpose: str = "events") -> AttachedLog:
        """Return the Application's log of this purpose."""
        kind = "eventsourcing" if purpose == "events" else f"eventsourcing.{purpose}"
        return AttachedLog(self.database, f"{kind}:{self.env.name}")

    def close(self) -> None:
        """Close the database; recorders of this factory cannot be used any more."""
        self.database.close()

    def _recorder(self, key: str, default: type[_R]) -> _R:
        topic = self.env.get(key)
        chosen: type[_R] = resolve_topic(topic) if topic else default
        if not issubclass(chosen, default):
            raise TypeError(
                f"{key} is {topic!r}, which is no {default.__name__}; inherit it, or leave it out"
            )
        return chosen(self.log())
