"""Which file of a torrent is the film or the episode; no file rather than a wrong one."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from statistics import median

import msgspec

from addon.media import MediaId, Title
from addon.titles.compare import Coverage, Wanted, covers, has_name, names_of, wanted
from addon.titles.file_name import (
    FileNumbers,
    is_extra,
    is_extra_of,
    is_video,
    parts,
    read_file,
    stem,
)
from addon.titles.parse import Release, parse_release
from addon.titles.vocabulary import Flag
from addon.torrent import TorrentFile

__all__ = ["Choice", "choose_file", "is_extra", "is_video", "parse_file", "same_file"]

_MOST_VIDEOS = 5000  # the longest show has fewer; a longer list is made to keep us busy
_SAMPLE_BYTES = 100 * 1024**2
_COMPLETE = int(Flag.COMPLETE)
_EXACT = frozenset({Coverage.EXACT, Coverage.ABSOLUTE, Coverage.DAILY})


class Choice(msgspec.Struct, frozen=True):
    """The file to play.

    Attributes:
        guessed: no name says so, it is the right one by its place in the season.
        shared: the file holds other episodes, too.
    """

    file: TorrentFile
    guessed: bool = False
    shared: bool = False


def choose_file(
    files: Sequence[TorrentFile],
    media: MediaId,
    title: Title | None,
    release: Release,
    hint: TorrentFile | None = None,
) -> Choice | None:
    """Choose the file of a torrent that is the film or the episode; None when none is for sure.

    Args:
        files: all files of the torrent, in any order.
        media: what is wanted.
        title: its metadata; without it, files go by their numbers alone.
        release: the torrent's parsed name.
        hint: the file that a source pointed at; taken only where its name bears it out.
    """
    own = _words(names_of(title) if title else (), release.titles_norm)
    candidates = _candidates(files, media.season, own)
    pointed = None if hint is None else _pointed(hint, candidates)
    want = wanted(media, title)
    if want is None:
        film = _choose_film(candidates, title, release, pointed)
        return None if film is None else Choice(film)
    entries = [(file, read_file(file.path, own)) for file in candidates]
    return (
        _choose_by_number(entries, want, title, release, pointed)
        or _choose_only_file(candidates, covers(release, media, title))
        or _choose_by_place(candidates, want, title, release)
    )


def parse_file(path: str, release: Release) -> tuple[int | None, tuple[int, ...]]:
    """Return season and episodes of a file, for keeping; what its name leaves out is inherited.

    The season comes from the nearest directory that names one, else from the torrent when that has
    a single one. A bare `105` in season 1 is its fifth episode.
    """
    own = _words((), release.titles_norm)
    numbers = read_file(path, own)
    season = numbers.season
    if season is None and len(release.seasons) == 1:
        season = release.seasons[0]
    if numbers.is_bare:
        hundreds, episode = divmod(numbers.episodes[0], 100)
        if season and season == hundreds and episode:
            return season, (episode,)
    return season, numbers.episodes


@lru_cache(maxsize=4096)
def _words(known: tuple[str, ...], released: tuple[str, ...]) -> frozenset[str]:
    """Return the words of all names of a show, which are neither numbers nor signs of extras."""
    return frozenset(word for name in (*known, *released) for word in name.split())


def _pointed(hint: TorrentFile, files: Sequence[TorrentFile]) -> TorrentFile | None:
    if hint.path:
        return same_file(hint.path, hint.size_bytes, files)
    return next(
        (file for file in files if file.index is not None and file.index == hint.index), None
    )


def _candidates(
    files: Iterable[TorrentFile], season: int | None, own: frozenset[str]
) -> list[TorrentFile]:
    videos = list(islice((file for file in files if is_video(file.path)), _MOST_VIDEOS))
    shared = _shared_folders(videos)
    wanted_files = [
        file
        for file in videos
        # A folder around everything says what the torrent is, not what this file is.
        if not is_extra_of("/".join(parts(file.path)[shared:]), own, with_specials=season == 0)
    ]
    sizes = [file.size_bytes for file in wanted_files if file.size_bytes]
    least = min(_SAMPLE_BYTES, median(sizes) / 10) if sizes else 0
    return [file for file in wanted_files if not file.size_bytes or file.size_bytes >= least]


def _shared_folders(files: Sequence[TorrentFile]) -> int:
    """Return how many directories in front all files have in common."""
    count = 0
    for level in zip(*(parts(file.path)[:-1] for file in files), strict=False):
        if len(set(level)) > 1:
            break
        count += 1
    return count


# Episodes


_SAFE_TIERS = 5
_Entry = tuple[TorrentFile, FileNumbers]


def _choose_by_number(
    entries: Sequence[_Entry],
    want: Wanted,
    title: Title | None,
    release: Release,
    pointed: TorrentFile | None,
) -> Choice | None:
    """Take the first tier that any file is in; a file that a source pointed at, in a safe one."""
    tiers = _tiers(want, title, release)
    for file, numbers in entries:
        if file is pointed and any(is_in_tier(numbers) for is_in_tier in tiers[:_SAFE_TIERS]):
            return Choice(file, shared=len(numbers.episodes) > 1)
    for is_in_tier in tiers:
        if found := [entry for entry in entries if is_in_tier(entry[1])]:
            file, numbers = found[0] if len(found) == 1 else _best(found, title, release)
            return Choice(file, shared=len(numbers.episodes) > 1)
    return None


def _tiers(
    want: Wanted, title: Title | None, release: Release
) -> tuple[Callable[[FileNumbers], bool], ...]:
    """Return tests for a file's numbers in the order of how sure they are.

    Exact, among several, by date, by absolute number, by absolute number as S01, by number in a
    show of one season, by hundreds, by absolute number among several.
    """
    one, absolute = (want.episode,), (want.absolute,)
    hundreds = (want.season * 100 + want.episode,)
    pack_season = release.seasons[0] if len(release.seasons) == 1 else None

    def is_only_season() -> bool:
        return title is not None and {e.season for e in title.episodes} - {0} == {want.season}

    def is_in_season(it: FileNumbers) -> bool:
        return (pack_season if it.season is None else it.season) == want.season

    def may_be_in_season(it: FileNumbers) -> bool:
        return is_in_season(it) or (it.season is None and want.season in release.seasons)

    def has_no_other_season(it: FileNumbers) -> bool:
        return it.own_season is None and it.folder_season in {None, want.season}

    return (
        lambda it: it.episodes == one and is_in_season(it),
        lambda it: want.episode in it.episodes and is_in_season(it),
        lambda it: it.aired_on in want.dates,
        lambda it: it.episodes == absolute and has_no_other_season(it),
        lambda it: it.episodes == absolute and it.season == 1,
        lambda it: it.episodes == one and it.season is None and is_only_season(),
        lambda it: it.episodes == hundreds and it.is_bare and may_be_in_season(it),
        lambda it: want.absolute in it.episodes and it.season in {None, 1},
    )


def _best(entries: Sequence[_Entry], title: Title | None, release: Release) -> _Entry:
    """Break a tie: name of the show, the torrent's resolution, size, short path, first in order."""
    return min(entries, key=lambda entry: _preference(entry[0], title, release))


