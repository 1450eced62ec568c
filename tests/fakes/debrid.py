"""What all store simulators share: the catalogue, the record of requests, and scripted faults."""

import hashlib
import secrets
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from addon.torrent import Magnet


class Fate(StrEnum):
    """What happens to a release when it is added."""

    CACHED = "cached"
    SLOW = "slow"  # it downloads, by the simulator's clock
    DEAD = "dead"  # nobody seeds it
    INFRINGING = "infringing"
    TOO_LARGE = "too_large"
    PRIVATE = "private"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Release:
    """A torrent of the simulated world; its files are (path, bytes), in the torrent's order."""

    info_hash: str
    name: str
    fate: Fate
    files: tuple[tuple[str, bytes], ...]

    @property
    def magnet(self) -> Magnet:
        return Magnet(self.info_hash, self.name, ("http://tracker.example/announce",))

    @property
    def size_bytes(self) -> int:
        return sum(len(content) for _path, content in self.files)


def release(name: str, fate: Fate, *paths: str) -> Release:
    """Make a release; each file has its path, some times over, as content."""
    names = paths or (f"{name}/{name}.mkv",)
    info_hash = hashlib.sha1(name.encode()).hexdigest()
    return Release(info_hash, name, fate, tuple((path, path.encode() * 20) for path in names))


FILM = release("Demo.Film.2020.1080p", Fate.CACHED)
OTHER_FILM = release("Other.Film.2021.2160p", Fate.CACHED)
PACK = release(
    "Demo.Show.S01.720p",
    Fate.CACHED,
    "Demo.Show.S01.720p/Demo.Show.S01E02.mkv",
    "Demo.Show.S01.720p/Demo.Show.S01E01.mkv",
    "Demo.Show.S01.720p/notes.txt",
)
SLOW = release("Slow.Film.2019.1080p", Fate.SLOW)
ALSO_SLOW = release("Slower.Film.2018.1080p", Fate.SLOW)
DEAD = release("Dead.Film.1999.480p", Fate.DEAD)
INFRINGING = release("Taken.Down.2022.1080p", Fate.INFRINGING)
TOO_LARGE = release("Huge.Film.2023.2160p", Fate.TOO_LARGE)
PRIVATE = release("Private.Film.2017.1080p", Fate.PRIVATE)
BAD = release("Broken.Film.2016.1080p", Fate.BAD)
CATALOGUE = (
    FILM, OTHER_FILM, PACK, SLOW, ALSO_SLOW, DEAD, INFRINGING, TOO_LARGE, PRIVATE, BAD,
)  # fmt: skip


class Fault(StrEnum):
    """How a server can fail, besides what its API foresees."""

    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"  # 500, text/plain
    HTML = "html"  # 403, a page of what stands before the API
    TRUNCATED = "truncated"  # half the body
    HANG = "hang"  # no answer, nothing done
    LOST_REPLY = "lost_reply"  # done, and no answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class _Planned:
    fault: Fault | Response
    path: str
    method: str
    skip: int
    times: int


