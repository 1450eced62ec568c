"""What is read from the streams of other addons."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from starlette.responses import RedirectResponse, Response

from addon.media import MediaId
from addon.sources.base import Query
from addon.sources.upstream_addon import UpstreamAddon
from addon.torrent import Found, TorrentFile
from infra.clock import Deadline
from infra.errors import UpstreamError
from infra.http_client import HttpClient
from infra.secret import Secret
from tests.fakes import faults
from tests.fakes.clock import FakeClock
from tests.fakes.server import serve
from tests.fakes.upstream_addon import (
    CONFIG,
    Stream,
    UpstreamAddonSimulator,
    comet,
    mediafusion,
    torrentio,
)

HASH = "0123456789abcdef0123456789abcdef01234567"
FILM = Query(MediaId("tt", "tt1234567"), None)
EPISODE = Query(MediaId("tt", "tt1234567", 2, 5), None)
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulator, and a source that asks it."""

    addon: UpstreamAddonSimulator
    source: UpstreamAddon

    async def search(self, *streams: object, query: Query = FILM) -> list[Found]:
        self.addon.streams = {str(query.media): streams}
        return list(await self.source.search(query, Deadline.after(5)))

    async def one(self, stream: Stream) -> Found:
        found = await self.search(stream)
        assert len(found) == 1
        return found[0]


@pytest.fixture
async def bench(clock: FakeClock) -> AsyncIterator[Bench]:
    addon = UpstreamAddonSimulator()
    async with serve(addon.app) as base_url, HttpClient.open() as http:
        url = Secret(f"{base_url}/{CONFIG}/manifest.json")
        yield Bench(addon, UpstreamAddon(http, clock, "example", url))


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        (MediaId("tt", "tt1234567"), "movie"),
        (MediaId("tt", "tt1234567", 2, 5), "series"),
        (MediaId("kitsu", "7442"), "movie"),
        (MediaId("kitsu", "7442", None, 3), "series"),
    ],
    ids=str,
)
async def test_one_request_is_made_under_the_fitting_type(
    bench: Bench, media: MediaId, kind: str
) -> None:
    found = await bench.search(torrentio(HASH, "Some.Name"), query=Query(media, None))

    assert [one.info_hash for one in found] == [HASH]
    assert len(bench.addon.requests) == 1
    assert f"/stream/{kind}/" in bench.addon.requests[0]


@pytest.mark.parametrize("ending", ["/manifest.json", "", "/", "/manifest.json?x=1"])
@pytest.mark.parametrize("scheme", ["http", "stremio"])
def test_manifest_url_is_taken_as_people_paste_it(
    clock: FakeClock, ending: str, scheme: str
) -> None:
    client: Any = None

    source = UpstreamAddon(client, clock, "example", Secret(f"{scheme}://a.example/c{ending}"))

    expected = "https" if scheme == "stremio" else "http"
    assert source._base.reveal() == f"{expected}://a.example/c"


async def test_torrentio_film_is_read(bench: Bench) -> None:
    found = await bench.one(torrentio(HASH, "Example.Film.2021.1080p", size="1.5 GB"))

    assert found == Found(
        info_hash=HASH,
        name="Example.Film.2021.1080p",
        file=TorrentFile("Example.Film.2021.1080p.mkv", int(1.5 * GIB), 0),
        seeders=89,
        tracker="ExampleSite",
        by_id=True,
        trackers=("udp://tracker.example:1/announce",),
    )


async def test_torrentio_pack_is_read_with_its_file(bench: Bench) -> None:
    found = await bench.one(
        torrentio(HASH, "Example.Show.S02.1080p", file="Show/S02E05.mkv", fileIdx=4)
    )

    assert found.name == "Example.Show.S02.1080p"
    assert found.size_bytes is None
    assert found.file == TorrentFile("Show/S02E05.mkv", int(1.5 * GIB), 4)


async def test_comet_is_read(bench: Bench) -> None:
    found = await bench.one(comet(HASH, "Example.Film.2021.1080p", 2_000_000_123))

    assert found == Found(
        info_hash=HASH,
        name="Example.Film.2021.1080p",
        file=TorrentFile("Example.Film.2021.1080p.mkv", 2_000_000_123, 3),
        seeders=7,
        tracker="OtherSite",
        by_id=True,
    )


async def test_mediafusion_is_read(bench: Bench) -> None:
    found = await bench.one(
        mediafusion(HASH, "Example.Show.S02", "Example.Show.S02E05.mkv", "1.0 GB / 💾 10.0 GB")
    )

    assert found == Found(
        info_hash=HASH,
        name="Example.Show.S02",
        size_bytes=10 * GIB,
        file=TorrentFile("Example.Show.S02E05.mkv", GIB),
        seeders=31,
        tracker="ThirdSite",
        by_id=True,
    )


