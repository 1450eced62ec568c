"""TorBox: shapes, error table and client of its API.

What its SDK and documentation leave open (api-docs.torbox.app, read 2026-11-20) is taken either
way: numbers as text, objects for arrays, absent fields, bodies that are not JSON.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from addon.errors import Kind, StoreError
from addon.stores.base import (
    Account,
    Availability,
    CacheState,
    Call,
    Capabilities,
    Link,
    Page,
    Rate,
    RemoteFile,
    StoredTorrent,
    StoreInfo,
    Tier,
    TorrentState,
)
from addon.torrent import Magnet, read_info_hash
from infra import lenient
from infra.clock import Clock
from infra.errors import ReplyInvalid, UpstreamError, UpstreamTimeout
from infra.http_client import HttpClient, Reply
from infra.limits import Budget
from infra.secret import Secret

_GENERAL = "general"
_CREATE = "create"

INFO = StoreInfo(
    name="torbox",
    code="tb",
    title="TorBox",
    website="https://torbox.app",
    capabilities=Capabilities(
        native_check=True,
        check_batch=500,
        adds_only_cached=True,
        selects_files=False,
        # A link must be started within three hours, by one of its texts within one.
        link_ttl=timedelta(minutes=45),
        link_bound_to_address=True,
        takes_web_links=False,
    ),
    # Published: 300 a minute for each endpoint, 60 creations an hour and 10 a minute. A burst of 8
    # and 48 an hour keep both limits of creations with one bucket.
    rates={
        _GENERAL: Rate(240, timedelta(minutes=1), 10),
        _CREATE: Rate(48, timedelta(hours=1), 8),
    },
)

# Codes that end in `_ERROR` and are not named here are faults of the server.
ERRORS: dict[str, Kind] = {
    "NO_AUTH": Kind.AUTH_INVALID,
    "BAD_TOKEN": Kind.AUTH_INVALID,
    "AUTH_ERROR": Kind.AUTH_INVALID,
    "OAUTH_VERIFICATION_ERROR": Kind.AUTH_INVALID,
    "DEVICE_CODE_NOT_USED": Kind.AUTH_INVALID,
    "INVALID_DEVICE": Kind.AUTH_INVALID,
    "PLAN_RESTRICTED_FEATURE": Kind.PREMIUM_REQUIRED,
    "VENDOR_DISABLED": Kind.ACCOUNT_LOCKED,
    "NOT_ALLOWED": Kind.UNSUPPORTED,
    "MONTHLY_LIMIT": Kind.QUOTA_EXHAUSTED,
    "TOO_MUCH_DATA": Kind.QUOTA_EXHAUSTED,
    "COOLDOWN_LIMIT": Kind.RATE_LIMITED,
    "RATE_LIMIT": Kind.RATE_LIMITED,
    "RATE_LIMIT_EXCEEDED": Kind.RATE_LIMITED,
    "ACTIVE_LIMIT": Kind.SLOTS_FULL,
    "DOWNLOAD_TOO_LARGE": Kind.TOO_LARGE,
    "DOWNLOAD_NOT_CACHED": Kind.NOT_CACHED,
    "ITEM_NOT_FOUND": Kind.NOT_FOUND,
    "NOT_OWNER": Kind.NOT_FOUND,
    "BOZO_TORRENT": Kind.BAD_TORRENT,
    "BOZO_FILE": Kind.BAD_TORRENT,
    "INVALID_HASH": Kind.BAD_TORRENT,
    "BOZO_NZB": Kind.BAD_REQUEST,
    "BOZO_RSS_FEED": Kind.BAD_REQUEST,
    "BOZO_REGEX": Kind.BAD_REQUEST,
    "INVALID_OPTION": Kind.BAD_REQUEST,
    "MISSING_REQUIRED_OPTION": Kind.BAD_REQUEST,
    "TOO_MANY_OPTIONS": Kind.BAD_REQUEST,
    "INVALID_INPUT": Kind.BAD_REQUEST,
    "NAME_TOO_LONG": Kind.BAD_REQUEST,
    "NAME_TOO_SHORT": Kind.BAD_REQUEST,
    "NO_CHANGES": Kind.BAD_REQUEST,
    "BAD_CONFIRMATION": Kind.BAD_REQUEST,
    "CONFIRMATION_EXPIRED": Kind.BAD_REQUEST,
    "ENDPOINT_NOT_FOUND": Kind.BAD_REQUEST,
    "UNSUPPORTED_SITE": Kind.UNSUPPORTED,
    "LINK_OFFLINE": Kind.HOSTER_DOWN,
    "DOWNSTREAM_ERROR": Kind.HOSTER_DOWN,
    "REQUEST_FAILED": Kind.HOSTER_DOWN,
    "TEMPORARILY_DISABLED": Kind.SERVICE_UNAVAILABLE,
}

# Where the code is absent, unknown or the catch-all DIFF_ISSUE, `detail` decides: first match.
_TEXTS: tuple[tuple[str, Kind], ...] = (
    ("maximum queued", Kind.SLOTS_FULL),
    ("private torrent", Kind.BAD_TORRENT),
    ("copyright", Kind.INFRINGING),
    ("infring", Kind.INFRINGING),
    ("not found in cache", Kind.NOT_CACHED),
    ("not cached", Kind.NOT_CACHED),
    ("cooldown", Kind.RATE_LIMITED),
)
_STATUSES: dict[int, Kind] = {
    401: Kind.AUTH_INVALID,
    402: Kind.PREMIUM_REQUIRED,
    403: Kind.AUTH_INVALID,
    404: Kind.NOT_FOUND,
    408: Kind.SERVICE_UNAVAILABLE,
    429: Kind.RATE_LIMITED,
    451: Kind.INFRINGING,
}

# After one of these nobody knows whether a torrent was added.
_UNSURE = frozenset({Kind.SERVICE_UNAVAILABLE, Kind.PROTOCOL})
# What it answers for a link that cannot be made, whatever the reason.
_ABOUT_A_LINK = frozenset(
    {Kind.NOT_FOUND, Kind.BAD_REQUEST, Kind.UNKNOWN, Kind.SERVICE_UNAVAILABLE}
)

# The first that matches the raw state, lower case and without its note in brackets. Words of
# qBittorrent end in `up` once the download is complete.
_WORDS: tuple[tuple[re.Pattern[str], TorrentState], ...] = (
    (re.compile("expired|reported missing"), TorrentState.EXPIRED),
    (re.compile("error|fail|missing"), TorrentState.FAILED),
    (
        re.compile(".+up$|uploading|completed|cached|processing|compressing|moving"),
        TorrentState.PROCESSING,
    ),
    (re.compile("(forced)?metadl|allocating|checking"), TorrentState.RESOLVING),
    (re.compile("queued"), TorrentState.QUEUED),
    (re.compile("downloading|stalled|paused|stopped|forceddl"), TorrentState.DOWNLOADING),
)
_REASONS = {TorrentState.FAILED: Kind.UNKNOWN, TorrentState.EXPIRED: Kind.FILE_GONE}
_PLANS: dict[int, tuple[str, int | None]] = {
    0: ("Free", None),
    1: ("Essential", 3),
    2: ("Pro", 10),
    3: ("Standard", 5),
}

_ATTEMPTS = 3
_LIST = "/torrents/mylist"
_QUEUE = "/queued/getqueued"
_GET_BATCH = 100  # hashes in a URL; more go in a body
_PAGE_ROWS = 1_000
_PAGES_SEARCHED = 20
_MOST_BYTES = 32 * 1024 * 1024  # file lists of 500 season packs
_TURN_SECONDS = 1.0  # the next key may have its turn sooner than this one
_LOOK_SECONDS = 2.0
_PAUSE = timedelta(minutes=1)
_CREATE_PAUSE = timedelta(minutes=5)
_LONGEST_PAUSE = timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=1)
_ENDLESS_SECONDS = 8_640_000  # what its torrent client says for "never"
_EPOCH_NOT_DELTA = 1_000_000_000
_LONGEST_URL = 8_192
_QUEUED = "q:"

T = TypeVar("T")


class _Envelope(msgspec.Struct):
    success: bool | None = None
    error: object = None
    detail: object = None
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def code(self) -> str | None:
        return self.error if isinstance(self.error, str) and self.error else None

    @property
    def text(self) -> str:
        return self.detail if isinstance(self.detail, str) else ""


class _User(msgspec.Struct):
    id: object = None
    auth_id: object = None
    plan: object = None
    premium_expires_at: object = None
    additional_concurrent_slots: object = None


class _File(msgspec.Struct):
    id: object = None
    name: object = None
    short_name: object = None
    size: object = None
    mimetype: object = None
    infected: object = None


class _Cached(msgspec.Struct):
    hash: object = None
    name: object = None
    size: object = None
    files: list[_File | None] | None = None


class _Created(msgspec.Struct):
    torrent_id: object = None
    queued_id: object = None
    name: object = None
    active_limit: object = None


class _Row(msgspec.Struct):
    """A torrent; of one in the queue only id, hash, name and date are there."""

    id: object = None
    hash: object = None
    name: object = None
    size: object = None
    active: object = None
    created_at: object = None
    updated_at: object = None
    download_state: object = None
    seeds: object = None
    progress: object = None
    download_speed: object = None
    eta: object = None
    download_present: object = None
    download_finished: object = None
    cached: object = None
    cached_at: object = None
    expires_at: object = None
    private: object = None
    files: list[_File | None] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope, strict=False)
_USER = msgspec.json.Decoder(_User)
_CREATED = msgspec.json.Decoder(_Created)
_CACHED: msgspec.json.Decoder[dict[str, _Cached | None] | list[_Cached | None] | None] = (
    msgspec.json.Decoder(dict[str, _Cached | None] | list[_Cached | None] | None)
)
_ROWS: msgspec.json.Decoder[list[_Row | None] | _Row | None] = msgspec.json.Decoder(
    list[_Row | None] | _Row | None
)
_LINK = msgspec.json.Decoder(str)


class _AlreadyThere(StoreError):
    """The account has this torrent; `add` looks for it."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One call of the API; only what may be repeated keeps its `attempts`."""

    operation: str
    method: str
    path: str
    params: Mapping[str, str] | None = None
    json: object = None
    form: Mapping[str, str] | None = None
    endpoint: str = _GENERAL
    attempts: int = _ATTEMPTS


