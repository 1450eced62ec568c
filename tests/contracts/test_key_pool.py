"""What every way to the pool must do, run over each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest

from addon.key_pool.base import Action, Grant, KeyPool, KeyRequest, Lease, PoolRefusal, UsageEvent
from addon.key_pool.embedded import EmbeddedKeyPool
from addon.key_pool.remote import RemoteKeyPool
from chillproxy.api.bearer import Bearer, Gate
from chillproxy.pool import Pool
from infra.db import Database
from infra.errors import AppError, DataRefused
from infra.http_client import HttpClient
from infra.secret import Redactor, Secret
from infra.tasks import Background
from tests.chillproxy.asking import ACTOR, add_key, add_user, live_leases
from tests.fakes.clock import FakeClock
from tests.fakes.pool_server import create_pool_app
from tests.fakes.server import serve

KEY = "key-of-the-pool"

Open = Callable[[Pool], AbstractAsyncContextManager[KeyPool]]


@asynccontextmanager
async def open_embedded(pool: Pool) -> AsyncIterator[KeyPool]:
    key_pool = EmbeddedKeyPool(pool)
    async with Background() as background:
        background.supervise("pool changes", key_pool.watch, FakeClock())
        yield key_pool


@asynccontextmanager
async def open_remote(pool: Pool, redactor: Redactor | None = None) -> AsyncIterator[KeyPool]:
    bearer = Secret("internal-bearer-of-the-test")
    gate = Gate(
        [Bearer.of(bearer, frozenset({"pool", "key:read"}))], [ip_network("127.0.0.0/8")], []
    )
    async with (
        serve(create_pool_app(pool, gate), grace_seconds=0.05) as base,  # polls are cut short
        HttpClient.open(first_pause=0.01) as http,
        Background() as background,
    ):
        key_pool = RemoteKeyPool(http, FakeClock(), redactor or Redactor(), base, bearer)
        background.supervise("pool changes", key_pool.watch, FakeClock())
        yield key_pool


WAYS = [
    pytest.param(open_embedded, id="embedded"),
    pytest.param(open_remote, id="remote"),
]


@pytest.fixture(params=WAYS)
async def key_pool(request: pytest.FixtureRequest, pool: Pool) -> AsyncIterator[KeyPool]:
    open_way: Open = request.param
    async with open_way(pool) as key_pool:
        yield key_pool


def question(
    auth: UUID,
    device: str = "tv",
    action: Action = "generate-link",
    *,
    store: str = "torbox",
    media: str = "tt0000001",
    network: bytes = b"home",
    size_bytes: int | None = None,
    exclude: tuple[str, ...] = (),
) -> KeyRequest:
    return KeyRequest(
        auth=auth,
        device_ids=(device,),
        device_class="",
        network=network,
        store=store,
        action=action,
        media=media,
        size_bytes=size_bytes,
        exclude=exclude,
    )


def event(**values: object) -> UsageEvent:
    at = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    return UsageEvent(event_id=uuid4(), at=at, action="play", **values)  # type: ignore[arg-type]


def lease_of(grant: Grant) -> Lease:
    assert grant.lease is not None
    return grant.lease


async def refusal(key_pool: KeyPool, request: KeyRequest) -> PoolRefusal:
    with pytest.raises(PoolRefusal) as caught:
        await key_pool.get_key(request)
    return caught.value


async def until_epoch_moves(key_pool: KeyPool, since: int) -> int:
    async with asyncio.timeout(5):
        while key_pool.epoch == since:  # noqa: ASYNC110  a plain number, by contract
            await asyncio.sleep(0.01)
    return key_pool.epoch


class TestGrants:
    async def test_play_gets_the_key_with_a_lease(self, key_pool: KeyPool, pool: Pool) -> None:
        key = await add_key(pool, secret=KEY)
        auth = await add_user(pool)

        grant = await key_pool.get_key(question(auth))

        assert grant.key == Secret(KEY)
        assert (grant.key_id, grant.store, grant.device_count) == (str(key.id), "torbox", 1)
        assert grant.user_ref == str((await pool.users.get(1)).ref)
        assert grant.valid_for > timedelta(0)
        assert lease_of(grant).expires_at.tzinfo is not None

    @pytest.mark.parametrize("action", ["init", "check-cache"])
    async def test_other_actions_get_the_key_without_a_lease(
        self, key_pool: KeyPool, pool: Pool, database: Database, action: Action
    ) -> None:
        await add_key(pool, secret=KEY)
        auth = await add_user(pool)

        grant = await key_pool.get_key(question(auth, action=action))

        assert (grant.key, grant.lease) == (Secret(KEY), None)
        assert await live_leases(database) == 0

    async def test_list_seats_no_device(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)

        grant = await key_pool.get_key(question(auth, action="check-cache"))

        assert (grant.device_id, grant.device_count) == (None, 0)

    async def test_same_play_renews_its_lease(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)

        first = lease_of(await key_pool.get_key(question(auth)))
        second = lease_of(await key_pool.get_key(question(auth)))

        assert (second.id, second.fence) == (first.id, first.fence + 1)

    async def test_excluded_key_is_not_given_again(self, key_pool: KeyPool, pool: Pool) -> None:
        for _ in range(2):
            await add_key(pool)
        auth = await add_user(pool)
        first = await key_pool.get_key(question(auth))

        second = await key_pool.get_key(question(auth, exclude=(first.key_id,)))

        assert second.key_id != first.key_id

    async def test_grant_shows_no_key_when_printed(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool, secret=KEY)
        auth = await add_user(pool)

        grant = await key_pool.get_key(question(auth))

        assert KEY not in repr(grant)
        assert str(auth) not in repr(question(auth))


class TestRefusals:
    async def test_unknown_user_is_refused(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool)

        error = await refusal(key_pool, question(uuid4()))

        assert (error.code, error.user_ref) == ("unknown_user", None)

    async def test_device_limit_says_how_many_and_whose(
        self, key_pool: KeyPool, pool: Pool
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=1)
        await key_pool.get_key(question(auth, "tv"))

        error = await refusal(key_pool, question(auth, "phone"))

        assert (error.code, error.limit) == ("device_limit", 1)
        assert error.message == "Maximum device limit (1) reached"
        assert error.user_ref == str((await pool.users.get(1)).ref)

    async def test_stream_limit_says_how_many(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_streams=1)
        await key_pool.get_key(question(auth, "tv"))

        error = await refusal(key_pool, question(auth, "phone"))

        assert (error.code, error.limit) == ("stream_limit", 1)

    async def test_busy_pool_says_when_to_come_again(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool, max_streams=1)
        await key_pool.get_key(question(await add_user(pool)))

        error = await refusal(key_pool, question(await add_user(pool)))

        assert error.code == "pool_busy"
        assert error.until is not None
        assert error.retry_after is not None

    async def test_quota_says_until_when(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool, bytes_per_month=1000)

        error = await refusal(key_pool, question(auth, size_bytes=1001))

        assert error.code == "quota_exceeded"
        assert error.until is not None
        assert error.until.utcoffset() == timedelta(0)

    async def test_other_network_is_refused(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool, network_policy="single_network")
        await key_pool.get_key(question(await add_user(pool), network=b"home"))

        error = await refusal(key_pool, question(await add_user(pool), network=b"away"))

        assert error.code == "network_conflict"

    async def test_pool_without_keys_has_none(self, key_pool: KeyPool, pool: Pool) -> None:
        error = await refusal(key_pool, question(await add_user(pool)))

        assert error.code == "no_key"
        assert error.shown

    async def test_store_that_is_not_the_users_is_refused(
        self, key_pool: KeyPool, pool: Pool
    ) -> None:
        auth = await add_user(pool, stores=("premiumize",))

        assert (await refusal(key_pool, question(auth))).code == "store_not_allowed"


class TestReleases:
    async def test_released_lease_frees_its_slot(
        self, key_pool: KeyPool, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        lease = lease_of(await key_pool.get_key(question(await add_user(pool))))

        await key_pool.release(lease)
        await key_pool.release(lease)

        assert await live_leases(database) == 0

    async def test_stale_fence_ends_nothing(
        self, key_pool: KeyPool, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        stale = lease_of(await key_pool.get_key(question(auth)))
        await key_pool.get_key(question(auth))

        await key_pool.release(stale)

        assert await live_leases(database) == 1


class TestReports:
    async def test_error_of_the_key_closes_it(self, key_pool: KeyPool, pool: Pool) -> None:
        key = await add_key(pool)

        await key_pool.report(str(key.id), "rate_limited", timedelta(minutes=5))

        assert (await pool.keys.get(key.id)).state == "throttled"

    @pytest.mark.parametrize("kind", ["server_error", "a kind of tomorrow"])
    async def test_other_errors_leave_it_open(
        self, key_pool: KeyPool, pool: Pool, kind: str
    ) -> None:
        key = await add_key(pool)

        await key_pool.report(str(key.id), kind)

        assert (await pool.keys.get(key.id)).state == "active"


class TestEpoch:
    async def test_change_of_the_pool_moves_it(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_user(pool)
        before = await until_epoch_moves(key_pool, 0)

        await pool.users.disable(1, actor=ACTOR)

        assert await until_epoch_moves(key_pool, before) != before

    async def test_plays_do_not_move_it(self, key_pool: KeyPool, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        async with asyncio.timeout(5):
            while key_pool.epoch != 2:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.01)

        await key_pool.get_key(question(auth))

        await asyncio.sleep(0.1)
        assert key_pool.epoch == 2


class TestUsage:
    async def test_events_are_stored_once(
        self, key_pool: KeyPool, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        grant = await key_pool.get_key(question(await add_user(pool)))
        sent = [
            event(user_ref=grant.user_ref, key_id=grant.key_id, device_id=grant.device_id),
            event(user_ref=str(uuid4())),
        ]

        await key_pool.log_usage(sent)
        await key_pool.log_usage(sent)

        rows = await database.fetch("select user_id, key_id from pool_usage_logs order by 1")
        assert [tuple(row) for row in rows] == [(1, int(grant.key_id)), (None, None)]

    async def test_no_events_are_no_error(self, key_pool: KeyPool) -> None:
        await key_pool.log_usage([])

    async def test_value_that_can_never_be_stored_is_not_called_an_outage(
        self, key_pool: KeyPool
    ) -> None:
        with pytest.raises(DataRefused):
            await key_pool.log_usage([event(media="nul\0")])


async def test_pool_that_is_away_is_an_error_of_ours(
    key_pool: KeyPool, pool: Pool, database: Database
) -> None:
    auth = await add_user(pool)
    database.pool.terminate()

    with pytest.raises(AppError) as caught:
        await key_pool.get_key(question(auth))

    assert not isinstance(caught.value, PoolRefusal)


async def test_key_from_another_server_is_known_as_a_secret(pool: Pool) -> None:
    redactor = Redactor()
    await add_key(pool, secret=KEY)

    async with open_remote(pool, redactor) as key_pool:
        await key_pool.get_key(question(await add_user(pool)))

    assert redactor.found_in(f"https://cdn.example/file.mkv?token={KEY}")
