"""The pool in this very process: function calls, and a watch on its changes."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from addon.key_pool.base import Grant, KeyRequest, Lease, PoolRefusal, UsageEvent
from chillproxy import models
from chillproxy.errors import Refused
from chillproxy.pool import Pool


class EmbeddedKeyPool:
    """Speaks for a `Pool`; `watch` must run as a background task."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """Number of the last change to users, devices and keys that was heard of."""
        return self._epoch

    async def watch(self) -> None:
        """Follow the pool's changes for ever; ends with an error when the database goes away."""
        while True:
            self._epoch = await self._pool.next_epoch(self._epoch)

    async def get_key(self, request: KeyRequest) -> Grant:
        """Return a key; see `KeyPool`."""
        try:
            grant = await self._pool.get_key(
                models.KeyRequest(
                    auth=request.auth,
                    device_ids=request.device_ids,
                    device_class=request.device_class,
                    network=request.network,
                    store=request.store,
                    action=request.action,
                    media=request.media,
                    size_bytes=request.size_bytes,
                    exclude=tuple(int(key_id) for key_id in request.exclude),
                )
            )
        except Refused as refused:
            raise PoolRefusal(
                refused.message,
                code=refused.code,
                limit=refused.limit,
                until=refused.until,
                retry_after=refused.retry_after,
                user_ref=None if refused.user_ref is None else str(refused.user_ref),
            ) from None
        lease = grant.lease
        return Grant(
            key_id=str(grant.key_id),
            key=grant.key,
            store=grant.store,
            user_ref=str(grant.user_ref),
            device_id=None if grant.device_id is None else str(grant.device_id),
            device_count=grant.device_count,
            valid_for=grant.valid_for,
            lease=None if lease is None else Lease(lease.id, lease.fence, lease.expires_at),
        )

    async def report(self, key_id: str, kind: str, retry_after: timedelta | None = None) -> bool:
        """Tell the pool what a provider said of a key."""
        return await self._pool.report(int(key_id), kind, retry_after) is not None

    async def release(self, lease: Lease) -> None:
        """End a lease early."""
        await self._pool.release(models.Lease(lease.id, lease.fence, lease.expires_at))

    async def log_usage(self, events: Sequence[UsageEvent]) -> None:
        """Store events, each once."""
        await self._pool.log_usage(
            [
                msgspec.convert(event, models.UsageEvent, strict=False, from_attributes=True)
                for event in events
            ]
        )
