"""What the parts of a client share: the catalog always, the engine while it is entered."""

from __future__ import annotations

from typing import Any

from runfold.client.catalog import Catalog
from runfold.client.engine import Engine
from runfold.client.run import Run
from runfold.define.values import Value
from runfold.errors import RunfoldError
from runfold.runtime.node import Node


class Session:
    """One log as a client sees it; what is built on it may be kept while nothing is entered."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self.catalog, self.namespace = catalog, namespace
        self._engine: Engine | None = None

    @property
    def entered(self) -> bool:
        """Whether there is an engine to ask."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """The engine; raises ``RunfoldError`` outside of every mode."""
        if self._engine is None:
            raise RunfoldError(
                "this Runfold is not entered: use `async with rf:`, `async with rf.connect():` "
                "or `with rf.sync:` around the call"
            )
        return self._engine

    @property
    def node(self) -> Node:
        """The process's node; raises as ``engine``."""
        return self.engine.node

    def attach(self, engine: Engine) -> None:
        """Take calls from now on."""
        self._engine = engine

    def detach(self) -> Engine | None:
        """Take no more calls; return what took them."""
        engine, self._engine = self._engine, None
        return engine

    def run(
        self, id: bytes, flow: str, stream: int, result: Value, *, fresh: bool = False
    ) -> Run[Any]:
        """Return the handle of a run; ``fresh``: it was recorded just now."""
        return Run(self.engine, id, flow=flow, stream=stream, result=result, fresh=fresh)
