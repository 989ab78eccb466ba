"""Events as a browser's ``EventSource`` reads them: server-sent events.

``id:`` is the position of the event, so that the ``Last-Event-ID`` with which a client comes
back says where to go on. ``event:`` is its type, ``data:`` its JSON in one line. A comment
every ``HEARTBEAT_SECONDS`` without an event keeps proxies from closing the connection.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from runfold.client.feed import Left
from runfold.wire import LogEvent

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": heartbeat\n\n"


def frame(event: LogEvent) -> bytes:
    """Return one event as it goes over the wire."""
    data = json.dumps(event.json(), ensure_ascii=False, separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n".encode()


async def frames(events: AsyncGenerator[LogEvent | None]) -> AsyncGenerator[bytes]:
    """Yield the events as they go over the wire, and a heartbeat for each None.

    Ends with them, and also when this process stops: the client comes back elsewhere.
    """
    async with aclosing(events) as open_events:
        try:
            async for event in open_events:
                yield HEARTBEAT if event is None else frame(event)
        except Left:
            return
