"""What every request passes, how errors are answered, and whose address counts."""

import asyncio
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Scope

from infra import web
from infra.errors import AppError, NotFound, TooMany, UpstreamTimeout
from infra.log import get_logger
from infra.web import (
    EXCEPTION_HANDLERS,
    AnyOrigin,
    BodyTooBig,
    Edge,
    client_address,
    decode_body,
    json_response,
    read_body,
    words_of,
)
from tests.fakes.journal import Journal, recorded_logs

RAISED: dict[str, Exception] = {
    "not-found": NotFound("No such film"),
    "too-many": TooMany("Slow down", retry_after=timedelta(seconds=1.2)),
    "upstream": UpstreamTimeout("torbox: key abc is slow"),
    "app": AppError("the second shelf is broken"),
    "bug": KeyError("key abc"),
}


@dataclass
class Answer:
    """What an application sent."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])


def make_scope(path: str = "/", **more: Any) -> Scope:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 4711),
    }
    return scope | more


async def ask(app: Any, path: str = "/", *chunks: bytes, **more: Any) -> Answer:
    answer = Answer()
    parts = [*chunks] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(key.decode(), value.decode()) for key, value in message["headers"]]
        else:
            answer.body += message["body"]

    await app(make_scope(path, **more), receive, send)
    return answer


async def hello(_request: Request) -> Response:
    return json_response({"hello": "world"})


async def fail(request: Request) -> Response:
    raise RAISED[request.path_params["name"]]


async def count(request: Request) -> Response:
    return json_response(len(await read_body(request, 10)))


async def name_request(_request: Request) -> Response:
    return json_response(structlog.contextvars.get_contextvars())


async def leave(_request: Request) -> Response:
    raise ClientDisconnect


async def begin_and_fail(scope: Scope, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError("bug")


class Broken:
    """An ASGI endpoint that fails after its answer has begun."""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        await begin_and_fail(scope, receive, send)


def store_reply(error: AppError, request_id: str) -> Response:
    return json_response({"error": {"code": error.code, "id": request_id}}, 418)


@pytest.fixture
def app() -> Starlette:
    open_to_all = [Middleware(AnyOrigin)]
    return Starlette(
        routes=[
            Route("/hello/{token}", hello),
            Route("/fail/{name}", fail),
            Route("/v0/store/{name}", fail),
            Route("/count", count, methods=["POST"]),
            Route("/name", name_request),
            Route("/leave", leave),
            Route("/broken", Broken()),
            Route("/open/{name}", fail, methods=["GET", "OPTIONS"], middleware=open_to_all),
            Route("/addon", hello, methods=["GET", "OPTIONS"], middleware=open_to_all),
        ],
        middleware=[Middleware(Edge, replies={"/v0/store/": store_reply})],
        exception_handlers=EXCEPTION_HANDLERS,
    )


@pytest.fixture
def journal() -> Iterator[Journal]:
    with recorded_logs("debug") as journal:
        yield journal


async def test_answer_carries_a_request_id_and_safe_headers(app: Starlette) -> None:
    first, second = await ask(app, "/hello/x"), await ask(app, "/hello/x")

    assert first.json() == {"hello": "world"}
    assert first.header("content-type") == "application/json; charset=utf-8"
    assert first.header("x-content-type-options") == "nosniff"
    assert first.header("referrer-policy") == "no-referrer"
    assert len(first.header("x-request-id") or "") == 16
    assert first.header("x-request-id") != second.header("x-request-id")


async def test_request_id_is_bound_to_logs(app: Starlette) -> None:
    answer = await ask(app, "/name")

    assert answer.json() == {"request_id": answer.header("x-request-id")}


async def test_context_of_an_earlier_request_is_gone(app: Starlette) -> None:
    structlog.contextvars.bind_contextvars(user="somebody else")

    answer = await ask(app, "/name")

    assert "user" not in answer.json()


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        pytest.param(
            "not-found",
            404,
            {"error": "not_found", "message": "No such film", "retryable": False},
            id="caller-error-is-shown",
        ),
        pytest.param(
            "too-many",
            429,
            {"error": "too_many_requests", "message": "Slow down", "retryable": True},
            id="worth-another-try",
        ),
        pytest.param(
            "upstream",
            504,
            {
                "error": "upstream_timeout",
                "message": "A service behind this one took too long",
                "retryable": True,
            },
            id="upstream-in-general-words",
        ),
        pytest.param(
            "app",
            500,
            {"error": "internal_error", "message": "Internal error", "retryable": False},
            id="other-error-of-ours",
        ),
        pytest.param(
            "bug",
            500,
            {"error": "internal_error", "message": "Internal error", "retryable": False},
            id="bug",
        ),
    ],
)
async def test_error_is_answered(
    app: Starlette, name: str, status: int, body: dict[str, object]
) -> None:
    answer = await ask(app, f"/fail/{name}")

    assert answer.status == status
    assert answer.json() == body | {"requestId": answer.header("x-request-id")}
    assert answer.header("cache-control") == "no-store"


async def test_wait_is_told_in_whole_seconds_rounded_up(app: Starlette) -> None:
    answer = await ask(app, "/fail/too-many")

    assert answer.header("retry-after") == "2"


async def test_error_below_a_prefix_has_the_shape_of_its_api(app: Starlette) -> None:
    answer = await ask(app, "/v0/store/not-found")

    assert answer.status == 418
    assert answer.json() == {
        "error": {"code": "not_found", "id": answer.header("x-request-id")}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        pytest.param("/nowhere", "GET", 404, "not_found", id="unknown-path"),
        pytest.param("/hello/x", "DELETE", 405, "method_not_allowed", id="method-not-offered"),
    ],
)
async def test_refusal_of_the_router_has_the_same_shape(
    app: Starlette, path: str, method: str, status: int, code: str
) -> None:
    answer = await ask(app, path, method=method)

    assert (answer.status, answer.json()["error"]) == (status, code)


async def test_refused_method_is_told_which_are_offered(app: Starlette) -> None:
    answer = await ask(app, "/count", method="GET")

    assert answer.header("allow") == "POST"


async def test_bug_is_logged_with_its_traceback_and_route(app: Starlette, journal: Journal) -> None:
    await ask(app, "/fail/bug")

    entry = next(entry for entry in journal.entries if entry["event"] == "request_broke")
    assert (entry["route"], entry["level"]) == ("/fail/{name}", "error")
    assert "KeyError: 'key abc'" in entry["exception"]


async def test_failing_upstream_is_logged_in_full(app: Starlette, journal: Journal) -> None:
    await ask(app, "/fail/upstream")

    entry = next(entry for entry in journal.entries if entry["event"] == "request_failed")
    assert (entry["code"], entry["error"]) == ("upstream_timeout", "torbox: key abc is slow")


async def test_request_is_logged_by_its_route_and_never_by_its_path(
    app: Starlette, journal: Journal
) -> None:
    answer = await ask(app, "/hello/token-of-a-user", query_string=b"auth=token-of-a-user")

    (entry,) = [entry for entry in journal.entries if entry["event"] == "request"]
    assert (entry["route"], entry["status"]) == ("/hello/{token}", 200)
    assert entry["request_id"] == answer.header("x-request-id")
    assert "token-of-a-user" not in journal.text


async def test_caller_who_left_is_not_a_bug(app: Starlette, journal: Journal) -> None:
    await ask(app, "/leave")

    assert "caller_left" in journal.events
    assert "request_broke" not in journal.events


async def test_nothing_is_added_to_an_answer_that_broke_off(
    app: Starlette, journal: Journal
) -> None:
    answer = await ask(app, "/broken")

    assert (answer.status, answer.body) == (200, b"")
    assert "request_broke" in journal.events


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"/hello/x", 200, id="plain"),
        pytest.param(b"/hello/" + b"a" * (8192 - 7), 200, id="as-long-as-allowed"),
        pytest.param(b"/hello/" + b"a" * (8193 - 7), 414, id="one-byte-too-long"),
        pytest.param(b"/hello/Am%C3%A9lie", 200, id="utf-8"),
        pytest.param(b"/hello/%E9%9B%BB%E5%BD%B1%20%F0%9F%8E%AC", 200, id="emoji"),
        pytest.param(b"/hello/a.b..c", 200, id="dots-inside-a-segment"),
        pytest.param(b"/hello/...", 200, id="three-dots"),
        pytest.param(b"/hello/.well-known", 200, id="leading-dot"),
        pytest.param(b"/%ff%fe%00", 400, id="not-utf-8"),
        pytest.param(b"/hello/%C0%AF", 400, id="overlong-utf-8"),
        pytest.param(b"/hello/%ED%A0%80", 400, id="surrogate"),
        pytest.param(b"/hello/a%00", 400, id="nul"),
        pytest.param(b"/hello/a%0d%0aset-cookie:x", 400, id="line-break"),
        pytest.param(b"/hello/a%7f", 400, id="del"),
        pytest.param(b"/hello/a%C2%85", 400, id="c1"),
        pytest.param(b"//hello/x", 404, id="empty-first-segment"),
        pytest.param(b"/hello//x", 404, id="empty-segment"),
        pytest.param(b"/hello/%2Fx", 404, id="empty-segment-encoded"),
        pytest.param(b"/hello/../name", 404, id="dot-dot"),
        pytest.param(b"/hello%2f..%2fname", 404, id="dot-dot-encoded"),
        pytest.param(b"/hello/%2e%2E", 404, id="dot-dot-at-the-end"),
        pytest.param(b"/./name", 404, id="dot"),
        pytest.param(b"/hello/a%5c..%5cb", 404, id="backslash"),
        pytest.param(b"/hello/a%252f", 200, id="encoded-twice-is-just-text"),
        pytest.param(b"*", 404, id="asterisk"),
    ],
)
async def test_path_is_answered(app: Starlette, raw: bytes, status: int) -> None:
    answer = await ask(app, unquote(raw.decode()), raw_path=raw)

    assert answer.status == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param(b"q=a%20b%C3%A9", 200, id="plain"),
        pytest.param(b"q=a%00", 400, id="nul"),
        pytest.param(b"q=a%1b", 400, id="escape"),
        pytest.param(b"q=%7F", 400, id="del"),
        pytest.param(b"q=%2500", 200, id="encoded-twice-is-just-text"),
        pytest.param(b"magnet=" + b"a" * 60_000, 200, id="long"),
    ],
)
async def test_query_is_answered(app: Starlette, query: bytes, status: int) -> None:
    answer = await ask(app, "/hello/x", query_string=query)

    assert answer.status == status


async def test_addon_route_is_open_to_all_origins(app: Starlette) -> None:
    answer = await ask(app, "/addon", headers=[(b"origin", b"https://web.stremio.com")])

    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-allow-headers") == "*"
    assert answer.header("access-control-allow-credentials") is None


@pytest.mark.parametrize("name", ["not-found", "bug"])
async def test_error_of_an_addon_route_is_open_to_all_origins_too(
    app: Starlette, name: str
) -> None:
    answer = await ask(app, f"/open/{name}")

    assert answer.header("access-control-allow-origin") == "*"


@pytest.mark.parametrize("path", ["/hello/x", "/fail/bug", "/nowhere"])
async def test_other_route_is_not(app: Starlette, path: str) -> None:
    answer = await ask(app, path, headers=[(b"origin", b"https://evil.example")])

    assert answer.header("access-control-allow-origin") is None


async def test_preflight_is_answered_without_asking_the_route(app: Starlette) -> None:
    answer = await ask(app, "/open/bug", method="OPTIONS")

    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-allow-methods") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("chunks", "headers", "status", "body"),
    [
        pytest.param([b"x" * 10], [], 200, b"10", id="as-long-as-allowed"),
        pytest.param([b"x" * 4, b"x" * 4, b""], [], 200, b"8", id="in-pieces"),
        pytest.param([b"x" * 11], [], 413, None, id="too-long"),
        pytest.param([b"x" * 6, b"x" * 6], [], 413, None, id="too-long-in-pieces"),
        pytest.param([b"x"], [(b"content-length", b"11")], 413, None, id="announced-too-long"),
    ],
)
async def test_body_is_read_up_to_its_cap(
    app: Starlette,
    chunks: list[bytes],
    headers: list[tuple[bytes, bytes]],
    status: int,
    body: bytes | None,
) -> None:
    answer = await ask(app, "/count", *chunks, method="POST", headers=headers)

    assert answer.status == status
    assert body is None or answer.body == body
    assert body is not None or answer.json()["error"] == BodyTooBig.code


async def test_rest_of_a_body_announced_too_long_is_not_read() -> None:
    async def receive() -> Message:
        raise AssertionError("it was read")

    request = Request(make_scope(headers=[(b"content-length", b"11")]), receive)

    with pytest.raises(BodyTooBig):
        await read_body(request, 10)


async def test_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_BODY_SECONDS", 0.02)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(web.BodyTooSlow):
        await read_body(Request(make_scope(), receive), 10)


class Wish(msgspec.Struct):
    title: str
    year: int = 0


def test_body_is_decoded_to_its_type() -> None:
    assert decode_body(b'{"title": "Metropolis", "year": 1927}', Wish) == Wish("Metropolis", 1927)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[" * 1_000, id="deep"),
        pytest.param(b"[" * 100_000, id="very-deep"),
        pytest.param(b'{"x":' * 100_000, id="deep-in-an-unknown-field"),
        pytest.param(b'{"title": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"title": "\xff"}', id="not-utf-8"),
        pytest.param(b'{"title": NaN}', id="nan"),
        pytest.param(b'{"title": "a", "year": 1e999}', id="infinite"),
        pytest.param(b'{"title": "a", "year": ' + b"9" * 5_000 + b"}", id="endless-number"),
        pytest.param(b'\xef\xbb\xbf{"title": "a"}', id="byte-order-mark"),
        pytest.param(b'{"title": "a"}}', id="more-after-the-end"),
        pytest.param(b'{"year": 1}', id="missing-field"),
    ],
)
def test_body_that_is_not_of_its_type_is_the_callers_error(body: bytes) -> None:
    with pytest.raises(AppError) as raised:
        decode_body(body, Wish)

    assert (raised.value.status, raised.value.code) == (400, "validation_error")
    assert words_of(raised.value) == raised.value.message


PROXY = "10.0.0.1"
TRUSTED = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "2001:db8:ffff::/48")]


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        pytest.param("6.6.6.6", {}, "6.6.6.6", id="direct"),
        pytest.param("6.6.6.6", {"x-forwarded-for": "1.1.1.1"}, "6.6.6.6", id="stranger-forwards"),
        pytest.param("6.6.6.6", {"forwarded": "for=1.1.1.1"}, "6.6.6.6", id="stranger-rfc-7239"),
        pytest.param(
            PROXY,
            {"x-real-ip": "1.1.1.1", "cf-connecting-ip": "1.1.1.1", "true-client-ip": "1.1.1.1"},
            PROXY,
            id="headers-that-nobody-vouches-for",
        ),
        pytest.param(PROXY, {"x-forwarded-for": "1.1.1.1"}, "1.1.1.1", id="one-proxy"),
        pytest.param(PROXY, {"x-forwarded-for": "6.6.6.6, 1.1.1.1"}, "1.1.1.1", id="forged-first"),
        pytest.param(
            PROXY, {"x-forwarded-for": "6.6.6.6, 1.1.1.1, 10.0.0.2"}, "1.1.1.1", id="two-proxies"
        ),
        pytest.param(PROXY, {"x-forwarded-for": "10.0.0.3, 10.0.0.2"}, "10.0.0.3", id="all-inside"),
        pytest.param(PROXY, {"x-forwarded-for": "1.1.1.1:4711"}, "1.1.1.1", id="port"),
        pytest.param(PROXY, {"x-forwarded-for": "2001:db8::1"}, "2001:db8::1", id="ipv6"),
        pytest.param(PROXY, {"x-forwarded-for": "[2001:db8::1]"}, "2001:db8::1", id="brackets"),
        pytest.param(
            PROXY, {"x-forwarded-for": "[2001:db8::1]:80"}, "2001:db8::1", id="brackets-and-port"
        ),
        pytest.param(PROXY, {"x-forwarded-for": "::ffff:1.1.1.1"}, "1.1.1.1", id="mapped"),
        pytest.param(PROXY, {"x-forwarded-for": "fe80::1%eth0"}, "fe80::1", id="zone"),
        pytest.param(PROXY, {"x-forwarded-for": "2001:DB8:0::0:1"}, "2001:db8::1", id="long-form"),
        pytest.param(
            "::ffff:10.0.0.1", {"x-forwarded-for": "1.1.1.1"}, "1.1.1.1", id="mapped-peer"
        ),
        pytest.param("::ffff:6.6.6.6", {}, "6.6.6.6", id="mapped-stranger"),
        pytest.param(
            "2001:db8:ffff::7", {"x-forwarded-for": "1.1.1.1"}, "1.1.1.1", id="ipv6-proxy"
        ),
        pytest.param(PROXY, {"forwarded": "for=1.1.1.1"}, "1.1.1.1", id="rfc-7239"),
        pytest.param(
            PROXY,
            {"forwarded": 'for=6.6.6.6, proto=https;For="[2001:db8::1]:80";by=10.0.0.1'},
            "2001:db8::1",
            id="rfc-7239-quoted",
        ),
        pytest.param(
            PROXY, {"forwarded": 'for="6.6.6.6, for=1.1.1.1'}, "1.1.1.1", id="unclosed-quote"
        ),
        pytest.param(PROXY, {"forwarded": "for=unknown"}, PROXY, id="rfc-7239-unknown"),
        pytest.param(PROXY, {"forwarded": "for=_hidden"}, PROXY, id="rfc-7239-hidden"),
        pytest.param(PROXY, {"forwarded": "proto=https"}, PROXY, id="rfc-7239-without-for"),
        pytest.param(
            PROXY,
            {"forwarded": "for=6.6.6.6", "x-forwarded-for": "1.1.1.1"},
            "1.1.1.1",
            id="both-kinds",
        ),
        pytest.param(PROXY, {"x-forwarded-for": "garbage"}, PROXY, id="garbage"),
        pytest.param(PROXY, {"x-forwarded-for": ""}, PROXY, id="empty"),
        pytest.param(
            PROXY,
            {"x-forwarded-for": "6.6.6.6, garbage, 10.0.0.2"},
            "10.0.0.2",
            id="garbage-inside",
        ),
        pytest.param(PROXY, {"x-forwarded-for": "1.1.1.1, "}, PROXY, id="trailing-comma"),
        pytest.param(PROXY, {"x-forwarded-for": "1.1.1.1.1"}, PROXY, id="five-parts"),
        pytest.param(PROXY, {"x-forwarded-for": "\xff\xfe"}, PROXY, id="not-ascii"),
        pytest.param(PROXY, {"x-forwarded-for": "1" * 60_000}, PROXY, id="endless"),
        pytest.param(
            PROXY,
            {"x-forwarded-for": ", ".join(["6.6.6.6"] * 99 + ["1.1.1.1"])},
            "1.1.1.1",
            id="hundred-entries",
        ),
        pytest.param(
            PROXY,
            {"x-forwarded-for": ", ".join(["6.6.6.6"] + ["10.0.0.2"] * 5_000)},
            "10.0.0.2",
            id="more-hops-than-anybody-has",
        ),
        pytest.param(
            "/run/proxy.sock", {"x-forwarded-for": "1.1.1.1"}, "/run/proxy.sock", id="odd"
        ),
    ],
)
def test_address_of_the_caller(peer: str, headers: Mapping[str, str], address: str) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = make_scope(client=(peer, 4711), headers=encoded)

    assert client_address(scope, TRUSTED) == address


def test_lines_of_a_forwarding_header_are_read_as_one() -> None:
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"1.1.1.1")]

    assert client_address(make_scope(client=(PROXY, 1), headers=headers), TRUSTED) == "1.1.1.1"


def test_nobody_is_trusted_unless_told() -> None:
    headers = [(b"x-forwarded-for", b"6.6.6.6")]

    assert client_address(make_scope(client=("127.0.0.1", 1), headers=headers), ()) == "127.0.0.1"


def test_caller_on_a_local_socket_has_no_address() -> None:
    assert client_address(make_scope(client=None), TRUSTED) == ""


async def test_log_of_a_route_names_the_request(app: Starlette, journal: Journal) -> None:
    async def speak(_request: Request) -> Response:
        get_logger().info("spoken")
        return Response()

    app.router.routes.append(Route("/speak", speak))

    answer = await ask(app, "/speak")

    entry = next(entry for entry in journal.entries if entry["event"] == "spoken")
    assert entry["request_id"] == answer.header("x-request-id")
