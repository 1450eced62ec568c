"""How the server ends: it goes on answering while something is open, but not for ever."""

import asyncio
import http.client
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send

from infra import server
from infra.server import Listening


@dataclass
class Slow:
    """An application whose `/slow` answers when it is let."""

    arrived: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["path"] == "/slow":
            self.arrived.set()
            while not self.may_end.is_set():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@dataclass
class Running:
    """A server in a thread of its own."""

    listening: Listening
    thread: threading.Thread
    stopping: threading.Event

    def ask(self, path: str) -> bytes:
        host, port = self.listening.addresses[0][:2]
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def running(app: Slow) -> Iterator[Running]:
    heard: queue.Queue[Listening] = queue.Queue()
    stopping = threading.Event()
    thread = threading.Thread(
        target=lambda: server.serve(
            app, port=0, on_listening=heard.put, on_stopping=stopping.set
        )
    )  # fmt: skip
    thread.start()
    listening = heard.get(timeout=10)
    try:
        yield Running(listening, thread, stopping)
    finally:
        app.may_end.set()
        listening.stop()
        thread.join(20)


@contextmanager
def asking_slowly(server: Running, app: Slow) -> Iterator[list[bytes]]:
    """Have one request open; yield what it is answered with, once it is."""
    answers: list[bytes] = []

    def ask() -> None:
        try:
            answers.append(server.ask("/slow"))
        except (http.client.HTTPException, ConnectionError):
            return

    thread = threading.Thread(target=ask)
    thread.start()
    assert app.arrived.wait(10)
    yield answers
    thread.join(10)


def test_others_are_answered_while_a_request_is_open() -> None:
    app = Slow()
    with running(app) as server, asking_slowly(server, app) as answers:
        server.listening.stop()
        assert server.stopping.wait(5)
        time.sleep(0.3)  # longer than the loop takes to see it

        meanwhile = server.ask("/")
        app.may_end.set()
        server.thread.join(10)

        assert meanwhile == b"done"
        assert not server.thread.is_alive()
    assert answers == [b"done"]


def test_request_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_DRAIN_SECONDS", 0.2)
    app = Slow()
    with running(app) as running_server, asking_slowly(running_server, app) as answers:
        started = time.monotonic()
        running_server.listening.stop()
        running_server.thread.join(10)

        assert not running_server.thread.is_alive()
        assert time.monotonic() - started < 5
    assert b"done" not in answers


def test_idle_server_ends_at_once() -> None:
    app = Slow()
    with running(app) as server:
        started = time.monotonic()

        server.listening.stop()
        server.thread.join(10)

        assert not server.thread.is_alive()
        assert time.monotonic() - started < 2
