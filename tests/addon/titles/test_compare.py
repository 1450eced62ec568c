"""Which releases are of a title, and which torrents hold an episode."""

from typing import Any

import msgspec
import pytest

from addon.media import MediaId, Title
from addon.titles.compare import Coverage, covers, has_name, matches_title, wanted
from addon.titles.parse import parse_release
from tests.addon.titles.known import ANIME, FILM, SERIES


def title(name: str, **changes: Any) -> Title:
    return msgspec.structs.replace(FILM, name=name, aliases=(), **changes)


@pytest.mark.parametrize(
    "name",
    [
        "The.Long.Harbour.2015.1080p.BluRay",
        "Long Harbour (2015) 1080p",
        "Long Harbour, The (2015) 1080p",
        "The.Long.Harbor.2015.1080p",
        "LongHarbour.2015.1080p",
        "Dluga.Przystan.2015.1080p",
        "Długa Przystań / The Long Harbour (2015)",
        "Долгая гавань (2015) BDRip",
        "Something Else / The Long Harbour [Extra] (2015) 1080p",
        "Something Else AKA The Long Harbour 2015 1080p",
        "The.Long.Harbour.2014.1080p",
        "The.Long.Harbour.2016.1080p",
    ],
)
def test_release_of_the_film_matches(name: str) -> None:
    assert matches_title(parse_release(name), FILM, by_id=False)


@pytest.mark.parametrize(
    "name",
    [
        "The.Short.Harbour.2015.1080p",
        "The.Long.Harbour.2.2015.1080p",
        "The.Long.Harbour.II.2015.1080p",
        "The.Long.Harbour.2018.1080p",
        "The.Long.Harbour.1080p",
        "The.Long.Harbour.Part.Two.2015.1080p",
        "The.Long.Harbour.Forever.And.Ever.2015.1080p",
        "Harbour.2015.1080p",
        "2015.1080p",
    ],
)
def test_release_of_something_else_does_not_match(name: str) -> None:
    assert not matches_title(parse_release(name), FILM, by_id=False)


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("The.Long.Harbour.1080p", True),
        ("The.Long.Harbour.Forever.And.Ever.2015.1080p", True),
        ("The.Long.Harbour.2.2015.1080p", False),
        ("The.Long.Harbour.2018.1080p", False),
        ("Harbour.2015.1080p", False),
        ("Another.Name.Altogether.2015.1080p", False),
    ],
)
def test_id_vouches_for_added_words_and_a_missing_year_only(name: str, matches: bool) -> None:
    assert matches_title(parse_release(name), FILM, by_id=True) is matches


@pytest.mark.parametrize(
    ("release", "known", "matches"),
    [
        ("Harbour.2049.2017.1080p", title("Harbour 2049", year=2017), True),
        ("Harbour.2049.1080p", title("Harbour 2049", year=2017), True),
        ("Harbour.2049.1080p", title("Harbour", year=1982), False),
        ("1987.2017.1080p", title("1987", year=2017), True),
        ("1987.1080p", title("1987", year=2017), True),
        ("Harbour.2017.1080p", title("Harbour", year=None), True),
        ("Harbors.2017.1080p", title("Harbour", year=2017), False),
        ("Salt.Stories.3.2017.1080p", title("Salt Stories III", year=2017), True),
        ("Salt.Stories.Part.One.2017", title("Salt Stories: Part 1", year=2017), True),
        ("Salt.Stories.Part.One.2017", title("Salt Stories: Part Two", year=2017), False),
        ("Salt Man 2017 1080p", title("Saltman", year=2017), True),
        ("S.A.L.T.2017.1080p", title("SALT", year=2017), True),
    ],
    ids=str,
)
def test_numbers_in_titles_are_minded(release: str, known: Title, matches: bool) -> None:
    assert matches_title(parse_release(release), known, by_id=True) is matches


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("Quiet.Engine.S01E01.720p", True),
        ("Quiet.Engine.2009.S01E01.720p", True),
        ("Quiet.Engine.2010.S01E01.720p", True),
        ("Quiet.Engine.2014.S01E01.720p", True),
        ("Quiet.Engine.2020.S03E01.720p", True),
        ("Quiet.Engine.2017.S01E01.720p", False),
        ("Quiet.Engine.1994.S01E01.720p", False),
        ("Motor.Callado.S01E01.720p", True),
        ("Loud.Engine.S01E01.720p", False),
        ("Quiet Engine - The Complete Series (2010-2013)", True),
        ("Quiet Engine Complete Collection 720p", True),
        ("Quiet Engine Mini-Series 720p", True),
        ("Quiet.Engine.US.S01E01.720p", True),
        ("Quiet.Engine.UK.S01E01.720p", False),
    ],
)
def test_series_matches_by_name_year_and_country(name: str, matches: bool) -> None:
    assert matches_title(parse_release(name), SERIES, by_id=False) is matches


