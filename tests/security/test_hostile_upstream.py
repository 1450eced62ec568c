"""Servers that send bombs, lies and rubbish, or nothing; and no error of ours repeats a secret."""

import asyncio
import gzip
import logging
import ssl
import subprocess
import sys
import textwrap
import traceback
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.clock import Deadline
from infra.errors import ReplyInvalid, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from infra.http_client import HttpClient
from tests.fakes.raw_server import Answer, always, raw_server, reply, silence

CAP = 100_000
CANARY = "CANARY-8c1f0a2b"


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient.open() as opened:
        yield opened


def soon() -> Deadline:
    return Deadline.after(5)


# --- bombs ---


def deflated(megabytes: int, window_bits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    block = bytes(1_000_000)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def zstandard(megabytes: int) -> bytes:
    """Return a frame of blocks of one repeated byte: four bytes for each 128 KiB."""
    count = megabytes * 8
    blocks = [
        (131_072 << 3 | 1 << 1 | (number == count - 1)).to_bytes(3, "little") + b"x"
        for number in range(count)
    ]
    return b"\x28\xb5\x2f\xfd\x00\x38" + b"".join(blocks)


def brotli(megabytes: int) -> bytes:
    """Return 16 MB of zeros, whatever is asked: no packer for it is among our dependencies."""
    return bytes.fromhex("cbffff3ff82700e2b14020f7fe2fff47e8f04f00c4611180ee061d")


def many_members(megabytes: int) -> bytes:
    return gzip.compress(bytes(10_000)) * (100 * megabytes)


BOMBS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "gzip": ("gzip", lambda megabytes: deflated(megabytes, 31)),
    "gzip of many members": ("gzip", many_members),
    "deflate": ("deflate", lambda megabytes: deflated(megabytes, 15)),
    "raw deflate": ("deflate", lambda megabytes: deflated(megabytes, -15)),
    "br": ("br", brotli),
    "zstd": ("zstd", zstandard),
    "none": ("identity", lambda megabytes: bytes(megabytes * 1_000_000)),
}


@pytest.mark.parametrize("kind", BOMBS)
async def test_bomb_is_not_read_to_its_end(client: HttpClient, kind: str) -> None:
    encoding, make = BOMBS[kind]
    bomb = reply(200, make(5), {"Content-Encoding": encoding})
    async with raw_server(always(bomb)) as server:
        with pytest.raises((ReplyInvalid, UpstreamUnavailable)):
            await client.send("GET", server.url, deadline=soon(), max_bytes=CAP)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate", "none"])
async def test_body_that_just_fits_is_read(client: HttpClient, kind: str) -> None:
    encoding, make = BOMBS[kind]
    full = reply(200, make(1), {"Content-Encoding": encoding})
    async with raw_server(always(full)) as server:
        answer = await client.send("GET", server.url, deadline=soon(), max_bytes=1_000_000)
        with pytest.raises(ReplyInvalid):
            await client.send("GET", server.url, deadline=soon(), max_bytes=999_999)

    assert answer.body == bytes(1_000_000)


async def endless_chunks(head: str) -> AsyncIterator[bytes | None]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"400\r\n" + bytes(0x400) + b"\r\n"


async def endless_body(head: str) -> AsyncIterator[bytes | None]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"
    while True:
        yield bytes(4096)


async def endless_close_delimited(head: str) -> AsyncIterator[bytes | None]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield bytes(4096)


