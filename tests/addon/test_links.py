"""Which links of a store may be handed to a player."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.playback.resolve import is_fit_link

GOOD = [
    "https://cdn.example/file.mkv",
    "https://cdn.example:8443/dl/a%20b.mkv?token=x&sig=y#part",
    "https://CDN.Example/file.mkv",
    "HTTPS://cdn.example/file.mkv",
    "https://store_1.cdn-2.example/",
    "https://cdn.example./file.mkv",
    "https://xn--e1afmkfd.xn--p1ai/file.mkv",
    "https://8.8.8.8/file.mkv",
    "https://203.0.113.7/file.mkv",
    "https://[2001:db8::1]:8443/file.mkv",
    "https://cdn.example/a b.mkv",
    "https://cdn.example/a@b.mkv",
    "https://1.2.3.4.example/file.mkv",
    "https://cdn.example",
]
PLAIN = [
    "http://cdn.example/file.mkv",
    "http://127.0.0.1:9000/file.mkv",
    "https://192.168.1.5/file.mkv",
    "http://[::1]:8080/file.mkv",
    "http://localhost/file.mkv",
    "http://debrid:8080/file.mkv",
    "https://nas.local/file.mkv",
]
PRIVATE = [
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://127.0.0.0x1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fd00::1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://metadata.google.internal/",
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://a.localhost/",
    "https://router.lan/",
    "https://nas.local./",
    "https://printer.home.arpa/",
    "https://intranet/",
]
NEVER = [
    "",
    "https:",
    "https://",
    "https:///file.mkv",
    "https:evil.example",
    "https:/evil.example",
    "//evil.example/file.mkv",
    "/file.mkv",
    "evil.example/file.mkv",
    "\\\\evil.example\\file.mkv",
    "https://good.example\\@evil.example/",
    "https:\\\\evil.example/",
    "https://user@cdn.example/",
    "https://user:word@cdn.example/",
    "https://@cdn.example/",
    "https://good.example@127.0.0.1/",
    " https://cdn.example/",
    "\thttps://cdn.example/",
    "https://cdn.example/\r\nSet-Cookie: x",
    "https://cdn.exa\nmple/",
    "https://cdn.example/\0",
    "https://cdn.example/\x7f",
    "https://cdn.example/ü",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://cdn example/",
    "https://cdn.example%2f.evil.example/",
    "https://%6c%6f%63%61%6c%68%6f%73%74/",
    "https://127.0.0.1%00.example/",
    "https://cdn.example:99999/",
    "https://cdn.example:port/",
    "https://[::1/",
    "https://[fe80::1%25eth0]/",
    "https://[v1.x]/",
    "https://cdn..example/",
    "https://a..b/",
    "https://.example/",
    "https://./",
    "https://../",
    "ftp://cdn.example/",
    "file:///etc/passwd",
    "javascript://cdn.example/%0aalert(1)",
    "data:text/html,x",
    "gopher://cdn.example/",
    "magnet:?xt=urn:btih:x",
    "httpsx://cdn.example/",
    "https://cdn.example/" + "a" * 5_000,
]


@pytest.mark.parametrize("url", GOOD)
def test_public_https_link_is_fit(url: str) -> None:
    assert is_fit_link(url, may_be_plain=False)
    assert is_fit_link(url, may_be_plain=True)


@pytest.mark.parametrize("url", PLAIN)
def test_plain_or_private_link_is_fit_only_for_the_operators_own_store(url: str) -> None:
    assert is_fit_link(url, may_be_plain=True)
    assert not is_fit_link(url, may_be_plain=False)


@pytest.mark.parametrize("url", PRIVATE)
def test_link_into_somebodys_network_is_not_fit(url: str) -> None:
    assert not is_fit_link(url, may_be_plain=False)


@pytest.mark.parametrize("url", NEVER, ids=ascii)
def test_link_that_can_be_read_in_two_ways_is_never_fit(url: str) -> None:
    assert not is_fit_link(url, may_be_plain=False)
    assert not is_fit_link(url, may_be_plain=True)


@given(st.text(), st.booleans())
def test_no_text_breaks_the_check(text: str, may_be_plain: bool) -> None:
    is_fit_link(text, may_be_plain=may_be_plain)
    is_fit_link(f"https://{text}", may_be_plain=may_be_plain)


@pytest.mark.parametrize("part", ["a.", "a-", "::", "1.", "."])
def test_long_host_costs_no_time(part: str) -> None:
    started = time.perf_counter()

    assert not is_fit_link(f"https://{part * 1_500}!/", may_be_plain=False)

    assert time.perf_counter() - started < 0.25
