import asyncio
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from infra.clock import Deadline
from infra.errors import ReplyInvalid, UpstreamTimeout, UpstreamUnavailable
from infra.http_client import HttpClient, Reply, is_public_address, read_retry_after
from tests.fakes.clock import FakeClock
from tests.fakes.raw_server import always, header, in_turn, raw_server, reply, silence

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient.open(first_pause=0.01) as opened:
        yield opened


def soon() -> Deadline:
    return Deadline.after(5)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what is sent ---


async def test_params_are_percent_encoded_and_may_repeat(client: HttpClient) -> None:
    async with raw_server(always(reply())) as server:
        await client.send(
            "GET",
            f"{server.url}/check",
            params=[("hash[]", "a&b"), ("hash[]", "é+c"), ("x", "1=2#3")],
            deadline=soon(),
        )

    line = server.requests[0].split("\r\n")[0]
    assert line == "GET /check?hash%5B%5D=a%26b&hash%5B%5D=%C3%A9%2Bc&x=1%3D2%233 HTTP/1.1"


async def test_json_body_is_sent_with_its_type(client: HttpClient) -> None:
    async with raw_server(always(reply())) as server:
        await client.send("POST", server.url, json={"hashes": ["a"]}, deadline=soon())

    assert header(server.requests[0], "Content-Type") == "application/json"
    assert server.requests[0].endswith('\r\n\r\n{"hashes":["a"]}')


async def test_form_is_sent_url_encoded_and_may_repeat_a_name(client: HttpClient) -> None:
    async with raw_server(always(reply())) as server:
        await client.send("POST", server.url, form=[("i[]", "a&b"), ("i[]", "c")], deadline=soon())

    assert header(server.requests[0], "Content-Type") == "application/x-www-form-urlencoded"
    assert server.requests[0].endswith("\r\n\r\ni%5B%5D=a%26b&i%5B%5D=c")


async def test_compression_that_we_cannot_cap_is_not_asked_for(client: HttpClient) -> None:
    async with raw_server(always(reply())) as server:
        await client.send("GET", server.url, deadline=soon())

    assert header(server.requests[0], "Accept-Encoding") == "gzip, deflate"


async def test_cookies_are_never_kept(client: HttpClient) -> None:
    setting = reply(headers={"Set-Cookie": "sid=1; Path=/"})
    async with raw_server(always(setting)) as server:
        for _ in range(2):
            # By name: no cookie jar keeps what an address sets.
            await client.send("GET", f"http://localhost:{server.port}", deadline=soon())

    assert [header(request, "Cookie") for request in server.requests] == [None, None]


async def test_sequential_calls_share_one_connection(client: HttpClient) -> None:
    async with raw_server(always(reply(body=b"{}"))) as server:
        for method in ("GET", "POST", "GET"):
            await client.send(method, server.url, deadline=soon())

    assert len(server.requests) == 3
    assert server.connections == 1


# --- what comes back ---


@pytest.mark.parametrize("status", [200, 404, 429, 500, 503])
async def test_any_status_is_a_reply(client: HttpClient, status: int) -> None:
    async with raw_server(always(reply(status, b"body", {"X-A": "b"}))) as server:
        answer = await client.send("GET", server.url, deadline=soon())

    assert (answer.status, answer.body, answer.headers["x-a"]) == (status, b"body", "b")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_send_follows_no_redirect(client: HttpClient, status: int) -> None:
    async with raw_server(always(reply(status, headers={"Location": "/there"}))) as server:
        answer = await client.send("GET", server.url, deadline=soon())

    assert answer.status == status
    assert len(server.requests) == 1


class _Shape(msgspec.Struct):
    id: int
    name: str = ""


def _answer(body: bytes, **headers: str) -> Reply:
    return Reply(200, CIMultiDictProxy(CIMultiDict(headers)), body)


