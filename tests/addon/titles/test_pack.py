"""Which file of a torrent plays: tier by tier, and no file rather than a wrong one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.media import Episode, MediaId, Title
from addon.titles.pack import choose_file, is_extra, is_video, parse_file, same_file
from addon.titles.parse import parse_release
from addon.torrent import TorrentFile
from tests.addon.titles.known import ANIME, FILM, SERIES

GB = 10**9
S02E05 = MediaId("tt", "tt0000002", 2, 5)


def files(*paths: str | tuple[str, int]) -> list[TorrentFile]:
    return [
        TorrentFile(path, GB, index)
        if isinstance(path, str)
        else TorrentFile(path[0], path[1], index)
        for index, path in enumerate(paths)
    ]


def chosen(
    name: str,
    listed: list[TorrentFile],
    media: MediaId = S02E05,
    title: Title | None = SERIES,
    hint: TorrentFile | None = None,
) -> str | None:
    choice = choose_file(listed, media, title, parse_release(name), hint)
    return None if choice is None else choice.file.path


@pytest.mark.parametrize(
    ("name", "paths", "expected"),
    [
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet.Engine.S02E04.mkv", "Quiet.Engine.S02E05.mkv", "Quiet.Engine.S02E06.mkv"],
            "Quiet.Engine.S02E05.mkv",
            id="season-and-episode",
        ),
        pytest.param(
            "Quiet Engine Complete",
            ["Season 1/05.mkv", "Season 2/05.mkv", "Season 3/05.mkv"],
            "Season 2/05.mkv",
            id="season-of-the-directory",
        ),
        pytest.param(
            "Quiet Engine",
            ["Staffel 1/Folge 5.mkv", "Staffel 2/Folge 5.mkv"],
            "Staffel 2/Folge 5.mkv",
            id="german-directories",
        ),
        pytest.param(
            "Quiet Engine",
            ["1. Сезон/05.mkv", "2. Сезон/05.mkv"],
            "2. Сезон/05.mkv",
            id="russian-directories",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet Engine - 04.mkv", "Quiet Engine - 05.mkv"],
            "Quiet Engine - 05.mkv",
            id="season-of-the-torrent",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet.Engine.S02E04.mkv", "Quiet.Engine.S02E05E06.mkv"],
            "Quiet.Engine.S02E05E06.mkv",
            id="several-episodes",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet.Engine.S02E05E06.mkv", "Quiet.Engine.S02E05.mkv"],
            "Quiet.Engine.S02E05.mkv",
            id="one-before-several",
        ),
        pytest.param(
            "Quiet Engine 2011 720p",
            ["Quiet.Engine.2011.03.04.mkv", "Quiet.Engine.2011.03.08.mkv"],
            "Quiet.Engine.2011.03.04.mkv",
            id="date",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet Engine.204.mkv", "Quiet Engine.205.mkv"],
            "Quiet Engine.205.mkv",
            id="hundreds-inherit-the-season",
        ),
        pytest.param(
            "Quiet.Engine.S01-S03.720p",
            ["Quiet.Engine.105.720p.mkv", "Quiet.Engine.205.720p.mkv"],
            "Quiet.Engine.205.720p.mkv",
            id="hundreds-inside-a-pack-of-seasons",
        ),
        pytest.param(
            "Quiet Engine 720p",
            ["Quiet.Engine.105.720p.mkv", "Quiet.Engine.205.720p.mkv"],
            None,
            id="hundreds-need-a-known-season",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["05.mkv", "06.mkv"],
            "05.mkv",
            id="bare-number",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["04 - The Interview.mkv", "05 - The Short Trailer Park.mkv"],
            None,
            id="strong-words-count-in-numbered-names",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["04 - The Bonus.mkv", "05 - The Interview.mkv"],
            "05 - The Interview.mkv",
            id="weak-words-do-not-count-behind-a-number",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet.Engine.S02E04.mkv", "Quiet.Engine.S02E06.mkv"],
            None,
            id="missing-episode",
        ),
        pytest.param(
            "Quiet.Engine.S01.720p",
            ["Quiet.Engine.S01E05.mkv"],
            None,
            id="other-season",
        ),
        pytest.param(
            "Quiet.Engine.S02E05.720p",
            ["qe.720p.mkv"],
            "qe.720p.mkv",
            id="only-file-of-an-exact-torrent",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["qe.720p.mkv"],
            None,
            id="only-file-of-a-pack",
        ),
        pytest.param(
            "Quiet.Engine.S02E05.720p",
            ["a.mkv", "b.mkv"],
            None,
            id="two-unknown-files",
        ),
        pytest.param(
            "Quiet.Engine.720p",
            ["Quiet.Engine.S02E05.720p-OAR/abcxyz.mkv", "Quiet.Engine.S02E06.720p-OAR/abcxyz.mkv"],
            "Quiet.Engine.S02E05.720p-OAR/abcxyz.mkv",
            id="number-of-the-folder",
        ),
        pytest.param("Quiet.Engine.S02E05.720p", ["a.rar", "a.r00"], None, id="archives"),
        pytest.param("Quiet.Engine.S02E05.720p", [], None, id="empty"),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet.Engine.S02E05.sample.mkv", "Quiet.Engine.S02E05.mkv"],
            "Quiet.Engine.S02E05.mkv",
            id="sample-by-name",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Quiet.Engine.S02E04.mkv", ("Quiet.Engine.S02E05.mkv", 20_000_000)],
            None,
            id="sample-by-size",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            [("Quiet.Engine.S02E04.mkv", 30_000_000), ("Quiet.Engine.S02E05.mkv", 20_000_000)],
            "Quiet.Engine.S02E05.mkv",
            id="small-among-small-is-no-sample",
        ),
        pytest.param(
            "Quiet.Engine.S02.1080p",
            ["Extras/Quiet.Engine.S02E05.mkv", "Main/Quiet.Engine.S02E06.mkv"],
            None,
            id="extras-by-directory",
        ),
        pytest.param(
            "Quiet.Engine.S02.Extras.1080p",
            ["Quiet.Engine.S02.Bonus/Quiet.Engine.S02E05.mkv"],
            "Quiet.Engine.S02.Bonus/Quiet.Engine.S02E05.mkv",
            id="folder-around-everything",
        ),
        pytest.param(
            "Quiet.Engine.S02.720p",
            ["Show S02 + Extras/Quiet.Engine.S02E05.mkv", "Other/Quiet.Engine.S02E06.mkv"],
            "Show S02 + Extras/Quiet.Engine.S02E05.mkv",
            id="with-extras",
        ),
    ],
)
def test_file_of_an_episode(name: str, paths: list[Any], expected: str | None) -> None:
    assert chosen(name, files(*paths)) == expected


@pytest.mark.parametrize(
    ("name", "paths", "expected"),
    [
        pytest.param(
            "[Oar] Quiet Engine (01-34)",
            ["[Oar] Quiet Engine - 05.mkv", "[Oar] Quiet Engine - 17.mkv"],
            "[Oar] Quiet Engine - 17.mkv",
            id="absolute-number",
        ),
        pytest.param(
            "[Oar] Quiet Engine",
            ["Quiet.Engine.S01E05.mkv", "Quiet.Engine.S01E17.mkv"],
            "Quiet.Engine.S01E17.mkv",
            id="absolute-number-as-first-season",
        ),
        pytest.param(
            "[Oar] Quiet Engine",
            ["[Oar] Quiet Engine - 01-12.mkv", "[Oar] Quiet Engine - 13-22.mkv"],
            "[Oar] Quiet Engine - 13-22.mkv",
            id="batch",
        ),
        pytest.param(
            "[Oar] Quiet Engine",
            ["Season 1/17.mkv", "Season 2/18.mkv"],
            "Season 1/17.mkv",
            id="absolute-number-in-the-first-season",
        ),
        pytest.param(
            "[Oar] Quiet Engine",
            ["Season 3/17.mkv", "Season 3/18.mkv"],
            None,
            id="absolute-number-in-another-season",
        ),
        pytest.param(
            "[Oar] Quiet Engine",
            ["Season 2/17.mkv", "Season 2/18.mkv"],
            "Season 2/17.mkv",
            id="absolute-number-in-its-season",
        ),
        pytest.param(
            "[Oar] Quiet Engine (01-34)",
            ["[Oar] Quiet Engine - 17v2 [720p].mkv", "[Oar] Quiet Engine - NCOP17.mkv"],
            "[Oar] Quiet Engine - 17v2 [720p].mkv",
            id="version",
        ),
        pytest.param(
            "[Oar] Quiet Engine (01-34)",
            ["Quiet Engine #16.mkv", "Quiet Engine #17.mkv"],
            "Quiet Engine #17.mkv",
            id="hash-sign",
        ),
        pytest.param(
            "[Oar] Quiet Engine (01-34)",
            ["[Oar] Quiet Engine 16 [720p].mkv", "[Oar] Quiet Engine 17 [720p].mkv"],
            "[Oar] Quiet Engine 17 [720p].mkv",
            id="trailing-number",
        ),
        pytest.param(
            "[Oar] Quiet Engine (01-34)",
            ["Quiet Engine OVA - 17.mkv", "Quiet Engine Special - 17.mkv"],
            None,
            id="specials-are-not-episodes",
        ),
        pytest.param(
            "[Oar] Quiet Engine (01-34)",
            ["Quiet Engine [18 of 34].mkv", "Quiet Engine [17 of 34].mkv"],
            "Quiet Engine [17 of 34].mkv",
            id="counted",
        ),
    ],
)
def test_file_of_an_anime_episode(name: str, paths: list[str], expected: str | None) -> None:
    assert chosen(name, files(*paths), title=ANIME) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["[Oar] Quiet Engine - 04.mkv", "[Oar] Quiet Engine - 05.mkv"], 1),
        (["04.mkv", "05.mkv"], 1),
        (["Quiet.Engine.S01E04.mkv", "Quiet.Engine.S01E05.mkv"], 1),
        (["Quiet.Engine.S02E04.mkv", "Quiet.Engine.S02E05.mkv"], None),
    ],
    ids=["dash", "bare", "first-season", "other-season"],
)
def test_file_of_an_anime_entry(paths: list[str], expected: int | None) -> None:
    media = MediaId("kitsu", "7", None, 5)

    path = chosen("[Oar] Quiet Engine", files(*paths), media, None)

    assert path == (None if expected is None else paths[expected])


def test_number_of_a_show_of_one_season_needs_no_season() -> None:
    show = msgspec.structs.replace(SERIES, episodes=(Episode(1, 4), Episode(1, 5)))

    path = chosen("Quiet Engine", files("04.mkv", "05.mkv"), MediaId("tt", "x", 1, 5), show)

    assert path == "05.mkv"


def test_number_in_the_name_of_the_show_is_no_episode() -> None:
    show = msgspec.structs.replace(SERIES, name="5 Quiet Engines", aliases=())

    path = chosen(
        "5.Quiet.Engines.S02",
        files("5 Quiet Engines 04.mkv", "5 Quiet Engines 05.mkv", "5 Quiet Engines 06.mkv"),
        title=show,
    )

    assert path == "5 Quiet Engines 05.mkv"


def test_word_in_the_name_of_the_show_makes_no_extra() -> None:
    show = msgspec.structs.replace(SERIES, name="Trailer Engine")

    path = chosen("Trailer.Engine.S02", files("Trailer Engine S02E05.mkv"), title=show)

    assert path == "Trailer Engine S02E05.mkv"


def test_special_is_found_in_its_folder() -> None:
    listed = files("Season 1/01.mkv", "Specials/01.mkv")

    path = chosen("Quiet Engine Complete", listed, MediaId("tt", "tt0000002", 0, 1))

    assert path == "Specials/01.mkv"


def test_shared_file_is_marked() -> None:
    listed = files("Quiet.Engine.S02E04.mkv", "Quiet.Engine.S02E05E06.mkv")

    choice = choose_file(listed, S02E05, SERIES, parse_release("Quiet.Engine.S02"))

    assert choice is not None
    assert (choice.shared, choice.guessed) == (True, False)


SEASON_OF_TEN = [f"part {'abcdefghij'[number]}.mkv" for number in range(10)]


def test_unnamed_files_are_counted_when_the_season_has_as_many() -> None:
    choice = choose_file(
        files(*reversed(SEASON_OF_TEN)), S02E05, SERIES, parse_release("Quiet.Engine.S02.720p")
    )

    assert choice is not None
    assert (choice.file.path, choice.guessed) == ("part e.mkv", True)


@pytest.mark.parametrize(
    ("name", "paths", "media", "title"),
    [
        ("Quiet.Engine.S02.720p", SEASON_OF_TEN[:-1], S02E05, SERIES),
        ("Quiet.Engine.S01-S02.720p", SEASON_OF_TEN, S02E05, SERIES),
        ("Quiet.Engine.S02.720p", SEASON_OF_TEN, S02E05, None),
        ("Quiet.Engine.S02.720p", SEASON_OF_TEN, MediaId("tt", "x", 2, 11), SERIES),
    ],
    ids=["fewer-files", "several-seasons", "no-metadata", "no-such-episode"],
)
def test_unnamed_files_are_not_counted_otherwise(
    name: str, paths: list[str], media: MediaId, title: Title | None
) -> None:
    assert chosen(name, files(*paths), media, title) is None


def test_counting_puts_two_before_ten() -> None:
    show = msgspec.structs.replace(SERIES, episodes=tuple(Episode(2, n) for n in range(1, 4)))
    listed = files("disc10 x.mkv", "disc2 x.mkv", "disc1 x.mkv")

    path = chosen("Quiet.Engine.S02", listed, MediaId("tt", "tt0000002", 2, 3), show)

    assert path == "disc10 x.mkv"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        pytest.param(
            [("Other Show S02E05 720p.mkv", 9 * GB), ("Quiet Engine S02E05 720p.mkv", GB)],
            "Quiet Engine S02E05 720p.mkv",
            id="name-first",
        ),
        pytest.param(
            [("Quiet.Engine.S02E05.1080p.mkv", 9 * GB), ("Quiet.Engine.S02E05.720p.mkv", GB)],
            "Quiet.Engine.S02E05.720p.mkv",
            id="then-resolution",
        ),
        pytest.param(
            [("a/Quiet.Engine.S02E05.720p.mkv", GB), ("b/Quiet.Engine.S02E05.720p.mkv", 2 * GB)],
            "b/Quiet.Engine.S02E05.720p.mkv",
            id="then-size",
        ),
        pytest.param(
            [("aa/Quiet.Engine.S02E05.720p.mkv", GB), ("b/Quiet.Engine.S02E05.720p.mkv", GB)],
            "b/Quiet.Engine.S02E05.720p.mkv",
            id="then-short-path",
        ),
        pytest.param(
            [("a/Quiet.Engine.S02E05.720p.mkv", GB), ("b/Quiet.Engine.S02E05.720p.mkv", GB)],
            "a/Quiet.Engine.S02E05.720p.mkv",
            id="then-order",
        ),
    ],
)
def test_tie_is_broken(listed: list[tuple[str, int]], expected: str) -> None:
    assert chosen("Quiet.Engine.S02.720p", files(*listed)) == expected


PAIR = files("a/Quiet.Engine.S02E05.720p.mkv", "bb/Quiet.Engine.S02E05.720p.mkv", "c/S02E06.mkv")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (None, 0),
        (TorrentFile("bb/Quiet.Engine.S02E05.720p.mkv"), 1),
        (TorrentFile("", index=1), 1),
        (TorrentFile("", index=9), 0),
        (TorrentFile("c/S02E06.mkv"), 0),
        (TorrentFile("", index=2), 0),
        (TorrentFile("elsewhere.mkv"), 0),
    ],
    ids=["none", "path", "index", "no-such-index", "other-episode", "index-of-other", "no-such"],
)
def test_hint_is_taken_only_where_the_name_bears_it_out(
    hint: TorrentFile | None, expected: int
) -> None:
    assert chosen("Quiet.Engine.S02.720p", PAIR, hint=hint) == PAIR[expected].path


# Films


@pytest.mark.parametrize(
    ("name", "listed", "expected"),
    [
        pytest.param(
            "The.Long.Harbour.2015.1080p",
            [("film.mkv", 9 * GB), ("notes.txt", 5)],
            "film.mkv",
            id="only-video",
        ),
        pytest.param(
            "The.Long.Harbour.2015.1080p",
            [("film.mkv", 9 * GB), ("other.mkv", GB)],
            "film.mkv",
            id="largest",
        ),
        pytest.param(
            "The.Long.Harbour.2015.1080p",
            [("film.mkv", GB), ("Featurettes/long one.mkv", 9 * GB)],
            "film.mkv",
            id="largest-but-extras",
        ),
        pytest.param(
            "The.Long.Harbour.2015.1080p",
            [("a.mkv", 9 * GB), ("b.mkv", 8 * GB)],
            None,
            id="two-large-ones-unnamed",
        ),
        pytest.param(
            "The.Long.Harbour.2015.1080p",
            [("a.mkv", 9 * GB), ("The Long Harbour 2015.mkv", 8 * GB)],
            "The Long Harbour 2015.mkv",
            id="two-large-ones-one-named",
        ),
        pytest.param(
            "The.Long.Harbour.2015.XviD",
            [("harbour.cd1.avi", GB), ("harbour.cd2.avi", GB)],
            "harbour.cd1.avi",
            id="first-of-two-discs",
        ),
        pytest.param(
            "Harbour Trilogy 1080p",
            [
                ("1. The Long Harbour (2015).mkv", 5 * GB),
                ("2. The Long Harbour II (2018).mkv", 9 * GB),
                ("3. The Long Harbour III (2021).mkv", 5 * GB),
            ],
            "1. The Long Harbour (2015).mkv",
            id="collection-by-name",
        ),
        pytest.param(
            "Harbour Trilogy 1080p",
            [("Harbour 1 2015.mkv", 5 * GB), ("Harbour 2 2018.mkv", 9 * GB)],
            "Harbour 1 2015.mkv",
            id="collection-by-year",
        ),
        pytest.param(
            "Harbour Trilogy 1080p",
            [("The Long Harbour/film.mkv", 5 * GB), ("The Short Harbour/film.mkv", 9 * GB)],
            "The Long Harbour/film.mkv",
            id="collection-by-folder",
        ),
        pytest.param(
            "Harbour Trilogy 1080p",
            [("first.mkv", 5 * GB), ("second.mkv", 9 * GB)],
            None,
            id="collection-unnamed",
        ),
        pytest.param("The.Long.Harbour.2015.1080p", [("a.rar", GB)], None, id="archive"),
        pytest.param("The.Long.Harbour.2015.1080p", [], None, id="empty"),
    ],
)
def test_file_of_a_film(name: str, listed: list[tuple[str, int]], expected: str | None) -> None:
    assert chosen(name, files(*listed), MediaId("tt", "tt0000001"), FILM) == expected


@pytest.mark.parametrize(
    ("title", "hint", "expected"),
    [
        (None, None, None),
        (None, TorrentFile("b.mkv"), "b.mkv"),
        (FILM, TorrentFile("b.mkv"), "b.mkv"),
        (FILM, TorrentFile("c.mkv"), None),
    ],
    ids=["unknown", "unknown-pointed", "pointed", "pointed-at-a-small-one"],
)
def test_hint_decides_among_unnamed_films(
    title: Title | None, hint: TorrentFile | None, expected: str | None
) -> None:
    listed = files(("a.mkv", 9 * GB), ("b.mkv", 8 * GB), ("c.mkv", GB))

    path = chosen("Harbour Trilogy", listed, MediaId("tt", "tt0000001"), title, hint)

    assert path == expected


def test_hint_does_not_beat_the_name_of_a_film() -> None:
    listed = files(("The Long Harbour.mkv", 9 * GB), ("b.mkv", 8 * GB))

    path = chosen("Harbour Trilogy", listed, MediaId("tt", "tt0000001"), FILM, TorrentFile("b.mkv"))

    assert path == "The Long Harbour.mkv"


def test_files_of_unknown_size_are_told_apart_by_name() -> None:
    listed = [TorrentFile("a.mkv"), TorrentFile("The Long Harbour.mkv")]

    path = chosen("The.Long.Harbour.2015", listed, MediaId("tt", "tt0000001"), FILM)

    assert path == "The Long Harbour.mkv"


# Single paths


@pytest.mark.parametrize(
    ("path", "video"),
    [
        ("a/b.mkv", True),
        ("B.MP4", True),
        ("a.m2ts", True),
        ("mkv", False),
        ("a.iso", False),
        ("a.srt", False),
        ("a.rar", False),
        ("", False),
    ],
)
def test_video_is_told_by_extension(path: str, video: bool) -> None:
    assert is_video(path) is video


@pytest.mark.parametrize(
    ("path", "season", "extra"),
    [
        ("Show/sample.mkv", 1, True),
        ("Show/Sample/show.s01e05.mkv", 1, True),
        ("show.s01e05-sample.mkv", 1, True),
        ("Trailers/a.mkv", None, True),
        ("a.teaser.mkv", None, True),
        ("Featurettes/Making Of.mkv", None, True),
        ("Behind the Scenes/a.mkv", None, True),
        ("a - Deleted Scene.mkv", None, True),
        ("Gag Reel.mkv", None, True),
        ("Bloopers.mkv", 1, True),
        ("Interviews/a.mkv", 1, True),
        ("Shorts/a.mkv", 1, True),
        ("[Oar] Show - NCOP1.mkv", 1, True),
        ("[Oar] Show - NCED.mkv", 1, True),
        ("[Oar] Show - Creditless Opening.mkv", 1, True),
        ("[Oar] Show - Menu 01.mkv", 1, True),
        ("[Oar] Show - PV2.mkv", 1, True),
        ("[Oar] Show - CM1.mkv", 1, True),
        ("Show - Special 01.mkv", 1, True),
        ("Show - SP01.mkv", 1, True),
        ("Show OVA - 01.mkv", 1, True),
        ("Specials/a.mkv", 1, True),
        ("Show - Special 01.mkv", 0, False),
        ("Specials/a.mkv", 0, False),
        ("Show - SP01.mkv", 0, False),
        ("Specials/sample.mkv", 0, True),
        ("Show.S01E05.The.Interview.mkv", 1, False),
        ("05 - Bonus.mkv", 1, False),
        ("[Oar] Show - 05 - The Short Menu.mkv", 1, False),
        ("Show.S00E01.Interview.mkv", 1, True),
        ("Show S01 + Extras/a.mkv", 1, False),
        ("The Special Show/a.mkv", 1, False),
        ("Sampler.mkv", None, False),
        ("a.mkv", None, False),
        ("", None, False),
    ],
)
def test_extra_is_told_by_words(path: str, season: int | None, extra: bool) -> None:
    assert is_extra(path, season, "The Special Show" if "Special Show" in path else None) is extra


@pytest.mark.parametrize(
    ("path", "release", "numbers"),
    [
        ("Show.S02E05.mkv", "Show S02", (2, (5,))),
        ("Show.S02E05E06.mkv", "Show S02", (2, (5, 6))),
        ("05.mkv", "Show S02", (2, (5,))),
        ("05.mkv", "Show", (None, (5,))),
        ("Season 3/05.mkv", "Show S02", (3, (5,))),
        ("105.mkv", "Show S01", (1, (5,))),
        ("105.mkv", "Show S02", (2, (105,))),
        ("100.mkv", "Show S01", (1, (100,))),
        ("105.mkv", "Show", (None, (105,))),
        ("Show 05.mkv", "Show S01-S03", (None, (5,))),
        ("Show - 01~03.mkv", "Show S01", (1, (1, 2, 3))),
        ("Show - 03-01.mkv", "Show S01", (1, (3,))),
        ("Show 2019 1080p.mkv", "Show S01", (1, ())),
        ("Show.2024.03.05.mkv", "Show", (None, ())),
        ("Show [5 of 8].mkv", "Show S01", (1, (5,))),
        ("Show 1080.mkv", "Show S01", (1, ())),
        ("Show Seasons 1-3 x2.mkv", "Show", (None, ())),
        ("Show 第05話.mkv", "Show S01", (1, (5,))),
        ("Show Stagione 3.mkv", "Show", (3, ())),
        ("Opening.mkv", "Show", (None, ())),
        ("Show/S01E05/abc.mkv", "Show", (1, (5,))),
        ("Show/S01E05/S02/abc.mkv", "Show", (1, (5,))),
        ("Show.S01E01-S02E10.mkv", "Show S05", (5, ())),
        ("", "", (None, ())),
    ],
)
def test_numbers_of_a_path(
    path: str, release: str, numbers: tuple[int | None, tuple[int, ...]]
) -> None:
    assert parse_file(path, parse_release(release)) == numbers


# The same file elsewhere


@pytest.mark.parametrize(
    ("path", "size", "listed", "expected"),
    [
        pytest.param("a/b.mkv", 5, [("a/b.mkv", 5), ("c/b.mkv", 5)], 0, id="path"),
        pytest.param("A/B.mkv", None, [("a/b.MKV", 5)], 0, id="case"),
        pytest.param("Cafe\u0301.mkv", None, [("Caf\u00e9.mkv", 5)], 0, id="accents"),
        pytest.param("/a/b.mkv", None, [("a/b.mkv", 5)], 0, id="slash"),
        pytest.param("a/b.mkv", 5, [("root/a/b.mkv", 5), ("root/c/b.mkv", 5)], 0, id="rooted"),
        pytest.param("root/a/b.mkv", 5, [("a/b.mkv", 5), ("c/b.mkv", 5)], 0, id="unrooted"),
        pytest.param("b.mkv", 5, [("r/b.mkv", 5), ("r/c.mkv", 5)], 0, id="base-name"),
        pytest.param("b.mkv", 5, [("1/b.mkv", 4), ("2/b.mkv", 5)], 1, id="base-name-and-size"),
        pytest.param("x/b.mkv", 5, [("1/b.mkv", 4), ("2/b.mkv", 5)], 1, id="other-folder-and-size"),
        pytest.param("x/b.mkv", None, [("1/b.mkv", 4)], 0, id="other-folder-size-unknown"),
        pytest.param("x/b.mkv", 5, [("1/b.mkv", 4)], None, id="other-folder-other-size"),
        pytest.param("b.mkv", None, [("1/b.mkv", 4), ("2/b.mkv", 5)], None, id="ambiguous"),
        pytest.param("b.mkv", 5, [("renamed.mkv", 5), ("c.mkv", 6)], 0, id="renamed"),
        pytest.param("b.mkv", 5, [("renamed.nfo", 5)], None, id="size-of-something-else"),
        pytest.param("b.mkv", 5, [("c.mkv", 5), ("d.mkv", 5)], None, id="size-twice"),
        pytest.param("b.mkv", None, [("c.mkv", 0)], None, id="nothing-known"),
        pytest.param("b.mkv", 5, [], None, id="empty"),
    ],
)
def test_same_file_is_found(
    path: str, size: int | None, listed: list[tuple[str, int]], expected: int | None
) -> None:
    others = files(*listed)

    found = same_file(path, size, others)

    assert found == (None if expected is None else others[expected])


# Whatever a torrent holds

PATHS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            ["Season 2", "Show", "S02E05", "05", "-", "E05", "1080p", "2011.03.05", "x", "/", "cd1"]
        ),
        max_size=8,
    ).map(lambda words: " ".join(words) + ".mkv"),
)


@given(st.lists(PATHS, max_size=8), st.sampled_from([S02E05, MediaId("tt", "x")]), st.text())
def test_choice_is_a_video_of_the_list(paths: list[str], media: MediaId, name: str) -> None:
    listed = files(*paths)

    choice = choose_file(listed, media, SERIES, parse_release(name))

    assert choice is None or (choice.file in listed and is_video(choice.file.path))


@given(st.lists(PATHS, max_size=8), st.randoms())
def test_order_of_the_list_does_not_matter(paths: list[str], random: Any) -> None:
    listed = files(*dict.fromkeys(paths))
    shuffled = list(listed)
    random.shuffle(shuffled)
    release = parse_release("Show S02")

    assert choose_file(listed, S02E05, SERIES, release) == choose_file(
        shuffled, S02E05, SERIES, release
    )


def test_endless_list_and_long_paths_are_bounded() -> None:
    dots = "S01E01" + "." * 20_000 + ".mkv"

    path = chosen("Quiet.Engine.S02", files(*["x.mkv"] * 5_000, dots, "Quiet.Engine.S02E05.mkv"))

    assert path is None
