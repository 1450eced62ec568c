"""Release names read into numbers: parsett does the bulk, this file mends what it gets wrong.

Reading a name costs about a millisecond, so it is done once, when a torrent is stored.
"""

import re
from collections.abc import Collection
from datetime import date

import msgspec

from addon.titles.flags import read_flags
from addon.titles.languages import read_languages
from addon.titles.name import BRACKETS, Name, plain, take_apart
from addon.titles.numbering import MAX_EPISODES, MAX_SEASONS, is_season
from addon.titles.picture import read_codec, read_hdr, read_resolution, read_source
from addon.titles.sound import read_audio, read_channels
from addon.titles.text import normalise
from addon.titles.vocabulary import (
    Audio,
    Channels,
    Codec,
    Flag,
    Hdr,
    QualityClass,
    Resolution,
    Source,
    class_of,
)

__all__ = [
    "PARSER_VERSION",
    "Audio",
    "Channels",
    "Codec",
    "Flag",
    "Hdr",
    "QualityClass",
    "Release",
    "Resolution",
    "Source",
    "class_of",
    "parse_release",
]

# Raise it with every change of what a name is read as: stored rows of older versions are read anew.
PARSER_VERSION = 1

_UPSCALED = int(Flag.UPSCALED)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What a release name says; every field is a plain column of a table.

    Attributes:
        title: as written, without what follows it; for people.
        titles_norm: every name the release goes by, as `normalise` gives it, the main one first.
        country: `US`, `UK` and the like behind the title; empty when there is none.
        resolution, source, codec, channels: codes of `vocabulary`.
        hdr, audio, flags: bits of `vocabulary`.
        languages: ISO 639-1, sorted.
        seasons, episodes: ascending; both empty for a film, episodes empty for a season pack.
        aired_on: the date in the name of a daily show.
        container: of the file name, lower case: `mkv`.
    """

    title: str
    titles_norm: tuple[str, ...] = ()
    year: int | None = None
    country: str = ""
    resolution: int = 0
    source: int = 0
    codec: int = 0
    hdr: int = 0
    audio: int = 0
    channels: int = 0
    languages: tuple[str, ...] = ()
    seasons: tuple[int, ...] = ()
    episodes: tuple[int, ...] = ()
    aired_on: date | None = None
    flags: int = 0
    group: str = ""
    container: str = ""

    @property
    def title_norm(self) -> str:
        """The main name as it is compared."""
        return self.titles_norm[0] if self.titles_norm else ""

    @property
    def quality(self) -> QualityClass:
        """The step of the quality ladder; an upscaled picture stands one lower."""
        is_upscaled = bool(self.flags & _UPSCALED)
        return class_of(self.resolution, self.source, self.codec, upscaled=is_upscaled)


def parse_release(name: str) -> Release:
    """Read a release name or a file name of any length; it never fails."""
    read = take_apart(name)
    title = _read_title(read)
    year, title = _read_year(read, title)
    source = read_source(read)
    codec = read_codec(read)
    resolution = read_resolution(read)
    seasons, episodes = _read_seasons_and_episodes(read)
    has_video = bool(source or codec or resolution or seasons or read.container)
    return Release(
        title=title,
        titles_norm=_names(title, read.title),
        year=year,
        country=_read_country(read),
        resolution=resolution.value,
        source=source.value,
        codec=codec.value,
        hdr=read_hdr(read).value,
        audio=read_audio(read).value,
        channels=read_channels(read).value,
        languages=read_languages(read),
        seasons=seasons,
        episodes=episodes,
        aired_on=_read_date(read),
        flags=read_flags(read, source, has_video=has_video).value,
        group=_read_group(read),
        container=read.container,
    )


_ALIASES = re.compile(r"[/|]|(?<![^\W_])a\.?k\.?a\.?(?![^\W_])", re.IGNORECASE)
_PACK_WORDS = re.compile(
    r" (?:the )?(?:(?:complete|full|entire)(?: (?:tv )?(?:series|collection|saga|seasons?|show))?"
    r"|collection|(?:tv|mini) ?series|box ?set|(?:duo|tri|quadri|tetra|antho)logy)$"
)
_COUNTRY = re.compile(r"[ ._(\[](US|UK|AU|NZ|CA)[ ._)\]-]*$")


def _read_title(read: Name) -> str:
    """Take parsett's title, unless it took the first word for something else ("Web of Lies")."""
    said, whole = read.said.get("title", ""), plain(read.title)
    is_cut = normalise(whole).partition(" ")[2] == normalise(said)
    return (whole if is_cut else said) or whole or read.text


def _names(title: str, raw: str) -> tuple[str, ...]:
    parts = (BRACKETS.sub(" ", part) for part in _ALIASES.split(raw))
    names = [normalise(title), *map(normalise, parts)]
    names += [_PACK_WORDS.sub("", name) for name in names]
    return tuple(dict.fromkeys(name for name in names if name))


def _read_year(read: Name, title: str) -> tuple[int | None, str]:
    """Return year and title; a name of nothing but a year is a title ("1923")."""
    year = read.said.get("year")
    if not isinstance(year, int) or not 1880 <= year <= 2100:
        return None, title
    if not read.said.get("title") and read.text.lstrip("([").startswith(str(year)):
        return None, str(year)
    return year, title


def _read_country(read: Name) -> str:
    match = _COUNTRY.search(read.title)
    return match[1] if match else ""


_COLLECTION = re.compile(
    r"(?:duo|tri|quadri|quadro|tetra|penta|hexa|hepta)logy|anthology|collection|saga|box[ .-]?set",
    re.IGNORECASE,
)


def _read_seasons_and_episodes(read: Name) -> tuple[tuple[int, ...], tuple[int, ...]]:
    seasons = _ascending(read.said.get("seasons", ()), MAX_SEASONS)
    episodes = _ascending(read.said.get("episodes", ()), MAX_EPISODES)
    if read.numbers is not None:
        return read.numbers.seasons, read.numbers.episodes or episodes
    if not seasons and len(episodes) > 1 and _COLLECTION.search(read.text):
        return (), ()  # "1-3 Trilogy" counts films
    return tuple(filter(is_season, seasons)), episodes


def _ascending(numbers: Collection[int | None], limit: int) -> tuple[int, ...]:
    """Sort what parsett found; a longer list than any show has is a misreading."""
    found = sorted({number for number in numbers if number is not None})
    return tuple(found) if len(found) <= limit and all(n < 100_000 for n in found) else ()


def _read_date(read: Name) -> date | None:
    try:
        return date.fromisoformat(read.said.get("date", ""))
    except ValueError:
        return None


def _read_group(read: Name) -> str:
    group = read.said.get("group") or ""
    return str(group).strip("-.[]() ")[:60]