def test_numbers_in_quotes_are_read_as_numbers() -> None:
    shape = _answer(b'{"id": "7", "more": 1}').decode(_Shape)

    assert shape == _Shape(7)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b'{"id": "CANARY"}', id="wrong type"),
        pytest.param(b'{"id": NaN}', id="nan"),
        pytest.param(b'{"id": 1}}', id="trailing brace"),
        pytest.param(b'\xef\xbb\xbf{"id": 1}', id="byte order mark"),
        pytest.param(b'{"id": 1, "name": "\xff\xfe"}', id="not utf-8"),
        pytest.param(b'{"id": 1, "name": "\\ud800"}', id="lone surrogate"),
        pytest.param(b'{"x":' + b"[" * 100_000, id="deep"),
        pytest.param(b'{"id": 1' + b"0" * 5_000 + b"}", id="huge number"),
    ],
)
def test_body_of_another_shape_is_an_invalid_reply_that_quotes_nothing(body: bytes) -> None:
    with pytest.raises(ReplyInvalid) as caught:
        _answer(body).decode(_Shape)

    assert str(caught.value) == "unexpected body (status 200)"


def test_reply_prints_neither_headers_nor_body() -> None:
    assert "CANARY" not in repr(_answer(b"CANARY", Location="CANARY"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", None, id="absent"),
        pytest.param("7", timedelta(seconds=7), id="seconds"),
        pytest.param(" 0 ", timedelta(0), id="zero"),
        pytest.param("86400", timedelta(hours=1), id="capped"),
        pytest.param("9" * 5_000, timedelta(hours=1), id="absurd"),
        pytest.param("-5", None, id="negative"),
        pytest.param("²", None, id="a digit that is none"),
        pytest.param("Thu, 01 Jan 2026 12:00:30 GMT", timedelta(seconds=30), id="date"),
        pytest.param("Thu, 01 Jan 2026 12:00:30", timedelta(seconds=30), id="date without zone"),
        pytest.param("Thu, 01 Jan 2026 11:00:00 GMT", timedelta(0), id="past"),
        pytest.param("soon", None, id="words"),
    ],
)
def test_retry_after_is_read(text: str, expected: timedelta | None) -> None:
    assert read_retry_after(text, NOW) == expected


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,6} Jan \d{1,6} \d\d:\d\d:\d\d [+-]\d{4}"))
def test_no_retry_after_text_breaks_the_reading(text: str) -> None:
    wait = read_retry_after(text, NOW)

    assert wait is None or timedelta(0) <= wait <= timedelta(hours=1)


def test_reply_tells_how_long_to_wait() -> None:
    answer = _answer(b"", **{"retry-after": "Thu, 01 Jan 2026 12:01:00 GMT"})

    assert answer.retry_after(FakeClock(NOW)) == timedelta(minutes=1)


# --- attempts ---


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_unwell_upstream_is_asked_again(client: HttpClient, status: int) -> None:
    async with raw_server(in_turn(reply(status), reply(status), reply(200, b"ok"))) as server:
        answer = await client.send("GET", server.url, deadline=soon(), attempts=3)

    assert answer.body == b"ok"
    assert len(server.requests) == 3


async def test_body_is_the_same_in_each_attempt(client: HttpClient) -> None:
    async with raw_server(in_turn(reply(503), reply())) as server:
        await client.send("POST", server.url, form={"a": "b"}, deadline=soon(), attempts=2)

    assert [request[-3:] for request in server.requests] == ["a=b", "a=b"]


async def test_last_unwell_reply_is_returned(client: HttpClient) -> None:
    async with raw_server(always(reply(503, b"down"))) as server:
        answer = await client.send("GET", server.url, deadline=soon(), attempts=2)

    assert (answer.status, answer.body, len(server.requests)) == (503, b"down", 2)


@pytest.mark.parametrize("status", [200, 400, 429, 500, 501])
async def test_other_statuses_are_not_asked_again(client: HttpClient, status: int) -> None:
    async with raw_server(always(reply(status))) as server:
        await client.send("GET", server.url, deadline=soon(), attempts=3)

    assert len(server.requests) == 1


async def test_one_attempt_means_one_request(client: HttpClient) -> None:
    async with raw_server(always(reply(503))) as server:
        await client.send("POST", server.url, deadline=soon())

    assert len(server.requests) == 1


