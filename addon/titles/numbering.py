"""Seasons and episodes as names spell them, where the general parser reads them wrong or slowly.

Whatever is not found here is left to the general parser.
"""

import re
from datetime import date
from functools import lru_cache

import msgspec

MAX_EPISODES = 2000
MAX_SEASONS = 60

# Words that the general parser does not know, and those that it does.
_SEASON = r"(?:staffeln?|stagion[ei]|seizoen|kausi|säsong|sæson|sesong|[ée]vad|sezonu|sezonul)"
_EPISODE = r"(?:folge|puntata|afl(?:evering)?|b[öo]l[üu]m|odcinek|r[ée]sz|jakso|avsnitt|afsnit)"
_ANY_SEASON = rf"(?:{_SEASON}|seasons?|series|saison|temporada|sezon|сезон|book)"

_STANDARD = re.compile(
    r"(?<![a-z0-9])S(\d{1,4})[ ._-]*E(?:p(?:isode)?)?[ ._]?(\d{1,5})(?!\d)", re.IGNORECASE
)
_STANDARD_MORE = re.compile(
    r"[ ._]*(?:(?P<join>[-~–&+,])[ ._]*)?"
    r"(?:S(?P<season>\d{1,4})[ ._]*)?E(?:p(?:isode)?)?[ ._]?(?P<number>\d{1,5})(?!\d)",
    re.IGNORECASE,
)
_CROSS = re.compile(
    r"(?<![a-z0-9])(?<!\d\.)(\d{1,2})x(?!26[45](?!\d))(\d{2,3})(?![\dp])", re.IGNORECASE
)
_CROSS_MORE = re.compile(
    r"[ ]?(?P<join>[-~–&+_]?)[ ]?(?P<season>\d{1,2})?x(?!26[45](?!\d))(?P<number>\d{2,3})(?![\dp])",
    re.IGNORECASE,
)
# A bare second number: not the 1 of "5.1", not the 720 of "720p", not the 10 of "10bit".
_BARE_MORE = re.compile(
    r"(?P<join>[-~–&+_])(?P<season>(?!))?"
    r"(?P<number>\d{2,4}|\d(?!\.\d(?!\d)))(?=v\d|_|\W|$)",
    re.IGNORECASE,
)
_DASHED = re.compile(
    r"(?<![a-z0-9])S(\d{1,2})[ ._]+-[ ._]+(\d{1,3})(?=v\d|[ ._\[(]|$)(?![ ._]*[-~][ ._]*\d)",
    re.IGNORECASE,
)
_SPANISH = re.compile(
    r"(?<![a-z])Cap(?:[ií]tulos?)?[ ._]?(\d{3,4})(?:[_-](?:Cap[ ._]?)?(\d{3,4}))?(?!\d)",
    re.IGNORECASE,
)
_SPANISH_SEASON = re.compile(r"(?<![a-z])(?:temporada|temp|S)[ ._]?(\d{1,2})(?!\d)", re.IGNORECASE)
_WORD_FIRST = re.compile(
    rf"(?<![^\W_])(?:{_SEASON}[ ._:#-]{{0,3}}(?P<season>\d{{1,2}})(?!\d)"
    r"(?:[ ]?(?:[-–&+]|bis|und|al?|e)[ ]?(?P<last>\d{1,2})(?!\d))?"
    rf"|Se[ ._]?(?P<short>\d{{1,2}})(?=[ ._-]*{_EPISODE}))"
    rf"(?:[ ._,-]*(?:{_EPISODE}|episode|ep|e)[ ._:#]{{0,2}}(?P<episode>\d{{1,4}})(?!\d))?",
    re.IGNORECASE,
)
_NUMBER_FIRST = re.compile(
    rf"(?<![^\W_])(?P<season>\d{{1,2}})[.aª][ ._]?(?:{_SEASON}|sezon)(?![^\W_])"
    rf"(?:[ ._,-]*(?P<episode>\d{{1,4}})\.?[ ._]?{_EPISODE}|(?![ ._:#-]{{0,3}}\d{{1,2}}(?!\d)))",
    re.IGNORECASE,
)
_BY_YEAR = re.compile(
    r"(?<![a-z0-9])S(19[5-9]\d|20[0-4]\d|2050)(?![a-z0-9])",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)((?:19[5-9]|20[0-4])\d)[ ._-](0\d|1[0-2])[ ._-]([0-2]\d|3[01])(?!\d)")
