"""What a config's stores lead to: the pool, own tokens, both; allowed, refused, away, off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fakes.torbox import Account
from tests.flows.world import CANARY, World, config_of, open_world

_LOCK_POOL = "lock table pool_users in access exclusive mode"


def own_token(world: World) -> str:
    """Return a token of a person's own account that the store knows."""
    token = f"{CANARY}-own-{uuid4()}"
    world.torbox.accounts[token] = Account(token)
    return token


def bearer_of_last_call(world: World) -> str:
    return world.torbox.asked[-1].headers["authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def hung_pool(world: World) -> AsyncIterator[None]:
    """Make the pool hang: whoever asks it waits for a lock."""
    async with world.database.transaction() as connection:
        await connection.execute(_LOCK_POOL)
        yield


class TestPool:
    async def test_allowed_user_lists_and_plays_with_the_pooled_key(self, world: World) -> None:
        key = await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user())})

        stream = (await world.listing(config)).streams[0]
        answer = await world.follow(stream["url"])

        assert answer.status == 200
        assert key.reveal() in world.torbox.accounts
        calls = [one for one in world.torbox.asked if "authorization" in one.headers]
        assert {one.headers["authorization"] for one in calls} == {f"Bearer {key.reveal()}"}

    async def test_auth_in_upper_case_is_the_same_user(self, world: World) -> None:
        await world.add_key()
        auth = str(await world.add_user()).upper()

        assert len((await world.listing(config_of({"c": "tb", "auth": auth}))).streams) == 3

    async def test_unknown_user_gets_one_readable_entry(self, world: World) -> None:
        await world.add_key()

        answer = await world.listing(config_of({"c": "tb", "auth": str(uuid4())}))

        assert answer.status == 200
        assert "User is disabled or unknown" in answer.texts[0]
        assert answer.streams[0]["url"].endswith("/stremio/notice/unknown_user.mp4")
        assert len(answer.streams) == 1

    async def test_auth_that_is_no_uuid_is_named(self, world: World) -> None:
        answer = await world.listing(config_of({"c": "tb", "auth": "not-a-uuid"}))

        assert "Invalid auth format, expected UUID" in answer.texts[0]

    async def test_empty_pool_says_that_there_is_no_key(self, world: World) -> None:
        answer = await world.listing(config_of({"c": "tb", "auth": str(await world.add_user())}))

        assert "No pool key available" in answer.texts[0]

    async def test_third_device_is_told_the_limit_on_its_list(self, world: World) -> None:
        await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user(max_devices=1))})
        first = (await world.listing(config)).streams[0]
        await world.get(first["url"])

        answer = await world.listing(config, agent="Mozilla/5.0 Firefox/130.0")

        assert "Maximum device limit reached (1)" in answer.texts[0]

    async def test_stream_too_many_is_a_clip_at_play(self, world: World) -> None:
        await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user(max_streams=1))})
        phone = (await world.listing(config)).streams[0]
        browser = (await world.listing(config, agent="Mozilla/5.0 Firefox/130.0")).streams[0]
        await world.get(phone["url"])

        answer = await world.get(browser["url"])

        assert answer.headers["location"].endswith("/stremio/notice/stream_limit.mp4")

    async def test_disabled_user_is_refused_at_play_with_an_old_url(self, world: World) -> None:
        await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user())})
        url = (await world.listing(config)).streams[0]["url"]
        await world.pool.users.disable(1, actor="test")
        await asyncio.sleep(0.2)

        answer = await world.get(url)

        assert answer.headers["location"].endswith("/stremio/notice/unknown_user.mp4")

    async def test_hung_pool_is_given_up_and_said(self, database_url: str, tmp_path: Path) -> None:
        short = timedelta(seconds=0.2)
        async with open_world(database_url, tmp_path, pool_timeout=short) as world:
            await world.add_key()
            config = config_of({"c": "tb", "auth": str(await world.add_user())})

            async with hung_pool(world):
                answer = await world.listing(config)

        assert answer.status == 200
        assert "Authentication failed" in answer.texts[0]

    async def test_list_lives_on_from_its_old_grant_while_the_pool_hangs(
        self, database_url: str, tmp_path: Path
    ) -> None:
        short = timedelta(seconds=0.2)
        async with open_world(database_url, tmp_path, pool_timeout=short) as world:
            await world.add_key()
            config = config_of({"c": "tb", "auth": str(await world.add_user())})
            await world.listing(config)
            await world.add_user()  # a change of the pool, so that grants are asked for anew
            await asyncio.sleep(0.2)

            async with hung_pool(world):
                answer = await world.listing(config)

        assert len(answer.streams) == 3


class TestOwnToken:
    async def test_token_alone_lists_and_plays(self, world: World) -> None:
        token = own_token(world)

        stream = (await world.listing(config_of({"c": "tb", "t": token}))).streams[0]
        answer = await world.follow(stream["url"])

        assert answer.status == 200
        assert {one.key for one in world.torbox.accounts.values()} == {token}

    async def test_play_with_an_own_token_is_no_event_of_the_pool(self, world: World) -> None:
        stream = (await world.listing(config_of({"c": "tb", "t": own_token(world)}))).streams[0]
        await world.get(stream["url"])
        await world.add_key()
        pooled = config_of({"c": "tb", "auth": str(await world.add_user())})
        await world.get((await world.listing(pooled)).streams[0]["url"])

        assert len(await world.usage(1)) == 1

    async def test_token_that_the_store_refuses_is_said(self, world: World) -> None:
        answer = await world.listing(config_of({"c": "tb", "t": "nobody-knows-this-token"}))

        assert "Key or subscription problem" in answer.texts[0]

    async def test_empty_token_reaches_no_store(self, world: World) -> None:
        await world.pooled()

        answer = await world.listing(config_of({"c": "tb", "t": ""}))

        assert len(answer.streams) == 1
        assert answer.streams[0]["url"].endswith(".mp4")
        assert world.torbox.asked == []


