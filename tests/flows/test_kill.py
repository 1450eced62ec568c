"""Sudden death, of the server and of its Postgres, while people list and play."""

import asyncio
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from addon.demo import FILM
from addon.urls import Urls
from addon.user_config import encode_user_config
from chillproxy.models import NewKey, NewUser
from chillproxy.pool import Pool
from infra.clock import SystemClock
from infra.db import Database
from infra.keyring import KeyRing
from infra.secret import Redactor, Secret
from infra.setting_values import ring_key
from tests.flows.process import House, Server, open_house

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")

Trouble = Callable[[House], AbstractContextManager[None]]

_PLAYERS = 8
_PEOPLE_A_ROUND = 120
_AWAY_SECONDS = 2.0
_BACK_WITHIN_SECONDS = 5.0
_LANDS_WITHIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the pool; each plays once, so that a row tells whose play it was."""

    id: int
    auth: UUID


@dataclass(slots=True)
class Crowd:
    """People at a server, and what they have seen so far.

    Attributes:
        waiting: who has not played yet.
        acknowledged: whose play was answered with the redirect to the clip.
        begun: who has tried to play, acknowledged or not.
        statuses: of every answer to a list or a play.
    """

    client: aiohttp.ClientSession  # noqa: TID251  people bring clients of their own
    urls: Urls
    waiting: list[Person]
    acknowledged: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)

    async def play_once(self, person: Person) -> None:
        """Let one person list a film and play it."""
        stream = await self.list_film(person)
        if stream is None:
            return
        self.begun.add(person.id)
        for method in ("HEAD", "GET"):  # as players do: still one play
            async with self.client.request(method, stream, allow_redirects=False) as answer:
                self.statuses.add(answer.status)
                if "/demo/" in answer.headers["location"]:
                    self.acknowledged.add(person.id)

    async def list_film(self, person: Person) -> str | None:
        """Return the URL of the stream that is listed; None when it is but a notice."""
        config = encode_user_config(person.auth, ["demo"])
        async with self.client.get(self.urls.stream(config, "movie", str(FILM))) as answer:
            self.statuses.add(answer.status)
            streams = (await answer.json())["streams"]
        urls: list[str] = [stream["url"] for stream in streams if "url" in stream]
        return next((url for url in urls if "/stremio/play/" in url), None)

    async def play_while(self, is_on: Callable[[], bool], *, again: bool = False) -> None:
        """Let one person after the other play, each once or again and again."""
        while is_on() and self.waiting:
            person = self.waiting.pop(0)
            await self.play_once(person)
            if again:
                self.waiting.append(person)


@asynccontextmanager
async def open_pool(house: House) -> AsyncIterator[Pool]:
    """Join the pool of a running server, and give its demo a key for all who come."""
    kek = ring_key(house.environment["POOL_KEK"])
    async with Database.open(house.database_url) as database:
        yield Pool.over(database, KeyRing([(kek.id, kek.raw)]), SystemClock(), Redactor())


async def invite(pool: Pool, count: int) -> list[Person]:
    """Add people who each have a place of their own."""
    key = NewKey(
        store="demo",
        secret=Secret(f"demo-{secrets.token_hex(8)}"),
        scope="shared",
        max_users=count,
        max_streams=count,
        terms_ack={"provider": "demo", "version": "1"},
    )
    await pool.keys.add(key, actor="test")
    added = [await pool.users.add(NewUser(name="A"), actor="test") for _ in range(count)]
    return [Person(user.id, auth) for user, auth in added]


async def plays(pool: Pool) -> list[int]:
    """Return who has played by the usage log, as often as it says."""
    rows = await pool.database.fetch("select user_id from pool_usage_logs where action = 'play'")
    return [row["user_id"] for row in rows]


async def eventually(is_so: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """Wait for something, and return how long it took."""
    started = time.monotonic()
    while not await is_so():
        assert time.monotonic() - started < seconds, f"not within {seconds} seconds"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def spooled(house: House) -> int:
    """Return how many bytes of events wait on the disk."""
    return sum(file.stat().st_size for file in house.data_dir.glob("usage/*/*.lines"))


class TestServer:
    @pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.deep)])
    async def test_every_acknowledged_play_is_logged_once_whenever_the_server_is_killed(
        self, tmp_path: Path, rounds: int
    ) -> None:
        chance = random.Random(rounds)
        acknowledged: set[int] = set()
        begun: set[int] = set()
        left_behind = 0
        with open_house(tmp_path) as house:
            server = house.start()
            for _ in range(rounds):
                async with open_pool(house) as pool:
                    people = await invite(pool, _PEOPLE_A_ROUND)
                await asyncio.sleep(chance.random())  # the spool is shipped once a second
                crowd = await _play_until_killed(server, people, chance.randrange(10, 100))
                left_behind += spooled(house)
                acknowledged |= crowd.acknowledged
                begun |= crowd.begun
                server = house.start()

            async with open_pool(house) as pool:

                async def have_landed() -> bool:
                    return acknowledged <= set(await plays(pool))

                await eventually(have_landed, _LANDS_WITHIN_SECONDS)
                logged = await plays(pool)
            assert server.stop() == 0

            assert begun - acknowledged  # plays were under way
            assert left_behind > 0  # or the kills came too late to prove anything
            assert len(logged) == len(set(logged))
            assert set(logged) <= begun
            assert spooled(house) == 0


async def _play_until_killed(server: Server, people: list[Person], plays: int) -> Crowd:
    """Let people play until so many plays are acknowledged; others are then under way."""
    async with aiohttp.ClientSession() as client:  # noqa: TID251
        crowd = Crowd(client, Urls(server.printed.base), people)

        async def play() -> None:
            with suppress(aiohttp.ClientError):
                await crowd.play_while(lambda: len(crowd.acknowledged) < plays)
            server.kill()

        await asyncio.gather(*(play() for _ in range(_PLAYERS)))
        return crowd


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which a server runs, whose Postgres dies again and again."""
    with open_house(tmp_path_factory.mktemp("kill")) as house:
        house.start()
        yield house


