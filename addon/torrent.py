"""Torrents as sources name them: info hashes, magnets, files, and the one shape of a find."""

import base64
import binascii
import re
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

_HEX = re.compile(r"[0-9a-f]{40}")
_BASE32 = re.compile(r"[a-z2-7]{32}")
_TRACKERS_KEPT = 20


class TorrentFile(msgspec.Struct, frozen=True):
    """One file of a torrent; `path` includes its directories, `index` is the torrent's own."""

    path: str
    size_bytes: int | None = None
    index: int | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says of one torrent; claims are never trusted over the title parser.

    Attributes:
        info_hash: 40 lower-case hex digits.
        name: the release name of the whole torrent, raw.
        size_bytes: of the whole torrent.
        file: the file inside the torrent that the source points at, if it names one.
        seeders: None when the source does not say; that is not zero.
        tracker: label of the site that it came from.
        private: never stored for others and never added to another user's account.
        by_id: the source matched it by an id of the title, not by its text.
    """

    info_hash: str
    name: str
    size_bytes: int | None = None
    file: TorrentFile | None = None
    seeders: int | None = None
    tracker: str = ""
    private: bool = False
    by_id: bool = False
    trackers: tuple[str, ...] = ()


def read_info_hash(text: str) -> str | None:
    """Return 40 lower-case hex digits, or None where no v1 info hash can be read.

    Takes hex, base32, and hex of hex (seen in the wild). All zeros is no hash.
    """
    text = text.strip().lower()
    if len(text) == 80:
        try:
            text = bytes.fromhex(text).decode("ascii").lower()
        except ValueError:
            return None
    if _BASE32.fullmatch(text):
        try:
            text = base64.b32decode(text.upper()).hex()
        except binascii.Error:
            return None
    return text if _HEX.fullmatch(text) and text.strip("0") else None


class Magnet(msgspec.Struct, frozen=True):
    """A magnet link with the parts that matter to a store."""

    info_hash: str
    name: str | None = None
    trackers: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"magnet:?xt=urn:btih:{self.info_hash}"
        if self.name:
            text += f"&dn={quote(self.name, safe='')}"
        return text + "".join(f"&tr={quote(tracker, safe='')}" for tracker in self.trackers)


def read_magnet(text: str) -> Magnet | None:
    """Read a magnet link; None when it is none, or names no v1 info hash."""
    if len(text) > 16_384 or not text.lower().startswith("magnet:?"):
        return None
    info_hash: str | None = None
    name: str | None = None
    trackers: list[str] = []
    try:
        fields = parse_qsl(urlsplit(text).query, max_num_fields=200)
    except ValueError:
        return None
    for key, value in fields:
        if key.startswith("xt") and value.lower().startswith("urn:btih:"):
            info_hash = info_hash or read_info_hash(value[9:])
        elif key == "dn":
            name = value
        elif key.startswith("tr") and len(trackers) < _TRACKERS_KEPT:
            trackers.append(value)
    return None if info_hash is None else Magnet(info_hash, name, tuple(trackers))
