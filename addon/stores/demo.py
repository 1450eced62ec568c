"""The demo store: three clips of our own, always cached, served by this very server.

It goes the way of a real store, so that the whole flow can be tried without an account.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec

from addon.errors import Kind, StoreError
from addon.stores.base import (
    Account,
    Availability,
    CacheState,
    Call,
    Capabilities,
    Link,
    Page,
    RemoteFile,
    StoredTorrent,
    StoreInfo,
    Tier,
    TorrentState,
)
from addon.torrent import Magnet

CLIPS = Path(__file__).parent / "clips"
KEY_PREFIX = "demo-"

INFO = StoreInfo(
    name="demo",
    code="demo",
    title="Demo",
    website="",
    capabilities=Capabilities(
        native_check=True,
        check_batch=500,
        adds_only_cached=True,
        selects_files=False,
        link_ttl=timedelta(hours=1),
        link_bound_to_address=False,
        takes_web_links=False,
    ),
    rates={},
)


class DemoTorrent(msgspec.Struct, frozen=True):
    """A torrent that exists here only: its files, each with the clip that plays."""

    name: str
    files: tuple[tuple[str, str], ...]

    @property
    def info_hash(self) -> str:
        """A made-up hash that no real torrent has."""
        return hashlib.sha1(f"chillproxy demo {self.name}".encode()).hexdigest()  # noqa: S324  a name


# Both are free works: CC0 and Creative Commons; what plays are clips of our own under their names.
FILM = DemoTorrent(
    "Sita.Sings.the.Blues.2008.1080p.WEB-DL.AAC2.0.H.264-DEMO",
    (("Sita.Sings.the.Blues.2008.1080p.WEB-DL.AAC2.0.H.264-DEMO.mp4", "film.mp4"),),
)
SEASON = DemoTorrent(
    "Pioneer.One.S01.720p.WEB-DL.AAC2.0.H.264-DEMO",
    (
        ("Pioneer.One.S01/Pioneer.One.S01E01.720p.WEB-DL.mp4", "episode-1.mp4"),
        ("Pioneer.One.S01/Pioneer.One.S01E02.720p.WEB-DL.mp4", "episode-2.mp4"),
    ),
)
TORRENTS = {torrent.info_hash: torrent for torrent in (FILM, SEASON)}
CLIP_NAMES = frozenset(clip for torrent in TORRENTS.values() for _, clip in torrent.files)


@dataclass(frozen=True, slots=True)
class Demo:
    """The store; `base_url` is where the clips are served."""

    base_url: str

    @property
    def info(self) -> StoreInfo:
        """Name, code and capabilities."""
        return INFO

    async def account(self, call: Call) -> Account:
        """Return the one account there is."""
        _check_key(call, "account")
        return Account(id="demo", tier=Tier.PREMIUM, plan="Demo")

    async def check(self, call: Call, hashes: Sequence[str]) -> dict[str, Availability]:
        """Tell which hashes are demo torrents."""
        _check_key(call, "check")
        return {info_hash: _availability(info_hash) for info_hash in map(str.lower, hashes)}

    async def add(
        self,
        call: Call,
        magnet: Magnet,
        *,
        only_if_cached: bool = False,  # noqa: ARG002  nothing here can be downloaded
    ) -> StoredTorrent:
        """Return a demo torrent; anything else is not cached and never will be."""
        _check_key(call, "add")
        if magnet.info_hash not in TORRENTS:
            raise StoreError(Kind.NOT_CACHED, store=INFO.name, operation="add")
        return _stored(magnet.info_hash)

    async def get(self, call: Call, torrent_id: str) -> StoredTorrent:
        """Return a demo torrent; its id is its hash."""
        _check_key(call, "get")
        if torrent_id not in TORRENTS:
            raise StoreError(Kind.NOT_FOUND, store=INFO.name, operation="get")
        return _stored(torrent_id)

    async def find(self, call: Call, info_hash: str) -> StoredTorrent | None:
        """Return a demo torrent."""
        _check_key(call, "find")
        return _stored(info_hash) if info_hash in TORRENTS else None

    async def list(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> Page:
        """Return all demo torrents on one page."""
        _check_key(call, "list")
        items = () if cursor else tuple(_stored(info_hash) for info_hash in TORRENTS)
        return Page(items=items[:limit], cursor=None)

    async def remove(self, call: Call, torrent_id: str) -> bool:  # noqa: ARG002  all accounts share it
        """Remove nothing: the torrents are there for everybody."""
        _check_key(call, "remove")
        return False

    async def link(self, call: Call, torrent_id: str, file: RemoteFile) -> Link:
        """Return the URL of a clip."""
        _check_key(call, "link")
        torrent = TORRENTS.get(torrent_id)
        if torrent is None or not file.id.isdigit() or int(file.id) >= len(torrent.files):
            raise StoreError(Kind.NOT_FOUND, store=INFO.name, operation="link")
        clip = torrent.files[int(file.id)][1]
        return Link(url=f"{self.base_url}/{quote(clip)}", expires_in=INFO.capabilities.link_ttl)


def _check_key(call: Call, operation: str) -> None:
    if not call.key.reveal().startswith(KEY_PREFIX):
        raise StoreError(Kind.AUTH_INVALID, store=INFO.name, operation=operation)


def _availability(info_hash: str) -> Availability:
    if info_hash not in TORRENTS:
        return Availability(info_hash=info_hash, state=CacheState.NOT_CACHED)
    return Availability(
        info_hash=info_hash,
        state=CacheState.CACHED,
        name=TORRENTS[info_hash].name,
        files=files_of(TORRENTS[info_hash]),
    )


def files_of(torrent: DemoTorrent) -> tuple[RemoteFile, ...]:
    """Return the files of a demo torrent; no sizes, as a clip is too small for a real film."""
    return tuple(
        RemoteFile(id=str(place), path=path) for place, (path, _) in enumerate(torrent.files)
    )


def _stored(info_hash: str) -> StoredTorrent:
    torrent = TORRENTS[info_hash]
    return StoredTorrent(
        id=info_hash,
        info_hash=info_hash,
        name=torrent.name,
        size_bytes=None,
        state=TorrentState.READY,
        raw_state="ready",
        progress=1.0,
        files=files_of(torrent),
    )
