"""How the Torznab source asks, pages, reads and resolves."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from starlette.responses import RedirectResponse, Response
from structlog.testing import capture_logs

from addon.media import Episode, MediaId, Title
from addon.sources.base import Query
from addon.sources.endpoint import own_hosts
from addon.sources.torznab import Torznab
from addon.torrent import Found
from infra.clock import Deadline
from infra.errors import UpstreamError, UpstreamUnavailable
from infra.http_client import HttpClient
from infra.secret import Secret
from tests.fakes import faults
from tests.fakes.clock import FakeClock
from tests.fakes.server import serve
from tests.fakes.torznab import KEY, Caps, Entry, HashIn, TorznabSimulator, error

_FILM_TITLE = Title(id="tt1234567", kind="movie", name="Example Film", year=2021)
_SHOW_TITLE = Title(id="tt1234567", kind="series", name="Example Show")
_ANIME_TITLE = Title(
    id="tt1234567",
    kind="series",
    name="Example Anime",
    imdb_id="tt1234567",
    is_anime=True,
    episodes=tuple(Episode(season, number) for season in (1, 2) for number in range(1, 13)),
)
FILM = Query(MediaId("tt", "tt1234567"), _FILM_TITLE)
EPISODE = Query(MediaId("tt", "tt1234567", 2, 5), _SHOW_TITLE)
ANIME = Query(MediaId("tt", "tt1234567", 2, 5), _ANIME_TITLE)
KITSU = Query(MediaId("kitsu", "7442", None, 5), _SHOW_TITLE)

TEXT_ONLY = Caps(tv_search="", movie_search="")
NAME = "Example.Film.2021.1080p.WEB-DL-GRP"


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulator, and a source that asks it."""

    indexer: TorznabSimulator
    source: Torznab
    clock: FakeClock
    base_url: str

    async def search(self, query: Query = FILM, seconds: float = 5) -> list[Found]:
        return list(await self.source.search(query, Deadline.after(seconds)))

    async def failure(self, query: Query = FILM) -> UpstreamError:
        with pytest.raises(UpstreamError) as caught:
            await self.search(query)
        return caught.value


@pytest.fixture
async def bench(clock: FakeClock) -> AsyncIterator[Bench]:
    indexer = TorznabSimulator()
    async with serve(indexer.app) as base_url, HttpClient.open() as http:
        source = Torznab(http, clock, "example", f"{base_url}/api", Secret(KEY))
        yield Bench(indexer, source, clock, base_url)


def films(count: int) -> list[Entry]:
    return [Entry(f"{NAME}{number}") for number in range(count)]


def torrent(name: bytes = b"film.mkv", *, private: bool = False) -> bytes:
    flag = b"7:privatei1e" if private else b""
    info = b"d6:lengthi700e4:name%d:%s6:pieces20:%s%se" % (len(name), name, b"x" * 20, flag)
    return b"d8:announce22:udp://tracker.one:1/an4:info" + info + b"e"


# --- what is asked


@pytest.mark.parametrize(
    ("caps", "query", "asked"),
    [
        (Caps(), FILM, [{"t": "movie", "imdbid": "1234567"}]),
        (
            Caps(),
            EPISODE,
            [
                {"t": "tvsearch", "imdbid": "1234567", "season": "2", "ep": "5"},
                {"t": "tvsearch", "imdbid": "1234567", "season": "2"},
            ],
        ),
        (
            Caps(tv_search="q,season,imdbid"),
            EPISODE,
            [{"t": "tvsearch", "imdbid": "1234567", "season": "2"}],
        ),
        (Caps(tv_search="q,imdbid"), EPISODE, [{"t": "tvsearch", "imdbid": "1234567"}]),
        (
            Caps(tv_search="q,season,ep"),
            EPISODE,
            [{"t": "search", "q": "Example Show S02E05"}, {"t": "search", "q": "Example Show S02"}],
        ),
        (TEXT_ONLY, FILM, [{"t": "search", "q": "Example Film 2021"}]),
        (
            Caps(search="", movie_search="q"),
            FILM,
            [{"t": "movie", "q": "Example Film 2021"}],
        ),
        (Caps(search="", movie_search=""), FILM, []),
        (TEXT_ONLY, Query(FILM.media, None), []),
        (
            Caps(),
            KITSU,
            [{"t": "search", "q": "Example Show 05"}, {"t": "search", "q": "Example Show"}],
        ),
        (
            Caps(),
            Query(KITSU.media, _ANIME_TITLE),
            [{"t": "search", "q": "Example Anime 05"}, {"t": "search", "q": "Example Anime"}],
        ),
        (
            Caps(),
            ANIME,
            [
                {"t": "tvsearch", "imdbid": "1234567", "season": "2", "ep": "5"},
                {"t": "tvsearch", "imdbid": "1234567", "season": "2"},
                {"t": "search", "q": "Example Anime 17"},
            ],
        ),
    ],
    ids=[
        "film by id", "episode and its pack by id", "no ep", "neither season nor ep",
        "episode by text", "film by text", "text in the film search", "nothing it could be asked",
        "no name for a text search", "anime without a season",
        "anime without a season, its id known", "absolute number",
    ],
)  # fmt: skip
async def test_only_what_is_declared_is_asked(
    bench: Bench, caps: Caps, query: Query, asked: list[dict[str, str]]
) -> None:
    bench.indexer.caps = caps
    bench.indexer.entries = [Entry(NAME), Entry("Example.Show", season=2, episode=5, category=5000)]

    await bench.search(query)

    searches = bench.indexer.searches()
    assert sorted(searches, key=str) == sorted(asked, key=str)


