"""What every request passes and how every error is answered, whatever the routes are.

All of it is pure ASGI. It is part of the time of every list, so each check begins with one that
plain requests pass at once.
"""

import asyncio
import ipaddress
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.errors import AppError, CallerError, NotFound
from infra.log import get_logger

log = get_logger()

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ErrorReply = Callable[[AppError, str], Response]
Observe = Callable[[str, int, float], None]

_MAX_PATH_BYTES = 8 * 1024
_MAX_HOPS = 100
_LONGEST_HOP = 64
_BODY_SECONDS = 15.0
_JSON = "application/json; charset=utf-8"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_QUERY = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff])")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|$)")
_ANY_ORIGIN = "any_origin"
_RETRYABLE = frozenset({408, 429, 502, 503, 504})
_GENERAL_WORDS = {
    500: "Internal error",
    502: "A service behind this one failed",
    503: "Service unavailable",
    504: "A service behind this one took too long",
}
_ON_EVERY_REPLY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_OPEN_TO_ALL = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-headers", b"*"),
)
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Max-Age": "86400",
}


class PathTooLong(CallerError):
    """A path that no URL of ours has."""

    code = "path_too_long"
    status = 414


class BodyTooBig(CallerError):
    """A request body above the cap of its route."""

    code = "body_too_big"
    status = 413


class BodyTooSlow(CallerError):
    """A request body that did not arrive in time."""

    code = "body_too_slow"
    status = 408


class _HttpRefusal(CallerError):
    """What the router refused, with its own status: an unknown path, a method not offered."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(error.detail, code=re.sub(r"\W+", "_", error.detail.lower()))
        self.http_status = error.status_code
        self.headers = error.headers


async def pass_to_edge(_request: Request, error: Exception) -> Response:
    """Let an error of the router through to `Edge`, which answers it like any other."""
    raise error


# For `Starlette(exception_handlers=...)`: its own handler would answer in plain text.
EXCEPTION_HANDLERS = {HTTPException: pass_to_edge}


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Encode a value with msgspec and answer with it."""
    return Response(msgspec.json.encode(value), status, headers, _JSON)


def error_reply(error: AppError, request_id: str) -> Response:
    """Answer an error in the shape that all our own routes share."""
    status = status_of(error)
    body = {
        "error": error.code,
        "message": words_of(error),
        "retryable": error.retry_after is not None or status in _RETRYABLE,
        "requestId": request_id,
    }
    return json_response(body, status)


def status_of(error: AppError) -> int:
    """Return the HTTP status that an error is answered with."""
    return error.http_status if isinstance(error, _HttpRefusal) else error.status


def words_of(error: AppError) -> str:
    """Return what a caller may read about an error."""
    if error.shown:
        return error.message
    return _GENERAL_WORDS.get(error.status, _GENERAL_WORDS[500])


class Edge:
    """The outermost middleware: refuses bad targets, names the request, answers all errors.

    It belongs into `Starlette(middleware=[Middleware(Edge, ...)])` beside `EXCEPTION_HANDLERS`.

    Args:
        app: what answers.
        replies: how errors look below a path prefix, where a foreign API prescribes it.
        observe: told of each request: template of its route, status (0: none was sent), seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        replies: Mapping[str, ErrorReply] | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._app = app
        self._replies = dict(replies or {})
        self._observe = observe or _unobserved

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        exchange = _Exchange(send, request_id)
        started = time.perf_counter()
        try:
            _check_target(scope)
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            log.debug("caller_left", route=_route(scope))
        except HTTPException as error:
            await self._answer(_HttpRefusal(error), scope, receive, exchange)
        except AppError as error:
            _log_expected(error, scope)
            await self._answer(error, scope, receive, exchange)
        except Exception:
            log.exception("request_broke", route=_route(scope), method=scope["method"])
            await self._answer(AppError("internal error"), scope, receive, exchange)
        route, seconds = _route(scope), time.perf_counter() - started
        self._observe(route, exchange.status, seconds)
        log.debug(
            "request",
            route=route,
            method=scope["method"],
            status=exchange.status,
            ms=round(seconds * 1000, 1),
        )

    async def _answer(
        self, error: AppError, scope: Scope, receive: Receive, exchange: "_Exchange"
    ) -> None:
        if exchange.status:
            return  # the server closes a connection whose response was begun and not ended
        response = self._reply_for(scope["path"])(error, exchange.request_id)
        response.headers["Cache-Control"] = "no-store"
        if error.retry_after is not None:
            seconds = math.ceil(error.retry_after.total_seconds())
            response.headers["Retry-After"] = str(max(seconds, 0))
        if isinstance(error, _HttpRefusal):
            response.headers.update(error.headers or {})
        if _ANY_ORIGIN in scope:
            response.raw_headers.extend(_OPEN_TO_ALL)
        await response(scope, receive, exchange.send)

    def _reply_for(self, path: str) -> ErrorReply:
        for prefix, reply in self._replies.items():
            if path.startswith(prefix):
                return reply
        return error_reply


def _unobserved(_route: str, _status: int, _seconds: float) -> None:
    return None


class _Exchange:
    """The answer to one request on its way out: adds headers, knows whether it has begun."""

    __slots__ = ("_headers", "_send", "request_id", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = (*_ON_EVERY_REPLY, (b"x-request-id", request_id.encode()))
        self.request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        await self._send(message)


def _route(scope: Scope) -> str:
    """Return the template of the matched route; the path itself may hold credentials."""
    return getattr(scope.get("route"), "path", "none")


def _log_expected(error: AppError, scope: Scope) -> None:
    if error.status < 500:
        log.debug("request_refused", route=_route(scope), code=error.code)
    else:
        log.warning("request_failed", route=_route(scope), code=error.code, error=error.message)


def _check_target(scope: Scope) -> None:
    """Refuse paths and queries that two readers could understand differently."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or path.encode()
    if len(raw) > _MAX_PATH_BYTES:
        raise PathTooLong("The path is too long")
    if b"%" in raw or not (path.isascii() and path.isprintable()):
        _check_characters(raw)
    if not path.startswith("/") or "//" in path or "\\" in path:
        raise NotFound("No such page")
    if "/." in path and _DOT_SEGMENT.search(path):
        raise NotFound("No such page")
    query: bytes = scope["query_string"]
    if b"%" in query and _CONTROL_IN_QUERY.search(query):
        raise CallerError("The query holds control characters")


