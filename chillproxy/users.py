"""The people of the pool. Their UUID is a password: it is kept as a hash only."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from chillproxy.audit import Audit
from chillproxy.crypto import hash_auth
from chillproxy.models import NewUser, User
from infra.db import Database
from infra.errors import Conflict, NotFound, Unprocessable

_COLUMNS = """
    u.id, u.ref, u.name, u.max_devices, u.max_streams, u.stores, u.expires_at, u.disabled_at,
    u.created_at,
    (select count(*) from pool_devices d
     where d.user_id = u.id and d.revoked_at is null
       and d.last_seen_at > now() - interval '30 days') as devices,
    (select count(*) from pool_slots s
     where s.user_id = u.id and s.expires_at > clock_timestamp()) as streams
"""


@dataclass(frozen=True, slots=True)
class Users:
    """The users."""

    database: Database
    audit: Audit

    async def add(self, new: NewUser, *, actor: str) -> tuple[User, UUID]:
        """Add a user; return it with the UUID, which nobody can read again.

        Raises:
            Unprocessable: a UUID that could be guessed.
            Conflict: the UUID belongs to another user.
        """
        if not new.name.strip() or len(new.name) > 100 or not new.name.isprintable():
            raise Unprocessable("a name is 1 to 100 printable characters")
        auth = make_auth() if new.auth is None else new.auth
        check_auth(auth)
        try:
            async with self.database.transaction() as connection:
                user_id = await connection.fetchval(
                    "insert into pool_users (name, max_devices, max_streams, stores,"
                    " plays_per_day, bytes_per_month, expires_at)"
                    " values ($1, $2, $3, $4, $5, $6, $7) returning id",
                    new.name, new.max_devices, new.max_streams, new.stores, new.plays_per_day,
                    new.bytes_per_month, new.expires_at,
                )  # fmt: skip
                await connection.execute(
                    "insert into pool_user_auths (auth_hash, user_id) values ($1, $2)",
                    hash_auth(auth),
                    user_id,
                )
                await self.audit.write(
                    connection, actor, "user.add", f"user:{user_id}", {"name": new.name}
                )
        except asyncpg.UniqueViolationError:
            raise Conflict("this UUID belongs to another user") from None
        except asyncpg.CheckViolationError:
            raise Unprocessable("limits are 1 to 1000") from None
        return await self.get(user_id), auth

    async def get(self, user_id: int) -> User:
        """Return one user.

        Raises:
            NotFound: there is none.
        """
        row = await self.database.fetchrow(
            f"select {_COLUMNS} from pool_users u where u.id = $1", user_id
        )
        if row is None:
            raise NotFound(f"there is no user {user_id}")
        return User(**row)

    async def refs(self, named: Sequence[UUID]) -> dict[UUID, UUID]:
        """Return the references of users by what they are called: their UUID or a reference."""
        rows = await self.database.fetch(
            "select n.named, coalesce(a.ref, u.ref) as ref"
            " from unnest($1::uuid[], $2::bytea[]) as n (named, auth_hash)"
            " left join pool_user_auths h on h.auth_hash = n.auth_hash"
            " left join pool_users a on a.id = h.user_id"
            " left join pool_users u on u.ref = n.named",
            named,
            [hash_auth(one) for one in named],
        )
        return {row["named"]: row["ref"] for row in rows if row["ref"] is not None}

    async def has(self, auth: UUID) -> bool:
        """Tell whether a UUID belongs to somebody."""
        return bool(
            await self.database.fetchval(
                "select exists (select from pool_user_auths where auth_hash = $1)",  # primary key
                hash_auth(auth),
            )
        )

    async def all(self) -> list[User]:
        """Return all users, by number."""
        rows = await self.database.fetch(f"select {_COLUMNS} from pool_users u order by u.id")
        return [User(**row) for row in rows]

    async def disable(self, user_id: int, *, actor: str) -> User:
        """Lock a user out at once: the leases end, the seats are others' to take.

        Raises:
            NotFound: there is no such user.
        """
        async with self.database.transaction() as connection:
            tag = await connection.execute(
                "update pool_users set disabled_at = coalesce(disabled_at, now()) where id = $1",
                user_id,
            )
            if tag == "UPDATE 0":
                raise NotFound(f"there is no user {user_id}")
            await connection.execute("select pool_shut_out($1)", user_id)
            await self.audit.write(connection, actor, "user.disable", f"user:{user_id}", {})
        return await self.get(user_id)


def make_auth() -> UUID:
    """Return a fresh random UUID."""
    return UUID(bytes=secrets.token_bytes(16), version=4)


def check_auth(auth: UUID) -> None:
    """Refuse a UUID that could be guessed: only version 4 is random throughout.

    Raises:
        Unprocessable: it is of another version, or of few different digits.
    """
    if auth.version != 4 or len(set(auth.hex)) < 6:
        raise Unprocessable("a user's UUID must be a random one (version 4)")