async def test_post_whose_connection_breaks_is_not_repeated(client: HttpClient) -> None:
    async with raw_server(always(None)) as server:
        with pytest.raises(UpstreamUnavailable):
            await client.send("POST", server.url, deadline=soon())

    assert len(server.requests) == 1


async def test_broken_connection_is_tried_again(client: HttpClient) -> None:
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhal"
    turns: list[list[bytes | None]] = [[broken, None], [reply(200, b"whole")]]

    async def answer(head: str) -> AsyncIterator[bytes | None]:
        for part in turns.pop(0):
            yield part

    async with raw_server(answer) as server:
        whole = await client.send("GET", server.url, deadline=soon(), attempts=2)

    assert whole.body == b"whole"


async def test_refused_connection_is_tried_again_until_the_attempts_end() -> None:
    async with HttpClient.open(first_pause=0.04) as client:
        started = time.monotonic()
        with pytest.raises(UpstreamUnavailable):
            await client.send(
                "GET", f"http://127.0.0.1:{closed_port()}", deadline=soon(), attempts=3
            )

    # Two pauses, of at least half of 0.04 s and 0.08 s.
    assert time.monotonic() - started >= 0.06


# --- deadline ---


async def test_silent_upstream_times_out_at_the_deadline(client: HttpClient) -> None:
    started = time.monotonic()
    async with raw_server(silence) as server:
        with pytest.raises(UpstreamTimeout):
            await client.send("GET", server.url, deadline=Deadline.after(0.1), attempts=3)

    assert 0.1 <= time.monotonic() - started < 1
    assert len(server.requests) == 1


async def test_trickling_body_times_out_at_the_deadline(client: HttpClient) -> None:
    async def answer(head: str) -> AsyncIterator[bytes | None]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async with raw_server(answer) as server:
        with pytest.raises(UpstreamTimeout):
            await client.send("GET", server.url, deadline=Deadline.after(0.1))


async def test_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    started = time.monotonic()
    async with HttpClient.open(first_pause=60) as client, raw_server(always(reply(503))) as server:
        answer = await client.send("GET", server.url, deadline=Deadline.after(0.5), attempts=5)

    assert answer.status == 503
    assert time.monotonic() - started < 0.4


async def test_last_failure_is_told_when_no_time_is_left_for_another_attempt() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    async with HttpClient.open(first_pause=60) as client:
        with pytest.raises(UpstreamUnavailable):
            await client.send("GET", url, deadline=Deadline.after(0.5), attempts=5)


async def test_nothing_is_sent_after_the_deadline(client: HttpClient) -> None:
    async with raw_server(always(reply())) as server:
        await client.send("GET", server.url, deadline=soon())  # a connection is ready
        with pytest.raises(UpstreamTimeout):
            await client.send("PUT", server.url, json={}, deadline=Deadline.after(0), attempts=2)

    assert len(server.requests) == 1


async def test_hanging_upstream_does_not_hold_up_another(client: HttpClient) -> None:
    async with raw_server(silence) as hanging, raw_server(always(reply())) as healthy:
        asking = [
            asyncio.ensure_future(client.send("GET", hanging.url, deadline=soon()))
            for _ in range(100)
        ]
        while hanging.connections < 64:  # noqa: ASYNC110  # the server counts and tells nobody
            await asyncio.sleep(0.005)

        answer = await client.send("GET", healthy.url, deadline=soon())
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    assert answer.status == 200
    assert hanging.connections == 64


# --- which addresses are public ---


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.9",
        "2606:4700::1111",
        "2a00:1450::1",
        "2001:200::1",
        "2001:db8::1",
        "3fff::1",
        "::ffff:8.8.8.8",
        "::ffff:203.0.113.9",
    ],
)
def test_address_is_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.0.192",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:10::1",
        "2001:20::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2002:808:808::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2606:4700::1111%eth0",
        "",
        "localhost",
        "127.1",
        "0177.0.0.1",
        "0x7f000001",
        "2130706433",
        "8.8.8.8 ",
        "８.8.8.8",
        "8.8.8.8/32",
    ],
)
def test_address_is_not_public(address: str) -> None:
    assert not is_public_address(address)