@contextmanager
def killed(house: House) -> Iterator[None]:
    """Kill the Postgres; the server starts it again."""
    os.kill(house.postgres_pid, signal.SIGKILL)
    yield


@contextmanager
def hidden(house: House) -> Iterator[None]:
    """Let nobody reach the Postgres: neither over old connections nor over new ones."""
    away = house.socket.rename(house.socket.with_name("away"))
    try:
        for pid in _children(house.postgres_pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # some end by themselves
                if b"postgres chillproxy" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGTERM)
        yield
    finally:
        away.rename(house.socket)


@contextmanager
def frozen(house: House) -> Iterator[None]:
    """Let the Postgres take everything and answer nothing."""
    pids = [house.postgres_pid, *_children(house.postgres_pid)]
    try:
        _send(signal.SIGSTOP, pids)
        yield
    finally:
        _send(signal.SIGCONT, pids)


def _send(sign: int, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class TestPostgres:
    @pytest.mark.parametrize(
        ("trouble", "seconds"),
        [
            pytest.param(killed, 0.0, id="killed"),
            pytest.param(hidden, _AWAY_SECONDS, id="away", marks=needs_linux),
            pytest.param(frozen, _AWAY_SECONDS, id="frozen", marks=[needs_linux, pytest.mark.deep]),
        ],
    )
    async def test_loss_leaves_all_answers_readable_and_is_over_soon(
        self, house: House, trouble: Trouble, seconds: float
    ) -> None:
        server = house.last
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(house))
            *people, newcomer = await invite(pool, 41)
            client = await stack.enter_async_context(aiohttp.ClientSession())  # noqa: TID251
            crowd = Crowd(client, Urls(server.printed.base), people)
            is_on = True

            async def lists_again() -> bool:
                return await crowd.list_film(newcomer) is not None

            async def disturb() -> float:
                nonlocal is_on
                await asyncio.sleep(0.3)
                with trouble(house):
                    await asyncio.sleep(seconds)
                try:
                    return await eventually(lists_again, _BACK_WITHIN_SECONDS)
                finally:
                    is_on = False

            players = [crowd.play_while(lambda: is_on, again=True) for _ in range(_PLAYERS)]
            await asyncio.gather(disturb(), *players)

            async def have_landed() -> bool:
                return crowd.acknowledged <= set(await plays(pool))

            await eventually(have_landed, _LANDS_WITHIN_SECONDS)
            assert crowd.statuses == {200, 302}
            assert len(crowd.acknowledged) > _PLAYERS
            assert server.process.poll() is None
            assert "Traceback" not in server.err.read_text()
