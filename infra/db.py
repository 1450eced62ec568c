"""Postgres through asyncpg: one pool, and foreign errors made ours in one place."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from infra.errors import DatabaseUnavailable, DataRefused

_CONNECT_SECONDS = 5.0
_COMMAND_SECONDS = 30.0

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a query met the server's farewell on its connection
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # too many connections, a full disk
)

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.pool.PoolConnectionProxy  # the class takes no parameters at run time


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections. A lost server is `DatabaseUnavailable`; it comes back by itself."""

    pool: "asyncpg.Pool[asyncpg.Record]"

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, size: int = 10) -> AsyncIterator["Database"]:
        """Open the pool; the server need not be there yet."""
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            init=_prepare,
            reset=_keep,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            max_inactive_connection_lifetime=300,
        )
        try:
            yield cls(pool)
        finally:
            pool.terminate()

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Return all rows."""
        with _ours():
            return await self.pool.fetch(query, *values)

    async def fetchrow(self, query: str, *values: object) -> asyncpg.Record | None:
        """Return the first row, or None."""
        with _ours():
            return await self.pool.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: object) -> Any:
        """Return the first column of the first row, or None."""
        with _ours():
            return await self.pool.fetchval(query, *values)

    async def execute(self, query: str, *values: object) -> str:
        """Run a statement; return its command tag (`UPDATE 3`)."""
        with _ours():
            return await self.pool.execute(query, *values)

    async def executemany(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement once a row, in one transaction."""
        with _ours():
            await self.pool.executemany(query, rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Hold one transaction; never across an outbound call."""
        with _ours():
            async with self.pool.acquire() as connection, connection.transaction():
                yield connection

    @asynccontextmanager
    async def listen(self, channel: str, wake: Callable[[], object]) -> AsyncIterator[None]:
        """Call `wake` at every notification on a channel, and when the connection is lost."""

        def heard(*_: object) -> None:
            wake()

        with _ours():
            async with self.pool.acquire() as connection:
                connection.add_termination_listener(heard)
                await connection.add_listener(channel, heard)
                try:
                    yield
                finally:
                    with suppress(asyncpg.InterfaceError):  # lost: the pool has taken it back
                        connection.remove_termination_listener(heard)
                        await connection.remove_listener(channel, heard)


class _ours:  # noqa: N801  # reads as a phrase: with _ours()
    """Turns a lost server, or a value that it refuses, into errors of our own.

    The driver's text is not kept: it may quote a value, or the DSN with its password.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _AWAY):
            raise DatabaseUnavailable(f"the database is away: {type(error).__name__}") from None
        if isinstance(error, asyncpg.DataError):
            raise DataRefused(f"the database refuses a value: {type(error).__name__}") from None


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


async def _keep(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Leave the session as it is: we never SET anything, so the reset query would be in vain."""
