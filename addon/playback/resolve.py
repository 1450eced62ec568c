"""From the two halves of a play URL to a link at a store's CDN."""

import asyncio
import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import unquote, urlsplit
from uuid import UUID

from addon.accounts.credentials import Accounts, Credential
from addon.accounts.grants import Play
from addon.accounts.usage import UsageLog
from addon.errors import Kind, StoreError
from addon.index.availability import Availability
from addon.index.items import Items
from addon.index.torrents import Torrents
from addon.media import read_media_id
from addon.play_token import What, Who
from addon.playback.notice import notice_for
from addon.stores.base import (
    Call,
    Evidence,
    Link,
    RemoteFile,
    Store,
    StoredTorrent,
    TorrentState,
)
from addon.titles.pack import choose_file, same_file
from addon.titles.parse import parse_release
from addon.torrent import Magnet, TorrentFile
from addon.user_config import StoreChoice
from infra.cache import SingleFlight, TtlCache
from infra.clock import Clock, Deadline
from infra.errors import AppError, UpstreamTimeout
from infra.http_client import is_public_address
from infra.log import get_logger
from infra.metrics import Counts
from infra.secret import Redactor
from infra.tasks import Background

log = get_logger()

RESOLVE_SECONDS = 12.0
_POLL_SECONDS = 0.5
_READY_WITHIN_SECONDS = 5.0  # what is cached is ready at once, or after a moment
_LINKS_KEPT = 20_000

_LONGEST_URL = 4_096
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|[0-9a-f]*:[0-9a-f:.]+")
# Ends of names that mean something inside the viewer's own network, or nothing at all.
_INSIDE = frozenset(
    {"localhost", "local", "internal", "intranet", "private", "lan", "home", "corp", "arpa"}
)

