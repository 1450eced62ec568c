"""Usage from the record of a play to the pool's table: each event once, whatever is in the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from addon.accounts.usage import UsageLog, UsageShipper
from addon.key_pool.base import Grant, KeyRequest, UsageEvent
from addon.key_pool.embedded import EmbeddedKeyPool
from chillproxy.pool import Pool
from infra.db import Database
from infra.errors import DatabaseUnavailable
from infra.spool import Spool
from tests.chillproxy.asking import add_key, add_user
from tests.fakes.clock import FakeClock

TICK = timedelta(milliseconds=5)
DAY = timedelta(days=1)


class MovingPool(EmbeddedKeyPool):
    """A pool that can be away, before or after it has stored what it was given."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.away_before = 0
        self.away_after = 0

    async def log_usage(self, events: Sequence[UsageEvent]) -> None:
        if self.away_before > 0:
            self.away_before -= 1
            raise DatabaseUnavailable("away")
        await super().log_usage(events)
        if self.away_after > 0:
            self.away_after -= 1
            raise DatabaseUnavailable("gone before the answer")


@pytest.fixture
def key_pool(pool: Pool) -> MovingPool:
    return MovingPool(pool)


@pytest.fixture
async def grant(pool: Pool, key_pool: MovingPool) -> Grant:
    """Return what a play is recorded with."""
    await add_key(pool)
    return await key_pool.get_key(
        KeyRequest(
            auth=await add_user(pool),
            device_ids=("tv",),
            device_class="tv",
            network=b"home",
            store="torbox",
            action="generate-link",
            media="tt0000001",
        )
    )


@asynccontextmanager
async def spooling(
    directory: Path, key_pool: MovingPool, clock: FakeClock, max_bytes: int = 10**9
) -> AsyncIterator[Spool]:
    async with Spool.open(
        directory,
        clock=clock,
        ship=UsageShipper(key_pool),
        seal_every=TICK,
        fsync_every=TICK,
        max_bytes=max_bytes,
        flush_at_end=timedelta(seconds=5),
    ) as spool:
        yield spool


def play(log: UsageLog, grant: Grant, media: str = "tt0000001") -> None:
    log.played(grant, media=media, info_hash="a" * 40, cached=True, size_bytes=6, quality="1080p")


def line(**values: object) -> bytes:
    event = {"event_id": str(uuid4()), "at": "2026-01-01T12:00:00Z", "action": "play"}
    return msgspec.json.encode({**event, **values})


async def count(database: Database, where: str = "true") -> int:
    return int(await database.fetchval(f"select count(*) from pool_usage_logs where {where}"))


def dead_lines(directory: Path) -> list[bytes]:
    return [
        text for path in (directory / "dead").iterdir() for text in path.read_bytes().splitlines()
    ]


async def test_play_arrives_whole(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, grant: Grant
) -> None:
    async with spooling(tmp_path, key_pool, clock) as spool:
        play(UsageLog(spool, clock), grant)

    row = await database.fetchrow("select * from pool_usage_logs")
    assert row is not None
    assert (row["user_id"], str(row["key_id"]), str(row["device_id"])) == (
        1, grant.key_id, grant.device_id,
    )  # fmt: skip
    assert (row["action"], row["store"], row["media"]) == ("play", "torbox", "tt0000001")
    assert (row["info_hash"], row["cached"], row["size_bytes"]) == ("a" * 40, True, 6)
    assert (row["quality"], row["at"]) == ("1080p", clock.now())


async def test_requests_of_one_tap_are_one_play(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, grant: Grant
) -> None:
    async with spooling(tmp_path, key_pool, clock) as spool:
        log = UsageLog(spool, clock)
        for _ in range(20):
            play(log, grant)
        play(log, grant, media="tt0000002")

    assert await count(database) == 2


async def test_list_has_no_lease_and_is_one_event_each_time(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, grant: Grant
) -> None:
    listing = msgspec.structs.replace(grant, lease=None)
    async with spooling(tmp_path, key_pool, clock) as spool:
        log = UsageLog(spool, clock)
        log.listed(listing, "tt0000001")
        log.listed(listing, "tt0000001")
        play(log, listing)

    assert await count(database, "action = 'list'") == 2
    assert await count(database) == 2


