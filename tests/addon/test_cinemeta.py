"""What is read from Cinemeta, whose fields come in many shapes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pytest
from starlette.responses import RedirectResponse, Response

from addon.media import Episode, MediaId, Title
from addon.metadata.cinemeta import Cinemeta
from infra.clock import Deadline
from infra.errors import ReplyInvalid, UpstreamError, UpstreamTimeout
from infra.http_client import HttpClient
from tests.fakes import faults
from tests.fakes.cinemeta import FILM, SHOW, CinemetaSimulator, Meta
from tests.fakes.server import serve

FILM_ID = MediaId("tt", "tt1234567")
SHOW_ID = MediaId("tt", "tt7654321", 2, 1)


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulator, and a client that asks it."""

    service: CinemetaSimulator
    client: Cinemeta

    async def title(self, media: MediaId = FILM_ID, seconds: float = 5) -> Title | None:
        return await self.client.title(media, Deadline.after(seconds))

    async def film(self, **changed: Any) -> Title:
        return await self._changed(FILM_ID, FILM | changed)

    async def show(self, **changed: Any) -> Title:
        return await self._changed(SHOW_ID, SHOW | changed)

    async def _changed(self, media: MediaId, meta: Meta) -> Title:
        self.service.metas = {media.key: meta}
        title = await self.title(media)
        assert title is not None
        return title


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    service = CinemetaSimulator()
    async with serve(service.app) as base_url, HttpClient.open() as http:
        yield Bench(service, Cinemeta(http, base_url))


async def test_film_is_read(bench: Bench) -> None:
    title = await bench.title(FILM_ID)

    assert title == Title(
        id="tt1234567",
        kind="movie",
        name="Example Film",
        year=2021,
        runtime_minutes=108,
        genres=("Drama", "Crime"),
        country="United States",
        imdb_id="tt1234567",
        tmdb_id=4242,
        poster="https://images.example/poster/small/tt1234567/img",
    )


async def test_series_is_read_with_its_episodes_in_order(bench: Bench) -> None:
    title = await bench.title(SHOW_ID)

    assert title == Title(
        id="tt7654321",
        kind="series",
        name="Example Show",
        year=2020,
        end_year=2024,
        runtime_minutes=48,
        genres=("Drama",),
        country="United States",
        imdb_id="tt7654321",
        tmdb_id=99,
        tvdb_id=777,
        episodes=(
            Episode(0, 1, date(2020, 1, 1)),
            Episode(1, 1, date(2020, 3, 14)),
            Episode(1, 2, date(2020, 3, 21)),
            Episode(2, 1, date(2021, 3, 14)),
        ),
        is_ended=True,
    )


@pytest.mark.parametrize("unknown_is_404", [True, False], ids=["404", "empty meta"])
async def test_unknown_title_is_none(bench: Bench, unknown_is_404: bool) -> None:
    bench.service.unknown_is_404 = unknown_is_404

    assert await bench.title(MediaId("tt", "tt9999999")) is None


async def test_meta_of_null_is_none(bench: Bench) -> None:
    bench.service.fault = lambda: faults.json(b'{"meta":null}')

    assert await bench.title() is None


@pytest.mark.parametrize("media", [FILM_ID, SHOW_ID], ids=["film", "series"])
async def test_title_needs_a_name_only(bench: Bench, media: MediaId) -> None:
    bench.service.metas = {media.key: {"name": "Bare"}}

    title = await bench.title(media)

    kind: Literal["movie", "series"] = "series" if media.is_episode else "movie"
    assert title == Title(id=media.key, kind=kind, name="Bare", imdb_id=media.key)


async def test_film_that_is_asked_for_as_a_series_is_none(bench: Bench) -> None:
    assert await bench.title(MediaId("tt", "tt1234567", 1, 1)) is None


@pytest.mark.parametrize("scheme", ["kitsu", "mal", "anidb", "tmdb"])
async def test_other_ids_are_not_asked_for(bench: Bench, scheme: Any) -> None:
    title = await bench.title(MediaId(scheme, "7442"))

    assert title is None
    assert bench.service.requests == []