@pytest.mark.parametrize(
    ("declared", "used"),
    [
        ("q,season,ep,imdbid,tvdbid,tmdbid", {"tvdbid": "55"}),
        ("q,season,ep,tmdbid,imdbid", {"imdbid": "1234567"}),
        ("q,season,ep,tmdbid", {"tmdbid": "66"}),
    ],
    ids=["tvdb first", "then imdb", "then tmdb"],
)
async def test_best_declared_id_of_a_series_is_used(
    bench: Bench, declared: str, used: dict[str, str]
) -> None:
    bench.indexer.caps = Caps(tv_search=declared)
    title = Title(id="tt1234567", kind="series", name="Example Show", tvdb_id=55, tmdb_id=66)

    await bench.search(Query(EPISODE.media, title))

    assert {"t": "tvsearch", "season": "2"} | used in bench.indexer.searches()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ocean’s Eleven", "Oceans Eleven 2021"),
        ("What If...?", "What If 2021"),
        ("Law & Order: Part-Two", "Law Order Part Two 2021"),
        ("Амели", "Амели 2021"),
    ],
)
async def test_text_is_free_of_punctuation(bench: Bench, name: str, text: str) -> None:
    bench.indexer.caps = TEXT_ONLY
    title = Title(id="tt1234567", kind="movie", name=name, year=2021)

    await bench.search(Query(FILM.media, title))

    assert bench.indexer.searches() == [{"t": "search", "q": text}]


async def test_film_is_asked_for_under_one_more_name(bench: Bench) -> None:
    bench.indexer.caps = TEXT_ONLY
    title = Title(
        id="tt1234567", kind="movie", name="High & Low", aliases=("High Low", "Tengoku", "Third")
    )

    await bench.search(Query(FILM.media, title))

    texts = {search["q"] for search in bench.indexer.searches()}
    assert texts == {"High Low", "Tengoku"}


@pytest.mark.parametrize(
    ("query", "categories"),
    [(FILM, "2000"), (EPISODE, "5000"), (ANIME, "5000,5070"), (KITSU, "5000,5070")],
    ids=["film", "episode", "anime by its title", "anime by its id"],
)
async def test_portable_categories_are_asked(bench: Bench, query: Query, categories: str) -> None:
    await bench.search(query)

    asked = [request["cat"] for request in bench.indexer.requests if request["t"] != "caps"]
    assert set(asked) == {categories}


async def test_episode_and_season_pack_are_both_found(bench: Bench) -> None:
    bench.indexer.entries = [
        Entry("Example.Show.S02E05.1080p", season=2, episode=5, category=5000),
        Entry("Example.Show.S02.1080p", season=2, category=5000),
        Entry("Example.Show.S03.1080p", season=3, category=5000),
    ]

    found = await bench.search(EPISODE)

    assert {one.name for one in found} == {"Example.Show.S02E05.1080p", "Example.Show.S02.1080p"}


async def test_open_indexer_gets_no_key(clock: FakeClock) -> None:
    indexer = TorznabSimulator(films(1), needs_key=False)
    async with serve(indexer.app) as base_url, HttpClient.open() as http:
        source = Torznab(http, clock, "example", f"{base_url}/api", Secret(""))

        found = await source.search(FILM, Deadline.after(5))

    assert len(found) == 1
    assert not any("apikey" in request for request in indexer.requests)