async def test_single_size_of_mediafusion_is_the_torrents(bench: Bench) -> None:
    found = await bench.one(mediafusion(HASH, "Example.Film", "Example.Film.mkv", "2.0 GB"))

    assert found.size_bytes == 2 * GIB
    assert found.file == TorrentFile("Example.Film.mkv")


async def test_unknown_addon_is_read_by_its_hints(bench: Bench) -> None:
    found = await bench.one(
        {
            "infoHash": HASH.upper(),
            "description": "Some pretty text",
            "behaviorHints": {"filename": "Example.Film.mkv", "videoSize": 5},
        }
    )

    assert found == Found(
        info_hash=HASH,
        name="Example.Film.mkv",
        file=TorrentFile("Example.Film.mkv", 5),
        tracker="example",
        by_id=True,
    )


async def test_stream_without_any_name_is_passed_over(bench: Bench) -> None:
    found = await bench.search({"infoHash": HASH, "name": "Addon 1080p"})

    assert found == []


@pytest.mark.parametrize(
    "url",
    [
        f"https://a.example/playback/{HASH}/n/1/x.mkv",
        f"https://a.example/{'f' * 40}/playback/{HASH.upper()}/x.mkv",
        f"https://a.example/resolve/{HASH}?token={'e' * 40}",
    ],
    ids=["in the path", "after a config", "before a query"],
)
async def test_hash_is_taken_from_a_playback_url(bench: Bench, url: str) -> None:
    found = await bench.search({"url": url, "title": "Example.Film.2021"})

    assert [one.info_hash for one in found] == [HASH]


@pytest.mark.parametrize(
    "stream",
    [
        {"url": f"https://a.example/x.mkv?hash={HASH}", "title": "Only in the query"},
        {"url": f"https://a.example/{HASH}00/x.mkv", "title": "Longer than a hash"},
        {"url": "https://[broken/x", "title": "No URL"},
        {"infoHash": "0" * 40, "title": "All zeros"},
        {"infoHash": 5, "title": "A number"},
        {"externalUrl": "https://a.example/", "title": "A page"},
        None,
        [],
        "stream",
    ],
    ids=lambda stream: stream["title"] if isinstance(stream, dict) else repr(stream),
)
async def test_stream_without_a_torrent_costs_nothing_but_itself(
    bench: Bench, stream: object
) -> None:
    found = await bench.search(stream, torrentio(HASH, "Example.Film"))

    assert [one.info_hash for one in found] == [HASH]


@pytest.mark.parametrize(
    ("more", "file"),
    [
        ({"fileIdx": "7"}, TorrentFile("Name.mkv", None, 7)),
        ({"fileIdx": -1}, TorrentFile("Name.mkv")),
        ({"fileIdx": 2**40}, TorrentFile("Name.mkv")),
        ({"fileIdx": True}, TorrentFile("Name.mkv")),
        ({"fileIdx": None}, TorrentFile("Name.mkv")),
        (
            {"behaviorHints": {"filename": "Name.mkv", "videoSize": "12"}},
            TorrentFile("Name.mkv", 12),
        ),
        (
            {"behaviorHints": {"filename": "Name.mkv", "videoSize": 12.0}},
            TorrentFile("Name.mkv", 12),
        ),
        (
            {"behaviorHints": {"filename": "Name.mkv", "videoSize": "1.5 GB"}},
            TorrentFile("Name.mkv", int(1.5 * GIB)),
        ),
        ({"behaviorHints": {"filename": "Name.mkv", "videoSize": -1}}, TorrentFile("Name.mkv")),
        ({"behaviorHints": {"filename": "Name.mkv", "videoSize": 2**70}}, TorrentFile("Name.mkv")),
        ({"behaviorHints": {"filename": "Name.mkv", "videoSize": [1]}}, TorrentFile("Name.mkv")),
        ({"behaviorHints": "none", "fileIdx": 1}, None),
        ({"behaviorHints": None}, None),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_sloppy_fields_are_checked_one_by_one(
    bench: Bench, more: Stream, file: TorrentFile | None
) -> None:
    hints = {"behaviorHints": {"filename": "Name.mkv"}}

    found = await bench.one({"infoHash": HASH, "title": "Name"} | hints | more)

    assert found.file == file


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("💾 700 MB", 700 * 1024**2),
        ("💾 1,5 GiB", int(1.5 * GIB)),
        ("💾 2 TB", 2 * 1024**4),
        ("💾 12 B", 12),
        ("💾 1,234 MB", 1_234 * 1024**2),
        ("💾 999999999 TB", None),
        ("💾 unknown", None),
        ("1.5 GB", None),
    ],
)
async def test_size_is_read_from_the_text(bench: Bench, text: str, size: int | None) -> None:
    found = await bench.one(
        {"infoHash": HASH, "title": f"Name\n{text}", "behaviorHints": {"filename": "a.mkv"}}
    )

    assert found.file == TorrentFile("a.mkv", size)


