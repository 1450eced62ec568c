"""Usage events: taken in batches, each once, into partitions by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from chillproxy.models import UsageEvent
from infra.clock import Clock
from infra.db import Database

_DAYS_AHEAD = 7
_SKEW = timedelta(days=1)
_LATEST = timedelta(days=35)
_DAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

# The unique key holds the day, so a repeat must fall on the same day: it comes from the event's
# own time, even where that cannot be true; the default partition takes what is far off. A user who
# is gone leaves a null.
_INSERT = """
insert into pool_usage_logs (event_id, day, at, user_id, device_id, key_id, store, action,
                             info_hash, media, cached, bytes, size_bytes, quality)
select e.event_id, e.day, e.at, u.id, e.device_id, e.key_id, e.store,
       e.action, e.info_hash, e.media, e.cached, e.bytes, e.size_bytes, e.quality
from unnest($1::uuid[], $2::date[], $3::timestamptz[], $4::uuid[], $5::bigint[], $6::bigint[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::boolean[], $12::bigint[],
            $13::bigint[], $14::text[])
     as e (event_id, day, at, user_ref, device_id, key_id, store, action, info_hash, media, cached,
           bytes, size_bytes, quality)
left join pool_users u on u.ref = e.user_ref
where not exists (
    -- A tap after midnight on a lease from before it is the same event, on another day.
    select from pool_usage_logs o where o.event_id = e.event_id and o.day = e.day - 1)
on conflict do nothing
"""
_COLUMNS = (
    "user_ref", "device_id", "key_id", "store", "action", "info_hash", "media", "cached", "bytes",
    "size_bytes", "quality",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage log."""

    database: Database
    clock: Clock

    async def ingest(self, events: Sequence[UsageEvent]) -> int:
        """Store events; return how many were new. A repeat changes nothing."""
        tag = await self.database.execute(
            _INSERT,
            [event.event_id for event in events],
            [_day(event.at) for event in events],
            [self._plausible(event.at) for event in events],
            *([getattr(event, name) for event in events] for name in _COLUMNS),
        )
        return int(tag.rpartition(" ")[2])

    async def keep_partitions(self, keep_days: int) -> None:
        """Make the partitions of the coming days, drop those that are past keeping."""
        today = self._today()
        await self.database.fetchval(
            "select pool_usage_make_partitions($1, $2)",
            today - timedelta(days=1),
            today + timedelta(days=_DAYS_AHEAD),
        )
        await self.database.fetchval(
            "select pool_usage_drop_partitions($1)", today - timedelta(days=keep_days)
        )

    def _today(self) -> date:
        return self.clock.now().astimezone(UTC).date()

    def _plausible(self, at: datetime) -> datetime:
        """Return the event's time, or the nearest that a spool can honestly hold."""
        now = self.clock.now()
        return min(max(at, now - _LATEST), now + _SKEW)


def _day(at: datetime) -> date:
    """Return the day of an event, the same whenever it is asked for."""
    return min(max(at, _DAYS[0]), _DAYS[1]).astimezone(UTC).date()
