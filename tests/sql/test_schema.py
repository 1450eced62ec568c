"""`schema.sql` and all migrations together make the same database."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from infra.migrate import migrate
from tests.fakes.empty_database import empty_database

_SCHEMA = Path(__file__).parents[2] / "sql" / "schema.sql"

# Each query names things and says what they are like, without numbers that differ by chance.
_CATALOGUES = {
    "tables": """
        select c.relname, c.relkind, c.relispartition, c.reloptions, pg_get_partkeydef(c.oid),
               pg_get_expr(c.relpartbound, c.oid), obj_description(c.oid, 'pg_class')
        from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')""",
    "columns": """
        select c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, a.attcollation, pg_get_expr(d.adbin, d.adrelid),
               col_description(c.oid, a.attnum)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'c')
          and a.attnum > 0 and not a.attisdropped""",
    "constraints": """
        select conrelid::regclass::text, conname, contype, convalidated, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": """
        select c.relname, c.reloptions, i.indisvalid, pg_get_indexdef(i.indexrelid)
        from pg_index i join pg_class c on c.oid = i.indexrelid
        where c.relnamespace = 'public'::regnamespace""",
    "functions": """
        select oid::regprocedure::text, pg_get_function_arguments(oid),
               pg_get_function_result(oid), prosrc, prolang, provolatile, proisstrict, prosecdef,
               proparallel, proconfig, obj_description(oid, 'pg_proc')
        from pg_proc where pronamespace = 'public'::regnamespace""",
    "types": """
        select t.typname, t.typtype, obj_description(t.oid, 'pg_type')
        from pg_type t where t.typnamespace = 'public'::regnamespace""",
    "sequences": """
        select sequencename, data_type::text, start_value, increment_by, cycle
        from pg_sequences where schemaname = 'public'""",
    "triggers": """
        select tgrelid::regclass::text, pg_get_triggerdef(oid)
        from pg_trigger where not tgisinternal""",
    "others": """
        select 'extension', extname from pg_extension
        union all select 'view', viewname from pg_views where schemaname = 'public'
        union all select 'policy', policyname from pg_policies where schemaname = 'public'""",
}
_TRIGGER = """
create trigger more before update on pool_keys
for each row execute function suppress_redundant_updates_trigger()
"""


@pytest.fixture
async def empty_url(database_url: str) -> AsyncIterator[str]:
    async with empty_database(database_url) as url:
        yield url


async def catalogue(url: str, name: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return sorted(repr(tuple(row)) for row in await connection.fetch(_CATALOGUES[name]))
    finally:
        await connection.close()


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("name", _CATALOGUES)
async def test_schema_and_migrations_agree(database_url: str, empty_url: str, name: str) -> None:
    await execute(empty_url, _SCHEMA.read_text("utf-8"))

    assert await catalogue(empty_url, name) == await catalogue(database_url, name)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tables", "alter table pool_slots set (fillfactor = 80)"),
        ("tables", "comment on table pool_seats is 'other'"),
        ("columns", "alter table pool_keys alter label drop default"),
        ("columns", "alter table pool_keys alter label drop not null"),
        ("columns", "alter table pool_slots alter slot_no type bigint"),
        ("columns", "alter type pool_verdict add attribute more int"),
        ("constraints", "alter table pool_keys drop constraint pool_keys_scope_check"),
        ("indexes", "drop index pool_slots_by_user"),
        ("functions", "alter function pool_next_end immutable"),
        ("functions", "update pg_proc set prosrc = ' ' || prosrc where proname = 'pool_admit'"),
        ("types", "create type more as enum ('a')"),
        ("sequences", "create sequence more"),
        ("triggers", _TRIGGER),
        ("others", "create view more as select 1"),
    ],
)  # fmt: skip
async def test_any_difference_shows(database_url: str, name: str, change: str) -> None:
    before = await catalogue(database_url, name)

    await execute(database_url, change)

    assert await catalogue(database_url, name) != before


async def test_migrated_database_needs_no_migration(database_url: str) -> None:
    assert await migrate(database_url) == []
