"""What a server can answer when it is broken or hostile, as responses for any simulator."""

import gzip
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

_MIB = 1024 * 1024


class Hang(Response):
    """No answer at all, until the client hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


def huge(start: bytes = b"", mebibytes: int = 50) -> Response:
    """Send a body that is made while it is sent, and that never ends well."""

    async def chunks() -> AsyncIterator[bytes]:
        yield start
        for _ in range(mebibytes * 16):
            yield b" " * (_MIB // 16)

    return StreamingResponse(chunks())


def compressed(body: bytes) -> Response:
    """Send a gzipped body."""
    return Response(gzip.compress(body, 1), headers={"Content-Encoding": "gzip"})


def xml(body: str | bytes, status: int = 200) -> Response:
    """Send XML."""
    return Response(body, status, media_type="application/rss+xml")


def json(body: str | bytes, status: int = 200) -> Response:
    """Send JSON that is written as it stands."""
    return Response(body, status, media_type="application/json")


def laughs(levels: int, times: int = 10) -> bytes:
    """Return an XML document whose entities multiply at each level."""
    entities = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * times}">' for level in range(1, levels)
    )
    return (
        f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "ha">{entities}]>'
        f"<rss><channel><title>&e{levels - 1};</title></channel></rss>"
    ).encode()


# Each makes a fresh response, for a streamed one can be sent once only.
HOSTILE: dict[str, Callable[[], Response]] = {
    "empty body": lambda: Response(b""),
    "plain text": lambda: Response(b"It works!", media_type="text/plain"),
    "login page": lambda: Response(
        b"<!DOCTYPE html><html><body><br>Sign in</body></html>", media_type="text/html"
    ),
    "binary": lambda: Response(bytes(range(256)) * 16),
    "50 MiB": huge,
    "50 MiB that begin as XML": lambda: huge(b"<rss><channel><title>"),
    "50 MiB that begin as JSON": lambda: huge(b'{"streams":['),
    "gzip bomb": lambda: compressed(b" " * 64 * _MIB),
    "billion laughs, 5 levels": lambda: xml(laughs(5)),
    "billion laughs, 9 levels": lambda: xml(laughs(9)),
    "quadratic blow-up": lambda: xml(
        b'<!DOCTYPE r [<!ENTITY e "' + b"e" * 50_000 + b'">]><r>' + b"&e;" * 2_000 + b"</r>"
    ),
    "external entity": lambda: xml(
        b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><rss>&e;</rss>'
    ),
    "parameter entity": lambda: xml(
        b'<!DOCTYPE r [<!ENTITY % e SYSTEM "http://127.0.0.1:1/x.dtd"> %e;]><rss/>'
    ),
    "XML 100,000 deep": lambda: xml(b"<a>" * 100_000),
    "2,000,000 elements": lambda: xml(b"<rss>" + b"<a/>" * 2_000_000 + b"</rss>"),
    "700,000 attributes": lambda: xml(
        b"<rss" + b"".join(b' a%d=""' % number for number in range(700_000)) + b"/>"
    ),
    "unknown encoding": lambda: xml(b'<?xml version="1.0" encoding="klingon"?><rss/>'),
    "JSON 100,000 deep": lambda: json(b"[" * 100_000),
    "streams 100,000 deep": lambda: json(b'{"streams":' + b"[" * 100_000),
}
