"""The stream list on one page: who may use what, what there is, what is cached, what is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from addon.accounts.credentials import Access, Accounts, NotOffered
from addon.accounts.usage import UsageLog
from addon.device import Device
from addon.key_pool.base import PoolRefusal
from addon.media import MediaId, Title
from addon.play_token import PlayTokens, StoreAccess, What, Who
from addon.playback.notice import NOTICES, notice_for
from addon.search.cache_check import CacheCheck, CacheChecks
from addon.search.search import Hit, Hits, Search, SourcesAway
from addon.streams.present import (
    Entry,
    Shown,
    encode,
    notice_entry,
    quality_label,
    stream_entry,
)
from addon.titles.compare import Coverage
from addon.titles.pack import choose_file
from addon.titles.rank import Candidate, Wishes, rank
from addon.torrent import TorrentFile
from addon.urls import Urls
from addon.user_config import UserConfig
from infra.clock import Deadline
from infra.errors import AppError
from infra.metrics import Counts
from infra.tasks import collect

LIST_SECONDS = 6.0
LIST_OUTCOMES = ("full", "partial", "empty", "refused")

# A name that promises the whole pack; the file list, where it is known, must hold the episode.
_PACKS = frozenset(
    {
        Coverage.SEASON_PACK, Coverage.MULTI_SEASON, Coverage.SERIES_PACK, Coverage.BATCH,
        Coverage.UNPROVEN,
    }
)  # fmt: skip


class _Pick(Candidate, kw_only=True):
    """A torrent that may be listed.

    Attributes:
        file: what would play; None while the torrent's files are not known.
        states: by store code, in the order of the config: cached, not cached, or unknown.
    """

    hit: Hit
    file: TorrentFile | None
    states: dict[str, bool | None]


@dataclass(frozen=True, slots=True)
class StreamLists:
    """Makes stream lists."""

    accounts: Accounts
    search: Search
    checks: CacheChecks
    tokens: PlayTokens
    usage: UsageLog
    urls: Urls
    addon_name: str
    lists: Counts

    async def answer(self, config: UserConfig, device: Device, media: MediaId) -> bytes:
        """Return the body of a list; whatever fails is said in an entry of it."""
        deadline = Deadline.after(LIST_SECONDS)
        asked = await collect(
            {
                "access": self.accounts.for_list(config.stores, device, deadline),
                "hits": self.search.find(media, deadline),
            },
            deadline,
        )
        access, hits = asked.results.get("access"), asked.results.get("hits")
        if not isinstance(access, Access):
            self.lists.add("refused")
            raise asked.errors.get("access") or AppError("no access in time", code="auth_failed")
        found = hits if isinstance(hits, Hits) else Hits(None, ())
        streams, failed = await self._streams(config, access, found, media, deadline)
        errors = [*access.errors, *failed, *asked.errors.values()]
        if found.failed and not found.hits:
            errors.append(SourcesAway())
        self._record(access, media)
        self.lists.add(_outcome(streams, errors))
        pieces = encode([*self._notices(errors), *streams, *self._remarks(config)])
        return self.tokens.seal_who(who_of(config, device)).encode().join(pieces)

    async def _streams(
        self, config: UserConfig, access: Access, found: Hits, media: MediaId, deadline: Deadline
    ) -> tuple[list[Entry], list[AppError]]:
        if not access.credentials or not found.hits:
            return [], []
        hashes = [hit.torrent.info_hash for hit in found.hits]
        checks = await self.checks.check(access.credentials, hashes, deadline)
        codes = {one.store.info.name: one.store.info.code for one in access.credentials}
        picks = [
            pick for hit in found.hits if (pick := _pick(hit, media, found.title, codes, checks))
        ]
        runtime = found.title.runtime_minutes if found.title else None
        ranked = rank(picks, wishes_of(config), runtime, is_episode=media.is_episode)
        errors = [check.error for check in checks.values() if check.error]
        return [self._entry(pick, media) for pick in ranked], errors

    def _entry(self, pick: _Pick, media: MediaId) -> Entry:
        torrent, file = pick.hit.torrent, pick.file
        order = sorted(pick.states, key=lambda code: not pick.states[code])  # stable
        what = What(
            media=str(media),
            info_hash=torrent.info_hash,
            path=file.path if file else "",
            size_bytes=file.size_bytes if file else None,
            stores=tuple(order),
            scope=torrent.scope,
            name=torrent.name,
            quality=quality_label(torrent.release),
            cached=pick.states[order[0]],
        )
        return stream_entry(
            Shown(
                badge=_badge(order[0], pick.states[order[0]]),
                release=torrent.release,
                name=torrent.name,
                file_name=file.path.rpartition("/")[2] if file else torrent.name,
                size_bytes=file.size_bytes if file else torrent.size_bytes,
                is_pack_size=file is None and pick.hit.coverage in _PACKS,
                seeders=torrent.seeders,
                tracker=torrent.tracker,
                what=self.tokens.seal_what(what),
            ),
            self.urls,
            self.addon_name,
        )

    def _notices(self, errors: Sequence[AppError]) -> list[Entry]:
        """Return an entry for each kind of trouble, once."""
        rows = {notice_for(error).code: error for error in errors}
        return [
            notice_entry(NOTICES[code], self.urls, self.addon_name, _said(error, code))
            for code, error in rows.items()
        ]

    def _remarks(self, config: UserConfig) -> list[Entry]:
        """Return an entry that names what the config asks for and this server does not do."""
        unknown = [
            f"store {choice.code!r}"
            for choice in config.stores
            if not self.accounts.knows(choice.code)
        ]
        if not (config.ignored or unknown):
            return []
        said = f"Not available here: {', '.join([*config.ignored, *unknown])}"
        return [notice_entry(NOTICES["config_invalid"], self.urls, self.addon_name, said)]

    def _record(self, access: Access, media: MediaId) -> None:
        for credential in access.credentials:
            if credential.grant is not None:
                self.usage.listed(credential.grant, str(media))


def _outcome(streams: Sequence[Entry], errors: Sequence[AppError]) -> str:
    if streams:
        return "partial" if errors else "full"
    return "refused" if errors else "empty"


def who_of(config: UserConfig, device: Device) -> Who:
    """Return the first half of the play URLs of a person's device."""
    stores = store_accesses(config)
    return Who(stores, device.ids, device.device_class, device.network, config.saved)


