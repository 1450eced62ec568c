"""The torrents that any source has found, read once and kept with what their names say."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from addon.media import MediaId
from addon.titles.parse import PARSER_VERSION, Release, parse_release
from addon.torrent import Found, TorrentFile
from infra.db import Database

_NUL = "\0"
_PARSED_AT_ONCE = 25  # a slice in a thread; about 25 ms in which the loop still gets its turns


class KnownTorrent(msgspec.Struct, frozen=True, kw_only=True):
    """A torrent of the index, as far as one film or episode is concerned.

    Attributes:
        release: what its name says.
        by_id: a source matched it by the title's id.
        hint: the file that a source pointed at for this very episode.
        files: the whole list, empty while nobody has shown it.
        scope: empty, or the digest of the one indexer whose user may see it.
    """

    info_hash: str
    name: str
    size_bytes: int | None
    seeders: int | None
    tracker: str
    release: Release
    by_id: bool
    scope: str
    hint: TorrentFile | None = None
    files: tuple[TorrentFile, ...] = ()


_RELEASE_COLUMNS = tuple(
    name for name in Release.__struct_fields__ if name not in {"group", "container"}
)
_INSERT = """
insert into torrents (info_hash, name, size_bytes, seeders, tracker, trackers, parser_version,
    title, titles_norm, year, country, resolution, source, codec, hdr, audio, channels, languages,
    seasons, episodes, aired_on, flags, release_group, container)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24)
on conflict (info_hash) do nothing
"""
# Several sources store the same torrents at once: whoever changes anything of a torrent holds its
# row, and takes rows in the order of their hashes. A statement of its own: one that locks and
# changes at once sees rows as they were before it waited, and may wait in a circle.
_LOCK = "select from torrents where info_hash = any ($1) order by info_hash for no key update"
_REFRESH = """
update torrents t
set seeders = coalesce(f.seeders, t.seeders), size_bytes = coalesce(t.size_bytes, f.size_bytes),
    seen_at = now()
from unnest($1::text[], $2::int[], $3::bigint[]) as f (info_hash, seeders, size_bytes)
where t.info_hash = f.info_hash
"""
_LINK = """
insert into torrent_media as m (title_id, info_hash, scope, by_id)
select $1, f.info_hash, $2, f.by_id
from unnest($3::text[], $4::boolean[]) as f (info_hash, by_id)
on conflict (title_id, info_hash, scope) do update set by_id = m.by_id or excluded.by_id
"""
_HINT = """
insert into torrent_hints (info_hash, media, path, size_bytes)
select f.info_hash, $1, f.path, f.size_bytes
from unnest($2::text[], $3::text[], $4::bigint[]) as f (info_hash, path, size_bytes)
on conflict (info_hash, media) do update
set path = excluded.path, size_bytes = excluded.size_bytes
"""
# The primary key of torrent_media leads; a long series is narrowed here, not in Python. What has
# no number, or season 1 only (absolute counting), is judged by `titles/compare.py`.
_OF_TITLE = """
select t.*, m.by_id, m.scope, h.path as hint_path, h.size_bytes as hint_size
from torrent_media m
join torrents t using (info_hash)
left join torrent_hints h on h.info_hash = t.info_hash and h.media = $3
where m.title_id = $1 and m.scope = any ($2)
  and ($4::int is null or cardinality(t.seasons) = 0
       or $4 = any (t.seasons) or 1 = any (t.seasons))
