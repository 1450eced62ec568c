"""The last good answer of the metadata services, by title; it outlives their outages."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from addon.media import Title
from infra.db import Database


class StoredTitle(msgspec.Struct, frozen=True):
    """A title and when it was fetched; a seeded one belongs to the demo and is never asked for."""

    title: Title
    fetched_at: datetime
    is_seeded: bool


@dataclass(frozen=True, slots=True)
class Titles:
    """The titles."""

    database: Database

    async def get(self, title_id: str) -> StoredTitle | None:
        """Return a title, however old; None for one that is there in another release's form."""
        row = await self.database.fetchrow(
            "select body, fetched_at, is_seeded from titles where id = $1", title_id
        )
        if row is None:
            return None
        try:
            title = msgspec.convert(row["body"], Title)
        except msgspec.ValidationError:
            return None
        return StoredTitle(title, row["fetched_at"], row["is_seeded"])

    async def put(self, title: Title, fetched_at: datetime, *, is_seeded: bool = False) -> None:
        """Keep a title."""
        await self.database.execute(
            "insert into titles (id, body, fetched_at, is_seeded) values ($1, $2, $3, $4)"
            " on conflict (id) do update set body = excluded.body,"
            " fetched_at = excluded.fetched_at, is_seeded = excluded.is_seeded",
            title.id,
            title,
            fetched_at,
            is_seeded,
        )
