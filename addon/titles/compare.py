"""Whether a release is the title that was asked for, and whether it holds the episode."""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec
from rapidfuzz import fuzz

from addon.media import MediaId, Title
from addon.titles.parse import Release
from addon.titles.text import normalise
from addon.titles.vocabulary import Flag

__all__ = [
    "Coverage",
    "Wanted",
    "covers",
    "has_name",
    "matches_title",
    "names_of",
    "normalise",
    "wanted",
]

_ALIKE = 85  # of 100

_NOT_THE_WORK = int(Flag.EXTRAS | Flag.SAMPLE)
_COMPLETE = int(Flag.COMPLETE)


class Coverage(StrEnum):
    """How a torrent holds what is wanted, as far as its name tells."""

    MOVIE = "movie"
    EXACT = "exact"
    SEASON_PACK = "season_pack"
    MULTI_SEASON = "multi_season"
    SERIES_PACK = "series_pack"
    ABSOLUTE = "absolute"
    BATCH = "batch"
    DAILY = "daily"
    UNPROVEN = "unproven"


class Wanted(msgspec.Struct, frozen=True):
    """An episode under every number that names may give it.

    `absolute` is set for anime alone: elsewhere `Show 05` may be of any season. `dates` has the
    day before too, since release names follow the local calendar and metadata follows UTC.
    """

    season: int
    episode: int
    absolute: int | None = None
    dates: frozenset[date] = frozenset()


@lru_cache(maxsize=256)
def wanted(media: MediaId, title: Title | None) -> Wanted | None:
    """Return what to look for; None for a film."""
    if media.episode is None:
        return None
    if media.season is None:  # an anime entry: its episodes are counted within it
        return Wanted(_season_of_entry(title) or 1, media.episode, media.episode)
    if title is None:
        return Wanted(media.season, media.episode)
    absolute = None
    if title.is_anime and media.season:
        absolute = title.absolute_number(media.season, media.episode)
        absolute = media.episode if media.season == 1 else absolute
    return Wanted(media.season, media.episode, absolute, _dates(media.season, media.episode, title))


def _dates(season: int, number: int, title: Title) -> frozenset[date]:
    episode = title.episode(season, number)
    if episode is None or episode.aired_on is None:
        return frozenset()
    return frozenset({episode.aired_on, episode.aired_on - timedelta(days=1)})


def covers(release: Release, media: MediaId, title: Title | None) -> Coverage | None:
    """Tell how a torrent's name says that it holds a film or an episode; None when it does not.

    UNPROVEN is for a name that says nothing: believe it when the torrent was found by id, or when
    its file list holds the episode. SERIES_PACK wants the file list, too.
    """
    if release.flags & _NOT_THE_WORK and media.season != 0:
        return None
    want = wanted(media, title)
    if want is None:
        return None if release.seasons or release.episodes else Coverage.MOVIE
    if release.seasons:
        return _cover_by_season(release, want)
    if release.aired_on in want.dates:
        return Coverage.DAILY
    if release.episodes:
        if want.absolute not in release.episodes:
            return None
        return Coverage.ABSOLUTE if len(release.episodes) == 1 else Coverage.BATCH
    if release.aired_on is not None:
        return None
    return Coverage.SERIES_PACK if release.flags & _COMPLETE else Coverage.UNPROVEN


def _cover_by_season(release: Release, want: Wanted) -> Coverage | None:
    if want.season in release.seasons:
        if len(release.seasons) > 1:
            return Coverage.MULTI_SEASON
        if not release.episodes:
            return Coverage.SEASON_PACK
        if want.episode in release.episodes:
            return Coverage.EXACT
    # Anime is released as S01 with absolute numbers, too.
    is_absolute = release.seasons == (1,) and want.absolute in release.episodes
    return Coverage.ABSOLUTE if is_absolute else None


def matches_title(release: Release, title: Title, *, by_id: bool) -> bool:
    """Tell whether a release is of a title, by name, year and country.

    `by_id`: a source found it under an id of the title. Then a name that only adds words, and a
    film without a year, are believed.
    """
    year = release.year
    if not has_name(release, title, by_id=by_id):
        with_year = f"{release.title_norm} {year}"
        if year is None or not _is_any_name((with_year,), title, by_id=by_id):
            return False
        year = None  # it is part of the title: "Harbour 2049"
    if _contradicts(release.country, title):
        return False
    if title.kind == "movie":
        return _is_year_of_movie(year, title, by_id=by_id)
    return _is_year_of_series(year, title)


def has_name(release: Release, title: Title, *, by_id: bool = False) -> bool:
    """Tell whether one of the names of a release is a name of the title."""
    names = release.titles_norm
    season = _season_of_entry(title)
    if season is not None and season in release.seasons:
        names = (*names, *(f"{name} season {season}" for name in names))
    return _is_any_name(names, title, by_id=by_id)


