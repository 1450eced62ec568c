"""The log events of the pool that operators build alerts on: names, levels and fields."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.journal import Journal, recorded_logs
from tests.flows.world import World, config_of, open_world


@pytest.fixture
def journal() -> Iterator[Journal]:
    with recorded_logs() as journal:
        yield journal


def only(journal: Journal, event: str) -> dict[str, Any]:
    """Return the one entry of an event, without what differs from run to run."""
    (entry,) = (entry for entry in journal.entries if entry["event"] == event)
    return {name: value for name, value in entry.items() if name not in {"time", "request_id"}}


async def test_lease_names_user_and_devices(world: World, journal: Journal) -> None:
    await world.add_key()
    auth = await world.add_user()
    listed = await world.listing(config_of({"c": "tb", "auth": str(auth)}))
    await world.get(listed.streams[0]["url"])

    entry = only(journal, "pool_key_leased")

    user_ref = await world.database.fetchval("select ref from pool_users order by id desc")
    key_id = await world.database.fetchval("select max(id) from pool_keys")
    assert entry == {
        "event": "pool_key_leased",
        "level": "info",
        "user_ref": str(user_ref),
        "device_count": 1,
        "key_id": str(key_id),
        "store": "torbox",
    }
    assert str(auth) not in journal.text


async def test_refusal_names_user_and_code(world: World, journal: Journal) -> None:
    auth = await world.add_user()
    await world.listing(config_of({"c": "tb", "auth": str(auth)}))

    entry = only(journal, "pool_user_refused")

    user_ref = await world.database.fetchval("select ref from pool_users order by id desc")
    assert entry == {
        "event": "pool_user_refused",
        "level": "warning",
        "user_ref": str(user_ref),
        "code": "no_key",
        "store": "torbox",
        "action": "check-cache",
    }
    assert str(auth) not in journal.text


async def test_pool_that_does_not_answer_is_an_error(
    database_url: str, tmp_path: Path, journal: Journal
) -> None:
    async with open_world(database_url, tmp_path, pool_timeout=timedelta(0)) as world:
        await world.listing(await world.pooled())

    entry = only(journal, "pool_unavailable")

    assert entry == {
        "event": "pool_unavailable",
        "level": "error",
        "reason": "no answer in time",
    }