# --- caps


async def test_caps_are_asked_once_for_many_searches(bench: Bench) -> None:
    await asyncio.gather(*(bench.search() for _ in range(5)))

    assert len(bench.indexer.asked("caps")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Response("<rss><channel/></rss>", media_type="application/xml"),
        Response('<error code="202" description="No such function"/>'),
    ],
    ids=["feed", "no such function"],
)
async def test_indexer_without_caps_is_asked_by_text(bench: Bench, answer: Response) -> None:
    bench.indexer.no_caps = answer

    await bench.search(FILM)

    assert bench.indexer.searches()[0]["t"] == "search"


@pytest.mark.parametrize(
    "answer",
    [
        Response("Not Found", 404),
        Response("Method Not Allowed", 405),
        Response("", 400),
        Response("<html>broken</html>", 500),
        Response("It works!"),
        faults.HOSTILE["login page"](),
        error(900, "Unknown function"),
        error(900, "Unknown function", 500),
        error(910, "Disabled"),
        faults.xml("<caps/>"),
        faults.xml("<caps><searching/></caps>"),
        faults.xml('<caps><searching><search available="no"/></searching></caps>'),
        faults.xml("<html><body/></html>"),
    ],
    ids=[
        "404", "405", "400", "500", "no XML", "HTML", "error 900", "error 900 with 500",
        "error 910", "empty caps", "no functions", "nothing available", "XHTML",
    ],
)  # fmt: skip
async def test_indexer_whose_caps_tell_nothing_is_asked_by_text(
    bench: Bench, answer: Response
) -> None:
    bench.indexer.no_caps = answer
    bench.indexer.entries = films(1)

    with capture_logs() as logs:
        found = await bench.search()
        await bench.search()

    assert [one.by_id for one in found] == [False]
    assert bench.indexer.searches()[0] == {"t": "search", "q": "Example Film 2021"}
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("indexer_asked_by_text", "info")
    ]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response("no", 401), "source_misconfigured"),
        (Response("no", 403), "source_misconfigured"),
        (error(100), "source_misconfigured"),
        (error(101), "source_misconfigured"),
        (error(102, "", 500), "source_misconfigured"),
        (Response("slow down", 429), "rate_limited"),
        (error(500, "Request limit reached"), "rate_limited"),
        (Response("down", 503), "upstream_unavailable"),
        (faults.huge(), "reply_invalid"),
    ],
    ids=["401", "403", "100", "101", "102", "429", "error 500", "503", "50 MiB"],
)
async def test_caps_that_are_refused_are_an_error(
    bench: Bench, answer: Response, code: str
) -> None:
    bench.indexer.no_caps = answer

    failure = await bench.failure()

    assert failure.code == code
    assert bench.indexer.searches() == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response("no", 401), "source_misconfigured"),
        (Response("no", 403), "source_misconfigured"),
        (Response("no", 404), "source_misconfigured"),
        (Response("broken", 500), "upstream_unavailable"),
        (Response("It works!"), "reply_invalid"),
        (faults.HOSTILE["login page"](), "source_misconfigured"),
        (faults.xml("<html><body/></html>"), "source_misconfigured"),
    ],
    ids=["401", "403", "404", "500", "no XML", "HTML", "XHTML"],
)
async def test_indexer_without_caps_that_refuses_a_search_is_an_error(
    bench: Bench, answer: Response, code: str
) -> None:
    bench.indexer.no_caps = Response("Not Found", 404)
    bench.indexer.spares_caps = True
    bench.indexer.fault = lambda: answer

    failure = await bench.failure()

    assert failure.code == code


async def test_indexer_without_caps_that_refuses_text_is_not_asked_twice(bench: Bench) -> None:
    bench.indexer.no_caps = Response("Not Found", 404)
    bench.indexer.spares_caps = True
    bench.indexer.fault = lambda: error(202, "No such function")

    failure = await bench.failure()

    assert failure.code == "query_refused"
    assert len(bench.indexer.requests) == 2


async def test_caps_are_asked_again_after_a_text_search_that_failed(bench: Bench) -> None:
    bench.indexer.entries = films(1)
    bench.indexer.fault = lambda: Response("starting", 500)
    await bench.failure()
    bench.indexer.fault = None

    found = await bench.search()

    assert [one.by_id for one in found] == [True]


