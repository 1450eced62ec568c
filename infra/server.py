"""The HTTP server: uvicorn with limits on the heads of requests, and an end that returns."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEAD_BYTES = 128 * 1024
_MAX_URL_BYTES = 65_535  # httptools keeps offsets into a URL in sixteen bits
_MAX_OPEN_FILES = 65_536
_LINGER_SECONDS = 1.0
# Requests that are open at a stop get ten seconds: nine in which we still answer, so that a load
# balancer can see that it should go elsewhere, and one after the sockets are closed.
_DRAIN_SECONDS = 9.0
_GRACE_SECONDS = 1
_DRAIN_POLL_SECONDS = 0.05
# Longer than reverse proxies keep their side, so that none sends into a connection just closed.
_KEEP_ALIVE_SECONDS = 75


def http_protocol(header_seconds: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's HTTP protocol with limits on the head of a request, which it has not.

    Args:
        header_seconds: how long a head may take, from the connection's start or from its own.
    """
    return type("HeadLimited", (_HeadLimited,), {"header_seconds": header_seconds})


class _HeadLimited(HttpToolsProtocol):
    """Closes connections whose request heads are late, too big, or framed in two ways.

    httptools itself refuses two lengths, a length beside `Transfer-Encoding`, and bare line feeds
    (seen with 0.9); it finds a foreign `Transfer-Encoding` only after the request has begun.
    """

    header_seconds: ClassVar[float]
    url = b""
    _is_head_open = True
    _is_refused = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if self._is_head_open:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse_head()
        # Bytes stop uvicorn's timer for idle connections, even those that begin no request.
        if self._is_head_open or (self._is_idle and self.timeout_keep_alive_task is None):
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head_open = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._stop_timer()
        for name, value in self.headers:
            if name == b"transfer-encoding" and (
                value.lower() != b"chunked" or self.parser.get_http_version() != "1.1"
            ):
                raise ValueError("this transfer encoding is not spoken here")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        if len(self.url) > _MAX_URL_BYTES:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    @property
    def _is_idle(self) -> bool:
        cycle = self.cycle
        # uvicorn declares it without the None that stands there before the first request.
        return cycle is None or cycle.response_complete  # type: ignore[redundant-expr]

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.header_seconds, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_idle:
            self.transport.close()
        else:
            self._start_timer()  # an earlier answer is still on its way through this connection

    def _refuse_head(self) -> None:
        """Answer a head without end, and read on for a moment: a reset would eat the answer."""
        self._is_refused = True
        if not self._is_idle:
            self.transport.close()
            return
        is_url = len(self.url) > _MAX_URL_BYTES
        status = b"414 URI Too Long" if is_url else b"431 Request Header Fields Too Large"
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that answers.

    Attributes:
        addresses: what its sockets are bound to, as `socket.getsockname` says it.
        stop: ends the server as a signal would; may be called from any thread.
    """

    addresses: tuple[Any, ...]
    stop: Callable[[], None]


class _Server(uvicorn.Server):
    """Tells when it listens and when it stops, and goes on answering while requests are open.

    After a signal it returns, where uvicorn would die of it.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_listening: Callable[[Listening], None] | None,
        on_stopping: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_listening is not None:
            addresses = tuple(listener.getsockname() for listener in sockets or ())
            self._on_listening(Listening(addresses, lambda: self.handle_exit(signal.SIGTERM, None)))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._on_stopping is not None:
            self._on_stopping()
        self._captured_signals.clear()  # or uvicorn raises them once more at the end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        """Return when no request is open, or when their time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self.server_state.tasks and not self.force_exit:  # noqa: ASYNC110  no event
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)


def listen_on(host: str, port: int) -> list[socket.socket]:
    """Bind sockets to all addresses of a host; a taken port shows before anything else starts."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = undo.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            sockets.append(listener)
        undo.pop_all()
    return sockets


def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    sockets: Sequence[socket.socket] | None = None,
    header_seconds: float = 10.0,
    on_listening: Callable[[Listening], None] | None = None,
    on_stopping: Callable[[], None] | None = None,
) -> None:
    """Serve an application, in a loop of its own, until SIGTERM or SIGINT.

    Args:
        app: its lifespan runs around the serving.
        host: where to listen.
        port: 0 for any free one.
        sockets: bound already, in place of host and port.
        header_seconds: how long the head of a request may take.
        on_listening: called once, in the loop, when requests are answered.
        on_stopping: called at the signal; requests are answered for as long as any is open, at
            most nine seconds.
    """
    _allow_open_files()
    config = uvicorn.Config(
        app,
        loop="auto",
        http=http_protocol(header_seconds),
        ws="none",
        interface="asgi3",
        lifespan="on",
        workers=1,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listeners = list(sockets) if sockets is not None else listen_on(host, port)
    _Server(config, on_listening, on_stopping).run(listeners)


def _allow_open_files() -> None:
    """Raise the soft limit of open files: a thousand connections are soon taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
