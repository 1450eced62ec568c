"""What a provider's error does to a key, and for how long."""

import asyncio
from datetime import timedelta

import pytest

from chillproxy.pool import Pool
from infra.db import Database
from tests.chillproxy.asking import ACTOR, add_key, add_user, ask, live_leases, refusal

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))


async def closed_for(database: Database) -> timedelta | None:
    """Return how long the key is still closed; None for ever."""
    span: timedelta | None = await database.fetchval(
        "select case when isfinite(closed_until) then closed_until - now() end from pool_keys"
    )
    return span


async def reopen(database: Database, ago: timedelta = SECOND) -> None:
    """Let the key's rest have ended a while ago."""
    for table in ("pool_keys", "pool_seats", "pool_slots"):
        await database.execute(f"update {table} set closed_until = now() - $1::interval", ago)


def about(span: timedelta | None, expected: timedelta) -> bool:
    return span is not None and expected - 5 * SECOND < span <= expected


@pytest.mark.parametrize(
    ("kind", "state", "span"),
    [
        ("rate_limited", "throttled", 15 * SECOND),
        ("quota_exhausted", "exhausted", HOUR),
        ("auth_invalid", "quarantined", HOUR),
        ("premium_required", "quarantined", HOUR),
        ("ip_blocked", "quarantined", None),
        ("account_locked", "quarantined", None),
    ],
)
async def test_error_of_the_key_closes_it(
    pool: Pool, database: Database, kind: str, state: str, span: timedelta | None
) -> None:
    key = await add_key(pool)

    answer = await pool.report(key.id, kind)

    shown = await pool.keys.get(key.id)
    assert (answer, shown.state, shown.state_reason) == (state, state, kind)
    left = await closed_for(database)
    assert left is None if span is None else about(left, span)
    assert (await refusal(pool, await add_user(pool))).code == "no_key"


@pytest.mark.parametrize("kind", ["server_error", "not_found", "slots_full", "nonsense"])
async def test_error_that_is_not_the_keys_leaves_it_alone(pool: Pool, kind: str) -> None:
    key = await add_key(pool)

    assert await pool.report(key.id, kind) is None
    assert (await pool.keys.get(key.id)).state == "active"
    assert await pool.epoch() == 1


async def test_key_that_is_not_there_is_no_error(pool: Pool) -> None:
    assert await pool.report(7, "rate_limited") is None


@pytest.mark.parametrize(
    "kind", ["auth_invalid", "premium_required", "ip_blocked", "account_locked"]
)
async def test_quarantine_ends_the_leases(pool: Pool, database: Database, kind: str) -> None:
    key = await add_key(pool)
    await ask(pool, await add_user(pool))

    await pool.report(key.id, kind)

    assert await live_leases(database) == 0


@pytest.mark.parametrize("kind", ["rate_limited", "quota_exhausted"])
async def test_rest_lets_leases_run_on(pool: Pool, database: Database, kind: str) -> None:
    key = await add_key(pool)
    await ask(pool, await add_user(pool))

    await pool.report(key.id, kind)

    assert await live_leases(database) == 1


