"""Telling devices apart by what an addon request shows, and by nothing that a caller can forge."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.device import AGGREGATOR_HEADER, Device, DeviceReader, classify, widen
from infra.keyring import KeyRing
from infra.secret import Secret

HOME = "8.8.8.8"
MOBILE = "9.9.9.9"
SECRET = "aggregator-secret"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{} Safari/537.36"
)
DESKTOP = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) QtWebEngine/{} "
    "Chrome/83.0.4103.122 Safari/537.36 StremioShell/{}"
)
APPLE = "Stremio-Apple/{} iPhone"

# Every header that any server is known to take an address from.
FORGED = {
    "x-forwarded-for": MOBILE,
    "x-real-ip": MOBILE,
    "x-client-ip": MOBILE,
    "cf-connecting-ip": MOBILE,
    "true-client-ip": MOBILE,
    "forwarded": f"for={MOBILE}",
    "x-forwarded-host": MOBILE,
    "via": "1.1 proxy",
}


@pytest.fixture
def reader(ring: KeyRing) -> DeviceReader:
    return DeviceReader(ring, 64, (Secret("another-secret"), Secret(SECRET)))


def read(reader: DeviceReader, address: str = HOME, agent: str = "", **headers: str) -> Device:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reader.read(address, {"user-agent": agent, **named})


class TestSameDevice:
    def test_privacy_addresses_of_one_network(self, reader: DeviceReader) -> None:
        addresses = [f"2001:db8:1:2:{number:x}::{number:x}" for number in range(1, 11)]

        devices = {read(reader, address) for address in addresses}

        assert len(devices) == 1

    def test_address_mapped_into_ipv6(self, reader: DeviceReader) -> None:
        assert read(reader, f"::ffff:{HOME}") == read(reader, HOME)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (CHROME.format("120.0.0.0"), CHROME.format("131.0.6778.86")),
            (DESKTOP.format("5.15.2", "4.4.142"), DESKTOP.format("6.8.0", "4.4.168")),
            (APPLE.format("1.2.3"), APPLE.format("2.0.0 (77)")),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
                "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
            ),
            ("Kodi/20.1 (Linux; Android 11.0)", "Kodi/21.2 (Linux; Android 14.0)"),
        ],
        ids=["browser", "desktop", "apple", "firefox", "kodi"],
    )
    def test_update_of_the_app(self, reader: DeviceReader, before: str, after: str) -> None:
        assert read(reader, agent=before) == read(reader, agent=after)

    def test_absent_name_and_empty_name(self, reader: DeviceReader) -> None:
        assert reader.read(HOME, {}) == read(reader, agent="")

    @pytest.mark.parametrize("header", FORGED)
    def test_forged_header(self, reader: DeviceReader, header: str) -> None:
        assert read(reader, **{header: FORGED[header]}) == read(reader)

    def test_all_addresses_of_the_own_network(self, reader: DeviceReader) -> None:
        addresses = ["192.168.1.7", "10.0.0.1", "127.0.0.1", "::1", "fd00::1", "fe80::1", "", "x"]

        assert len({read(reader, address) for address in addresses}) == 1


class TestOtherDevice:
    def test_each_family_at_one_address_is_a_device(self, reader: DeviceReader) -> None:
        agents = ["", CHROME.format("1"), DESKTOP.format("1", "2"), APPLE.format("1"), "Kodi/1"]

        assert len({read(reader, agent=agent).ids for agent in agents}) == len(agents)

    @pytest.mark.parametrize(
        ("one", "other"),
        [(HOME, MOBILE), (HOME, "8.8.8.9"), ("2001:db8:1:2::1", "2001:db8:1:3::1"), (HOME, "")],
    )
    def test_other_network(self, reader: DeviceReader, one: str, other: str) -> None:
        here, there = read(reader, one), read(reader, other)

        assert here.ids != there.ids
        assert here.network != there.network
        assert here.device_class == there.device_class

    def test_wider_prefix_joins_networks_of_one_house(self, ring: KeyRing) -> None:
        reader = DeviceReader(ring, 56, ())

        assert read(reader, "2001:db8:1:200::1") == read(reader, "2001:db8:1:2ff::1")
        assert read(reader, "2001:db8:1:200::1") != read(reader, "2001:db8:1:300::1")


class TestSecrets:
    def test_id_under_the_old_secret_is_among_the_ids(self) -> None:
        old, new = ("a", b"a" * 32), ("b", b"b" * 32)
        before = read(DeviceReader(KeyRing([old]), 64, ()))

        after = read(DeviceReader(KeyRing([new, old]), 64, ()))

        assert after.ids[1:] == before.ids
        assert after.ids[0] == read(DeviceReader(KeyRing([new]), 64, ())).ids[0]

    def test_neither_address_nor_name_is_kept(self, reader: DeviceReader) -> None:
        device = read(reader, agent="Living room TV of Ada; Tizen")

        assert HOME not in repr(device)
        assert "Ada" not in repr(device)
        assert [len(one) for one in device.ids] == [32, 32]
        assert len(device.network) == 16

    def test_ids_mean_nothing_without_the_secret(self, reader: DeviceReader) -> None:
        other = DeviceReader(KeyRing([("x", b"x" * 32)]), 64, ())

        assert not set(read(reader).ids) & set(read(other).ids)
        assert read(reader).network != read(other).network


class TestAggregator:
    def test_with_its_secret_it_states_the_address_of_its_user(self, reader: DeviceReader) -> None:
        headers = {AGGREGATOR_HEADER: SECRET}

        one = read(reader, agent="x", **headers, x_client_ip=HOME)
        other = read(reader, agent="y", **headers, x_client_ip=f" {MOBILE} ")

        assert one.device_class == other.device_class == "aggregator"
        assert one.network == read(reader, HOME).network
        assert other.network == read(reader, MOBILE).network
        assert one.ids != other.ids

    @pytest.mark.parametrize(
        "secret", ["", "x", SECRET[:-1], f"{SECRET} ", SECRET.upper(), "é", "\ud800"]
    )
    def test_without_it_nothing_changes(self, reader: DeviceReader, secret: str) -> None:
        headers = {AGGREGATOR_HEADER: secret, "x-client-ip": MOBILE, "user-agent": "x"}

        assert not reader.is_aggregator(headers)
        assert reader.read(HOME, headers) == read(reader, agent="x")

    def test_each_configured_secret_counts(self, reader: DeviceReader) -> None:
        assert reader.is_aggregator({AGGREGATOR_HEADER: "another-secret"})
        assert reader.is_aggregator({AGGREGATOR_HEADER: SECRET})

    def test_empty_secret_opens_nothing(self, ring: KeyRing) -> None:
        reader = DeviceReader(ring, 64, (Secret(""),))

        assert not reader.is_aggregator({AGGREGATOR_HEADER: ""})
        assert not reader.is_aggregator({})

    def test_that_states_no_address_is_its_own_network(self, reader: DeviceReader) -> None:
        device = read(reader, agent="Comet/1.0", **{AGGREGATOR_HEADER: SECRET}, x_client_ip=" ")

        assert device.network == read(reader, HOME).network
        assert device.device_class == "aggregator"

    @pytest.mark.parametrize("stated", ["garbage", "8.8.8.8, 9.9.9.9", "8.8.8.8:80", "10.0.0.1"])
    def test_address_that_is_none_is_in_no_network(self, reader: DeviceReader, stated: str) -> None:
        device = read(reader, **{AGGREGATOR_HEADER: SECRET}, x_client_ip=stated)

        assert device.network == read(reader, "192.168.0.1").network


@pytest.mark.parametrize(
    ("agent", "device_class"),
    [
        ("", "android"),
        (CHROME.format("131.0.0.0"), "chromium"),
        (CHROME.format("131.0.0.0") + " Edg/131.0.0.0", "chromium"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "firefox"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X) Version/17.4 Safari/605.1.15", "safari"),
        (DESKTOP.format("5.15.2", "4.4.168"), "desktop"),
        ("Stremio-Apple/1.3.1 iPhone von Ada", "ios"),
        ("Stremio-Apple/1.3.1 Apple TV", "tvos"),
        ("Stremio-Apple/1.3.1 AppleTV14,1", "tvos"),
        ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 Chrome/76 TV", "tv"),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/94 Safari/537.36", "tv"),
        ("Kodi/21.0 (X11; Linux x86_64)", "kodi"),
        ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "aggregator"),
        ("AIOStreams/2.0", "aggregator"),
        ("okhttp/4.12.0", "okhttp"),
        ("curl/8.5.0", "other"),
        (" ", "other"),
        ("x" * 512 + "Chrome/1", "other"),
    ],
)
def test_class_of_a_client(agent: str, device_class: str) -> None:
    assert classify(agent) == device_class


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2A00:1450:0:1:FFFF::1", "2a00:1450:0:1::/64"),
        ("100.64.0.1", "lan"),
        ("169.254.1.1", "lan"),
        ("::ffff:192.168.0.1", "lan"),
        ("fe80::1%eth0", "lan"),
        ("2001:db8::1%eth0", "lan"),
        ("64:ff9b::808:808", "lan"),
        ("2002:808:808::1", "lan"),
        ("2001:0:808:808::1", "lan"),
        ("0.0.0.0", "lan"),
        ("8.8.8.8:443", "lan"),
        ("[2001:db8::1]", "lan"),
        ("8.8.8.08", "lan"),
        ("134744072", "lan"),
        ("unix:/run/socket", "lan"),
    ],
)
def test_network_of_an_address(address: str, network: str) -> None:
    assert widen(address) == network


@given(st.text(), st.text())
def test_no_header_and_no_address_breaks_the_reader(address: str, agent: str) -> None:
    reader = DeviceReader(KeyRing([("k", b"k" * 32)]), 64, (Secret(SECRET),))

    device = reader.read(address, {"user-agent": agent, AGGREGATOR_HEADER: agent})

    assert len(device.ids) == 1


@pytest.mark.parametrize(
    "agent",
    [
        "Stremio-Apple/" + "a" * 100_000,
        "Stremio-Apple/" + " apple" * 20_000,
        "Chrome" * 20_000,
        " " * 100_000,
    ],
    ids=["long-version", "nearly-apple-tv", "no-slash", "blanks"],
)
def test_long_name_costs_no_time(agent: str) -> None:
    started = time.perf_counter()

    classify(agent)

    assert time.perf_counter() - started < 0.25
