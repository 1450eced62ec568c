"""Which film or episode, as one typed value, and what is known of its title."""

import re
from datetime import date
from typing import Literal

import msgspec

Type = Literal["movie", "series", "anime"]

_IMDB = re.compile(r"(tt\d{7,9})(?::(\d{1,4}):(\d{1,4}))?")
_BY_EPISODE = re.compile(r"(kitsu|mal|anidb):(\d{1,9})(?::(\d{1,4}))?")
_TMDB = re.compile(r"tmdb:(\d{1,9})(?::(\d{1,4}):(\d{1,4}))?")


class MediaId(msgspec.Struct, frozen=True):
    """A film, or one episode of a series.

    `scheme` and `key` name the title (`tt0386676` has scheme `tt`, key `tt0386676`; `kitsu:7442`
    has scheme `kitsu`, key `7442`). Anime ids count episodes within their own entry and have no
    season.
    """

    scheme: Literal["tt", "kitsu", "mal", "anidb", "tmdb"]
    key: str
    season: int | None = None
    episode: int | None = None

    @property
    def is_episode(self) -> bool:
        """Tell whether this is an episode rather than a film."""
        return self.episode is not None

    @property
    def title_id(self) -> str:
        """The id of the whole title: `tt0386676`, `kitsu:7442`."""
        return self.key if self.scheme == "tt" else f"{self.scheme}:{self.key}"

    def __str__(self) -> str:
        parts = [self.title_id]
        if self.season is not None:
            parts.append(str(self.season))
        if self.episode is not None:
            parts.append(str(self.episode))
        return ":".join(parts)


class Episode(msgspec.Struct, frozen=True):
    """An episode in a title's list; season 0 holds specials."""

    season: int
    number: int
    aired_on: date | None = None


class Title(msgspec.Struct, frozen=True, kw_only=True):
    """A film or a series.

    Attributes:
        id: as in `MediaId.title_id`.
        name: in English where there is one.
        aliases: other names, the original one among them; `name` is not repeated.
        year, end_year: of release; of the first and the last season.
        episodes: every known one in (season, number) order, without doubles.
        is_anime: absolute episode numbers may be believed.
        is_ended: no more episodes are to come.
    """

    id: str
    kind: Literal["movie", "series"]
    name: str
    aliases: tuple[str, ...] = ()
    year: int | None = None
    end_year: int | None = None
    runtime_minutes: int | None = None
    genres: tuple[str, ...] = ()
    country: str | None = None
    imdb_id: str | None = None
    tmdb_id: int | None = None
    tvdb_id: int | None = None
    poster: str | None = None
    episodes: tuple[Episode, ...] = ()
    is_anime: bool = False
    is_ended: bool = False

    def episodes_in(self, season: int) -> int | None:
        """Return how many episodes a season has; None when the season is not known."""
        return sum(episode.season == season for episode in self.episodes) or None

    def episode(self, season: int, number: int) -> Episode | None:
        """Return an episode; None when it is not in the list."""
        for episode in self.episodes:
            if episode.season == season and episode.number == number:
                return episode
        return None

    def absolute_number(self, season: int, number: int) -> int | None:
        """Return the number of an episode counted through all seasons; None when not known."""
        if season < 1 or self.episode(season, number) is None:
            return None
        return number + sum(1 <= episode.season < season for episode in self.episodes)


def parse_media_id(kind: str, text: str) -> MediaId | None:
    """Read the type and id of a Stremio request; None for what we do not serve.

    A series id without an episode is None: there is nothing to play. A film keeps its id only
    when the text names no episode.
    """
    if kind not in {"movie", "series", "anime"} or len(text) > 64 or not text.isascii():
        return None
    media = read_media_id(text)
    if media is None or (kind == "series" and not media.is_episode):
        return None
    if kind == "movie" and media.is_episode:
        return None
    return media


def read_media_id(text: str) -> MediaId | None:
    """Read an id as `str(MediaId)` writes it; None when it is none."""
    if match := _IMDB.fullmatch(text):
        return MediaId("tt", match[1], _number(match[2]), _number(match[3]))
    if match := _BY_EPISODE.fullmatch(text):
        scheme: Literal["kitsu", "mal", "anidb"] = match[1]  # type: ignore[assignment]  # by regex
        return MediaId(scheme, match[2], None, _number(match[3]))
    if match := _TMDB.fullmatch(text):
        return MediaId("tmdb", match[1], _number(match[2]), _number(match[3]))
    return None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
