"""What a name says of the picture: resolution, source, codec, dynamic range."""

import re

from addon.titles.name import Name
from addon.titles.vocabulary import Codec, Hdr, Resolution, Source

_HEIGHT = re.compile(r"(?<![\dx])(\d{3,4})[pi](?![a-z]*bit)", re.IGNORECASE)
_SIZE = re.compile(r"(?<!\d)(\d{3,4})[x×](\d{3,4})(?!\d)")
_8K = re.compile(r"(?<![^\W_])8K(?![^\W_])", re.IGNORECASE)
_UHD = re.compile(r"UHD(?!rip)|(?<![^\W_])(?:4K|ultra[ .]?hd)(?![^\W_])", re.IGNORECASE)
_HEIGHTS = (
    (3000, Resolution.P4320),
    (1800, Resolution.P2160),
    (1260, Resolution.P1440),
    (900, Resolution.P1080),
    (620, Resolution.P720),
    (560, Resolution.P576),
    (520, Resolution.P540),
    (420, Resolution.P480),
    (300, Resolution.P360),
    (100, Resolution.P240),
)
_WIDTHS = (
    (6000, Resolution.P4320),
    (3200, Resolution.P2160),
    (2300, Resolution.P1440),
    (1700, Resolution.P1080),
    (1200, Resolution.P720),
)


def read_resolution(read: Name) -> Resolution:
    """Prefer the last number that is written out over words ("4Kto1080p", "NFHD 720p")."""
    if heights := _HEIGHT.findall(read.text):
        return _by_size(int(heights[-1]), _HEIGHTS)
    if match := _SIZE.search(read.text):
        return _by_size(int(match[1]), _WIDTHS) or _by_size(int(match[2]), _HEIGHTS)
    if _8K.search(read.tail):
        return Resolution.P4320
    found = re.match(r"\d{3,4}", read.said.get("resolution", ""))
    if found:
        return _by_size(int(found[0]), _HEIGHTS)
    return Resolution.P2160 if _UHD.search(read.tail) else Resolution.UNKNOWN


def _by_size(pixels: int, table: tuple[tuple[int, Resolution], ...]) -> Resolution:
    return next((code for least, code in table if pixels >= least), Resolution.UNKNOWN)


_SOURCES = {
    "CAM": Source.CAM,
    "TeleSync": Source.TELESYNC,
    "TeleCine": Source.TELECINE,
    "SCR": Source.SCREENER,
    "R5": Source.R5,
    "PPVRip": Source.PPV_RIP,
    "VHS": Source.VHS,
    "VHSRip": Source.VHS,
    "SATRip": Source.TV_RIP,
    "TVRip": Source.TV_RIP,
    "PDTV": Source.TV_RIP,
    "HDTVRip": Source.HDTV_RIP,
    "HDTV": Source.HDTV,
    "DVDRip": Source.DVD_RIP,
    "DVD": Source.DVD,
    "HDRip": Source.HD_RIP,
    "WEBMux": Source.WEB_DL_RIP,
    "WEB-DLRip": Source.WEB_DL_RIP,
    "WEBRip": Source.WEB_RIP,
    "WEB": Source.WEB,
    "WEB-DL": Source.WEB_DL,
    "BRRip": Source.BR_RIP,
    "BDRip": Source.BD_RIP,
    "UHDRip": Source.UHD_RIP,
    "BluRay": Source.BLURAY,
    "BluRay REMUX": Source.REMUX,
    "REMUX": Source.REMUX,
}
# Forms that parsett does not know or takes for something else. The first group that matches
# names the source.
_MISREAD = re.compile(
    r"(?<![^\W_])(?:"
    r"(?P<CAM>(?:hd|hq|new|clean|true)[ .-]?cam(?:[ .-]?rip)?|cam[ .-]?rip)"
    r"|(?P<TELESYNC>(?:hd|hq|new|pre)-?ts(?:[ .-]?rip)?)"
    r"|(?P<TELECINE>(?:hd|hq|new)-?tc(?:[ .-]?rip)?)"
    r"|(?P<WORKPRINT>workprint)|(?P<R5>r5)"
    r"|(?P<BD_RIP>hd-?dvd[ .-]?rip)"
    r"|(?P<BLURAY>hd-?dvd|bdmux|bd\d{3,4}[pi]?|(?:m|uhd)blu-?ray|uhdbd"
    r"|(?-i:BD)(?=[ .](?:MP3|FLAC|AAC|x26)))"
    r"|(?P<DISC>bdiso|bdmv|bd-?(?:25|50|66|100)|complete[ .](?:uhd[ .])?blu-?ray)"
    r"|(?P<DVD>m?dvd-?[r59])"
    r"|(?P<DVD_RIP>xvidvd)"
    r"|(?P<WEB>web-?u?hd|(?:netflix|itunes|amazon|hulu|disney)u?hd)"
    r"|(?P<TV_RIP>dsr(?:ip)?)"
    r")(?![^\W_])",
    re.IGNORECASE,
)
# Words that are found in titles too: they count behind the title only.
_PROOFS = {
    Source.CAM: re.compile(r"cam|s[ .-]print", re.IGNORECASE),
    Source.WEB: re.compile(r"web", re.IGNORECASE),
    Source.HDTV: re.compile(r"h[dq].?tv|dvb", re.IGNORECASE),
    Source.TELESYNC: re.compile(r"(?<![^\W_])(?:hd[ .-]?)?t(?:ele)?s", re.IGNORECASE),
    Source.SCREENER: re.compile(r"scr|p(?:re)?-?(?:hd|dvd)", re.IGNORECASE),
}
_PLAIN = re.compile(
    r"(?<![^\W_])(?:(?P<BLURAY>blu-?ray)|(?P<WEB_DL>web-?dl)|(?P<WEB_RIP>web-?rip)|(?P<HDTV>hdtv)"
    r"|(?P<HD_RIP>hd-?rip)|(?P<DVD_RIP>dvd-?rip))(?![^\W_])",
    re.IGNORECASE,
)
_REMUX_OF = re.compile(r"(blu-?ray|bd|br|uhd)|(dvd|pal|ntsc)|(web)|(h[dq]tv)", re.IGNORECASE)
_REMUXES = (Source.REMUX, Source.REMUX, Source.DVD_REMUX, Source.WEB_DL, Source.HDTV)


