"""One suite over all sources: whatever the service does, the caller sees the same things."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp

from addon.media import MediaId, Title
from addon.sources.base import Query, Source
from addon.sources.torznab import Torznab
from addon.sources.upstream_addon import UpstreamAddon
from infra.clock import Clock, Deadline
from infra.errors import ReplyInvalid, UpstreamError, UpstreamTimeout
from infra.http_client import HttpClient
from infra.secret import Secret
from tests.fakes import faults, torznab, upstream_addon
from tests.fakes.clock import FakeClock
from tests.fakes.server import serve
from tests.fakes.torznab import Entry, TorznabSimulator
from tests.fakes.upstream_addon import UpstreamAddonSimulator, torrentio

_FILM = Query(
    MediaId("tt", "tt1234567"),
    Title(id="tt1234567", kind="movie", name="Example Film", year=2021),
)
_MEMORY = Path("/proc/self/statm")
_HASHES = ("0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef")


class Simulator(Protocol):
    """What this suite asks of every simulator."""

    fault: Callable[[], Response] | None

    @property
    def app(self) -> ASGIApp: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """A source and its simulator, with two torrents of the film, one of them listed twice."""

    simulator: Callable[[], Simulator]
    source: Callable[[HttpClient, Clock, str], Source]
    secrets: tuple[str, ...]


def _listing() -> list[tuple[str, str]]:
    first, second = _HASHES
    name = "Example.Film.2021.1080p.WEB-DL-GRP"
    return [(name, first.upper()), (f"{name}2", second), (f"{name}3", first)]


def _torznab_simulator() -> TorznabSimulator:
    return TorznabSimulator([Entry(name, info_hash) for name, info_hash in _listing()])


def _lax_torznab_simulator() -> TorznabSimulator:
    entries = [Entry(name, text, size_bytes=None, kind="public") for name, text in _listing()]
    nothing = Response("Not Found", 404)
    return TorznabSimulator(entries, no_caps=nothing, redirects=1, tells_total=False)


def _torznab(http: HttpClient, clock: Clock, base_url: str) -> Torznab:
    return Torznab(http, clock, "example", f"{base_url}/api", Secret(torznab.KEY))


def _addon_simulator() -> UpstreamAddonSimulator:
    streams = [torrentio(info_hash, name) for name, info_hash in _listing()]
    return UpstreamAddonSimulator({"tt1234567": streams})


def _addon(http: HttpClient, clock: Clock, base_url: str) -> UpstreamAddon:
    url = f"{base_url}/{upstream_addon.CONFIG}/manifest.json"
    return UpstreamAddon(http, clock, "example", Secret(url))


_BENCHES = {
    "torznab": Bench(_torznab_simulator, _torznab, (torznab.KEY,)),
    "lax torznab": Bench(_lax_torznab_simulator, _torznab, (torznab.KEY,)),
    "upstream addon": Bench(
        _addon_simulator, _addon, ("upstream-secret-0123456789", quote(upstream_addon.CONFIG))
    ),
}


@dataclass(frozen=True, slots=True)
class Set:
    """A running bench."""

    source: Source
    simulator: Simulator
    secrets: tuple[str, ...]


@pytest.fixture(params=_BENCHES.values(), ids=list(_BENCHES))
async def bench(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Set]:
    chosen: Bench = request.param
    simulator = chosen.simulator()
    async with serve(simulator.app) as base_url, HttpClient.open() as http:
        yield Set(chosen.source(http, clock, base_url), simulator, chosen.secrets)


async def _failure(bench: Set, deadline: Deadline) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await bench.source.search(_FILM, deadline)
    return caught.value


def _everything_in(error: BaseException) -> str:
    printed = "".join(traceback.format_exception(error))
    chained = [repr(one) for one in (error.__cause__, error.__context__) if one is not None]
    return "\n".join([printed, str(error), repr(error), repr(vars(error)), *chained])


async def test_each_hash_is_found_once_in_lower_case(bench: Set) -> None:
    found = await bench.source.search(_FILM, Deadline.after(5))

    assert sorted(one.info_hash for one in found) == sorted(_HASHES)


async def test_finds_carry_the_release_name_and_what_is_known(bench: Set) -> None:
    found = await bench.source.search(_FILM, Deadline.after(5))

    first = next(one for one in found if one.info_hash == _HASHES[0])
    assert first.name == "Example.Film.2021.1080p.WEB-DL-GRP"
    assert first.seeders is not None
    assert first.tracker
    assert not first.private


async def test_nothing_found_is_an_empty_answer(bench: Set) -> None:
    unknown = Query(MediaId("tt", "tt9999999"), None)

    found = await bench.source.search(unknown, Deadline.after(5))

    assert list(found) == []


async def test_anime_id_that_the_service_does_not_know_is_an_empty_answer(bench: Set) -> None:
    film = Query(MediaId("kitsu", "7442"), None)

    found = await bench.source.search(film, Deadline.after(5))

    assert list(found) == []


async def test_name_and_age_are_fixed_and_hold_no_secret(bench: Set) -> None:
    assert bench.source.name == "example"
    assert bench.source.ttl == timedelta(hours=6)
    assert not any(secret in repr(bench.source) for secret in bench.secrets)


@pytest.mark.parametrize("body", faults.HOSTILE.values(), ids=faults.HOSTILE)
async def test_hostile_body_is_an_error_without_secrets(
    bench: Set, body: Callable[[], Response]
) -> None:
    bench.simulator.fault = body

    error = await _failure(bench, Deadline.after(10))

    assert isinstance(error, ReplyInvalid)
    assert not any(secret in _everything_in(error) for secret in bench.secrets)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 410, 429, 500, 502, 503])
async def test_bad_status_is_an_error_without_secrets(bench: Set, status: int) -> None:
    bench.simulator.fault = lambda: Response(
        "<html>no</html>", status, {"Location": "http://127.0.0.1:1/login"}
    )

    error = await _failure(bench, Deadline.after(5))

    assert not any(secret in _everything_in(error) for secret in bench.secrets)


@pytest.mark.parametrize("status", [301, 401, 403, 410])
async def test_wrong_url_or_key_is_told_apart(bench: Set, status: int) -> None:
    bench.simulator.fault = lambda: Response("no", status)

    error = await _failure(bench, Deadline.after(5))

    assert error.code == "source_misconfigured"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"Retry-After": "17"}, 17), ({}, 60), ({"Retry-After": "soon"}, 60)],
    ids=["told", "not told", "told badly"],
)
async def test_too_many_requests_says_how_long_to_wait(
    bench: Set, headers: dict[str, str], wait: int
) -> None:
    bench.simulator.fault = lambda: Response("slow down", 429, headers)

    error = await _failure(bench, Deadline.after(5))

    assert error.code == "rate_limited"
    assert error.retry_after == timedelta(seconds=wait)


async def test_service_that_asks_for_time_is_given_it(bench: Set) -> None:
    bench.simulator.fault = lambda: Response("maintenance", 503, {"Retry-After": "120"})

    error = await _failure(bench, Deadline.after(5))

    assert error.retry_after == timedelta(minutes=2)


async def test_hanging_service_is_left_at_the_deadline(bench: Set) -> None:
    bench.simulator.fault = faults.Hang
    started = time.monotonic()

    error = await _failure(bench, Deadline.after(0.3))

    assert isinstance(error, UpstreamTimeout)
    assert time.monotonic() - started < 2
    assert not any(secret in _everything_in(error) for secret in bench.secrets)


async def test_search_can_be_cancelled(bench: Set) -> None:
    bench.simulator.fault = faults.Hang
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await bench.source.search(_FILM, Deadline.after(30))

    assert time.monotonic() - started < 2


@pytest.mark.parametrize("chosen", _BENCHES.values(), ids=_BENCHES)
async def test_service_that_is_not_there_is_an_error(chosen: Bench, clock: FakeClock) -> None:
    async with serve(chosen.simulator().app) as gone:
        pass
    async with HttpClient.open() as http:
        source = chosen.source(http, clock, gone)

        with pytest.raises(UpstreamError) as caught:
            await source.search(_FILM, Deadline.after(5))

    assert not any(secret in _everything_in(caught.value) for secret in chosen.secrets)


async def test_source_works_again_after_a_failure(bench: Set) -> None:
    bench.simulator.fault = lambda: Response("broken", 500)
    await _failure(bench, Deadline.after(5))
    bench.simulator.fault = None

    found = await bench.source.search(_FILM, Deadline.after(5))

    assert len(found) == 2


def _resident_bytes() -> int:
    return int(_MEMORY.read_text().split()[1]) * 4096


@pytest.mark.deep
@pytest.mark.skipif(not _MEMORY.exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("body", faults.HOSTILE.values(), ids=faults.HOSTILE)
async def test_hostile_body_costs_little_time_and_memory(
    bench: Set, body: Callable[[], Response]
) -> None:
    bench.simulator.fault = body
    body()
    most = before = _resident_bytes()
    search = asyncio.ensure_future(_failure(bench, Deadline.after(10)))
    started = time.monotonic()

    while not search.done():
        await asyncio.sleep(0.005)
        most = max(most, _resident_bytes())

    assert isinstance(search.result(), ReplyInvalid)
    assert time.monotonic() - started < 3
    # The simulator lives in the same process and holds its own copy of a body.
    assert most - before < 80 * 1024 * 1024
