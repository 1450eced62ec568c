"""The words that describe a release, as the small numbers that the database keeps.

Codes are stored: never renumber one. Gaps are left for additions.
"""

from enum import IntEnum, IntFlag
from functools import lru_cache


class Resolution(IntEnum):
    """Height class of the picture, ordered worst to best."""

    UNKNOWN = 0
    P240 = 10
    P360 = 20
    P480 = 30
    P540 = 35
    P576 = 40
    P720 = 50
    P1080 = 60
    P1440 = 70
    P2160 = 80
    P4320 = 90

    @property
    def label(self) -> str:
        """As people write it: `1080p`."""
        return "Unknown" if self is Resolution.UNKNOWN else f"{self.name[1:]}p"


class Source(IntEnum):
    """Where the picture was taken from, ordered worst to best; 10 to 19 are not for a home."""

    UNKNOWN = 0
    CAM = 10
    TELESYNC = 12
    TELECINE = 14
    SCREENER = 16
    R5 = 18
    WORKPRINT = 19
    PPV_RIP = 25
    VHS = 30
    TV_RIP = 35
    HDTV_RIP = 38
    HDTV = 40
    DVD_RIP = 45
    DVD = 46
    DVD_REMUX = 48
    HD_RIP = 50
    WEB_DL_RIP = 53
    WEB_RIP = 55
    WEB = 58
    WEB_DL = 60
    BR_RIP = 63
    BD_RIP = 65
    UHD_RIP = 67
    BLURAY = 70
    DISC = 75
    REMUX = 80

    @property
    def label(self) -> str:
        """As people write it: `WEB-DL`."""
        return _SOURCE_LABELS[self]


_SOURCE_LABELS = {
    Source.UNKNOWN: "Unknown",
    Source.CAM: "CAM",
    Source.TELESYNC: "TeleSync",
    Source.TELECINE: "TeleCine",
    Source.SCREENER: "SCR",
    Source.R5: "R5",
    Source.WORKPRINT: "Workprint",
    Source.PPV_RIP: "PPVRip",
    Source.VHS: "VHSRip",
    Source.TV_RIP: "TVRip",
    Source.HDTV_RIP: "HDTVRip",
    Source.HDTV: "HDTV",
    Source.DVD_RIP: "DVDRip",
    Source.DVD: "DVD",
    Source.DVD_REMUX: "DVD REMUX",
    Source.HD_RIP: "HDRip",
    Source.WEB_DL_RIP: "WEB-DLRip",
    Source.WEB_RIP: "WEBRip",
    Source.WEB: "WEB",
    Source.WEB_DL: "WEB-DL",
    Source.BR_RIP: "BRRip",
    Source.BD_RIP: "BDRip",
    Source.UHD_RIP: "UHDRip",
    Source.BLURAY: "BluRay",
    Source.DISC: "BluRay disc",
    Source.REMUX: "BluRay REMUX",
}


class Codec(IntEnum):
    """Video codec; says what plays it, not how good it looks."""

    UNKNOWN = 0
    MPEG2 = 5
    XVID = 10
    VC1 = 15
    AVC = 20
    VP9 = 25
    HEVC = 30
    AV1 = 35

    @property
    def label(self) -> str:
        """As people write it: `HEVC`."""
        return _CODEC_LABELS[self]


_CODEC_LABELS = {
    Codec.UNKNOWN: "Unknown",
    Codec.MPEG2: "MPEG-2",
    Codec.XVID: "XviD",
    Codec.VC1: "VC-1",
    Codec.AVC: "AVC",
    Codec.VP9: "VP9",
    Codec.HEVC: "HEVC",
    Codec.AV1: "AV1",
}


class Channels(IntEnum):
    """Speakers of the best sound track, ten times the number written."""

    UNKNOWN = 0
    MONO = 10
    STEREO = 20
    SURROUND_5_1 = 51
    SURROUND_6_1 = 61
    SURROUND_7_1 = 71

    @property
    def label(self) -> str:
        """As people write it: `5.1`."""
        return "Unknown" if self is Channels.UNKNOWN else f"{self // 10}.{self % 10}"


class _Bits(IntFlag):
    """Bits that have labels."""

    @property
    def labels(self) -> tuple[str, ...]:
        """As people write them, best first: `("DV", "HDR10+")`."""
        return tuple(label for bit, label in _BIT_LABELS[type(self)].items() if bit in self)

    @property
    def label(self) -> str:
        """All labels in one text: `DV HDR10+`."""
        return " ".join(self.labels)


class Hdr(_Bits):
    """How colours are coded; no bit is SDR."""

    TEN_BIT = 1
    HLG = 2
    HDR10 = 4
    HDR10_PLUS = 8
    DV = 16


class Audio(_Bits):
    """Sound formats of all tracks."""

    MP3 = 1 << 0
    AAC = 1 << 1
    OPUS = 1 << 2
    VORBIS = 1 << 3
    FLAC = 1 << 4
    PCM = 1 << 5
    DD = 1 << 6
    DD_PLUS = 1 << 7
    DTS = 1 << 8
    DTS_ES = 1 << 9
    DTS_HD = 1 << 10
    DTS_HD_MA = 1 << 11
    DTS_X = 1 << 12
    TRUEHD = 1 << 13
    ATMOS = 1 << 14