def _preference(
    file: TorrentFile, title: Title | None, release: Release
) -> tuple[bool, bool, int, int, int]:
    parsed = parse_release(stem(file.path))
    return (
        title is not None and not has_name(parsed, title),
        parsed.resolution != release.resolution,
        -(file.size_bytes or 0),
        len(file.path),
        file.index or 0,
    )


def _choose_only_file(files: Sequence[TorrentFile], coverage: Coverage | None) -> Choice | None:
    return Choice(files[0]) if len(files) == 1 and coverage in _EXACT else None


def _choose_by_place(
    files: Sequence[TorrentFile], want: Wanted, title: Title | None, release: Release
) -> Choice | None:
    """Count through a season pack that has exactly as many files as the season has episodes."""
    if title is None or release.seasons != (want.season,) or release.episodes:
        return None
    numbers = sorted(e.number for e in title.episodes if e.season == want.season)
    if len(numbers) != len(files) or want.episode not in numbers:
        return None
    ordered = sorted(files, key=lambda file: _natural(file.path))
    return Choice(ordered[numbers.index(want.episode)], guessed=True)


_DIGITS = re.compile(r"(\d+)")


def _natural(path: str) -> list[tuple[int, str]]:
    """Return a key that puts 2 before 10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in _DIGITS.split(path.casefold())
    ]


# Films

_PART = re.compile(r"(?<![^\W_])(?:cd|dis[ck])[ ._-]?(\d)(?![^\W_])", re.IGNORECASE)
_ORDINAL = re.compile(r"^\d{1,2}[ ._-]+")


def _choose_film(
    files: Sequence[TorrentFile],
    title: Title | None,
    release: Release,
    pointed: TorrentFile | None,
) -> TorrentFile | None:
    """Take the largest file; where several may be meant, the one that its name proves."""
    firsts = [file for file in files if _part(file.path) <= 1]
    largest = max((file.size_bytes or 0 for file in firsts), default=0)
    big = [file for file in firsts if (file.size_bytes or 0) >= 0.7 * largest]
    if len(firsts) <= 1 or (len(big) == 1 and not release.flags & _COMPLETE):
        return big[0] if big else None
    named = _named_films(firsts, title)
    if pointed in (named or big):
        return pointed
    return min(named, key=lambda file: _preference(file, title, release), default=None)


def _named_films(files: Sequence[TorrentFile], title: Title | None) -> list[TorrentFile]:
    """Return the files that bear the film's name, or else its year."""
    if title is None:
        return []
    read = {id(file): _film_names(file) for file in files}
    for is_it in (_is_name_of, _is_year_of):
        if found := [file for file in files if any(is_it(name, title) for name in read[id(file)])]:
            return found
    return []