_FOLDER = re.compile(
    rf"(?<![^\W_])(?:{_ANY_SEASON}[ ._:#-]{{0,3}}|S)(\d{{1,4}})(?![^\W_])"
    rf"|(?<![^\W_])(\d{{1,2}})(?:[.aª]|st|nd|rd|th|-?й)?[ ._]?{_ANY_SEASON}(?![^\W_])",
    re.IGNORECASE,
)
_FOLDER_RANGE = re.compile(
    rf"(?:{_ANY_SEASON}|S)[ ._]?\d{{1,2}}[ ._]?(?:[-–&+,]|to)[ ._]?(?:{_ANY_SEASON}|S)?[ ._]?"
    r"\d{1,2}(?!\d)",
    re.IGNORECASE,
)
_SPECIALS = re.compile(r"(?<![^\W_])specials?(?![^\W_])", re.IGNORECASE)


class Numbers(msgspec.Struct, frozen=True):
    """Seasons and episodes, and where in the text they stand; no episodes: a whole season."""

    seasons: tuple[int, ...]
    episodes: tuple[int, ...]
    start: int
    end: int


@lru_cache(maxsize=4096)
def read_numbers(text: str) -> Numbers | None:
    """Find the first spelling of season and episode that is known here."""
    return (
        _read_list(text, _STANDARD, _STANDARD_MORE)
        or _read_list(text, _CROSS, _CROSS_MORE)
        or _read_words(text)
        or _read_dashed(text)
        or _read_spanish(text)
        or _read_year(text)
    )


def read_date(text: str) -> date | None:
    """Find a date in the order year, month, day."""
    match = _DATE.search(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def read_folder(name: str) -> int | None:
    """Return the season that a directory stands for; None when it names none or several."""
    if _FOLDER_RANGE.search(name):
        return None
    seasons = {int(match[1] or match[2]) for match in _FOLDER.finditer(name)}
    if len(seasons) == 1:
        return seasons.pop()
    return 0 if not seasons and _SPECIALS.search(name) else None


def span(first: int, last: int, limit: int) -> tuple[int, ...]:
    """Return all numbers from first to last; none when there are more than any season has."""
    return tuple(range(first, last + 1)) if last - first < limit else ()


def is_season(number: int) -> bool:
    """Tell a season, counted or named by its year, from another number."""
    return number < 200 or 1950 <= number <= 2050


def _read_list(text: str, head: re.Pattern[str], tail: re.Pattern[str]) -> Numbers | None:
    """Read `S01E02` or `1x02` and whatever continues it: `-E04`, `E03`, `-S01E03`, `-03`."""
    match = head.search(text)
    if match is None or not is_season(int(match[1])):
        return None
    season = last_season = int(match[1])
    episodes, is_range, end = [int(match[2])], False, match.end()
    while more := tail.match(text, end) or _bare_more(text, end, match[2]):
        next_season = int(more["season"] or last_season)
        is_next = next_season > season and is_season(next_season)
        if not is_next and (next_season != season or int(more["number"]) <= episodes[-1]):
            break
        last_season = next_season
        episodes.append(int(more["number"]))
        is_range |= more["join"] in tuple("-~–_")
        end = more.end()
    if last_season > season:
        return Numbers(span(season, last_season, MAX_SEASONS), (), match.start(), end)
    found = span(episodes[0], episodes[-1], MAX_EPISODES) if is_range else tuple(episodes)
    return Numbers((season,), found, match.start(), end)


def _bare_more(text: str, start: int, first: str) -> re.Match[str] | None:
    """Read the 03 of `S01E01-03`, but no year: it is not much longer than the first number."""
    match = _BARE_MORE.match(text, start)
    return match if match and len(match["number"]) <= max(2, len(first) + 1) else None


def _read_words(text: str) -> Numbers | None:
    match = _NUMBER_FIRST.search(text) or _WORD_FIRST.search(text)
    if match is None:
        return None
    groups = match.groupdict()
    first = int(groups.get("short") or groups["season"])
    last = int(groups.get("last") or first)
    seasons = span(first, last, MAX_SEASONS) if last > first else (first,)
    episodes = (int(groups["episode"]),) if groups["episode"] else ()
    return Numbers(seasons, episodes, match.start(), match.end())


def _read_dashed(text: str) -> Numbers | None:
    match = _DASHED.search(text)
    if match is None:
        return None
    return Numbers((int(match[1]),), (int(match[2]),), match.start(), match.end())


def _read_spanish(text: str) -> Numbers | None:
    """Read `Cap.1503`: season 15, episode 3, unless the name states another season."""
    match = _SPANISH.search(text)
    if match is None:
        return None
    season, first = divmod(int(match[1]), 100)
    stated = _SPANISH_SEASON.search(text)
    if not first or not season or (stated and int(stated[1]) != season):
        return None
    last_season, last = divmod(int(match[2] or match[1]), 100)
    episodes = span(first, last, 100) if last_season == season and last > first else (first,)
    return Numbers((season,), episodes, match.start(), match.end())


def _read_year(text: str) -> Numbers | None:
    match = _BY_YEAR.search(text)
    return None if match is None else Numbers((int(match[1]),), (), match.start(), match.end())
