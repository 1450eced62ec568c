"""What every debrid store must offer, and the shapes that it answers with.

Ids are strings everywhere; None means unknown, never -1 or an empty text. The key is an argument
of each call (in `Call`): a store object holds no credential, so two users cannot swap keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from addon.errors import Kind
from addon.torrent import Magnet
from infra.clock import Clock, Deadline
from infra.http_client import HttpClient
from infra.limits import Budget
from infra.secret import Secret


class CacheState(StrEnum):
    """Whether a store holds a torrent; nothing else."""

    CACHED = "cached"
    NOT_CACHED = "not_cached"
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """How we know a cache state."""

    NATIVE = "native"  # the store's own check
    OBSERVED = "observed"  # seen on an add or a link


class TorrentState(StrEnum):
    """The life of a torrent in an account; every raw state of every store maps to one of these."""

    QUEUED = "queued"
    RESOLVING = "resolving"
    AWAITING_SELECTION = "awaiting_selection"
    DOWNLOADING = "downloading"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    INVALID = "invalid"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Tier(StrEnum):
    """What an account may do at its store."""

    FREE = "free"
    TRIAL = "trial"
    PREMIUM = "premium"
    EXPIRED = "expired"


class Rate(msgspec.Struct, frozen=True):
    """At most `calls` in `per`, of which `burst` may come at once; per key and endpoint class."""

    calls: int
    per: timedelta
    burst: int


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a store can do, for callers, pages and tests.

    Attributes:
        native_check: it answers which hashes it has cached.
        check_batch: most hashes in one check.
        adds_only_cached: it can refuse what is not cached instead of downloading it.
        selects_files: files must be chosen before it downloads.
        link_ttl: how long we use a link; below the shortest life anyone reports.
        link_bound_to_address: whether a link may work for one address only.
        takes_web_links: it downloads from hosters too.
    """

    native_check: bool
    check_batch: int
    adds_only_cached: bool
    selects_files: bool
    link_ttl: timedelta
    link_bound_to_address: bool
    takes_web_links: bool


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that pages, settings, docs and tests need to know of a store.

    Attributes:
        name: as in settings and SQL (`torbox`).
        code: as in a user's config (`tb`).
        title: for people.
        rates: default budget by endpoint class, 80 % of what the provider publishes.
    """

    name: str
    code: str
    title: str
    website: str
    capabilities: Capabilities
    rates: dict[str, Rate]


@dataclass(frozen=True, slots=True)
class Call:
    """On whose account, until when, and for whom a store is asked.

    `user_ip` is the viewer's address, given only when it is public; a store that binds links to
    an address needs it.
    """

    key: Secret
    deadline: Deadline
    user_ip: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account behind a key."""

    id: str
    tier: Tier
    plan: str | None = None
    expires_at: datetime | None = None
    slots: int | None = None


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the store lists it; its id is the store's own, not the torrent's index."""

    id: str
    path: str
    size_bytes: int | None = None
    mime: str | None = None


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a store holds one torrent, and its files where it says so."""

    info_hash: str
    state: CacheState
    evidence: Evidence = Evidence.NATIVE
    name: str | None = None
    size_bytes: int | None = None
    files: tuple[RemoteFile, ...] | None = None


class StoredTorrent(msgspec.Struct, frozen=True, kw_only=True):
    """A torrent in an account. `progress` is 0 to 1; `files` is None until they are known."""

    id: str
    info_hash: str | None
    name: str | None
    size_bytes: int | None
    state: TorrentState
    raw_state: str
    progress: float | None = None
    down_bytes_per_second: int | None = None
    seeders: int | None = None
    eta: timedelta | None = None
    files: tuple[RemoteFile, ...] | None = None
    added_at: datetime | None = None
    private: bool | None = None
    reason: Kind | None = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that a player can open. It is as good as a credential: it never goes into a log."""

    url: str
    expires_in: timedelta

    def __repr__(self) -> str:
        return "Link(***)"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of an account's torrents; `cursor` is None on the last."""

    items: tuple[StoredTorrent, ...]
    cursor: str | None


class Store(Protocol):
    """A debrid service. All methods raise `StoreError`, and nothing else that is expected."""

    @property
    def info(self) -> StoreInfo:
        """Name, code and capabilities."""

    async def account(self, call: Call) -> Account:
        """Return the account that the key opens."""

    async def check(self, call: Call, hashes: Sequence[str]) -> dict[str, Availability]:
        """Tell for each hash whether it is cached.

        Every hash that is asked is answered, in lower case; doubles and upper case are folded. No
        hashes: no call. A store without a native check answers UNKNOWN for all.
        """

    async def add(
        self, call: Call, magnet: Magnet, *, only_if_cached: bool = False
    ) -> StoredTorrent:
        """Add a torrent, or return the one that is there already: one item per hash.

        It never waits for metadata or bytes. With `only_if_cached`, a torrent that the store does
        not hold raises NOT_CACHED and leaves nothing behind in the account.
        """

    async def get(self, call: Call, torrent_id: str) -> StoredTorrent:
        """Return one torrent of the account; NOT_FOUND when it is not there."""

    async def find(self, call: Call, info_hash: str) -> StoredTorrent | None:
        """Return the account's torrent with this hash, or None."""

    async def list(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> Page:
        """Return a page of the account's torrents."""

    async def remove(self, call: Call, torrent_id: str) -> bool:
        """Delete a torrent; False when it was not there."""

    async def link(self, call: Call, torrent_id: str, file: RemoteFile) -> Link:
        """Make a playable URL for a file of a READY torrent.

        NOT_READY while the torrent is not, FILE_GONE when the store has lost it.
        """


@dataclass(frozen=True, slots=True)
class StoreParts:
    """What a store is made of; `rates` holds the operator's values or the store's own."""

    http: HttpClient
    budget: Budget
    clock: Clock
    base_url: str
    rates: Mapping[str, Rate]


@dataclass(frozen=True, slots=True)
class Offer:
    """A line of the list of stores."""

    info: StoreInfo
    make: Callable[[StoreParts], Store]
