"""The devices of a user, as seats: recognised by print, never by an address that is stored."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from chillproxy.audit import Audit
from infra.db import Database
from infra.errors import NotFound


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device as people see it."""

    id: int
    user_id: int
    device_class: str
    name: str
    first_seen_at: datetime
    last_seen_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices."""

    database: Database
    audit: Audit

    async def of_user(self, user_id: int) -> list[Device]:
        """Return a user's devices, the one seen last first."""
        rows = await self.database.fetch(
            "select id, user_id, class as device_class, name, first_seen_at, last_seen_at,"
            " revoked_at from pool_devices where user_id = $1"
            " order by last_seen_at desc, id desc",  # pool_devices_by_user
            user_id,
        )
        return [Device(**row) for row in rows]

    async def revoke(self, device_id: int, *, actor: str) -> None:
        """Shut a device out: it is known again by its print and refused; its leases end.

        Raises:
            NotFound: there is no such device.
        """
        async with self.database.transaction() as connection:
            # The user's lock first, as admission takes it: else a lease could slip in behind us.
            user_id = await connection.fetchval(
                "select u.id from pool_devices d join pool_users u on u.id = d.user_id"
                " where d.id = $1 for no key update of u",
                device_id,
            )
            if user_id is None:
                raise NotFound(f"there is no device {device_id}")
            await connection.execute(
                "update pool_devices set revoked_at = coalesce(revoked_at, now()) where id = $1",
                device_id,
            )
            await connection.execute("select pool_cut_leases(null, null, $1)", device_id)
            await self.audit.write(connection, actor, "device.revoke", f"device:{device_id}", {})
