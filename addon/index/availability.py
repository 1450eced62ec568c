"""Where torrents are cached, as stores last said; shared by all users of this server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from infra.clock import Clock
from infra.db import Database

CACHED_FOR = timedelta(hours=12)
NOT_CACHED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Availability:
    """The memory. Not knowing is never stored."""

    database: Database
    clock: Clock

    async def known(self, store: str, hashes: Sequence[str]) -> dict[str, bool]:
        """Return what is known and fresh: whether each hash is cached."""
        now = self.clock.now()
        rows = await self.database.fetch(
            "select info_hash, is_cached from availability"  # primary key
            " where store = $1 and info_hash = any ($2)"
            " and checked_at > case when is_cached then $3::timestamptz else $4::timestamptz end",
            store,
            hashes,
            now - CACHED_FOR,
            now - NOT_CACHED_FOR,
        )
        return {row["info_hash"]: row["is_cached"] for row in rows}

    async def remember(self, store: str, states: Mapping[str, bool], evidence: str) -> None:
        """Keep what a store said (`native`) or what an add or a link showed (`observed`)."""
        if states:
            await self.database.execute(
                "insert into availability (store, info_hash, is_cached, evidence, checked_at)"
                " select $1, f.info_hash, f.is_cached, $4, $5"
                " from unnest($2::text[], $3::boolean[]) as f (info_hash, is_cached)"
                " order by f.info_hash"  # so that no two such statements wait for each other
                " on conflict (store, info_hash) do update set is_cached = excluded.is_cached,"
                " evidence = excluded.evidence, checked_at = excluded.checked_at",
                store,
                list(states),
                list(states.values()),
                evidence,
                self.clock.now(),
            )
