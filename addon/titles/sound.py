"""What a name says of the sound: formats and channels."""

import re

from addon.titles.name import Name
from addon.titles.vocabulary import Audio, Channels

_AUDIO = {
    "MP3": Audio.MP3,
    "AAC": Audio.AAC,
    "OPUS": Audio.OPUS,
    "FLAC": Audio.FLAC,
    "PCM": Audio.PCM,
    "Dolby Digital": Audio.DD,
    "Dolby Digital Plus": Audio.DD_PLUS,
    "TrueHD": Audio.TRUEHD,
    "Atmos": Audio.ATMOS,
}
# parsett knows two kinds of DTS, which are not enough to rank by.
_DTS = re.compile(
    r"(?<![^\W_])DTS(?:[ .:-]?(?:(?P<DTS_X>X)|(?P<DTS_HD_MA>(?:HD[ .-]?)?MA(?:ster)?)"
    r"|(?P<DTS_HD>HD(?:[ .-]?HRA?)?)|(?P<DTS_ES>ES)))?(?![a-z]|[ ._-]?26[45])",
    re.IGNORECASE,
)
_VORBIS = re.compile(r"(?<![^\W_])(?:vorbis|ogg)(?![^\W_])", re.IGNORECASE)


def read_audio(read: Name) -> Audio:
    """Return the formats of all tracks that the name lists."""
    found = Audio(0)
    for word in read.said.get("audio", ()):
        found |= _AUDIO.get(word, Audio(0))
    for match in _DTS.finditer(read.tail):
        found |= Audio[match.lastgroup or "DTS"]
    return found | Audio.VORBIS if _VORBIS.search(read.tail) else found


_CHANNELS = {
    "mono": Channels.MONO,
    "stereo": Channels.STEREO,
    "2.0": Channels.STEREO,
    "5.1": Channels.SURROUND_5_1,
    "7.1": Channels.SURROUND_7_1,
}
_CHANNELS_6_1 = re.compile(r"(?<!\d)6\.1(?!\d)")
_CHANNELS_1_0 = re.compile(r"(?<!\d)1\.0(?!\d)")


def read_channels(read: Name) -> Channels:
    """Return the most that is named."""
    found = [_CHANNELS[word] for word in read.said.get("channels", ()) if word in _CHANNELS]
    if _CHANNELS_6_1.search(read.tail):
        found.append(Channels.SURROUND_6_1)
    elif _CHANNELS_1_0.search(read.tail):
        found.append(Channels.MONO)
    return max(found, default=Channels.UNKNOWN)