@pytest.mark.parametrize(
    ("changed", "years"),
    [
        ({"year": "2020-"}, (2020, None)),
        ({"year": "2020–"}, (2020, None)),
        ({"year": "2020-2024"}, (2020, 2024)),
        ({"year": "2020 – 2024"}, (2020, 2024)),
        ({"year": 2020}, (2020, None)),
        ({"year": 2020.0}, (2020, None)),
        ({"year": None, "releaseInfo": "2019–2021"}, (2019, 2021)),
        ({"year": None, "releaseInfo": 2019}, (2019, None)),
        ({"year": "", "releaseInfo": None, "released": "2018-05-05T00:00:00.000Z"}, (2018, None)),
        ({"year": "soon", "releaseInfo": [], "released": 5}, (None, None)),
    ],
    ids=str,
)
async def test_years_are_read_from_any_form(
    bench: Bench, changed: Meta, years: tuple[int | None, int | None]
) -> None:
    title = await bench.show(**changed)

    assert (title.year, title.end_year) == years


@pytest.mark.parametrize(
    ("status", "year", "is_ended"),
    [
        ("Ended", "2020-", True),
        ("Canceled", None, True),
        ("Continuing", "2020-2024", False),
        (None, "2020-2024", True),
        (None, "2020-", False),
    ],
)
async def test_end_of_a_series_is_known_by_status_then_by_year(
    bench: Bench, status: str | None, year: str | None, is_ended: bool
) -> None:
    title = await bench.show(status=status, year=year, releaseInfo=year)

    assert title.is_ended is is_ended


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("48 min", 48), ("48min", 48), ("1h 30min", 90), ("1h30min", 90), ("2 h", 120),
        ("1h 5m", 65), ("90", 90), (90, 90), ("0 min", None), ("", None), (None, None),
        ("long", None), ("9999 min", None), (["48"], None),
    ],
)  # fmt: skip
async def test_runtime_is_read_from_any_form(
    bench: Bench, text: object, minutes: int | None
) -> None:
    title = await bench.film(runtime=text)

    assert title.runtime_minutes == minutes


@pytest.mark.parametrize(
    ("changed", "genres"),
    [
        ({"genres": ["Drama"], "genre": ["Crime"]}, ("Drama",)),
        ({"genres": None, "genre": ["Crime"]}, ("Crime",)),
        ({"genres": [], "genre": "Drama, Crime"}, ("Drama", "Crime")),
        ({"genres": ["Drama", "Drama", None, 5, ""]}, ("Drama",)),
        ({"genres": {"a": 1}}, ()),
    ],
)
async def test_genres_are_read_from_either_field(
    bench: Bench, changed: Meta, genres: tuple[str, ...]
) -> None:
    title = await bench.film(**changed)

    assert title.genres == genres


@pytest.mark.parametrize(
    ("genres", "country", "is_anime"),
    [
        (["Anime"], "", True),
        (["Animation", "Comedy"], "Japan", True),
        (["Animation"], "United States, Japan", True),
        (["Animation"], "United States", False),
        (["Drama"], "Japan", False),
    ],
)
async def test_anime_is_recognised(
    bench: Bench, genres: list[str], country: str, is_anime: bool
) -> None:
    title = await bench.show(genres=genres, country=country)

    assert title.is_anime is is_anime


