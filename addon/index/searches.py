"""When a source last answered for a film or an episode, so that it is not asked again too soon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from addon.media import MediaId
from infra.clock import Clock
from infra.db import Database

_EMPTY_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Searches:
    """The marks."""

    database: Database
    clock: Clock

    async def due(self, media: MediaId, ttls: Mapping[str, timedelta]) -> frozenset[str]:
        """Return which sources are to be asked again; an empty answer stays good for minutes."""
        if not ttls:
            return frozenset()
        rows = await self.database.fetch(
            "select source, found, searched_at from searches"  # primary key
            " where media = $1 and source = any ($2)",
            str(media),
            list(ttls),
        )
        now = self.clock.now()
        fresh = {
            row["source"]
            for row in rows
            if _good_until(row["searched_at"], row["found"], ttls[row["source"]]) > now
        }
        return frozenset(ttls) - fresh

    async def mark(self, media: MediaId, sources: Sequence[tuple[str, int]]) -> None:
        """Note that sources answered, each with how many torrents."""
        await self.database.executemany(
            "insert into searches (media, source, found, searched_at) values ($1, $2, $3, $4)"
            " on conflict (media, source)"
            " do update set found = excluded.found, searched_at = excluded.searched_at",
            [(str(media), name, found, self.clock.now()) for name, found in sorted(sources)],
        )


def _good_until(searched_at: datetime, found: int, ttl: timedelta) -> datetime:
    return searched_at + (ttl if found else min(ttl, _EMPTY_FOR))
