"""Reading XML from outside."""

from collections.abc import Callable

import pytest
from starlette.responses import Response

from infra.errors import ReplyInvalid
from infra.xml import parse_xml
from tests.fakes import faults


async def test_tags_are_local_names() -> None:
    root = await parse_xml(b'<a:rss xmlns:a="x" xmlns:b="y"><b:attr name="n"/><a:attr/></a:rss>')

    assert [element.tag for element in root.iter()] == ["rss", "attr", "attr"]


async def test_declared_encoding_is_obeyed() -> None:
    body = '<?xml version="1.0" encoding="windows-1251"?><a>Привет</a>'.encode("cp1251")

    root = await parse_xml(body)

    assert root.text == "Привет"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<a>\x00x\x1fy</a>", "xy"),
        (b"<a>x&#0;&#x01;&#31;y</a>", "xy"),
        (b"\n\n<?xml version='1.0'?><a>xy</a>", "xy"),
        (b"<a>\x01&#10;&#x9;&#x20;&#1041;</a>", "\n\t Б"),
    ],
    ids=["bare", "references", "blanks before the start", "legal references stay"],
)
async def test_body_broken_by_control_characters_is_mended(body: bytes, text: str) -> None:
    root = await parse_xml(body)

    assert root.text == text


@pytest.mark.parametrize(("depth", "is_read"), [(64, True), (65, False)])
async def test_depth_is_bounded(depth: int, is_read: bool) -> None:
    body = b"<a>" * depth + b"</a>" * depth

    if is_read:
        assert (await parse_xml(body)).tag == "a"
    else:
        with pytest.raises(ReplyInvalid):
            await parse_xml(body)


@pytest.mark.parametrize(("count", "is_read"), [(99_999, True), (100_000, False)])
async def test_number_of_elements_is_bounded(count: int, is_read: bool) -> None:
    body = b"<r>" + b"<a/>" * count + b"</r>"

    if is_read:
        assert len(await parse_xml(body)) == count
    else:
        with pytest.raises(ReplyInvalid):
            await parse_xml(body)


async def test_any_document_type_is_refused() -> None:
    with pytest.raises(ReplyInvalid):
        await parse_xml(b"<!DOCTYPE rss><rss/>")


XML_BOMBS = {
    name: make for name, make in faults.HOSTILE.items()
    if not name.startswith(("50 MiB", "gzip"))
}  # fmt: skip


@pytest.mark.parametrize("make", XML_BOMBS.values(), ids=XML_BOMBS)
async def test_hostile_body_is_refused(make: Callable[[], Response]) -> None:
    with pytest.raises(ReplyInvalid):
        await parse_xml(bytes(make().body))