async def test_missing_caps_are_asked_for_again_after_an_hour(bench: Bench) -> None:
    bench.indexer.entries = films(1)
    bench.indexer.no_caps = Response("starting", 500)
    await bench.search()
    bench.indexer.no_caps = None
    bench.clock.advance(timedelta(hours=1, seconds=1))

    found = await bench.search()

    assert [one.by_id for one in found] == [True]


async def test_caps_are_asked_again_after_half_a_day(bench: Bench) -> None:
    await bench.search()
    bench.clock.advance(timedelta(hours=12, seconds=1))

    await bench.search()

    assert len(bench.indexer.asked("caps")) == 2


async def test_caps_of_a_hanging_indexer_are_not_waited_for_past_the_deadline(
    bench: Bench,
) -> None:
    bench.indexer.fault = faults.Hang
    slow = asyncio.ensure_future(bench.search(seconds=0.6))
    await asyncio.sleep(0.05)

    with pytest.raises(UpstreamError):
        await bench.search(seconds=0.1)

    assert not slow.done()
    with pytest.raises(UpstreamError):
        await slow


@pytest.mark.parametrize(
    "obeys",
    [Caps(movie_search="q"), Caps(movie_search="")],
    ids=["201: parameter", "203: function"],
)
async def test_refused_query_is_asked_by_text_once_after_new_caps(
    bench: Bench, obeys: Caps
) -> None:
    bench.indexer.entries = films(1)
    bench.indexer.obeys = obeys

    found = await bench.search()

    assert [one.by_id for one in found] == [False]
    assert len(bench.indexer.asked("caps")) == 2
    assert bench.indexer.searches()[-1] == {"t": "search", "q": "Example Film 2021"}


async def test_indexer_that_refuses_text_as_well_is_an_error(bench: Bench) -> None:
    bench.indexer.fault = lambda: error(202, "No such function")
    bench.indexer.spares_caps = True

    failure = await bench.failure()

    assert failure.code == "query_refused"
    assert len(bench.indexer.searches()) == 2


async def test_refused_query_without_a_name_stays_an_error(bench: Bench) -> None:
    bench.indexer.obeys = Caps(movie_search="q")

    failure = await bench.failure(Query(FILM.media, None))

    assert failure.code == "query_refused"


# --- an id that the indexer does not know


async def test_id_search_that_finds_nothing_is_followed_by_a_text_search(bench: Bench) -> None:
    bench.indexer.entries = [Entry(NAME, imdb="")]

    found = await bench.search()

    assert [(one.name, one.by_id) for one in found] == [(NAME, False)]
    assert bench.indexer.searches() == [
        {"t": "movie", "imdbid": "1234567"},
        {"t": "search", "q": "Example Film 2021"},
    ]


async def test_text_search_after_an_id_search_asks_nothing_twice(bench: Bench) -> None:
    await bench.search(ANIME)

    texts = [search["q"] for search in bench.indexer.searches() if "q" in search]
    assert sorted(texts) == ["Example Anime 17", "Example Anime S02", "Example Anime S02E05"]


@pytest.mark.parametrize(
    ("caps", "query"),
    [(Caps(search="", movie_search="imdbid"), FILM), (Caps(), Query(FILM.media, None))],
    ids=["takes no text", "no name"],
)
async def test_nothing_by_id_and_no_text_search_is_an_empty_answer(
    bench: Bench, caps: Caps, query: Query
) -> None:
    bench.indexer.caps = caps

    found = await bench.search(query)

    assert found == []
    assert bench.indexer.searches() == [{"t": "movie", "imdbid": "1234567"}]


async def test_text_search_after_an_id_search_costs_no_more_than_its_time(bench: Bench) -> None:
    bench.indexer.spares_caps = True
    bench.indexer.spared = 1
    bench.indexer.fault = faults.Hang
    deadline = Deadline.after(0.5)

    found = await bench.source.search(FILM, deadline)

    assert list(found) == []
    assert deadline.left > 0


async def test_limit_on_the_text_search_after_an_id_search_is_told(bench: Bench) -> None:
    bench.indexer.spares_caps = True
    bench.indexer.spared = 1
    bench.indexer.fault = lambda: Response("slow down", 429)

    failure = await bench.failure()

    assert failure.code == "rate_limited"


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("redirects", [1, 3])
async def test_redirects_of_the_endpoint_are_followed(
    bench: Bench, status: int, redirects: int
) -> None:
    bench.indexer.entries = films(1)
    bench.indexer.redirects = redirects
    bench.indexer.redirect_status = status

    found = await bench.search()

    assert [one.by_id for one in found] == [True]


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://indexer.lan:9117/api", {("indexer.lan", 9117), ("indexer.lan", 443)}),
        ("http://INDEXER.lan/api", {("indexer.lan", 80), ("indexer.lan", 443)}),
        ("https://192.168.0.2/api", {("192.168.0.2", 443)}),
    ],
)
def test_configured_host_may_lead_to_itself_only(url: str, hosts: set[tuple[str, int]]) -> None:
    assert own_hosts(url) == hosts


