"""Another Stremio addon as a source: its streams, read for the torrents behind them.

Texts of streams are made for people and differ by addon; the marks of Torrentio, Comet and
MediaFusion are known here (read in their sources, 2026-08), others are read as far as they agree.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from urllib.parse import quote, urlsplit

import msgspec

from addon.sources.base import Query
from addon.sources.endpoint import Endpoint, own_hosts
from addon.torrent import Found, TorrentFile, read_info_hash
from infra import lenient
from infra.clock import Clock, Deadline
from infra.errors import ReplyInvalid, UpstreamError
from infra.http_client import HttpClient, Reply
from infra.secret import Secret

_WAIT_UNLESS_TOLD = timedelta(seconds=60)
_MAX_BYTES = 2 * 1024 * 1024
_MAX_STREAMS = 1_000
_MAX_NAME = 300
_MAX_PATH = 1_000
_MAX_TEXT = 4_000
_MAX_TRACKERS = 20
_MAX_INT = 2**31 - 1

_SAYS_INVALID = re.compile(r"invalid \w+ (account|apikey|token)", re.IGNORECASE)
_SAYS_LIMIT = re.compile(r"rate.?limit", re.IGNORECASE)

_SIZE = re.compile(r"\d[\d.,]{0,30}\s?[KMGTP]?i?B\b", re.IGNORECASE)
_SEEDERS = re.compile(r"[👤👥]\s*(\d{1,9})")
# In order of trust: MediaFusion marks languages with the globe that others put before a site.
_SITES = tuple(
    re.compile(mark + r"\ufe0f?\s*([^\n👤👥💾⚙🔗🔎🌐|]{1,60})") for mark in ("⚙", "🔗", "🔎", "🌐")
)
_MARKS = re.compile(r"[👤👥💾⚙🔗🔎🌐📹🔊⭐🏷]")
_ARROW = "┈➤"
_ANNOUNCE = re.compile(r"(?:udp|https?|wss?)://\S{1,300}")


class UpstreamAddon:
    """A Stremio addon that the operator configured.

    Args:
        http: for all calls.
        clock: reads `Retry-After`.
        name: label of this source.
        manifest_url: a secret as a whole, for its path may hold a config with keys in it.
    """

    ttl = timedelta(hours=6)

    def __init__(self, http: HttpClient, clock: Clock, name: str, manifest_url: Secret) -> None:
        self.name = name
        self._base = Secret(_base(manifest_url.reveal()))
        self._endpoint = Endpoint(name, http, clock, own_hosts(self._base.reveal()))

    async def search(self, query: Query, deadline: Deadline) -> Sequence[Found]:
        """Return the torrents that the addon lists; see `Source.search`.

        Raises:
            UpstreamError: with code `source_misconfigured` where only the operator can mend it,
                `rate_limited` with `retry_after` where the addon asks for patience.
        """
        media = query.media
        kind = "series" if media.is_episode else "movie"
        url = f"{self._base.reveal()}/stream/{kind}/{quote(str(media), safe='')}.json"
        reply = await self._endpoint.get(url, deadline, max_bytes=_MAX_BYTES)
        # So do addons say that they have nothing for an id, or do not serve ids of its kind.
        if reply.status == 404:
            return []
        streams = _streams(self._read(reply))
        found = _merged(_found(stream, self.name) for stream in streams)
        if not found:
            self._refuse_texts(streams)
        return found

    def _read(self, reply: Reply) -> "_Answer":
        refusal = self._endpoint.refusal(reply)
        if refusal is not None:
            raise refusal
        try:
            return reply.decode(_Answer)
        except ReplyInvalid:
            raise self._endpoint.unreadable(reply) from None

    def _refuse_texts(self, streams: Sequence["_Stream"]) -> None:
        """Raise the error that an addon shows as a stream; without one, it just has nothing."""
        texts = "\n".join(
            f"{lenient.text(stream.name, _MAX_TEXT)}\n{_described(stream)}" for stream in streams
        )
        if _SAYS_INVALID.search(texts):
            message = f"{self.name}: it says that its key is invalid"
            raise UpstreamError(message, code="source_misconfigured")
        if _SAYS_LIMIT.search(texts):
            message = f"{self.name}: it says that it is limited"
            raise UpstreamError(message, code="rate_limited", retry_after=_WAIT_UNLESS_TOLD)


def _base(manifest_url: str) -> str:
    """Return the URL that resources hang on, from a manifest URL as people paste it."""
    url = re.sub(r"^stremio://", "https://", manifest_url.strip()).partition("?")[0]
    return url.removesuffix("/manifest.json").rstrip("/")


class _Hints(msgspec.Struct, frozen=True, rename="camel"):
    filename: object = None
    video_size: object = None


class _Stream(msgspec.Struct, frozen=True, rename="camel"):
    """A stream as it is sent; types are checked field by field, since addons are sloppy."""

    info_hash: object = None
    file_idx: object = None
    url: object = None
    name: object = None
    title: object = None
    description: object = None
    sources: object = None
    behavior_hints: object = None

    @property
    def hints(self) -> _Hints:
        """Its behaviour hints, empty where there are none."""
        try:
            return msgspec.convert(self.behavior_hints or {}, _Hints)
        except msgspec.ValidationError:
            return _Hints()


class _Answer(msgspec.Struct, frozen=True):
    streams: list[msgspec.Raw] | None = None


class _Told(msgspec.Struct, frozen=True):
    """What the text of a stream tells; sizes are in bytes."""

    torrent: str = ""
    file: str = ""
    torrent_size: int | None = None
    file_size: int | None = None


def _streams(answer: _Answer) -> list[_Stream]:
    streams = []
    for raw in (answer.streams or [])[:_MAX_STREAMS]:
        try:
            streams.append(msgspec.json.decode(raw, type=_Stream))
        except (msgspec.DecodeError, RecursionError):  # not an object; the others may be good
            continue
    return streams


def _found(stream: _Stream, label: str) -> Found | None:
    """Read a stream; None where it has no torrent behind it, or says nothing of it."""
    info_hash = read_info_hash(lenient.text(stream.info_hash, _MAX_TEXT)) or _hash_in_path(
        lenient.text(stream.url, _MAX_TEXT)
    )
    text, hints = _described(stream), stream.hints
    file_name = lenient.text(hints.filename, _MAX_PATH)
    told = _told(text, file_name)
    if info_hash is None or not told.torrent:
        return None
    path = told.file or file_name
    file_size = lenient.byte_size(hints.video_size) or told.file_size
    index = lenient.whole(stream.file_idx, _MAX_INT)
    seeders = _SEEDERS.search(text)
    return Found(
        info_hash=info_hash,
        name=told.torrent,
        size_bytes=told.torrent_size,
        file=TorrentFile(path, file_size, index) if path else None,
        seeders=lenient.whole(seeders[1], _MAX_INT) if seeders else None,
        tracker=_site(text) or label,
        by_id=True,
        trackers=_trackers(stream.sources),
    )


def _hash_in_path(url: str) -> str | None:
    """Return the info hash in a playback URL; the last, as a config may come before it."""
    try:
        segments = urlsplit(url).path.split("/")
    except ValueError:
        return None
    hashes = (read_info_hash(part) for part in reversed(segments) if len(part) == 40)
    return next(filter(None, hashes), None)


def _told(text: str, file_name: str) -> _Told:
    """Read names and sizes by the marks of the addon that wrote the text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    sizes = _sizes(text)
    for line in lines:
        if line.startswith("📂"):
            return _told_by_folder(line, sizes)
        if line.startswith("📄"):
            return _Told(_name(line[1:]), file_size=_only(sizes))
    plain = ["" if _MARKS.search(line) else line for line in lines]
    if "⚙" in text and plain[0]:
        # Torrentio: the torrent, then, in a pack, the file. Its one size is the file's.
        file = plain[1] if len(plain) > 2 else ""
        return _Told(_name(plain[0]), file=file[:_MAX_PATH], file_size=_only(sizes))
    return _Told(_name(file_name or next(filter(None, plain), "")), file_size=_only(sizes))