# States of a torrent that may be cached and is being made ready.
_SOON = frozenset(
    {TorrentState.QUEUED, TorrentState.RESOLVING, TorrentState.PROCESSING, TorrentState.UNKNOWN}
)
_OVER = frozenset({TorrentState.FAILED, TorrentState.INVALID, TorrentState.EXPIRED})
_LOST = frozenset({Kind.NOT_FOUND, Kind.FILE_GONE})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One file at one account, for one viewer's address where links are bound to it."""

    credential: Credential
    what: What
    call: Call

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two requests the same.

        The media is part of it: while the files of a pack are not known, nothing else tells its
        episodes apart.
        """
        store, what = self.credential.store.info, self.what
        bound = self.call.user_ip if store.capabilities.link_bound_to_address else None
        return (
            store.name, self.credential.account, what.info_hash, what.media, what.path,
            what.size_bytes, bound,
        )  # fmt: skip

    @property
    def store(self) -> Store:
        """The store that is asked."""
        return self.credential.store

    def error(self, kind: Kind, message: str) -> StoreError:
        """Return an error of ours about what the store holds."""
        return StoreError(kind, store=self.store.info.name, operation="play", message=message)


class Playback:
    """Resolves plays; the many requests of one tap are one resolve.

    Args:
        plain_stores: names of stores whose API the operator set to http or to a private host;
            only their links may be such.
    """

    def __init__(
        self,
        accounts: Accounts,
        torrents: Torrents,
        availability: Availability,
        items: Items,
        usage: UsageLog,
        redactor: Redactor,
        background: Background,
        clock: Clock,
        plays: Counts,
        *,
        plain_stores: frozenset[str],
    ) -> None:
        self._accounts = accounts
        self._torrents = torrents
        self._availability = availability
        self._items = items
        self._usage = usage
        self._redactor = redactor
        self._background = background
        self._plays = plays
        self._plain_stores = plain_stores
        self._links: TtlCache[tuple[object, ...], Link] = TtlCache(
            clock, ttl=timedelta(minutes=45), size=_LINKS_KEPT
        )
        self._resolving: SingleFlight[tuple[object, ...], Link] = SingleFlight()

    async def resolve(self, who: Who, what: What, user_ip: str | None) -> str:
        """Return the URL to redirect to, and record the play.

        Raises:
            AppError: a refusal or failure that has a row in `notice.NOTICES`.
        """
        try:
            url = await self._resolve_in_time(who, what, user_ip)
        except AppError as error:
            self._plays.add(notice_for(error).code)
            raise
        self._plays.add("ok")
        return url

    async def _resolve_in_time(self, who: Who, what: What, user_ip: str | None) -> str:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                return await self._resolve(who, what, user_ip)
        except TimeoutError:
            raise UpstreamTimeout("no link within the time for a play") from None

    async def _resolve(self, who: Who, what: What, user_ip: str | None) -> str:
        deadline = Deadline.after(RESOLVE_SECONDS)
        attempts = self._accounts.attempts(
            _choices(who, what), Play(who.device, what.media, what.size_bytes)
        )
        while True:
            credential = await attempts.next()
            call = Call(credential.key, deadline, user_ip)
            try:
                link = await self._link(_Wanted(credential, what, call))
            except StoreError as error:
                await attempts.failed(error)
                continue
            self._record(credential, what)
            return link.url

    def _record(self, credential: Credential, what: What) -> None:
        if credential.grant is not None:
            self._usage.played(
                credential.grant,
                media=what.media,
                info_hash=what.info_hash,
                cached=what.cached,
                size_bytes=what.size_bytes,
                quality=what.quality,
            )

    async def _link(self, wanted: _Wanted) -> Link:
        known = self._links.get(wanted.key)
        if known is not None:
            return known
        return await self._resolving.do(wanted.key, lambda: self._make_link(wanted))

    async def _make_link(self, wanted: _Wanted) -> Link:
        try:
            link = await self._link_of(wanted, await self._known_item(wanted))
        except StoreError as error:
            if error.kind not in _LOST:
                raise
            # What we knew of the account is no longer so: add it anew, once.
            await self._forget(wanted)
            link = await self._link_of(wanted, None)
        self._check_url(link.url, wanted)
        self._links.put(wanted.key, link, link.expires_in)
        self._learn(wanted, is_cached=True)
        return link

    async def _link_of(self, wanted: _Wanted, known: StoredTorrent | None) -> Link:
        torrent = await self._until_ready(wanted, known or await self._add(wanted))
        if torrent.state in _OVER:
            await self._forget(wanted)
            raise wanted.error(torrent.reason or Kind.BAD_TORRENT, torrent.raw_state)
        if torrent.state is not TorrentState.READY:
            if torrent.state is TorrentState.DOWNLOADING:
                self._learn(wanted, is_cached=False)
            raise wanted.error(Kind.NOT_READY, torrent.raw_state)
        return await wanted.store.link(wanted.call, torrent.id, _choose(torrent, wanted))

    def _learn(self, wanted: _Wanted, *, is_cached: bool) -> None:
        """Remember what was seen; nobody waits for it, and no play fails by it."""
        self._background.start(
            "learn availability",
            self._availability.remember(
                wanted.store.info.name, {wanted.what.info_hash: is_cached}, Evidence.OBSERVED
            ),
        )

    async def _known_item(self, wanted: _Wanted) -> StoredTorrent | None:
        store, account = wanted.credential.store, wanted.credential.account
        torrent_id = await self._items.find(store.info.name, account, wanted.what.info_hash)
        if torrent_id is None:
            return None
        try:
            torrent = await store.get(wanted.call, torrent_id)
        except StoreError as error:
            if error.kind not in _LOST:
                raise
            torrent = None
        if torrent is None or torrent.state is TorrentState.EXPIRED:
            await self._forget(wanted)
            return None
        return torrent

    async def _add(self, wanted: _Wanted) -> StoredTorrent:
        """Add the torrent; what is cached is asked for as such, which costs no creation."""
        what, store = wanted.what, wanted.store
        magnet = Magnet(what.info_hash, what.name, await self._torrents.trackers(what.info_hash))
        try:
            torrent = await store.add(
                wanted.call,
                magnet,
                only_if_cached=bool(what.cached) and store.info.capabilities.adds_only_cached,
            )
        except StoreError as error:
            if error.kind is not Kind.NOT_CACHED or not what.cached:
                raise
            torrent = await store.add(wanted.call, magnet)
        await self._items.remember(
            store.info.name, wanted.credential.account, what.info_hash, torrent.id
        )
        return torrent

    async def _until_ready(self, wanted: _Wanted, torrent: StoredTorrent) -> StoredTorrent:
        """Wait a moment for a torrent that may be cached: its account may need one."""
        until = wanted.call.deadline.within(_READY_WITHIN_SECONDS)
        may_be_cached = wanted.what.cached is not False
        while torrent.state in _SOON and may_be_cached and until.left > _POLL_SECONDS:
            await asyncio.sleep(_POLL_SECONDS)
            torrent = await wanted.store.get(wanted.call, torrent.id)
        if torrent.state is TorrentState.READY and torrent.files is None:
            torrent = await wanted.store.get(wanted.call, torrent.id)
        return torrent

    async def _forget(self, wanted: _Wanted) -> None:
        await self._items.forget(
            wanted.credential.store.info.name, wanted.credential.account, wanted.what.info_hash
        )

    def _check_url(self, url: str, wanted: _Wanted) -> None:
        """Let no link out that holds a secret of ours or leads into somebody's network.

        Raises:
            StoreError: the store answered with such a link.
        """
        if self._redactor.found_in(url) or wanted.call.key.reveal() in unquote(url):
            log.error("secret_in_link", store=wanted.store.info.name)
            raise wanted.error(Kind.PROTOCOL, "a link that holds a key")
        if not is_fit_link(url, may_be_plain=wanted.store.info.name in self._plain_stores):
            raise wanted.error(Kind.PROTOCOL, "a link that no player may open")


def _choose(torrent: StoredTorrent, wanted: _Wanted) -> RemoteFile:
    """Return the store's file for what was listed; never a random one of a pack.

    Raises:
        StoreError: none of them is it.
    """
    what, files = wanted.what, torrent.files or ()
    listed = [TorrentFile(file.path, file.size_bytes) for file in files]
    chosen = same_file(what.path, what.size_bytes, listed) if what.path else None
    media = read_media_id(what.media)
    if chosen is None and media is not None:
        choice = choose_file(listed, media, None, parse_release(torrent.name or what.name))
        chosen = choice.file if choice else None
    if chosen is None:
        raise wanted.error(Kind.FILE_MISSING, "the torrent does not hold what was listed")
    return files[listed.index(chosen)]


def is_fit_link(url: str, *, may_be_plain: bool) -> bool:
    """Tell whether a URL may be handed to a player: https, no user info, a public host.

    `may_be_plain` allows http and private hosts: the operator's own servers.
    """
    # What is not plain in these respects is read in one way here and in another by players.
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or not url.lower().startswith(f"{parts.scheme}://"):
        return False
    if not _HOST.fullmatch(host) or ("[" in parts.netloc) != (":" in host):
        return False
    if may_be_plain:
        return parts.scheme in {"http", "https"}
    return parts.scheme == "https" and _is_public_host(host)


def _is_public_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name; numbers in other spellings (0x7f.1, 2130706433) are addresses to a resolver.
        _, dot, last = host.rstrip(".").rpartition(".")
        return bool(dot) and not last[0].isdigit() and last not in _INSIDE
    return is_public_address(host)


def _choices(who: Who, what: What) -> list[StoreChoice]:
    """Return the person's stores that the stream was listed for, in the order of the list."""
    return [
        StoreChoice(
            code=access.code,
            auth=UUID(bytes=access.auth) if access.auth else None,
            token=access.own_token,
            auth_is_broken=False,
        )
        for code in what.stores
        for access in who.stores
        if access.code == code
    ]
