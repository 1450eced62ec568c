"""A clock that tests move by hand."""

from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """Stands still until `advance` is called; `now` and `monotonic` move together."""

    def __init__(self, now: datetime = _START) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta | float) -> None:
        """Move on by a span, or by that many seconds."""
        span = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._now += span
        self._monotonic += span.total_seconds()
