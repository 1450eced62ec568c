"""What an error of a provider does to a key: rest it, set it aside, or nothing."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from chillproxy.audit import Audit
from chillproxy.keys import Keys
from chillproxy.models import KeyState
from infra.db import Database


class Effect(msgspec.Struct, frozen=True):
    """The state an error leads to. `span` None: until the operator acts."""

    state: KeyState
    span: timedelta | None
    ends_leases: bool = False


# Error kinds that are the key's own; all others (a provider that is down, a bad torrent, a full
# account) never touch a key. Spans double with each failure in a row where `span` is set.
_EFFECTS: dict[str, Effect] = {
    "rate_limited": Effect("throttled", timedelta(seconds=15)),
    "quota_exhausted": Effect("exhausted", timedelta(hours=1)),
    "auth_invalid": Effect("quarantined", timedelta(hours=1), ends_leases=True),
    "premium_required": Effect("quarantined", timedelta(hours=1), ends_leases=True),
    "ip_blocked": Effect("quarantined", None, ends_leases=True),
    "account_locked": Effect("quarantined", None, ends_leases=True),
}
_LONGEST = {"throttled": timedelta(minutes=15)}
_LONGEST_OTHERS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Health:
    """The state of keys as providers see them."""

    database: Database
    keys: Keys
    audit: Audit

    async def report(
        self, key_id: int, kind: str, retry_after: timedelta | None = None
    ) -> KeyState | None:
        """Take in an error; return the key's new state, or None when it leaves the key alone.

        An operator's own states (draining, disabled, retired) are never overwritten.
        """
        effect = _EFFECTS.get(kind)
        if effect is None:
            return None
        async with self.database.transaction() as connection:
            row = await connection.fetchrow(
                "select state, failures from pool_keys where id = $1 for update", key_id
            )
            if row is None or row["state"] in {"draining", "disabled", "retired"}:
                return None
            span = effect.span and (retry_after or _grown(effect, row["failures"]))
            await self.keys.close(connection, key_id, effect.state, kind, span)
            if effect.ends_leases:
                await connection.execute("select pool_cut_leases($1, null, null)", key_id)
            await self.audit.write(
                connection, "pool", f"key.{effect.state}", f"key:{key_id}", {"kind": kind}
            )
        return effect.state


def _grown(effect: Effect, failures: int) -> timedelta:
    span = effect.span or timedelta(0)
    return min(span * (1 << min(failures, 10)), _LONGEST.get(effect.state, _LONGEST_OTHERS))