def _film_names(file: TorrentFile) -> list[Release]:
    """Read file name and folder, each also without a number in front ("2. Harbour Lights")."""
    texts = [stem(file.path), *parts(file.path)[-2:-1]]
    return [parse_release(text) for each in texts for text in {each, _ORDINAL.sub("", each)}]


def _is_name_of(release: Release, title: Title) -> bool:
    is_year = release.year is None or title.year is None or abs(release.year - title.year) <= 1
    return is_year and has_name(release, title)


def _is_year_of(release: Release, title: Title) -> bool:
    return release.year is not None and release.year == title.year


def _part(path: str) -> int:
    match = _PART.search(stem(path))
    return int(match[1]) if match else 0


# The same file in another list


def same_file(
    path: str, size_bytes: int | None, files: Sequence[TorrentFile]
) -> TorrentFile | None:
    """Find a file in a list that numbers and roots its files in its own way; None when unsure.

    Compared are, until exactly one file is left: the whole path, the path's end, the base name
    with the size, the base name where a size is not known, the size.
    """
    wanted_path = _comparable(path)
    base = wanted_path.rpartition("/")[2]
    tests: tuple[Callable[[str, int | None], bool], ...] = (
        lambda other, _: other == wanted_path,
        lambda other, _: _ends_with(other, wanted_path),
        lambda other, size: other.rpartition("/")[2] == base and size == size_bytes,
        lambda other, size: (
            other.rpartition("/")[2] == base and (size is None or size_bytes is None)
        ),
        lambda other, size: bool(size) and size == size_bytes and is_video(other) == is_video(base),
    )
    listed = [(_comparable(file.path), file.size_bytes, file) for file in files]
    for test in tests:
        found = [file for other, size, file in listed if test(other, size)]
        if len(found) == 1:
            return found[0]
    return None


def _ends_with(one: str, other: str) -> bool:
    """Tell whether one path is the other in a folder, either way round."""
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")


def _comparable(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold().strip("/")
