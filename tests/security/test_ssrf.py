"""Nobody who gives us a URL gets us to speak to something inside."""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from infra import http_client
from infra.clock import Deadline
from infra.errors import UpstreamError, UpstreamUnavailable
from infra.http_client import HttpClient
from tests.fakes.raw_server import RawServer, always, header, in_turn, raw_server, reply

REFUSAL = "foreign URL: unreachable"


class Names(AbstractResolver):
    """A name server that lies: it gives each name the next of its addresses; the last one stays.

    Numbers in odd notations are read by the C library, as in production; nothing leaves the
    machine.
    """

    def __init__(self, names: dict[str, list[list[str]]]) -> None:
        self.table = names
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        turns = self.table.get(host)
        if turns is None:
            flags = socket.AI_NUMERICHOST
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
            addresses = [str(entry[4][0]) for entry in found]
        else:
            addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


INNER_NAMES = {
    "localhost": [["127.0.0.1"]],
    "localhost.": [["127.0.0.1"]],
    "metadata.google.internal": [["169.254.169.254"]],
    "inside.test": [["127.0.0.1"]],
    "many.test": [["10.0.0.1", "127.0.0.1", "::1"]],
    "odd.test": [["127.1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "zone.test": [["fe80::1%1"]],
}

INNER_HOSTS = [
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "１２７.0.0.1",
    "[::1]",
    "[::]",
    "[::7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25lo]",
    "[::1%25lo]",
    "[fec0::1]",
    "169.254.169.254",
    "10.0.0.1",
    *INNER_NAMES,
]

# Names of the operator's own upstreams, which are allowed with a port in some tests.
OWN_NAMES = {name: [["127.0.0.1"]] for name in ("prowlarr.test", "other.test", "good.test")}


def soon() -> Deadline:
    return Deadline.after(5)


@pytest.fixture
def names() -> Names:
    return Names({name: [*turns] for name, turns in (INNER_NAMES | OWN_NAMES).items()})


@pytest.fixture
async def client(names: Names) -> AsyncIterator[HttpClient]:
    async with HttpClient.open(resolver=names) as opened:
        yield opened


@pytest.fixture
async def inside(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RawServer]:
    """Run a server on this machine, on a port that counts as a usual one."""
    async with raw_server(always(reply(200, b"secret"))) as server:
        monkeypatch.setattr(http_client, "_FOREIGN_PORTS", frozenset({80, server.port}))
        yield server


async def refusal(
    client: HttpClient, url: str, allowed: frozenset[tuple[str, int]] = frozenset()
) -> str:
    with pytest.raises(UpstreamUnavailable) as caught:
        await client.fetch_foreign(url, deadline=soon(), allowed=allowed)
    return str(caught.value)


# --- addresses ---


@pytest.mark.parametrize("host", INNER_HOSTS)
async def test_inner_host_is_refused(client: HttpClient, inside: RawServer, host: str) -> None:
    message = await refusal(client, f"http://{host}:{inside.port}/")

    assert message == REFUSAL
    assert inside.connections == 0


@pytest.mark.parametrize("host", INNER_HOSTS)
async def test_redirect_to_an_inner_host_is_refused(
    client: HttpClient, inside: RawServer, host: str
) -> None:
    onward = reply(302, headers={"Location": f"http://{host}:{inside.port}/"})
    async with raw_server(always(onward)) as outside:
        allowed = frozenset({("prowlarr.test", outside.port)})

        message = await refusal(client, f"http://prowlarr.test:{outside.port}/", allowed)

    assert message == REFUSAL
    assert len(outside.requests) == 1
    assert inside.connections == 0


async def test_name_that_turns_inwards_is_refused_on_its_next_connection(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = reply(200, b"public", {"Connection": "close"})
    async with raw_server(always(answer)) as server:
        url = f"http://inside.test:{server.port}/"
        monkeypatch.setattr(http_client, "_FOREIGN_PORTS", frozenset({server.port}))
        with monkeypatch.context() as outside:
            outside.setattr(http_client, "is_public_address", lambda text: True)
            outside.setattr(http_client, "_is_own_address", lambda family, target: False)
            first = await client.fetch_foreign(url, deadline=soon())

        message = await refusal(client, url)

    assert first.reply.body == b"public"
    assert message == REFUSAL
    assert server.connections == 1


async def test_address_is_the_one_that_was_checked(names: Names, inside: RawServer) -> None:
    # Whoever resolves once to check and once to connect sees the public address, then ours.
    names.table["rebinding.test"] = [["203.0.113.7"], ["127.0.0.1"]]
    async with HttpClient.open(resolver=names) as client:
        with pytest.raises(UpstreamError):
            await client.fetch_foreign(
                f"http://rebinding.test:{inside.port}/", deadline=Deadline.after(0.3)
            )

    assert names.asked == ["rebinding.test"]
    assert inside.connections == 0


async def test_public_address_of_this_very_machine_is_refused(
    client: HttpClient, inside: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "is_public_address", lambda text: True)

    message = await refusal(client, f"http://127.0.0.1:{inside.port}/")

    assert message == REFUSAL
    assert inside.connections == 0


@pytest.mark.parametrize("address", ["203.0.113.7", "127.0.0.2"])
def test_another_address_is_not_taken_for_our_own(address: str) -> None:
    assert not http_client._is_own_address(socket.AF_INET, (address, 80))


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, ("203.0.113.7", 443)), (socket.AF_INET6, ("2001:db8::7", 443, 0, 0))],
    ids=["IPv4", "IPv6"],
)
def test_public_address_gets_a_socket(
    family: socket.AddressFamily, address: tuple[object, ...]
) -> None:
    with http_client._guarded_socket((family, socket.SOCK_STREAM, 6, "", address)) as made:
        assert made.family == family


