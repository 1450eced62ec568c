"""The pool's keys: rows, their seats and slots, and the secrets inside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from chillproxy.audit import Audit
from chillproxy.crypto import PoolCrypto
from chillproxy.errors import KeyAlreadyThere, TermsNotAcknowledged
from chillproxy.models import Key, KeyState, NetworkPolicy, NewKey, Scope
from infra.db import Connection, Database
from infra.errors import NotFound, Unprocessable
from infra.secret import Redactor, Secret

_PLACES: Mapping[Scope, int] = {"household": 5, "group": 10, "shared": 35}
_LOCK = 0x6B657973  # "keys"

# Providers whose rules on sharing and addresses are strict or unknown: one network at a time.
_SINGLE_NETWORK = frozenset({"realdebrid", "alldebrid", "debridlink"})

_COLUMNS = """
    k.id, k.store, k.label, k.scope, k.state_reason,
    case when k.state in ('throttled', 'exhausted', 'quarantined')
              and k.closed_until <= clock_timestamp() then 'active' else k.state end as state,
    k.network_policy, k.priority, k.max_users, k.max_streams, k.created_at,
    (select count(*) from pool_seats s where s.key_id = k.id and s.user_id is not null) as users,
    (select count(*) from pool_slots s
     where s.key_id = k.id and s.expires_at > clock_timestamp()) as streams
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys. Secrets go in and, for a lease, out to the caller; nothing else reads them."""

    database: Database
    crypto: PoolCrypto
    audit: Audit
    redactor: Redactor
    _opened: dict[int, tuple[tuple[str, int, str, bytes], Secret]] = field(default_factory=dict)

    async def add(self, new: NewKey, *, actor: str) -> Key:
        """Add a key with its seats and slots.

        Raises:
            KeyAlreadyThere: the same secret is in the pool already.
            TermsNotAcknowledged: a wide scope without `terms_ack`.
        """
        if new.scope != "household" and not new.terms_ack:
            raise TermsNotAcknowledged(
                f"scope {new.scope} shares the account beyond one household; most providers forbid"
                " it. Read the provider's terms and acknowledge them (--accept-terms VERSION)"
            )
        _check_secret(new.secret)
        async with self.database.transaction() as connection:
            key_id = await self._insert(connection, new)
            await self.audit.write(
                connection, actor, "key.add", f"key:{key_id}",
                {"store": new.store, "label": new.label, "scope": new.scope},
            )  # fmt: skip
        return await self.get(key_id)

    async def get(self, key_id: int) -> Key:
        """Return one key.

        Raises:
            NotFound: there is none.
        """
        row = await self.database.fetchrow(
            f"select {_COLUMNS} from pool_keys k where k.id = $1", key_id
        )
        if row is None:
            raise NotFound(f"there is no key {key_id}")
        return Key(**row)

    async def all(self) -> list[Key]:
        """Return all keys, by number."""
        return [
            Key(**row)
            for row in await self.database.fetch(
                f"select {_COLUMNS} from pool_keys k order by k.id"  # a few hundred at most
            )
        ]

    async def stores(self) -> frozenset[str]:
        """Return the stores for which there is a key that may serve."""
        rows = await self.database.fetch(
            "select distinct store from pool_keys where state not in ('disabled', 'retired')"
        )
        return frozenset(row["store"] for row in rows)

    async def disable(self, key_id: int, *, actor: str) -> Key:
        """Take a key out of use at once: its leases end."""
        async with self.database.transaction() as connection:
            await self.close(connection, key_id, "disabled", "by the operator", None)
            await connection.execute("select pool_cut_leases($1, null, null)", key_id)
            await self.audit.write(connection, actor, "key.disable", f"key:{key_id}", {})
        return await self.get(key_id)

    async def enable(self, key_id: int, *, actor: str) -> Key:
        """Bring a key back into use."""
        async with self.database.transaction() as connection:
            await self.close(connection, key_id, "active", "", timedelta(0))
            await self.audit.write(connection, actor, "key.enable", f"key:{key_id}", {})
        return await self.get(key_id)

    @staticmethod
    async def close(
        connection: Connection,
        key_id: int,
        state: KeyState,
        reason: str,
        span: timedelta | None,
        *,
        failures: int = 0,
    ) -> None:
        """Set the state and, on key, seats and slots alike, how long they take nobody new.

        `span` None is for ever. Admission locks seats and slots, so it cannot miss the change.

        Raises:
            NotFound: there is no such key.
        """
        until = await connection.fetchval(
            "update pool_keys set state = $2, state_reason = $3, failures = $5,"
            " closed_until = case when $2 = 'active' then '-infinity'"
            "     else coalesce(clock_timestamp() + $4::interval, 'infinity') end"
            " where id = $1 returning closed_until::text",
            key_id, state, reason, span, failures,
        )  # fmt: skip
        if until is None:
            raise NotFound(f"there is no key {key_id}")
        await connection.execute(
            "select pool_close_places($1, $2::text::timestamptz)", key_id, until
        )

    def open_secret(
        self, key_id: int, store: str, version: int, kek_id: str, sealed: bytes
    ) -> Secret | None:
        """Decrypt a key that admission returned; None when the ring does not hold its KEK."""
        row = (store, version, kek_id, sealed)
        known = self._opened.get(key_id)
        if known is not None and known[0] == row:
            return known[1]
        secret = self.crypto.open_key(key_id, store, version, kek_id, sealed)
        if secret is not None:
            self._opened[key_id] = row, self.redactor.learn(secret, lasting=True)
        return secret

    async def _insert(self, connection: Connection, new: NewKey) -> int:
        fingerprints = self.crypto.fingerprints(new.store, new.secret)
        await self._check_unknown(connection, fingerprints)
        key_id: int = await connection.fetchval(
            "select nextval(pg_get_serial_sequence('pool_keys', 'id'))"
        )
        places = _PLACES[new.scope]
        max_users = places if new.max_users is None else new.max_users
        if new.owner_user_id is not None:
            max_users = 1
        max_streams = places if new.max_streams is None else new.max_streams
        policy: NetworkPolicy = new.network_policy or (
            "single_network" if new.store in _SINGLE_NETWORK else "any"
        )
        try:
            await connection.execute(
                "insert into pool_keys (id, store, label, scope, terms_ack, owner_user_id,"
                " network_policy, priority, max_users, max_streams, secret, kek_id, fingerprint)"
                " overriding system value"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                key_id, new.store, new.label, new.scope, new.terms_ack, new.owner_user_id, policy,
                new.priority, max_users, max_streams,
                self.crypto.seal_key(key_id, new.store, 1, new.secret),
                self.crypto.ring.first, fingerprints[0],
            )  # fmt: skip
        except asyncpg.CheckViolationError:
            raise Unprocessable("a key serves 1 to 1000 users and streams") from None
        except asyncpg.ForeignKeyViolationError:
            raise Unprocessable(f"there is no user {new.owner_user_id}") from None
        await connection.execute(
            "insert into pool_seats (key_id, seat_no, store)"
            " select $1, number, $2 from generate_series(1, $3::int) number",
            key_id, new.store, max_users,
        )  # fmt: skip
        await connection.execute(
            "insert into pool_slots (key_id, slot_no, store)"
            " select $1, number, $2 from generate_series(1, $3::int) number",
            key_id, new.store, max_streams,
        )  # fmt: skip
        return key_id

    @staticmethod
    async def _check_unknown(connection: Connection, fingerprints: tuple[bytes, ...]) -> None:
        # One at a time: while a ring is being changed, two servers may store different prints of
        # the same key, and the unique index would not see it.
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        if await connection.fetchval(
            "select exists (select from pool_keys where fingerprint = any ($1))", fingerprints
        ):
            raise KeyAlreadyThere("this key is in the pool already")


def _check_secret(secret: Secret) -> None:
    text = secret.reveal()
    if not 8 <= len(text) <= 512 or not text.isascii() or not text.isprintable() or " " in text:
        raise Unprocessable("a key is 8 to 512 printable characters without blanks")
