"""Admission: one call of the database function that decides and takes."""

from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from chillproxy.crypto import PoolCrypto, hash_auth
from chillproxy.errors import Refused
from chillproxy.keys import Keys
from chillproxy.models import Grant, KeyRequest, Lease
from infra.db import Database

PLAY_FOR = timedelta(minutes=90)  # we see no bytes after the redirect
PLAY_AT_MOST = timedelta(hours=6)

_ACTIONS = {"check-cache": "check", "generate-link": "play", "init": "init"}
_BUSY_WAIT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Leases:
    """Who gets which key."""

    database: Database
    crypto: PoolCrypto
    keys: Keys

    async def admit(self, request: KeyRequest) -> Grant:
        """Decide, and take what the action takes, in one round trip.

        Raises:
            Refused: a rule says no.
            DatabaseUnavailable: nobody can be asked.
        """
        row = await self.database.fetchrow(
            "select (v).* from pool_admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) v",
            None if request.auth is None else hash_auth(request.auth),
            request.user_ref,
            request.store,
            self.crypto.prints(request.device_ids),
            request.device_class,
            _ACTIONS[request.action],
            request.network,
            request.media,
            request.size_bytes,
            list(request.exclude),
            PLAY_FOR,
            PLAY_AT_MOST,
        )
        if row is None:
            raise RuntimeError("pool_admit returned no row")
        if row["code"] is not None:
            raise _refusal(row)
        return self._grant(row, request.store)

    async def release(self, lease: Lease) -> bool:
        """End a lease; False when it was not live or the fence is stale, which is no error."""
        tag = await self.database.execute(
            "update pool_slots set expires_at = clock_timestamp(), fence = fence + 1"
            " where lease_id = $1 and fence = $2 and expires_at > clock_timestamp()",
            lease.id,
            lease.fence,
        )
        return tag != "UPDATE 0"

    def _grant(self, row: asyncpg.Record, store: str) -> Grant:
        secret = self.keys.open_secret(
            row["key_id"], store, row["secret_version"], row["kek_id"], row["secret"]
        )
        if secret is None:
            raise Refused("locked")
        lease = None
        if row["lease_id"] is not None:
            lease = Lease(row["lease_id"], row["fence"], row["lease_expires_at"])
        return Grant(
            key_id=row["key_id"],
            key=secret,
            store=store,
            user_ref=row["user_ref"],
            device_id=row["device_id"],
            device_count=row["device_count"],
            device_limit=row["device_limit"],
            lease=lease,
        )


def _refusal(row: asyncpg.Record) -> Refused:
    return Refused(
        row["code"],
        limit=row["limit_value"],
        until=row["until"],
        retry_after=_BUSY_WAIT if row["code"] == "pool_busy" else None,
        user_ref=row["user_ref"],
        device_count=row["device_count"] or 0,
        device_limit=row["device_limit"] or 0,
    )
