"""Adding users and shutting them out; their UUID is kept as a hash only."""

from datetime import timedelta
from uuid import UUID

import pytest

from chillproxy.models import NewUser, User
from chillproxy.pool import Pool
from chillproxy.users import make_auth
from infra.db import Database
from infra.errors import Conflict, NotFound, Unprocessable
from tests.chillproxy.asking import (
    ACTOR,
    add_key,
    add_user,
    age_devices,
    ask,
    end_leases,
    lease_of,
)


async def add(pool: Pool, **values: object) -> User:
    new = NewUser(name="Ada", **values)  # type: ignore[arg-type]  # the tests name its fields
    return (await pool.users.add(new, actor=ACTOR))[0]


class TestAdding:
    async def test_given_values_are_kept(self, pool: Pool) -> None:
        user = await add(pool, max_devices=4, max_streams=1, stores=("torbox",))

        assert (user.name, user.max_devices, user.max_streams) == ("Ada", 4, 1)
        assert (user.stores, user.devices, user.streams) == (["torbox"], 0, 0)

    async def test_uuid_is_random_and_answered_once(self, pool: Pool) -> None:
        _, first = await pool.users.add(NewUser(name="Ada"), actor=ACTOR)
        _, second = await pool.users.add(NewUser(name="Ada"), actor=ACTOR)

        assert (first.version, second.version) == (4, 4)
        assert first != second

    async def test_given_uuid_is_the_users(self, pool: Pool) -> None:
        auth = make_auth()

        _, answered = await pool.users.add(NewUser(name="Ada", auth=auth), actor=ACTOR)

        assert answered == auth
        assert await pool.users.has(auth)
        assert not await pool.users.has(make_auth())

    async def test_uuid_of_another_user_is_refused_and_leaves_nothing(self, pool: Pool) -> None:
        _, auth = await pool.users.add(NewUser(name="Ada"), actor=ACTOR)

        with pytest.raises(Conflict):
            await pool.users.add(NewUser(name="Bob", auth=auth), actor=ACTOR)

        assert [user.name for user in await pool.users.all()] == ["Ada"]
        assert await pool.epoch() == 1

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("6ba7b810-9dad-11d1-80b4-00c04fd430c8", id="of time and place"),
            pytest.param("00000000-0000-0000-0000-000000000000", id="nil"),
            pytest.param("018f6b1e-9c3a-7c3e-8f7a-0c1d2e3f4a5b", id="of time"),
            pytest.param("11111111-1111-4111-8111-111111111111", id="all the same"),
            pytest.param("550e8400-e29b-41d4-c716-446655440000", id="of no variant we know"),
        ],
    )
    async def test_uuid_that_could_be_guessed_is_refused(self, pool: Pool, text: str) -> None:
        with pytest.raises(Unprocessable, match="version 4"):
            await pool.users.add(NewUser(name="Ada", auth=UUID(text)), actor=ACTOR)

        assert await pool.users.all() == []

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("", id="empty"),
            pytest.param("   ", id="blank"),
            pytest.param("a" * 101, id="long"),
            pytest.param("line\nbreak", id="line break"),
            pytest.param("nul\0", id="NUL"),
        ],
    )
    async def test_name_that_people_cannot_read_is_refused(self, pool: Pool, name: str) -> None:
        with pytest.raises(Unprocessable, match="printable"):
            await pool.users.add(NewUser(name=name), actor=ACTOR)

    @pytest.mark.parametrize(
        "limits",
        [
            pytest.param({"max_devices": 0}, id="no devices"),
            pytest.param({"max_streams": 1001}, id="too many streams"),
            pytest.param({"plays_per_day": 0}, id="no plays"),
            pytest.param({"bytes_per_month": -1}, id="fewer than no bytes"),
        ],
    )
    async def test_limits_out_of_range_are_refused(
        self, pool: Pool, limits: dict[str, int]
    ) -> None:
        with pytest.raises(Unprocessable, match="limits"):
            await add(pool, **limits)

    async def test_name_in_any_script_is_kept(self, pool: Pool) -> None:
        user, _ = await pool.users.add(NewUser(name="Übermut 猫"), actor=ACTOR)

        assert user.name == "Übermut 猫"


class TestShowing:
    async def test_user_counts_seated_devices_and_live_streams(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        await ask(pool, auth, "tv", "init")
        await ask(pool, auth, "phone")

        user = await pool.users.get(1)
        await end_leases(database)
        later = await pool.users.get(1)

        assert (user.devices, user.streams, later.streams) == (2, 1, 0)

    async def test_revoked_and_forgotten_devices_are_not_counted(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        grant = await ask(pool, auth, "tv", "init")
        assert grant.device_id is not None
        await pool.devices.revoke(grant.device_id, actor=ACTOR)
        await ask(pool, auth, "phone", "init")
        await age_devices(database, timedelta(days=31))

        assert (await pool.users.get(1)).devices == 0

    async def test_users_are_listed_by_number(self, pool: Pool) -> None:
        for _ in range(3):
            await add_user(pool)

        assert [user.id for user in await pool.users.all()] == [1, 2, 3]

    @pytest.mark.parametrize("deed", ["get", "disable"])
    async def test_user_who_is_not_there_is_not_found(self, pool: Pool, deed: str) -> None:
        how = {} if deed == "get" else {"actor": ACTOR}

        with pytest.raises(NotFound, match="no user 7"):
            await getattr(pool.users, deed)(7, **how)

        assert await pool.epoch() == 0


class TestDisabling:
    async def test_all_leases_and_seats_go_and_nobody_elses(
        self, pool: Pool, database: Database
    ) -> None:
        await add_key(pool, store="torbox")
        await add_key(pool, store="premiumize")
        auth, other = await add_user(pool), await add_user(pool)
        await ask(pool, auth, "tv", store="torbox")
        await ask(pool, auth, "phone", store="premiumize")
        await ask(pool, other)

        user = await pool.users.disable(1, actor=ACTOR)

        assert (user.streams, (await pool.users.get(2)).streams) == (0, 1)
        seated = await database.fetch("select user_id from pool_seats where user_id is not null")
        assert [row["user_id"] for row in seated] == [2]

    async def test_lease_of_before_is_released_by_nobody(self, pool: Pool) -> None:
        await add_key(pool)
        lease = await lease_of(pool, await add_user(pool))

        await pool.users.disable(1, actor=ACTOR)

        assert not await pool.release(lease)

    async def test_second_time_keeps_the_time_of_the_first(self, pool: Pool) -> None:
        await add_user(pool)

        first = await pool.users.disable(1, actor=ACTOR)
        second = await pool.users.disable(1, actor=ACTOR)

        assert first.disabled_at is not None
        assert first.disabled_at == second.disabled_at
