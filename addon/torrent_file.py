"""Reads a .torrent file: its info hash, whether it is private, and the files in it.

Bodies come from strangers: nothing here recurses, and depth, counts and lengths are bounded.
"""

import hashlib
import re
from typing import TypeAlias

import msgspec

from addon.torrent import TorrentFile

_MAX_DEPTH = 32
_MAX_VALUES = 250_000
_MAX_FILES = 20_000
_MAX_PATH = 1_000
_MAX_TRACKERS = 20
_MAX_SIZE = 2**63 - 1

_NUMBER = re.compile(rb"i(-?\d{1,20})e")
_LENGTH = re.compile(rb"(\d{1,8}):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f/\\]+")

_Value: TypeAlias = int | bytes | list["_Value"] | dict[bytes, "_Value"]


class Metainfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a .torrent says of itself.

    Attributes:
        files: in the torrent's order, without padding; paths are below the torrent's own
            directory, and `index` counts padding, as players do.
        trackers: empty when private, because the announce URL then holds a passkey.
    """

    info_hash: str
    name: str
    private: bool = False
    files: tuple[TorrentFile, ...] = ()
    trackers: tuple[str, ...] = ()


def read_torrent_file(body: bytes) -> Metainfo | None:
    """Read a .torrent; None when it is none, is malformed, or holds no v1 torrent."""
    try:
        reader = _Reader(body)
        return _metainfo(reader.read(), reader.info)
    except _Malformed:
        return None


class _Malformed(ValueError):
    """Not bencode, not a torrent, or beyond a bound."""


class _Reader:
    """Reads one bencoded value, and keeps the raw slice of its top-level `info`.

    The slice is what the info hash is made of: encoding the value anew could change it.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._values = 0
        self._open: list[_Container] = []
        self.info = b""

    def read(self) -> _Value:
        """Return the value; bytes after it are ignored, as clients do."""
        while True:
            mark = self._body[self._at : self._at + 1]
            if mark in {b"d", b"l"}:
                self._start(mark)
                continue
            done = self._end() if mark == b"e" else self._scalar(mark)
            if not self._open:
                return done
            self._put(done)

    def _start(self, mark: bytes) -> None:
        if len(self._open) == _MAX_DEPTH:
            raise _Malformed("too deep")
        self._count()
        self._open.append(_Container({} if mark == b"d" else [], self._at))
        self._at += 1

    def _end(self) -> _Value:
        if not self._open or self._open[-1].key is not None:
            raise _Malformed("end without a start, or a key without a value")
        closed = self._open.pop()
        self._at += 1
        if len(self._open) == 1 and self._open[0].key == b"info":
            self.info = self._body[closed.start : self._at]
        return closed.value

    def _put(self, done: _Value) -> None:
        inner = self._open[-1]
        if isinstance(inner.value, list):
            inner.value.append(done)
        elif inner.key is not None:
            inner.value[inner.key] = done
            inner.key = None
        # Readers disagree on which of two equal keys counts, so that the hash could be disputed.
        elif not isinstance(done, bytes) or done in inner.value:
            raise _Malformed("a key that is no text, or is there twice")
        else:
            inner.key = done

    def _scalar(self, mark: bytes) -> int | bytes:
        self._count()
        return self._number() if mark == b"i" else self._text()

    def _number(self) -> int:
        match = _NUMBER.match(self._body, self._at)
        if match is None:
            raise _Malformed("bad number")
        self._at = match.end()
        return int(match[1])

    def _text(self) -> bytes:
        match = _LENGTH.match(self._body, self._at)
        if match is None:
            raise _Malformed("not bencode")
        start, self._at = match.end(), match.end() + int(match[1])
        if self._at > len(self._body):
            raise _Malformed("cut short")
        return self._body[start : self._at]

    def _count(self) -> None:
        self._values += 1
        if self._values > _MAX_VALUES:
            raise _Malformed("too many values")


class _Container:
    """A list or dictionary that is still open, where it began, and the key that waits."""

    __slots__ = ("key", "start", "value")

    def __init__(self, value: list[_Value] | dict[bytes, _Value], start: int) -> None:
        self.value = value
        self.start = start
        self.key: bytes | None = None


def _metainfo(top: _Value, raw_info: bytes) -> Metainfo:
    info = top.get(b"info") if isinstance(top, dict) else None
    # A torrent of version 2 alone has no `pieces`; no store can take it.
    if not isinstance(top, dict) or not isinstance(info, dict) or not info.get(b"pieces"):
        raise _Malformed("no v1 torrent")
    private = info.get(b"private") == 1
    return Metainfo(
        info_hash=hashlib.sha1(raw_info, usedforsecurity=False).hexdigest(),
        name=_name(info.get(b"name.utf-8") or info.get(b"name")),
        private=private,
        files=_files(info),
        trackers=() if private else _trackers(top),
    )


def _files(info: dict[bytes, _Value]) -> tuple[TorrentFile, ...]:
    entries = info.get(b"files")
    if entries is None:
        name = _name(info.get(b"name.utf-8") or info.get(b"name"))
        return (TorrentFile(name, _size(info.get(b"length")), 0),)
    if not isinstance(entries, list) or not 0 < len(entries) <= _MAX_FILES:
        raise _Malformed("no files, or too many")
    files = (_file(entry, index) for index, entry in enumerate(entries))
    return tuple(file for file in files if file is not None)


def _file(entry: _Value, index: int) -> TorrentFile | None:
    """Read one file; None for padding (BEP 47)."""
    if not isinstance(entry, dict):
        raise _Malformed("a file that is none")
    attributes = entry.get(b"attr")
    if isinstance(attributes, bytes) and b"p" in attributes:
        return None
    parts = entry.get(b"path.utf-8") or entry.get(b"path")
    if not isinstance(parts, list):
        raise _Malformed("a file without a path")
    names = [_name(part) for part in parts]
    path = "/".join(name for name in names if name)[:_MAX_PATH]
    if not path or names[-1].startswith("_____padding_file"):
        return None
    return TorrentFile(path, _size(entry.get(b"length")), index)


def _name(value: _Value | None) -> str:
    """Read one part of a path; nothing in it can lead to another directory."""
    if not isinstance(value, bytes):
        raise _Malformed("a name that is none")
    name = _CONTROL.sub("_", value[: 4 * _MAX_PATH].decode("utf-8", "replace")).strip()
    return "" if name in {".", ".."} else name[:_MAX_PATH]


def _size(value: _Value | None) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_SIZE:
        raise _Malformed("a size that is none")
    return value


def _trackers(top: dict[bytes, _Value]) -> tuple[str, ...]:
    tiers = top.get(b"announce-list")
    found = [top.get(b"announce")]
    for tier in tiers if isinstance(tiers, list) else ():
        found += tier if isinstance(tier, list) else []
    texts = (url.decode("utf-8", "replace") for url in found if isinstance(url, bytes))
    named = dict.fromkeys(text for text in texts if 0 < len(text) <= _MAX_PATH)
    return tuple(named)[:_MAX_TRACKERS]
