"""Cinemeta: Stremio's own metadata, without a key; it knows IMDb ids and nothing else.

https://v3-cinemeta.strem.io (answers looked at 2026-11).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import msgspec
from yarl import URL

from addon.media import Episode, MediaId, Title
from infra import lenient
from infra.clock import Deadline
from infra.errors import UpstreamUnavailable
from infra.http_client import HttpClient

_MAX_NAME = 300
_MAX_EPISODES = 20_000
_MAX_NUMBER = 9_999
_MAX_ID = 2**31 - 1
_MAX_GENRES = 20
_MAX_URL = 1_000
_MAX_MINUTES = 6_000

_IMDB = re.compile(r"tt\d{7,9}")
# `2020`, `2020-`, and `2020–2024`, mostly with an en dash.
_YEARS = re.compile(r"(\d{4})(?:\s*[-–—]\s*(\d{4}))?")
_RUNTIME = re.compile(r"(?:(\d{1,3})\s*h[a-z.]*)?\s*(?:(\d{1,4})(?:\s*m[a-z.]*)?)?", re.IGNORECASE)
_ENDED = frozenset({"ended", "canceled", "cancelled"})


@dataclass(frozen=True, slots=True)
class Cinemeta:
    """The service at `base_url`, which may redirect to other public hosts."""

    http: HttpClient
    base_url: str

    @property
    def name(self) -> str:
        """As in logs."""
        return "cinemeta"

    async def title(self, media: MediaId, deadline: Deadline) -> Title | None:
        """Return the film or series; None for an id that is unknown, or not IMDb's.

        Raises:
            UpstreamError: the service failed.
        """
        if media.scheme != "tt":
            return None
        kind: Literal["movie", "series"] = "series" if media.is_episode else "movie"
        own = URL(self.base_url)
        answer = await self.http.fetch_foreign(
            f"{self.base_url.rstrip('/')}/meta/{kind}/{media.key}.json",
            deadline=deadline,
            allowed=frozenset({(own.host or "", own.port or 0)}),
        )
        if answer.reply.status == 404:
            return None
        if answer.reply.status != 200:
            raise UpstreamUnavailable(f"{self.name}: status {answer.reply.status}")
        meta = answer.reply.decode(_Answer).meta
        return None if meta is None else _title(meta, kind, media)


class _Video(msgspec.Struct, frozen=True, rename="camel"):
    """An episode as it is sent; any field may be missing or of another type."""

    season: object = None
    episode: object = None
    number: object = None
    released: object = None
    first_aired: object = None


class _Meta(msgspec.Struct, frozen=True):
    """A title as it is sent; an unknown one is an empty object."""

    name: object = None
    year: object = None
    release_info: object = msgspec.field(name="releaseInfo", default=None)
    released: object = None
    status: object = None
    runtime: object = None
    genres: object = None
    genre: object = None
    country: object = None
    imdb_id: object = None
    moviedb_id: object = None
    tvdb_id: object = None
    poster: object = None
    videos: list[_Video | None] | None = None


class _Answer(msgspec.Struct, frozen=True):
    meta: _Meta | None = None


def _title(meta: _Meta, kind: Literal["movie", "series"], media: MediaId) -> Title | None:
    name = _worded(meta.name)
    if not name:
        return None
    year, end_year = _years(meta)
    genres = _genres(meta)
    country, imdb_id = _text(meta.country), _text(meta.imdb_id)
    is_series = kind == "series"
    return Title(
        id=media.title_id,
        kind=kind,
        name=name,
        year=year,
        end_year=end_year if is_series else None,
        runtime_minutes=_minutes(meta.runtime),
        genres=genres,
        country=country or None,
        imdb_id=imdb_id if _IMDB.fullmatch(imdb_id) else media.key,
        tmdb_id=lenient.whole(meta.moviedb_id, _MAX_ID) or None,
        tvdb_id=lenient.whole(meta.tvdb_id, _MAX_ID) or None,
        poster=_web_url(meta.poster),
        episodes=_episodes(meta.videos or ()) if is_series else (),
        is_anime=_is_anime(genres, country),
        is_ended=is_series and _is_ended(meta, end_year),
    )


def _years(meta: _Meta) -> tuple[int | None, int | None]:
    """Return first and last year; the last only where the text names one."""
    for value in (meta.year, meta.release_info, meta.released):
        if match := _YEARS.match(_worded(value)):
            return int(match[1]), int(match[2]) if match[2] else None
    return None, None


def _is_ended(meta: _Meta, end_year: int | None) -> bool:
    status = _text(meta.status).lower()
    return status in _ENDED if status else end_year is not None


def _minutes(value: object) -> int | None:
    """Read a runtime: `48 min`, `1h 30min`, `2h`, or a bare number of minutes."""
    match = _RUNTIME.match(_worded(value))
    hours, minutes = match.groups() if match else (None, None)
    total = 60 * int(hours or 0) + int(minutes or 0)
    return total if 0 < total <= _MAX_MINUTES else None


def _genres(meta: _Meta) -> tuple[str, ...]:
    values = meta.genres or meta.genre
    if isinstance(values, str):
        values = values.split(",")
    texts = (_text(value) for value in values) if isinstance(values, list) else ()
    return tuple(dict.fromkeys(text for text in texts if text))[:_MAX_GENRES]


def _is_anime(genres: Iterable[str], country: str) -> bool:
    folded = {genre.lower() for genre in genres}
    return "anime" in folded or ("animation" in folded and "japan" in country.lower())


def _episodes(videos: Iterable[_Video | None]) -> tuple[Episode, ...]:
    """Return the episodes in order; of doubles the first that has a date."""
    found: dict[tuple[int, int], Episode] = {}
    for video in videos:
        episode = _episode(video) if video is not None else None
        if episode is None:
            continue
        known = found.get((episode.season, episode.number))
        if known is None or (known.aired_on is None and episode.aired_on is not None):
            found[episode.season, episode.number] = episode
    return tuple(found[key] for key in sorted(found))[:_MAX_EPISODES]


def _episode(video: _Video) -> Episode | None:
    season = lenient.whole(video.season, _MAX_NUMBER)
    number = lenient.whole(video.episode, _MAX_NUMBER)
    if number is None:
        number = lenient.whole(video.number, _MAX_NUMBER)
    if season is None or number is None:
        return None
    return Episode(season, number, _day(video.released) or _day(video.first_aired))


def _day(value: object) -> date | None:
    """Return the UTC day; where it was aired it may have been the day before."""
    at = lenient.moment(value)
    return at.date() if at else None


def _web_url(value: object) -> str | None:
    url = value if isinstance(value, str) else ""
    return url if url.startswith(("https://", "http://")) and len(url) <= _MAX_URL else None


def _text(value: object) -> str:
    return lenient.text(value, _MAX_NAME)


def _worded(value: object) -> str:
    """Return a text that some send as a number, like a year."""
    if isinstance(value, str):
        return _text(value)
    number = lenient.whole(value)
    return "" if number is None else str(number)
