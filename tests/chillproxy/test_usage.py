"""The usage log: each event once, on its own day, kept as long as the operator says."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from chillproxy.models import UsageEvent
from chillproxy.pool import Pool
from infra.db import Database
from infra.errors import DataRefused
from tests.chillproxy.asking import add_user
from tests.fakes.clock import FakeClock

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)  # where FakeClock begins
TODAY = NOW.date()
DAY = timedelta(days=1)


def event(at: datetime = NOW, **values: object) -> UsageEvent:
    made = UsageEvent(event_id=uuid4(), at=at, action="play")
    return msgspec.structs.replace(made, **values)


async def days(database: Database) -> list[date]:
    rows = await database.fetch("select day from pool_usage_logs order by day")
    return [row["day"] for row in rows]


async def in_default(database: Database) -> int:
    return int(await database.fetchval("select count(*) from pool_usage_logs_default"))


async def partitions(database: Database) -> list[str]:
    rows = await database.fetch(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'pool_usage_logs'::regclass order by 1"
    )
    return [row["relname"].removeprefix("pool_usage_logs_") for row in rows]


class TestOnce:
    async def test_what_is_recorded_is_kept_whole(self, pool: Pool, database: Database) -> None:
        await add_user(pool)
        user = await pool.users.get(1)
        sent = event(
            user_ref=user.ref, key_id=3, device_id=4, store="torbox", info_hash="a" * 40,
            media="tt0000001", cached=True, bytes=5, size_bytes=6, quality="1080p",
        )  # fmt: skip

        assert await pool.log_usage([sent]) == 1

        row = await database.fetchrow("select * from pool_usage_logs")
        assert row is not None
        assert dict(row) == {
            "event_id": sent.event_id, "day": TODAY, "at": NOW, "user_id": 1, "device_id": 4,
            "key_id": 3, "store": "torbox", "action": "play", "info_hash": "a" * 40,
            "media": "tt0000001", "cached": True, "bytes": 5, "size_bytes": 6, "quality": "1080p",
        }  # fmt: skip

    async def test_repeats_in_one_batch_and_later_count_once(
        self, pool: Pool, database: Database
    ) -> None:
        one, two = event(), event()

        counts = [await pool.log_usage(batch) for batch in ([one, one], [one, two], [two])]

        assert counts == [1, 1, 0]
        assert await database.fetchval("select count(*) from pool_usage_logs") == 2

    async def test_repeat_after_midnight_is_no_second_event(
        self, pool: Pool, database: Database
    ) -> None:
        evening = event(NOW.replace(hour=23, minute=59))
        night = msgspec.structs.replace(evening, at=NOW.replace(hour=0, minute=1) + DAY)

        counts = [await pool.log_usage([one]) for one in (evening, night)]

        assert counts == [1, 0]
        assert await days(database) == [TODAY]

    async def test_batch_sent_by_many_at_once_is_stored_once(
        self, pool: Pool, database: Database
    ) -> None:
        batch = [event() for _ in range(200)]

        counts = await asyncio.gather(*(pool.log_usage(batch) for _ in range(8)))

        assert sum(counts) == 200
        assert await database.fetchval("select count(*) from pool_usage_logs") == 200

    async def test_no_events_are_no_error(self, pool: Pool) -> None:
        assert await pool.log_usage([]) == 0

    @pytest.mark.parametrize("user_ref", [None, uuid4()], ids=["nobody", "somebody who is gone"])
    async def test_event_of_no_known_user_is_kept_without_one(
        self, pool: Pool, database: Database, user_ref: UUID | None
    ) -> None:
        await pool.log_usage([event(user_ref=user_ref)])

        assert await database.fetchval("select count(*) from pool_usage_logs") == 1
        assert await database.fetchval("select user_id from pool_usage_logs") is None

    @pytest.mark.parametrize(
        "values",
        [
            pytest.param({"media": "nul\0"}, id="NUL"),
            pytest.param({"bytes": 2**63}, id="too many bytes"),
            pytest.param({"key_id": 2**80}, id="too high a number"),
        ],
    )
    async def test_value_that_cannot_be_kept_refuses_the_batch_for_good(
        self, pool: Pool, database: Database, values: dict[str, object]
    ) -> None:
        with pytest.raises(DataRefused):
            await pool.log_usage([event(), msgspec.structs.replace(event(), **values)])

        assert await database.fetchval("select count(*) from pool_usage_logs") == 0


class TestTime:
    @pytest.mark.parametrize(
        ("at", "kept"),
        [
            pytest.param(NOW, NOW, id="now"),
            pytest.param(NOW - 34 * DAY, NOW - 34 * DAY, id="held by a spool"),
            pytest.param(NOW - 900 * DAY, NOW - 35 * DAY, id="longer than a spool holds"),
            pytest.param(NOW + timedelta(hours=23), NOW + timedelta(hours=23), id="clocks differ"),
            pytest.param(NOW + 900 * DAY, NOW + DAY, id="a clock that is wrong"),
            pytest.param(datetime.min.replace(tzinfo=UTC), NOW - 35 * DAY, id="the first moment"),
            pytest.param(datetime.max.replace(tzinfo=UTC), NOW + DAY, id="the last moment"),
        ],
    )
    async def test_time_is_made_plausible(
        self, pool: Pool, database: Database, at: datetime, kept: datetime
    ) -> None:
        await pool.log_usage([event(at)])

        assert await database.fetchval("select at from pool_usage_logs") == kept

    @pytest.mark.parametrize(
        "at",
        [
            pytest.param(NOW - 36 * DAY, id="past"),
            pytest.param(NOW - 34.9 * DAY, id="soon past"),
            pytest.param(NOW + 1.5 * DAY, id="near future"),
            pytest.param(NOW + 900 * DAY, id="far future"),
        ],
    )
    async def test_repeat_on_another_day_finds_the_row(
        self, pool: Pool, database: Database, clock: FakeClock, at: datetime
    ) -> None:
        one = event(at)
        await pool.log_usage([one])
        clock.advance(DAY)
        await pool.usage.keep_partitions(60)

        assert await pool.log_usage([one]) == 0
        assert await database.fetchval("select count(*) from pool_usage_logs") == 1

    async def test_day_is_that_of_utc(self, pool: Pool, database: Database) -> None:
        await pool.log_usage([event(datetime.fromisoformat("2026-01-01T01:30:00+02:00"))])

        assert await days(database) == [date(2025, 12, 31)]


class TestPartitions:
    async def test_days_around_today_have_their_own(self, pool: Pool, database: Database) -> None:
        await pool.usage.keep_partitions(30)

        found = await partitions(database)

        assert found == [
            *(f"{TODAY + n * DAY:%Y%m%d}" for n in range(-1, 8)),
            "default",
        ]

    async def test_events_on_both_sides_of_midnight_fall_on_their_days(
        self, pool: Pool, database: Database
    ) -> None:
        await pool.usage.keep_partitions(30)
        midnight = datetime(2026, 1, 2, tzinfo=UTC)

        await pool.log_usage([event(midnight - timedelta(microseconds=1)), event(midnight)])

        assert await days(database) == [date(2026, 1, 1), date(2026, 1, 2)]
        assert await in_default(database) == 0

    async def test_day_without_a_partition_goes_to_the_default_one(
        self, pool: Pool, database: Database
    ) -> None:
        await pool.log_usage([event(NOW - 20 * DAY)])

        assert await in_default(database) == 1

    async def test_rows_that_came_before_their_partition_are_moved_into_it(
        self, pool: Pool, database: Database
    ) -> None:
        sent = [event(), event(NOW - 20 * DAY)]
        await pool.log_usage(sent)

        await pool.usage.keep_partitions(30)

        assert await in_default(database) == 1
        assert await pool.log_usage(sent) == 0
        assert len(await days(database)) == 2

    async def test_partition_is_made_while_its_rows_come_in(
        self, pool: Pool, database: Database
    ) -> None:
        batch = [event(NOW + n * DAY) for n in range(-1, 2) for _ in range(30)]

        async def ingest() -> None:
            for start in range(0, len(batch), 10):
                await pool.log_usage(batch[start : start + 10])

        await asyncio.gather(
            *(ingest() for _ in range(4)), *(pool.usage.keep_partitions(30) for _ in range(3))
        )

        assert len(await days(database)) == len(batch)
        assert await in_default(database) == 0

    async def test_days_past_keeping_are_dropped(
        self, pool: Pool, database: Database, clock: FakeClock
    ) -> None:
        await pool.usage.keep_partitions(30)
        await pool.log_usage([event(NOW - DAY), event(NOW), event(NOW + DAY)])
        clock.advance(10 * DAY)

        await pool.usage.keep_partitions(10)

        assert await days(database) == [TODAY, TODAY + DAY]
        assert f"{TODAY - DAY:%Y%m%d}" not in await partitions(database)

    async def test_default_partition_keeps_nothing_longer(
        self, pool: Pool, database: Database, clock: FakeClock
    ) -> None:
        await pool.usage.keep_partitions(30)
        await pool.log_usage([event(NOW - 25 * DAY), event(NOW + 900 * DAY), event(NOW)])
        assert await in_default(database) == 2
        clock.advance(32 * DAY)

        await pool.usage.keep_partitions(30)

        assert await in_default(database) == 0

    async def test_servers_that_look_after_the_days_at_once_do_not_disturb_each_other(
        self, pool: Pool, database: Database, clock: FakeClock
    ) -> None:
        await pool.usage.keep_partitions(30)
        clock.advance(60 * DAY)

        results = await asyncio.gather(
            *(pool.usage.keep_partitions(30) for _ in range(6)), return_exceptions=True
        )

        assert results == [None] * 6
        assert len(await partitions(database)) == 10
