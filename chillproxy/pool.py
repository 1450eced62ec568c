"""The pool as a whole: what the addon, the internal API and the CLI talk to."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from chillproxy.audit import CHANNEL, Audit
from chillproxy.crypto import PoolCrypto
from chillproxy.devices import Devices
from chillproxy.health import Health
from chillproxy.keys import Keys
from chillproxy.leases import Leases
from chillproxy.models import Changes, Grant, KeyRequest, KeyState, Lease, UsageEvent
from chillproxy.usage import Usage
from chillproxy.users import Users
from infra.clock import Clock
from infra.db import Database
from infra.keyring import KeyRing
from infra.secret import Redactor

_POLL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Pool:
    """Who may use which key, and what happened."""

    database: Database
    keys: Keys
    users: Users
    devices: Devices
    leases: Leases
    usage: Usage
    health: Health
    audit: Audit

    @classmethod
    def over(cls, database: Database, ring: KeyRing, clock: Clock, redactor: Redactor) -> "Pool":
        """Return the pool that lives in a database."""
        crypto = PoolCrypto(ring)
        audit = Audit(ring, clock)
        keys = Keys(database, crypto, audit, redactor)
        return cls(
            database=database,
            keys=keys,
            users=Users(database, audit),
            devices=Devices(database, audit),
            leases=Leases(database, crypto, keys),
            usage=Usage(database, clock),
            health=Health(database, keys, audit),
            audit=audit,
        )

    async def get_key(self, request: KeyRequest) -> Grant:
        """Return a key for a device of a user.

        Raises:
            Refused: a rule says no; the code says which.
            DatabaseUnavailable: nobody can be asked.
        """
        return await self.leases.admit(request)

    async def log_usage(self, events: Sequence[UsageEvent]) -> int:
        """Store events, each once; return how many were new."""
        return await self.usage.ingest(events)

    async def report(
        self, key_id: int, kind: str, retry_after: timedelta | None = None
    ) -> KeyState | None:
        """Take in an error of a key; return its new state, None when it stays as it was."""
        return await self.health.report(key_id, kind, retry_after)

    async def release(self, lease: Lease) -> bool:
        """End a lease; False when it is over already."""
        return await self.leases.release(lease)

    async def epoch(self) -> int:
        """Return a number that grows with every change to users, devices and keys."""
        return await self.audit.head(self.database)

    async def next_epoch(self, since: int) -> int:
        """Wait until the epoch is another than `since` and return it.

        It is a lower one after a backup was put back. A notification wakes us; a look every five
        seconds makes up for one that was lost.
        """
        heard = asyncio.Event()
        async with self.database.listen(CHANNEL, heard.set):
            while True:
                heard.clear()  # before the look, so that no call between look and wait is lost
                epoch = await self.epoch()
                if epoch != since:
                    return epoch
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL.total_seconds()):
                        await heard.wait()

    async def changes(self, since: int, wait_seconds: float) -> Changes:
        """Tell what has changed after an epoch; waits for something to change, but no longer.

        From 0 nothing is listed: whoever asks has nothing yet that could be stale.
        """
        epoch = await self.epoch()
        if epoch == since and wait_seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    epoch = await self.next_epoch(since)
        if since in {0, epoch}:
            return Changes(epoch)
        return await self._changed(since, epoch)

    async def stats(self) -> dict[str, int]:
        """Count keys, users, devices, live leases, and the events of today."""
        row = await self.database.fetchrow(
            "select (select count(*) from pool_keys) as keys,"
            " (select count(*) from pool_users) as users,"
            " (select count(*) from pool_devices) as devices,"
            " (select count(*) from pool_slots where expires_at > clock_timestamp()) as leases,"
            " (select count(*) from pool_usage_logs where day = (now() at time zone 'utc')::date)"
            " as usage"
        )
        return {} if row is None else dict(row)

    async def _changed(self, since: int, epoch: int) -> Changes:
        rows = await self.database.fetch(
            "select distinct split_part(a.subject, ':', 1) as kind,"
            " split_part(a.subject, ':', 2) as id, u.ref"
            " from audit_log a left join pool_users u on a.subject = 'user:' || u.id"
            " where a.seq > $1",  # primary key
            since,
        )
        return Changes(
            epoch,
            users=sorted(str(row["ref"]) for row in rows if row["ref"] is not None),
            devices=sorted(row["id"] for row in rows if row["kind"] == "device"),
            keys=sorted(row["id"] for row in rows if row["kind"] == "key"),
        )