def read_source(read: Name) -> Source:
    """Return where the picture comes from; an image of a BluRay is a disc."""
    source = _SOURCES.get(read.said.get("quality", ""), Source.UNKNOWN)
    if source is Source.REMUX:
        match = _REMUX_OF.search(read.tail)
        return _REMUXES[match.lastindex or 0 if match else 0]
    if match := _MISREAD.search(read.tail):
        return Source[match.lastgroup or ""]
    if source is Source.BLURAY and read.container == "iso":
        return Source.DISC
    if (proof := _PROOFS.get(source)) and not proof.search(read.tail):
        match = _PLAIN.search(read.tail)
        return Source[match.lastgroup or ""] if match else Source.UNKNOWN
    return source


_CODECS = {"avc": Codec.AVC, "hevc": Codec.HEVC, "av1": Codec.AV1, "xvid": Codec.XVID}
_OTHER_CODECS = re.compile(
    r"(?<![^\W_])(?:(?P<VC1>vc-?1)|(?P<VP9>vp9)|(?P<XVID>mpe?g-?4|xvidvd|divx)|(?P<MPEG2>mpe?g-?2))"
    r"(?![^\W_])",
    re.IGNORECASE,
)


def read_codec(read: Name) -> Codec:
    """Return the video codec."""
    if read.container == "divx":
        return Codec.XVID
    if found := _CODECS.get(read.said.get("codec", "")):
        return found
    match = _OTHER_CODECS.search(read.tail)
    return Codec[match.lastgroup or ""] if match else Codec.UNKNOWN


_HDR_WORDS = {"DV": Hdr.DV, "HDR10+": Hdr.HDR10_PLUS, "HDR": Hdr.HDR10}
_HLG = re.compile(r"(?<![^\W_])HLG(?![^\W_])")
_HDR10P = re.compile(r"HDR10P(?![^\W_])", re.IGNORECASE)


def read_hdr(read: Name) -> Hdr:
    """Return every dynamic range that the name lists."""
    found = Hdr(0)
    for word in read.said.get("hdr", ()):
        found |= _HDR_WORDS.get(word, Hdr(0))
    if _HLG.search(read.tail):
        found |= Hdr.HLG
    if _HDR10P.search(read.tail):
        found |= Hdr.HDR10_PLUS
    if read.said.get("bit_depth") in {"10bit", "12bit"}:
        found |= Hdr.TEN_BIT
    return found
