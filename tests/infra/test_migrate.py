"""Migrations: each once, whole or not at all, and never behind anybody's back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from infra.migrate import Migration, MigrationFailed, migrate, read_migrations
from tests.fakes.empty_database import empty_database

FIRST = Migration(1, "0001_first", "create table one ()")
SECOND = Migration(2, "0002_second", "create table two ()")
BROKEN = Migration(2, "0002_broken", "create table two (); select 1 / 0;")


@pytest.fixture
async def empty_url(database_url: str) -> AsyncIterator[str]:
    async with empty_database(database_url) as url:
        yield url


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


def write(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).write_text("select 1")
    return directory


class TestReading:
    def test_files_are_read_in_the_order_of_their_numbers(self, tmp_path: Path) -> None:
        found = read_migrations(write(tmp_path, "0002_b.sql", "0001_a.sql", "notes.txt"))

        assert [(one.version, one.name) for one in found] == [(1, "0001_a"), (2, "0002_b")]

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            pytest.param(["0001_a.sql", "0003_c.sql"], "gap", id="gap"),
            pytest.param(["0001_a.sql", "0001_b.sql"], "double", id="double"),
            pytest.param(["0002_b.sql"], "gap", id="no first one"),
            pytest.param(["1_a.sql"], "expected NNNN_name.sql", id="number too short"),
            pytest.param(["0001_A.sql"], "expected NNNN_name.sql", id="capital"),
        ],
    )
    def test_names_out_of_form_are_refused(
        self, tmp_path: Path, names: list[str], said: str
    ) -> None:
        with pytest.raises(MigrationFailed, match=said):
            read_migrations(write(tmp_path, *names))

    def test_our_own_files_are_in_form(self) -> None:
        assert [one.name for one in read_migrations()][:1] == ["0001_pool"]


class TestApplying:
    async def test_what_is_missing_is_applied_once(self, empty_url: str) -> None:
        first = await migrate(empty_url, [FIRST])
        second = await migrate(empty_url, [FIRST, SECOND])
        third = await migrate(empty_url, [FIRST, SECOND])

        assert (first, second, third) == (["0001_first"], ["0002_second"], [])
        assert await tables(empty_url) == {"one", "two", "schema_migrations"}

    async def test_several_at_once_apply_each_once(self, empty_url: str) -> None:
        applied = await asyncio.gather(*(migrate(empty_url, [FIRST, SECOND]) for _ in range(5)))

        assert sorted(map(len, applied)) == [0, 0, 0, 0, 2]

    async def test_broken_file_leaves_nothing_of_itself(self, empty_url: str) -> None:
        with pytest.raises(MigrationFailed, match="0002_broken: division by zero"):
            await migrate(empty_url, [FIRST, BROKEN])

        assert await tables(empty_url) == {"one", "schema_migrations"}
        assert await migrate(empty_url, [FIRST, SECOND]) == ["0002_second"]

    async def test_file_that_was_changed_after_it_was_applied_is_refused(
        self, empty_url: str
    ) -> None:
        await migrate(empty_url, [FIRST])
        changed = Migration(1, FIRST.name, f"{FIRST.sql};")

        with pytest.raises(MigrationFailed, match="0001_first was changed"):
            await migrate(empty_url, [changed, SECOND])

        assert "two" not in await tables(empty_url)

    async def test_database_of_a_newer_release_is_refused(self, empty_url: str) -> None:
        await migrate(empty_url, [FIRST, SECOND])

        with pytest.raises(MigrationFailed, match="use a newer release"):
            await migrate(empty_url, [FIRST])
