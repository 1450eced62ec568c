"""Config segments made to break us: each is refused at once, and no answer repeats a secret."""

import base64
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from addon.routes.stremio import manifest
from addon.user_config import MAX_CHARACTERS, decode_user_config
from infra.errors import ConfigInvalid
from tests.flows.world import CANARY, World, open_world

SECONDS = 0.25  # microseconds are usual; the rest is for a busy machine
STORE = f'{{"c":"tb","t":"{CANARY}"}}'.encode()
GOOD = b'{"stores":[' + STORE + b"]}"


def segment(data: bytes) -> str:
    return base64.b64encode(data).decode()


def inside(value: bytes) -> bytes:
    """Return a config that is good but for the value of an unknown key."""
    return b'{"stores":[' + STORE + b'],"x":' + value + b"}"


TEXT = segment(GOOD)
BARE = TEXT.rstrip("=")
EMPTY = segment(b'{"stores":[]}')  # ends in `==`
EMPTY_AND_A_BLANK = segment(b'{"stores":[]} ')  # ends in `=`
PADLESS = segment(b'{"stores":[]}  ')
BOTH = segment(b'{"stores":[],"x":"~~~????"}')  # has pluses and slashes
SPELLINGS = {
    "empty": "",
    "padding-alone": "====",
    "junk-behind": f"{BARE}!!==",
    "junk-inside": f"{TEXT[:8]}!!{TEXT[8:]}",
    "line-break": f"{TEXT[:8]}\n{TEXT[8:]}",
    "line-break-behind": f"{TEXT}\n",
    "star": f"{TEXT[:8]}*{TEXT[8:]}",
    "blank": f"{TEXT[:8]} {TEXT[8:]}",
    "nul": f"{TEXT}\0",
    "percent-encoded": TEXT.replace("=", "%3D") + "%2F",
    "wide-letters": TEXT.replace("J", "Ｊ"),
    "lone-surrogate": f"{TEXT}\ud800",
    "too-little-padding": EMPTY.removesuffix("="),
    "too-much-padding": f"{EMPTY_AND_A_BLANK}=",
    "padding-where-none-belongs": f"{PADLESS}=",
    "padding-inside": f"{EMPTY}{EMPTY}",
    "one-character-over": f"{PADLESS}A",
    "trailing-bits": EMPTY.replace("Q==", "R=="),
    "trailing-bits-bare": EMPTY.replace("Q==", "R"),
    "plus-and-underscore": BOTH.replace("/", "_"),
    "slash-and-minus": BOTH.replace("+", "-"),
    "both-slashes": BOTH.replace("/", "_", 1),
    "hidden-file-name": "manifest.json",
    "dots": "..",
}
DEPTHS = (900, 1_000, 100_000)
DOCUMENTS = {
    "not-json": b"stores",
    "cut-off": GOOD[:-1],
    "brace-too-many": GOOD + b"}",
    "two-documents": GOOD + GOOD,
    "byte-order-mark": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "invalid-utf-8": inside(b'"\xff"'),
    "invalid-utf-8-in-a-key": GOOD[:-1] + b',"\xff":1}',
    "nul": GOOD[:-1] + b"\0}",
    "control-character": inside(b'"a\nb"'),
    "lone-surrogate": inside(b'"\\ud800"'),
    "lone-surrogate-in-a-known-key": GOOD[:-1] + b',"sort":"\\udfff"}',
    "surrogate-in-utf-8": GOOD[:-1] + b',"sort":"\xed\xa0\x80"}',
    "nan": inside(b"NaN"),
    "infinity": inside(b"-Infinity"),
    "nan-for-a-number": GOOD[:-1] + b',"filter":{"minSize":NaN}}',
    "too-big-a-float": GOOD[:-1] + b',"filter":{"minSize":1e999}}',
    "float": GOOD[:-1] + b',"filter":{"minSize":0.5}}',
    "long-integer": GOOD[:-1] + b',"filter":{"minSize":' + b"9" * 2_900 + b"}}",
    "longer-integer": GOOD[:-1] + b',"filter":{"minSize":' + b"9" * 5_000 + b"}}",
    "integer-for-a-secret": b'{"stores":[{"c":"tb","t":1}],"x":"CANARY"}',
    "double-key": GOOD[:-1] + b',"stores":[]}',
    "double-key-inside": b'{"stores":[{"c":"tb","t":"CANARY","t":"x"}]}',
    "double-key-by-escape": GOOD[:-1] + b',"\\u0073tores":[]}',
    "double-key-in-an-unknown-one": inside(b'{"a":1,"a":2}'),
    "bare-brackets": b"[" * 1_000,
    "many-bare-brackets": b"[" * 100_000,
    "bomb-of-objects": inside(b'{"a":' * 500 + b"1" + b"}" * 500),
    "zeros": bytes(3_000),
    "deflated": base64.b64decode("eJztwTEBAAAAwqD1T20ND6AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    **{f"{depth}-deep": b"[" * depth + b"]" * depth for depth in DEPTHS},
    **{f"{depth}-deep-in-an-unknown-key": inside(b"[" * depth + b"]" * depth) for depth in DEPTHS},
    **{
        f"{depth}-deep-in-a-known-key": b'{"stores":' + b"[" * depth + b"]" * depth + b"}"
        for depth in DEPTHS
    },
}
HOSTILE = [
    *(pytest.param(text, id=name) for name, text in SPELLINGS.items()),
    *(pytest.param(segment(data), id=name) for name, data in DOCUMENTS.items()),
    *(
        pytest.param("A" * size, id=f"{size}-characters")
        for size in (4_097, 60_000, 70_000, 200_000, 2_000_000)
    ),
]


def test_texts_that_the_table_twists_are_good_ones() -> None:
    for text in (TEXT, BARE, EMPTY, EMPTY_AND_A_BLANK, PADLESS, BOTH):
        decode_user_config(text)
    assert set("+/") < set(BOTH)
    assert decode_user_config(segment(inside(b'{"a":[1e999,{"b":null}]}'))).stores


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused_at_once(text: str) -> None:
    started = time.perf_counter()

    with pytest.raises(ConfigInvalid) as raised:
        decode_user_config(text)

    assert time.perf_counter() - started < SECONDS
    assert CANARY not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_text_of_the_greatest_length_is_read() -> None:
    data = GOOD + b" " * (MAX_CHARACTERS // 4 * 3 - len(GOOD))

    assert len(segment(data)) == MAX_CHARACTERS
    assert decode_user_config(segment(data)).stores[0].code == "tb"
    with pytest.raises(ConfigInvalid, match="longer than"):
        decode_user_config(segment(data + b" "))


def refusal(text: str) -> str:
    """Return why a text is refused; nothing when it is not."""
    try:
        decode_user_config(text)
    except ConfigInvalid as error:
        return error.message
    return ""


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert len(refusal(text)) < 200


@given(st.binary(max_size=300))
@example(b'{"stores":[{"c":"tb","t":"\x7f"}]}')
def test_no_document_breaks_the_reader(data: bytes) -> None:
    assert len(refusal(segment(data))) < 200


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_no_changed_byte_brings_the_secret_out(place: int, byte: int) -> None:
    data = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]

    assert CANARY not in refusal(segment(data))


async def test_over_http_it_is_an_entry_and_never_an_error(
    database_url: str, tmp_path: Path
) -> None:
    async with open_world(database_url, tmp_path) as world:
        for name, data in DOCUMENTS.items():
            text = base64.urlsafe_b64encode(data).decode()
            if len(text) < 7_000:
                await _check_over_http(world, name, text)
        await _check_over_http(world, "4097-characters", "A" * 4_097)
        long = await world.get(f"/stremio/torz/{'A' * 9_000}/stream/movie/tt1234567.json")

    assert long.status == 414
    assert CANARY.encode() not in b"".join(world.seen)


async def test_each_good_spelling_is_read_over_http(database_url: str, tmp_path: Path) -> None:
    text = segment(b'{"stores":[{"c":"tb"}],"x":"~~~????"}')
    assert set("+/=") < set(text)
    spellings = [
        text, text.rstrip("="), text.replace("/", "%2F"), text.replace("+", "%2B"),
        text.replace("=", "%3D"), text.replace("/", "_").replace("+", "-"),
    ]  # fmt: skip

    async with open_world(database_url, tmp_path) as world:
        for spelling in spellings:
            listed = await world.get(f"/stremio/torz/{spelling}/stream/movie/tt1234567.json")
            installed = await world.get(f"/stremio/torz/{spelling}/manifest.json")
            assert "Configuration cannot be read" not in "".join(listed.texts)
            assert installed.json == manifest("Chillproxy", is_configured=True)


async def _check_over_http(world: World, name: str, text: str) -> None:
    listed = await world.get(f"/stremio/torz/{text}/stream/movie/tt1234567.json")
    installed = await world.get(f"/stremio/torz/{text}/manifest.json")

    assert listed.status == 200, name
    assert "Configuration cannot be read" in listed.texts[0], name
    assert listed.headers["cache-control"] == "no-store", name
    assert installed.json == manifest("Chillproxy", is_configured=False), name