@pytest.mark.parametrize(
    ("known", "matches"),
    [
        (msgspec.structs.replace(SERIES, country=None), True),
        (msgspec.structs.replace(SERIES, country="France, United Kingdom"), True),
        (msgspec.structs.replace(SERIES, country="France"), False),
        (msgspec.structs.replace(SERIES, name="Quiet Engine (UK)"), True),
        (msgspec.structs.replace(SERIES, name="Quiet Engine US", country="UK"), False),
        (msgspec.structs.replace(SERIES, aliases=("...",), country=None), True),
    ],
    ids=["unknown", "several", "other", "named", "named-otherwise", "empty-alias"],
)
def test_country_tag_must_not_contradict(known: Title, matches: bool) -> None:
    release = parse_release("Quiet.Engine.UK.S01E01.720p")

    assert matches_title(release, known, by_id=False) is matches


@pytest.mark.parametrize("end_year", [None, 2030])
def test_running_series_has_no_last_year(end_year: int | None) -> None:
    known = msgspec.structs.replace(SERIES, end_year=end_year, episodes=())

    assert matches_title(parse_release("Quiet.Engine.2025.S09E01"), known, by_id=False)


def test_series_of_unknown_year_takes_any() -> None:
    known = msgspec.structs.replace(SERIES, year=None)

    assert matches_title(parse_release("Quiet.Engine.1994.S01E01"), known, by_id=False)


@pytest.mark.parametrize(
    ("release", "has"),
    [
        ("[Oar] Quiet Engine 2nd Season - 05 [720p]", True),
        ("[Oar] Quiet Engine S2 - 05 [720p]", True),
        ("[Oar] Quiet Engine - 05 [720p]", False),
        ("[Oar] Quiet Engine S3 - 05 [720p]", False),
    ],
)
def test_season_in_the_name_of_an_anime_entry_is_compared(release: str, has: bool) -> None:
    entry = title("Quiet Engine 2nd Season")

    assert has_name(parse_release(release), entry) is has


# Which torrents hold what is wanted

