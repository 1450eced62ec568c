"""The pool as a whole: its epoch, and what is left of it without its encryption key."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chillproxy.errors import Refused
from chillproxy.models import Action, UsageEvent
from chillproxy.pool import Pool
from infra.clock import Clock
from infra.db import Database
from infra.keyring import KeyRing
from infra.secret import Redactor
from tests.chillproxy.asking import ACTOR, add_key, add_user, ask, live_leases, refusal
from tests.conftest import CANARY

LOST, FOUND = ("lost", b"l" * 32), ("found", b"f" * 32)


async def text_of(database: Database) -> str:
    """Return all that a dump would hold."""
    tables = await database.fetch("select tablename from pg_tables where schemaname = 'public'")
    rows = [
        await database.fetchval(f"select coalesce(string_agg(t::text, ' '), '') from {row[0]} t")
        for row in tables
    ]
    return " ".join(rows)


class TestEpoch:
    async def test_changes_move_it_and_plays_do_not(self, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        before = await pool.epoch()
        await ask(pool, auth)
        after_play = await pool.epoch()

        await pool.devices.revoke(1, actor=ACTOR)

        assert (after_play, await pool.epoch()) == (before, before + 1)

    async def test_change_of_before_is_answered_at_once(self, pool: Pool) -> None:
        await add_key(pool)

        async with asyncio.timeout(2):
            assert await pool.next_epoch(0) == 1

    async def test_change_of_another_server_wakes_who_waits(
        self, pool: Pool, database: Database, ring: KeyRing, clock: Clock
    ) -> None:
        other = Pool.over(database, ring, clock, Redactor())
        waiting = asyncio.ensure_future(pool.next_epoch(0))
        await asyncio.sleep(0.1)
        is_waiting = not waiting.done()

        await add_key(other)

        async with asyncio.timeout(2):
            assert (is_waiting, await waiting) == (True, 1)

    async def test_backup_that_was_put_back_is_noticed(self, pool: Pool) -> None:
        await add_key(pool)

        async with asyncio.timeout(2):
            assert await pool.next_epoch(since=40) == 1


class TestLostEncryptionKey:
    @pytest.fixture
    async def auth(self, database: Database, clock: Clock) -> UUID:
        """Return a user of a pool whose encryption key is then lost."""
        before = Pool.over(database, KeyRing([LOST]), clock, Redactor())
        await add_key(before, secret=f"{CANARY}-key")
        auth = await add_user(before, max_devices=1)
        await ask(before, auth, "tv")
        return auth

    @pytest.fixture
    def pool(self, database: Database, clock: Clock) -> Pool:
        return Pool.over(database, KeyRing([FOUND]), clock, Redactor())

    @pytest.mark.parametrize("action", ["check-cache", "init", "generate-link"])
    async def test_key_is_refused_as_locked_and_nothing_changes(
        self, pool: Pool, database: Database, auth: UUID, action: Action
    ) -> None:
        before = await text_of(database)

        error = await refusal(pool, auth, "tv", action=action)

        assert error.code == "locked"
        assert await text_of(database) == before

    async def test_device_is_known_again_once_the_key_is_back(
        self, pool: Pool, database: Database, clock: Clock, auth: UUID
    ) -> None:
        await refusal(pool, auth, "tv")

        grant = await ask(
            Pool.over(database, KeyRing([FOUND, LOST]), clock, Redactor()), auth, "tv"
        )

        assert grant.device_count == 1

    async def test_everything_else_works(self, pool: Pool, auth: UUID) -> None:
        (key,) = await pool.keys.all()
        (user,) = await pool.users.all()
        (device,) = await pool.devices.of_user(user.id)

        assert await pool.keys.stores() == {"torbox"}
        assert await pool.report(key.id, "rate_limited") == "throttled"
        assert await pool.log_usage([_event(user.ref)]) == 1
        await pool.devices.revoke(device.id, actor=ACTOR)
        await pool.keys.disable(key.id, actor=ACTOR)
        await pool.users.disable(user.id, actor=ACTOR)
        assert (await refusal(pool, auth)).code == "user_disabled"

    async def test_new_key_under_the_new_encryption_key_serves(
        self, pool: Pool, auth: UUID
    ) -> None:
        key = await add_key(pool, secret=f"{CANARY}-key")
        other = await add_user(pool)

        grant = await ask(pool, other)

        assert grant.key_id == key.id

    async def test_disabled_keys_do_not_lock_the_pool(self, pool: Pool, auth: UUID) -> None:
        await pool.keys.disable(1, actor=ACTOR)

        assert (await refusal(pool, await add_user(pool))).code == "no_key"

    async def test_dump_holds_neither_key_nor_uuid_nor_device(
        self, database: Database, auth: UUID
    ) -> None:
        text = await text_of(database)

        assert CANARY not in text
        assert CANARY.encode().hex() not in text
        assert str(auth) not in text
        assert auth.hex not in text


class TestSwappedRows:
    async def test_key_whose_row_was_changed_is_passed_over(
        self, pool: Pool, database: Database
    ) -> None:
        changed = await add_key(pool, priority=1)
        sound = await add_key(pool)
        await database.execute(
            "update pool_keys set secret = (select secret from pool_keys where id = $1)", sound.id
        )
        auth = await add_user(pool, plays_per_day=1)

        grant = await ask(pool, auth)

        assert (changed.id, grant.key_id) == (1, sound.id)
        assert await live_leases(database) == 1

    async def test_pool_with_swapped_rows_alone_is_locked_and_holds_no_lease(
        self, pool: Pool, database: Database
    ) -> None:
        for _ in range(2):
            await add_key(pool)
        await database.execute(
            "update pool_keys k set secret = o.secret from pool_keys o where o.id <> k.id"
        )

        with pytest.raises(Refused) as caught:
            await ask(pool, await add_user(pool))

        assert caught.value.code == "locked"
        assert await live_leases(database) == 0


def _event(user_ref: UUID) -> UsageEvent:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return UsageEvent(event_id=uuid4(), at=at, action="list", user_ref=user_ref)