# --- texts of URLs ---


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http:",
        "http://",
        "http:///path",
        "//good.test/",
        "good.test",
        "gopher://good.test/_x",
        "gopher://good.test:80/_x",
        "ws://good.test/",
        "file:///etc/passwd",
        "ftp://good.test/",
        "javascript:alert(1)",
        "data:,x",
        "http://good@127.0.0.1/",
        "http://user@good.test/",
        "http://user:password@good.test/",
        "http://127.0.0.1#@good.test",
        "http://127.0.0.1\\@good.test/",
        "http://good.test\\@127.0.0.1/",
        "http://good.test/\r\nHost: inside.test",
        "http://good.test\r\n/",
        "http://good.test/\tx",
        "http://good.test/\x00",
        "http://good.test/\x7f",
        "http://good.test/\udc80",
        "http://good.test:6379/",
        "http://good.test:5432/",
        "http://good.test:22/",
        "http://good.test:0/",
        "http://good.test:65536/",
        "http://good.test:80:80/",
        "http://[good.test]/",
        "http://@:80/",
        "http://[::1/",
        f"http://{'a.' * 130}test/",
        f"http://{'a' * 300}/",
    ],
)
async def test_url_is_refused(client: HttpClient, names: Names, url: str) -> None:
    message = await refusal(client, url)

    assert message == REFUSAL
    assert names.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "gopher://good.test/",
        "file:///etc/passwd",
        "http://good@127.0.0.1/",
        "http://good.test:6379/",
        "//127.0.0.1/",
        "magnet:?xt=urn:btih:0",
        "http://good.test/\tx",
        "http://[::1/",
    ],
)
async def test_redirect_to_a_url_that_is_refused(
    client: HttpClient, names: Names, location: str
) -> None:
    async with raw_server(always(reply(302, headers={"Location": location}))) as server:
        allowed = frozenset({("127.0.0.1", server.port)})

        message = await refusal(client, server.url, allowed)

    assert message == REFUSAL
    assert len(server.requests) == 1
    assert names.asked == []


def test_redirect_from_https_to_http_is_refused() -> None:
    with pytest.raises(UpstreamUnavailable, match=REFUSAL):
        http_client._next_hop(URL("https://a.test/"), "http://a.test/", frozenset())


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://b.test/x", "https://b.test/x"),
        ("/x?y=1", "https://a.test/x?y=1"),
        ("x", "https://a.test/dir/x"),
        ("//b.test/", "https://b.test/"),
    ],
)
def test_redirect_leads_where_it_says(location: str, expected: str) -> None:
    onward = http_client._next_hop(URL("https://a.test/dir/"), location, frozenset())

    assert str(onward) == expected


def test_redirect_from_http_to_https_is_followed() -> None:
    onward = http_client._next_hop(URL("http://a.test/"), "https://a.test/", frozenset())

    assert str(onward) == "https://a.test/"


# --- the chase ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_three_times(client: HttpClient, status: int) -> None:
    hop = reply(status, headers={"Location": "/next"})
    async with raw_server(in_turn(hop, hop, hop, reply(200, b"there"))) as server:
        allowed = frozenset({("127.0.0.1", server.port)})
        answer = await client.fetch_foreign(server.url, deadline=soon(), allowed=allowed)

    assert answer.reply.body == b"there"
    assert answer.location is None


