"""A TCP server that answers a request with any bytes, as a broken or hostile HTTP server does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[str], AsyncIterator[bytes | None]]
"""Takes the head of a request and yields what is sent; None hangs up."""


@dataclass
class RawServer:
    """What a running server has seen, and where it is."""

    answer: Answer
    port: int = 0
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # the client has gone, or the test is over
        finally:
            self._running.discard(task)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = header(head, "Content-Length")
        body = await reader.readexactly(int(length or 0))
        self.requests.append(head + body.decode("latin-1"))
        async for part in self.answer(head):
            if part is None:
                return False
            writer.write(part)
            await writer.drain()
        return True

    async def stop(self) -> None:
        """End the connections that are still open."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def raw_server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Run a server on a free loopback port until the block ends."""
    server = RawServer(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.stop()


def header(head: str, name: str) -> str | None:
    """Return a header of a request, None when it is not there."""
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None


def reply(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole, correct response."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body


def always(*parts: bytes | None) -> Answer:
    """Answer every request with these bytes."""

    async def answer(head: str) -> AsyncIterator[bytes | None]:
        for part in parts:
            yield part

    return answer


def in_turn(*replies: bytes) -> Answer:
    """Answer the first request with the first reply and so on; the last one stays."""
    left = list(replies)

    async def answer(head: str) -> AsyncIterator[bytes | None]:
        yield left.pop(0) if len(left) > 1 else left[0]

    return answer


async def silence(head: str) -> AsyncIterator[bytes | None]:
    """Never answer."""
    await asyncio.Event().wait()
    yield None