@pytest.mark.parametrize("side", ["away_before", "away_after"])
async def test_pool_that_goes_away_loses_and_doubles_nothing(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, side: str
) -> None:
    setattr(key_pool, side, 3)

    async with spooling(tmp_path, key_pool, clock) as spool:
        for _ in range(500):
            spool.record(line())
            await asyncio.sleep(0)

    assert await count(database) == 500
    assert getattr(key_pool, side) == 0


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(b"not json", id="no JSON"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"{}", id="no event"),
        pytest.param(line(action="dance"), id="unknown action"),
        pytest.param(line(event_id="7"), id="id that is none"),
        pytest.param(line(at="yesterday"), id="time that is none"),
        pytest.param(line(at="2026-01-01T12:00:00"), id="time of nowhere"),
        pytest.param(line(user_ref="ada"), id="user that can be none"),
        pytest.param(line(key_id="first"), id="key that can be none"),
        pytest.param(line(key_id="9" * 30), id="number that is too high"),
        pytest.param(line(bytes=2**63), id="too many bytes"),
        pytest.param(line(media="nul\0"), id="NUL"),
    ],
)
async def test_line_that_can_never_be_stored_is_put_aside_alone(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, poison: bytes
) -> None:
    async with spooling(tmp_path, key_pool, clock) as spool:
        for place in range(30):
            spool.record(poison if place == 17 else line())

    assert await count(database) == 29
    assert dead_lines(tmp_path) == [poison]


async def test_poison_of_every_sort_together_takes_no_event_along(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock
) -> None:
    poison = {b"not json", line(bytes=2**63), line(media="nul\0"), line(user_ref="ada")}
    async with spooling(tmp_path, key_pool, clock) as spool:
        for bad in poison:
            spool.record(line())
            spool.record(bad)

    assert await count(database) == len(poison)
    assert set(dead_lines(tmp_path)) == poison


async def test_event_of_a_user_who_was_deleted_is_kept_without_the_user(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, grant: Grant
) -> None:
    await database.execute("delete from pool_users")

    async with spooling(tmp_path, key_pool, clock) as spool:
        play(UsageLog(spool, clock), grant)

    assert await count(database, "user_id is null") == 1


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param("2025-12-20T00:00:00Z", "2025-12-20T00:00:00Z", id="waited in the spool"),
        pytest.param("1970-01-01T00:00:00Z", "2025-11-27T12:00:00Z", id="long ago"),
        pytest.param("2099-01-01T00:00:00Z", "2026-01-02T12:00:00Z", id="far ahead"),
    ],
)
async def test_time_of_an_event_is_made_plausible(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock,
    said: str, kept: str,
) -> None:  # fmt: skip
    async with spooling(tmp_path, key_pool, clock) as spool:
        spool.record(line(at=said))

    at = await database.fetchval("select at from pool_usage_logs")
    assert at == datetime.fromisoformat(kept)
    assert at.tzinfo == UTC


async def test_segment_that_is_shipped_again_on_another_day_doubles_nothing(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock
) -> None:
    lines = [line(), line(at="1970-01-01T00:00:00Z"), line(at="2099-01-01T00:00:00Z")]
    await UsageShipper(key_pool)(lines)
    clock.advance(DAY)

    async with spooling(tmp_path, key_pool, clock) as spool:
        for one in lines:
            spool.record(one)

    assert await count(database) == 3


async def test_full_spool_gives_up_lists_and_never_plays(
    tmp_path: Path, key_pool: MovingPool, database: Database, clock: FakeClock, grant: Grant
) -> None:
    async with spooling(tmp_path, key_pool, clock, max_bytes=0) as spool:
        await asyncio.sleep(0.05)  # the cap is read in the background
        log = UsageLog(spool, clock)
        log.listed(grant, "tt0000001")
        play(log, grant)

    assert await count(database, "action = 'play'") == 1
    assert await count(database) == 1


async def test_batches_sent_by_two_processes_at_once_are_stored_once(
    key_pool: MovingPool, database: Database
) -> None:
    lines = [line() for _ in range(1000)]

    await asyncio.gather(*(UsageShipper(key_pool)(lines) for _ in range(4)))

    assert await count(database) == 1000