ENDLESS: dict[str, Answer] = {
    "chunks": endless_chunks,
    "absurd content length": endless_body,
    "no length": endless_close_delimited,
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_endless_body_is_cut_at_the_cap(client: HttpClient, kind: str) -> None:
    async with raw_server(ENDLESS[kind]) as server:
        with pytest.raises(ReplyInvalid):
            await client.send("GET", server.url, deadline=soon(), max_bytes=CAP)


async def test_cap_holds_for_foreign_urls_too(client: HttpClient) -> None:
    async with raw_server(endless_chunks) as server:
        allowed = frozenset({("127.0.0.1", server.port)})
        with pytest.raises(ReplyInvalid):
            await client.fetch_foreign(server.url, deadline=soon(), allowed=allowed, max_bytes=CAP)


async def test_connection_with_an_unread_rest_is_not_used_again(client: HttpClient) -> None:
    async with raw_server(always(reply(200, bytes(5_000_000)))) as server:
        for _ in range(2):
            with pytest.raises(ReplyInvalid):
                await client.send("GET", server.url, deadline=soon(), max_bytes=CAP)

    assert server.connections == 2


# --- lies and rubbish ---


OK = b"HTTP/1.1 200 OK\r\n"

RUBBISH: dict[str, list[bytes | None]] = {
    "nothing": [None],
    "not http": [b"SSH-2.0-OpenSSH_9.6\r\n", None],
    "no such version": [b"HTTP/9.9 200 OK\r\n\r\n", None],
    "absurd status": [b"HTTP/1.1 9999 OK\r\n\r\n", None],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-Le", None],
    "long header": [OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n", None],
    "NUL in a header": [OK + b"X: a\0b\r\n\r\n", None],
    "broken off": [OK + b"Content-Length: 10\r\n\r\nhal", None],
    "broken off in a chunk": [OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhal", None],
    "broken off between chunks": [OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n", None],
    "negative length": [OK + b"Content-Length: -1\r\n\r\n", None],
    "length in words": [OK + b"Content-Length: ten\r\n\r\n", None],
    "two lengths": [OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", None],
    "bad chunk size": [OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", None],
    "not gzip": [reply(200, b"plain text", {"Content-Encoding": "gzip"})],
}


@pytest.mark.parametrize("kind", RUBBISH)
async def test_rubbish_is_an_unavailable_upstream(client: HttpClient, kind: str) -> None:
    async with raw_server(always(*RUBBISH[kind])) as server:
        with pytest.raises(UpstreamUnavailable, match=r"^127\.0\.0\.1: \w+$"):
            await client.send("GET", server.url, deadline=soon(), max_bytes=CAP)


async def test_bytes_after_the_declared_length_reach_no_later_reply(client: HttpClient) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    lying = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + smuggled
    async with raw_server(always(lying)) as server:
        bodies = [(await client.send("GET", server.url, deadline=soon())).body for _ in range(3)]

    assert bodies == [b"ok"] * 3


# --- what errors say ---


def certificate(folder: Path) -> ssl.SSLContext:
    """Return the context of a server whose certificate nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)  # noqa: TID251  # the TLS library reads the machine's clock
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def failure(asking: Awaitable[object]) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await asking
    return caught.value


def assert_silent(error: BaseException, log: pytest.LogCaptureFixture) -> None:
    """Assert that nothing that is printed of an error, or was logged, holds the canary."""
    printed = [*traceback.format_exception(error), str(error), repr(error), repr(vars(error))]
    assert not [text for text in printed if CANARY in text]
    assert not [record for record in log.records if CANARY in repr(vars(record))]


ECHOES = {
    "status line": f"HTTP/1.1 {CANARY}\r\n\r\n".encode(),
    "header": OK + f"{CANARY} : x\r\n\r\n".encode(),
    "chunk": OK + f"Transfer-Encoding: chunked\r\n\r\n{CANARY}\r\n".encode(),
    "length": OK + f"Content-Length: {CANARY}\r\n\r\n".encode(),
    "cookie": OK + f"Set-Cookie: {CANARY}={CANARY}; \x01\r\nContent-Length: 5\r\n\r\n".encode(),
    "encoding": reply(200, CANARY.encode(), {"Content-Encoding": "gzip"}),
    "redirect": reply(302, headers={"Location": f"http://{CANARY}:0/{CANARY}"}),
}


@pytest.mark.parametrize("place", ECHOES)
async def test_error_does_not_quote_the_upstream(
    client: HttpClient, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with raw_server(always(ECHOES[place], None)) as server:
        allowed = frozenset({("127.0.0.1", server.port)})
        error = await failure(client.fetch_foreign(server.url, deadline=soon(), allowed=allowed))

    assert_silent(error, caplog)


async def refused(client: HttpClient, secret_path: str) -> UpstreamError:
    async with raw_server(silence) as server:
        gone = server.url
    return await failure(_ask(client, gone + secret_path))


async def timed_out(client: HttpClient, secret_path: str) -> UpstreamError:
    async with raw_server(silence) as server:
        asking = _ask(client, server.url + secret_path, Deadline.after(0.1))
        error = await failure(asking)
    assert isinstance(error, UpstreamTimeout)
    return error


async def broken_off(client: HttpClient, secret_path: str) -> UpstreamError:
    async with raw_server(always(*RUBBISH["broken off"])) as server:
        return await failure(_ask(client, server.url + secret_path))


async def too_long(client: HttpClient, secret_path: str) -> UpstreamError:
    async with raw_server(endless_chunks) as server:
        return await failure(_ask(client, server.url + secret_path))


async def untrusted(client: HttpClient, secret_path: str, folder: Path) -> UpstreamError:
    async with raw_server(silence, certificate(folder)) as server:
        return await failure(_ask(client, f"https://127.0.0.1:{server.port}{secret_path}"))


async def _ask(client: HttpClient, url: str, deadline: Deadline | None = None) -> object:
    return await client.send(
        "POST",
        url,
        deadline=deadline or soon(),
        params={"token": CANARY},
        headers={"Authorization": f"Bearer {CANARY}"},
        form={"apikey": CANARY},
        attempts=2,
        max_bytes=CAP,
    )


FAILURES = {
    "refused": refused,
    "timed out": timed_out,
    "broken off": broken_off,
    "too long": too_long,
}


@pytest.mark.parametrize("kind", FAILURES)
async def test_error_does_not_quote_the_request(
    client: HttpClient, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.DEBUG)

    error = await FAILURES[kind](client, f"/{CANARY}/manifest.json")

    assert_silent(error, caplog)


async def test_certificate_that_nobody_trusts_is_refused_without_quoting(
    client: HttpClient, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)

    error = await untrusted(client, f"/{CANARY}", tmp_path)

    assert str(error) == "127.0.0.1: ClientConnectorCertificateError"
    assert_silent(error, caplog)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{CANARY}@127.0.0.1:1/",
        f"http://127.0.0.1:{CANARY}/",
        f"http://[{CANARY}/",
        f"http:///{CANARY}",
        f"/{CANARY}",
        f"{CANARY}:x",
        f"http://127.0.0.1:1\\{CANARY}@a/",
        f"http://{'a' * 64}\u00e9.test/{CANARY}",
    ],
)
async def test_error_does_not_quote_a_url_that_is_none(
    client: HttpClient, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    caplog.set_level(logging.DEBUG)

    error = await failure(client.send("GET", url, deadline=soon()))

    assert_silent(error, caplog)


@pytest.mark.parametrize("value", [f"{CANARY}\r\nX-Evil: 1", f"{CANARY}\0", f"{CANARY}\n"])
async def test_header_that_would_split_the_request_is_not_sent(
    client: HttpClient, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with raw_server(always(reply())) as server:
        asking = client.send("GET", server.url, headers={"Authorization": value}, deadline=soon())
        error = await failure(asking)

    assert server.requests == []
    assert_silent(error, caplog)


async def test_path_cannot_split_the_request(client: HttpClient) -> None:
    async with raw_server(always(reply())) as server:
        await client.send("GET", f"{server.url}/a\r\nX-Evil: 1\r\n\r\n", deadline=soon())

    assert "\r\nX-Evil" not in server.requests[0]
    assert len(server.requests) == 1


# --- memory and time ---


MEASURE = textwrap.dedent("""
    import asyncio, sys, time
    from pathlib import Path
    from infra.clock import Deadline
    from infra.errors import UpstreamError
    from infra.http_client import HttpClient

    def peak():
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    async def main():
        async with HttpClient.open() as client:
            await client.send("GET", sys.argv[1] + "/small", deadline=Deadline.after(5))
            before, started = peak(), time.process_time()
            try:
                await client.send("GET", sys.argv[1] + "/bomb", deadline=Deadline.after(20))
            except UpstreamError:
                print(peak() - before, time.process_time() - started)

    asyncio.run(main())
""")


def bomb_after_a_small_reply(bomb: Answer) -> Answer:
    async def answer(head: str) -> AsyncIterator[bytes | None]:
        chosen = bomb if "/bomb" in head else always(reply())
        async for part in chosen(head):
            yield part

    return answer


@pytest.mark.deep
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("kind", [*BOMBS, *ENDLESS])
async def test_bomb_costs_neither_memory_nor_time(kind: str) -> None:
    if kind in BOMBS:
        encoding, make = BOMBS[kind]
        bomb = always(reply(200, make(300), {"Content-Encoding": encoding}))
    else:
        bomb = ENDLESS[kind]

    async with raw_server(bomb_after_a_small_reply(bomb)) as server:
        measuring = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MEASURE, server.url, stdout=subprocess.PIPE
        )
        printed, _ = await measuring.communicate()
    grown_kib, cpu_seconds = (float(number) for number in printed.split())

    # Our own cap is 8 MiB, and the parts and the whole exist side by side for a moment.
    assert grown_kib < 20 * 1024
    assert cpu_seconds < 1
