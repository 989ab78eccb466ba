"""asyncpg, and nothing of it anywhere else: addresses, connections, what an error means.

A ``Link`` is one connection. It keeps no state in the session, so that it works behind
PgBouncer in transaction mode; with ``statement_cache_size=0`` in the URL it does not even
prepare statements, and each call is a transaction of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from runfold.errors import InvalidSettings, StoreUnavailable

try:
    import asyncpg
except ImportError as error:  # pragma: no cover - it is a dependency of the package
    raise InvalidSettings(
        "a postgresql:// URL needs the driver asyncpg; install it with `pip install asyncpg`"
    ) from error

CONNECT_SECONDS_MAX = 10.0
"""How long making a connection may take."""

CALL_SECONDS_MAX = 60.0
"""How long one statement may take before its connection counts as lost."""

_PATIENT_SECONDS = 86_400
_STATEMENTS_MAX = 200
_OPEN_SECONDS_MAX = 10
_DRIVERS = ("postgresql", "postgres", "postgresql+asyncpg")
_CACHE_PARAMETERS = ("statement_cache_size", "prepared_statement_cache_size")

LOST: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # The server ended it between two messages of a call.
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.TooManyConnectionsError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,  # A standby answers: we were moved.
)
"""What says that the connection, not the statement, failed: connect again and repeat."""

DENIED: tuple[type[BaseException], ...] = (
    asyncpg.exceptions.InsufficientPrivilegeError,
    asyncpg.exceptions.InvalidSchemaNameError,
)
"""What a role gets that may not create tables."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, from a URL."""

    dsn: str
    place: str
    """Host and database for messages, without the password."""
    prepares: bool
    """False behind a pooler that cannot keep prepared statements."""


def parse_address(url: str) -> Address:
    """Return where ``url`` points to; raise ``InvalidSettings`` when it is none for here."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidSettings(
            f"not a database URL: {error}; expected postgresql://user@host/database"
        ) from error
    if parsed.drivername not in _DRIVERS:
        raise InvalidSettings(
            f"the driver of the URL is {parsed.drivername!r}, expected one of {_DRIVERS}"
        )
    sizes = [str(parsed.query[name]) for name in _CACHE_PARAMETERS if name in parsed.query]
    plain = parsed.set(drivername="postgresql").difference_update_query(_CACHE_PARAMETERS)
    return Address(plain.render_as_string(hide_password=False), _place(plain), "0" not in sizes)


def _place(url: URL) -> str:
    host = url.query.get("host") or url.host or "localhost"
    port = f":{url.port}" if url.port else ""
    hosts = host if isinstance(host, str) else ",".join(host)
    return f"{hosts}{port}/{url.database or ''}"


class Link:
    """One connection: a statement in, rows out. Used by one task at a time."""

    def __init__(self, connection: Any, *, prepares: bool) -> None:
        self._connection = connection
        self._prepares = prepares
        self._is_open = False
        """Inside ``transaction``."""

    @property
    def raw(self) -> Any:
        """The driver's own connection."""
        return self._connection

    async def rows(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that the statement answers with."""
        if self._prepares or self._is_open:
            found: list[Any] = await self._connection.fetch(text, *values)
            return found
        return await self._rows_in_a_transaction(text, values)

    async def row(self, text: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row, None without one."""
        found = await self.rows(text, values)
        return found[0] if found else None

    async def value(self, text: str, values: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row, None without one."""
        found = await self.rows(text, values)
        return found[0][0] if found else None

    async def many(self, text: str, values: Sequence[Sequence[Any]]) -> None:
        """Execute the statement once for each of ``values``, inside ``transaction``."""
        if values:
            await self._connection.executemany(text, values)

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[None]:
        """Make everything in the block one transaction; what raises rolls it back.

        ``snapshot``: it only reads, and all its statements see one moment.
        """
        transaction = self._connection.transaction(
            isolation="repeatable_read" if snapshot else "read_committed", readonly=snapshot
        )
        await transaction.start()
        self._is_open = True
        try:
            yield
        except BaseException:
            with suppress(*LOST):  # Then the server has rolled it back.
                await transaction.rollback()
            raise
        else:
            await transaction.commit()
        finally:
            self._is_open = False

    async def patiently(self, text: str) -> None:
        """Run a statement that may take as long as it likes."""
        await self._connection.execute(text, timeout=_PATIENT_SECONDS)

    async def close(self) -> None:
        """Close politely; a connection that does not answer is dropped."""
        with suppress(*LOST):
            await self._connection.close(timeout=2)

    def drop(self) -> None:
        """Close at once."""
        self._connection.terminate()

    async def listen(
        self, channel: str, heard: Callable[[int], None], lost: Callable[[], None]
    ) -> None:
        """Call ``heard`` with the backend's process id for each notification on ``channel``, and
        ``lost`` when the connection has ended."""
        self._connection.add_termination_listener(lambda _connection: lost())
        await self._connection.add_listener(
            channel, lambda _connection, pid, _channel, _payload: heard(pid)
        )

    def is_closed(self) -> bool:
        """Return whether the connection is known to be gone."""
        return bool(self._connection.is_closed())

    async def _rows_in_a_transaction(self, text: str, values: Sequence[Any]) -> list[Any]:
        # Outside a transaction a pooler may answer Parse and Execute by different servers. The
        # timeout frees the log's lock if this process stops between the two.
        await self._connection.execute(
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{_OPEN_SECONDS_MAX}s'"
        )
        try:
            found: list[Any] = await self._connection.fetch(text, *values)
        except BaseException:
            with suppress(*LOST):
                await self._connection.execute("ROLLBACK")
            raise
        await self._connection.execute("COMMIT")
        return found


async def connect(address: Address, *, call_seconds: float | None = CALL_SECONDS_MAX) -> Link:
    """Return a new connection; raise one of ``LOST``, or ``StoreUnavailable`` when refused.

    A statement that takes longer than ``call_seconds`` counts as lost; None: none does.
    """
    try:
        connection = await asyncpg.connect(
            address.dsn,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=call_seconds,
            statement_cache_size=_STATEMENTS_MAX if address.prepares else 0,
            max_cached_statement_lifetime=0,
        )
    except (asyncpg.exceptions.InvalidAuthorizationSpecificationError,
            asyncpg.exceptions.InvalidCatalogNameError) as error:  # fmt: skip
        raise StoreUnavailable(
            f"PostgreSQL at {address.place} refuses this connection: {error}; "
            "check user, password and database"
        ) from error
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise InvalidSettings(f"the URL of {address.place} is wrong: {error}") from error
    return Link(connection, prepares=address.prepares)