def store_accesses(config: UserConfig) -> tuple[StoreAccess, ...]:
    """Return what a play needs of the stores of a config."""
    return tuple(
        StoreAccess(
            choice.code,
            choice.auth.bytes if choice.auth else b"",
            choice.token.reveal() if choice.token else "",
        )
        for choice in config.stores
    )


def wishes_of(config: UserConfig) -> Wishes:
    """Return what a person's config says of choice and order."""
    return Wishes(
        sort=config.sort,
        cached_only=config.cached_only,
        **{name: getattr(config.filter, name) for name in config.filter.__struct_fields__},
    )


def _pick(
    hit: Hit,
    media: MediaId,
    title: Title | None,
    codes: Mapping[str, str],
    checks: Mapping[str, CacheCheck],
) -> _Pick | None:
    """Choose the file that would play; None when the files are known and none of them is it."""
    torrent = hit.torrent
    listed = next(
        (check.files[torrent.info_hash] for check in checks.values()
         if torrent.info_hash in check.files), torrent.files,
    )  # fmt: skip
    choice = None
    if listed:
        choice = choose_file(listed, media, title, torrent.release, torrent.hint)
        if choice is None:
            return None
    states = {
        code: checks[name].cached.get(torrent.info_hash) if name in checks else None
        for name, code in codes.items()
    }
    file = choice.file if choice else torrent.hint
    return _Pick(
        info_hash=torrent.info_hash,
        name=torrent.name,
        release=torrent.release,
        size_bytes=_playing_bytes(hit, file, media, title),
        seeders=torrent.seeders,
        is_cached=True
        if True in states.values()
        else False
        if None not in states.values()
        else None,
        hit=hit,
        file=file,
        states=states,
    )


def _playing_bytes(
    hit: Hit, file: TorrentFile | None, media: MediaId, title: Title | None
) -> int | None:
    """Return the size of what would play: the file's, or a pack's share for one episode."""
    if file is not None:
        return file.size_bytes
    size = hit.torrent.size_bytes
    if size is None or hit.coverage not in _PACKS:
        return size
    seasons = hit.torrent.release.seasons or ((media.season,) if media.season is not None else ())
    episodes = sum((title.episodes_in(season) or 0) for season in seasons) if title else 0
    return size // episodes if episodes else None


def _badge(code: str, state: bool | None) -> str:
    return f"{code.upper()}{'⚡' if state else '⏳' if state is False else '?'}"


def _said(error: AppError, code: str) -> str:
    """Return the title of an entry where the error itself says it better, numbers included."""
    if isinstance(error, NotOffered | SourcesAway):
        return error.message
    if isinstance(error, PoolRefusal):
        if code in {"device_limit", "stream_limit"} and error.limit is not None:
            return f"{NOTICES[code].title} ({error.limit})"
        if code == "quota_exceeded" and error.until is not None:
            return error.message
    return ""
