"""``runfold worker`` and ``runfold dispatcher``: some roles of an application, until told to stop.

The application is named as ``package.module:attribute`` and found from the current folder, as
``python -m`` would find it.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from runfold import Runfold
from runfold.cli.answer import json_option, say_json

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Application(click.ParamType[Runfold]):
    """The ``Runfold`` at ``package.module:attribute``."""

    name = "module:attribute"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Import the module and return the object; whatever is wrong is a wrong argument."""
        module_name, colon, attribute = value.partition(":")
        if not module_name or not colon or not attribute:
            self.fail(f"{value!r} names no application; expected e.g. shop.main:rf", param, ctx)
        module = self._imported(module_name)
        found = getattr(module, attribute, None)
        if found is None:
            self.fail(f"module {module_name!r} has no {attribute!r}", param, ctx)
        if not isinstance(found, Runfold):
            self.fail(f"{value!r} is a {type(found).__name__}, expected a Runfold", param, ctx)
        return found

    def _imported(self, name: str) -> Any:
        folder = str(Path.cwd())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            return importlib.import_module(name)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise click.BadParameter(f"module {name!r} cannot be imported: {said}") from error


class Slots(click.ParamType[tuple[str, int]]):
    """A queue and how many of its handlers run at once: ``cpu=8``."""

    name = "queue=slots"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return name and number."""
        queue, _, number = value.rpartition("=")
        if not queue or not number.isdecimal() or int(number) < 1:
            self.fail(f"{value!r} is no queue and its slots; expected e.g. cpu=8", param, ctx)
        return queue, int(number)


@click.command()
@click.argument("app", type=Application())
@click.option("--queue", "queues", type=Slots(), multiple=True,
              help="Serve this queue with so many slots, e.g. cpu=8; may be repeated. "
              "Default: all queues.")  # fmt: skip
@json_option
def worker(app: Runfold, queues: Sequence[tuple[str, int]], as_json: bool) -> None:
    """Run the handlers of APP (e.g. shop.main:rf) until SIGTERM or Ctrl-C.

    Then what runs is waited for; a second signal does not wait.
    """
    _serve(app, ("worker",), dict(queues) or None, as_json)


@click.command()
@click.argument("app", type=Application())
@json_option
def dispatcher(app: Runfold, as_json: bool) -> None:
    """Decide for the runs of APP, fire its timers, keep its views, until SIGTERM or Ctrl-C.

    Of several on one log, one leads and the others stand by.
    """
    _serve(app, ("dispatcher", "timekeeper", "projector"), None, as_json)


def _serve(
    app: Runfold, roles: Sequence[str], queues: Mapping[str, int] | None, as_json: bool
) -> None:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    if as_json:
        say_json({"serving": roles, "queues": queues, "namespace": app.namespace})
    else:
        click.echo(f"serving {' and '.join(roles)}; Ctrl-C drains, a second one does not wait")
    app.serve_forever(roles, queues=queues)
    if as_json:
        say_json({"stopped": roles})
    else:
        click.echo("stopped")