async def test_fourth_redirect_is_not_followed(bench: Bench) -> None:
    bench.indexer.redirects = 4

    failure = await bench.failure()

    assert failure.code == "upstream_unavailable"
    assert bench.indexer.requests == []


async def test_redirect_to_another_private_host_is_refused(bench: Bench) -> None:
    other = TorznabSimulator(films(1))
    async with serve(other.app) as inside:
        bench.indexer.fault = lambda: RedirectResponse(f"{inside}/api?t=caps&apikey={KEY}")

        failure = await bench.failure()

    assert failure.code == "upstream_unavailable"
    assert other.requests == []


async def test_redirect_to_a_login_page_is_misconfigured(bench: Bench) -> None:
    bench.indexer.fault = lambda: RedirectResponse("/login", 302)

    failure = await bench.failure()

    assert failure.code == "source_misconfigured"


# --- paging


@pytest.mark.parametrize("tells_total", [True, False], ids=["total told", "total not told"])
@pytest.mark.parametrize(
    ("held", "found", "pages"),
    [(0, 0, 1), (99, 99, 1), (101, 101, 2), (250, 250, 3), (1_000, 300, 3)],
)
async def test_pages_are_read_to_the_last_but_three_at_most(
    bench: Bench, tells_total: bool, held: int, found: int, pages: int
) -> None:
    bench.indexer.entries = films(held)
    bench.indexer.tells_total = tells_total

    finds = await bench.search()

    assert len(finds) == found
    assert len(bench.indexer.asked("movie")) == pages


async def test_total_is_believed_over_a_short_page(bench: Bench) -> None:
    bench.indexer.entries = films(60)
    bench.indexer.serves = 25

    found = await bench.search()

    assert len(found) == 60


async def test_page_size_is_what_the_indexer_allows(bench: Bench) -> None:
    bench.indexer.caps = Caps(page_size=50)
    bench.indexer.entries = films(120)

    found = await bench.search()

    assert len(found) == 120
    assert {request["limit"] for request in bench.indexer.asked("movie")} == {"50"}


async def test_indexer_that_ignores_the_offset_is_not_asked_for_ever(bench: Bench) -> None:
    bench.indexer.entries = films(400)
    bench.indexer.ignores_offset = True

    found = await bench.search()

    assert len(found) == 100
    assert len(bench.indexer.asked("movie")) == 2


async def test_first_page_counts_though_the_second_fails(bench: Bench) -> None:
    bench.indexer.entries = films(150)
    bench.indexer.fault = lambda: Response("broken", 500)
    bench.indexer.spares_caps = True
    bench.indexer.spared = 1

    found = await bench.search()

    assert len(found) == 100


async def test_first_page_is_handed_over_before_the_deadline(bench: Bench) -> None:
    bench.indexer.entries = films(150)
    bench.indexer.fault = faults.Hang
    bench.indexer.spares_caps = True
    bench.indexer.spared = 1
    deadline = Deadline.after(0.6)

    found = await bench.source.search(FILM, deadline)

    assert len(found) == 100
    assert deadline.left > 0


# --- what is read


@pytest.mark.parametrize("place", ["attr", "magneturl", "enclosure", "link", "guid"])
async def test_hash_is_found_wherever_it_stands(bench: Bench, place: HashIn) -> None:
    bench.indexer.entries = [Entry(NAME, hash_in=place)]

    found = await bench.search()

    assert [one.info_hash for one in found] == [bench.indexer.entries[0].hash]
    assert bench.indexer.downloads == []


@pytest.mark.parametrize(
    "text",
    [
        "0123456789ABCDEF0123456789ABCDEF01234567",
        "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH",
        b"0123456789abcdef0123456789abcdef01234567".hex(),
    ],
    ids=["upper case", "base32", "hex of hex"],
)
async def test_hash_is_normalised(bench: Bench, text: str) -> None:
    bench.indexer.entries = [Entry(NAME, text)]

    found = await bench.search()

    assert [one.info_hash for one in found] == ["0123456789abcdef0123456789abcdef01234567"]