def _check_characters(raw: bytes) -> None:
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise CallerError("The path is not UTF-8") from None
    if _CONTROL.search(text):
        raise CallerError("The path holds control characters")


class AnyOrigin:
    """Opens GET routes to pages of every origin (CORS `*`), as addons need; never credentials.

    A route has to list OPTIONS among its methods for its preflights to come here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or let the route answer with the headers of CORS added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return
        scope[_ANY_ORIGIN] = True  # for errors, which `Edge` answers

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_OPEN_TO_ALL]}
            await send(message)

        await self._app(scope, receive, send_open)


async def read_body(request: Request[Any], max_bytes: int) -> bytes:
    """Read a request body to its end.

    Raises:
        BodyTooBig: it is longer than the cap; the rest is not read.
        BodyTooSlow: it did not arrive in time.
    """
    if int(request.headers.get("content-length", "0")) > max_bytes:
        raise BodyTooBig(f"The body is longer than {max_bytes} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise BodyTooBig(f"The body is longer than {max_bytes} bytes")
    except TimeoutError:
        raise BodyTooSlow("The body did not arrive in time") from None
    return bytes(body)


def decode_body(body: bytes, shape: type[T]) -> T:
    """Decode a JSON body to a type.

    Raises:
        CallerError: it is not JSON, nested too deeply, or not of this shape.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise CallerError(str(error), code="validation_error") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CallerError("The body is not valid JSON", code="validation_error") from None


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """Return the address of the caller, in its shortest form; empty for a local socket.

    Forwarding headers count only as far as trusted proxies wrote them: they are read from the
    right, up to the first address that is not one of theirs. Where a proxy sends both kinds,
    `X-Forwarded-For` is the one that it wrote.
    """
    client = scope.get("client")
    if not client:
        return ""
    address = _read_address(client[0])
    if address is None:
        return str(client[0])
    hops = iter(_hops(scope["headers"])) if trusted else iter(())
    while any(address in network for network in trusted):
        further = _read_address(next(hops, ""))
        if further is None:
            break
        address = further
    return str(address)


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Return what forwarding headers name, nearest hop first."""
    for header, read in ((b"x-forwarded-for", str.strip), (b"forwarded", _forwarded_for)):
        lines = [value.decode("latin-1") for name, value in headers if name == header]
        if lines:
            # Commas inside quotes are not spared: no address holds one, and an unclosed quote
            # that a caller sends must not swallow what the proxy appends.
            named = ",".join(lines).rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]
            return [read(hop)[:_LONGEST_HOP] for hop in reversed(named)]
    return []


def _forwarded_for(hop: str) -> str:
    """Return the `for` of one element of `Forwarded` (RFC 7239)."""
    for pair in hop.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


@lru_cache(maxsize=4096)
def _read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address with or without port, brackets and zone; unwrap mapped IPv4."""
    host = text.partition("]")[0].removeprefix("[") if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Prefix:
    """Takes the path of the public address off requests; a proxy may have done so already."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the path that the routes know."""
        prefix = self._prefix
        if prefix and scope["type"] == "http" and scope["path"].startswith(f"{prefix}/"):
            raw: bytes = scope.get("raw_path") or scope["path"].encode()
            scope = {
                **scope,
                "path": scope["path"][len(prefix) :],
                "raw_path": raw.removeprefix(prefix.encode()),
            }
        await self._app(scope, receive, send)
