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
from chillproxy.models import Grant, KeyRequest, KeyState, Lease, UsageEvent
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
        """Wait until something has changed after `since` and return the new epoch.

        A notification wakes it; a look every five seconds makes up for one that was lost.
        """
        heard = asyncio.Event()
        async with self.database.listen(CHANNEL, heard.set):
            while True:
                heard.clear()  # before the look, so that no call between look and wait is lost
                epoch = await self.epoch()
                if epoch > since:
                    return epoch
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL.total_seconds()):
                        await heard.wait()
