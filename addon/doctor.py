"""Looks for what would keep the server from working, and says what to do about it."""

import shutil
import sys
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
import msgspec

from addon.app import keyring, open_database
from chillproxy.pool import Pool
from infra.clock import SystemClock
from infra.db import Database
from infra.errors import AppError
from infra.secret import Redactor
from infra.settings import Settings

_FREE_BYTES = 1024**3


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    is_well: bool
    said: str


async def examine(settings: Settings) -> list[Finding]:
    """Look at settings, disk, database and pool; each is looked at as far as the others let it."""
    found = [_python(), *_doubts(settings), _address(settings), _disk(settings)]
    try:
        async with AsyncExitStack() as stack:
            database = await open_database(stack, settings, lambda _: None)
            version = await database.fetchval("select current_setting('server_version')")
            found.append(Finding("database", is_well=True, said=f"Postgres {version}, migrated"))
            found += await _pool(settings, database)
    except (AppError, OSError, asyncpg.PostgresError) as error:
        found.append(Finding("database", is_well=False, said=str(error) or "no answer in time"))
    return found


def _python() -> Finding:
    return Finding("python", is_well=True, said=sys.version.split()[0])


def _doubts(settings: Settings) -> list[Finding]:
    doubts = [Finding("settings", is_well=False, said=doubt) for doubt in settings.warnings]
    return doubts or [Finding("settings", is_well=True, said="no doubts")]


def _address(settings: Settings) -> Finding:
    scheme = urlsplit(settings.base_url).scheme
    said = settings.base_url
    if scheme == "http":
        said += " (Stremio wants https for anything but this machine)"
    return Finding("address", is_well=True, said=said)


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.data_dir).free
    said = f"{free / 1024**3:.1f} GiB free at {settings.data_dir}"
    return Finding("disk", is_well=free > _FREE_BYTES, said=said)


async def _pool(settings: Settings, database: Database) -> list[Finding]:
    pool = Pool.over(database, keyring(settings.pool_kek), SystemClock(), Redactor())
    keys = [key for key in await pool.keys.all() if key.store != "demo"]
    usable = [key for key in keys if key.state == "active"]
    broken = await pool.audit.verify(database)
    return [
        Finding(
            "keys",
            is_well=bool(usable) or not keys,
            said=f"{len(usable)} of {len(keys)} usable" if keys else "none yet: the demo is on",
        ),
        Finding(
            "audit",
            is_well=broken is None,
            said="whole" if broken is None else f"row {broken} was changed or is missing",
        ),
    ]
