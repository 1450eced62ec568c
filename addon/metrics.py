"""What this server counts, on one page; the routes and the parts get the counters from here."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import get_args

from addon.errors import Kind, StoreError
from addon.key_pool.base import Action
from addon.playback.notice import NOTICES
from addon.search.search import SEARCH_OUTCOMES
from addon.stores.base import (
    Account,
    Availability,
    Call,
    Link,
    Page,
    RemoteFile,
    Store,
    StoredTorrent,
    StoreInfo,
)
from addon.streams.assemble import LIST_OUTCOMES
from addon.torrent import Magnet
from infra.clock import Clock
from infra.db import Database
from infra.metrics import Counts, Registry, Timings
from infra.spool import Spool

_REQUEST_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STORE_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_OPERATIONS = ("account", "check", "add", "get", "find", "list", "remove", "link")
# All codes of `PoolRefusal`.
REFUSALS = (
    "unknown_user", "user_disabled", "user_expired", "store_not_allowed", "device_limit",
    "stream_limit", "no_key", "pool_busy", "quota_exceeded", "network_conflict", "locked",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metrics:
    """The counters of one application."""

    registry: Registry
    requests: Timings
    lists: Counts
    plays: Counts
    pool_asks: Counts
    store_calls: Timings
    searches: Counts
    background_failures: Counts

    @classmethod
    def make(cls, *, routes: Collection[str], stores: Collection[str]) -> "Metrics":
        """Make them all.

        Args:
            routes: templates of the paths that are answered.
            stores: names of the stores.
        """
        registry = Registry()
        return cls(
            registry,
            requests=registry.timings(
                "chillproxy_request_seconds",
                "Requests by route template and class of status.",
                _REQUEST_SECONDS,
                route={*routes, "none"},
                status=("none", "1xx", "2xx", "3xx", "4xx", "5xx"),
            ),
            lists=registry.counts(
                "chillproxy_lists",
                "Stream lists: full, partial (with a notice), empty, or refused.",
                outcome=LIST_OUTCOMES,
            ),
            plays=registry.counts(
                "chillproxy_plays",
                "Requests of players: ok, or the notice that was shown instead.",
                outcome=("ok", *NOTICES),
            ),
            pool_asks=registry.counts(
                "chillproxy_pool_asks",
                "Questions to the pool: ok, its refusal, or unavailable.",
                action=get_args(Action),
                outcome=("ok", "unavailable", *REFUSALS),
            ),
            store_calls=registry.timings(
                "chillproxy_store_call_seconds",
                "Calls to debrid stores: ok, or the kind of error.",
                _STORE_SECONDS,
                store=stores,
                operation=_OPERATIONS,
                outcome=("ok", "cancelled", *Kind),
            ),
            searches=registry.counts(
                "chillproxy_source_searches",
                "Questions to sources of torrents.",
                outcome=SEARCH_OUTCOMES,
            ),
            background_failures=registry.counts(
                "chillproxy_background_failures",
                "Failed runs of background work; the log says which.",
            ),
        )

    def watch_spool(self, spool: Spool, clock: Clock) -> None:
        """Show what waits in the spool of usage events."""

        def age() -> float:
            oldest = spool.backlog.oldest_at
            return (clock.now() - oldest).total_seconds() if oldest else 0.0

        show, total = self.registry.gauge, self.registry.total
        show(
            "chillproxy_usage_waiting_bytes",
            "Usage events on the disk that are not stored yet.",
            lambda: spool.backlog.held_bytes,
        )
        show("chillproxy_usage_waiting_seconds", "Age of the oldest of them.", age)
        total(
            "chillproxy_usage_shipped",
            "Usage events handed to the pool.",
            lambda: spool.backlog.shipped,
        )
        total(
            "chillproxy_usage_shed",
            "Usage events not taken for want of room.",
            lambda: spool.backlog.shed,
        )
        total(
            "chillproxy_usage_dead",
            "Usage events that the pool refused; they lie in usage/dead.",
            lambda: spool.backlog.dead,
        )

    def watch_database(self, database: Database) -> None:
        """Show how much of the database pool is in use."""
        self.registry.gauge(
            "chillproxy_database_connections_in_use",
            "Connections of this process that are at work.",
            lambda: database.pool.get_size() - database.pool.get_idle_size(),
        )
        self.registry.gauge(
            "chillproxy_database_connections_most",
            "How many it may open.",
            database.pool.get_max_size,
        )


class _Timed:
    """Times one call of a store, whatever becomes of it."""

    __slots__ = ("_calls", "_operation", "_started", "_store")

    def __init__(self, calls: Timings, store: str, operation: str) -> None:
        self._calls = calls
        self._store = store
        self._operation = operation
        self._started = time.perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = "ok" if error is None else "cancelled"
        if isinstance(error, StoreError):
            outcome = error.kind.value
        elif isinstance(error, Exception):
            outcome = Kind.UNKNOWN.value
        self._calls.add(
            time.perf_counter() - self._started, self._store, self._operation, outcome
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MeteredStore:
    """A store whose calls are counted; in all else the store itself."""

    store: Store
    calls: Timings

    @property
    def info(self) -> StoreInfo:
        """Name, code and capabilities."""
        return self.store.info

    async def account(self, call: Call) -> Account:
        """See `Store`."""
        with self._timed("account"):
            return await self.store.account(call)

    async def check(self, call: Call, hashes: Sequence[str]) -> dict[str, Availability]:
        """See `Store`."""
        with self._timed("check"):
            return await self.store.check(call, hashes)

    async def add(
        self, call: Call, magnet: Magnet, *, only_if_cached: bool = False
    ) -> StoredTorrent:
        """See `Store`."""
        with self._timed("add"):
            return await self.store.add(call, magnet, only_if_cached=only_if_cached)

    async def get(self, call: Call, torrent_id: str) -> StoredTorrent:
        """See `Store`."""
        with self._timed("get"):
            return await self.store.get(call, torrent_id)

    async def find(self, call: Call, info_hash: str) -> StoredTorrent | None:
        """See `Store`."""
        with self._timed("find"):
            return await self.store.find(call, info_hash)

    async def list(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> Page:
        """See `Store`."""
        with self._timed("list"):
            return await self.store.list(call, cursor=cursor, limit=limit)

    async def remove(self, call: Call, torrent_id: str) -> bool:
        """See `Store`."""
        with self._timed("remove"):
            return await self.store.remove(call, torrent_id)

    async def link(self, call: Call, torrent_id: str, file: RemoteFile) -> Link:
        """See `Store`."""
        with self._timed("link"):
            return await self.store.link(call, torrent_id, file)

    def _timed(self, operation: str) -> _Timed:
        return _Timed(self.calls, self.store.info.name, operation)
