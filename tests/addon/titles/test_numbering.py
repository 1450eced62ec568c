"""Folders, dates and spans; spellings of episodes are in the table of release names."""

from datetime import date

import pytest

from addon.titles.numbering import read_date, read_folder, read_numbers, span


@pytest.mark.parametrize(
    ("folder", "season"),
    [
        ("Season 2", 2),
        ("Season 02", 2),
        ("S02", 2),
        ("Series 3", 3),
        ("Staffel 2", 2),
        ("Stagione 4", 4),
        ("Saison 1", 1),
        ("Temporada 5", 5),
        ("2. Сезон", 2),
        ("Сезон 2", 2),
        ("2nd Season", 2),
        ("Quiet.Engine.S02.1080p", 2),
        ("Season 1 - 720p", 1),
        ("Season 2014", 2014),
        ("Specials", 0),
        ("Season 1-3", None),
        ("S01-S03", None),
        ("Seasons 1 to 3", None),
        ("Season 1 & 2", None),
        ("Season 1 Season 2", None),
        ("Quiet Engine", None),
    ],
    ids=str,
)
def test_folder_stands_for_one_season(folder: str, season: int | None) -> None:
    assert read_folder(folder) == season


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Quiet.Engine.2024.03.05", date(2024, 3, 5)),
        ("Quiet Engine 2024-03-05", date(2024, 3, 5)),
        ("Quiet Engine 2024 02 30", None),
        ("Quiet Engine 1080", None),
    ],
    ids=str,
)
def test_date_is_read(text: str, found: date | None) -> None:
    assert read_date(text) == found


def test_span_longer_than_its_limit_is_dropped() -> None:
    assert span(1, 3, 3) == (1, 2, 3)
    assert span(1, 4, 3) == ()


def test_numbers_know_where_they_stand() -> None:
    text = "Quiet.Engine.S01E05.720p"

    numbers = read_numbers(text)

    assert numbers is not None
    assert text[numbers.start : numbers.end] == "S01E05"
