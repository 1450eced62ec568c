"""URLs of ours, read and made."""

import re
import time
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.urls import (
    StreamRequest,
    Urls,
    base_name,
    plain_file_name,
    read_manifest_path,
    read_stream_path,
)

ROOT = "/stremio/torz"
SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")
URLS = Urls("https://host.example/prefix")


class TestStreamPath:
    @pytest.mark.parametrize(
        ("path", "config", "kind", "media"),
        [
            ("/c/stream/movie/tt1.json", "c", "movie", "tt1"),
            ("/stream/movie/tt1.json", "", "movie", "tt1"),
            ("/a/b+c/d==/stream/movie/tt1.json", "a/b+c/d==", "movie", "tt1"),
            ("/a/stream/b/c/stream/movie/tt1.json", "a/stream/b/c", "movie", "tt1"),
            ("/stream/stream/movie/tt1.json", "stream", "movie", "tt1"),
            ("/c/stream/stream/movie/tt1.json", "c/stream", "movie", "tt1"),
            ("/c/stream/series/tt1:1:2.json", "c", "series", "tt1:1:2"),
            ("/c/stream/series/kitsu:7:3.json", "c", "series", "kitsu:7:3"),
            ("/c/stream/movie/a.b.json", "c", "movie", "a.b"),
            ("/c/stream/movie/tt1.json.json", "c", "movie", "tt1.json"),
            ("/c/stream/movie/tt1/.json", "c", "movie", "tt1"),
            ("/c/stream/movie/tt1/skip=1&genre=a.b.json", "c", "movie", "tt1"),
            ("/c/manifest.json/stream/movie/tt1.json", "c/manifest.json", "movie", "tt1"),
            ("/c/stream/stream/stream.json", "c", "stream", "stream"),
        ],
    )
    def test_parts_of_a_path(self, path: str, config: str, kind: str, media: str) -> None:
        assert read_stream_path(ROOT + path) == StreamRequest(config, kind, media)

    @pytest.mark.parametrize(
        "path",
        [
            "", "/", "/c", "/c/manifest.json", "/c/stream/movie.json", "/c/stream/movie/.json",
            "/c/stream/movie/tt1", "/c/stream/movie/tt1.jsonx", "/c/stream/movie/tt1.json/",
            "/c/stream/movie/tt1.json\n", "/c/stream/movie/tt1/a/b.json",
            "/c/Stream/movie/tt1.json", "/c/catalog/movie/tt1.json", "/c/stream//tt1.json",
            "/cstream/movie/tt1.json",
        ],
    )  # fmt: skip
    def test_other_path_is_none(self, path: str) -> None:
        assert read_stream_path(ROOT + path) is None

    def test_other_addon_is_none(self) -> None:
        assert read_stream_path("/stremio/other/c/stream/movie/tt1.json") is None
        assert read_stream_path(f"/x{ROOT}/c/stream/movie/tt1.json") is None

    @pytest.mark.parametrize(
        "part", ["/stream/a/b", "/stream", "/stream/a/.json", ".json", "/a", "stream/"]
    )
    def test_long_path_costs_no_time(self, part: str) -> None:
        path = ROOT + part * (8_192 // len(part)) + "/"
        started = time.perf_counter()

        read_stream_path(path)
        read_manifest_path(path)

        assert time.perf_counter() - started < 0.25


@pytest.mark.parametrize(
    ("path", "config"),
    [
        ("/manifest.json", ""),
        (f"{ROOT}/manifest.json", ""),
        (f"{ROOT}/c/manifest.json", "c"),
        (f"{ROOT}/a/b+c==/manifest.json", "a/b+c=="),
        (f"{ROOT}/manifest.json/manifest.json", "manifest.json"),
        (f"{ROOT}/c/manifest.json/", None),
        (f"{ROOT}/c/manifest.json\n", None),
        (f"{ROOT}/c/stream/movie/tt1.json", None),
        ("/c/manifest.json", None),
        ("/", None),
    ],
)
def test_config_of_a_manifest_path(path: str, config: str | None) -> None:
    assert read_manifest_path(path) == config


class TestMaking:
    @pytest.mark.parametrize("config", ["abc-_", "a/b+c==", "a%2Fb", "a b?c#d", "é"])
    def test_config_survives_its_urls(self, config: str) -> None:
        manifest = urlsplit(URLS.manifest(config)).path.removeprefix("/prefix")
        stream = urlsplit(URLS.stream(config, "series", "tt1:1:2")).path.removeprefix("/prefix")

        assert read_manifest_path(unquote(manifest)) == config
        assert read_stream_path(unquote(stream)) == StreamRequest(config, "series", "tt1:1:2")
        assert manifest.count("/") == 4

    def test_all_start_at_the_public_address(self) -> None:
        made = [
            URLS.manifest("c"), URLS.stream("c", "movie", "tt1"), URLS.play_head(),
            URLS.notice("no_key"),
        ]  # fmt: skip

        assert {urlsplit(url).netloc for url in made} == {"host.example"}
        assert all(urlsplit(url).path.startswith("/prefix/stremio/") for url in made)
        assert URLS.prefix == "/prefix"
        assert Urls("http://127.0.0.1:8080").prefix == ""

    def test_play_url_has_three_segments(self) -> None:
        url = URLS.play_head() + "who" + URLS.play_tail("what", "folder/../a b?#%2F.mkv")

        assert url == "https://host.example/prefix/stremio/play/who/what/a.b.2F.mkv"


class TestFileName:
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("Show.S01E01.1080p.WEB-DL-GRP.mkv", "Show.S01E01.1080p.WEB-DL-GRP.mkv"),
            ("a/b/Film (2021) [1080p].mkv", "Film.2021.1080p.mkv"),
            ("a\\b\\film.mkv", "film.mkv"),
            ("Amélie.mkv", "Amelie.mkv"),
            ("Ｆｉｌｍ／２.mkv", "Film.2.mkv"),
            ("Серия 01.mkv", "01.mkv"),
            ("Фильм.mkv", "video.mkv"),
            ("🎬🎬.mp4", "video.mp4"),
            ("\u202egpj.exe\u202c.mkv", "gpj.exe.mkv"),
            ("مسلسل.mp4", "video.mp4"),
            (".mkv", "video.mkv"),
            ("film.", "film"),
            ("film. mkv", "film.mkv"),
            ("film.subtitles", "film.subtitles"),
            ("film.фыв", "film"),
            ("a..b...c.mkv", "a.b.c.mkv"),
            ("", "video"),
            (".", "video"),
            ("..", "video"),
            ("........", "video"),
            ("../../etc/passwd", "passwd"),
            ("a/..", "video"),
            ("a/", "video"),
            ("a\\", "video"),
            ("a%2f..%2fb.mkv", "a.2f.2fb.mkv"),
            ("a\r\nSet-Cookie: x.mkv", "a.Set-Cookie.x.mkv"),
            ("\0\x1a\x7f", "video"),
            ("x" * 300 + ".mkv", "x" * 76 + ".mkv"),
            ("x" * 75 + ".y.mkv", "x" * 75 + ".mkv"),
            ("x" * 300, "x" * 79),
            ("." * 300, "video"),
            ("é" * 300 + ".webm", "e" * 75 + ".webm"),
        ],
    )
    def test_plain_name_of_a_path(self, path: str, name: str) -> None:
        assert plain_file_name(path) == name

    @given(st.text(max_size=400))
    def test_is_always_one_safe_segment(self, path: str) -> None:
        name = plain_file_name(path)

        assert SEGMENT.fullmatch(name)
        assert ".." not in name

    @given(st.text(max_size=100), st.sampled_from(["mkv", "mp4", "webm", "m2ts"]))
    def test_ending_is_kept(self, stem: str, ending: str) -> None:
        assert plain_file_name(f"{stem}.{ending}").endswith(f".{ending}")

    @pytest.mark.parametrize(
        ("path", "name"), [("a/b.mkv", "b.mkv"), ("a\\b.mkv", "b.mkv"), ("b", "b"), ("a/", "")]
    )
    def test_base_name_of_any_system(self, path: str, name: str) -> None:
        assert base_name(path) == name
