"""Reading .torrent files, honest ones and others."""

import hashlib
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.torrent import TorrentFile
from addon.torrent_file import read_torrent_file


def bencode(value: Any) -> bytes:
    """Encode as real writers do: keys sorted, text as UTF-8."""
    match value:
        case int():
            return b"i%de" % value
        case str():
            return bencode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(map(bencode, value)) + b"e"
        case _:
            pairs = sorted(value.items())
            return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"


def single(**changed: Any) -> dict[str, Any]:
    return {"name": "film.mkv", "length": 700, "piece length": 16, "pieces": b"x" * 20} | changed


def several(*files: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"name": "Pack", "files": list(files), "pieces": b"x" * 20} | changed


def torrent(info: Any, **around: Any) -> bytes:
    return bencode({"announce": "udp://one.example:1", "info": info} | around)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def files_of(info: dict[str, Any]) -> tuple[TorrentFile, ...]:
    read = read_torrent_file(torrent(info))
    assert read is not None
    return read.files


def test_torrent_of_one_file_is_read() -> None:
    read = read_torrent_file(torrent(single()))

    assert read is not None
    assert read.info_hash == hashlib.sha1(bencode(single())).hexdigest()
    assert read.name == "film.mkv"
    assert read.files == (TorrentFile("film.mkv", 700, 0),)
    assert not read.private
    assert read.trackers == ("udp://one.example:1",)


def test_info_hash_is_of_the_bytes_as_they_stand() -> None:
    unsorted = b"d6:pieces1:x4:name1:a6:lengthi007ee"

    read = read_torrent_file(b"d4:info" + unsorted + b"e")

    assert read is not None
    assert read.info_hash == hashlib.sha1(unsorted).hexdigest()


def test_info_of_an_inner_dictionary_is_not_the_torrents() -> None:
    read = read_torrent_file(torrent(single(info={"name": "inner"}), azureus={"info": {"a": 1}}))

    assert read is not None
    assert read.info_hash == hashlib.sha1(bencode(single(info={"name": "inner"}))).hexdigest()


def test_files_keep_their_order_and_directories() -> None:
    files = files_of(
        several({"path": ["b", "two.mkv"], "length": 2}, {"path": ["one.mkv"], "length": 0})
    )

    assert files == (TorrentFile("b/two.mkv", 2, 0), TorrentFile("one.mkv", 0, 1))


@pytest.mark.parametrize(
    "padding",
    [
        {"path": [".pad", "16"], "length": 16, "attr": "p"},
        {"path": ["_____padding_file_0_if you see this"], "length": 16},
    ],
    ids=["BEP 47", "by its name"],
)
def test_padding_keeps_its_index_and_is_left_out(padding: dict[str, Any]) -> None:
    files = files_of(
        several({"path": ["a"], "length": 1}, padding, {"path": ["b"], "length": 2, "attr": "x"})
    )

    assert files == (TorrentFile("a", 1, 0), TorrentFile("b", 2, 2))


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (["..", "..", "etc", "passwd"], "etc/passwd"),
        ([".", "a", "", "b"], "a/b"),
        (["a/b", "c\\d"], "a_b/c_d"),
        (["a\x00b\nc"], "a_b_c"),
        ([b"\xff\xfe.mkv"], "\ufffd\ufffd.mkv"),
        (["x" * 5_000], "x" * 1_000),
    ],
    ids=["upwards", "empty parts", "separators", "control characters", "not UTF-8", "long"],
)
def test_path_is_made_harmless(path: list[Any], read: str) -> None:
    files = files_of(several({"path": path, "length": 1}))

    assert [file.path for file in files] == [read]


def test_utf_8_names_are_preferred() -> None:
    files = files_of(
        several({"path": [b"\xe9"], "path.utf-8": ["é"], "length": 1}, **{"name.utf-8": "Ü"})
    )

    assert files == (TorrentFile("é", 1, 0),)


@pytest.mark.parametrize(("flag", "private"), [(1, True), (0, False), ("1", False)])
def test_private_flag_is_read(flag: object, private: bool) -> None:
    read = read_torrent_file(torrent(single(private=flag)))

    assert read is not None
    assert read.private is private


