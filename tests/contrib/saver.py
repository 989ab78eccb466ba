"""A process with an Application: saves some aggregates when told to begin."""

from __future__ import annotations

import sys

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate


def main(url: str, count: int) -> None:
    """Say that this process is ready, wait for a line, save ``count`` aggregates."""
    env = {"PERSISTENCE_MODULE": "runfold.contrib.eventsourcing", "RUNFOLD_URL": url}
    with Application[object](env) as app:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(count):
            app.save(Aggregate(), Aggregate())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
