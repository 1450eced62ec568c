"""Raw sockets against a running server: what no decent client sends must do no harm."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from infra.server import Listening, listen_on, serve
from infra.web import EXCEPTION_HANDLERS, Edge, json_response, read_body
from tests.fakes.journal import recorded_logs

HEADER_SECONDS = 0.3
ROOT = Path(__file__).parents[2]


@dataclass
class Target:
    """A running server, and the paths that came through to its routes."""

    seen: list[str] = field(default_factory=list)
    port: int = 0

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=3)

    def ask(self, request: bytes) -> bytes:
        """Send bytes and read until the server closes; reading goes on while sending fails."""
        with closing(self.connect()) as client:
            sender = threading.Thread(target=_send, args=(client, request))
            sender.start()
            answer = read_to_end(client)
            sender.join()
        return answer

    def get(self, path: bytes) -> bytes:
        return self.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def _send(client: socket.socket, data: bytes) -> None:
    try:
        client.sendall(data)
    except OSError:
        return  # the server has heard enough


def read_to_end(client: socket.socket) -> bytes:
    answer = b""
    while True:
        try:
            chunk = client.recv(65536)
        except ConnectionResetError:
            return answer
        if not chunk:
            return answer
        answer += chunk


def read_answer(client: socket.socket) -> bytes:
    """Read one answer of a connection that stays open; all answers here end with a brace."""
    answer = b""
    while not answer.endswith(b"}"):
        chunk = client.recv(65536)
        assert chunk, f"closed after {answer!r}"
        answer += chunk
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def make_app(target: Target) -> Starlette:
    async def see(request: Request) -> Response:
        target.seen.append(request.url.path)
        return json_response({"path": request.url.path})

    async def count(request: Request) -> Response:
        target.seen.append(request.url.path)
        return json_response({"bytes": len(await read_body(request, 1000))})

    async def name_file(request: Request) -> Response:
        name = request.query_params["name"].replace("+", "\r\n")
        return Response(b"{}", headers={"Content-Disposition": f"attachment; filename={name}"})

    async def redirect(request: Request) -> Response:
        name = request.query_params["name"].replace("+", "\r\n")
        return RedirectResponse(f"https://cdn.example/{name}")

    app = Starlette(
        routes=[
            Route("/admin", see),
            Route("/count", count, methods=["POST"]),
            Route("/file", name_file),
            Route("/redirect", redirect),
            Route("/{config}/manifest.json", see),
        ],
        middleware=[Middleware(Edge)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.router.redirect_slashes = False  # its redirects repeat the Host of the caller
    return app


@pytest.fixture(scope="module")
def running() -> Iterator[Target]:
    target = Target()
    up = threading.Event()
    stops: list[Listening] = []

    def note(listening: Listening) -> None:
        target.port = listening.addresses[0][1]
        stops.append(listening)
        up.set()

    thread = threading.Thread(
        target=serve,
        args=(make_app(target),),
        kwargs={"port": 0, "header_seconds": HEADER_SECONDS, "on_listening": note},
    )
    with recorded_logs():
        thread.start()
        assert up.wait(5)
        yield target
        stops[0].stop()
        thread.join(15)
    assert not thread.is_alive()


@pytest.fixture
def target(running: Target) -> Target:
    running.seen.clear()
    return running


def test_decent_request_is_answered(target: Target) -> None:
    answer = target.get(b"/config/manifest.json")

    assert status(answer) == 200
    assert b"\r\nserver:" not in answer.lower()


@pytest.mark.parametrize("size", [8_193, 60_000, 70_000, 200_000, 2_000_000])
def test_long_path_is_refused_at_once(target: Target, size: int) -> None:
    started = time.monotonic()

    answer = target.get(b"/" + b"a" * (size - 15) + b"/manifest.json")

    assert status(answer) == 414
    assert time.monotonic() - started < 2
    assert target.seen == []


def test_long_query_is_answered(target: Target) -> None:
    answer = target.get(b"/config/manifest.json?magnet=" + b"a" * 60_000)

    assert status(answer) == 200


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"A: " + b"a" * 5_000_000, id="one-endless-header"),
        pytest.param(b"A: aaaaaaaaaaaaaaaaaaa\r\n" * 100_000, id="endlessly-many-headers"),
    ],
)
def test_endless_head_is_refused(target: Target, head: bytes) -> None:
    answer = target.ask(b"GET /admin HTTP/1.1\r\nHost: x\r\n" + head)

    assert status(answer) == 431
    assert target.seen == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/%ff%fe%00/manifest.json", 400, id="not-utf-8-and-nul"),
        pytest.param(b"/a%00/manifest.json", 400, id="nul"),
        pytest.param(b"/a%0a/manifest.json", 400, id="line-break"),
        pytest.param(b"/\xff/manifest.json", 400, id="raw-byte"),
        pytest.param(b"/\x01/manifest.json", 400, id="raw-control-character"),
        pytest.param(b"/config/manifest.json?q=%00", 400, id="nul-in-query"),
        pytest.param(b"/a%2f..%2fadmin", 404, id="dot-dot-encoded"),
        pytest.param(b"/a/../admin", 404, id="dot-dot"),
        pytest.param(b"/a/%2e%2e/admin", 404, id="dots-encoded"),
        pytest.param(b"/./admin", 404, id="dot"),
        pytest.param(b"//admin", 404, id="empty-segment"),
        pytest.param(b"//evil.example/manifest.json", 404, id="looks-like-a-host"),
        pytest.param(b"/%5cevil.example/manifest.json", 404, id="backslash"),
        pytest.param(b"/admin/", 404, id="trailing-slash"),
        pytest.param(b"http://x/a/../admin", 404, id="absolute-form"),
        pytest.param(b"*", 404, id="asterisk"),
    ],
)
def test_path_is_refused(target: Target, path: bytes, expected: int) -> None:
    answer = target.get(path)

    assert status(answer) == expected
    assert target.seen == []


SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="length-and-chunked"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5", id="chunked-and-length"),
        pytest.param(b"Transfer-Encoding: xchunked", id="unknown-encoding"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", id="encoding-we-do-not-speak"),
        pytest.param(b"Transfer-Encoding: chunked, identity", id="chunked-not-last"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", id="two-encodings"
        ),
        pytest.param(b"Transfer-Encoding : chunked", id="space-before-colon"),
        pytest.param(b"Transfer-Encoding: \x0bchunked", id="vertical-tab"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6", id="two-lengths"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 5", id="one-length-twice"),
        pytest.param(b"Content-Length: 5, 5", id="list-of-lengths"),
        pytest.param(b"Content-Length: +5", id="signed-length"),
        pytest.param(b"Content-Length: -5", id="negative-length"),
        pytest.param(b"Content-Length: 99999999999999999999", id="overflowing-length"),
        pytest.param(b"Content-Length: 5\nTransfer-Encoding: chunked", id="bare-line-feed"),
        pytest.param(b"A: b\r\n Content-Length: 5", id="folded-line"),
        pytest.param(b"A: b\x00c", id="nul-in-a-header"),
    ],
)
@pytest.mark.parametrize("method", [b"POST /count", b"GET /admin"])
def test_ambiguous_frame_is_refused_and_closed(
    target: Target, method: bytes, headers: bytes
) -> None:
    head = method + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n"

    answer = target.ask(head + b"0\r\n\r\n" + SMUGGLED)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) == 400
    assert target.seen == []


def test_chunked_encoding_over_http_1_0_is_refused(target: Target) -> None:
    answer = target.ask(b"POST /count HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    assert status(answer) == 400
    assert target.seen == []


def test_chunked_body_is_read(target: Target) -> None:
    answer = target.ask(
        b"POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    assert answer.endswith(b'{"bytes":5}')


@pytest.mark.parametrize("path", [b"/file", b"/redirect"])
def test_line_break_in_a_header_makes_no_header(target: Target, path: bytes) -> None:
    answer = target.get(path + b"?name=a%2Bset-cookie:stolen")

    names = [line.partition(b":")[0].lower() for line in answer.split(b"\r\n")]
    assert b"set-cookie" not in names


def closes_within(client: socket.socket, seconds: float) -> bool:
    client.settimeout(seconds)
    try:
        return read_to_end(client) is not None
    except TimeoutError:
        return False


def test_silent_connection_is_closed(target: Target) -> None:
    with closing(target.connect()) as client:
        assert closes_within(client, HEADER_SECONDS + 3)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="from-the-first-byte"),
        pytest.param(b"GET /admin HTTP/1.1\r\nHost: x\r\nA: ", id="in-a-header"),
        pytest.param(
            b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\nGET /admin HTTP/1.1\r\nA: ",
            id="in-a-second-request",
        ),
    ],
)
def test_trickled_head_is_closed(target: Target, start: bytes) -> None:
    with closing(target.connect()) as client:
        client.sendall(start)
        trickle = threading.Thread(target=_trickle, args=(client, b"G", 60))
        trickle.start()

        closed = closes_within(client, HEADER_SECONDS + 3)
        trickle.join()

    assert closed


def test_empty_lines_do_not_keep_an_idle_connection(target: Target) -> None:
    with closing(target.connect()) as client:
        client.sendall(b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answer(client)
        trickle = threading.Thread(target=_trickle, args=(client, b"\r\n", 60))
        trickle.start()

        closed = closes_within(client, HEADER_SECONDS + 3)
        trickle.join()

    assert closed


def _trickle(client: socket.socket, piece: bytes, times: int) -> None:
    for _ in range(times):
        time.sleep(0.05)
        try:
            client.sendall(piece)
        except OSError:
            return


def test_idle_connection_may_be_used_again(target: Target) -> None:
    with closing(target.connect()) as client:
        client.sendall(b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answer(client)
        time.sleep(HEADER_SECONDS + 0.1)

        client.sendall(b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n")

        assert status(read_answer(client)) == 200


def test_slow_body_is_not_a_slow_head(target: Target) -> None:
    with closing(target.connect()) as client:
        client.sendall(b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        time.sleep(HEADER_SECONDS + 0.1)

        client.sendall(b"cde")

        assert read_answer(client).endswith(b'{"bytes":5}')


def test_requests_in_one_packet_are_all_answered(target: Target) -> None:
    one = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    answer = target.ask(one + one + last)

    assert answer.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize(
    "connections",
    [pytest.param(200, id="200"), pytest.param(2_000, id="2000", marks=pytest.mark.deep)],
)
def test_crowd_of_silent_connections_does_not_keep_others_waiting(
    target: Target, connections: int
) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(closing(target.connect())) for _ in range(connections)]
        for client in crowd:
            _send(client, b"GET / HTTP/1.1\r\nA: ")
        started = time.monotonic()

        answer = target.get(b"/admin")

        assert status(answer) == 200
        assert time.monotonic() - started < 1
        assert all(closes_within(client, HEADER_SECONDS + 5) for client in crowd)


def test_port_that_is_taken_shows_at_once(target: Target) -> None:
    with pytest.raises(OSError, match="in use"):
        listen_on("127.0.0.1", target.port)


SERVER = """
import asyncio, contextlib
from infra.server import serve

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("closed", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("asked", flush=True)
    await asyncio.sleep(SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})

serve(app, port=0, on_listening=lambda listening: print(listening.addresses[0][1], flush=True))
print("returned", flush=True)
"""


def start_server(seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVER.replace("SECONDS", str(seconds))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ask_child(child: subprocess.Popen[str]) -> socket.socket:
    assert child.stdout is not None
    port = int(child.stdout.readline())
    client = socket.create_connection(("127.0.0.1", port), timeout=15)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert child.stdout.readline() == "asked\n"
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_requests_finish_and_the_lifespan_close(number: signal.Signals) -> None:
    with start_server(0.2) as child, closing(ask_child(child)) as client:
        child.send_signal(number)

        answer = read_to_end(client)
        output, _ = child.communicate(timeout=10)

    assert status(answer) == 200
    assert output == "closed\nreturned\n"
    assert child.returncode == 0


@pytest.mark.deep
def test_request_without_end_is_cut_after_ten_seconds() -> None:
    with start_server(3600) as child, closing(ask_child(child)):
        started = time.monotonic()
        child.send_signal(signal.SIGTERM)

        output, _ = child.communicate(timeout=20)

    assert 9 < time.monotonic() - started < 13
    assert output == "closed\nreturned\n"