def test_announce_urls_of_a_private_torrent_are_not_kept() -> None:
    read = read_torrent_file(
        torrent(single(private=1), announce="https://site.example/passkey/announce")
    )

    assert read is not None
    assert read.trackers == ()


def test_trackers_are_listed_once_and_bounded() -> None:
    tiers = [["udp://one.example:1", "udp://two.example:1"], [f"udp://{n}" for n in range(50)], 5]

    read = read_torrent_file(torrent(single(), **{"announce-list": tiers}))

    assert read is not None
    assert read.trackers[:2] == ("udp://one.example:1", "udp://two.example:1")
    assert len(read.trackers) == 20


def test_bytes_after_the_torrent_are_ignored() -> None:
    assert read_torrent_file(torrent(single()) + b"\n") is not None


HOSTILE = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html></html>",
    "lists without end": b"l" * 100_000,
    "dictionaries without end": b"d1:a" * 100_000,
    "deeper than 32": torrent(single(extra=nested(31))),
    "end without a start": b"e",
    "length beyond the body": b"99999999:",
    "length of many digits": b"9" * 1_000_000 + b":",
    "negative length": b"-5:hello",
    "signed length": b"+5:hello",
    "number without an end": b"i" + b"1" * 1_000_000,
    "number of many digits": b"i" + b"9" * 21 + b"e",
    "number without digits": b"i-e",
    "key that is a number": b"di1e1:ae",
    "key without a value": b"d4:infoe",
    "key that is there twice": b"d" + 2 * (b"4:info" + bencode(single())) + b"e",
    "cut short": torrent(single())[:-5],
    "a list": b"le",
    "a number": b"i5e",
    "no info": bencode({"announce": "udp://one.example:1"}),
    "info that is a text": torrent("film"),
    "version 2 alone": torrent({"name": "a", "meta version": 2, "file tree": {}}),
    "no name": torrent({"length": 1, "pieces": b"x"}),
    "no files": torrent(several()),
    "files that are a text": torrent(single(files="none")),
    "a file that is a text": torrent(several("file")),  # type: ignore[arg-type]  # hostile
    "a file without a path": torrent(several({"length": 1})),
    "a path that is a text": torrent(several({"length": 1, "path": "a"})),
    "a path of numbers": torrent(several({"length": 1, "path": [1]})),
    "negative size": torrent(single(length=-1)),
    "size beyond 63 bits": torrent(single(length=2**63)),
    "20,001 files": torrent(several(*({"path": ["a"], "length": 1} for _ in range(20_001)))),
    "more values than any torrent has": b"l" + b"i0e" * 3_000_000 + b"e",
}  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_torrent_is_none(body: bytes) -> None:
    assert read_torrent_file(body) is None


def test_as_many_files_as_are_allowed_are_read() -> None:
    files = files_of(several(*({"path": ["d", "a"], "length": 1} for _ in range(20_000))))

    assert len(files) == 20_000


def test_as_deep_as_is_allowed_is_read() -> None:
    assert read_torrent_file(torrent(single(extra=nested(30)))) is not None


@pytest.mark.deep
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_body_costs_little_time_and_memory(body: bytes) -> None:
    started = time.monotonic()
    read_torrent_file(body)
    took = time.monotonic() - started
    tracemalloc.start()

    read_torrent_file(body)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 1
    assert peak < 40 * 1024 * 1024


@given(st.binary(max_size=200))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    read_torrent_file(body)
    read_torrent_file(b"d4:info" + body)
    read_torrent_file(b"d4:infod" + body + b"6:pieces1:xee")


_names = st.text(st.characters(exclude_characters="/\\\x7f", exclude_categories=["Cc", "Cs"]))
_names = _names.map(str.strip).filter(lambda name: name not in {"", ".", ".."})


@given(st.lists(st.tuples(_names, st.integers(0, 2**63 - 1)), min_size=1, max_size=5))
def test_whatever_is_written_is_read(listed: list[tuple[str, int]]) -> None:
    info = several(*({"path": ["in", name], "length": size} for name, size in listed))

    files = files_of(info)

    expected = [(f"in/{name}", size, index) for index, (name, size) in enumerate(listed)]
    assert [(file.path, file.size_bytes, file.index) for file in files] == expected
