"""Admission: one call of the database function that decides and takes."""

from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from chillproxy.crypto import PoolCrypto, hash_auth
from chillproxy.errors import Refused
from chillproxy.keys import Keys
from chillproxy.models import Grant, KeyRequest, Lease
from infra.db import Database
from infra.log import get_logger
from infra.secret import Secret

log = get_logger()

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

        A key that does not open although its KEK is there (its row was changed) is passed over.

        Raises:
            Refused: a rule says no.
            DatabaseUnavailable: nobody can be asked.
        """
        unreadable: tuple[int, ...] = ()
        lease = None
        while True:
            row = await self._ask(request, (*request.exclude, *unreadable))
            if row["code"] is not None:
                if lease is not None:
                    await self.release(lease)
                raise Refused("locked") if unreadable else _refusal(row)
            lease = _lease(row)
            secret = self.keys.open_secret(
                row["key_id"], request.store, row["secret_version"], row["kek_id"], row["secret"]
            )
            if secret is not None:
                return _grant(row, request.store, secret, lease)
            log.error("pool_key_unreadable", key_id=row["key_id"], kek_id=row["kek_id"])
            unreadable = (*unreadable, row["key_id"])

    async def _ask(self, request: KeyRequest, exclude: tuple[int, ...]) -> asyncpg.Record:
        row = await self.database.fetchrow(
            "select (v).*"
            " from pool_admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) v",
            None if request.auth is None else hash_auth(request.auth),
            request.user_ref,
            request.store,
            self.crypto.prints(request.device_ids),
            request.device_class,
            _ACTIONS[request.action],
            request.network,
            request.media,
            request.size_bytes,
            exclude,
            self.crypto.ring.ids(),
            PLAY_FOR,
            PLAY_AT_MOST,
        )
        if row is None:
            raise RuntimeError("pool_admit returned no row")
        return row

    async def release(self, lease: Lease) -> bool:
        """End a lease; False when it was not live or the fence is stale, which is no error."""
        tag = await self.database.execute(
            "update pool_slots set expires_at = clock_timestamp(), fence = fence + 1"
            " where lease_id = $1 and fence = $2 and expires_at > clock_timestamp()",
            lease.id,
            lease.fence,
        )
        return tag != "UPDATE 0"


def _lease(row: asyncpg.Record) -> Lease | None:
    if row["lease_id"] is None:
        return None
    return Lease(row["lease_id"], row["fence"], row["lease_expires_at"])


def _grant(row: asyncpg.Record, store: str, secret: Secret, lease: Lease | None) -> Grant:
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
