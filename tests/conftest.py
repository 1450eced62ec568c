"""What every test may ask for: a clock, a database of its own, a pool; and no way out."""

import asyncio
import hashlib
import io
import ipaddress
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest

from chillproxy.pool import Pool
from infra.db import Database
from infra.keyring import KeyRing
from infra.log import configure_logging
from infra.migrate import migrate, read_migrations
from infra.secret import Redactor
from tests.fakes.clock import FakeClock

_ROOT = Path(__file__).parent.parent
CANARY = "CANARY"  # stands in every secret that flows plant; must be in no log
_URL = "TEST_DATABASE_URL"
_postgres = pytest.StashKey[subprocess.Popen[str]]()


_logs = io.StringIO()

hypothesis.settings.register_profile("normal", max_examples=25, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=500, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))


def pytest_configure(config: pytest.Config) -> None:
    """Start the Postgres of the run, once, before any worker; make the template database."""
    # With a redactor that knows nothing: what is kept out of this log is kept out by the code.
    configure_logging("debug", "json", Redactor(), _logs)
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if _URL not in os.environ:
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.postgres", str(_ROOT / ".pytest_cache" / "data")],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        config.stash[_postgres] = holder
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        if not url:
            raise pytest.UsageError("the test database did not start")
        os.environ[_URL] = url
    asyncio.run(_make_template(os.environ[_URL], is_ours=_postgres in config.stash))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    holder = config.stash.get(_postgres, None)
    if holder is not None:
        holder.communicate(timeout=30)
        os.environ.pop(_URL, None)


def _template() -> str:
    text = "".join(migration.digest for migration in read_migrations())
    return f"template_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _other_database(url: str, name: str) -> str:
    """Return the URL with another database name."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}{'?' + query if query else ''}"


async def _make_template(url: str, *, is_ours: bool) -> None:
    connection = await asyncpg.connect(url)
    try:
        if is_ours:
            await _drop_leftovers(connection)
        exists = await connection.fetchval(
            "select 1 from pg_database where datname = $1", _template()
        )
        if not exists:
            building = f"test_{secrets.token_hex(4)}"
            await connection.execute(f"create database {building}")
            await migrate(_other_database(url, building))
            await connection.execute(f"alter database {building} rename to {_template()}")
    finally:
        await connection.close()


async def _drop_leftovers(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    rows = await connection.fetch(
        "select datname from pg_database where datname like 'test\\_%'"
        " or (datname like 'template\\_%' and datname <> $1)",
        _template(),
    )
    for row in rows:
        await connection.execute(f'drop database if exists "{row["datname"]}" with (force)')


@pytest.fixture(autouse=True)
def _no_canary_in_logs() -> Iterator[None]:
    """Fail the test whose log holds a planted secret."""
    start = _logs.tell()
    yield
    _logs.seek(start)
    written = _logs.read()
    at = written.find(CANARY)
    assert at < 0, f"a secret is in the log: {written[max(0, at - 300) : at + 60]}"


@pytest.fixture(autouse=True)
def _no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            host = ipaddress.ip_address(str(address[0]).partition("%")[0])
            if not host.is_loopback:
                raise OSError(f"a test tried to reach {host}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database_url() -> AsyncIterator[str]:
    """Yield the URL of a fresh, migrated database."""
    url = os.environ[_URL]
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"create database {name} template {_template()}")
        yield _other_database(url, name)
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing([("new", b"n" * 32), ("old", b"o" * 32)])


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def pool(database: Database, ring: KeyRing, clock: FakeClock, redactor: Redactor) -> Pool:
    return Pool.over(database, ring, clock, redactor)
