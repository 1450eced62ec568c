"""What happened, on its way to the pool: one append to the spool, nobody waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4, uuid5

import msgspec

from addon.key_pool.base import Grant, KeyPool, UsageEvent
from infra.clock import Clock
from infra.errors import DataRefused
from infra.log import get_logger
from infra.spool import RowsRejected, Spool

log = get_logger()

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(UsageEvent)


@dataclass(frozen=True, slots=True)
class UsageLog:
    """Records events into the spool."""

    spool: Spool
    clock: Clock

    def played(
        self,
        grant: Grant,
        *,
        media: str,
        info_hash: str,
        cached: bool | None,
        size_bytes: int | None,
        quality: str,
    ) -> None:
        """Record a play; the requests of one tap, of one lease and media, are one event."""
        lease = grant.lease
        if lease is None:
            return
        event = UsageEvent(
            event_id=uuid5(lease.id, media),
            at=self.clock.now(),
            action="play",
            user_ref=grant.user_ref,
            key_id=grant.key_id,
            device_id=grant.device_id,
            store=grant.store,
            info_hash=info_hash,
            media=media,
            cached=cached,
            size_bytes=size_bytes,
            quality=quality,
        )
        if not self.spool.record(_encoder.encode(event), important=True):
            log.error("usage_lost", event_id=str(event.event_id))

    def listed(self, grant: Grant, media: str) -> None:
        """Record that a list was served; the first thing to go when the disk is full."""
        event = UsageEvent(
            event_id=uuid4(),
            at=self.clock.now(),
            action="list",
            user_ref=grant.user_ref,
            key_id=grant.key_id,
            device_id=grant.device_id,
            store=grant.store,
            media=media,
        )
        self.spool.record(_encoder.encode(event))


@dataclass(frozen=True, slots=True)
class UsageShipper:
    """Hands lines of the spool to the pool."""

    pool: KeyPool

    async def __call__(self, lines: Sequence[bytes]) -> None:
        """Store a batch.

        Raises:
            RowsRejected: some lines are no events, or the pool refuses the batch for one of them.
            AppError: the pool is away; the spool tries again.
        """
        events, bad = [], set()
        for place, line in enumerate(lines):
            try:
                events.append(_decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                bad.add(place)
        try:
            await self.pool.log_usage(events)
        except (DataRefused, msgspec.ValidationError) as error:
            raise RowsRejected(str(error)) from error
        if bad:
            raise RowsRejected("no usage event", frozenset(bad))
