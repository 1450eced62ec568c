"""The internal API on the wire, as first-generation clients and ours use it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from chillproxy.api.bearer import Bearer, Gate
from chillproxy.pool import Pool
from infra.db import Database
from infra.secret import Secret
from tests.chillproxy.asking import ACTOR, add_key, add_user
from tests.fakes.pool_server import create_pool_app
from tests.fakes.server import serve

FULL, POOL_ONLY = "bearer-with-all-scopes", "bearer-of-the-pool-alone"
PREFIX = "/api/v1/internal/pool"
KEY = "550e8400-e29b-41d4-a716-446655440000"


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the API."""

    base: str
    session: aiohttp.ClientSession

    async def call(
        self, path: str, body: object = None, *, bearer: str = FULL, method: str = "POST"
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(
            method, self.base + path, data=data if method == "POST" else None, headers=headers
        ) as response:
            return response.status, await response.json()

    async def get_key(self, auth: UUID, **more: object) -> tuple[int, Any]:
        body = {"userId": str(auth), "deviceId": "d" * 64, "action": "init", "hash": "", **more}
        return await self.call(f"{PREFIX}/get-key", body)


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[Client]:
    scopes = frozenset({"pool", "key:read"})
    bearers = [Bearer.of(Secret(FULL), scopes), Bearer.of(Secret(POOL_ONLY), frozenset({"pool"}))]
    gate = Gate(bearers, [ip_network("127.0.0.0/8")], [])
    async with serve(create_pool_app(pool, gate)) as base, aiohttp.ClientSession() as session:
        yield Client(base, session)


class TestFirstGeneration:
    async def test_init_gives_the_untouched_key(self, client: Client, pool: Pool) -> None:
        key = await add_key(pool, secret=KEY)

        status, answer = await client.get_key(await add_user(pool))

        assert status == 200
        assert answer["allowed"] is True
        assert answer["poolKey"] == KEY
        assert answer["poolKeyId"] == str(key.id)
        assert answer["deviceCount"] == 1

    async def test_same_device_again_is_counted_once(self, client: Client, pool: Pool) -> None:
        await add_key(pool)
        auth = await add_user(pool)

        answers = [(await client.get_key(auth))[1] for _ in range(2)]

        assert [answer["deviceCount"] for answer in answers] == [1, 1]
        assert answers[0]["poolKey"] == answers[1]["poolKey"]

    async def test_fourth_device_is_status_200_and_not_allowed(
        self, client: Client, pool: Pool
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool, max_devices=3)
        for number in range(3):
            await client.get_key(auth, deviceId=str(number) * 64)

        status, answer = await client.get_key(auth, deviceId="f" * 64)

        assert (status, answer["allowed"]) == (200, False)
        assert answer["message"] == "Maximum device limit (3) reached"
        assert (answer["code"], answer["deviceCount"], answer["deviceLimit"]) == (
            "device_limit", 3, 3,
        )  # fmt: skip

    @pytest.mark.parametrize("user", [str(uuid4()), "nobody"], ids=["unknown", "no uuid"])
    async def test_unknown_user_is_status_200(self, client: Client, user: str) -> None:
        body = {"userId": user, "deviceId": "d", "action": "init", "hash": ""}

        status, answer = await client.call(f"{PREFIX}/get-key", body)

        assert (status, answer["allowed"]) == (200, False)
        assert answer["message"] == "User not found or inactive"

    @pytest.mark.parametrize("missing", ["userId", "deviceId"])
    async def test_missing_id_is_400(self, client: Client, missing: str) -> None:
        body = {"userId": "u", "deviceId": "d", "action": "init", "hash": ""}
        del body[missing]

        status, answer = await client.call(f"{PREFIX}/get-key", body)

        assert status == 400
        assert missing in answer["message"]
        assert "error" in answer

    async def test_unknown_action_counts_as_init(self, client: Client, pool: Pool) -> None:
        await add_key(pool)

        _, answer = await client.get_key(await add_user(pool), action="whatever")

        assert answer["deviceCount"] == 1

    async def test_usage_of_one_event_is_stored(
        self, client: Client, pool: Pool, database: Database
    ) -> None:
        await add_key(pool)
        auth = await add_user(pool)
        _, granted = await client.get_key(auth)
        event = {
            "userId": str(auth), "poolKeyId": granted["poolKeyId"], "action": "stream-served",
            "hash": "", "cached": True, "bytes": 0,
        }  # fmt: skip

        status, answer = await client.call(f"{PREFIX}/log-usage", event)

        assert (status, answer["success"], answer["accepted"]) == (200, True, 1)
        row = await database.fetchrow("select * from pool_usage_logs")
        assert row is not None
        assert (row["user_id"], str(row["key_id"]), row["action"], row["cached"]) == (
            1, granted["poolKeyId"], "stream-served", True,
        )  # fmt: skip

    @pytest.mark.parametrize("missing", ["userId", "action"])
    async def test_usage_without_user_or_action_is_400(self, client: Client, missing: str) -> None:
        event = {"userId": "u", "poolKeyId": "1", "action": "play", "hash": ""}
        del event[missing]

        assert (await client.call(f"{PREFIX}/log-usage", event))[0] == 400

    async def test_health_has_the_known_shape(self, client: Client) -> None:
        status, answer = await client.call("/api/v1/health", method="GET", bearer="")

        assert (status, answer) == (
            200, {"success": True, "detail": "OK", "data": None, "error": None},
        )  # fmt: skip


class TestDoor:
    @pytest.mark.parametrize("bearer", ["", "wrong", FULL[:-1], FULL + "x", FULL.upper()])
    @pytest.mark.parametrize(
        "path", ["get-key", "log-usage", "report", "release", "stats", "changes"]
    )
    async def test_without_the_bearer_it_is_403(
        self, client: Client, path: str, bearer: str
    ) -> None:
        method = "GET" if path in {"stats", "changes"} else "POST"

        status, answer = await client.call(f"{PREFIX}/{path}", {}, bearer=bearer, method=method)

        assert (status, answer["message"]) == (403, "Unauthorized")

    async def test_key_needs_a_scope_of_its_own(self, client: Client) -> None:
        body = {"userId": str(uuid4()), "deviceId": "d"}

        assert (await client.call(f"{PREFIX}/get-key", body, bearer=POOL_ONLY))[0] == 403
        assert (await client.call(f"{PREFIX}/stats", bearer=POOL_ONLY, method="GET"))[0] == 200

    async def test_other_network_is_403(self, pool: Pool) -> None:
        gate = Gate([Bearer.of(Secret(FULL), frozenset({"pool"}))], [ip_network("10.0.0.0/8")], [])
        async with serve(create_pool_app(pool, gate)) as base, aiohttp.ClientSession() as session:
            status, _ = await Client(base, session).call(f"{PREFIX}/stats", method="GET")

        assert status == 403

    async def test_body_beyond_its_cap_is_413(self, client: Client) -> None:
        status, _ = await client.call(f"{PREFIX}/get-key", b'"' + b"x" * 70_000 + b'"')

        assert status == 413

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[" * 5_000, b'{"userId": 1, "deviceId": "d"}', b"\xff"]
    )
    async def test_broken_body_is_400(self, client: Client, body: bytes) -> None:
        assert (await client.call(f"{PREFIX}/get-key", body))[0] == 400


class TestOurs:
    async def test_play_has_a_lease_that_can_be_released(self, client: Client, pool: Pool) -> None:
        await add_key(pool)
        _, granted = await client.get_key(
            await add_user(pool), action="generate-link", media="tt1234567"
        )

        released = [
            (await client.call(
                f"{PREFIX}/release", {"leaseId": granted["leaseId"], "fence": granted["fence"]}
            ))[1]["released"]
            for _ in range(2)
        ]  # fmt: skip

        assert released == [True, False]

    async def test_user_reference_serves_as_well_as_the_uuid(
        self, client: Client, pool: Pool
    ) -> None:
        await add_key(pool)
        _, granted = await client.get_key(await add_user(pool))

        _, again = await client.get_key(UUID(granted["userRef"]))

        assert again["allowed"] is True

    async def test_batch_rejects_the_bad_and_keeps_the_good(
        self, client: Client, pool: Pool
    ) -> None:
        auth = str(await add_user(pool))
        good = {"userId": auth, "action": "play", "eventId": str(uuid4())}
        batch = {"events": [good, {"action": "play"}, good, {**good, "action": "dance"}]}

        _, answer = await client.call(f"{PREFIX}/log-usage", batch)

        assert (answer["accepted"], answer["duplicates"]) == (1, 1)
        assert [one["index"] for one in answer["rejected"]] == [1, 3]

    async def test_report_rests_the_key(self, client: Client, pool: Pool) -> None:
        key = await add_key(pool)

        _, answer = await client.call(
            f"{PREFIX}/report", {"poolKeyId": str(key.id), "kind": "auth_invalid"}
        )

        assert answer == {"keyState": "quarantined", "retryWithAnotherKey": True}

    async def test_changes_wake_whoever_waits(self, client: Client, pool: Pool) -> None:
        await add_user(pool)
        _, now = await client.call(f"{PREFIX}/changes?since=0", method="GET")

        waiting = asyncio.ensure_future(
            client.call(f"{PREFIX}/changes?since={now['epoch']}", method="GET")
        )
        await asyncio.sleep(0.2)
        await pool.users.disable(1, actor=ACTOR)
        _, then = await asyncio.wait_for(waiting, 5)

        assert then["epoch"] == now["epoch"] + 1
        assert then["users"] == [str((await pool.users.get(1)).ref)]

    async def test_stats_count(self, client: Client, pool: Pool) -> None:
        await add_key(pool)
        await client.get_key(await add_user(pool))

        _, answer = await client.call(f"{PREFIX}/stats", method="GET")

        assert (answer["keys"], answer["users"], answer["devices"]) == (1, 1, 1)
