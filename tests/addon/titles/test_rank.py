"""What is listed, and in what order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.titles.parse import Flag, QualityClass, parse_release
from addon.titles.rank import SORT_WORDS, Candidate, Hidden, Rules, Wishes, rank
from addon.titles.score import audio_rank, hdr_rank, seeders_rank, size_bounds, size_distance
from addon.titles.vocabulary import Audio, Hdr, Source

GB = 10**9
MB = 10**6
_NEXT = iter(range(10**6))


def candidate(name: str, **changes: Any) -> Candidate:
    fields = {"info_hash": f"{next(_NEXT):040x}", "size_bytes": 0, "name": name, **changes}
    return Candidate(release=parse_release(name), **fields)


def names(candidates: list[Candidate]) -> list[str]:
    return [one.name for one in candidates]


def ranked(listed: list[Candidate], minutes: int | None = 90, **wishes: Any) -> list[str]:
    return names(rank(listed, Wishes(**wishes), minutes))


def test_cached_comes_first_whatever_the_user_sorts_by() -> None:
    listed = [
        candidate("Harbour.2015.2160p.WEB", is_cached=None),
        candidate("Harbour.2015.1080p.WEB", is_cached=False),
        candidate("Harbour.2015.480p.WEB", is_cached=True),
    ]

    assert ranked(listed, sort=("-resolution",))[0] == "Harbour.2015.480p.WEB"
    assert ranked(listed)[0] == "Harbour.2015.480p.WEB"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("Harbour.2015.2160p.WEB-DL", "Harbour.2015.1080p.BluRay.REMUX"),
        ("Harbour.2015.1440p.WEB-DL", "Harbour.2015.1080p.WEB-DL"),
        ("Harbour.2015.1080p.WEB-DL", "Harbour.2015.720p.BluRay"),
        ("Harbour.2015.720p.WEB-DL", "Harbour.2015.WEB-DL"),
        ("Harbour.2015.WEB-DL", "Harbour.2015.480p.BluRay"),
        ("Harbour.2015.1080p.WEB-DL", "Harbour.2015.AI.Upscaled.1080p.BluRay"),
        ("Harbour.2015.1080p.BluRay.REMUX", "Harbour.2015.1080p.BluRay"),
        ("Harbour.2015.1080p.BluRay", "Harbour.2015.1080p.WEB-DL"),
        ("Harbour.2015.1080p.WEB-DL", "Harbour.2015.1080p.WEBRip"),
        ("Harbour.2015.2160p.WEB-DL.DV.HDR10+", "Harbour.2015.2160p.WEB-DL.DV.HDR"),
        ("Harbour.2015.2160p.WEB-DL.DV.HDR", "Harbour.2015.2160p.WEB-DL.HDR"),
        ("Harbour.2015.2160p.WEB-DL.SDR", "Harbour.2015.2160p.WEB-DL.DV"),
        ("Harbour.2015.1080p.WEB-DL.DDP5.1.Atmos", "Harbour.2015.1080p.WEB-DL.DDP5.1"),
        ("Harbour.2015.1080p.WEB-DL.DDP5.1", "Harbour.2015.1080p.WEB-DL.AAC"),
        ("Harbour.2015.PROPER.1080p.WEB-DL", "Harbour.2015.1080p.WEB-DL"),
        ("Harbour.2015.REPACK.1080p.WEB-DL", "Harbour.2015.1080p.WEB-DL"),
    ],
)
def test_default_order_prefers(better: str, worse: str) -> None:
    assert ranked([candidate(worse), candidate(better)]) == [better, worse]


def test_default_order_prefers_a_fitting_size_then_seeders() -> None:
    name = "Harbour.2015.1080p.WEB-DL-{}"
    fitting = candidate(name.format("A"), size_bytes=5_400 * MB, seeders=5)
    small = candidate(name.format("B"), size_bytes=1_500 * MB, seeders=500)
    seeded = candidate(name.format("C"), size_bytes=5_500 * MB, seeders=50)

    assert ranked([small, fitting, seeded]) == names([seeded, fitting, small])


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (("-resolution",), "2160p.WEBRip 1080p.REMUX 720p.BluRay"),
        (("resolution",), "720p.BluRay 1080p.REMUX 2160p.WEBRip"),
        (("-quality",), "1080p.REMUX 720p.BluRay 2160p.WEBRip"),
        (("-size",), "1080p.REMUX 2160p.WEBRip 720p.BluRay"),
        (("size",), "720p.BluRay 2160p.WEBRip 1080p.REMUX"),
        (("-seeders",), "720p.BluRay 2160p.WEBRip 1080p.REMUX"),
        (("nonsense", " -seeders "), "720p.BluRay 2160p.WEBRip 1080p.REMUX"),
        ((), "2160p.WEBRip 1080p.REMUX 720p.BluRay"),
    ],
    ids=str,
)
def test_user_sorts_by(sort: tuple[str, ...], order: str) -> None:
    listed = [
        candidate("Harbour.2015.720p.BluRay", size_bytes=2 * GB, seeders=90),
        candidate("Harbour.2015.2160p.WEBRip", size_bytes=9 * GB, seeders=20),
        candidate("Harbour.2015.1080p.REMUX", size_bytes=20 * GB, seeders=10),
    ]

    assert ranked(listed, sort=sort) == [f"Harbour.2015.{each}" for each in order.split()]


@pytest.mark.parametrize("sort", ["size", "-size", "seeders", "-seeders"])
def test_what_is_not_known_sorts_last(sort: str) -> None:
    listed = [
        candidate("Harbour.2015.1080p.WEB-UNKNOWN", size_bytes=None, seeders=None),
        candidate("Harbour.2015.1080p.WEB-KNOWN", size_bytes=2 * GB, seeders=0),
    ]

    assert ranked(listed, sort=(sort,))[-1] == "Harbour.2015.1080p.WEB-UNKNOWN"


def test_user_sorts_by_dynamic_range_and_language() -> None:
    listed = [
        candidate("Harbour.2015.2160p.WEB.HDR.French"),
        candidate("Harbour.2015.2160p.WEB.DV.HDR.German"),
    ]

    assert ranked(listed, sort=("hdr",))[0].endswith("French")
    assert ranked(listed, sort=("-language",), languages=("fr",))[0].endswith("French")
    assert ranked(listed, sort=("language",), languages=("fr",))[0].endswith("German")


def test_sort_words_are_those_of_the_config() -> None:
    assert set(SORT_WORDS) == {"resolution", "quality", "size", "hdr", "seeders", "language"}


def test_preferred_languages_come_in_their_order() -> None:
    listed = [
        candidate("Harbour.2015.1080p.WEB.German"),
        candidate("Harbour.2015.1080p.WEB"),
        candidate("Harbour.2015.1080p.WEB.MULTi"),
        candidate("Harbour.2015.1080p.WEB.French"),
        candidate("Harbour.2015.1080p.WEB.Italian"),
    ]

    order = [name.rpartition(".")[2] for name in ranked(listed, languages=("fr-CA", "IT"))]

    assert order[:3] == ["French", "Italian", "MULTi"]


def test_name_without_a_language_counts_as_english() -> None:
    listed = [candidate("Harbour.2015.1080p.WEB.German"), candidate("Harbour.2015.1080p.WEB")]

    assert ranked(listed, languages=("en",))[0] == "Harbour.2015.1080p.WEB"
    assert ranked(listed, only_languages=("en",)) == ["Harbour.2015.1080p.WEB"]


@pytest.mark.parametrize(
    ("name", "wishes", "hidden"),
    [
        ("Harbour.2015.1080p.HDCAM", {}, Hidden.QUALITY),
        ("Harbour.2015.TS.XviD-OAR", {}, Hidden.QUALITY),
        ("Harbour.2015.1080p.HDCAM", {"exclude_qualities": ()}, None),
        ("Harbour.2015.1080p.HDTV", {"exclude_qualities": ("hdtv",)}, Hidden.QUALITY),
        ("Harbour.2015.480p.WEB", {"exclude_qualities": ("SD",)}, Hidden.QUALITY),
        ("Harbour.2015.1080p.REMUX", {"exclude_qualities": ("Remux",)}, Hidden.QUALITY),
        ("Harbour.2015.2160p.WEB", {"exclude_qualities": ("4K",)}, Hidden.QUALITY),
        ("Harbour.2015.2160p.WEB", {"exclude_qualities": ("", "what")}, None),
        ("Harbour.2015.1080p.WEB", {"resolutions": ("1080p",)}, None),
        ("Harbour.2015.1080p.WEB", {"resolutions": ("4k", "720p")}, Hidden.RESOLUTION),
        ("Harbour.2015.480p.WEB", {"resolutions": ("SD",)}, None),
        ("Harbour.2015.WEB", {"resolutions": ("unknown",)}, None),
        ("Harbour.2015.WEB", {"resolutions": ("720p",)}, Hidden.RESOLUTION),
        ("Harbour.2015.1080p.WEB.French", {"only_languages": ("fr",)}, None),
        ("Harbour.2015.1080p.WEB.German", {"only_languages": ("fr",)}, Hidden.LANGUAGE),
        ("Harbour.2015.1080p.WEB", {"only_languages": ("fr",)}, Hidden.LANGUAGE),
        ("Harbour.2015.1080p.WEB.MULTi", {"only_languages": ("fr",)}, None),
        ("Harbour.2015.1080p.WEB.MULTi.German", {"only_languages": ("fr",)}, Hidden.LANGUAGE),
        ("Harbour.2015.1080p.WEB-OAR", {"exclude_keywords": ("oar",)}, Hidden.KEYWORD),
        ("Harbour.2015.1080p.WEB-OAR", {"exclude_keywords": ("web oar",)}, Hidden.KEYWORD),
        ("Harbour.2015.1080p.WEB-OAR", {"exclude_keywords": ("harb", "")}, None),
        ("Harbour.2015.1080p.WEB", {"cached_only": True}, Hidden.NOT_CACHED),
        ("Harbour.2015.1080p.WEB.exe", {}, Hidden.TRASH),
        ("Harbour.2015.1080p.WEB.exe", {"hide": Flag(0)}, None),
        ("Harbour.2015.1080p.sample", {}, Hidden.TRASH),
        ("Harbour.2015.XXX.1080p", {}, Hidden.TRASH),
        ("Harbour.2015.COMPLETE.BLURAY", {}, Hidden.TRASH),
    ],
    ids=str,
)
def test_filter_hides(name: str, wishes: dict[str, Any], hidden: Hidden | None) -> None:
    rules = Rules.of(Wishes(**wishes), 90, is_episode=False)

    assert rules.hides(candidate(name)) == hidden
    assert ranked([candidate(name)], **wishes) == ([] if hidden else [name])


def test_cached_only_keeps_what_is_cached() -> None:
    listed = [candidate("Harbour.2015.1080p.WEB", is_cached=True)]

    assert len(ranked(listed, cached_only=True)) == 1


@pytest.mark.parametrize(
    ("size", "minimum", "maximum", "hidden"),
    [
        (2 * GB, 0, 0, None),
        (2 * GB, 3 * GB, 0, Hidden.SIZE),
        (2 * GB, 0, GB, Hidden.SIZE),
        (2 * GB, 2 * GB, 2 * GB, None),
        (None, 3 * GB, 5 * GB, None),
        (0, 3 * GB, 5 * GB, None),
    ],
    ids=["no-limit", "too-small", "too-large", "fits", "unknown", "zero"],
)
def test_size_limits_of_the_user(
    size: int | None, minimum: int, maximum: int, hidden: Hidden | None
) -> None:
    rules = Rules.of(Wishes(min_size=minimum, max_size=maximum), 90, is_episode=False)

    assert rules.hides(candidate("Harbour.2015.1080p.WEB", size_bytes=size)) == hidden


@pytest.mark.parametrize(
    ("name", "minutes", "is_episode", "size", "hidden"),
    [
        ("Harbour.2015.1080p.WEB", 90, False, 170 * MB, True),
        ("Harbour.2015.1080p.WEB", 90, False, 180 * MB, False),
        ("Harbour.2015.480p.WEB", 90, False, 60 * MB, True),
        ("Harbour.2015.480p.WEB", 20, False, 14 * MB, False),
        ("Harbour.2015.480p.WEB", 10, False, 5 * MB, True),
        ("Harbour.2015.480p.WEB", None, False, 60 * MB, True),
        ("Harbour.2015.480p.WEB", 0, False, 60 * MB, True),
        ("Harbour.S01E01.2160p.WEB", 45, True, 120 * MB, True),
        ("Harbour.S01E01.2160p.WEB", 45, True, 130 * MB, False),
        ("Harbour.S01E01.2160p.WEB", 22, True, 70 * MB, False),
        ("Harbour.S01E01.480p.WEB", None, True, 19 * MB, True),
    ],
)
def test_impossible_size_is_hidden(
    name: str, minutes: int | None, is_episode: bool, size: int, hidden: bool
) -> None:
    usual = candidate("Harbour.2015.1080p.BluRay", is_cached=True)
    doubtful = candidate(name, size_bytes=size, is_cached=True)

    listed = rank([usual, doubtful], Wishes(), minutes, is_episode=is_episode)

    assert (doubtful not in listed) is hidden


@pytest.mark.parametrize(
    ("other", "is_cached", "shown"),
    [
        (None, False, True),
        (None, True, True),
        (False, False, False),
        (False, True, True),
        (True, True, False),
    ],
    ids=[
        "alone",
        "alone-and-cached",
        "beside-another",
        "cached-beside-another",
        "cached-beside-a-cached-one",
    ],
)
def test_impossible_size_is_shown_where_nothing_cached_would_be_listed(
    other: bool | None, is_cached: bool, shown: bool
) -> None:
    small = candidate("Harbour.2015.1080p.WEB", size_bytes=5 * MB, is_cached=is_cached)
    others = [] if other is None else [candidate("Harbour.2015.1080p.BluRay", is_cached=other)]

    assert (small in rank([small, *others], Wishes(), 90)) is shown


@pytest.mark.parametrize("size", [600 * MB, 61 * GB], ids=["small", "large"])
def test_doubtful_size_ranks_last(size: int) -> None:
    listed = [
        candidate("Harbour.2015.1080p.REMUX", size_bytes=size),
        candidate("Harbour.2015.480p.WEB", size_bytes=GB),
        candidate("Harbour.2015.720p.WEB", size_bytes=None),
    ]

    assert ranked(listed)[-1] == "Harbour.2015.1080p.REMUX"
    assert ranked(listed, sort=("-resolution",))[-1] == "Harbour.2015.1080p.REMUX"


def test_long_film_may_be_larger() -> None:
    usual, long = (size_bounds(length, is_episode=False) for length in (1, 2))

    assert long[QualityClass.P1080].most == 2 * usual[QualityClass.P1080].most


def test_one_hash_is_listed_once() -> None:
    listed = [
        candidate("Harbour.2015.1080p.WEB", info_hash="a"),
        candidate("Harbour.2015.1080p.BluRay", info_hash="a"),
    ]

    assert ranked(listed) == ["Harbour.2015.1080p.BluRay"]


@pytest.mark.parametrize(
    ("one", "other", "sizes", "count"),
    [
        ("Harbour.2015.1080p.WEB-A", "Harbour.2015.1080p.WEB-B", (4 * GB, 4 * GB + 3 * MB), 1),
        ("Harbour.2015.1080p.WEB-A", "Harbour.2015.1080p.WEB-B", (4 * GB, 4 * GB + 5 * MB), 2),
        ("Harbour.2015.1080p.WEB-A", "Harbour.2015.720p.WEB-B", (4 * GB, 4 * GB), 2),
        ("Harbour.2015.1080p.WEB-A", "Harbour.2015.1080p.BluRay-B", (4 * GB, 4 * GB), 2),
        ("Harbour.2015.1080p.WEB-A", "Bridge.2015.1080p.WEB-B", (4 * GB, 4 * GB), 2),
        ("Harbour.2015.1080p.WEB-A", "Harbour.2015.1080p.WEB-B", (None, None), 2),
        ("...", "....", (4 * GB, 4 * GB), 2),
    ],
    ids=["alike", "apart", "resolution", "source", "title", "unknown", "nameless"],
)
def test_double_is_told_by_title_picture_and_size(
    one: str, other: str, sizes: tuple[int | None, int | None], count: int
) -> None:
    listed = [candidate(one, size_bytes=sizes[0]), candidate(other, size_bytes=sizes[1])]

    assert len(ranked(listed)) == count


@pytest.mark.parametrize("base", range(4 * GB, 4 * GB + 9 * MB, MB))
def test_doubles_are_found_across_the_steps_of_the_logarithm(base: int) -> None:
    listed = [
        candidate("Harbour.2015.1080p.WEB-A", size_bytes=base),
        candidate("Harbour.2015.1080p.WEB-B", size_bytes=base + base // 1100),
    ]

    assert len(ranked(listed)) == 1


def test_cached_double_is_the_one_that_stays() -> None:
    listed = [
        candidate("Harbour.2015.1080p.WEB-A", size_bytes=4 * GB, seeders=999),
        candidate("Harbour.2015.1080p.WEB-B", size_bytes=4 * GB, is_cached=True),
    ]

    assert ranked(listed) == ["Harbour.2015.1080p.WEB-B"]


def test_limit_holds_for_each_resolution_and_in_all() -> None:
    listed = [
        candidate(f"Harbour.2015.{height}p.WEB-{number}")
        for height in (2160, 1080, 720)
        for number in range(20)
    ]

    limited = ranked(listed, per_resolution=3, max_streams=8)

    assert [sum(f".{height}p." in name for name in limited) for height in (2160, 1080, 720)] == [
        3,
        3,
        2,
    ]


def test_zero_is_no_limit() -> None:
    listed = [candidate(f"Harbour.2015.1080p.WEB-{number}") for number in range(80)]

    assert len(ranked(listed, per_resolution=0, max_streams=0)) == 80


def test_limits_never_crowd_out_what_is_cached() -> None:
    better = [candidate(f"Harbour.2015.2160p.REMUX-{number}") for number in range(60)]
    cached = [
        candidate(f"Harbour.2015.2160p.WEBRip-{number}", is_cached=True) for number in range(4)
    ]

    assert set(names(cached)) <= set(ranked(better + cached, per_resolution=5, max_streams=5))


def test_doubles_use_up_no_limit() -> None:
    listed = [
        candidate(f"Harbour.2015.1080p.WEB-{number}", size_bytes=4 * GB + number * GB // 4)
        for number in (0, 0, 0, 1, 2)
    ]

    assert len(ranked(listed, per_resolution=3)) == 3


def test_callers_get_their_own_kind_back() -> None:
    class Listed(Candidate, kw_only=True):
        note: str

    listed = [
        Listed(
            info_hash="a",
            name="Harbour.2015.1080p",
            release=parse_release("Harbour.2015.1080p"),
            note="mine",
        )
    ]

    assert rank(listed, Wishes(), None)[0].note == "mine"


# Scores


def test_dynamic_range_ascends_to_dolby_vision_with_a_fallback() -> None:
    ladder = [
        Hdr.DV,
        Hdr(0),
        Hdr.HLG,
        Hdr.HDR10,
        Hdr.HDR10_PLUS,
        Hdr.DV | Hdr.HDR10,
        Hdr.DV | Hdr.HDR10_PLUS,
    ]

    assert [hdr_rank(bits.value) for bits in ladder] == list(range(7))


def test_sound_ascends_to_lossless_objects() -> None:
    ladder = [
        Audio(0),
        Audio.MP3,
        Audio.AAC,
        Audio.DD,
        Audio.DTS,
        Audio.DD_PLUS,
        Audio.DD_PLUS | Audio.ATMOS,
        Audio.TRUEHD,
        Audio.TRUEHD | Audio.ATMOS,
    ]

    assert [audio_rank(bits.value) for bits in ladder] == list(range(9))


@pytest.mark.parametrize(
    ("seeders", "place"), [(None, 2), (-1, 1), (0, 1), (1, 2), (3, 3), (1000, 10)]
)
def test_seeders_count_by_powers_of_two(seeders: int | None, place: int) -> None:
    assert seeders_rank(seeders) == place


@pytest.mark.parametrize(
    ("size", "quality", "source", "distance"),
    [
        (5_400 * MB, QualityClass.P1080, Source.WEB_DL, 0),
        (10_800 * MB, QualityClass.P1080, Source.WEB_DL, 2),
        (2_700 * MB, QualityClass.P1080, Source.WEB_DL, 2),
        (20_250 * MB, QualityClass.P1080, Source.REMUX, 0),
        (2_700 * MB, QualityClass.P720, Source.REMUX, 0),
        (None, QualityClass.P1080, Source.WEB_DL, 2),
    ],
)
def test_size_is_measured_against_a_fitting_bitrate(
    size: int | None, quality: QualityClass, source: Source, distance: int
) -> None:
    assert size_distance(size, quality, source, 90) == distance


CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.sampled_from(
            [
                "Harbour.2015.2160p.WEB-DL.DV",
                "Harbour.2015.1080p.REMUX.TrueHD",
                "Harbour.2015.720p.HDTV.French",
                "Harbour.2015.TS",
                "Harbour",
            ]
        ),
        size_bytes=st.none() | st.integers(0, 10**12),
        seeders=st.none() | st.integers(0, 10**6),
        is_cached=st.sampled_from([True, False, None]),
        info_hash=st.sampled_from("abcdefgh"),
    ),
    max_size=30,
)


@given(CANDIDATES, st.sampled_from(["", "-size", "seeders", "-resolution"]), st.integers(0, 300))
def test_ranking_lists_some_of_what_it_was_given_cached_first(
    listed: list[Candidate], sort: str, minutes: int
) -> None:
    found = rank(listed, Wishes(sort=(sort,), per_resolution=3, max_streams=7), minutes)

    assert len(found) <= 7
    assert all(any(one is other for other in listed) for one in found)
    assert len({one.info_hash for one in found}) == len(found)
    assert [bool(one.is_cached) for one in found] == sorted(
        (bool(one.is_cached) for one in found), reverse=True
    )


@given(CANDIDATES)
def test_ranking_what_was_ranked_changes_nothing(listed: list[Candidate]) -> None:
    once = rank(listed, Wishes(), 90)

    assert rank(once, Wishes(), 90) == once