async def test_attributes_of_newznab_are_read_as_well(bench: Bench) -> None:
    bench.indexer.prefix = "newznab"
    bench.indexer.entries = [Entry(NAME, seeders=41)]

    found = await bench.search()

    assert [one.seeders for one in found] == [41]


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [
        (None, None),
        ("", None),
        ("unknown", None),
        ("-1", None),
        ("1234.0", 1_234),
        ("1.4 GB", int(1.4 * 1024**3)),
        ("700 MiB", 700 * 1024**2),
        ("1,234,567", 1_234_567),
    ],
)
@pytest.mark.parametrize("place", ["attr", "magneturl", "link"])
async def test_torrent_counts_whatever_its_size_looks_like(
    bench: Bench, place: HashIn, size: str | None, size_bytes: int | None
) -> None:
    bench.indexer.entries = [Entry(NAME, size_bytes=size, hash_in=place)]

    found = await bench.search()

    assert [(one.name, one.size_bytes) for one in found] == [(NAME, size_bytes)]


async def test_size_may_stand_in_an_attribute(bench: Bench) -> None:
    bench.indexer.entries = [Entry(NAME, size_bytes=None, extra={"size": "1.5 GiB"})]

    found = await bench.search()

    assert [one.size_bytes for one in found] == [int(1.5 * 1024**3)]


async def test_link_of_an_entry_without_a_size_is_followed(bench: Bench) -> None:
    bench.indexer.entries = [Entry(NAME, size_bytes=None, hash_in="redirect")]

    found = await bench.search()

    assert [one.info_hash for one in found] == [bench.indexer.entries[0].hash]


async def test_unknown_is_not_zero(bench: Bench) -> None:
    bench.indexer.entries = [
        Entry(NAME, seeders=None, size_bytes=None),
        Entry(f"{NAME}2", seeders=0, size_bytes=1),
    ]

    found = await bench.search()

    assert [(one.seeders, one.size_bytes) for one in found] == [(None, None), (0, 1)]


@pytest.mark.parametrize(
    "extra", [{"seeders": "-1"}, {"seeders": str(2**31)}, {"seeders": "٣"}, {"seeders": "9" * 5000}]
)
async def test_absurd_numbers_are_unknown(bench: Bench, extra: dict[str, str]) -> None:
    bench.indexer.entries = [Entry(NAME, seeders=None, extra=extra)]

    found = await bench.search()

    assert [one.seeders for one in found] == [None]


@pytest.mark.parametrize(
    ("kind", "extra", "is_private"),
    [
        ("public", {}, False),
        ("public", {"minimumratio": "1", "minimumseedtime": "172800"}, False),
        ("semi-private", {}, True),
        ("semiPrivate", {}, True),
        ("Private", {}, True),
        (None, {}, False),
        (None, {"minimumratio": "0.0", "minimumseedtime": "0"}, False),
        (None, {"minimumratio": "1.0"}, True),
        (None, {"minimumseedtime": "3600"}, True),
    ],
)
async def test_private_torrents_are_told_apart(
    bench: Bench, kind: str | None, extra: dict[str, str], is_private: bool
) -> None:
    bench.indexer.entries = [Entry(NAME, kind=kind, extra=extra, hash_in="enclosure")]

    found = await bench.search()

    assert [one.private for one in found] == [is_private]
    assert bool(found[0].trackers) is not is_private


@pytest.mark.parametrize(
    "entry",
    [
        Entry(NAME, "none", size_bytes=None, no_link=True),
        Entry("Invalid Magnet"),
        Entry(" "),
        Entry(NAME, "not a hash", link="ftp://site.example/file"),
        Entry(NAME, "0" * 40, link="x"),
    ],
    ids=["placeholder", "invalid magnet", "no name", "no hash and no link", "all zeros"],
)
async def test_entry_that_is_no_torrent_is_passed_over(bench: Bench, entry: Entry) -> None:
    bench.indexer.entries = [entry, Entry("Example.Film.2021.720p")]

    found = await bench.search()

    assert [one.name for one in found] == ["Example.Film.2021.720p"]


