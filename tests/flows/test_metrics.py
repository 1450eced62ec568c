"""What is counted, who may read it, and what is never in it."""

import ipaddress
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from addon.metrics import REFUSALS
from chillproxy import errors
from infra.secret import Secret
from tests.fakes.debrid import Fault
from tests.flows.world import CANARY, FILM, FILM_CACHED, World, config_of, open_world

_TOKEN = f"{CANARY}-metrics-token"
_NOBODY = "00000000-0000-4000-8000-000000000000"


async def read(world: World) -> dict[str, float]:
    """Return all series by name and labels, as the text has them."""
    answer = await world.get("/metrics")
    assert answer.status == 200
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


class TestCounts:
    async def test_list_and_play_are_counted(self, world: World) -> None:
        stream = (await world.listing(await world.pooled())).streams[0]
        await world.get(stream["url"])
        await world.usage(1)

        seen = await read(world)

        assert seen['chillproxy_lists_total{outcome="full"}'] == 1
        assert seen['chillproxy_plays_total{outcome="ok"}'] == 1
        assert seen['chillproxy_pool_asks_total{action="check-cache",outcome="ok"}'] == 1
        assert seen['chillproxy_pool_asks_total{action="generate-link",outcome="ok"}'] == 1
        assert seen['chillproxy_source_searches_total{outcome="found"}'] == 1
        for operation in ("check", "add", "link"):
            labels = f'{{operation="{operation}",outcome="ok",store="torbox"}}'
            assert seen[f"chillproxy_store_call_seconds_count{labels}"] == 1
        list_route = '{route="/stremio/torz/{rest:path}",status="2xx"}'
        assert seen[f"chillproxy_request_seconds_count{list_route}"] == 1
        assert seen["chillproxy_usage_shipped_total"] >= 1
        assert seen["chillproxy_usage_shed_total"] == 0
        assert seen["chillproxy_database_connections_most"] >= 1
        assert seen["process_resident_memory_bytes"] > 0

    async def test_refusals_and_failures_are_counted_by_their_codes(self, world: World) -> None:
        config = await world.pooled()
        stream = (await world.listing(config)).streams[0]
        world.torbox.script.fail(Fault.SERVER_ERROR, times=99)
        await world.get(stream["url"])
        await world.listing(config_of({"c": "tb", "auth": _NOBODY}))

        seen = await read(world)

        assert seen['chillproxy_plays_total{outcome="provider_down"}'] == 1
        assert seen['chillproxy_lists_total{outcome="refused"}'] == 1
        refused = '{action="check-cache",outcome="unknown_user"}'
        assert seen[f"chillproxy_pool_asks_total{refused}"] == 1
        failed = '{operation="add",outcome="service_unavailable",store="torbox"}'
        assert seen[f"chillproxy_store_call_seconds_count{failed}"] == 1

    async def test_output_holds_no_secret_no_id_and_no_name(self, world: World) -> None:
        config = await world.pooled()
        stream = (await world.listing(config)).streams[0]
        await world.get(stream["url"])
        await world.get("/no/such/page")
        await world.get(f"/stremio/torz/{config}/stream/movie/%21.json")

        text = (await world.get("/metrics")).body.decode()

        for word in (CANARY, config, FILM, FILM_CACHED.info_hash, "indexer", "no/such", "Example"):
            assert word not in text
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)

    async def test_docs_name_every_metric_and_no_other(self, world: World) -> None:
        text = (await world.get("/metrics")).body.decode()
        page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text("utf-8")

        rows = re.findall(r"^\| (`chillproxy_[^|]+) \|", page, re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`(chillproxy_[a-z_]+)`", row)}

        assert named == set(re.findall(r"^# TYPE (chillproxy_\w+)", text, re.MULTILINE))

    def test_every_refusal_of_the_pool_has_its_own_count(self) -> None:
        assert set(REFUSALS) == set(errors._MESSAGES)


@pytest.fixture
async def with_token(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    token = Secret(_TOKEN)
    async with open_world(database_url, tmp_path, metrics_token=token) as world:
        yield world


@pytest.fixture
async def behind_proxy(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    proxies = (ipaddress.ip_network("127.0.0.0/8"),)
    async with open_world(database_url, tmp_path, trusted_proxies=proxies) as world:
        yield world


class TestAccess:
    @pytest.mark.parametrize(
        ("given", "status"),
        [
            pytest.param(f"Bearer {_TOKEN}", 200, id="right"),
            pytest.param(f"bearer {_TOKEN}", 200, id="scheme in lower case"),
            pytest.param(f"Bearer {_TOKEN}x", 403, id="longer"),
            pytest.param(f"Bearer {_TOKEN[:-1]}", 403, id="shorter"),
            pytest.param("Bearer ", 403, id="empty"),
            pytest.param("Bearer \xff", 403, id="not ascii"),
            pytest.param(f"Basic {_TOKEN}", 403, id="another scheme"),
            pytest.param(None, 403, id="none"),
        ],
    )
    async def test_token_decides_alone_once_it_is_set(
        self, with_token: World, given: str | None, status: int
    ) -> None:
        headers = {} if given is None else {"Authorization": given}

        answer = await with_token.get("/metrics", headers=headers)

        assert answer.status == status
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({"X-Forwarded-For": "127.0.0.1"}, id="says that it is local"),
            pytest.param({"Forwarded": "for=192.0.2.1"}, id="standard header"),
        ],
    )
    async def test_proxy_that_is_not_trusted_is_not_this_machine(
        self, world: World, headers: dict[str, str]
    ) -> None:
        assert (await world.get("/metrics", headers=headers)).status == 403

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param({}, 200, id="this machine"),
            pytest.param({"X-Forwarded-For": "::1"}, 200, id="this machine through it"),
            pytest.param({"X-Forwarded-For": "192.0.2.1"}, 403, id="somebody through it"),
            pytest.param({"X-Forwarded-For": "127.0.0.1, 192.0.2.1"}, 403, id="pretends"),
        ],
    )
    async def test_behind_a_trusted_proxy_the_caller_behind_it_counts(
        self, behind_proxy: World, headers: dict[str, str], status: int
    ) -> None:
        assert (await behind_proxy.get("/metrics", headers=headers)).status == status
