"""The demo form: as long as the pool has no real key, a store, a key and a user to try it all.

What it lays down goes the way of real things: rows in the pool, in the index, in the titles.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID

from addon.index.titles import Titles
from addon.index.torrents import Torrents
from addon.media import Episode, MediaId, Title
from addon.stores import demo
from addon.torrent import Found, TorrentFile
from chillproxy.models import NewKey, NewUser
from chillproxy.pool import Pool
from infra.db import Database
from infra.errors import Conflict
from infra.keyring import KeyRing
from infra.secret import Secret

_ACTOR = "demo"
_LONG_AGO = datetime(2010, 1, 1, tzinfo=UTC)

FILM = MediaId("tt", "tt1172203")
EPISODE = MediaId("tt", "tt1748166", 1, 1)

_TITLES = (
    (
        FILM,
        Title(
            id="tt1172203",
            kind="movie",
            name="Sita Sings the Blues",
            year=2008,
            runtime_minutes=82,
            imdb_id="tt1172203",
            is_ended=True,
        ),
        demo.FILM,
    ),
    (
        EPISODE,
        Title(
            id="tt1748166",
            kind="series",
            name="Pioneer One",
            year=2010,
            end_year=2011,
            runtime_minutes=35,
            imdb_id="tt1748166",
            episodes=(
                Episode(1, 1, date(2010, 6, 16)),
                Episode(1, 2, date(2010, 12, 14)),
            ),
            is_ended=True,
        ),
        demo.SEASON,
    ),
)


@dataclass(frozen=True, slots=True)
class DemoForm:
    """Switches the demo on and off, by what the pool holds."""

    database: Database
    pool: Pool
    torrents: Torrents
    titles: Titles
    ring: KeyRing
    mode: Literal["auto", "on", "off"]

    @property
    def auth(self) -> UUID:
        """The demo user's UUID: random, as the secret it comes from is."""
        return UUID(bytes=self.ring.digest("demo user", b"")[:16], version=4)

    async def follow_pool(self) -> bool:
        """Lay the demo down or take it away; return whether it is on now."""
        real = await self.pool.keys.stores() - {demo.INFO.name}
        is_wanted = self.mode == "on" or (self.mode == "auto" and not real)
        if is_wanted:
            await self._lay_down()
        else:
            await self._take_away()
        return is_wanted

    async def _lay_down(self) -> None:
        await self._add_user_and_key()
        for media, title, torrent in _TITLES:
            await self.titles.put(title, _LONG_AGO, is_seeded=True)
            found = Found(info_hash=torrent.info_hash, name=torrent.name, by_id=True)
            await self.torrents.store([found], media)
            files = tuple(
                TorrentFile(file.path, file.size_bytes) for file in demo.files_of(torrent)
            )
            await self.torrents.save_files({torrent.info_hash: files})

    async def _add_user_and_key(self) -> None:
        user = NewUser(name="Demo", auth=self.auth, stores=(demo.INFO.name,))
        with suppress(Conflict):  # another process may be laying it down just now
            if not await self.pool.users.has(self.auth):
                await self.pool.users.add(user, actor=_ACTOR)
        for key in await self.pool.keys.all():
            if key.store == demo.INFO.name:
                if key.state == "disabled":
                    await self.pool.keys.enable(key.id, actor=_ACTOR)
                return
        secret = Secret(demo.KEY_PREFIX + self.ring.digest("demo key", b"").hex())
        with suppress(Conflict):
            await self.pool.keys.add(
                NewKey(store=demo.INFO.name, secret=secret, label="Demo"), actor=_ACTOR
            )

    async def _take_away(self) -> None:
        hashes = list(demo.TORRENTS)
        await self.database.execute("delete from torrents where info_hash = any ($1)", hashes)
        await self.database.execute("delete from titles where is_seeded")
        for key in await self.pool.keys.all():
            if key.store == demo.INFO.name and key.state != "disabled":
                await self.pool.keys.disable(key.id, actor=_ACTOR)
