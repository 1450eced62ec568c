"""The devices of a user: listed, and shut out one by one."""

from datetime import timedelta

import pytest

from chillproxy.pool import Pool
from infra.db import Database
from infra.errors import NotFound
from tests.chillproxy.asking import ACTOR, add_key, add_user, ask, live_leases, refusal


async def seat(pool: Pool, *names: str) -> list[int]:
    """Let devices of a new user play; return their numbers."""
    auth = await add_user(pool, max_streams=9)
    grants = [await ask(pool, auth, name, device_class=name) for name in names]
    return [grant.device_id for grant in grants if grant.device_id is not None]


async def test_devices_are_listed_the_one_seen_last_first(pool: Pool, database: Database) -> None:
    await add_key(pool)
    tv, phone = await seat(pool, "tv", "phone")
    await database.execute(
        "update pool_devices set last_seen_at = now() - $1::interval where id = $2",
        timedelta(minutes=7),
        phone,
    )

    devices = await pool.devices.of_user(1)

    assert [(device.id, device.device_class) for device in devices] == [
        (tv, "tv"),
        (phone, "phone"),
    ]


async def test_devices_of_others_are_not_listed(pool: Pool) -> None:
    await add_key(pool)
    await seat(pool, "tv")
    theirs = await seat(pool, "tv")

    assert [device.id for device in await pool.devices.of_user(2)] == theirs


async def test_revoking_ends_that_devices_lease_alone(pool: Pool, database: Database) -> None:
    await add_key(pool)
    tv, _ = await seat(pool, "tv", "phone")

    await pool.devices.revoke(tv, actor=ACTOR)

    assert await live_leases(database) == 1


async def test_revoked_device_stays_listed_and_keeps_the_time_of_the_first_time(pool: Pool) -> None:
    await add_key(pool)
    (tv,) = await seat(pool, "tv")

    await pool.devices.revoke(tv, actor=ACTOR)
    (first,) = await pool.devices.of_user(1)
    await pool.devices.revoke(tv, actor=ACTOR)
    (second,) = await pool.devices.of_user(1)

    assert first.revoked_at is not None
    assert first.revoked_at == second.revoked_at


async def test_revoked_device_gives_its_place_to_another(pool: Pool) -> None:
    await add_key(pool)
    auth = await add_user(pool, max_devices=1)
    grant = await ask(pool, auth, "lost phone")
    assert grant.device_id is not None

    await pool.devices.revoke(grant.device_id, actor=ACTOR)

    assert (await ask(pool, auth, "new phone")).device_count == 1
    assert (await refusal(pool, auth, "lost phone")).code == "device_limit"


async def test_device_that_is_not_there_is_not_found(pool: Pool) -> None:
    with pytest.raises(NotFound, match="no device 7"):
        await pool.devices.revoke(7, actor=ACTOR)

    assert await pool.epoch() == 0


async def test_device_that_is_in_use_is_noted_every_few_minutes_only(
    pool: Pool, database: Database
) -> None:
    await add_key(pool)
    auth = await add_user(pool)
    await ask(pool, auth)
    seen = "select last_seen_at from pool_devices"
    first = await database.fetchval(seen)

    await ask(pool, auth)
    soon = await database.fetchval(seen)
    await database.execute("update pool_devices set last_seen_at = now() - interval '6 minutes'")
    await ask(pool, auth)
    later = await database.fetchval(seen)

    assert soon == first
    assert later > first
