"""Addon and pool as two servers, each with a database of its own."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from infra.migrate import migrate
from infra.secret import Secret
from infra.setting_values import ApiKey
from tests.flows.world import FILM_CACHED, World, config_of, open_world

BEARER = ApiKey(Secret("CANARY-bearer-between-the-two"), frozenset({"pool", "key:read"}))


@dataclass(frozen=True, slots=True)
class Pair:
    """Both worlds; people meet `addon`, keys and users live in `pool`."""

    addon: World
    pool: World

    async def pooled(self) -> str:
        """Return the config of a new user; the addon's store knows the key, too."""
        secret = await self.pool.add_key()
        account = self.pool.torbox.accounts[secret.reveal()]
        self.addon.torbox.accounts[secret.reveal()] = account
        return config_of({"c": "tb", "auth": str(await self.pool.add_user())})


@pytest.fixture
async def second_database_url() -> AsyncIterator[str]:
    url = os.environ["TEST_DATABASE_URL"]  # noqa: TID251  as conftest.py hands it on
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"create database {name}")
        head, _, query = url.partition("?")
        other = f"{head.rpartition('/')[0]}/{name}{'?' + query if query else ''}"
        await migrate(other)
        yield other
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


@pytest.fixture
async def pair(database_url: str, second_database_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with (
        open_world(database_url, tmp_path / "pool", chillstreams_api_key=(BEARER,)) as pool,
        open_world(
            second_database_url,
            tmp_path / "addon",
            chillstreams_api_url=pool.base,
            chillstreams_api_key=(BEARER,),
        ) as addon,
    ):
        yield Pair(addon, pool)


async def test_list_and_play_use_the_key_of_the_other_server(pair: Pair) -> None:
    config = await pair.pooled()

    stream = (await pair.addon.listing(config)).streams[0]
    answer = await pair.addon.follow(stream["url"])

    assert (answer.status, answer.body) == (200, FILM_CACHED.files[0][1])
    (row,) = await pair.pool.usage(1)
    assert (row["user_id"], row["device_id"], row["media"]) == (1, 1, "tt1234567")
    assert await pair.addon.database.fetchval("select count(*) from pool_usage_logs") == 0


async def test_refusal_is_as_readable_as_in_one_process(pair: Pair) -> None:
    config = await pair.pooled()
    await pair.pool.pool.users.disable(1, actor="test")

    answer = await pair.addon.listing(config)

    assert "User is disabled or unknown" in answer.texts[0]


async def test_disabled_user_is_refused_soon_though_the_grant_was_remembered(pair: Pair) -> None:
    config = await pair.pooled()
    await pair.addon.listing(config)

    await pair.pool.pool.users.disable(1, actor="test")

    async with asyncio.timeout(5):
        while len((await pair.addon.listing(config)).streams) > 1:  # noqa: ASYNC110  over HTTP
            await asyncio.sleep(0.05)


async def test_addon_offers_no_internal_api_and_the_bearer_is_needed(pair: Pair) -> None:
    there = await pair.pool.get("/api/v1/internal/pool/stats")
    here = await pair.addon.get("/api/v1/internal/pool/stats")

    assert (there.status, here.status) == (403, 404)
