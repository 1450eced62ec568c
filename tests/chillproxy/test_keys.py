"""Adding, closing and opening keys: what is kept, what is refused, what is shown."""

import asyncio
from datetime import timedelta

import pytest

from chillproxy.errors import KeyAlreadyThere, TermsNotAcknowledged
from chillproxy.models import NetworkPolicy, NewKey, Scope
from chillproxy.pool import Pool
from infra.clock import Clock
from infra.db import Database
from infra.errors import NotFound, Unprocessable
from infra.keyring import KeyRing
from infra.secret import Redactor, Secret
from tests.chillproxy.asking import ACTOR, add_key, add_user, ask, end_leases

TERMS = {"provider": "torbox", "version": "2025-11-21"}
TEXT = "a-key-of-some-account"
OLD, NEW = ("old", b"o" * 32), ("new", b"n" * 32)


class TestAdding:
    @pytest.mark.parametrize(("scope", "places"), [("household", 5), ("group", 10), ("shared", 35)])
    async def test_limits_that_are_not_given_follow_the_scope(
        self, pool: Pool, database: Database, scope: Scope, places: int
    ) -> None:
        new = NewKey(store="torbox", secret=Secret(TEXT), scope=scope, terms_ack=TERMS)

        key = await pool.keys.add(new, actor=ACTOR)

        assert (key.max_users, key.max_streams) == (places, places)
        assert await database.fetchval("select count(*) from pool_seats") == places
        assert await database.fetchval("select count(*) from pool_slots") == places

    @pytest.mark.parametrize("scope", ["group", "shared"])
    async def test_wide_scope_needs_the_terms_acknowledged(self, pool: Pool, scope: Scope) -> None:
        new = NewKey(store="torbox", secret=Secret(TEXT), scope=scope)

        with pytest.raises(TermsNotAcknowledged, match=scope):
            await pool.keys.add(new, actor=ACTOR)

    async def test_key_of_one_owner_has_one_seat(self, pool: Pool) -> None:
        await add_user(pool)

        key = await add_key(pool, owner_user_id=1, max_users=9, max_streams=4)

        assert (key.max_users, key.max_streams) == (1, 4)

    @pytest.mark.parametrize(
        ("store", "policy"),
        [
            ("torbox", "any"),
            ("premiumize", "any"),
            ("realdebrid", "single_network"),
            ("alldebrid", "single_network"),
            ("debridlink", "single_network"),
        ],
    )
    async def test_network_policy_follows_the_providers_rule(
        self, pool: Pool, store: str, policy: NetworkPolicy
    ) -> None:
        assert (await add_key(pool, store=store)).network_policy == policy

    @pytest.mark.parametrize(
        "limits",
        [
            pytest.param({"max_users": 0}, id="no users"),
            pytest.param({"max_users": 1001}, id="too many users"),
            pytest.param({"max_streams": 0}, id="no streams"),
            pytest.param({"max_streams": -1}, id="fewer than none"),
        ],
    )
    async def test_limits_out_of_range_are_refused_and_leave_nothing(
        self, pool: Pool, database: Database, limits: dict[str, int]
    ) -> None:
        with pytest.raises(Unprocessable, match="1 to 1000"):
            await add_key(pool, **limits)  # type: ignore[arg-type]  # the table names them

        assert await database.fetchval("select count(*) from pool_keys") == 0
        assert await pool.epoch() == 0

    async def test_owner_who_is_not_there_is_refused(self, pool: Pool) -> None:
        with pytest.raises(Unprocessable, match="no user 99"):
            await add_key(pool, owner_user_id=99)

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("short", id="short"),
            pytest.param("x" * 513, id="long"),
            pytest.param("with a blank", id="blank"),
            pytest.param("line\nbreak", id="line break"),
            pytest.param("schlüssel", id="not ASCII"),
        ],
    )
    async def test_text_that_can_be_no_key_is_refused(self, pool: Pool, text: str) -> None:
        with pytest.raises(Unprocessable, match="8 to 512 printable"):
            await add_key(pool, secret=text)


class TestTwice:
    async def test_same_key_is_refused(self, pool: Pool, database: Database) -> None:
        await add_key(pool, secret=TEXT)

        with pytest.raises(KeyAlreadyThere):
            await add_key(pool, secret=TEXT)

        assert await database.fetchval("select count(*) from pool_keys") == 1
        assert await pool.epoch() == 1

    async def test_same_text_at_another_store_is_another_key(self, pool: Pool) -> None:
        await add_key(pool, secret=TEXT, store="torbox")

        assert (await add_key(pool, secret=TEXT, store="premiumize")).store == "premiumize"

    async def test_same_key_is_refused_after_the_ring_was_rotated(
        self, database: Database, clock: Clock
    ) -> None:
        before = Pool.over(database, KeyRing([OLD]), clock, Redactor())
        after = Pool.over(database, KeyRing([NEW, OLD]), clock, Redactor())
        await add_key(before, secret=TEXT)

        with pytest.raises(KeyAlreadyThere):
            await add_key(after, secret=TEXT)

    async def test_servers_in_the_midst_of_a_rotation_add_a_key_once(
        self, database: Database, clock: Clock
    ) -> None:
        rings = (KeyRing([OLD, NEW]), KeyRing([NEW, OLD]))
        pools = [Pool.over(database, rings[n % 2], clock, Redactor()) for n in range(8)]

        answers = await asyncio.gather(
            *(add_key(pool, secret=TEXT) for pool in pools), return_exceptions=True
        )

        assert sum(isinstance(answer, KeyAlreadyThere) for answer in answers) == 7
        assert await database.fetchval("select count(*) from pool_keys") == 1


