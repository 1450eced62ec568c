"""Forward-only migrations: numbered SQL files, each applied once and in one transaction."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from infra.errors import AppError

DIRECTORY = Path(__file__).parent.parent / "sql" / "migrations"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = 0x4368696C6C  # any number, the same in every release: "Chill"
_TABLE = """
create table if not exists schema_migrations (
    version int primary key,
    name text not null,
    digest text not null,
    applied_at timestamptz not null default now()
)
"""


class MigrationFailed(AppError):
    """The database cannot be brought to this version of the program."""

    code = "migration_failed"


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text: an applied file must never change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(directory: Path = DIRECTORY) -> list[Migration]:
    """Read the files in the order of their numbers.

    Raises:
        MigrationFailed: a name does not follow the form, or the numbers have a gap.
    """
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationFailed(f"{path.name}: expected NNNN_name.sql")
        found.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationFailed("the numbers of the migrations have a gap or a double")
    return found


async def migrate(url: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing and return the names; safe to run from several processes at once.

    Raises:
        MigrationFailed: the database is newer than the program, an applied file was changed, or a
            statement failed (then nothing of that file is applied).
    """
    migrations = read_migrations() if migrations is None else migrations
    connection = await asyncpg.connect(url, timeout=10)
    try:
        # A session lock: this connection is direct, never through a transaction pooler.
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        applied = await _check_applied(connection, migrations)
        names = []
        for migration in migrations[applied:]:
            await _apply(connection, migration)
            names.append(migration.name)
        return names
    finally:
        await connection.close()


async def _check_applied(
    connection: "asyncpg.Connection[asyncpg.Record]", migrations: Sequence[Migration]
) -> int:
    rows = await connection.fetch("select version, digest from schema_migrations order by version")
    if len(rows) > len(migrations):
        raise MigrationFailed(
            f"the database is at version {rows[-1]['version']}, this program knows"
            f" {len(migrations)}: use a newer release"
        )
    for row, migration in zip(rows, migrations, strict=False):
        if row["version"] != migration.version or row["digest"] != migration.digest:
            raise MigrationFailed(f"{migration.name} was changed after it had been applied")
    return len(rows)


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute("set local lock_timeout = '10s'")
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into schema_migrations (version, name, digest) values ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.digest,
            )
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"{migration.name}: {error}") from error
