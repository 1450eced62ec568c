"""What an error of a provider does to a key: rest it, set it aside, or nothing."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from chillproxy.audit import Audit
from chillproxy.keys import Keys
from chillproxy.models import KeyState
from infra.db import Connection, Database


class Effect(msgspec.Struct, frozen=True):
    """The state an error leads to. `span` None: until the operator acts."""

    state: KeyState
    span: timedelta | None
    ends_leases: bool = False


# Error kinds that are the key's own; all others (a provider that is down, a bad torrent, a full
# account) never touch a key. Spans double each time a key comes into a state again.
_EFFECTS: dict[str, Effect] = {
    "rate_limited": Effect("throttled", timedelta(seconds=15)),
    "quota_exhausted": Effect("exhausted", timedelta(hours=1)),
    "auth_invalid": Effect("quarantined", timedelta(hours=1), ends_leases=True),
    "premium_required": Effect("quarantined", timedelta(hours=1), ends_leases=True),
    "ip_blocked": Effect("quarantined", None, ends_leases=True),
    "account_locked": Effect("quarantined", None, ends_leases=True),
}
_GRAVITY = {"throttled": 1, "exhausted": 2, "quarantined": 3}
_OF_THE_OPERATOR = frozenset({"draining", "disabled", "retired"})
_LONGEST = {"throttled": timedelta(minutes=15)}
_LONGEST_OTHERS = timedelta(hours=24)
_SHORTEST_SAID, _LONGEST_SAID = timedelta(seconds=1), timedelta(days=31)
_FOR_EVER = timedelta.max

# How long the key is still closed; below zero: how long it has been open again.
_SELECT = """
select state, failures,
       case closed_until when 'infinity' then null when '-infinity' then interval '-1 day'
            else closed_until - clock_timestamp() end as closed_for
from pool_keys where id = $1 for no key update
"""


class _Standing(msgspec.Struct, frozen=True):
    """A key before a report. `closed_for` below zero: how long it has been open again."""

    state: str
    failures: int
    closed_for: timedelta

    @property
    def is_closed(self) -> bool:
        return self.closed_for > timedelta(0)

    def failures_of(self, effect: Effect) -> int:
        """Return how often in a row the key came into the state of the effect."""
        is_in_a_row = self.state == effect.state and self.closed_for > -timedelta(hours=1)
        return self.failures if is_in_a_row else 0


@dataclass(frozen=True, slots=True)
class Health:
    """The state of keys as providers see them."""

    database: Database
    keys: Keys
    audit: Audit

    async def report(
        self, key_id: int, kind: str, retry_after: timedelta | None = None
    ) -> KeyState | None:
        """Take in an error; return the key's state after it, or None when it leaves the key alone.

        An operator's own states (draining, disabled, retired) are never overwritten, nor is a
        closed key opened earlier. Many calls that fail at once are one failure.
        """
        effect = _EFFECTS.get(kind)
        if effect is None:
            return None
        async with self.database.transaction() as connection:
            row = await connection.fetchrow(_SELECT, key_id)
            if row is None or row["state"] in _OF_THE_OPERATOR:
                return None
            closed_for = _FOR_EVER if row["closed_for"] is None else row["closed_for"]
            standing = _Standing(row["state"], row["failures"], closed_for)
            span = _span(effect, standing, retry_after)
            if standing.is_closed and not _is_worse(effect, span, standing, retry_after):
                return row["state"]  # type: ignore[no-any-return]  # the table's check has them all
            await self._close(connection, key_id, kind, effect, span, standing)
        return effect.state

    async def _close(
        self,
        connection: Connection,
        key_id: int,
        kind: str,
        effect: Effect,
        span: timedelta,
        standing: _Standing,
    ) -> None:
        failures = standing.failures_of(effect) + (not standing.is_closed)
        await self.keys.close(
            connection, key_id, effect.state, kind, None if span == _FOR_EVER else span,
            failures=max(failures, 1),
        )  # fmt: skip
        if effect.ends_leases:
            await connection.execute("select pool_cut_leases($1, null, null)", key_id)
        await self.audit.write(
            connection, "pool", f"key.{effect.state}", f"key:{key_id}", {"kind": kind}
        )


def _span(effect: Effect, standing: _Standing, retry_after: timedelta | None) -> timedelta:
    """Return how long the key is to be closed, never less than it is already."""
    if effect.span is None:
        return _FOR_EVER
    if retry_after is not None:
        span = min(max(retry_after, _SHORTEST_SAID), _LONGEST_SAID)
    else:
        span = effect.span * (1 << min(standing.failures_of(effect), 10))
        span = min(span, _LONGEST.get(effect.state, _LONGEST_OTHERS))
    return max(span, standing.closed_for)


def _is_worse(
    effect: Effect, span: timedelta, standing: _Standing, retry_after: timedelta | None
) -> bool:
    """Tell whether an error of a key that is closed anyway changes anything."""
    before, now = _GRAVITY.get(standing.state, 0), _GRAVITY[effect.state]
    is_said = retry_after is not None or effect.span is None
    is_longer = span - standing.closed_for > _SHORTEST_SAID
    return now > before or (now == before and is_said and is_longer)
