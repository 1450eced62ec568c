"""What this process remembers for a while, and calls that many askers share."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from infra import tasks
from infra.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Keeps values until they expire, or until newer use of others pushes them out.

    Args:
        clock: says when a value has expired.
        ttl: how long a value is kept unless `put` says otherwise.
        size: the most entries that are kept.
        weigh: bytes that a value takes; wanted with `max_bytes`.
        max_bytes: the most that all values may weigh together; heavier single ones are not kept.
    """

    __slots__ = ("_bytes", "_entries", "_max_bytes", "_now", "_size", "_ttl", "_weigh")

    def __init__(
        self,
        clock: Clock,
        *,
        ttl: timedelta,
        size: int,
        weigh: Callable[[V], int] | None = None,
        max_bytes: int = 0,
    ) -> None:
        self._now = clock.monotonic
        self._ttl = ttl.total_seconds()
        self._size = size
        self._weigh = weigh
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[K, tuple[V, float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return what is kept under the key; None when nothing is, or no longer."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] <= self._now():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, ttl: timedelta | None = None) -> None:
        """Keep a value in place of what was there."""
        self._drop(key)
        weight = self._weigh(value) if self._weigh else 0
        if weight > self._max_bytes:
            return
        seconds = self._ttl if ttl is None else ttl.total_seconds()
        self._entries[key] = (value, self._now() + seconds, weight)
        self._bytes += weight
        while len(self._entries) > self._size or self._bytes > self._max_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][2]

    def pop(self, key: K) -> V | None:
        """Forget a key and return what was kept under it, as `get` would."""
        value = self.get(key)
        self._drop(key)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[2]


@dataclass(slots=True)
class _Flight(Generic[V]):
    task: asyncio.Task[V]
    waiters: int = 0


class SingleFlight(Generic[K, V]):
    """Makes one call per key at a time; whoever asks meanwhile shares its result or its error.

    Nothing is remembered after the call. A waiter that is cancelled leaves; when the last one has
    left, the call is cancelled.
    """

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}

    async def do(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return what `call` returns, or what the call in progress for this key will."""
        flight = self._flights.get(key)
        if flight is None or flight.task.done():
            flight = _Flight(tasks.spawn(call(), name=f"shared call: {call!r}"))
            self._flights[key] = flight
        flight.waiters += 1
        try:
            # Unlike awaiting the task, waiting for it does not hand a waiter's cancellation on.
            await asyncio.wait((flight.task,))
            return flight.task.result()
        finally:
            flight.waiters -= 1
            if flight.waiters == 0:
                self._land(key, flight)

    def _land(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        flight.task.cancel()
