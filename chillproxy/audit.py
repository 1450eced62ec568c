"""Who changed what: a chain of rows, each sealed over the one before it.

A change and its row are written in one transaction: no row, no change.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from infra.clock import Clock
from infra.db import Connection, Database
from infra.keyring import KeyRing

CHANNEL = "pool_changed"
_LABEL = "audit"
_LOCK = 0x61756469  # "audi"
_START = b""


class AuditRow(msgspec.Struct, frozen=True):
    """What a row says; the order of fields is the order in which they are sealed."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log."""

    ring: KeyRing
    clock: Clock

    async def write(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, str | int | bool | None],
    ) -> None:
        """Append a row within the caller's transaction; `detail` never holds a secret."""
        # One writer at a time: a row needs to know the one before it.
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        last = await connection.fetchrow(
            "select seq, mac from audit_log order by seq desc limit 1"  # primary key, backwards
        )
        seq, prev = (last["seq"] + 1, last["mac"]) if last else (1, _START)
        row = AuditRow(seq, self.clock.now(), actor, action, subject, dict(detail))
        await connection.execute(
            "insert into audit_log (seq, at, actor, action, subject, detail, prev, mac)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)",
            row.seq, row.at, row.actor, row.action, row.subject, row.detail, prev,
            self._macs(row, prev)[0],
        )  # fmt: skip
        # Whatever is audited is a change that others must hear of; it is heard at commit.
        await connection.execute("select pg_notify($1, $2)", CHANNEL, str(seq))

    async def head(self, database: Database) -> int:
        """Return the number of the last row: the epoch of the pool's state."""
        return await database.fetchval("select coalesce(max(seq), 0) from audit_log") or 0

    async def verify(self, database: Database) -> int | None:
        """Return the number of the first row that was changed or lost; None when all is well."""
        prev, expected = _START, 1
        async with database.transaction() as connection:
            async for row in connection.cursor("select * from audit_log order by seq"):
                said = AuditRow(*(row[name] for name in AuditRow.__struct_fields__))
                known = any(hmac.compare_digest(mac, row["mac"]) for mac in self._macs(said, prev))
                if row["seq"] != expected or row["prev"] != prev or not known:
                    return expected
                prev, expected = row["mac"], expected + 1
        return None

    def _macs(self, row: AuditRow, prev: bytes) -> tuple[bytes, ...]:
        return self.ring.digests(_LABEL, prev + msgspec.json.encode(row, order="deterministic"))