def _told_by_folder(line: str, sizes: list[int]) -> _Told:
    """Read MediaFusion's form: torrent, arrow, file; and one size, or the file's and the whole."""
    torrent, _, file = line[1:].partition(_ARROW)
    return _Told(
        _name(torrent),
        file=file.strip()[:_MAX_PATH],
        torrent_size=max(sizes, default=None),
        file_size=min(sizes) if len(sizes) > 1 else None,
    )


def _sizes(text: str) -> list[int]:
    line = text.partition("💾")[2].partition("\n")[0]
    sizes = map(lenient.byte_size, _SIZE.findall(line)[:2])
    return [size for size in sizes if size]


def _only(sizes: Sequence[int]) -> int | None:
    return sizes[0] if sizes else None


def _site(text: str) -> str:
    for mark in _SITES:
        if match := mark.search(text):
            return match[1].strip()
    return ""


def _trackers(sources: object) -> tuple[str, ...]:
    if not isinstance(sources, list):
        return ()
    urls = (lenient.text(source, _MAX_TEXT).removeprefix("tracker:") for source in sources[:200])
    announced = (url for url in urls if _ANNOUNCE.fullmatch(url))
    return tuple(dict.fromkeys(announced))[:_MAX_TRACKERS]


def _merged(streams: Iterable[Found | None]) -> list[Found]:
    """Return each torrent once: the first stream counts, later ones fill its gaps."""
    merged: dict[str, Found] = {}
    for found in streams:
        if found is None:
            continue
        known = merged.setdefault(found.info_hash, found)
        merged[found.info_hash] = msgspec.structs.replace(
            known,
            size_bytes=known.size_bytes or found.size_bytes,
            file=known.file or found.file,
            seeders=found.seeders if known.seeders is None else known.seeders,
            trackers=known.trackers or found.trackers,
        )
    return list(merged.values())


def _described(stream: _Stream) -> str:
    return _lines(stream.description) or _lines(stream.title)


def _lines(value: object) -> str:
    return lenient.text(value, _MAX_TEXT, keep_lines=True)


def _name(text: str) -> str:
    return text.strip()[:_MAX_NAME].strip()
