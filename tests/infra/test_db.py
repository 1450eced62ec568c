"""Queries through the pool, and whose fault it is when one fails."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from infra.db import Database
from infra.errors import AppError, DatabaseUnavailable, DataRefused

PASSWORD = "hunter2-of-the-database"
NOBODY = f"postgresql://ada:{PASSWORD}@127.0.0.1:1/nowhere"


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Database]:
    """Yield a database over one connection."""
    async with Database.open(database_url, size=1) as database:
        yield database


async def kill_connections(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


class TestQueries:
    async def test_each_way_returns_what_it_says(self, database: Database) -> None:
        await database.execute("create table t (n int)")
        await database.executemany("insert into t values ($1)", [(1,), (2,)])

        tag = await database.execute("update t set n = n + 1")
        rows = await database.fetch("select n from t order by n")
        first = await database.fetchrow("select n from t order by n")
        nothing = await database.fetchrow("select n from t where false")
        value = await database.fetchval("select sum(n) from t")

        assert (tag, [row["n"] for row in rows], nothing, value) == ("UPDATE 2", [2, 3], None, 5)
        assert first is not None
        assert first["n"] == 2

    async def test_json_goes_in_and_comes_out_as_it_is(self, database: Database) -> None:
        value = {"text": "Ünï", "list": [1, None, True], "empty": {}}

        assert await database.fetchval("select $1::jsonb", value) == value

    async def test_json_null_is_not_an_sql_null(self, database: Database) -> None:
        row = await database.fetchrow("select 'null'::jsonb as json, null::jsonb as sql")

        assert row is not None
        assert (row["json"], row["sql"]) == (None, None)


class TestTransactions:
    async def test_all_is_kept_at_the_end(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute("create table t ()")

        assert await database.fetchval("select to_regclass('t')::text") == "t"

    async def test_nothing_is_kept_after_an_error(self, database: Database) -> None:
        with pytest.raises(AppError):
            await _fail_within(database)

        assert await database.fetchval("select to_regclass('t')::text") is None

    async def test_connection_serves_again_after_an_error(self, single: Database) -> None:
        with pytest.raises(AppError):
            await _fail_within(single)

        assert await single.fetchval("select pg_current_xact_id_if_assigned()::text") is None


async def _fail_within(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("create table t ()")
        raise AppError("on purpose")


class TestRefusedValues:
    @pytest.mark.parametrize(
        ("query", "value"),
        [
            pytest.param("select $1::text", "nul\0", id="NUL in a text"),
            pytest.param("select $1::int", 2**31, id="out of range, says the driver"),
            pytest.param("select $1::bigint", 2**80, id="out of any range"),
            pytest.param("select $1::int", "word", id="another type, says the driver"),
            pytest.param("select ($1::text)::int", "word", id="another type, says the server"),
            pytest.param("select $1::jsonb", {"t": "\0"}, id="NUL in JSON"),
        ],
    )
    async def test_value_that_will_never_do_is_refused_for_good(
        self, database: Database, query: str, value: object
    ) -> None:
        with pytest.raises(DataRefused) as caught:
            await database.fetchval(query, value)

        assert "word" not in caught.value.message
        assert caught.value.__cause__ is None

    async def test_breach_of_a_constraint_stays_the_drivers_error(self, database: Database) -> None:
        await database.execute("create table t (n int primary key)")

        with pytest.raises(asyncpg.UniqueViolationError):
            await database.executemany("insert into t values ($1)", [(1,), (1,)])


class TestLostServer:
    async def test_server_that_is_not_there_is_unavailable_and_no_secret_is_told(self) -> None:
        async with Database.open(NOBODY) as database:
            with pytest.raises(DatabaseUnavailable) as caught:
                await database.fetchval("select 1")

        assert PASSWORD not in f"{caught.value!r} {caught.value.message}"
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        "error",
        [
            asyncpg.ConnectionDoesNotExistError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.DiskFullError,
            asyncpg.InterfaceError,
            ConnectionResetError,
            TimeoutError,
        ],
    )
    async def test_sign_of_a_lost_server_is_unavailable(
        self, database: Database, error: type[Exception]
    ) -> None:
        with pytest.raises(DatabaseUnavailable, match=error.__name__):
            await _raise_within(database, error)

    async def test_connection_that_was_cut_comes_back_by_itself(self, single: Database) -> None:
        with pytest.raises(DatabaseUnavailable):
            await single.fetchval("select pg_terminate_backend(pg_backend_pid())")

        assert await single.fetchval("select 1") == 1

    async def test_cancelled_query_leaves_the_connection_usable(self, single: Database) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await single.fetchval("select pg_sleep(10)")

        assert await single.fetchval("select 1") == 1


async def _raise_within(database: Database, error: type[Exception]) -> None:
    async with database.transaction():
        raise error("with a secret text")


class TestListening:
    async def test_notification_wakes(self, database: Database) -> None:
        heard = asyncio.Event()

        async with database.listen("news", heard.set):
            await database.execute("notify other_news")
            await database.execute("notify news")
            async with asyncio.timeout(5):
                await heard.wait()

        assert heard.is_set()

    async def test_other_channels_do_not_wake(self, database: Database) -> None:
        heard = asyncio.Event()

        async with database.listen("news", heard.set):
            await database.execute("notify other_news")
            await database.fetchval("select 1")
            await asyncio.sleep(0.05)

        assert not heard.is_set()

    async def test_lost_connection_wakes(self, database: Database, database_url: str) -> None:
        heard = asyncio.Event()

        async with database.listen("news", heard.set):
            await kill_connections(database_url)
            async with asyncio.timeout(5):
                await heard.wait()

        assert await database.fetchval("select 1") == 1

    async def test_connection_is_given_back_without_a_listener(self, single: Database) -> None:
        async with single.listen("news", lambda: None):
            pass

        assert await single.fetch("select pg_listening_channels()") == []