class TestSpans:
    @pytest.mark.parametrize(
        ("said", "span"),
        [
            pytest.param(90 * SECOND, 90 * SECOND, id="as said"),
            pytest.param(timedelta(0), SECOND, id="at once"),
            pytest.param(-HOUR, SECOND, id="in the past"),
            pytest.param(3650 * DAY, 31 * DAY, id="in ten years"),
            pytest.param(timedelta.max, 31 * DAY, id="at the end of time"),
        ],
    )
    async def test_provider_says_when_to_come_again_within_reason(
        self, pool: Pool, database: Database, said: timedelta, span: timedelta
    ) -> None:
        key = await add_key(pool)

        await pool.report(key.id, "rate_limited", said)

        assert about(await closed_for(database), span)

    @pytest.mark.parametrize(
        ("kind", "spans"),
        [
            ("rate_limited", [15, 30, 60, 120, 240, 480, 900, 900]),
            ("auth_invalid", [3600, 7200, 14_400, 28_800, 57_600, 86_400, 86_400]),
        ],
    )
    async def test_failures_in_a_row_double_the_span_up_to_its_limit(
        self, pool: Pool, database: Database, kind: str, spans: list[int]
    ) -> None:
        key = await add_key(pool)
        found = []

        for _ in spans:
            await pool.report(key.id, kind)
            found.append(await closed_for(database))
            await reopen(database)

        assert all(about(span, timedelta(seconds=n)) for span, n in zip(found, spans, strict=True))

    async def test_key_that_was_well_for_an_hour_begins_anew(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        for _ in range(4):
            await pool.report(key.id, "rate_limited")
            await reopen(database)
        await reopen(database, ago=61 * MINUTE)

        await pool.report(key.id, "rate_limited")

        assert about(await closed_for(database), 15 * SECOND)

    async def test_failures_of_another_sort_do_not_add_up(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        for _ in range(4):
            await pool.report(key.id, "rate_limited")
            await reopen(database)

        await pool.report(key.id, "auth_invalid")

        assert about(await closed_for(database), HOUR)


class TestClosedKeys:
    @pytest.mark.parametrize("said", [None, 15 * SECOND], ids=["no span said", "span said"])
    async def test_many_calls_that_fail_at_once_are_one_failure(
        self, pool: Pool, database: Database, said: timedelta | None
    ) -> None:
        key = await add_key(pool)

        answers = await asyncio.gather(
            *(pool.report(key.id, "rate_limited", said) for _ in range(40))
        )

        assert set(answers) == {"throttled"}
        assert about(await closed_for(database), 15 * SECOND)
        assert await database.fetchval("select failures from pool_keys") == 1
        assert await pool.epoch() == 2

    async def test_later_word_of_the_provider_prolongs_the_rest(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        await pool.report(key.id, "rate_limited")

        await pool.report(key.id, "rate_limited", HOUR)
        await pool.report(key.id, "rate_limited", MINUTE)

        assert about(await closed_for(database), HOUR)

    @pytest.mark.parametrize(
        ("first", "then"),
        [
            pytest.param("account_locked", "rate_limited", id="locked, then slow"),
            pytest.param("account_locked", "auth_invalid", id="locked, then refused"),
            pytest.param("auth_invalid", "quota_exhausted", id="refused, then used up"),
            pytest.param("quota_exhausted", "rate_limited", id="used up, then slow"),
        ],
    )
    async def test_lesser_error_that_comes_late_does_not_open_the_key_earlier(
        self, pool: Pool, database: Database, first: str, then: str
    ) -> None:
        key = await add_key(pool)
        state = await pool.report(key.id, first)
        before = await closed_for(database)

        answer = await pool.report(key.id, then, SECOND)

        after = await closed_for(database)
        assert answer == state
        assert (await pool.keys.get(key.id)).state_reason == first
        assert after is None if before is None else about(after, before)

    async def test_graver_error_counts_and_keeps_the_longer_span(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        await pool.report(key.id, "quota_exhausted", 5 * DAY)

        answer = await pool.report(key.id, "auth_invalid")

        assert answer == "quarantined"
        assert about(await closed_for(database), 5 * DAY)

    async def test_locked_account_is_for_the_operator_even_after_a_lesser_quarantine(
        self, pool: Pool, database: Database
    ) -> None:
        key = await add_key(pool)
        await pool.report(key.id, "auth_invalid")

        await pool.report(key.id, "account_locked")

        assert await closed_for(database) is None
        assert (await pool.keys.get(key.id)).state_reason == "account_locked"

    @pytest.mark.parametrize("state", ["draining", "disabled", "retired"])
    async def test_operators_own_states_are_never_overwritten(
        self, pool: Pool, database: Database, state: str
    ) -> None:
        key = await add_key(pool)
        await pool.keys.disable(key.id, actor=ACTOR)
        await database.execute("update pool_keys set state = $1", state)

        assert await pool.report(key.id, "rate_limited") is None
        assert await database.fetchval("select state from pool_keys") == state
