"""Which releases are listed, and in what order."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

import msgspec

from addon.titles.parse import Release
from addon.titles.score import (
    Bounds,
    audio_rank,
    hdr_rank,
    seeders_rank,
    size_bounds,
    size_distance,
)
from addon.titles.vocabulary import Flag, QualityClass, Resolution, Source


class Candidate(msgspec.Struct, kw_only=True):
    """What ranking looks at; callers add fields of their own in a subclass.

    Attributes:
        name: the raw release name, for keywords.
        size_bytes: of the file that would play, or the pack's divided by its episodes.
        is_cached: at a store that the user has; None when no store could say.
    """

    info_hash: str
    name: str
    release: Release
    size_bytes: int | None = None
    seeders: int | None = None
    is_cached: bool | None = None


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a user's config that says what to list and how to sort it.

    Attributes:
        sort: words of `SORT_WORDS`, with `-` in front for descending; unknown ones are passed over.
        resolutions: `1080p`, `4k`, `SD`, `unknown`; empty means all.
        exclude_qualities: classes (`CAM`, `SD`), sources (`HDTV`) and resolutions.
        languages: preferred ones, the best first.
        only_languages: hide a release that names others alone.
        min_size, max_size: in bytes; 0 is no limit, and an unknown size passes.
        per_resolution, max_streams: 0 is no limit.
        hide: flags that are not listed.
    """

    sort: tuple[str, ...] = ()
    resolutions: tuple[str, ...] = ()
    exclude_qualities: tuple[str, ...] = ("CAM",)
    languages: tuple[str, ...] = ()
    only_languages: tuple[str, ...] = ()
    min_size: int = 0
    max_size: int = 0
    exclude_keywords: tuple[str, ...] = ()
    per_resolution: int = 10
    max_streams: int = 50
    cached_only: bool = False
    hide: Flag = Flag.TRASH | Flag.SAMPLE | Flag.ADULT | Flag.DISC


class Hidden(StrEnum):
    """Why a release is not listed."""

    TRASH = "trash"
    QUALITY = "quality"
    RESOLUTION = "resolution"
    LANGUAGE = "language"
    SIZE = "size"
    TOO_SMALL = "too_small"
    KEYWORD = "keyword"
    NOT_CACHED = "not_cached"


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True, slots=True)
class Rules:
    """The wishes of one user for one film or episode, made ready for many candidates."""

    wishes: Wishes
    excluded: frozenset[str]
    resolutions: frozenset[str]
    languages: tuple[str, ...]
    only_languages: frozenset[str]
    keywords: tuple[str, ...]
    bounds: Mapping[QualityClass, Bounds]
    minutes: int
    order: tuple[tuple[Callable[["Rules", Candidate], float | None], int], ...]

    @classmethod
    def of(cls, wishes: Wishes, runtime_minutes: int | None, *, is_episode: bool) -> "Rules":
        """Prepare the wishes; without a runtime an episode has 45 minutes and a film 90."""
        usual = 45 if is_episode else 90
        minutes = runtime_minutes if runtime_minutes and runtime_minutes > 0 else usual
        return cls(
            wishes=wishes,
            excluded=_quality_words(wishes.exclude_qualities),
            resolutions=_quality_words(wishes.resolutions),
            languages=tuple(map(_language, wishes.languages)),
            only_languages=frozenset(map(_language, wishes.only_languages)),
            keywords=tuple(f" {word} " for word in map(_spaced, wishes.exclude_keywords) if word),
            bounds=size_bounds(minutes / usual, is_episode=is_episode),
            minutes=minutes,
            order=tuple(
                (_SORT_VALUES[word.lstrip("-")], -1 if word.startswith("-") else 1)
                for word in map(str.strip, wishes.sort)
                if word.lstrip("-") in _SORT_VALUES
            ),
        )

    def hides(self, candidate: Candidate) -> Hidden | None:
        """Return why a candidate is not listed; None when it is, limits and doubles apart."""
        release = candidate.release
        if release.flags & self.wishes.hide.value:
            return Hidden.TRASH
        if not _qualities(release).isdisjoint(self.excluded):
            return Hidden.QUALITY
        if self.resolutions and _resolutions(release).isdisjoint(self.resolutions):
            return Hidden.RESOLUTION
        if self.only_languages and not self._is_spoken(release):
            return Hidden.LANGUAGE
        if self.wishes.cached_only and not candidate.is_cached:
            return Hidden.NOT_CACHED
        if self.keywords and self._has_keyword(candidate.name):
            return Hidden.KEYWORD
        return self._hides_size(candidate.size_bytes, release.quality)

    def _is_spoken(self, release: Release) -> bool:
        if not release.languages and release.flags & _MULTI_AUDIO:
            return True
        return not self.only_languages.isdisjoint(release.languages or _UNTAGGED)

    def _has_keyword(self, name: str) -> bool:
        spaced = f" {_spaced(name)} "
        return any(word in spaced for word in self.keywords)

    def _hides_size(self, size: int | None, quality: QualityClass) -> Hidden | None:
        if not size:
            return None
        if size < self.wishes.min_size or (self.wishes.max_size and size > self.wishes.max_size):
            return Hidden.SIZE
        return Hidden.TOO_SMALL if size < self.bounds[quality].hidden else None

    def sort_key(self, candidate: Candidate) -> tuple[float, ...]:
        """Return a key that sorts the best first."""
        release, size = candidate.release, candidate.size_bytes
        bounds = self.bounds[release.quality]
        user = (
            math.inf if (value := read(self, candidate)) is None else value * sign
            for read, sign in self.order
        )
        return (
            not candidate.is_cached,
            bool(size) and not bounds.least <= (size or 0) <= bounds.most,
            *user,
            -self.language_match(release),
            -release.quality,
            -release.source,
            -hdr_rank(release.hdr),
            -audio_rank(release.audio),
            not release.flags & _FIXED,
            size_distance(size, release.quality, release.source, self.minutes),
            -seeders_rank(candidate.seeders),
        )

    def language_match(self, release: Release) -> int:
        """Return how early a preferred language comes; an unnamed one of several counts little."""
        spoken = release.languages or _UNTAGGED
        for place, language in enumerate(self.languages):
            if language in spoken:
                return 2 * (len(self.languages) - place)
        return int(bool(self.languages and not release.languages and release.flags & _MULTI_AUDIO))