@dataclass(frozen=True, slots=True)
class TorBox:
    """The client. Ids of torrents that wait for a slot are `q:` and a number of the queue.

    A queued torrent that starts gets another id; `get` then says NOT_FOUND and `find` knows it.
    """

    http: HttpClient
    budget: Budget
    clock: Clock
    base_url: str
    rates: Mapping[str, Rate]

    @property
    def info(self) -> StoreInfo:
        """Name, code and capabilities."""
        return INFO

    async def account(self, call: Call) -> Account:
        """Return the account that the key opens."""
        request = _Request("account", "GET", "/user/me", params={"settings": "false"})
        user = _decode(_USER, await self._ask(call, request), request)
        account_id = _id(user.id) or lenient.text(user.auth_id) or None
        if account_id is None:
            raise _error(Kind.PROTOCOL, request.operation, "an account without an id")
        level = lenient.whole(user.plan) or 0
        plan, slots = _PLANS.get(level, (f"Plan {level}", None))
        expires_at = lenient.moment(user.premium_expires_at)
        return Account(
            id=account_id,
            tier=_tier(level, expires_at, self.clock.now()),
            plan=plan,
            expires_at=expires_at,
            slots=slots and slots + (lenient.whole(user.additional_concurrent_slots) or 0),
        )

    async def check(self, call: Call, hashes: Sequence[str]) -> dict[str, Availability]:
        """Tell for each hash whether it is cached; TorBox itself remembers answers for an hour."""
        wanted = [*dict.fromkeys(text.lower() for text in hashes)]
        size = INFO.capabilities.check_batch
        cached: dict[str, Availability] = {}
        for start in range(0, len(wanted), size):
            cached |= await self._check_batch(call, wanted[start : start + size])
        return {
            text: cached.get(text) or Availability(info_hash=text, state=CacheState.NOT_CACHED)
            for text in wanted
        }

    async def add(
        self, call: Call, magnet: Magnet, *, only_if_cached: bool = False
    ) -> StoredTorrent:
        """Add a torrent, or return the one that is there already; an EXPIRED one is replaced.

        By what users measured in 2026, cached torrents do not count towards the creations of an
        hour, so a call with `only_if_cached` takes its turn among the general ones.
        """
        torrent = await self._create_or_find(call, magnet, only_if_cached)
        if torrent.state is TorrentState.EXPIRED:
            # As long as the empty item is there, TorBox answers with it.
            await self.remove(call, torrent.id)
            torrent = await self._create_or_find(call, magnet, only_if_cached)
        if only_if_cached and torrent.state is not TorrentState.READY:
            raise _error(Kind.NOT_CACHED, "add", "in the account, and not finished")
        return torrent

    async def get(self, call: Call, torrent_id: str) -> StoredTorrent:
        """Return one torrent of the account, or one that waits in its queue."""
        number = _own_number(torrent_id, "get")
        if torrent_id.startswith(_QUEUED):
            waiting = await self._rows(call, "get", _QUEUE, {"id": str(number)})
            found = [_queued_torrent(row) for row in waiting if lenient.whole(row.id) == number]
        else:
            rows = await self._rows(call, "get", _LIST, {"id": str(number)})
            found = [self._torrent(row) for row in rows if lenient.whole(row.id) == number]
        if not found:
            raise _error(Kind.NOT_FOUND, "get")
        return found[0]

    async def find(self, call: Call, info_hash: str) -> StoredTorrent | None:
        """Return the account's torrent with this hash: a READY one first, a queued one last."""
        wanted = info_hash.lower()
        best: StoredTorrent | None = None
        for page in range(_PAGES_SEARCHED):
            span = {"offset": str(page * _PAGE_ROWS), "limit": str(_PAGE_ROWS)}
            rows = await self._rows(call, "find", _LIST, span)
            for torrent in (self._torrent(row) for row in rows if _hash(row.hash) == wanted):
                if torrent.state is TorrentState.READY:
                    return torrent
                best = best or torrent
            if len(rows) < _PAGE_ROWS:
                break
        return best or await self._find_waiting(call, wanted)

    async def list(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> Page:
        """Return a page of the account's torrents, without those that wait in its queue."""
        offset = 0 if cursor is None else lenient.whole(cursor)
        if offset is None:
            raise _error(Kind.BAD_REQUEST, "list", "not a cursor of this store")
        limit = min(max(limit, 1), _PAGE_ROWS)
        span = {"offset": str(offset), "limit": str(limit)}
        rows = await self._rows(call, "list", _LIST, span)
        # It may answer with one row more than asked, which is the first of the next page.
        items = tuple(self._torrent(row) for row in rows[:limit] if _id(row.id))
        return Page(items=items, cursor=str(offset + limit) if len(rows) >= limit else None)

    async def remove(self, call: Call, torrent_id: str) -> bool:
        """Delete a torrent, or take it out of the queue; False when it was not there."""
        try:
            number = _own_number(torrent_id, "remove")
            await self._ask(call, _removal(number, queued=torrent_id.startswith(_QUEUED)))
        except StoreError as error:
            if error.kind is Kind.NOT_FOUND:
                return False
            if error.provider_code == "DATABASE_ERROR" and await self._is_absent(call, torrent_id):
                return False
            raise
        return True

    async def link(self, call: Call, torrent_id: str, file: RemoteFile) -> Link:
        """Make a playable URL for a file of a READY torrent."""
        number = _own_number(torrent_id, "link")
        if torrent_id.startswith(_QUEUED):
            raise _error(Kind.NOT_READY, "link", "it waits for a slot")
        params = {
            "token": call.key.reveal(),  # this endpoint does not look at the header
            "torrent_id": str(number),
            "file_id": file.id,
            "zip_link": "false",
            "redirect": "false",
        }
        if call.user_ip is not None:
            params["user_ip"] = call.user_ip
        request = _Request("link", "GET", "/torrents/requestdl", params=params)
        try:
            envelope = await self._ask(call, request)
        except StoreError as error:
            if not _is_about_the_item(error):
                raise
            raise await self._why_no_link(call, torrent_id, file, error) from None
        url = _checked_url(_decode(_LINK, envelope, request), call.key)
        return Link(url=url, expires_in=INFO.capabilities.link_ttl)

    async def _check_batch(self, call: Call, batch: Sequence[str]) -> dict[str, Availability]:
        params = {"format": "object", "list_files": "true"}
        path = "/torrents/checkcached"
        if len(batch) <= _GET_BATCH:
            request = _Request("check", "GET", path, params={**params, "hash": ",".join(batch)})
        else:
            request = _Request("check", "POST", path, params=params, json={"hashes": batch})
        answer = _decode(_CACHED, await self._ask(call, request), request)
        if isinstance(answer, dict):
            pairs = [(_hash(key), row) for key, row in answer.items()]
        else:
            pairs = [(_hash(row.hash), row) for row in answer or () if row]
        return {text: _available(text, row) for text, row in pairs if text and row}

    async def _create_or_find(
        self, call: Call, magnet: Magnet, only_if_cached: bool
    ) -> StoredTorrent:
        try:
            return await self._create(call, magnet, only_if_cached)
        except _AlreadyThere as there:
            return await self._find_created(call, magnet, there)
        except StoreError as error:
            if error.kind not in _UNSURE:
                raise
            return await self._find_created(call, magnet, error)

    async def _create(self, call: Call, magnet: Magnet, only_if_cached: bool) -> StoredTorrent:
        form = {"magnet": str(magnet), "seed": "1", "allow_zip": "false"}
        if only_if_cached:
            form["add_only_if_cached"] = "true"
        request = _Request(
            "add",
            "POST",
            "/torrents/createtorrent",
            form=form,
            endpoint=_GENERAL if only_if_cached else _CREATE,
            attempts=1,
        )
        # A part of the time is kept back: should the answer get lost, we must look for the torrent.
        seconds = max(call.deadline.left - _LOOK_SECONDS, call.deadline.left / 2)
        envelope = await self._ask(replace(call, deadline=call.deadline.within(seconds)), request)
        created = _decode(_CREATED, envelope, request)
        is_cached = "cached torrent" in envelope.text.casefold()
        if torrent_id := _id(created.torrent_id):
            return await self._get_created(call, torrent_id, magnet, is_cached)
        if queued_id := _id(created.queued_id):
            return _queued_torrent(_Row(queued_id, magnet.info_hash, created.name or magnet.name))
        raise _error(Kind.PROTOCOL, "add", "neither a torrent nor a place in the queue")

    async def _get_created(
        self, call: Call, torrent_id: str, magnet: Magnet, is_cached: bool
    ) -> StoredTorrent:
        try:
            return await self.get(call, torrent_id)
        except StoreError:
            # It is added, whatever this second look says; the next `get` will know more.
            return StoredTorrent(
                id=torrent_id,
                info_hash=magnet.info_hash,
                name=magnet.name,
                size_bytes=None,
                state=TorrentState.READY if is_cached else TorrentState.RESOLVING,
                raw_state="created",
            )

    async def _find_created(self, call: Call, magnet: Magnet, error: StoreError) -> StoredTorrent:
        """Look for a torrent that the account may have; the error goes on when it has not."""
        look = replace(call, deadline=call.deadline.within(_LOOK_SECONDS))
        try:
            torrent = await self.find(look, magnet.info_hash)
        except StoreError:
            torrent = None
        if torrent is None:
            raise error
        return torrent

    async def _find_waiting(self, call: Call, wanted: str) -> StoredTorrent | None:
        rows = await self._rows(call, "find", _QUEUE, {"offset": "0", "limit": str(_PAGE_ROWS)})
        found = (_queued_torrent(row) for row in rows if _hash(row.hash) == wanted)
        return next(found, None)

    async def _is_absent(self, call: Call, torrent_id: str) -> bool:
        """Tell whether a torrent is not there; TorBox has a server error for that, too."""
        try:
            await self.get(call, torrent_id)
        except StoreError as error:
            return error.kind is Kind.NOT_FOUND
        return False

    async def _why_no_link(
        self, call: Call, torrent_id: str, file: RemoteFile, error: StoreError
    ) -> StoreError:
        """Say what a refused link means: TorBox has one answer for many reasons."""
        torrent = await self.get(call, torrent_id)
        if torrent.state in {TorrentState.EXPIRED, TorrentState.FAILED, TorrentState.INVALID}:
            return _error(Kind.FILE_GONE, "link", torrent.raw_state)
        if torrent.state is not TorrentState.READY:
            return _error(Kind.NOT_READY, "link", torrent.raw_state)
        if all(known.id != file.id for known in torrent.files or ()):
            return _error(Kind.FILE_GONE, "link", "no such file")
        return error

    async def _rows(
        self, call: Call, operation: str, path: str, params: Mapping[str, str]
    ) -> Sequence[_Row]:
        """Read torrents of the account; 404 is how TorBox says that there are none."""
        # Without `bypass_cache` the answer may be ten minutes old.
        fresh = {**params, "bypass_cache": "true"}
        if path == _QUEUE:
            fresh["type"] = "torrent"
        request = _Request(operation, "GET", path, params=fresh)
        try:
            answer = _decode(_ROWS, await self._ask(call, request), request)
        except StoreError as error:
            if error.kind is Kind.NOT_FOUND:
                return ()
            raise
        return [row for row in (answer if isinstance(answer, list) else [answer]) if row]

    def _torrent(self, row: _Row) -> StoredTorrent:
        raw_state = lenient.text(row.download_state)
        state = _state(row, raw_state, self.clock.now())
        return StoredTorrent(
            id=_id(row.id) or "",
            info_hash=_hash(row.hash),
            name=lenient.text(row.name) or None,
            size_bytes=lenient.whole(row.size),
            state=state,
            raw_state=raw_state,
            progress=_share(row.progress),
            down_bytes_per_second=lenient.whole(row.download_speed),
            seeders=lenient.whole(row.seeds),
            eta=_span(row.eta),
            files=_files(row.files) or None,
            added_at=lenient.moment(row.created_at),
            private=row.private if isinstance(row.private, bool) else None,
            reason=_REASONS.get(state),
        )

    async def _ask(self, call: Call, request: _Request) -> _Envelope:
        try:
            return await self._ask_once(call, request)
        except StoreError as error:
            if error.provider_code != "AUTH_ERROR":
                raise
        # Seen for good keys while its auth back-end was unwell; nothing was done, so ask again.
        return await self._ask_once(call, request)

    async def _ask_once(self, call: Call, request: _Request) -> _Envelope:
        await self._take_turn(call, request)
        try:
            reply = await self.http.send(
                request.method,
                self.base_url + request.path,
                deadline=call.deadline,
                headers={"Authorization": f"Bearer {call.key.reveal()}"},
                params=request.params,
                json=request.json,
                form=request.form,
                attempts=request.attempts,
                max_bytes=_MOST_BYTES,
            )
        except ReplyInvalid as error:
            raise _error(Kind.PROTOCOL, request.operation, error.message) from None
        except UpstreamError as error:
            raise _error(Kind.SERVICE_UNAVAILABLE, request.operation, error.message) from None
        envelope = _envelope(reply)
        if envelope is not None and envelope.success and reply.status < 400:
            return envelope
        raise self._refusal(call, request, reply, envelope)

    async def _take_turn(self, call: Call, request: _Request) -> None:
        rate = self.rates.get(request.endpoint, INFO.rates[request.endpoint])
        bucket = f"{INFO.name}:{call.key.fingerprint}:{request.endpoint}"
        until = call.deadline.within(_TURN_SECONDS)
        try:
            await self.budget.wait(bucket, rate.calls, rate.per, rate.burst, until)
        except UpstreamTimeout as error:
            raise _error(
                Kind.RATE_LIMITED,
                request.operation,
                error.message,
                retry_after=rate.per / rate.calls,
                is_ours=True,
            ) from None

    def _refusal(
        self, call: Call, request: _Request, reply: Reply, envelope: _Envelope | None
    ) -> StoreError:
        code, text = (envelope.code, envelope.text) if envelope else (None, "")
        if envelope and code is None and _names_active_limit(envelope):
            code = "ACTIVE_LIMIT"
        is_double = code == "DUPLICATE_ITEM" or "already queued" in text.casefold()
        kind = Kind.UNKNOWN if is_double else _kind(code, text, reply)
        return (_AlreadyThere if is_double else StoreError)(
            kind,
            store=INFO.name,
            operation=request.operation,
            message=lenient.text(text).replace(call.key.reveal(), "***")[:200],
            provider_code=code,
            http_status=reply.status,
            retry_after=self._pause(kind, request, reply),
        )

    def _pause(self, kind: Kind, request: _Request, reply: Reply) -> timedelta | None:
        stated = reply.retry_after(self.clock)
        if kind is not Kind.RATE_LIMITED:
            return stated
        usual = _CREATE_PAUSE if request.operation == "add" else _PAUSE
        return stated or _read_reset(reply, self.clock.now()) or usual


def _error(
    kind: Kind,
    operation: str,
    message: str = "",
    *,
    retry_after: timedelta | None = None,
    is_ours: bool = False,
) -> StoreError:
    return StoreError(
        kind,
        store=INFO.name,
        operation=operation,
        message=message,
        retry_after=retry_after,
        is_ours=is_ours,
    )


def _envelope(reply: Reply) -> _Envelope | None:
    try:
        return _ENVELOPE.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decode(decoder: msgspec.json.Decoder[T], envelope: _Envelope, request: _Request) -> T:
    try:
        return decoder.decode(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The cause quotes the body.
        raise _error(Kind.PROTOCOL, request.operation, "data of another shape") from None


def _names_active_limit(envelope: _Envelope) -> bool:
    try:
        return _CREATED.decode(envelope.data).active_limit is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _kind(code: str | None, text: str, reply: Reply) -> Kind:
    if code in ERRORS:
        return ERRORS[code]
    if code and code.endswith("_ERROR"):
        return Kind.SERVICE_UNAVAILABLE
    folded = text.casefold()
    for part, kind in _TEXTS:
        if part in folded:
            return kind
    by_status = _kind_by_status(reply)
    # A code that we do not know tells nothing of the key, whatever the status says.
    is_plain = code is None or by_status in {Kind.RATE_LIMITED, Kind.SERVICE_UNAVAILABLE}
    return by_status if is_plain else Kind.UNKNOWN


def _kind_by_status(reply: Reply) -> Kind:
    is_html = "html" in reply.headers.get("Content-Type", "").lower()
    if reply.status >= 500 or (is_html and reply.status != 429):
        # A page in HTML comes from what stands before the API.
        return Kind.SERVICE_UNAVAILABLE
    if reply.status >= 400:
        return _STATUSES.get(reply.status, Kind.BAD_REQUEST)
    return Kind.PROTOCOL


def _read_reset(reply: Reply, now: datetime) -> timedelta | None:
    """Read when the limit is reset: seconds from now, or seconds of the epoch."""
    text = reply.headers.get("x-ratelimit-reset") or reply.headers.get("ratelimit-reset")
    seconds = lenient.decimal(text)
    if seconds is None:
        return None
    if seconds > _EPOCH_NOT_DELTA:
        seconds -= now.timestamp()
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST_PAUSE.total_seconds()))