class TestShowing:
    async def test_key_counts_who_sits_and_who_streams(self, pool: Pool) -> None:
        key = await add_key(pool)
        await ask(pool, await add_user(pool), "tv", "init")
        await ask(pool, await add_user(pool))

        shown = await pool.keys.get(key.id)

        assert (shown.users, shown.streams) == (2, 1)

    async def test_lease_that_ran_out_is_no_stream(self, pool: Pool, database: Database) -> None:
        key = await add_key(pool)
        await ask(pool, await add_user(pool))
        await end_leases(database)

        assert (await pool.keys.get(key.id)).streams == 0

    async def test_key_whose_rest_is_over_is_shown_as_active(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        await pool.report(key.id, "rate_limited")
        during = await pool.keys.get(key.id)
        await database.execute("update pool_keys set closed_until = now()")

        after = await pool.keys.get(key.id)

        assert (during.state, after.state) == ("throttled", "active")

    async def test_keys_are_listed_by_number(self, pool: Pool) -> None:
        added = [await add_key(pool, priority=priority) for priority in (1, 3, 2)]

        assert [key.id for key in await pool.keys.all()] == [key.id for key in added]

    async def test_stores_are_those_with_a_key_that_may_serve(self, pool: Pool) -> None:
        await add_key(pool, store="torbox")
        resting = await add_key(pool, store="premiumize")
        disabled = await add_key(pool, store="realdebrid")
        await pool.report(resting.id, "rate_limited")
        await pool.keys.disable(disabled.id, actor=ACTOR)

        assert await pool.keys.stores() == {"torbox", "premiumize"}

    @pytest.mark.parametrize("deed", ["get", "disable", "enable"])
    async def test_key_that_is_not_there_is_not_found(self, pool: Pool, deed: str) -> None:
        how = {} if deed == "get" else {"actor": ACTOR}

        with pytest.raises(NotFound, match="no key 7"):
            await getattr(pool.keys, deed)(7, **how)

        assert await pool.epoch() == 0


class TestClosing:
    async def test_closing_reaches_every_seat_and_slot(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool, max_users=3, max_streams=4)
        other = await add_key(pool)

        await pool.keys.disable(key.id, actor=ACTOR)

        closed = await database.fetch(
            "select key_id from pool_seats where closed_until = 'infinity'"
            " union all select key_id from pool_slots where closed_until = 'infinity'"
        )
        assert [row["key_id"] for row in closed] == [key.id] * 7
        assert (await pool.keys.get(other.id)).state == "active"

    async def test_enabling_forgets_why_and_how_often_it_failed(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        await pool.report(key.id, "account_locked")

        shown = await pool.keys.enable(key.id, actor=ACTOR)

        assert (shown.state, shown.state_reason) == ("active", "")
        assert await database.fetchval("select failures from pool_keys") == 0

    async def test_enabled_key_is_open_at_once_even_if_the_clock_of_the_database_jumps_back(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        await pool.keys.disable(key.id, actor=ACTOR)

        await pool.keys.enable(key.id, actor=ACTOR)

        assert await database.fetchval("select closed_until = '-infinity' from pool_keys")


class TestSecrets:
    async def test_opened_secret_is_known_to_the_redactor(
        self, pool: Pool, redactor: Redactor
    ) -> None:
        await add_key(pool, secret=TEXT)

        await ask(pool, await add_user(pool))

        assert redactor.found_in(f"Authorization: Bearer {TEXT}")

    async def test_row_that_was_replaced_is_not_answered_from_memory(
        self, pool: Pool, database: Database
    ) -> None:
        # A backup put back under a running server may give a number to another key.
        key = await add_key(pool, secret=TEXT)
        auth = await add_user(pool)
        await ask(pool, auth)
        other = Secret("the-key-of-another-account")
        await database.execute(
            "update pool_keys set secret = $1",
            pool.keys.crypto.seal_key(key.id, "torbox", 1, other),
        )

        grant = await ask(pool, auth)

        assert grant.key == other

    async def test_rest_given_by_a_span_ends_by_itself(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        async with database.transaction() as connection:
            await pool.keys.close(
                connection, key.id, "throttled", "test", timedelta(milliseconds=50)
            )
        await asyncio.sleep(0.06)

        assert (await ask(pool, await add_user(pool))).key_id == key.id