async def test_double_fills_gaps_of_the_first_and_keeps_it_private(bench: Bench) -> None:
    both = "0123456789abcdef0123456789abcdef01234567"
    bench.indexer.entries = [
        Entry("First.Name", both, seeders=None, size_bytes=None, extra={"grabs": "1"}),
        Entry("Second.Name", both, seeders=3, size_bytes=7, kind="private"),
    ]

    found = await bench.search()

    assert [(one.name, one.seeders, one.size_bytes, one.private) for one in found] == [
        ("First.Name", 3, 7, True)
    ]


async def test_find_by_id_is_marked(bench: Bench) -> None:
    bench.indexer.entries = films(1)

    found = await bench.search()

    assert [one.by_id for one in found] == [True]


async def test_find_by_id_and_by_text_counts_as_by_id(bench: Bench) -> None:
    name = "Example.Anime.17.1080p"
    bench.indexer.entries = [Entry(name, season=2, episode=5, category=5000)]

    found = await bench.search(ANIME)

    assert [one.by_id for one in found] == [True]


async def test_find_by_text_is_not_marked_as_by_id(bench: Bench) -> None:
    bench.indexer.caps = TEXT_ONLY
    bench.indexer.entries = films(1)

    found = await bench.search()

    assert [one.by_id for one in found] == [False]


@pytest.mark.parametrize("junk", ["\x01", "\x1f", "&#x1F;", "&#8;", "&#0;"])
async def test_illegal_control_characters_do_not_spoil_a_feed(bench: Bench, junk: str) -> None:
    feed = f"""<?xml version="1.0"?><rss><channel><item><title>{junk}{NAME}{junk}</title>
        <size>5</size><attr name="infohash" value="{"a1" * 20}"/></item></channel></rss>"""
    bench.indexer.fault = lambda: faults.xml(feed)
    bench.indexer.spares_caps = True

    found = await bench.search()

    assert [one.name for one in found] == [NAME]


async def test_large_feed_is_read(bench: Bench) -> None:
    padding = {"note": "x" * 6_000}
    bench.indexer.entries = [Entry(f"{NAME}{number}", extra=padding) for number in range(100)]

    found = await bench.search()

    assert len(found) == 100


async def test_feed_is_read_no_further_than_a_thousand_entries(bench: Bench) -> None:
    item = "<item><title>n</title><size>5</size><attr name='infohash' value='{:040x}'/></item>"
    items = "".join(item.format(number) for number in range(1, 1_501))
    bench.indexer.fault = lambda: faults.xml(f"<rss><channel>{items}</channel></rss>")
    bench.indexer.spares_caps = True

    found = await bench.search()

    assert len(found) == 1_000


# --- errors


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        (100, 200, "source_misconfigured"),
        (101, 403, "source_misconfigured"),
        (102, 500, "source_misconfigured"),
        (910, 200, "source_misconfigured"),
        (429, 429, "rate_limited"),
        (500, 200, "rate_limited"),
        (501, 400, "rate_limited"),
        (500, 500, "upstream_unavailable"),
        (900, 200, "upstream_unavailable"),
        (900, 500, "upstream_unavailable"),
        (300, 200, "upstream_unavailable"),
    ],
)
@pytest.mark.parametrize("attribute", ["code", "error"])
async def test_error_codes_have_their_meaning(
    bench: Bench, code: int, status: int, meaning: str, attribute: str
) -> None:
    bench.indexer.fault = lambda: error(code, f"apikey {KEY}", status, attribute=attribute)

    failure = await bench.failure()

    assert failure.code == meaning
    assert KEY not in str(failure)


async def test_wrong_key_is_misconfigured(bench: Bench, clock: FakeClock) -> None:
    async with HttpClient.open() as http:
        source = Torznab(http, clock, "example", f"{bench.base_url}/api", Secret("wrong-key"))

        with pytest.raises(UpstreamUnavailable) as caught:
            await source.search(FILM, Deadline.after(5))

    assert caught.value.code == "source_misconfigured"
    assert "wrong-key" not in str(caught.value)


async def test_limit_in_a_good_answer_says_how_long_to_wait(bench: Bench) -> None:
    def limited() -> Response:
        response = error(500, "Request limit reached")
        response.headers["Retry-After"] = "90"
        return response

    bench.indexer.fault = limited

    failure = await bench.failure()

    assert failure.retry_after == timedelta(seconds=90)


# --- links that hide the hash


async def test_link_that_redirects_to_a_magnet_is_followed(bench: Bench) -> None:
    bench.indexer.entries = [Entry(NAME, hash_in="redirect")]

    found = await bench.search()

    assert [one.info_hash for one in found] == [bench.indexer.entries[0].hash]
    assert found[0].trackers == ("udp://tracker.example:1/announce",)