async def test_redirect_loop_ends_after_three_hops(client: HttpClient) -> None:
    async with raw_server(always(reply(302, headers={"Location": "/"}))) as server:
        message = await refusal(client, server.url, frozenset({("127.0.0.1", server.port)}))

    assert message == REFUSAL
    assert len(server.requests) == 4


async def test_twenty_hops_end_after_three(client: HttpClient) -> None:
    hops = [reply(302, headers={"Location": f"/{number}"}) for number in range(20)]
    async with raw_server(in_turn(*hops, reply(200, b"there"))) as server:
        message = await refusal(client, server.url, frozenset({("127.0.0.1", server.port)}))

    assert message == REFUSAL
    assert len(server.requests) == 4


async def test_redirect_without_location_is_a_reply(client: HttpClient) -> None:
    async with raw_server(always(reply(302, b"body"))) as server:
        allowed = frozenset({("127.0.0.1", server.port)})
        answer = await client.fetch_foreign(server.url, deadline=soon(), allowed=allowed)

    assert (answer.reply.status, answer.reply.body) == (302, b"body")


async def test_chase_ends_at_a_magnet(client: HttpClient) -> None:
    onward = reply(301, headers={"Location": "Magnet:?xt=urn:btih:0"})
    async with raw_server(always(onward)) as server:
        allowed = frozenset({("127.0.0.1", server.port)})
        answer = await client.fetch_foreign(
            server.url, deadline=soon(), allowed=allowed, stop_at="magnet:"
        )

    assert answer.location == "Magnet:?xt=urn:btih:0"


async def test_headers_go_to_the_first_host_only(client: HttpClient) -> None:
    async with raw_server(always(reply(200))) as second:
        onward = reply(302, headers={"Location": f"http://other.test:{second.port}/"})
        hops = in_turn(reply(302, headers={"Location": "/again"}), onward)
        async with raw_server(hops) as first:
            await client.fetch_foreign(
                f"http://prowlarr.test:{first.port}/",
                deadline=soon(),
                allowed=frozenset({("prowlarr.test", first.port), ("other.test", second.port)}),
                headers={"Authorization": "Bearer CANARY", "X-Api-Key": "CANARY"},
            )

    assert [header(request, "X-Api-Key") for request in first.requests] == ["CANARY", "CANARY"]
    assert "CANARY" not in second.requests[0]


async def test_headers_are_dropped_when_only_the_port_changes(client: HttpClient) -> None:
    async with raw_server(always(reply(200))) as second:
        onward = reply(302, headers={"Location": second.url})
        async with raw_server(always(onward)) as first:
            await client.fetch_foreign(
                first.url,
                deadline=soon(),
                allowed=frozenset({("127.0.0.1", first.port), ("127.0.0.1", second.port)}),
                headers={"Cookie": "CANARY"},
            )

    assert "CANARY" not in second.requests[0]


# --- what the operator allows ---


async def test_operators_own_private_upstream_is_reached(client: HttpClient) -> None:
    async with raw_server(always(reply(200, b"found"))) as server:
        answer = await client.fetch_foreign(
            f"http://PROWLARR.test:{server.port}/",
            deadline=soon(),
            allowed=frozenset({("prowlarr.test", server.port)}),
        )

    assert answer.reply.body == b"found"


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1", "localhost"])
async def test_permission_covers_no_other_host_on_the_same_port(
    client: HttpClient, inside: RawServer, host: str
) -> None:
    allowed = frozenset({("prowlarr.test", inside.port)})

    message = await refusal(client, f"http://{host}:{inside.port}/", allowed)

    assert message == REFUSAL
    assert inside.connections == 0


async def test_permission_covers_no_other_port_of_the_same_host(
    client: HttpClient, inside: RawServer
) -> None:
    allowed = frozenset({("prowlarr.test", inside.port + 1)})

    message = await refusal(client, f"http://prowlarr.test:{inside.port}/", allowed)

    assert message == REFUSAL
    assert inside.connections == 0


async def test_connection_of_the_operator_is_not_lent_to_strangers(
    client: HttpClient, inside: RawServer
) -> None:
    url = f"http://prowlarr.test:{inside.port}/"
    allowed = frozenset({("prowlarr.test", inside.port)})
    await client.fetch_foreign(url, deadline=soon(), allowed=allowed)

    message = await refusal(client, url)

    assert message == REFUSAL
    assert len(inside.requests) == 1
