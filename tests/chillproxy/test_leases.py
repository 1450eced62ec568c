"""Where admission could refuse what it should grant, or grant what it should not."""

from datetime import UTC, datetime, timedelta

from chillproxy.pool import Pool
from infra.db import Database
from tests.chillproxy.asking import (
    ACTOR,
    add_key,
    add_user,
    age_devices,
    ask,
    end_leases,
    lease_of,
    live_leases,
    refusal,
)

PAST = datetime(2020, 1, 1, tzinfo=UTC)


async def plays(database: Database) -> int:
    return int(await database.fetchval("select coalesce(sum(plays), 0) from pool_user_days"))


async def expire_user(database: Database, user_id: int) -> None:
    await database.execute("update pool_users set expires_at = $2 where id = $1", user_id, PAST)


class TestFailover:
    async def test_last_play_of_the_day_goes_on_with_the_next_key(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        await add_key(pool)
        auth = await add_user(pool, plays_per_day=1)
        first = await ask(pool, auth)

        second = await ask(pool, auth, exclude=[first.key_id])

        assert second.key_id != first.key_id
        assert await plays(database) == 1
        assert await live_leases(database) == 1

    async def test_play_whose_lease_was_ended_by_the_keys_error_is_one_play(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        await add_key(pool)
        auth = await add_user(pool, plays_per_day=1)
        first = await ask(pool, auth)
        await pool.report(first.key_id, "auth_invalid")

        second = await ask(pool, auth, exclude=[first.key_id])

        assert second.key_id != first.key_id
        assert await plays(database) == 1

    async def test_released_film_that_is_begun_again_is_another_play(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await pool.release(await lease_of(pool, auth))

        await ask(pool, auth)

        assert await plays(database) == 2

    async def test_lease_that_ran_out_is_followed_by_another_play(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth)
        await end_leases(database)

        await ask(pool, auth)

        assert await plays(database) == 2

    async def test_device_that_goes_on_at_another_store_holds_one_lease(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, store="torbox")
        await add_key(pool, store="premiumize")
        auth = await add_user(pool, max_streams=2)
        await ask(pool, auth, store="torbox")

        await ask(pool, auth, store="premiumize")

        assert await live_leases(database) == 1
        assert (await ask(pool, auth, "other device")).lease is not None

    async def test_negative_size_gives_no_volume_back(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, bytes_per_month=1000)
        await ask(pool, auth, media="tt0000001", size_bytes=900)

        await ask(pool, auth, media="tt0000002", size_bytes=-900)

        error = await refusal(pool, auth, media="tt0000003", size_bytes=200)
        assert error.code == "quota_exceeded"


class TestFairness:
    async def test_next_episode_on_the_own_slot_takes_nothing_from_others(self, pool: Pool) -> None:
        await add_key(pool, max_streams=3)
        greedy, other = await add_user(pool), await add_user(pool)
        await ask(pool, other, "theirs", "init")
        await ask(pool, greedy, "one")
        await ask(pool, greedy, "two")
        await ask(pool, other, "theirs")

        grant = await ask(pool, greedy, "two", media="tt0000002")

        assert grant.lease is not None

    async def test_slots_of_closed_keys_do_not_make_the_open_ones_scarce(self, pool: Pool) -> None:
        await add_key(pool, max_streams=5)
        closed = await add_key(pool, max_streams=500)
        await pool.keys.disable(closed.id, actor=ACTOR)
        auth, other = await add_user(pool), await add_user(pool)
        await ask(pool, other, "theirs", "init")
        await ask(pool, auth, "one")

        grant = await ask(pool, auth, "two")

        assert grant.lease is not None

    async def test_own_key_is_never_scarce(self, pool: Pool) -> None:
        auth, other = await add_user(pool), await add_user(pool)
        own = await add_key(pool, max_streams=2, owner_user_id=1)
        await add_key(pool, max_streams=1)
        await ask(pool, other, "theirs")
        await ask(pool, auth, "one")

        grant = await ask(pool, auth, "two")

        assert grant.key_id == own.id


class TestNetworks:
    async def test_roaming_renews_the_lease_on_a_key_for_any_network(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, network_policy="any")
        auth = await add_user(pool)
        first = await lease_of(pool, auth, network=b"home")

        second = await lease_of(pool, auth, network=b"mobile")

        assert first.id == second.id
        assert await plays(database) == 1

    async def test_roaming_alone_renews_the_lease_and_takes_the_key_along(self, pool: Pool) -> None:
        await add_key(pool, network_policy="single_network")
        auth, other = await add_user(pool), await add_user(pool)
        first = await lease_of(pool, auth, network=b"home")

        second = await lease_of(pool, auth, network=b"mobile")

        assert first.id == second.id
        assert (await refusal(pool, other, network=b"home")).code == "network_conflict"

    async def test_roaming_away_from_others_does_not_bring_a_second_network(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, network_policy="single_network")
        auth, other = await add_user(pool), await add_user(pool)
        await ask(pool, auth, network=b"home")
        await ask(pool, other, network=b"home")

        error = await refusal(pool, auth, network=b"mobile")

        assert error.code == "network_conflict"
        networks = await database.fetch(
            "select distinct network from pool_slots where expires_at > clock_timestamp()"
        )
        assert len(networks) == 1

    async def test_conflict_on_the_own_key_gives_way_to_a_free_one(self, pool: Pool) -> None:
        busy = await add_key(pool, network_policy="single_network", priority=1)
        free = await add_key(pool, network_policy="single_network")
        auth, other = await add_user(pool), await add_user(pool)
        await ask(pool, auth, "tv", "init")
        await ask(pool, other, network=b"theirs")

        grant = await ask(pool, auth, network=b"home")

        assert (busy.id, grant.key_id) == (busy.id, free.id)


class TestSeats:
    async def test_seat_left_during_a_stream_is_nobody_elses_before_its_end(
        self, pool: Pool, database: Database
    ) -> None:
        small = await add_key(pool, max_users=1, priority=1)
        await add_key(pool, max_users=1)
        auth, late = await add_user(pool), await add_user(pool)
        await ask(pool, auth, "one")
        await ask(pool, auth, "two", exclude=[small.id])

        during = await refusal(pool, late)
        await end_leases(database)
        after = await ask(pool, late)

        assert during.code == "no_key"
        assert after.key_id == small.id

    async def test_user_comes_back_to_the_seat_that_is_kept(self, pool: Pool) -> None:
        first = await add_key(pool, max_users=1, priority=1)
        second = await add_key(pool, max_users=1)
        auth = await add_user(pool, max_streams=3)
        await ask(pool, auth, "one")
        await ask(pool, auth, "two", exclude=[first.id])

        grant = await ask(pool, auth, "three", exclude=[second.id])

        assert grant.key_id == first.id

    async def test_stream_on_the_key_of_before_is_renewed_there(self, pool: Pool) -> None:
        first = await add_key(pool, priority=1)
        await add_key(pool)
        auth = await add_user(pool)
        before = await lease_of(pool, auth, "one")
        await ask(pool, auth, "two", exclude=[first.id])

        after = await ask(pool, auth, "one")

        assert after.lease is not None
        assert (after.key_id, after.lease.id) == (first.id, before.id)

    async def test_seat_of_an_expired_user_is_anothers_to_take(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, max_users=1)
        await ask(pool, await add_user(pool), "tv", "init")
        late = await add_user(pool)
        await expire_user(database, 1)

        listing = await ask(pool, late, action="check-cache")
        play = await ask(pool, late)

        assert listing.key_id == play.key_id

    async def test_seat_of_an_expired_user_is_kept_while_the_last_stream_runs(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, max_users=1)
        await ask(pool, await add_user(pool))
        await expire_user(database, 1)

        assert (await refusal(pool, await add_user(pool))).code == "no_key"

    async def test_user_whose_time_is_prolonged_takes_a_seat_again(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, max_users=2)
        auth = await add_user(pool)
        await ask(pool, auth, "tv", "init")
        await expire_user(database, 1)
        await ask(pool, await add_user(pool), "tv", "init")
        await database.execute("update pool_users set expires_at = null")

        assert (await ask(pool, auth)).lease is not None

    async def test_seat_of_a_disabled_user_is_anothers_to_take(self, pool: Pool) -> None:
        await add_key(pool, max_users=1)
        await ask(pool, await add_user(pool))
        late = await add_user(pool)

        await pool.users.disable(1, actor=ACTOR)

        assert (await ask(pool, late)).lease is not None

    async def test_init_moves_away_from_a_closed_key(self, pool: Pool, database: Database) -> None:
        await add_key(pool, priority=1)
        second = await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth, "tv", "init")
        await pool.report(1, "rate_limited")

        grant = await ask(pool, auth, "tv", "init")

        assert grant.key_id == second.id
        assert await database.fetchval("select count(user_id) from pool_seats") == 1


class TestClosedKeys:
    async def test_resting_key_renews_and_begins_nothing_new(self, pool: Pool) -> None:
        key = await add_key(pool)
        auth = await add_user(pool)
        first = await lease_of(pool, auth)
        await pool.report(key.id, "rate_limited")

        second = await lease_of(pool, auth)

        assert (second.id, second.fence) == (first.id, first.fence + 1)
        assert (await refusal(pool, auth, media="tt0000002")).code == "no_key"

    async def test_lease_is_never_renewed_past_its_hard_end(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth)
        await database.execute(
            "update pool_slots set hard_until = now() + interval '5 minutes'"
            " where lease_id is not null"
        )

        lease = await lease_of(pool, auth)

        end = await database.fetchval("select max(hard_until) from pool_slots")
        assert lease.expires_at == end


class TestDevices:
    async def test_device_that_comes_back_after_a_month_is_counted(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth, "tv", "init")
        await age_devices(database, timedelta(days=31))

        listing = await ask(pool, auth, "tv", "check-cache")
        grant = await ask(pool, auth, "tv", "init")

        assert (listing.device_count, grant.device_count) == (1, 1)

    async def test_lease_of_a_replaced_device_ends_nobody_elses(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=1)
        await ask(pool, auth, "old")
        await end_leases(database)
        await age_devices(database, timedelta(hours=25))

        grant = await ask(pool, auth, "new")

        assert grant.device_count == 1
        assert await live_leases(database) == 1
