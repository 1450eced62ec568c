"""A whole server among simulated neighbours, reached over HTTP as a client would."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec

from addon.app import Parts, create_app
from chillproxy.models import NewKey, NewUser
from chillproxy.pool import Pool
from infra.clock import SystemClock
from infra.db import Database
from infra.keyring import KeyRing
from infra.secret import Redactor, Secret
from infra.setting_values import Indexer, RingKey
from infra.settings import Settings
from tests.fakes import torbox, torznab
from tests.fakes.cinemeta import CinemetaSimulator
from tests.fakes.debrid import Fate, release
from tests.fakes.server import serve
from tests.fakes.torbox import Account, TorBoxSimulator
from tests.fakes.torznab import TorznabSimulator

FILM = "tt1234567"
EPISODE = "tt7654321:1:2"
CANARY = "CANARY"

# What the neighbours know of both titles: cached, not cached, and of another title.
FILM_CACHED = release("Example.Film.2021.1080p.WEB-DL.DDP5.1.H.264-GRP", Fate.CACHED)
FILM_SLOW = release("Example.Film.2021.2160p.WEB-DL.HEVC-SLOW", Fate.SLOW)
FILM_GONE = release("Example.Film.2021.720p.BluRay.x264-GONE", Fate.INFRINGING)
OTHER_FILM = release("Another.Work.2021.1080p.WEB-DL-GRP", Fate.CACHED)
PACK = release(
    "Example.Show.S01.1080p.WEB-DL.H.264-GRP",
    Fate.CACHED,
    "Example.Show.S01.1080p/Example.Show.S01E02.1080p.mkv",
    "Example.Show.S01.1080p/Example.Show.S01E01.1080p.mkv",
    "Example.Show.S01.1080p/Sample/sample.mkv",
)
WRONG_SEASON = release("Example.Show.S02E02.1080p.WEB-DL-GRP", Fate.CACHED)
CATALOGUE = (FILM_CACHED, FILM_SLOW, FILM_GONE, OTHER_FILM, PACK, WRONG_SEASON)


def config_of(*stores: dict[str, str], **more: object) -> str:
    """Return the config segment for stores written as in JSON."""
    text = json.dumps({"stores": list(stores), **more}).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client sees."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def streams(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json["streams"]
        return found

    @property
    def texts(self) -> list[str]:
        return [f"{stream['name']}\n{stream['description']}" for stream in self.streams]


@dataclass(slots=True)
class World:
    """The server and its neighbours; keys and users are added through the pool itself."""

    base: str
    pool: Pool
    database: Database
    torbox: TorBoxSimulator
    torznab: TorznabSimulator
    cinemeta: CinemetaSimulator
    client: aiohttp.ClientSession
    seen: list[bytes] = field(default_factory=list)

    async def add_key(self, *, max_users: int = 5, max_streams: int = 5) -> Secret:
        """Add a TorBox key that the simulator knows, too."""
        secret = Secret(f"{CANARY}-{uuid4()}")
        self.torbox.accounts[secret.reveal()] = Account(secret.reveal())
        await self.pool.keys.add(
            NewKey(store="torbox", secret=secret, max_users=max_users, max_streams=max_streams),
            actor="test",
        )
        return secret

    async def add_user(self, *, max_devices: int = 3, max_streams: int = 2) -> UUID:
        _, auth = await self.pool.users.add(
            NewUser(name="A", max_devices=max_devices, max_streams=max_streams), actor="test"
        )
        return auth

    async def pooled(self) -> str:
        """Return the config of a new user of a pool with one key."""
        await self.add_key()
        return config_of({"c": "tb", "auth": str(await self.add_user())})

    async def get(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        url = path if path.startswith("http") else self.base + path
        async with self.client.request(
            method, url, headers=headers, allow_redirects=False
        ) as response:
            body = await response.read()
            self.seen.append(body + repr(response.headers).encode())
            return Answer(response.status, _lower(response.headers), body)

    async def listing(
        self, config: str, media: str = FILM, *, agent: str = "Stremio-Apple/1.0 iPhone"
    ) -> Answer:
        kind = "series" if ":" in media else "movie"
        return await self.get(
            f"/stremio/torz/{config}/stream/{kind}/{media}.json", headers={"User-Agent": agent}
        )

    async def follow(self, url: str, *, byte_range: str | None = None) -> Answer:
        """Play as a player does: redirects are followed."""
        headers = {"Range": f"bytes={byte_range}"} if byte_range else {}
        async with self.client.get(url, headers=headers) as response:
            return Answer(response.status, _lower(response.headers), await response.read())

    async def usage(self, count: int, action: str = "play") -> list[Any]:
        """Return the usage rows of an action, once there are so many."""
        async with asyncio.timeout(10):
            while True:
                rows = await self.database.fetch(
                    "select * from pool_usage_logs where action = $1 order by at", action
                )
                if len(rows) >= count:
                    return rows
                await asyncio.sleep(0.05)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@asynccontextmanager
async def open_world(database_url: str, data_dir: Path, **changes: object) -> AsyncIterator[World]:
    """Start the neighbours and the server; `changes` are settings."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        debrid = TorBoxSimulator(clock.now, [], catalogue=CATALOGUE)
        indexer = TorznabSimulator(entries=_entries())
        metadata = CinemetaSimulator()
        debrid_url = await stack.enter_async_context(serve(debrid))
        indexer_url = await stack.enter_async_context(serve(indexer.app))
        metadata_url = await stack.enter_async_context(serve(metadata.app))
        settings = msgspec.structs.replace(
            Settings(
                data_dir=data_dir,
                database_url=Secret(database_url),
                app_secret=(_ring_key("app"),),
                pool_kek=(_ring_key("kek"),),
                demo="off",
                torbox_base_url=debrid_url + torbox.PREFIX,
                torznab_indexers=(Indexer("indexer", f"{indexer_url}/api", Secret(torznab.KEY)),),
                cinemeta_url=metadata_url,
                lists_per_user=1000,
                lists_per_network=1000,
                pool_timeout=timedelta(seconds=2),
            ),
            **changes,
        )
        server = await stack.enter_async_context(_server(settings))
        database = await stack.enter_async_context(Database.open(database_url))
        ring = KeyRing([(key.id, key.raw) for key in settings.pool_kek])
        pool = Pool.over(database, ring, clock, Redactor())
        client = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(server, pool, database, debrid, indexer, metadata, client)


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[str]:
    """Serve on a port that the base URL already names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = msgspec.structs.replace(settings, base_url=f"http://127.0.0.1:{port}")
    async with serve(create_app(settings, Parts()), port=port) as base:
        yield base


def _ring_key(name: str) -> RingKey:
    return RingKey(name, Secret(base64.b64encode(name.encode() * 16).decode()))


def _entries() -> list[torznab.Entry]:
    films = [
        torznab.Entry(one.name, one.info_hash, imdb="1234567")
        for one in (FILM_CACHED, FILM_SLOW, FILM_GONE, OTHER_FILM)
    ]
    shows = [
        torznab.Entry(PACK.name, PACK.info_hash, imdb="7654321", season=1, category=5000),
        torznab.Entry(
            WRONG_SEASON.name, WRONG_SEASON.info_hash, imdb="7654321", season=2, category=5000
        ),
    ]
    return [*films, *shows]