class Flag(_Bits):
    """What else a release name says."""

    PROPER = 1 << 0
    REPACK = 1 << 1
    HARDCODED = 1 << 2
    DUBBED = 1 << 3
    SUBBED = 1 << 4
    MULTI_AUDIO = 1 << 5
    UPSCALED = 1 << 6
    THREE_D = 1 << 7
    EXTENDED = 1 << 8
    REMASTERED = 1 << 9
    UNRATED = 1 << 10
    COMPLETE = 1 << 11
    SCENE = 1 << 12
    ADULT = 1 << 13
    EXTRAS = 1 << 14
    SAMPLE = 1 << 15
    TRASH = 1 << 16
    DOCUMENTARY = 1 << 17
    DISC = 1 << 18


_BIT_LABELS: dict[type[_Bits], dict[_Bits, str]] = {
    Hdr: {
        Hdr.DV: "DV",
        Hdr.HDR10_PLUS: "HDR10+",
        Hdr.HDR10: "HDR10",
        Hdr.HLG: "HLG",
        Hdr.TEN_BIT: "10bit",
    },
    Audio: {
        Audio.ATMOS: "Atmos",
        Audio.TRUEHD: "TrueHD",
        Audio.DTS_X: "DTS:X",
        Audio.DTS_HD_MA: "DTS-HD MA",
        Audio.FLAC: "FLAC",
        Audio.PCM: "PCM",
        Audio.DD_PLUS: "DD+",
        Audio.DTS_HD: "DTS-HD",
        Audio.DTS_ES: "DTS-ES",
        Audio.DTS: "DTS",
        Audio.DD: "DD",
        Audio.OPUS: "Opus",
        Audio.AAC: "AAC",
        Audio.VORBIS: "Vorbis",
        Audio.MP3: "MP3",
    },
    Flag: {
        Flag.PROPER: "PROPER",
        Flag.REPACK: "REPACK",
        Flag.HARDCODED: "Hardsub",
        Flag.DUBBED: "Dubbed",
        Flag.SUBBED: "Subbed",
        Flag.MULTI_AUDIO: "Multi audio",
        Flag.UPSCALED: "Upscaled",
        Flag.THREE_D: "3D",
        Flag.EXTENDED: "Extended",
        Flag.REMASTERED: "Remastered",
        Flag.UNRATED: "Unrated",
        Flag.COMPLETE: "Complete",
        Flag.SCENE: "Scene",
        Flag.ADULT: "Adult",
        Flag.EXTRAS: "Extras",
        Flag.SAMPLE: "Sample",
        Flag.TRASH: "Trash",
        Flag.DOCUMENTARY: "Documentary",
        Flag.DISC: "Disc",
    },
}


class QualityClass(IntEnum):
    """The ladder that limits, filters and upgrades count in, ordered worst to best."""

    CAM = 10
    SD = 20
    UNKNOWN = 25
    P720 = 30
    P1080 = 40
    P1440 = 50
    P2160 = 60

    @property
    def label(self) -> str:
        """As people write it: `CAM`, `SD`, `1080p`."""
        if self is QualityClass.UNKNOWN:
            return "Unknown"
        return f"{self.name[1:]}p" if self >= QualityClass.P720 else self.name


_ONE_LOWER = {
    QualityClass.P2160: QualityClass.P1440,
    QualityClass.P1440: QualityClass.P1080,
    QualityClass.P1080: QualityClass.P720,
    QualityClass.P720: QualityClass.SD,
}

_CLASS_OF_RESOLUTION: dict[int, QualityClass] = {
    Resolution.P240: QualityClass.SD,
    Resolution.P360: QualityClass.SD,
    Resolution.P480: QualityClass.SD,
    Resolution.P540: QualityClass.SD,
    Resolution.P576: QualityClass.SD,
    Resolution.P720: QualityClass.P720,
    Resolution.P1080: QualityClass.P1080,
    Resolution.P1440: QualityClass.P1440,
    Resolution.P2160: QualityClass.P2160,
    Resolution.P4320: QualityClass.P2160,
}


@lru_cache(maxsize=4096)
def class_of(
    resolution: int, source: int, codec: int = Codec.UNKNOWN, *, upscaled: bool = False
) -> QualityClass:
    """Return the step of the ladder that a release stands on.

    Without a resolution the source decides: television, DVD and XviD are SD; a web or BluRay
    release of unknown height ranks just above that. An upscaled picture counts one step lower.
    """
    if Source.CAM <= source <= Source.WORKPRINT:
        return QualityClass.CAM
    found = _CLASS_OF_RESOLUTION.get(resolution)
    if found is None:
        is_sd = Source.PPV_RIP <= source <= Source.HD_RIP or codec == Codec.XVID
        return QualityClass.SD if is_sd else QualityClass.UNKNOWN
    return _ONE_LOWER.get(found, found) if upscaled else found


# fmt: off
VIDEO_EXTENSIONS = frozenset({
    "3gp", "avi", "divx", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogm",
    "rmvb", "ts", "vob", "webm", "wmv",
})
# fmt: on
