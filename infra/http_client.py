"""The one HTTP client: deadlines, capped reading, retries, error mapping, and the SSRF guard.

Upstreams that the operator configured are reached through `HttpClient.send`. A URL that came from
anywhere else goes through `HttpClient.fetch_foreign`, whose sockets refuse private addresses: the
check is made where the socket connects, so that neither a name that changes its address nor a
redirect to a literal address gets round it.
"""

import asyncio
import ipaddress
import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from infra.clock import Clock, Deadline
from infra.errors import ReplyInvalid, UpstreamTimeout, UpstreamUnavailable

MAX_BODY_BYTES = 8 * 1024 * 1024
_CONNECT_SECONDS = 3.0
_KEEP_ALIVE_SECONDS = 55.0  # common front ends hang up after 60
_READ_BYTES = 64 * 1024
_HOPS = 3
_LONGEST_PAUSE_SECONDS = 2.0
_LONGEST_WAIT = timedelta(hours=1)
_WORTH_ANOTHER_TRY = frozenset({502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOREIGN_PORTS = frozenset({80, 443})
# One text for every refusal and every failure behind a foreign URL: whoever gave us the URL must
# not learn from it what lies inside our network.
_UNREACHABLE = "foreign URL: unreachable"

T = TypeVar("T")

# IANA special-purpose registries (2026-11), written out because `is_global` differs between the
# versions of Python. The ranges for documentation are left out: they count as public.
_IPV4_INSIDE = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # the platform service of Azure, reachable from its machines only
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
    )
)
# All else in IPv6 is loopback, link-local, unique local, multicast, NAT64 or unassigned.
_IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_IPV6_INSIDE = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2002::/16",  # 6to4, which wraps any IPv4 address
    )
)


def is_public_address(text: str) -> bool:
    """Tell whether an IP address may be a stranger's server: global, and not a way inside."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return (
                address in _IPV6_GLOBAL
                and address.scope_id is None
                and not any(address in network for network in _IPV6_INSIDE)
            )
        address = address.ipv4_mapped
    return not any(address in network for network in _IPV4_INSIDE)


def _is_own_address(family: int, target: tuple[Any, ...]) -> bool:
    """Tell whether an address is one of this machine's.

    Connecting a datagram socket sends nothing, but makes the system choose the address that it
    would speak from: towards itself, that is the very same one.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(target)
        except OSError:
            return False
        own, other = probe.getsockname()[0], target[0]
    return ipaddress.ip_address(own) == ipaddress.ip_address(other)


