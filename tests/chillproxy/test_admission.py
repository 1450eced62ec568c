"""Who gets which key: the rules of admission, against a real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from chillproxy.errors import Refused
from chillproxy.models import Grant, KeyRequest
from chillproxy.pool import Pool
from infra.db import Database
from tests.chillproxy.asking import (
    ACTOR,
    add_key,
    add_user,
    age_devices,
    ask,
    devices_of,
    refusal,
)


class TestUsers:
    async def test_known_user_gets_the_key_that_was_added(self, pool: Pool) -> None:
        key = await add_key(pool)
        auth = await add_user(pool)

        grant = await ask(pool, auth)

        assert grant.key_id == key.id
        assert len(grant.key.reveal()) == 36
        assert grant.lease is not None

    async def test_unknown_uuid_is_refused(self, pool: Pool) -> None:
        await add_key(pool)

        assert (await refusal(pool, uuid4())).code == "unknown_user"

    async def test_disabled_user_is_refused_and_loses_the_lease(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth)

        await pool.users.disable(1, actor=ACTOR)

        assert (await refusal(pool, auth)).code == "user_disabled"
        assert await database.fetchval("select count(lease_id) from pool_slots") == 0

    async def test_expired_user_is_refused(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, expires_at=datetime(2020, 1, 1, tzinfo=UTC))

        assert (await refusal(pool, auth)).code == "user_expired"

    async def test_store_outside_the_users_list_is_refused(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, stores=("realdebrid",))

        assert (await refusal(pool, auth)).code == "store_not_allowed"

    async def test_user_ref_serves_as_well_as_the_uuid(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        grant = await ask(pool, auth)

        again = await pool.get_key(
            KeyRequest(
                user_ref=grant.user_ref,
                device_ids=("tv",),
                action="generate-link",
                media="tt0000001",
                network=b"home",
            )
        )

        assert again.device_id == grant.device_id


class TestDevices:
    async def test_thousand_new_devices_at_once_fill_exactly_the_limit(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=3)

        answers = await asyncio.gather(
            *(ask(pool, auth, f"device-{number}", "init") for number in range(1000)),
            return_exceptions=True,
        )

        granted = [answer for answer in answers if isinstance(answer, Grant)]
        refused = {answer.code for answer in answers if isinstance(answer, Refused)}
        assert len(granted) == 3
        assert refused == {"device_limit"}
        assert await devices_of(database) == 3

    async def test_refusal_names_the_limit(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=1)
        await ask(pool, auth, "one")

        error = await refusal(pool, auth, "two")

        assert error.message == "Maximum device limit (1) reached"
        assert (error.limit, error.device_count, error.device_limit) == (1, 1, 1)

    async def test_listing_seats_nobody(self, pool: Pool, database: Database) -> None:
        await add_key(pool)
        auth = await add_user(pool)

        for number in range(50):
            await ask(pool, auth, f"device-{number}", "check-cache")

        assert await devices_of(database) == 0
        assert await database.fetchval("select count(user_id) from pool_seats") == 0

    async def test_listing_is_refused_where_a_play_would_be(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=1)
        await ask(pool, auth, "one")

        assert (await refusal(pool, auth, "two", action="check-cache")).code == "device_limit"

    async def test_same_device_asked_a_hundred_times_at_once_is_one_lease(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)

        grants = await asyncio.gather(*(ask(pool, auth) for _ in range(100)))

        assert len({grant.lease.id for grant in grants if grant.lease}) == 1
        assert await devices_of(database) == 1
        assert await database.fetchval("select count(lease_id) from pool_slots") == 1
        assert await database.fetchval("select plays from pool_user_days") == 1

    async def test_quiet_device_of_the_same_class_moves_with_its_address(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        first = await ask(pool, auth, "wifi", device_class="android")
        await age_devices(database, timedelta(minutes=11))

        second = await ask(pool, auth, "mobile", device_class="android")
        back = await ask(pool, auth, "wifi", device_class="android")

        assert first.device_id == second.device_id == back.device_id
        assert await devices_of(database) == 1

    async def test_seventh_move_of_a_day_is_a_new_device(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        for number in range(8):
            await ask(pool, auth, f"address-{number}", device_class="android")
            await age_devices(database, timedelta(minutes=11))

        assert await devices_of(database) == 2

    async def test_device_of_another_class_does_not_move(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth, "wifi", device_class="android")
        await age_devices(database, timedelta(minutes=11))

        await ask(pool, auth, "browser", device_class="browser")

        assert await devices_of(database) == 2

    async def test_full_user_replaces_the_device_idle_for_a_day_twice_at_most(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=3, max_streams=9)
        for number in range(3):
            await ask(pool, auth, f"old-{number}", "init")
        await age_devices(database, timedelta(hours=25))

        await ask(pool, auth, "new-1", "init")
        await ask(pool, auth, "new-2", "init")

        assert (await refusal(pool, auth, "new-3", action="init")).code == "device_limit"
        assert await devices_of(database) == 3

    async def test_device_idle_for_a_month_gives_its_place_up(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=1)
        await ask(pool, auth, "old", "init")
        await age_devices(database, timedelta(days=31))

        grant = await ask(pool, auth, "new", "init")

        assert grant.device_count == 1

    async def test_revoked_device_is_known_again_and_refused(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        grant = await ask(pool, auth)
        assert grant.device_id is not None

        await pool.devices.revoke(grant.device_id, actor=ACTOR)

        assert (await refusal(pool, auth)).code == "device_limit"
        assert await database.fetchval("select count(lease_id) from pool_slots") == 0

    async def test_device_known_under_an_older_secret_keeps_its_seat(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        before = await ask(pool, auth, "under-old-secret")

        after = await ask(pool, auth, "under-new-secret", older_ids=["under-old-secret"])
        alone = await ask(pool, auth, "under-new-secret")

        assert before.device_id == after.device_id == alone.device_id

    async def test_one_device_of_two_users_has_two_prints_that_do_not_match(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        for _ in range(2):
            await ask(pool, await add_user(pool), "same")

        prints = await database.fetch("select distinct print from pool_device_prints")

        assert len(prints) == 2


class TestSeatsAndSlots:
    async def test_64_users_at_once_over_few_keys_take_no_seat_or_slot_too_many(
        self, pool: Pool, database: Database
    ) -> None:
        for _ in range(3):
            await add_key(pool, max_users=5, max_streams=4)
        users = [await add_user(pool) for _ in range(64)]

        answers = await asyncio.gather(*(ask(pool, auth) for auth in users), return_exceptions=True)

        granted = [answer for answer in answers if isinstance(answer, Grant)]
        refused = {answer.code for answer in answers if isinstance(answer, Refused)}
        assert len(granted) == 12
        assert refused <= {"pool_busy", "no_key"}
        assert len({grant.lease.id for grant in granted if grant.lease}) == 12
        rows = await database.fetch(
            "select key_id, count(user_id) as users from pool_seats group by key_id"
        )
        assert all(row["users"] <= 5 for row in rows)
        live = await database.fetch(
            "select key_id, count(*) as live from pool_slots"
            " where expires_at > clock_timestamp() group by key_id"
        )
        assert [row["live"] for row in live] == [4, 4, 4]

    async def test_64_devices_of_one_user_at_once_take_no_stream_too_many(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, max_streams=50)
        auth = await add_user(pool, max_devices=64, max_streams=7)

        answers = await asyncio.gather(
            *(ask(pool, auth, f"device-{number}") for number in range(64)), return_exceptions=True
        )

        assert sum(isinstance(answer, Grant) for answer in answers) == 7
        assert {a.code for a in answers if isinstance(a, Refused)} == {"stream_limit"}
        assert await database.fetchval("select count(lease_id) from pool_slots") == 7

    async def test_user_keeps_the_key_of_the_last_time(self, pool: Pool) -> None:
        for _ in range(5):
            await add_key(pool)
        auth = await add_user(pool)

        grants = [await ask(pool, auth, media=f"tt000000{number}") for number in range(5)]

        assert len({grant.key_id for grant in grants}) == 1

    async def test_users_spread_over_the_keys(self, pool: Pool, database: Database) -> None:
        for _ in range(3):
            await add_key(pool)
        for _ in range(6):
            await ask(pool, await add_user(pool))

        rows = await database.fetch(
            "select count(user_id) as users from pool_seats group by key_id"
        )

        assert [row["users"] for row in rows] == [2, 2, 2]

    async def test_key_of_higher_priority_is_filled_first(self, pool: Pool) -> None:
        await add_key(pool)
        wanted = await add_key(pool, priority=5)

        assert (await ask(pool, await add_user(pool))).key_id == wanted.id

    async def test_excluded_key_gives_way_to_the_next(self, pool: Pool) -> None:
        await add_key(pool)
        await add_key(pool)
        auth = await add_user(pool)
        first = await ask(pool, auth)

        second = await ask(pool, auth, exclude=[first.key_id])

        assert second.key_id != first.key_id

    async def test_all_keys_excluded_is_no_key(self, pool: Pool) -> None:
        key = await add_key(pool)
        auth = await add_user(pool)

        assert (await refusal(pool, auth, exclude=[key.id])).code == "no_key"

    async def test_pool_without_seats_has_no_key(self, pool: Pool) -> None:
        await add_key(pool, max_users=1)
        await ask(pool, await add_user(pool))
        late = await add_user(pool)

        assert (await refusal(pool, late)).code == "no_key"
        assert (await refusal(pool, late, action="check-cache")).code == "no_key"

    async def test_all_slots_in_use_is_busy_and_says_when(self, pool: Pool) -> None:
        await add_key(pool, max_streams=1)
        await ask(pool, await add_user(pool))

        error = await refusal(pool, await add_user(pool))

        assert error.code == "pool_busy"
        assert error.until is not None

    async def test_own_key_comes_first_and_serves_nobody_else(self, pool: Pool) -> None:
        auth = await add_user(pool)
        other = await add_user(pool)
        own = await add_key(pool, owner_user_id=1)

        assert (await ask(pool, auth)).key_id == own.id
        assert (await refusal(pool, other)).code == "no_key"

    async def test_second_stream_leaves_the_last_slot_to_others(self, pool: Pool) -> None:
        await add_key(pool, max_streams=3)
        greedy, other = await add_user(pool), await add_user(pool)
        await ask(pool, other, "theirs", "init")
        await ask(pool, greedy, "one")
        await ask(pool, other, "theirs")

        assert (await refusal(pool, greedy, "two")).code == "pool_busy"

    async def test_second_stream_of_a_lone_user_may_take_the_last_slot(self, pool: Pool) -> None:
        await add_key(pool, max_streams=2)
        auth = await add_user(pool, max_streams=2)

        await ask(pool, auth, "one")
        grant = await ask(pool, auth, "two")

        assert grant.lease is not None

    async def test_single_network_key_serves_one_network_at_a_time(self, pool: Pool) -> None:
        await add_key(pool, network_policy="single_network")
        await ask(pool, await add_user(pool), network=b"home")
        guest = await add_user(pool)

        assert (await refusal(pool, guest, network=b"away")).code == "network_conflict"
        assert (await ask(pool, guest, network=b"home")).lease is not None

    async def test_64_networks_at_once_on_a_single_network_key_are_one(self, pool: Pool) -> None:
        await add_key(pool, max_users=64, max_streams=64, network_policy="single_network")
        users = [await add_user(pool) for _ in range(64)]

        answers = await asyncio.gather(
            *(ask(pool, auth, network=str(n).encode()) for n, auth in enumerate(users)),
            return_exceptions=True,
        )

        assert sum(isinstance(answer, Grant) for answer in answers) == 1
        assert {a.code for a in answers if isinstance(a, Refused)} == {"network_conflict"}


class TestLeases:
    async def test_same_media_renews_the_lease_and_moves_the_fence(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)

        first, second = (await ask(pool, auth)).lease, (await ask(pool, auth)).lease

        assert first is not None
        assert second is not None
        assert (first.id, first.fence + 1) == (second.id, second.fence)

    async def test_other_media_replaces_the_lease_on_the_same_slot(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        first = (await ask(pool, auth, media="tt0000001")).lease

        second = (await ask(pool, auth, media="tt0000002")).lease

        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert await database.fetchval("select count(lease_id) from pool_slots") == 1

    async def test_expired_lease_frees_the_slot_by_itself(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, max_streams=1)
        await ask(pool, await add_user(pool))
        await database.execute("update pool_slots set expires_at = now() - interval '1 second'")

        assert (await ask(pool, await add_user(pool))).lease is not None

    async def test_lease_past_its_hard_end_is_taken_anew(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        first = (await ask(pool, auth)).lease
        await database.execute(
            "update pool_slots set hard_until = now() where lease_id is not null"
        )

        second = (await ask(pool, auth)).lease

        assert first is not None
        assert second is not None
        assert first.id != second.id

    async def test_released_lease_frees_the_slot(self, pool: Pool) -> None:
        await add_key(pool, max_streams=1)
        lease = (await ask(pool, await add_user(pool))).lease
        assert lease is not None

        released = await pool.release(lease)

        assert released
        assert (await ask(pool, await add_user(pool))).lease is not None

    async def test_stale_fence_releases_nothing(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        stale = (await ask(pool, auth)).lease
        await ask(pool, auth)
        assert stale is not None

        assert not await pool.release(stale)

    async def test_disabled_key_ends_its_leases_and_serves_nobody(self, pool: Pool) -> None:
        key = await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth)

        await pool.keys.disable(key.id, actor=ACTOR)

        assert (await refusal(pool, auth)).code == "no_key"

    async def test_enabled_key_serves_again(self, pool: Pool) -> None:
        key = await add_key(pool)
        auth = await add_user(pool)
        await pool.keys.disable(key.id, actor=ACTOR)

        await pool.keys.enable(key.id, actor=ACTOR)

        assert (await ask(pool, auth)).key_id == key.id


class TestQuotas:
    async def test_plays_of_a_day_are_counted_and_limited(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, plays_per_day=2)
        await ask(pool, auth, media="tt0000001")
        await ask(pool, auth, media="tt0000001")
        await ask(pool, auth, media="tt0000002")

        error = await refusal(pool, auth, media="tt0000003")

        assert error.code == "quota_exceeded"
        assert error.until is not None
        assert error.message.startswith("Quota used up until ")

    async def test_bytes_of_a_month_are_reserved_before_the_play(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, bytes_per_month=1000)
        await ask(pool, auth, media="tt0000001", size_bytes=900)

        assert (await refusal(pool, auth, media="tt0000002", size_bytes=200)).code == (
            "quota_exceeded"
        )
