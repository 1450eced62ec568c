"""What we added to which account, so that it is found again and only what is ours is removed."""

from dataclasses import dataclass

from infra.db import Database


@dataclass(frozen=True, slots=True)
class Items:
    """Torrents in accounts; an account is `key:<pool key id>` or the digest of an own token."""

    database: Database

    async def find(self, store: str, account: str, info_hash: str) -> str | None:
        """Return the store's id of a torrent that we know to be in the account."""
        found: str | None = await self.database.fetchval(
            "select torrent_id from account_items"  # primary key
            " where store = $1 and account = $2 and info_hash = $3",
            store,
            account,
            info_hash,
        )
        return found

    async def remember(self, store: str, account: str, info_hash: str, torrent_id: str) -> None:
        """Keep that a torrent is in the account."""
        await self.database.execute(
            "insert into account_items (store, account, info_hash, torrent_id)"
            " values ($1, $2, $3, $4) on conflict (store, account, info_hash)"
            " do update set torrent_id = excluded.torrent_id, used_at = now()",
            store,
            account,
            info_hash,
            torrent_id,
        )

    async def forget(self, store: str, account: str, info_hash: str) -> None:
        """Forget a torrent that is no longer in the account."""
        await self.database.execute(
            "delete from account_items where store = $1 and account = $2 and info_hash = $3",
            store,
            account,
            info_hash,
        )