@pytest.mark.parametrize(
    ("videos", "episodes"),
    [
        ([{"season": 1, "episode": 2, "number": 9}], [Episode(1, 2)]),
        ([{"season": 1, "number": 9}], [Episode(1, 9)]),
        ([{"season": 1, "episode": 0, "number": 9}], [Episode(1, 0)]),
        ([{"season": "1", "episode": 2.0}], [Episode(1, 2)]),
        ([{"season": "1.0", "number": " 2 "}], [Episode(1, 2)]),
        (
            [
                {"season": 1, "episode": 1},
                {"season": 1, "episode": 1, "released": "2020-01-02T00:00:00Z"},
                {"season": 1, "episode": 1, "released": "2020-01-03T00:00:00Z"},
            ],
            [Episode(1, 1, date(2020, 1, 2))],
        ),
        (
            [{"season": 1, "episode": 1, "released": None, "firstAired": "2020-01-02"}],
            [Episode(1, 1, date(2020, 1, 2))],
        ),
        ([{"season": 1, "episode": 1, "released": "not yet"}], [Episode(1, 1)]),
        ([{"season": 2**40, "episode": 1}, {"season": 1, "episode": 10_000}], []),
        ([{"season": -1, "episode": 1}, {"season": True, "episode": 1}], []),
        ([{"season": 1}, {"episode": 1}, {}, None], []),
        (None, []),
    ],
    ids=[
        "episode over number", "number alone", "episode zero", "other types", "texts", "doubles",
        "first aired", "bad date", "too big", "negative", "incomplete", "no videos",
    ],
)  # fmt: skip
async def test_episodes_are_read_from_any_form(
    bench: Bench, videos: object, episodes: list[Episode]
) -> None:
    title = await bench.show(videos=videos)

    assert list(title.episodes) == episodes


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"imdb_id": "tt0000042"}, "imdb_id", "tt0000042"),
        ({"imdb_id": "../etc"}, "imdb_id", "tt1234567"),
        ({"imdb_id": None}, "imdb_id", "tt1234567"),
        ({"moviedb_id": "603"}, "tmdb_id", 603),
        ({"moviedb_id": 2**40}, "tmdb_id", None),
        ({"moviedb_id": 0}, "tmdb_id", None),
        ({"poster": "javascript:alert(1)"}, "poster", None),
        ({"poster": "https://" + "a" * 2_000}, "poster", None),
        ({"poster": 5}, "poster", None),
        ({"country": None}, "country", None),
        ({"name": " " + "n" * 5_000}, "name", "n" * 300),
        ({"name": 1917}, "name", "1917"),
        ({"name": "007"}, "name", "007"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_fields_are_checked_and_bounded(
    bench: Bench, changed: Meta, field: str, value: object
) -> None:
    title = await bench.film(**changed)

    assert getattr(title, field) == value


async def test_episodes_are_bounded(bench: Bench) -> None:
    videos = [{"season": season, "episode": e} for season in range(3) for e in range(9_000)]

    title = await bench.show(videos=videos)

    assert len(title.episodes) == 20_000


@pytest.mark.parametrize("redirects", [1, 3])
async def test_redirects_are_followed(bench: Bench, redirects: int) -> None:
    bench.service.redirects = redirects

    assert await bench.title() is not None


@pytest.mark.parametrize(
    "fault",
    [
        lambda: RedirectResponse("http://127.0.0.1:1/meta/movie/tt1234567.json"),
        lambda: Response("down", 503),
        lambda: Response("slow down", 429),
        lambda: Response("no", 403),
        lambda: faults.json(b'{"meta":[]}'),
        lambda: faults.json(b'{"meta":{"name":"x","videos":5}}'),
    ],
    ids=["redirect inside", "503", "429", "403", "another shape", "no list of videos"],
)
async def test_failure_is_not_taken_for_an_unknown_title(
    bench: Bench, fault: Callable[[], Response]
) -> None:
    bench.service.fault = fault

    with pytest.raises(UpstreamError):
        await bench.title()


@pytest.mark.parametrize("body", faults.HOSTILE.values(), ids=faults.HOSTILE)
async def test_hostile_body_is_an_error(bench: Bench, body: Callable[[], Response]) -> None:
    bench.service.fault = body

    with pytest.raises(ReplyInvalid):
        await bench.title()


async def test_hanging_service_is_left_at_the_deadline(bench: Bench) -> None:
    bench.service.fault = faults.Hang

    with pytest.raises(UpstreamTimeout):
        await bench.title(seconds=0.2)