async def test_link_to_a_torrent_file_is_read(bench: Bench) -> None:
    body = torrent()
    bench.indexer.entries = [Entry(NAME, hash_in="file", torrent=body)]

    found = await bench.search()

    info = body[body.index(b"4:info") + 6 : -1]
    assert [one.info_hash for one in found] == [hashlib.sha1(info).hexdigest()]
    assert found[0].file is not None
    assert (found[0].file.path, found[0].file.size_bytes) == ("film.mkv", 700)


async def test_private_flag_of_a_torrent_file_counts(bench: Bench) -> None:
    bench.indexer.entries = [
        Entry(NAME, hash_in="file", torrent=torrent(private=True), kind="public")
    ]

    found = await bench.search()

    assert [(one.private, one.trackers) for one in found] == [(True, ())]


async def test_link_that_leads_nowhere_costs_its_own_entry_only(bench: Bench) -> None:
    bench.indexer.entries = [
        Entry(NAME, hash_in="file", torrent=b"<html>"),
        Entry(NAME, hash_in="file", torrent=b"l" * 100_000),
        Entry(NAME, link="http://127.0.0.1:1/closed", info_hash="none"),
        Entry(f"{NAME}2"),
    ]

    found = await bench.search()

    assert [one.name for one in found] == [f"{NAME}2"]


async def test_links_are_followed_once_for_hours(bench: Bench) -> None:
    bench.indexer.entries = [Entry(NAME, hash_in="redirect")]

    await bench.search()
    again = await bench.search()
    at_first = list(bench.indexer.downloads)
    bench.clock.advance(timedelta(hours=6, seconds=1))
    await bench.search()

    assert len(again) == 1
    assert at_first == ["/dl/0"]
    assert bench.indexer.downloads == ["/dl/0", "/dl/0"]


async def test_link_that_two_entries_share_is_followed_once(bench: Bench) -> None:
    shared = f"{bench.base_url}/dl/0"
    bench.indexer.entries = [
        Entry(NAME, hash_in="redirect", link=shared),
        Entry(f"{NAME}2", "none", link=shared),
    ]

    found = await bench.search()

    assert [one.name for one in found] == [NAME]
    assert bench.indexer.downloads == ["/dl/0"]


async def test_twenty_links_at_most_are_followed_best_seeded_first(bench: Bench) -> None:
    bench.indexer.entries = [
        Entry(f"{NAME}{number}", hash_in="redirect", seeders=number) for number in range(30)
    ]

    found = await bench.search()

    assert len(bench.indexer.downloads) == 20
    assert {one.seeders for one in found} == set(range(10, 30))


async def test_link_of_another_title_is_not_followed(bench: Bench) -> None:
    bench.indexer.caps = TEXT_ONLY
    feed = f"""<rss><channel><item><title>Something.Else.1999</title><size>5</size>
        <link>{bench.base_url}/dl/0</link></item></channel></rss>"""
    bench.indexer.fault = lambda: faults.xml(feed)
    bench.indexer.spares_caps = True

    found = await bench.search()

    assert found == []
    assert bench.indexer.downloads == []


async def test_link_to_another_private_address_is_refused(bench: Bench) -> None:
    other = TorznabSimulator([Entry(NAME, hash_in="redirect")])
    async with serve(other.app) as inside:
        bench.indexer.entries = [Entry(NAME, "none", link=f"{inside}/dl/0")]

        found = await bench.search()

    assert found == []
    assert other.downloads == []


async def test_slow_links_do_not_cost_what_is_known_already(bench: Bench) -> None:
    bench.indexer.entries = [
        Entry(NAME, "none", link=f"{bench.base_url}/api?t=hang"),
        Entry(f"{NAME}2"),
    ]
    bench.indexer.fault = faults.Hang
    bench.indexer.spares_caps = True
    bench.indexer.spared = 1

    found = await bench.search(seconds=0.5)

    assert bench.indexer.asked("hang")
    assert [one.name for one in found] == [f"{NAME}2"]


# --- an indexer that a user brought


async def test_users_own_indexer_cannot_be_inside(bench: Bench, clock: FakeClock) -> None:
    async with HttpClient.open() as http:
        source = Torznab(
            http, clock, "mine", f"{bench.base_url}/api", Secret(KEY), is_trusted=False
        )

        with pytest.raises(UpstreamError):
            await source.search(FILM, Deadline.after(5))

    assert bench.indexer.requests == []