def _is_year_of_movie(year: int | None, title: Title, *, by_id: bool) -> bool:
    if year is None:
        return by_id
    return title.year is None or abs(year - title.year) <= 1


def _is_year_of_series(year: int | None, title: Title) -> bool:
    if year is None or title.year is None:
        return True
    if title.year - 1 <= year <= (title.end_year or year) + 1:
        return True
    return any(episode.aired_on and episode.aired_on.year == year for episode in title.episodes)


# Names

_SEASON_IN_NAME = re.compile(r" (?:(\d)(?:st|nd|rd|th) season|season (\d))\b")
# "i" is left out: it is a pronoun more often than a number.
_NUMERALS = {
    "one": "1",
    **dict.fromkeys(("two", "ii"), "2"),
    **dict.fromkeys(("three", "iii"), "3"),
    **dict.fromkeys(("four", "iv"), "4"),
    **dict.fromkeys(("five", "v"), "5"),
    **dict.fromkeys(("six", "vi"), "6"),
    **dict.fromkeys(("seven", "vii"), "7"),
    **dict.fromkeys(("eight", "viii"), "8"),
    **dict.fromkeys(("nine", "ix"), "9"),
    "ten": "10",
    **dict.fromkeys(("eleven", "xi"), "11"),
    **dict.fromkeys(("twelve", "xii"), "12"),
    **dict.fromkeys(("thirteen", "xiii"), "13"),
}


class _Names(msgspec.Struct, frozen=True):
    """The names of a title, ready to compare: each glued for equality and in words for likeness."""

    normal: tuple[str, ...]
    glued: frozenset[str]
    words: tuple[tuple[str, ...], ...]
    season: int | None


@lru_cache(maxsize=512)
def _known_names(names: tuple[str, ...]) -> _Names:
    normal = [normalise(name) for name in names]
    season = next((int(m[1] or m[2]) for n in normal if (m := _SEASON_IN_NAME.search(n))), None)
    normal += [_SEASON_IN_NAME.sub(f" season {season}", name) for name in normal]
    words = dict.fromkeys(_words(name) for name in normal if name)
    return _Names(tuple(normal), frozenset("".join(each) for each in words), tuple(words), season)


def names_of(title: Title) -> tuple[str, ...]:
    """Return all names of a title as `normalise` gives them."""
    return _names_of(title).normal


def _names_of(title: Title) -> _Names:
    return _known_names((title.name, *title.aliases))


def _season_of_entry(title: Title | None) -> int | None:
    """Return the season that an anime entry's name states ("Harbour 2nd Season")."""
    return None if title is None else _names_of(title).season


def _words(name: str) -> tuple[str, ...]:
    return tuple(_NUMERALS.get(word, word) for word in name.split())


def _is_any_name(names: Iterable[str], title: Title, *, by_id: bool) -> bool:
    known = _names_of(title)
    candidates = [_words(name) for name in names]
    if any("".join(words) in known.glued for words in candidates):
        return True
    return any(
        _is_like(words, other, by_id=by_id)
        for words in candidates
        if len(words) > 1
        for other in known.words
        if len(other) > 1
    )


def _is_like(words: tuple[str, ...], other: tuple[str, ...], *, by_id: bool) -> bool:
    """Allow misspelt and reordered names, but no other number: "Harbour 2" is not "Harbour 3".

    A set ratio passes any name that only adds words, which another title does as well ("Harbour
    Nights" and "Harbour Nights Forever"), so it is kept for what an id has vouched for.
    """
    if _numbers(words) != _numbers(other):
        return False
    mine, theirs = " ".join(words), " ".join(other)
    if fuzz.ratio(mine, theirs) >= _ALIKE or fuzz.token_sort_ratio(mine, theirs) >= _ALIKE:
        return True
    return by_id and fuzz.token_set_ratio(mine, theirs) >= _ALIKE


def _numbers(words: tuple[str, ...]) -> list[str]:
    return sorted(word for word in words if word.isdecimal())


# Countries

_COUNTRY_NAMES = {
    "US": {"us", "usa", "united states", "united states of america"},
    "UK": {"uk", "gb", "united kingdom", "great britain"},
    "AU": {"au", "australia"},
    "NZ": {"nz", "new zealand"},
    "CA": {"ca", "canada"},
}


def _contradicts(tag: str, title: Title) -> bool:
    """Tell whether a country behind the release's title is another one than the title's."""
    if not tag:
        return False
    endings = {
        name.split()[-1].upper() for name in map(normalise, (title.name, *title.aliases)) if name
    }
    if named := endings & _COUNTRY_NAMES.keys():
        return tag not in named
    countries = {normalise(country) for country in (title.country or "").split(",")} - {""}
    return bool(countries) and not countries & _COUNTRY_NAMES[tag]