"""


@dataclass(frozen=True, slots=True)
class Torrents:
    """The index of torrents."""

    database: Database

    async def store(self, found: Sequence[Found], media: MediaId, scope: str = "") -> None:
        """Keep what a source found for a film or an episode; names are read here, once.

        Private torrents are passed over: they would end up in other people's lists. So is what
        Postgres cannot keep, for the sake of all others.
        """
        open_ones = {one.info_hash: one for one in found if not one.private and _is_storable(one)}
        if not open_ones:
            return
        kept = sorted(open_ones.values(), key=lambda one: one.info_hash)
        await self._insert_new(kept)
        hashes = [one.info_hash for one in kept]
        hinted = [(one.info_hash, one.file) for one in kept if one.file]
        async with self.database.transaction() as connection:
            await connection.execute(_LOCK, hashes)
            await connection.execute(
                _REFRESH, hashes, [one.seeders for one in kept], [one.size_bytes for one in kept]
            )
            await connection.execute(
                _LINK, media.title_id, scope, hashes, [one.by_id for one in kept]
            )
            await connection.execute(
                _HINT,
                str(media),
                [info_hash for info_hash, _ in hinted],
                [file.path for _, file in hinted],
                [file.size_bytes for _, file in hinted],
            )

    async def of_title(self, media: MediaId, scopes: Sequence[str]) -> list[KnownTorrent]:
        """Return what is known for a film or an episode, in no order; file lists included."""
        rows = await self.database.fetch(
            _OF_TITLE, media.title_id, ["", *scopes], str(media), media.season
        )
        files = await self.files([row["info_hash"] for row in rows])
        return [_known(row, files.get(row["info_hash"], ())) for row in rows]

    async def files(self, hashes: Sequence[str]) -> dict[str, tuple[TorrentFile, ...]]:
        """Return the file lists that are known."""
        rows = await self.database.fetch(
            "select info_hash, path, size_bytes from torrent_files"  # primary key
            " where info_hash = any ($1) order by info_hash, path",
            hashes,
        )
        lists: dict[str, list[TorrentFile]] = {}
        for row in rows:
            lists.setdefault(row["info_hash"], []).append(
                TorrentFile(row["path"], row["size_bytes"])
            )
        return {info_hash: tuple(files) for info_hash, files in lists.items()}

    async def save_files(self, lists: Mapping[str, tuple[TorrentFile, ...]]) -> None:
        """Keep whole file lists of torrents that are in the index; the first one seen stays."""
        rows = [
            (info_hash, file.path, file.size_bytes)
            for info_hash, files in sorted(lists.items())
            for file in files
            if _NUL not in file.path
        ]
        if not rows:
            return
        async with self.database.transaction() as connection:
            await connection.execute(_LOCK, list(lists))  # lists that come at once do not mix
            await connection.execute(
                "insert into torrent_files (info_hash, path, size_bytes)"
                " select f.* from unnest($1::text[], $2::text[], $3::bigint[])"
                " as f (info_hash, path, size_bytes) join torrents t using (info_hash)"
                " where not exists (select from torrent_files k where k.info_hash = f.info_hash)"
                " on conflict do nothing",
                *(list(column) for column in zip(*rows, strict=True)),
            )

    async def trackers(self, info_hash: str) -> tuple[str, ...]:
        """Return the announce URLs that sources gave for a torrent."""
        found = await self.database.fetchval(
            "select trackers from torrents where info_hash = $1", info_hash
        )
        return tuple(found or ())

    async def _insert_new(self, found: Sequence[Found]) -> None:
        rows = await self.database.fetch(
            "select info_hash from torrents where info_hash = any ($1)",
            [one.info_hash for one in found],
        )
        known = {row["info_hash"] for row in rows}
        new = [one for one in found if one.info_hash not in known]
        for start in range(0, len(new), _PARSED_AT_ONCE):
            part = new[start : start + _PARSED_AT_ONCE]
            releases = await asyncio.to_thread(_parse, part)
            await self.database.executemany(
                _INSERT,
                [_row(one, release) for one, release in zip(part, releases, strict=True)],
            )


def _is_storable(found: Found) -> bool:
    path = found.file.path if found.file else ""
    return not any(_NUL in text for text in (found.name, found.tracker, path, *found.trackers))


def _parse(found: Sequence[Found]) -> list[Release]:
    return [parse_release(one.name) for one in found]


def _row(found: Found, release: Release) -> tuple[object, ...]:
    return (
        found.info_hash, found.name, found.size_bytes, found.seeders, found.tracker,
        list(found.trackers), PARSER_VERSION,
        *(getattr(release, name) for name in _RELEASE_COLUMNS), release.group, release.container,
    )  # fmt: skip


def _known(row: asyncpg.Record, files: tuple[TorrentFile, ...]) -> KnownTorrent:
    values = {name: row[name] for name in _RELEASE_COLUMNS}
    for name in ("titles_norm", "languages", "seasons", "episodes"):
        values[name] = tuple(values[name])
    hint = None
    if row["hint_path"] is not None:
        hint = TorrentFile(row["hint_path"], row["hint_size"])
    return KnownTorrent(
        info_hash=row["info_hash"],
        name=row["name"],
        size_bytes=row["size_bytes"],
        seeders=row["seeders"],
        tracker=row["tracker"],
        release=Release(**values, group=row["release_group"], container=row["container"]),
        by_id=row["by_id"],
        scope=row["scope"],
        hint=hint,
        files=files,
    )