# A name that states no language is taken for English, the custom of most sites.
_UNTAGGED = ("en",)
_MULTI_AUDIO = int(Flag.MULTI_AUDIO)
_FIXED = int(Flag.PROPER | Flag.REPACK)

_SORT_VALUES: dict[str, Callable[[Rules, Candidate], float | None]] = {
    "resolution": lambda _, candidate: candidate.release.quality,
    "quality": lambda _, candidate: candidate.release.source,
    "size": lambda _, candidate: candidate.size_bytes or None,
    "hdr": lambda _, candidate: hdr_rank(candidate.release.hdr),
    "seeders": lambda _, candidate: candidate.seeders,
    "language": lambda rules, candidate: rules.language_match(candidate.release),
}
SORT_WORDS = tuple(_SORT_VALUES)


def rank(
    candidates: Iterable[C],
    wishes: Wishes,
    runtime_minutes: int | None,
    *,
    is_episode: bool = False,
) -> list[C]:
    """Return what to list, best first: filtered, sorted, without doubles, within the limits.

    Cached releases always come first, so limits never let another one crowd them out. What is far
    too small for the title is shown only where nothing cached would be listed without it: it may
    be a short film after all.
    """
    rules = Rules.of(wishes, runtime_minutes, is_episode=is_episode)
    kept: list[C] = []
    small: list[C] = []
    for candidate in candidates:
        reason = rules.hides(candidate)
        if reason is None:
            kept.append(candidate)
        elif reason is Hidden.TOO_SMALL:
            small.append(candidate)
    if not any(candidate.is_cached for candidate in kept):
        has_other = bool(kept)
        kept += [candidate for candidate in small if candidate.is_cached or not has_other]
    kept.sort(key=rules.sort_key)
    return _limit(kept, wishes)


def _limit(ordered: Iterable[C], wishes: Wishes) -> list[C]:
    """Drop doubles first, so that they use up no limit."""
    listed: list[C] = []
    seen = _Seen()
    count: dict[QualityClass, int] = {}
    for candidate in ordered:
        if seen.has(candidate):
            continue
        quality = candidate.release.quality
        count[quality] = count.get(quality, 0) + 1
        if wishes.per_resolution and count[quality] > wishes.per_resolution:
            continue
        listed.append(candidate)
        if len(listed) == wishes.max_streams:
            break
    return listed


_TELLING_BYTES = 100 * 1024 * 1024  # smaller files are of one size by chance


class _Seen:
    """Remembers what was listed: a hash, or one release of one size within 0.1 %."""

    def __init__(self) -> None:
        self._hashes: set[str] = set()
        self._sizes: dict[tuple[object, ...], int] = {}

    def has(self, candidate: Candidate) -> bool:
        """Tell whether a double of it was seen, and remember it."""
        if candidate.info_hash in self._hashes or self._has_size(candidate):
            return True
        self._hashes.add(candidate.info_hash)
        return False

    def _has_size(self, candidate: Candidate) -> bool:
        size, release = candidate.size_bytes, candidate.release
        if not size or size < _TELLING_BYTES or not release.titles_norm:
            return False
        # Sizes within 0.1 % fall into the same or a neighbouring step of the logarithm.
        step = int(math.log(size) * 1000)
        picture = (
            release.titles_norm[0], release.resolution, release.source, release.codec, release.hdr,
            release.audio, release.languages, release.group.lower(),
        )  # fmt: skip
        for near in (step - 1, step, step + 1):
            other = self._sizes.get((*picture, near))
            if other is not None and abs(other - size) <= 0.001 * max(other, size):
                return True
        self._sizes[*picture, step] = size
        return False


# Words of the config

_ALIASES = {"remux": "bluray remux", "4k": "2160p", "uhd": "2160p", "8k": "4320p", "2k": "1440p"}
_SEPARATORS = re.compile(r"[\W_]+")


def _quality_words(words: Iterable[str]) -> frozenset[str]:
    folded = (word.strip().lower() for word in words)
    return frozenset(_ALIASES.get(word, word) for word in folded if word)


def _language(word: str) -> str:
    return word.strip().lower().partition("-")[0]


def _spaced(text: str) -> str:
    return _SEPARATORS.sub(" ", text.casefold()).strip()


def _qualities(release: Release) -> frozenset[str]:
    return _labels(release.resolution, release.source, release.quality)


def _resolutions(release: Release) -> frozenset[str]:
    return _labels(release.resolution, None, release.quality)


@lru_cache(maxsize=4096)
def _labels(resolution: int, source: int | None, quality: QualityClass) -> frozenset[str]:
    labels = {Resolution(resolution).label, quality.label}
    if source is not None:
        labels.add(Source(source).label)
    return frozenset(label.lower() for label in labels)
