"""What the path of one file inside a torrent says."""

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

import msgspec

from addon.titles.flags import BESIDES
from addon.titles.name import BRACKETS
from addon.titles.numbering import MAX_EPISODES, read_date, read_folder, read_numbers, span
from addon.titles.parse import parse_release
from addon.titles.text import clean, normalise
from addon.titles.vocabulary import VIDEO_EXTENSIONS

_LONGEST = 300  # file systems end at 255; expressions meet nothing longer


def parts(path: str) -> list[str]:
    """Return the directories and the name of a path."""
    return [part[:_LONGEST] for part in path.split("/") if part]


def _extension(path: str) -> str:
    _, dot, extension = path.rpartition(".")
    return extension.lower() if dot else ""


def stem(path: str) -> str:
    """Return the name of a file without a video's extension."""
    name = clean(path.rpartition("/")[2])
    name = name.rpartition(".")[0] if _extension(name) in VIDEO_EXTENSIONS else name
    return name[:_LONGEST]


_STRONG = (
    r"samples?|trailers?|teasers?|featurettes?|behind[ ._]the[ ._]scenes|deleted[ ._]scenes?"
    r"|gag[ ._]reel|bloopers|making[ ._]of|nc(?:op|ed)\d*|creditless"
)
_WEAK = r"previews?|extras?|bonus|interviews?|shorts?|menu|(?:pv|cm)\d*"
_SPECIAL = r"specials?|ova|sp\d+"
_STRONG_WORD, _WEAK_WORD, _SPECIAL_WORD = (
    re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)
    for words in (_STRONG, _WEAK, _SPECIAL)
)
_LEADING_NUMBER = re.compile(r"(\d{1,4})(?:v\d)?(?=$|[ ._-])")


def is_video(path: str) -> bool:
    """Tell a file that players can show by its extension."""
    return _extension(path) in VIDEO_EXTENSIONS


def is_extra(path: str, season: int | None, show_title: str | None) -> bool:
    """Tell a sample, trailer, creditless opening and the like, by file name and directories.

    Words of the show's own title do not count, nor does "+ Extras" of a whole release. Behind an
    episode's number only words that no episode title has do. Specials are extras unless season 0
    is wanted.
    """
    own = frozenset(normalise(show_title or "").split())
    return is_extra_of(path, own, with_specials=season == 0)


@lru_cache(maxsize=8192)
def is_extra_of(path: str, own: frozenset[str], *, with_specials: bool) -> bool:
    """Do the same for a title whose words are known."""
    weak = [_WEAK_WORD] if with_specials else [_WEAK_WORD, _SPECIAL_WORD]
    name = stem(path)
    before = name[: _start_of_number(name)]
    return (
        _has_word([_STRONG_WORD], name, own)
        or _has_word(weak, before, own)
        or any(_has_word([_STRONG_WORD, *weak], folder, own) for folder in parts(path)[:-1])
    )


def _start_of_number(name: str) -> int:
    """Return where an episode's number stands; 0 when the name leaves no doubt that it is one."""
    numbers = read_numbers(name)
    if (numbers and any(numbers.seasons)) or _LEADING_NUMBER.match(name):
        return 0
    match = _WORDED.search(name)
    return match.start(1) if match else len(name)


def _has_word(words: Sequence[re.Pattern[str]], text: str, own: frozenset[str]) -> bool:
    """Tell whether a word stands in a text, neither as part of the title nor as "+ word"."""
    return any(
        not own.issuperset(normalise(match[0]).split())
        and not BESIDES.search(text[: match.start()])
        for word in words
        for match in word.finditer(text)
    )


# Season and episode


class FileNumbers(msgspec.Struct, frozen=True):
    """Season and episodes in a path.

    Attributes:
        own_season: in the file's name.
        folder_season: of the nearest directory that names one.
        is_bare: the episode is a number without a word that says so; it may be `105` for 1x05.
    """

    own_season: int | None = None
    folder_season: int | None = None
    episodes: tuple[int, ...] = ()
    aired_on: date | None = None
    is_bare: bool = False

    @property
    def season(self) -> int | None:
        """The season that the path states."""
        return self.folder_season if self.own_season is None else self.own_season


_WORDED = re.compile(
    r"(?:^|[ ._\])])(?:-[ ._]+|(?:E|Ep|Episode|Folge|#)[ ._]?)(\d{1,4})(?:[-~](\d{1,4}))?(?:v\d)?"
    r"(?=[ ._\[(]|$)",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"(?<!\d)(\d{1,3})[ ._]?(?:of|из|iz)[ ._]?\d{1,3}(?!\d)|第(\d{1,4})[話话集回]", re.IGNORECASE
)
_TRAILING = re.compile(r"[ ._](\d{1,4})(?:v\d)?[ ._]*$")
_INNER = re.compile(r"(?<![^ ._-])(\d{3,4})(?=$|[ ._-])")
_NO_EPISODES = frozenset({360, 480, 540, 576, 720, 1080, 1440, 2160, 264, 265})


@lru_cache(maxsize=8192)
def read_file(path: str, own: frozenset[str]) -> FileNumbers:
    """Read the numbers of a path; `own` are the words of the show's names, which are none."""
    name = stem(path)
    folders = parts(path)[:-1]
    seasons = (read_folder(folder) for folder in reversed(folders))
    folder_season = next((season for season in seasons if season is not None), None)
    if numbers := read_numbers(name):
        return FileNumbers(_only(numbers.seasons), folder_season, numbers.episodes)
    found = _read_loose(name, folder_season, own)
    if found.episodes or found.aired_on:
        return found
    for folder in reversed(folders):  # an obfuscated file has its number in its folder
        numbers = read_numbers(folder)
        if numbers and len(numbers.episodes) == 1:
            return FileNumbers(_only(numbers.seasons), None, numbers.episodes)
    return found


def _only(seasons: Sequence[int]) -> int | None:
    return seasons[0] if len(seasons) == 1 else None


def _read_loose(name: str, folder_season: int | None, own: frozenset[str]) -> FileNumbers:
    """Read a name that has no season and episode in one piece."""
    if aired_on := read_date(name):
        return FileNumbers(None, folder_season, aired_on=aired_on)
    if match := _COUNTED.search(name):
        return FileNumbers(None, folder_season, (int(match[1] or match[2]),))
    if (match := _WORDED.search(name)) and not _is_year(match[1]):
        first, last = int(match[1]), int(match[2] or match[1])
        episodes = span(first, last, MAX_EPISODES) or (first,)
        return FileNumbers(None, folder_season, episodes)
    if (number := _bare_number(name, own)) is not None:
        return FileNumbers(None, folder_season, (number,), is_bare=True)
    if not any(character.isdigit() for character in name):
        return FileNumbers(None, folder_season)
    release = parse_release(name)
    return FileNumbers(_only(release.seasons), folder_season, release.episodes, release.aired_on)


def _bare_number(name: str, own: frozenset[str]) -> int | None:
    """Return the number that a name begins or ends with, or that stands alone inside it."""
    text = " ".join(BRACKETS.sub(" ", name).split())
    found = (_LEADING_NUMBER.match(text), _TRAILING.search(text), *_INNER.finditer(text))
    numbers = [match[1] for match in found if match and match[1] not in own]
    return next((int(n) for n in numbers if not _is_year(n) and int(n) not in _NO_EPISODES), None)


def _is_year(text: str) -> bool:
    return len(text) == 4 and 1950 <= int(text) <= 2050
