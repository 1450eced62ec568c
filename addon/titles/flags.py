"""What else a name says: repairs, editions, extras, trash."""

import re

from addon.titles.name import Name
from addon.titles.vocabulary import Flag, Source

_SUBBED = re.compile(
    r"(?<![^\W_])(?:multi[ .-]?)?[em]?sub(?:s|bed|titles?)?(?![^\W_])", re.IGNORECASE
)
_DUBBED = re.compile(
    r"(?<![^\W_])(?:fan[ .-]?)?(?:dubbed|dubbing|dubs?|dublado|doblado|doublé)(?![^\W_])",
    re.IGNORECASE,
)
_MULTI_AUDIO = re.compile(
    r"(?<![^\W_])(?:multi|dual|tri)(?:ple)?(?![^\W_])(?![ ._-]*(?:sub|esub|msub))", re.IGNORECASE
)
_COMPLETE = re.compile(
    r"(?<![^\W_])(?:complete|collection|all[ .]seasons|full[ .]series|(?:tv|mini)[ .-]?series)"
    r"(?![^\W_])(?![ .](?:uhd|blu|bd|dvd|web))",
    re.IGNORECASE,
)
_EXTRAS = re.compile(
    r"(?<![^\W_])(?:extras|featurettes?|bonus|behind[ ._]the[ ._]scenes|deleted[ ._]scenes"
    r"|gag[ ._]reel|bloopers|making[ ._]of|trailers?|nc(?:op|ed)\d*|creditless)(?![^\W_])",
    re.IGNORECASE,
)
_EXTRAS_IN_TITLE = re.compile(r"(?<![^\W_])(?:NC(?:OP|ED)\d*|creditless)(?![^\W_])", re.IGNORECASE)
BESIDES = re.compile(r"(?:[+&]|(?<![^\W_])(?:w|with|incl\w*|plus|and))[ ._/]*$", re.IGNORECASE)
_SAMPLE = re.compile(r"(?<![^\W_])sample(?![^\W_])", re.IGNORECASE)
_ADULT = re.compile(
    r"(?<![^\W_])(?:(?-i:XXX)|hentai|onlyfans|brazzers|bangbros|naughty[ .]?america|realitykings)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_DISC = re.compile(r"(?<![^\W_])(?:dvd-?[59]|video_ts|(?-i:ISO))(?![^\W_])", re.IGNORECASE)
_HARDSUB = re.compile(r"(?<![^\W_])(?:korsub|hard[ .-]?subs?|hardsubbed)(?![^\W_])", re.IGNORECASE)
_TRASH = re.compile(
    r"\.(?:exe|scr|lnk|zip|rar|msi|bat)$|(?<![^\W_])(?:password|keygen|crack|leaked|threesixtyp"
    r"|acesse[ .]o[ .]original)(?![^\W_])",
    re.IGNORECASE,
)
_NO_VIDEO = re.compile(
    r"(?<![^\W_])(?:ost|soundtrack|flac|mp3|audiobook|e-?book|epub|pdf|mobi|azw3|cb[rz]"
    r"|fitgirl|dodi[ .-]repack|repack-kaos)(?![^\W_])",
    re.IGNORECASE,
)
_SAID_FLAGS = {
    "proper": Flag.PROPER,
    "repack": Flag.REPACK,
    "hardcoded": Flag.HARDCODED,
    "upscaled": Flag.UPSCALED,
    "3d": Flag.THREE_D,
    "remastered": Flag.REMASTERED,
    "unrated": Flag.UNRATED,
    "complete": Flag.COMPLETE,
    "scene": Flag.SCENE,
    "documentary": Flag.DOCUMENTARY,
}
_EDITIONS = {
    "Extended Edition": Flag.EXTENDED,
    "Directors Cut": Flag.EXTENDED,
    "Ultimate Edition": Flag.EXTENDED,
    "Uncut": Flag.EXTENDED,
    "Remastered": Flag.REMASTERED,
}
_TAIL_FLAGS = (
    (_SUBBED, Flag.SUBBED),
    (_DUBBED, Flag.DUBBED),
    (_MULTI_AUDIO, Flag.MULTI_AUDIO),
    (_COMPLETE, Flag.COMPLETE),
    (_SAMPLE, Flag.SAMPLE),
    (_ADULT, Flag.ADULT),
    (_DISC, Flag.DISC),
    (_HARDSUB, Flag.HARDCODED),
    (_TRASH, Flag.TRASH),
)


def read_flags(read: Name, source: Source, *, has_video: bool) -> Flag:
    """Collect the flags; parsett's own `trash` and `adult` are not used.

    It calls a film named "Cam" and every satellite recording trash, and finds adult words inside
    harmless ones.
    """
    found = _EDITIONS.get(read.said.get("edition", ""), Flag(0))
    for word, flag in _SAID_FLAGS.items():
        if read.said.get(word):
            found |= flag
    for pattern, flag in _TAIL_FLAGS:
        if pattern.search(read.tail):
            found |= flag
    if _has_extras(read):
        found |= Flag.EXTRAS
    if not has_video and _NO_VIDEO.search(read.text, 1):
        found |= Flag.TRASH
    if source is Source.DISC:  # "COMPLETE.BLURAY" is one film
        found = (found | Flag.DISC) & ~Flag.COMPLETE
    return found


def _has_extras(read: Name) -> bool:
    """Tell extras alone from a release with extras ("+ Extras")."""
    if _EXTRAS_IN_TITLE.search(read.title):
        return True
    match = _EXTRAS.search(read.tail)
    return match is not None and not BESIDES.search(read.tail[: match.start()])