def _guarded_socket(addr_info: tuple[Any, ...]) -> socket.socket:
    """Make the socket of a foreign connection, which starts here whatever led to the address."""
    family, kind, protocol, _name, target = addr_info
    if not is_public_address(target[0]) or _is_own_address(family, target):
        raise OSError("address refused")
    return socket.socket(family=family, type=kind, proto=protocol)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, whatever the status; the body is read and within its cap."""

    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)

    def decode(self, shape: type[T]) -> T:
        """Decode the JSON body to a type.

        Raises:
            ReplyInvalid: it is not JSON, or not of this shape.
        """
        try:
            return msgspec.json.decode(self.body, type=shape, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # The cause may quote the body, which may carry a credential.
            raise ReplyInvalid(f"unexpected body (status {self.status})") from None

    def retry_after(self, clock: Clock) -> timedelta | None:
        """Read `Retry-After`, in seconds or as a date; capped at an hour."""
        return read_retry_after(self.headers.get("Retry-After", ""), clock.now())


def read_retry_after(text: str, now: datetime) -> timedelta | None:
    """Read a `Retry-After` value; None when there is none or it cannot be read."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=int(text[:9]))
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class ForeignReply:
    """The last reply of a chase; `location` is set when it ended at a redirect to `stop_at`."""

    reply: Reply
    location: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class _Request:
    """One request, ready to be sent as often as need be; it may hold a key, so it never prints."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    max_bytes: int


@dataclass(frozen=True, slots=True)
class HttpClient:
    """All outbound HTTP of this process; open it with `HttpClient.open()`."""

    _trusted: aiohttp.ClientSession
    _guarded: aiohttp.ClientSession
    _first_pause: float

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        user_agent: str = "Chillproxy",
        resolver: AbstractResolver | None = None,
        first_pause: float = 0.2,
    ) -> AsyncIterator["HttpClient"]:
        """Open the two connection pools.

        Args:
            user_agent: sent with every request.
            resolver: for tests of names that lie.
            first_pause: seconds before the second attempt of a call; each further one doubles.
        """
        # One upstream that hangs must not hold the connections that others need.
        trusted = aiohttp.TCPConnector(
            limit=0, limit_per_host=64, keepalive_timeout=_KEEP_ALIVE_SECONDS, resolver=resolver
        )
        guarded = aiohttp.TCPConnector(
            limit=64,
            limit_per_host=8,
            resolver=resolver,
            socket_factory=_guarded_socket,
        )
        async with (
            _session(trusted, user_agent) as trusted_session,
            _session(guarded, user_agent) as guarded_session,
        ):
            yield cls(trusted_session, guarded_session, first_pause)

    async def send(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        json: object = None,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        attempts: int = 1,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Reply:
        """Ask an upstream that the operator configured; redirects are not followed.

        Args:
            method: the HTTP method.
            url: without query; `params` make the query and are percent-encoded.
            deadline: of the flow; it bounds all attempts and the pauses between them together.
            headers: besides User-Agent and Accept-Encoding.
            params: the query.
            json: encoded by msgspec.
            form: sent url-encoded.
            attempts: above 1 only for calls that may be repeated: a failure to connect, a broken
                reply, and 502 to 504 are tried again after a jittered pause, if the deadline
                leaves time for it.
            max_bytes: cap on the body after decompression.

        Raises:
            UpstreamTimeout: no answer within the deadline.
            UpstreamUnavailable: it could not be reached or broke off.
            ReplyInvalid: the body is longer than `max_bytes`.
        """
        sent = dict(headers or {})
        body: bytes | None = None
        if json is not None:
            body = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"
        elif form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        request = _Request(method, _with_query(url, params), sent, body, max_bytes)
        for attempt in range(attempts - 1):
            pause = self._pause(attempt)
            try:
                reply = await _once(self._trusted, request, deadline)
            except UpstreamUnavailable:
                if deadline.left <= pause:
                    raise
            else:
                if reply.status not in _WORTH_ANOTHER_TRY or deadline.left <= pause:
                    return reply
            await asyncio.sleep(pause)
        return await _once(self._trusted, request, deadline)

    async def fetch_foreign(
        self,
        url: str,
        *,
        deadline: Deadline,
        allowed: frozenset[tuple[str, int]] = frozenset(),
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
        stop_at: str = "",
    ) -> ForeignReply:
        """GET a URL that came from outside, following at most three redirects by hand.

        Args:
            url: http or https on the usual port, without user info.
            deadline: of the flow.
            allowed: hosts (in lower case) and ports that the operator configured for this very
                upstream; only these may be private or on another port.
            headers: sent to the first host only; a redirect elsewhere drops them all.
            max_bytes: cap on the body.
            stop_at: a scheme (`magnet:`) at which a redirect ends the chase and is returned.

        Raises:
            UpstreamError: as for `send`; also for a URL or an address that is refused, with one
                and the same message, so that nobody can use it to look around inside.
        """
        sent = dict(headers or {})
        target = _foreign_url(url, allowed)
        for _ in range(_HOPS + 1):
            request = _Request("GET", target, sent, None, max_bytes)
            reply = await self._fetch(request, deadline, allowed)
            location = reply.headers.get("Location", "")
            if reply.status not in _REDIRECTS or not location:
                return ForeignReply(reply, None)
            if stop_at and location.lower().startswith(stop_at):
                return ForeignReply(reply, location)
            onward = _next_hop(target, location, allowed)
            if onward.origin() != target.origin():
                sent = {}
            target = onward
        raise UpstreamUnavailable(_UNREACHABLE)

    async def _fetch(
        self, request: _Request, deadline: Deadline, allowed: frozenset[tuple[str, int]]
    ) -> Reply:
        if _endpoint(request.url) in allowed:
            return await _once(self._trusted, request, deadline)
        try:
            return await _once(self._guarded, request, deadline)
        except UpstreamUnavailable:
            # No packet went to a refused address, so the time it took tells nothing of it either.
            raise UpstreamUnavailable(_UNREACHABLE) from None

    def _pause(self, attempt: int) -> float:
        longest = min(self._first_pause * 2.0**attempt, _LONGEST_PAUSE_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing


async def _once(session: aiohttp.ClientSession, request: _Request, deadline: Deadline) -> Reply:
    """Make one request. Errors name the host only: the rest of a URL may be a secret."""
    host = request.url.raw_host
    left = deadline.left
    if not left:
        raise UpstreamTimeout(f"{host}: no time left to ask")
    try:
        async with (
            asyncio.timeout(left),
            session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response,
        ):
            body = await read_capped(response.content, request.max_bytes)
            return Reply(response.status, response.headers, body)
    # First, because a time-out of aiohttp's is a failure to connect, not the end of the deadline.
    except (aiohttp.ClientError, ValueError) as error:
        raise UpstreamUnavailable(f"{host}: {type(error).__name__}") from None
    except TimeoutError:
        raise UpstreamTimeout(f"{host}: no answer in time") from None
    except OSError as error:
        raise UpstreamUnavailable(f"{host}: {type(error).__name__}") from None


async def read_capped(content: aiohttp.StreamReader, max_bytes: int) -> bytes:
    """Read a body to its end, decompressed.

    Raises:
        ReplyInvalid: it is longer than the cap; the rest is not read.
    """
    chunks: list[bytes] = []
    total = 0
    async for chunk in content.iter_any():
        total += len(chunk)
        if total > max_bytes:
            raise ReplyInvalid(f"body longer than {max_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _session(connector: aiohttp.TCPConnector, user_agent: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        read_bufsize=_READ_BYTES,
    )


def _with_query(url: str, params: Mapping[str, str] | Sequence[tuple[str, str]] | None) -> URL:
    try:
        target = URL(url)
        return target.update_query(params) if params else target
    except ValueError:
        raise UpstreamUnavailable("not a URL") from None


def _endpoint(url: URL) -> tuple[str, int]:
    return url.raw_host or "", url.port or 0


def _next_hop(target: URL, location: str, allowed: frozenset[tuple[str, int]]) -> URL:
    """Return where a redirect leads; never from https to http."""
    onward = _foreign_url(location, allowed, base=target)
    if target.scheme == "https" and onward.scheme == "http":
        raise UpstreamUnavailable(_UNREACHABLE)
    return onward


def _foreign_url(text: str, allowed: frozenset[tuple[str, int]], base: URL | None = None) -> URL:
    """Check what can be checked before the name is resolved; one message for every refusal."""
    try:
        url = URL(text) if base is None else base.join(URL(text))
    except ValueError:
        raise UpstreamUnavailable(_UNREACHABLE) from None
    host, port = _endpoint(url)
    fits = (
        text.isprintable()  # yarl drops line breaks: what we check must be what was given
        and url.scheme in {"http", "https"}
        and url.user is None
        and url.password is None
        and 0 < len(host) <= 253
        and ((host, port) in allowed or port in _FOREIGN_PORTS)
    )
    if not fits:
        raise UpstreamUnavailable(_UNREACHABLE)
    return url
