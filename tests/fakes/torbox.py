"""A simulated TorBox: its API, its quirks and refusals, and a CDN that serves small files."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from addon.torrent import read_magnet
from tests.fakes.debrid import (
    CATALOGUE,
    Cdn,
    DebridSimulator,
    Fate,
    Release,
)

PREFIX = "/v1/api"
_LIST_KEPT = timedelta(minutes=10)
_LINK_LIVES = timedelta(hours=3)
_METADATA_AFTER = timedelta(seconds=10)
_DOWNLOADED_AFTER = timedelta(minutes=10)
_UPLOADED_AFTER = timedelta(minutes=11)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Switches:
    """Where sources disagree on what TorBox does; the first value is the likelier one."""

    not_cached_status: Literal[400, 409] = 400
    duplicate: Literal["same_id", "item", "already_queued"] = "same_id"
    slots_full: Literal["refused", "refused_without_code", "queued"] = "refused"
    empty_list_success: bool = True
    unknown_id: Literal["not_found", "empty", "database_error"] = "not_found"
    check_answers: Literal["as_asked", "list", "object", "null_when_empty"] = "as_asked"
    extra_row: bool = True
    numbers_as_text: bool = False
    cached_creations_count: bool = False


@dataclass(slots=True)
class Account:
    """An account and what is in it."""

    key: str
    plan: int = 2
    expires_at: datetime | None = None
    slots: int = 3
    in_cooldown: bool = False
    items: dict[int, "Item"] = field(default_factory=dict)
    queue: dict[int, Release] = field(default_factory=dict)
    created_at: list[datetime] = field(default_factory=list)
    list_seen: tuple[datetime, list[Json]] | None = None


@dataclass(slots=True)
class Item:
    """A torrent in an account; `overrides` replace fields of what the list says of it."""

    id: int
    release: Release
    added_at: datetime
    overrides: Json = field(default_factory=dict)


class _Refused(Exception):
    def __init__(self, status: int, code: str | None, detail: str, data: object = None) -> None:
        super().__init__(detail)
        self.status = status
        self.body: Json = {"success": False, "error": code, "detail": detail, "data": data}


class _Throttled(_Refused):
    def __init__(self, detail: str) -> None:
        super().__init__(429, None, detail)
        self.body = {"detail": detail}


class TorBoxSimulator(DebridSimulator):
    """The whole of TorBox for a test; serve it and give the client `base_url + PREFIX`."""

    def __init__(
        self,
        now: Callable[[], datetime],
        accounts: Sequence[Account],
        *,
        catalogue: Sequence[Release] = CATALOGUE,
        switches: Switches | None = None,
        creations_per_hour: int = 60,
    ) -> None:
        super().__init__(catalogue)
        self.now = now
        self.accounts = {account.key: account for account in accounts}
        self.switches = switches or Switches()
        self.creations_per_hour = creations_per_hour
        self._ids = iter(range(771, 100_000))
        self._cdn = Cdn(now, _LINK_LIVES)
        self._api = self._routes()

    @property
    def api(self) -> ASGIApp:
        return self._api

    def throttled(self) -> Response:
        return JSONResponse({"detail": "300 per 1 minute"}, 429)

    def put(self, key: str, what: Release, **overrides: object) -> Item:
        """Put a torrent into an account behind the API's back."""
        item = Item(next(self._ids), what, self.now(), dict(overrides))
        self.accounts[key].items[item.id] = item
        return item

    def put_in_queue(self, key: str, what: Release) -> int:
        """Let a torrent wait for a slot behind the API's back."""
        queued_id = next(self._ids)
        self.accounts[key].queue[queued_id] = what
        return queued_id

    def hashes_of(self, key: str) -> list[str]:
        account = self.accounts[key]
        held = [item.release for item in account.items.values()]
        return [what.info_hash for what in (*held, *account.queue.values())]

    def lose(self, key: str, info_hash: str) -> None:
        for item in self.accounts[key].items.values():
            if item.release.info_hash == info_hash:
                item.overrides |= {
                    "download_present": False,
                    "cached": False,
                    "cached_at": _date(item.added_at),
                }

    def _routes(self) -> Starlette:
        api = [
            Route("/user/me", self._with_account(self._me)),
            Route(
                "/torrents/checkcached", self._with_account(self._check), methods=["GET", "POST"]
            ),
            Route("/torrents/createtorrent", self._with_account(self._create), methods=["POST"]),
            Route("/torrents/mylist", self._with_account(self._mylist)),
            Route("/torrents/controltorrent", self._with_account(self._control), methods=["POST"]),
            Route("/torrents/requestdl", self._requestdl),
            Route("/queued/getqueued", self._with_account(self._getqueued)),
            Route("/queued/controlqueued", self._with_account(self._unqueue), methods=["POST"]),
        ]
        return Starlette(
            routes=[Route(Cdn.PATH, self._cdn), Mount(PREFIX, routes=api)],
            exception_handlers={
                _Refused: _answer_refused,
                HTTPException: _answer_no_route,
                ValueError: _answer_malformed,
            },
        )

    def _with_account(
        self, handle: Callable[[Request, Account], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not token:
                raise _Refused(403, "NO_AUTH", "Authentication is required.")
            return await handle(request, self._account(token))

        return endpoint

    def _account(self, token: str) -> Account:
        account = self.accounts.get(token)
        if account is None:
            raise _Refused(403, "BAD_TOKEN", "The token is invalid.")
        self._start_waiting(account)
        return account

    def _start_waiting(self, account: Account) -> None:
        while account.queue and self._busy(account) < account.slots:
            queued_id = next(iter(account.queue))
            what = account.queue.pop(queued_id)
            self.put(account.key, what)

    def _busy(self, account: Account) -> int:
        return sum(not self._row(item)["download_finished"] for item in account.items.values())

    async def _me(self, request: Request, account: Account) -> Response:
        return self._ok(
            "User retrieved.",
            {
                "id": 51234,
                "auth_id": "0d9c0000-0000-4000-8000-000000000000",
                "email": "u@example.org",
                "plan": account.plan,
                "is_subscribed": account.plan > 0,
                "premium_expires_at": _date(account.expires_at) if account.expires_at else None,
                "cooldown_until": _date(self.now()) if account.in_cooldown else None,
                "additional_concurrent_slots": 0,
            },
        )

    async def _check(self, request: Request, account: Account) -> Response:
        query = request.query_params
        if request.method == "POST":
            hashes = (await _json_body(request)).get("hashes", [])
        else:
            hashes = [text for text in ",".join(query.getlist("hash")).split(",") if text]
        if not hashes:
            raise _Refused(400, "MISSING_REQUIRED_OPTION", "No hashes were given.")
        rows = [
            {
                "name": what.name,
                "size": what.size_bytes,
                "hash": what.info_hash,
                "files": _file_rows(what) if query.get("list_files") == "true" else None,
            }
            for text in dict.fromkeys(hash_.lower() for hash_ in hashes)
            if (what := self.catalogue.get(text)) and what.fate is Fate.CACHED
        ]
        shape = self.switches.check_answers
        if shape == "as_asked":
            shape = "list" if query.get("format") == "list" else "object"
        data: object = rows if shape == "list" else {row["hash"]: row for row in rows}
        if shape == "null_when_empty" and not rows:
            data = None
        return self._ok("Torrent cache status retrieved.", data)

    async def _create(self, request: Request, account: Account) -> Response:
        form = await _form(request)
        self._refuse_by_plan(account)
        magnet = read_magnet(form.get("magnet", ""))
        if magnet is None:
            raise _Refused(400, "BOZO_TORRENT", "The magnet link is invalid.")
        what = self.catalogue.get(magnet.info_hash) or Release(
            magnet.info_hash, magnet.name or magnet.info_hash, Fate.DEAD, ()
        )
        known = self._held(account, magnet.info_hash)
        is_cached = what.fate is Fate.CACHED
        if known is None:
            if form.get("add_only_if_cached") == "true" and not is_cached:
                status = self.switches.not_cached_status
                raise _Refused(status, "DOWNLOAD_NOT_CACHED", "Torrent not found in cache.")
            self._count_creation(account, is_cached)
            _refuse_by_fate(what)
            if not is_cached and self._busy(account) >= account.slots:
                return self._no_slot(account, what)
            self.put(account.key, what)
        return self._created(account, what, known)

    def _refuse_by_plan(self, account: Account) -> None:
        if account.plan == 0 or (account.expires_at and account.expires_at <= self.now()):
            raise _Refused(403, "PLAN_RESTRICTED_FEATURE", "Your plan does not allow this.")
        if account.in_cooldown:
            raise _Refused(403, "COOLDOWN_LIMIT", "Your account is in cooldown.")

    def _count_creation(self, account: Account, is_cached: bool) -> None:
        if is_cached and not self.switches.cached_creations_count:
            return
        recent = [at for at in account.created_at if self.now() - at < timedelta(hours=1)]
        if len(recent) >= self.creations_per_hour:
            raise _Throttled(f"{self.creations_per_hour} per 1 hour")
        account.created_at = [*recent, self.now()]

    def _held(self, account: Account, info_hash: str) -> str | None:
        """Tell where the account has a torrent: `item` or `queue`."""
        if any(item.release.info_hash == info_hash for item in account.items.values()):
            return "item"
        return "queue" if any(w.info_hash == info_hash for w in account.queue.values()) else None

    def _no_slot(self, account: Account, what: Release) -> Response:
        if self.switches.slots_full == "queued":
            queued_id = self.put_in_queue(account.key, what)
            data = {"queued_id": queued_id, "hash": what.info_hash, "auth_id": "x"}
            return self._ok("Torrent added to the queue.", data)
        counts = {"active_limit": account.slots, "current_active_downloads": account.slots}
        if self.switches.slots_full == "refused":
            raise _Refused(400, "ACTIVE_LIMIT", "Active download limit reached.", counts)
        raise _Refused(200, None, "Active download limit reached.", counts)

    def _created(self, account: Account, what: Release, known: str | None) -> Response:
        if known == "queue" or (known and self.switches.duplicate == "already_queued"):
            raise _Refused(400, "DIFF_ISSUE", "This torrent is Already Queued.")
        if known and self.switches.duplicate == "item":
            raise _Refused(400, "DUPLICATE_ITEM", "Download already exists.")
        item = next(i for i in account.items.values() if i.release.info_hash == what.info_hash)
        data = {"torrent_id": item.id, "hash": what.info_hash, "auth_id": "x"}
        if what.fate is Fate.CACHED:
            case = str.upper if item.id % 2 else str.title
            return self._ok(case("Found cached torrent. Using cached torrent."), data)
        return self._ok("Torrent added successfully.", data)

    async def _mylist(self, request: Request, account: Account) -> Response:
        rows = self._list_of(account, request.query_params.get("bypass_cache") == "true")
        if wanted := request.query_params.get("id"):
            return self._one(rows, wanted)
        offset = int(request.query_params.get("offset", 0))
        limit = int(request.query_params.get("limit", 1000))
        page = rows[offset : offset + limit + self.switches.extra_row]
        if not page:
            return self._nothing("No torrents found.")
        return self._ok("Torrent list retrieved.", page)

    def _list_of(self, account: Account, fresh: bool) -> list[Json]:
        if fresh or not account.list_seen or self.now() - account.list_seen[0] > _LIST_KEPT:
            account.list_seen = (self.now(), [self._row(i) for i in account.items.values()])
        return account.list_seen[1]

    def _one(self, rows: Sequence[Json], wanted: str) -> Response:
        for row in rows:
            if str(row["id"]) == wanted:
                return self._ok("Torrent list retrieved.", row)
        if self.switches.unknown_id == "empty":
            return self._ok("Torrent list retrieved.", {})
        return self._nothing("Item not found.")

    def _nothing(self, detail: str) -> Response:
        success = self.switches.empty_list_success
        body = {"success": success, "error": "ITEM_NOT_FOUND", "detail": detail, "data": None}
        return JSONResponse(body, 404)

    async def _getqueued(self, request: Request, account: Account) -> Response:
        if request.query_params.get("type") != "torrent":
            raise _Refused(400, "INVALID_OPTION", "Only torrents are simulated.")
        rows = [
            {
                "id": queued_id,
                "created_at": _date(self.now()),
                "magnet": str(what.magnet),
                "torrent_file": None,
                "hash": what.info_hash,
                "name": what.name,
                "type": "torrent",
            }
            for queued_id, what in account.queue.items()
        ]
        if wanted := request.query_params.get("id"):
            return self._one(rows, wanted)
        return self._ok("Queue retrieved.", rows) if rows else self._nothing("Nothing queued.")

    async def _control(self, request: Request, account: Account) -> Response:
        return self._delete(await _operation(request, "torrent_id"), account.items)

    async def _unqueue(self, request: Request, account: Account) -> Response:
        return self._delete(await _operation(request, "queued_id"), account.queue)

    def _delete(self, wanted: int, held: dict[int, Any]) -> Response:
        if wanted not in held:
            if self.switches.unknown_id == "database_error":
                raise _Refused(500, "DATABASE_ERROR", "Something went wrong.")
            is_foreign = any(wanted in other.items for other in self.accounts.values())
            if is_foreign:
                raise _Refused(409, "NOT_OWNER", "You do not own this item.")
            raise _Refused(404, "ITEM_NOT_FOUND", "Item not found.")
        del held[wanted]
        return self._ok("Operation performed.", None)

    async def _requestdl(self, request: Request) -> Response:
        query = request.query_params
        if not query.get("token"):
            raise _Refused(403, "NO_AUTH", "The token parameter is required.")
        account = self._account(query["token"])
        self._refuse_by_plan(account)
        if "torrent_id" not in query or "file_id" not in query:
            raise _Refused(400, "MISSING_REQUIRED_OPTION", "An option is missing.")
        item = account.items.get(int(query["torrent_id"]))
        if item is None:
            raise _Refused(404, "ITEM_NOT_FOUND", "Item not found.")
        row = self._row(item)
        if not (row["download_finished"] and row["download_present"]):
            raise _Refused(400, "DIFF_ISSUE", "The torrent is not ready for download yet.")
        paths = {row["id"]: row["name"] for row in _file_rows(item.release)}
        path = paths.get(int(query["file_id"]))
        if path is None:
            raise _Refused(500, "DATABASE_ERROR", "Something went wrong.")
        url = self._cdn.link(request, path, dict(item.release.files)[path])
        if query.get("redirect") == "true":
            return RedirectResponse(url, 307)
        return self._ok("Torrent download requested successfully.", url)

    def _row(self, item: Item) -> Json:
        """What the list says of a torrent, by how long ago it was added."""
        age = self.now() - item.added_at
        row: Json = {
            "id": item.id,
            "hash": item.release.info_hash,
            "name": item.release.name,
            "size": item.release.size_bytes,
            "created_at": _date(item.added_at),
            "updated_at": _date(item.added_at),
            "seeds": 7,
            "eta": 60,
            "download_speed": 1_000_000,
            "private": False,
            "cached_at": None,
            "tags": [],
            **_progress(item.release, age),
        }
        row["files"] = _file_rows(item.release) if row["progress"] > 0 else None
        return row | item.overrides

    def _ok(self, detail: str, data: object) -> Response:
        if self.switches.numbers_as_text:
            data = _as_text(data)
        return JSONResponse({"success": True, "error": None, "detail": detail, "data": data}, 200)


def _progress(what: Release, age: timedelta) -> Json:
    if what.fate is Fate.CACHED or (what.fate is Fate.SLOW and age >= _UPLOADED_AFTER):
        word = "cached" if what.fate is Fate.CACHED else "uploading (no peers)"
        return _stage(word, 1, active=False, finished=True, present=True)
    if age < _METADATA_AFTER:
        return _stage("metaDL", 0)
    if what.fate is Fate.DEAD:
        return _stage("stalled (no seeds)", 0, active=False)
    if age < _DOWNLOADED_AFTER:
        return _stage("downloading", age / _DOWNLOADED_AFTER)
    return _stage("uploading", 1, finished=True)


def _stage(
    word: str,
    progress: float,
    *,
    active: bool = True,
    finished: bool = False,
    present: bool = False,
) -> Json:
    return {
        "download_state": word,
        "progress": progress,
        "active": active,
        "download_finished": finished,
        "download_present": present,
        "cached": present,
    }


def _refuse_by_fate(what: Release) -> None:
    match what.fate:
        case Fate.INFRINGING:
            raise _Refused(400, "DIFF_ISSUE", "This torrent is blocked: copyright complaint.")
        case Fate.TOO_LARGE:
            raise _Refused(400, "DOWNLOAD_TOO_LARGE", "This download is too large.")
        case Fate.PRIVATE:
            raise _Refused(400, "DIFF_ISSUE", "Private torrent downloading is disabled.")
        case Fate.BAD:
            raise _Refused(400, "BOZO_TORRENT", "This torrent is invalid.")
        case Fate.CACHED | Fate.SLOW | Fate.DEAD:
            pass


def _file_rows(what: Release) -> list[Json]:
    """List files in the torrent's order, with ids from 0 in another one."""
    ids = {path: number for number, path in enumerate(sorted(dict(what.files), reverse=True))}
    return [
        {
            "id": ids[path],
            "name": path,
            "short_name": path.rpartition("/")[2],
            "size": len(content),
            "mimetype": "video/x-matroska" if path.endswith(".mkv") else "text/plain",
            "s3_path": f"{what.info_hash}/{path}",
            "infected": False,
            "opensubtitles_hash": None,
        }
        for path, content in what.files
    ]


async def _form(request: Request) -> dict[str, str]:
    kind = request.headers.get("Content-Type", "").partition(";")[0]
    if kind != "application/x-www-form-urlencoded":
        raise ValueError("magnet: field required in a form")
    fields = parse_qs((await request.body()).decode())
    return {name: values[0] for name, values in fields.items()}


async def _json_body(request: Request) -> Json:
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise ValueError("body: field required as JSON")
    return msgspec.json.decode(await request.body(), type=Json)


async def _operation(request: Request, name: str) -> int:
    body = await _json_body(request)
    if body.get("operation") != "delete" or body.get("all") or not isinstance(body.get(name), int):
        raise _Refused(400, "INVALID_OPTION", "Only the deletion of one item is simulated.")
    return int(body[name])


async def _answer_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)
    return JSONResponse(error.body, error.status)


async def _answer_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _answer_refused(
            request, _Refused(404, "ENDPOINT_NOT_FOUND", "No such endpoint.")
        )
    return JSONResponse({"detail": error.detail}, error.status_code)


async def _answer_malformed(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": [{"msg": str(error), "type": "value_error"}]}, 422)


def _date(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_text(data: Any) -> Any:
    """Write every number as text, as some answers do."""
    if isinstance(data, dict):
        return {name: _as_text(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_as_text(value) for value in data]
    is_number = isinstance(data, int | float) and not isinstance(data, bool)
    return str(data) if is_number else data
