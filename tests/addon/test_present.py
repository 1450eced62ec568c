"""Entries as Stremio takes them, whatever strangers call their files."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.playback.notice import NOTICES
from addon.streams.present import (
    Entry,
    Shown,
    encode,
    notice_entry,
    quality_label,
    stream_entry,
)
from addon.titles.parse import Audio, Hdr, Release, parse_release
from addon.urls import Urls

NAME = "Example.Show.S01E02.2160p.WEB-DL.DDP5.1.Atmos.DV.HDR10.H.265-GRP"
SECURE, PLAIN = Urls("https://host.example/p"), Urls("http://127.0.0.1:8080")
HOSTILE = [
    "\x1a",
    r"\u001a",
    r"\\u001a",
    r"\\\u001a",
    '"',
    "\\",
    '\\"},{"url":"https://evil.example',
    '"}]}',
    "\0\x01\x1f\x7f\x80\x9f",
    "🎬",
    "\u2028\u2029\u202e\u2066",
    "\xff",
    "ÿ",
    "</script><svg onload=alert(1)>",
    "a\r\nb\tc",
    "\x1b[2J",
    "../../..",
    "%ff%00",
    "مسلسل",
    "x" * 10_000,
    " ",
    "",
]


def shown(name: str = NAME, **changes: Any) -> Shown:
    usual = Shown(
        badge="TB⚡",
        release=parse_release(name),
        name=name,
        file_name=f"{name}.mkv",
        size_bytes=12_345_678_901,
        is_pack_size=False,
        seeders=42,
        tracker="site",
        what="WHAT",
    )
    return msgspec.structs.replace(usual, **changes)


def streams_of(entries: list[Entry], who: bytes = b"WHO") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.JSONDecoder().decode(who.join(encode(entries)).decode())[
        "streams"
    ]
    return found


def stream_of(item: Shown, urls: Urls = SECURE) -> dict[str, Any]:
    (stream,) = streams_of([stream_entry(item, urls, "Chillproxy")])
    return stream


class TestEntry:
    def test_usual_stream(self) -> None:
        stream = stream_of(shown())

        assert stream == {
            "name": "[TB⚡] Chillproxy\n2160p DV HDR10 10bit",
            "description": (
                f"📄 {NAME}\n📁 {NAME}.mkv\nWEB-DL · HEVC\n🔊 Atmos DD+ 5.1\n"
                "💾 11.50 GB 👤 42 ⚙️ site"
            ),
            "url": f"https://host.example/p/stremio/play/WHO/WHAT/{NAME}.mkv",
            "behaviorHints": {
                "notWebReady": True,
                "bingeGroup": "chillproxy|2160p|web-dl|hevc|dv|hdr10|10bit|grp",
                "filename": f"{NAME}.mkv",
                "videoSize": 12_345_678_901,
            },
        }

    def test_what_is_not_known_is_left_out(self) -> None:
        stream = stream_of(
            shown("film", file_name="film", size_bytes=None, seeders=None, tracker="")
        )

        assert stream == {
            "name": "[TB⚡] Chillproxy",
            "description": "📄 film",
            "url": "https://host.example/p/stremio/play/WHO/WHAT/film",
            "behaviorHints": {
                "notWebReady": True, "bingeGroup": "chillproxy|", "filename": "film"
            },
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("urls", "file_name", "is_ready"),
        [
            (SECURE, "a.mp4", True),
            (SECURE, "a.MP4", True),
            (SECURE, "a.webm", True),
            (SECURE, "a.mkv", False),
            (SECURE, "a.mp4.mkv", False),
            (PLAIN, "a.mp4", False),
        ],
    )
    def test_web_players_are_told_what_they_cannot_play(
        self, urls: Urls, file_name: str, is_ready: bool
    ) -> None:
        hints = stream_of(shown(file_name=file_name), urls)["behaviorHints"]

        assert hints.get("notWebReady", False) is not is_ready

    @pytest.mark.parametrize(
        ("size_bytes", "is_pack", "text"),
        [
            (1, False, "💾 1 B "),
            (1_023, False, "💾 1023 B "),
            (1_536, False, "💾 2 KB "),
            (700 * 2**20, False, "💾 700 MB "),
            (2**30, False, "💾 1.00 GB "),
            (2**40, False, "💾 1024.00 GB "),
            (2**30, True, "💾 1.00 GB in all "),
        ],
    )
    def test_size_as_people_read_it(self, size_bytes: int, is_pack: bool, text: str) -> None:
        stream = stream_of(shown(size_bytes=size_bytes, is_pack_size=is_pack))

        assert text in stream["description"]
        assert stream["behaviorHints"].get("videoSize") == (None if is_pack else size_bytes)

    @pytest.mark.parametrize("size_bytes", [None, 0])
    def test_unknown_size_is_not_shown(self, size_bytes: int | None) -> None:
        assert "💾" not in stream_of(shown(size_bytes=size_bytes))["description"]

    def test_no_seeders_is_not_unknown_seeders(self) -> None:
        assert "👤 0" in stream_of(shown(seeders=0))["description"]
        assert "👤" not in stream_of(shown(seeders=None))["description"]

    def test_file_name_keeps_its_script_and_loses_its_folders(self) -> None:
        stream = stream_of(shown(file_name="Сезон 1\\Серия 01 🎬.mkv"))

        assert stream["behaviorHints"]["filename"] == "Серия 01 🎬.mkv"
        assert stream["url"].endswith("/WHAT/01.mkv")

    def test_colours_and_sound_with_the_same_bits_are_told_apart(self) -> None:
        stream = stream_of(shown(release=Release(title="a", hdr=Hdr.HDR10, audio=Audio.OPUS)))

        assert int(Hdr.HDR10) == int(Audio.OPUS)
        assert stream["name"].endswith("\nHDR10")
        assert "🔊 Opus" in stream["description"]

    def test_languages_are_shown(self) -> None:
        release = parse_release("Film.2020.German.French.1080p.WEB.H264-GRP")

        assert "🌐 de fr" in stream_of(shown(release=release))["description"]


class TestBingeGroup:
    def test_is_the_same_for_each_episode_of_a_group(self) -> None:
        groups = {
            stream_of(shown(NAME.replace("S01E02", episode)))["behaviorHints"]["bingeGroup"]
            for episode in ("S01E02", "S01E03", "S02E01.Its.Title", "S01")
        }

        assert len(groups) == 1

    @pytest.mark.parametrize(
        ("old", "new"),
        [("2160p", "1080p"), ("WEB-DL", "BluRay"), ("H.265", "H.264"), ("DV.", ""), ("GRP", "G")],
    )
    def test_is_another_for_another_quality_or_group(self, old: str, new: str) -> None:
        one, other = stream_of(shown()), stream_of(shown(NAME.replace(old, new)))

        assert one["behaviorHints"]["bingeGroup"] != other["behaviorHints"]["bingeGroup"]

    def test_does_not_depend_on_size_seeders_or_what_is_cached(self) -> None:
        one = stream_of(shown())
        other = stream_of(shown(badge="RD⏳", size_bytes=1, seeders=1, tracker="x", what="Z"))

        assert one["behaviorHints"]["bingeGroup"] == other["behaviorHints"]["bingeGroup"]


class TestPieces:
    def test_there_is_one_more_piece_than_streams(self) -> None:
        notice = notice_entry(NOTICES["no_key"], SECURE, "Chillproxy")
        stream = stream_entry(shown(), SECURE, "Chillproxy")

        assert [len(encode(entries)) for entries in ([], [notice], [notice, stream, stream])] == [
            1, 1, 3
        ]  # fmt: skip

    def test_empty_list_is_valid(self) -> None:
        assert streams_of([]) == []

    @pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
    def test_hostile_name_harms_nothing(self, text: str) -> None:
        item = shown(
            name=text, file_name=text, tracker=text, release=parse_release(f"Film.1080p-{text}")
        )
        entries = [stream_entry(item, SECURE, "Chillproxy")] * 2

        pieces = encode(entries)
        streams = streams_of(entries)

        assert len(pieces) == 3
        assert len(streams) == 2
        for stream in streams:
            assert stream["url"].startswith("https://host.example/p/stremio/play/WHO/WHAT/")
            assert stream["url"].isascii()
            assert set(stream) == {"name", "description", "url", "behaviorHints"}
            assert len(stream["description"]) < 1_200

    @given(st.text(), st.text(), st.text())
    def test_no_name_breaks_the_list(self, name: str, file_name: str, tracker: str) -> None:
        item = shown(name=name, file_name=file_name, tracker=tracker, release=parse_release("a"))

        stream = stream_of(item)

        assert "title" not in stream
        assert stream["url"].count("/") == 8

    @pytest.mark.parametrize(
        "text", ["a\nb", "a\r\nb", "a\x85b", "a\u2028b", "a\x1b[2Jb", "\u202ea"]
    )
    def test_name_stays_in_its_line(self, text: str) -> None:
        lines = stream_of(shown(name=text, file_name="f.mkv", tracker=text))["description"]

        assert len(lines.splitlines()) == 3
        assert all(line.isprintable() for line in lines.replace("⚙️", "").split("\n"))

    def test_who_stands_in_each_url_and_nowhere_else(self) -> None:
        entries = [stream_entry(shown(what=str(n)), SECURE, "Chillproxy") for n in range(3)]

        body = b"SOMEBODY".join(encode(entries))

        assert body.count(b"SOMEBODY") == 3
        assert [stream["url"].split("/")[-3] for stream in streams_of(entries)] == ["WHO"] * 3


class TestNotice:
    @pytest.mark.parametrize("code", NOTICES)
    def test_entry_plays_the_clip_that_says_the_same(self, code: str) -> None:
        (entry,) = streams_of([notice_entry(NOTICES[code], SECURE, "Chillproxy")])

        assert entry["name"] == "[⚠️] Chillproxy"
        assert entry["description"] == f"{NOTICES[code].title}\n{NOTICES[code].advice}"
        assert entry["url"] == f"https://host.example/p/stremio/notice/{code}.mp4"
        assert "bingeGroup" not in entry.get("behaviorHints", {})
        assert "title" not in entry

    def test_what_the_error_says_better_takes_the_place_of_the_title(self) -> None:
        entry = notice_entry(NOTICES["device_limit"], SECURE, "Chillproxy", "Limit reached (3)")

        assert entry.description.startswith("Limit reached (3)\n")


@pytest.mark.parametrize(
    ("name", "label"),
    [(NAME, "2160p WEB-DL"), ("Film.2020.1080p", "1080p"), ("Film.DVDRip", "DVDRip"), ("a", "")],
)
def test_quality_for_the_usage_log(name: str, label: str) -> None:
    assert quality_label(parse_release(name)) == label