@dataclass(slots=True)
class Script:
    """Which of the coming requests go wrong, and how."""

    _planned: list[_Planned] = field(default_factory=list)

    def fail(
        self,
        fault: Fault | Response,
        *,
        path: str = "",
        method: str = "",
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """Fail `times` requests to paths that end in `path`, after `skip` that go well."""
        self._planned.append(_Planned(fault, path, method, skip, times))

    def next_for(self, asked: Asked) -> Fault | Response | None:
        """Return what is planned for this request, and count it."""
        for planned in self._planned:
            fits = asked.path.endswith(planned.path) and planned.method in {"", asked.method}
            if not fits or planned.times == 0:
                continue
            if planned.skip:
                planned.skip -= 1
                continue
            planned.times -= 1
            return planned.fault
        return None


class DebridSimulator:
    """An ASGI app around the API of one store: it records, fails as scripted, and delegates."""

    def __init__(self, catalogue: Sequence[Release]) -> None:
        self.catalogue = {release.info_hash: release for release in catalogue}
        self.asked: list[Asked] = []
        self.script = Script()

    @property
    @abstractmethod
    def api(self) -> ASGIApp:
        """The API itself."""

    @abstractmethod
    def throttled(self) -> Response:
        """Return what this store says when it is asked too often."""

    @abstractmethod
    def hashes_of(self, key: str) -> list[str]:
        """Return the info hashes of everything in an account, waiting or not."""

    @abstractmethod
    def lose(self, key: str, info_hash: str) -> None:
        """Let a torrent that was READY stay in the account without its bytes."""

    def asked_for(self, path: str) -> list[Asked]:
        """Return the requests to paths that end in `path`, in order."""
        return [asked for asked in self.asked if asked.path.endswith(path)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        body = await _read_body(receive)
        self.asked.append(_asked(scope, body))
        fault = self.script.next_for(self.asked[-1])
        replay = _replay(body, receive)
        match fault:
            case None:
                await self.api(scope, replay, send)
            case Fault.HANG:
                await _until_gone(receive)
            case Fault.LOST_REPLY:
                await self.api(scope, replay, _swallow)
                await _until_gone(receive)
            case Fault.TRUNCATED:
                await _truncated(self.api, scope, replay, send)
            case Fault():
                await self._answer(fault)(scope, replay, send)
            case _:
                await fault(scope, replay, send)

    def _answer(self, fault: Fault) -> Response:
        if fault is Fault.THROTTLED:
            return self.throttled()
        if fault is Fault.HTML:
            return HTMLResponse("<html><h1>Access denied</h1></html>", 403)
        return PlainTextResponse("Internal Server Error", 500)


class Cdn:
    """Serves files under links that cannot be guessed; a link that is too old is gone."""

    PATH = "/cdn/{token}/{name:path}"

    def __init__(self, now: Callable[[], datetime], lives: timedelta) -> None:
        self._now = now
        self._lives = lives
        self._links: dict[str, tuple[bytes, datetime]] = {}

    def link(self, request: Request, path: str, content: bytes) -> str:
        """Make a link on the host that was asked."""
        token = secrets.token_urlsafe(24)
        self._links[token] = (content, self._now() + self._lives)
        name = quote(path.rpartition("/")[2])
        return f"{request.url.scheme}://{request.url.netloc}/cdn/{token}/{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = scope["path_params"]["token"]
        content, until = self._links.get(token, (b"", self._now()))
        if self._now() >= until:
            await PlainTextResponse("gone", 410)(scope, receive, send)
        else:
            await _serve_bytes(content, scope, receive, send)


async def _serve_bytes(content: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer GET and HEAD for a file, with one range if one is asked for."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "video/x-matroska"}
    asked = dict(scope["headers"]).get(b"range", b"").decode()
    status = 200
    if asked.startswith("bytes="):
        first, _, last = asked[6:].partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        end = min(int(last), len(content) - 1) if first and last else len(content) - 1
        if start > end:
            unmet = {"Content-Range": f"bytes */{len(content)}"}
            await Response(status_code=416, headers=unmet)(scope, receive, send)
            return
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        content = content[start : end + 1]
    headers["Content-Length"] = str(len(content))
    body = b"" if scope["method"] == "HEAD" else content
    await Response(body, status, headers)(scope, receive, send)


def _asked(scope: Scope, body: bytes) -> Asked:
    return Asked(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
        headers={name.decode(): value.decode() for name, value in scope["headers"]},
        body=body,
    )


async def _read_body(receive: Receive) -> bytes:
    body: bytes = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


async def _until_gone(receive: Receive) -> None:
    """Wait until the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(message: Message) -> None:
    """Take a part of an answer and send it nowhere."""


async def _truncated(api: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def cut(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0] != b"content-length"]
            await send({**message, "headers": kept})
        else:
            body = message.get("body", b"")
            await send({**message, "body": body[: len(body) // 2]})

    await api(scope, receive, cut)
