"""What tests of the pool do all the time: add a key, add a user, ask for a key."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from chillproxy.errors import Refused
from chillproxy.models import (
    Action,
    Grant,
    Key,
    KeyRequest,
    Lease,
    NetworkPolicy,
    NewKey,
    NewUser,
)
from chillproxy.pool import Pool
from infra.db import Database
from infra.secret import Secret

ACTOR = "test"


async def add_key(
    pool: Pool,
    *,
    secret: str | None = None,
    max_users: int | None = 5,
    max_streams: int | None = 5,
    store: str = "torbox",
    priority: int = 0,
    network_policy: NetworkPolicy | None = None,
    owner_user_id: int | None = None,
) -> Key:
    return await pool.keys.add(
        NewKey(
            store=store,
            secret=Secret(secret or str(uuid4())),
            max_users=max_users,
            max_streams=max_streams,
            priority=priority,
            network_policy=network_policy,
            owner_user_id=owner_user_id,
        ),
        actor=ACTOR,
    )


async def add_user(
    pool: Pool,
    *,
    max_devices: int = 3,
    max_streams: int = 2,
    stores: tuple[str, ...] | None = None,
    expires_at: datetime | None = None,
    plays_per_day: int | None = None,
    bytes_per_month: int | None = None,
) -> UUID:
    _, auth = await pool.users.add(
        NewUser(
            name="A",
            max_devices=max_devices,
            max_streams=max_streams,
            stores=stores,
            expires_at=expires_at,
            plays_per_day=plays_per_day,
            bytes_per_month=bytes_per_month,
        ),
        actor=ACTOR,
    )
    return auth


async def ask(
    pool: Pool,
    auth: UUID,
    device: str = "tv",
    action: Action = "generate-link",
    *,
    store: str = "torbox",
    media: str = "tt0000001",
    network: bytes | None = b"home",
    exclude: Sequence[int] = (),
    device_class: str = "",
    size_bytes: int | None = None,
    older_ids: Sequence[str] = (),
) -> Grant:
    return await pool.get_key(
        KeyRequest(
            auth=auth,
            device_ids=(device, *older_ids),
            device_class=device_class,
            action=action,
            store=store,
            media=media,
            network=network,
            exclude=tuple(exclude),
            size_bytes=size_bytes,
        )
    )


async def lease_of(pool: Pool, auth: UUID, device: str = "tv", **how: object) -> Lease:
    """Play, and return the lease."""
    lease = (await ask(pool, auth, device, **how)).lease  # type: ignore[arg-type]  # named by tests
    assert lease is not None
    return lease


async def refusal(pool: Pool, auth: UUID, device: str = "tv", **how: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await ask(pool, auth, device, **how)  # type: ignore[arg-type]  # named by the tests
    return caught.value


async def devices_of(database: Database) -> int:
    return int(await database.fetchval("select count(*) from pool_devices"))


async def age_devices(database: Database, by: timedelta) -> None:
    await database.execute("update pool_devices set last_seen_at = last_seen_at - $1::interval", by)


async def end_leases(database: Database) -> None:
    """Let the time of all leases run out."""
    await database.execute("update pool_slots set expires_at = now() - interval '1 second'")


async def live_leases(database: Database) -> int:
    return int(
        await database.fetchval(
            "select count(*) from pool_slots where expires_at > clock_timestamp()"
        )
    )