async def test_only_announce_urls_become_trackers(bench: Bench) -> None:
    sources = [
        "tracker:http://one.example/announce", "tracker:udp://two.example:1", f"dht:{HASH}",
        "tracker:http://one.example/announce", "tracker:javascript:alert(1)", 5, None,
    ]  # fmt: skip

    found = await bench.one(torrentio(HASH, "Name", sources=sources))

    assert found.trackers == ("http://one.example/announce", "udp://two.example:1")


async def test_same_torrent_is_found_once_with_its_gaps_filled(bench: Bench) -> None:
    bare = {"infoHash": HASH, "title": "First.Name"}

    found = await bench.search(bare, comet(HASH, "Second.Name", 5))

    assert [(one.name, one.seeders) for one in found] == [("First.Name", 7)]
    assert found[0].file == TorrentFile("Second.Name.mkv", 5, 3)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Invalid RealDebrid ApiKey/Token!", "source_misconfigured"),
        ("invalid premium account", "source_misconfigured"),
        ("Rate-limit exceeded", "rate_limited"),
        ("ratelimit", "rate_limited"),
    ],
)
@pytest.mark.parametrize("field", ["name", "title", "description"])
async def test_error_that_is_shown_as_a_stream_is_an_error(
    bench: Bench, text: str, code: str, field: str
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await bench.search({field: text, "url": "https://a.example/error.mp4"})

    assert caught.value.code == code


async def test_error_beside_torrents_does_not_hide_them(bench: Bench) -> None:
    found = await bench.search({"title": "rate limited"}, torrentio(HASH, "Name"))

    assert len(found) == 1


@pytest.mark.parametrize(
    "text",
    [HASH.upper(), base64.b32encode(bytes.fromhex(HASH)).decode(), f" {HASH} "],
    ids=["upper case", "base32", "blanks"],
)
async def test_hash_is_normalised(bench: Bench, text: str) -> None:
    found = await bench.search({"infoHash": text, "title": "Example.Film.2021"})

    assert [(one.info_hash, one.name) for one in found] == [(HASH, "Example.Film.2021")]


@pytest.mark.parametrize("body", [b"{}", b'{"streams":null}', b'{"streams":[]}'])
async def test_no_streams_is_an_empty_answer(bench: Bench, body: bytes) -> None:
    bench.addon.fault = lambda: faults.json(body)

    found = await bench.search()

    assert found == []


@pytest.mark.parametrize(
    "body", ["Not Found", "<!DOCTYPE html><pre>Cannot GET /stream</pre>"], ids=["text", "page"]
)
@pytest.mark.parametrize("media", [FILM.media, MediaId("mal", "5", None, 1)], ids=str)
async def test_id_that_the_addon_does_not_serve_is_an_empty_answer(
    bench: Bench, media: MediaId, body: str
) -> None:
    bench.addon.fault = lambda: Response(body, 404)

    found = await bench.search(query=Query(media, None))

    assert found == []


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Response("no", 401),
        lambda: Response("no", 403),
        lambda: Response("gone", 410),
        faults.HOSTILE["login page"],
        lambda: Response("  <HTML>", media_type="text/plain"),
        lambda: Response("Please sign in", media_type="text/html"),
        lambda: RedirectResponse("/login", 302),
    ],
    ids=[
        "401",
        "403",
        "410",
        "page",
        "page without a type",
        "page by its type",
        "redirect to a login",
    ],
)
async def test_wrong_url_or_config_is_misconfigured(
    bench: Bench, fault: Callable[[], Response]
) -> None:
    bench.addon.fault = fault

    with pytest.raises(UpstreamError) as caught:
        await bench.search(query=EPISODE)

    assert caught.value.code == "source_misconfigured"


@pytest.mark.parametrize(
    "fault",
    [lambda: Response("<html>Bad gateway</html>", 502), lambda: faults.json(b'{"streams":5}')],
    ids=["page of a gateway", "another shape"],
)
async def test_passing_failure_is_not_misconfigured(
    bench: Bench, fault: Callable[[], Response]
) -> None:
    bench.addon.fault = fault

    with pytest.raises(UpstreamError) as caught:
        await bench.search()

    assert caught.value.code in {"upstream_unavailable", "reply_invalid"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("redirects", [1, 3])
async def test_redirects_are_followed(bench: Bench, status: int, redirects: int) -> None:
    bench.addon.redirects = redirects
    bench.addon.redirect_status = status

    found = await bench.search(torrentio(HASH, "Name"))

    assert [one.info_hash for one in found] == [HASH]


async def test_redirect_to_another_private_host_is_refused(bench: Bench) -> None:
    other = UpstreamAddonSimulator({"tt1234567": [torrentio(HASH, "Name")]})
    async with serve(other.app) as inside:
        onward = f"{inside}/{quote(CONFIG)}/stream/movie/tt1234567.json"
        bench.addon.fault = lambda: RedirectResponse(onward)

        with pytest.raises(UpstreamError) as caught:
            await bench.search()

    assert caught.value.code == "upstream_unavailable"
    assert other.requests == []
