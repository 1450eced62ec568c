"""Single properties of a release as numbers that can be compared."""

import math
from functools import lru_cache

import msgspec

from addon.titles.vocabulary import Audio, Hdr, QualityClass, Source

_MB = 10**6


class Bounds(msgspec.Struct, frozen=True):
    """Sizes in bytes: below `hidden` no real one, outside of `least` and `most` a doubtful one."""

    hidden: float
    least: float
    most: float


# Megabytes: least and most of a film of 90 minutes, least and most of an episode of 45.
_SIZES = {
    QualityClass.CAM: (250, 6_000, 80, 3_000),
    QualityClass.SD: (250, 6_000, 80, 3_000),
    QualityClass.UNKNOWN: (250, 120_000, 80, 40_000),
    QualityClass.P720: (450, 15_000, 120, 6_000),
    QualityClass.P1080: (700, 60_000, 200, 20_000),
    QualityClass.P1440: (1_200, 60_000, 300, 25_000),
    QualityClass.P2160: (2_000, 120_000, 500, 40_000),
}
_LEAST_OF_FILM = 50 * _MB


def size_bounds(length: float, *, is_episode: bool) -> dict[QualityClass, Bounds]:
    """Return bounds for a runtime of so many usual ones; a short one does not lower the most."""
    bounds = {}
    for quality, sizes in _SIZES.items():
        least, most = sizes[2:] if is_episode else sizes[:2]
        hidden = least * length * _MB / 4
        bounds[quality] = Bounds(
            hidden if is_episode else max(hidden, _LEAST_OF_FILM * min(length, 1)),
            least * length * _MB,
            most * max(length, 1) * _MB,
        )
    return bounds


# Megabits a second that such a picture deserves; remuxes have their own.
_TARGETS = {
    QualityClass.CAM: 1.5,
    QualityClass.SD: 1.5,
    QualityClass.UNKNOWN: 4,
    QualityClass.P720: 4,
    QualityClass.P1080: 8,
    QualityClass.P1440: 14,
    QualityClass.P2160: 25,
}
_REMUX_TARGETS = {QualityClass.P1080: 30, QualityClass.P2160: 60}
_REMUX = int(Source.REMUX)
_UNKNOWN_SIZE_DISTANCE = 2


def size_distance(size: int | None, quality: QualityClass, source: int, minutes: int) -> int:
    """Return how many half octaves the bitrate is away from what such a picture deserves.

    Coarse, so that among alike sizes the seeders decide.
    """
    if not size:
        return _UNKNOWN_SIZE_DISTANCE
    target = _TARGETS[quality]
    if source >= _REMUX:
        target = _REMUX_TARGETS.get(quality, target)
    return round(2 * abs(math.log2(size * 8 / (minutes * 60) / (target * 1e6))))


# Ranks

_UNKNOWN_SEEDERS = 2  # as three seeders: not stated is not zero


def seeders_rank(seeders: int | None) -> int:
    """Return the power of two that the seeders reach."""
    return _UNKNOWN_SEEDERS if seeders is None else (max(seeders, 0) + 1).bit_length()


@lru_cache(maxsize=64)
def hdr_rank(bits: int) -> int:
    """Return the place in DV HDR10+, DV HDR, HDR10+, HDR, HLG, none, DV alone.

    DV without a fallback is green and purple on every screen that does not know it.
    """
    hdr = Hdr(bits)
    has_plus, has_hdr, has_dv = Hdr.HDR10_PLUS in hdr, Hdr.HDR10 in hdr, Hdr.DV in hdr
    if has_plus or has_hdr:
        return 3 + has_plus + 2 * has_dv
    return 0 if has_dv else 1 + (Hdr.HLG in hdr)


_AUDIO_RANKS = (
    (Audio.DTS_X, 8),
    (Audio.TRUEHD | Audio.ATMOS, 8),
    (Audio.TRUEHD, 7),
    (Audio.DTS_HD_MA, 7),
    (Audio.FLAC, 7),
    (Audio.PCM, 7),
    (Audio.DD_PLUS | Audio.ATMOS, 6),
    (Audio.ATMOS, 6),
    (Audio.DD_PLUS, 5),
    (Audio.DTS_HD, 4),
    (Audio.DTS_ES, 4),
    (Audio.DTS, 4),
    (Audio.DD, 3),
    (Audio.AAC, 2),
    (Audio.OPUS, 2),
    (Audio.VORBIS, 2),
    (Audio.MP3, 1),
)


@lru_cache(maxsize=4096)
def audio_rank(bits: int) -> int:
    """Return how good the best sound track is."""
    audio = Audio(bits)
    return next((place for formats, place in _AUDIO_RANKS if formats in audio), 0)