class TestBoth:
    async def test_pool_comes_first(self, world: World) -> None:
        key = await world.add_key()
        token = own_token(world)
        both = {"c": "tb", "auth": str(await world.add_user()), "t": token}

        await world.follow((await world.listing(config_of(both))).streams[0]["url"])

        calls = [one for one in world.torbox.asked if "authorization" in one.headers]
        assert {one.headers["authorization"] for one in calls} == {f"Bearer {key.reveal()}"}

    async def test_refusal_of_the_pool_leads_to_the_token(self, world: World) -> None:
        token = own_token(world)
        both = {"c": "tb", "auth": str(uuid4()), "t": token}

        answer = await world.listing(config_of(both))

        assert len(answer.streams) == 3
        assert bearer_of_last_call(world) == token

    async def test_pool_that_hangs_leads_to_the_token(
        self, database_url: str, tmp_path: Path
    ) -> None:
        short = timedelta(seconds=0.2)
        async with open_world(database_url, tmp_path, pool_timeout=short) as world:
            token = own_token(world)
            both = {"c": "tb", "auth": str(await world.add_user()), "t": token}

            async with hung_pool(world):
                answer = await world.listing(config_of(both))

        assert len(answer.streams) == 3

    async def test_stream_limit_at_play_leads_to_the_token(self, world: World) -> None:
        await world.add_key()
        token = own_token(world)
        both = {"c": "tb", "auth": str(await world.add_user(max_streams=1)), "t": token}
        phone = (await world.listing(config_of(both))).streams[0]
        browser = (await world.listing(config_of(both), agent="Firefox/130.0")).streams[0]
        await world.get(phone["url"])

        answer = await world.follow(browser["url"])

        assert answer.status == 200
        assert len(world.torbox.accounts[token].items) == 1


class TestSwitches:
    @pytest.mark.parametrize("with_token", [True, False], ids=["both", "auth alone"])
    async def test_pool_switched_off(
        self, database_url: str, tmp_path: Path, with_token: bool
    ) -> None:
        async with open_world(database_url, tmp_path, enable_chillstreams_auth=False) as world:
            await world.add_key()
            store = {"c": "tb", "auth": str(await world.add_user())}
            if with_token:
                store["t"] = own_token(world)

            answer = await world.listing(config_of(store))

        if with_token:
            assert len(answer.streams) == 3
        else:
            assert "Pool access is switched off on this server" in answer.texts[0]

    async def test_own_tokens_switched_off(self, database_url: str, tmp_path: Path) -> None:
        async with open_world(database_url, tmp_path, own_tokens="off") as world:
            answer = await world.listing(config_of({"c": "tb", "t": own_token(world)}))

        assert "This server does not take own keys" in answer.texts[0]

    async def test_own_tokens_for_users_only(self, database_url: str, tmp_path: Path) -> None:
        async with open_world(database_url, tmp_path, own_tokens="users") as world:
            token = own_token(world)
            known = {"c": "tb", "auth": str(await world.add_user()), "t": token}
            unknown = {"c": "tb", "auth": str(uuid4()), "t": token}

            of_user = await world.listing(config_of(known))
            of_stranger = await world.listing(config_of(unknown))

        assert len(of_user.streams) == 3  # the pool is empty, so the token serves
        assert "User is disabled or unknown" in of_stranger.texts[0]


class TestRest:
    async def test_unknown_parts_are_named_and_the_rest_works(self, world: World) -> None:
        await world.add_key()
        config = config_of(
            {"c": "tb", "auth": str(await world.add_user())},
            {"c": "xx", "t": "token"},
            {"c": "", "t": ""},
            filter="Resolution == '1080p'",
        )

        answer = await world.listing(config)

        assert len(answer.streams) == 4
        assert "store 'xx'" in answer.texts[-1]
        assert "peer-to-peer" in answer.texts[-1]
        assert "filter expressions" in answer.texts[-1]

    async def test_broken_config_is_one_readable_entry(self, world: World) -> None:
        answer = await world.get("/stremio/torz/not-a-config/stream/movie/tt1234567.json")

        assert answer.status == 200
        assert "Configuration cannot be read" in answer.texts[0]

    async def test_lists_past_the_limit_are_an_entry_with_retry_after(
        self, database_url: str, tmp_path: Path
    ) -> None:
        async with open_world(database_url, tmp_path, lists_per_user=2) as world:
            config = await world.pooled()
            answers = [await world.listing(config) for _ in range(3)]

        assert [len(answer.streams) for answer in answers] == [3, 3, 1]
        assert "Too many requests" in answers[2].texts[0]
        assert int(answers[2].headers["retry-after"]) > 0
        assert answers[2].status == 200
