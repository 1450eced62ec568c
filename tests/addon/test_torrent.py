"""Reading info hashes and magnets."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.torrent import Magnet, read_info_hash, read_magnet

HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "text",
    [
        HASH,
        HASH.upper(),
        f" {HASH}\n",
        base64.b32encode(bytes.fromhex(HASH)).decode(),
        base64.b32encode(bytes.fromhex(HASH)).decode().lower(),
        HASH.encode().hex(),
        HASH.upper().encode().hex().upper(),
    ],
    ids=["lower", "upper", "blanks", "base32", "base32 lower", "hex of hex", "upper hex of hex"],
)
def test_info_hash_is_normalised(text: str) -> None:
    assert read_info_hash(text) == HASH


@pytest.mark.parametrize(
    "text",
    [
        "", HASH[:-1], HASH + "0", "g" * 40, "0" * 40, "a" * 32 * 2, "0" * 32, "1" * 32,
        "a" * 31 + "=", "ff" * 40, "0１" * 20, "30" * 40, HASH[:39] + "\u0660",
    ],
    ids=lambda text: text[:12] or "empty",
)  # fmt: skip
def test_what_is_no_hash_of_version_1_is_none(text: str) -> None:
    assert read_info_hash(text) is None


@given(st.text(max_size=100))
def test_whatever_is_read_is_a_hash(text: str) -> None:
    info_hash = read_info_hash(text)

    assert info_hash is None or (len(info_hash) == 40 and read_info_hash(info_hash) == info_hash)


@given(st.binary(min_size=20, max_size=20).filter(any))
def test_base32_and_hex_name_the_same_torrent(digest: bytes) -> None:
    assert read_info_hash(base64.b32encode(digest).decode()) == digest.hex()
    assert read_info_hash(digest.hex()) == digest.hex()


def test_magnet_is_read_with_name_and_trackers() -> None:
    text = (
        f"magnet:?xt=urn:btih:{HASH.upper()}&dn=Example%20Film+2021&xl=5"
        "&tr=udp%3A%2F%2Fone.example%3A1&tr.1=http%3A%2F%2Ftwo.example"
    )

    magnet = read_magnet(text)

    assert magnet == Magnet(
        HASH, "Example Film 2021", ("udp://one.example:1", "http://two.example")
    )


@pytest.mark.parametrize(
    "text",
    [
        f"magnet:?dn=x&xt=urn:btih:{HASH}",
        f"MAGNET:?xt=urn:btih:{HASH}",
        f"magnet:?xt=URN:BTIH:{HASH}",
        f"magnet:?xt.1=urn:btih:{HASH}",
        f"magnet:?xt=urn:btmh:1220{'a' * 64}&xt=urn:btih:{HASH}",
        f"magnet:?xt=urn:btih:&xt=urn:btih:{HASH}",
    ],
    ids=["after the name", "upper", "upper topic", "numbered topic", "hybrid", "second topic"],
)
def test_hash_is_found_in_a_magnet(text: str) -> None:
    magnet = read_magnet(text)

    assert magnet is not None
    assert magnet.info_hash == HASH


@pytest.mark.parametrize(
    "text",
    [
        "",
        HASH,
        f"http://a.example/?xt=urn:btih:{HASH}",
        f"magnet:xt=urn:btih:{HASH}",
        "magnet:?dn=nothing",
        f"magnet:?xt=urn:btmh:1220{'a' * 64}",
        f"magnet:?xt=urn:btih:{'0' * 40}",
        f"magnet:?xt=urn:btih:{HASH}" + "&a=1" * 200,
        f"magnet:?xt=urn:btih:{HASH}&dn=" + "x" * 20_000,
    ],
    ids=[
        "empty", "bare hash", "web link", "no query", "no topic", "version 2 alone", "all zeros",
        "too many fields", "too long",
    ],
)  # fmt: skip
def test_what_is_no_magnet_is_none(text: str) -> None:
    assert read_magnet(text) is None


def test_trackers_of_a_magnet_are_bounded() -> None:
    text = f"magnet:?xt=urn:btih:{HASH}" + "".join(f"&tr=udp://{n}" for n in range(50))

    magnet = read_magnet(text)

    assert magnet is not None
    assert len(magnet.trackers) == 20


@given(
    name=st.text(min_size=1, max_size=50).filter(lambda name: name.isprintable()),
    trackers=st.lists(st.sampled_from(["udp://one.example:1/a?b=c&d=e", "http://ü.example"])),
)
def test_magnet_is_read_as_it_was_written(name: str, trackers: list[str]) -> None:
    magnet = Magnet(HASH, name, tuple(trackers[:20]))

    assert read_magnet(str(magnet)) == magnet


def test_magnet_is_written_percent_encoded() -> None:
    name = "a&b=c d"

    text = str(Magnet(HASH, name))

    assert text == f"magnet:?xt=urn:btih:{HASH}&dn={quote(name, safe='')}"