S02E05 = MediaId("tt", "tt0000002", 2, 5)


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("Quiet.Engine.S02E05.720p", Coverage.EXACT),
        ("Quiet.Engine.S02E04E05.720p", Coverage.EXACT),
        ("Quiet.Engine.2x05.720p", Coverage.EXACT),
        ("Quiet.Engine.S02E01-E10.720p", Coverage.EXACT),
        ("Quiet.Engine.S02.720p", Coverage.SEASON_PACK),
        ("Quiet Engine Season 2 720p", Coverage.SEASON_PACK),
        ("Quiet.Engine.S01-S03.720p", Coverage.MULTI_SEASON),
        ("Quiet Engine Seasons 1-3 Complete", Coverage.MULTI_SEASON),
        ("Quiet.Engine.S01E01-S02E10.720p", Coverage.MULTI_SEASON),
        ("Quiet Engine Complete Series 720p", Coverage.SERIES_PACK),
        ("Quiet Engine 720p Collection", Coverage.SERIES_PACK),
        ("Quiet Engine (2010-2013) 720p", Coverage.SERIES_PACK),
        ("Quiet.Engine.2011.03.05.720p", Coverage.DAILY),
        ("Quiet.Engine.2011.03.04.720p", Coverage.DAILY),
        ("Quiet.Engine.2011.03.06.720p", None),
        ("Quiet.Engine.S02E06.720p", None),
        ("Quiet.Engine.S01E05.720p", None),
        ("Quiet.Engine.S01.720p", None),
        ("Quiet.Engine.S03-S05.720p", None),
        ("Quiet.Engine.S01E17.720p", None),
        ("[Oar] Quiet Engine - 17 [720p]", None),
        ("[Oar] Quiet Engine - 05 [720p]", None),
        ("Quiet.Engine.S02.Extras.720p", None),
        ("Quiet.Engine.S02E05.720p.sample", None),
        ("Quiet.Engine.720p", Coverage.UNPROVEN),
        ("Quiet.Engine.2010.720p", Coverage.UNPROVEN),
    ],
)
def test_torrent_holds_an_episode(name: str, coverage: Coverage | None) -> None:
    assert covers(parse_release(name), S02E05, SERIES) == coverage


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("[Oar] Quiet Engine - 17 [720p]", Coverage.ABSOLUTE),
        ("[Oar] Quiet Engine (13-22) [720p]", Coverage.BATCH),
        ("[Oar] Quiet Engine (01-12) [720p]", None),
        ("[Oar] Quiet Engine - 05 [720p]", None),
        ("Quiet.Engine.S01E17.720p", Coverage.ABSOLUTE),
        ("Quiet.Engine.S02E17.720p", None),
        ("Quiet.Engine.S02E05.720p", Coverage.EXACT),
    ],
)
def test_absolute_number_counts_for_anime(name: str, coverage: Coverage | None) -> None:
    assert covers(parse_release(name), S02E05, ANIME) == coverage


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("[Oar] Quiet Engine - 05 [720p]", Coverage.ABSOLUTE),
        ("[Oar] Quiet Engine (01-12) [720p]", Coverage.BATCH),
        ("Quiet.Engine.S01E05.720p", Coverage.EXACT),
        ("Quiet.Engine.S01.720p", Coverage.SEASON_PACK),
        ("Quiet.Engine.S02E05.720p", None),
        ("[Oar] Quiet Engine - 06 [720p]", None),
        ("[Oar] Quiet Engine [720p]", Coverage.UNPROVEN),
    ],
)
@pytest.mark.parametrize("scheme", ["kitsu", "mal", "anidb"])
def test_anime_entry_counts_within_itself(
    scheme: Any, name: str, coverage: Coverage | None
) -> None:
    media = MediaId(scheme, "7", None, 5)

    assert covers(parse_release(name), media, None) == coverage


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("[Oar] Quiet Engine 2nd Season - 05 [720p]", Coverage.EXACT),
        ("[Oar] Quiet Engine S2 [720p]", Coverage.SEASON_PACK),
        ("Quiet.Engine.S01.720p", None),
        ("Quiet.Engine.S03E05.720p", None),
    ],
)
def test_anime_entry_may_name_its_season(name: str, coverage: Coverage | None) -> None:
    entry = msgspec.structs.replace(ANIME, name="Quiet Engine Season 2")

    assert covers(parse_release(name), MediaId("kitsu", "7", None, 5), entry) == coverage


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("The.Long.Harbour.2015.1080p", Coverage.MOVIE),
        ("The Long Harbour Trilogy 1080p", Coverage.MOVIE),
        ("The.Long.Harbour.S01E01.1080p", None),
        ("The.Long.Harbour.S01.1080p", None),
        ("[Oar] The Long Harbour - 05 [1080p]", None),
        ("The.Long.Harbour.2015.Featurettes.1080p", None),
    ],
)
def test_film_is_no_episode(name: str, coverage: Coverage | None) -> None:
    assert covers(parse_release(name), MediaId("tt", "tt0000001"), FILM) == coverage


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("Quiet.Engine.S00E01.720p", Coverage.EXACT),
        ("Quiet.Engine.S00E01.Extras.720p", Coverage.EXACT),
        ("Quiet.Engine.S01E01.720p", None),
    ],
)
def test_special_is_an_episode_of_season_zero(name: str, coverage: Coverage | None) -> None:
    assert covers(parse_release(name), MediaId("tt", "tt0000002", 0, 1), ANIME) == coverage


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("Quiet.Engine.S02E05.720p", Coverage.EXACT),
        ("Quiet.Engine.S02.720p", Coverage.SEASON_PACK),
        ("Quiet.Engine.S02E06.720p", None),
        ("[Oar] Quiet Engine - 17 [720p]", None),
        ("Quiet.Engine.2011.03.05.720p", None),
    ],
)
def test_episode_is_known_by_number_without_metadata(name: str, coverage: Coverage | None) -> None:
    assert covers(parse_release(name), S02E05, None) == coverage


def test_first_season_of_anime_counts_absolutely_before_metadata_lists_it() -> None:
    known = msgspec.structs.replace(ANIME, episodes=())

    found = wanted(MediaId("tt", "tt0000002", 1, 13), known)

    assert found is not None
    assert found.absolute == 13


@pytest.mark.parametrize(
    "media", [MediaId("tt", "tt0000002", 3, 2), MediaId("tt", "tt0000002", 3, 9)], ids=str
)
def test_episode_without_air_date_has_no_dates(media: MediaId) -> None:
    found = wanted(media, SERIES)

    assert found is not None
    assert not found.dates
