"""The command line: one file for each noun, one function for each command.

A command asks the engine through the same ``Runfold`` that programs use, and answers as a
table or, with ``--json``, as JSON. It exits with 0 when what was asked is so, with 2 when it
was asked wrongly, and with 1 when it could not be done; then one line on standard error says
what to do.
"""

from __future__ import annotations

import click

from runfold.cli.demo import demo
from runfold.cli.flows import flows
from runfold.cli.jobs import jobs
from runfold.cli.log import log
from runfold.cli.logs import logs
from runfold.cli.migrate import migrate
from runfold.cli.program import Program
from runfold.cli.projections import projections
from runfold.cli.queues import queues
from runfold.cli.rebuild import rebuild
from runfold.cli.replay import replay
from runfold.cli.roles import dispatcher, worker
from runfold.cli.runs import runs
from runfold.cli.runs_past import COMMANDS
from runfold.cli.start import start


@click.group(cls=Program)
@click.version_option(package_name="runfold", message="%(package)s %(version)s")
def main() -> None:
    """Queues, flows and timers whose whole truth is one event log."""


for _command in (
    demo, start, runs, jobs, flows, queues, worker, dispatcher, migrate, rebuild, replay, log,
    logs, projections,
):  # fmt: skip
    main.add_command(_command)
for _command in COMMANDS:
    runs.add_command(_command)
