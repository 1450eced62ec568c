"""Reading the ids that Stremio sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.media import MediaId, parse_media_id


@pytest.mark.parametrize(
    ("kind", "text", "media"),
    [
        ("movie", "tt1254207", MediaId("tt", "tt1254207")),
        ("series", "tt0386676:5:1", MediaId("tt", "tt0386676", 5, 1)),
        ("series", "tt0386676:0:12", MediaId("tt", "tt0386676", 0, 12)),
        ("anime", "tt0386676:5:1", MediaId("tt", "tt0386676", 5, 1)),
        ("movie", "kitsu:7442", MediaId("kitsu", "7442")),
        ("anime", "kitsu:7442", MediaId("kitsu", "7442")),
        ("series", "kitsu:7442:3", MediaId("kitsu", "7442", None, 3)),
        ("anime", "mal:21:1000", MediaId("mal", "21", None, 1000)),
        ("anime", "anidb:69:1", MediaId("anidb", "69", None, 1)),
        ("movie", "tmdb:603", MediaId("tmdb", "603")),
        ("series", "tmdb:1399:1:2", MediaId("tmdb", "1399", 1, 2)),
    ],
)
def test_id_is_read_and_written_back(kind: str, text: str, media: MediaId) -> None:
    assert parse_media_id(kind, text) == media
    assert str(media) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("series", "tt0386676"),
        ("series", "kitsu:7442"),
        ("movie", "tt0386676:5:1"),
        ("movie", "kitsu:7442:3"),
        ("channel", "tt1254207"),
        ("Movie", "tt1254207"),
        ("movie", ""),
        ("movie", "tt123456"),
        ("movie", "tt1234567890"),
        ("movie", "tt1254207 "),
        ("movie", "TT1254207"),
        ("movie", "tt1254207\n"),
        ("movie", "tt125420７"),
        ("series", "tt0386676:5"),
        ("series", "tt0386676:5:1:1"),
        ("series", "tt0386676:-1:1"),
        ("series", "tt0386676:10000:1"),
        ("series", "kitsu:7442:1:1"),
        ("series", f"tmdb:{2**40}:1:1"),
        ("series", "tvdb:81189:1:2"),
        ("movie", "yt_id:channel:video"),
        ("movie", "tt1254207/../../etc"),
        ("movie", "tt" + "0" * 10_000),
    ],
    ids=lambda value: value[:30],
)
def test_what_we_do_not_serve_is_none(kind: str, text: str) -> None:
    assert parse_media_id(kind, text) is None


@pytest.mark.parametrize(
    ("text", "title_id", "is_episode"),
    [
        ("tt0386676:5:1", "tt0386676", True),
        ("kitsu:7442:3", "kitsu:7442", True),
        ("kitsu:7442", "kitsu:7442", False),
        ("tmdb:1399:1:2", "tmdb:1399", True),
    ],
)
def test_title_of_an_episode_is_known(text: str, title_id: str, is_episode: bool) -> None:
    media = parse_media_id("anime", text)

    assert media is not None
    assert media.title_id == title_id
    assert media.is_episode is is_episode


@given(st.sampled_from(["movie", "series", "anime"]), st.text(max_size=80))
def test_no_text_breaks_the_reader(kind: str, text: str) -> None:
    media = parse_media_id(kind, text)

    assert media is None or parse_media_id(kind, str(media)) == media
