"""Limits on how often: requests that come in, and calls that go out."""

import asyncio
from collections import OrderedDict
from datetime import timedelta

from aiolimiter import AsyncLimiter

from infra.clock import Clock, Deadline
from infra.errors import UpstreamTimeout

_MICROSECOND = timedelta(microseconds=1)


class RateLimit:
    """Lets each key through `count` times at once, and then once every `per / count`.

    One number a key (the generic cell rate algorithm): the moment at which its budget is full
    again. Whole microseconds, because the rounding of floats would refuse the last use of a budget.
    Of the keys, the last `size` that were seen are remembered; a forgotten one has a full budget.
    """

    def __init__(self, clock: Clock, count: int, per: timedelta, size: int = 50_000) -> None:
        self._clock = clock
        self._step = -(-per // (_MICROSECOND * count))
        self._window = self._step * count
        self._size = size
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def take(self, key: str) -> timedelta | None:
        """Count one use; None when it is within the limit, else how long to wait."""
        now = round(self._clock.monotonic() * 1_000_000)
        before = max(self._full_at.get(key, now), now)
        wait = before + self._step - now - self._window
        self._full_at[key] = before if wait > 0 else before + self._step
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._size:
            self._full_at.popitem(last=False)
        return wait * _MICROSECOND if wait > 0 else None


class Budget:
    """Spaces outgoing calls, one leaky bucket a key, so that a published limit is not passed.

    A bucket lets `burst` calls through at once and then `calls` in every `per`, first come first
    served. Whoever gives up waiting takes nothing. The last `size` buckets are remembered.
    """

    def __init__(self, size: int = 2_000) -> None:
        self._size = size
        self._buckets: OrderedDict[tuple[str, int, timedelta, int], AsyncLimiter] = OrderedDict()

    async def wait(self, key: str, calls: int, per: timedelta, burst: int, until: Deadline) -> None:
        """Return when a call is allowed.

        Raises:
            UpstreamTimeout: its turn does not come before the deadline.
        """
        bucket = self._bucket(key, calls, per, burst)
        try:
            async with asyncio.timeout(until.left):
                await bucket.acquire()
        except TimeoutError:
            raise UpstreamTimeout("our own call budget for this account is used up") from None

    def _bucket(self, key: str, calls: int, per: timedelta, burst: int) -> AsyncLimiter:
        rate = (key, calls, per, burst)
        if rate not in self._buckets:
            self._buckets[rate] = AsyncLimiter(burst, (per * burst / calls).total_seconds())
            if len(self._buckets) > self._size:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(rate)
        return self._buckets[rate]