def _removal(number: int, *, queued: bool) -> _Request:
    if queued:
        body = {"queued_id": number, "operation": "delete", "all": False}
        return _Request("remove", "POST", "/queued/controlqueued", json=body)
    body = {"torrent_id": number, "operation": "delete", "all": False}
    return _Request("remove", "POST", "/torrents/controltorrent", json=body)


def _own_number(torrent_id: str, operation: str) -> int:
    """Read one of our ids; what cannot be one of TorBox is not there."""
    number = lenient.whole(torrent_id.removeprefix(_QUEUED))
    if not number:
        raise _error(Kind.NOT_FOUND, operation)
    return number


def _is_about_the_item(error: StoreError) -> bool:
    """Tell whether a refused link may be the torrent's own fault, not the key's or a gateway's."""
    has_answered = error.http_status is not None and error.http_status <= 500
    return has_answered and error.kind in _ABOUT_A_LINK


def _checked_url(url: str, key: Secret) -> str:
    """Return a link that may be handed out: a web address, and not the permalink with the key."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        fits = False
    plain = url.isascii() and url.isprintable() and " " not in url
    if not fits or not plain or len(url) > _LONGEST_URL or key.reveal() in url:
        raise _error(Kind.PROTOCOL, "link", "not a link")
    return url


def _state(row: _Row, raw_state: str, now: datetime) -> TorrentState:
    """Tell the state: two flags say whether it can be played, the word is for all else."""
    if row.download_finished is True and row.download_present is True:
        return TorrentState.READY
    word = raw_state.partition("(")[0].strip().lower()
    state = next((state for words, state in _WORDS if words.match(word)), TorrentState.UNKNOWN)
    if state in {TorrentState.EXPIRED, TorrentState.FAILED}:
        return state
    if row.download_finished is True:
        return TorrentState.EXPIRED if _is_gone(row, word, now) else TorrentState.PROCESSING
    if word.startswith("stalled") and row.active is False:
        changed_at = lenient.moment(row.updated_at) or lenient.moment(row.created_at) or now
        return TorrentState.FAILED if now - changed_at > _GIVEN_UP_AFTER else state
    return state


def _is_gone(row: _Row, word: str, now: datetime) -> bool:
    """Tell whether the bytes were there once: an item outlives them in the list."""
    if row.cached is not False or row.active is True:
        return False
    ends_at = lenient.moment(row.expires_at)
    if ends_at is not None and ends_at <= now:
        return True
    return row.cached_at is not None and not word.startswith("uploading")


def _queued_torrent(row: _Row) -> StoredTorrent:
    return StoredTorrent(
        id=f"{_QUEUED}{lenient.whole(row.id)}",
        info_hash=_hash(row.hash),
        name=lenient.text(row.name) or None,
        size_bytes=None,
        state=TorrentState.QUEUED,
        raw_state="queued",
        added_at=lenient.moment(row.created_at),
    )


def _available(info_hash: str, row: _Cached) -> Availability:
    return Availability(
        info_hash=info_hash,
        state=CacheState.CACHED,
        name=lenient.text(row.name) or None,
        size_bytes=lenient.whole(row.size),
        files=_files(row.files) or None,
    )


def _files(rows: Sequence[_File | None] | None) -> tuple[RemoteFile, ...]:
    """Return the files that can be played; those that it calls infected cannot be fetched."""
    made = (_file(row) for row in rows or () if row and row.infected is not True)
    return tuple(file for file in made if file)


def _file(row: _File) -> RemoteFile | None:
    file_id, path = lenient.whole(row.id), lenient.text(row.name) or lenient.text(row.short_name)
    if file_id is None or not path:
        return None
    return RemoteFile(
        id=str(file_id),
        path=path,
        size_bytes=lenient.whole(row.size),
        mime=lenient.text(row.mimetype) or None,
    )


def _tier(level: int, expires_at: datetime | None, now: datetime) -> Tier:
    if expires_at is not None and expires_at <= now:
        return Tier.EXPIRED
    return Tier.PREMIUM if level > 0 else Tier.FREE


def _id(value: object) -> str | None:
    """Read the id of an item; 0 stands for an item that is not there."""
    number = lenient.whole(value)
    return str(number) if number else None


def _hash(value: object) -> str | None:
    return read_info_hash(value) if isinstance(value, str) else None


def _share(value: object) -> float | None:
    number = lenient.decimal(value)
    return None if number is None else min(max(number, 0.0), 1.0)


def _span(value: object) -> timedelta | None:
    seconds = lenient.decimal(value)
    if seconds is None or not 0 < seconds < _ENDLESS_SECONDS:
        return None
    return timedelta(seconds=seconds)
