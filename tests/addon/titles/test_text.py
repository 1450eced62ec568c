"""Names as text: cleaned for reading, normalised for comparing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.titles.text import clean, normalise


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Blue  Harvest ", "Blue Harvest"),
        ("Blue\tHarvest\n2019", "Blue Harvest 2019"),
        ("Blue\x00Harvest", "BlueHarvest"),
        ("Blue\u202eHarvest\u200b", "BlueHarvest"),
        ("Blue\u2028Harvest", "Blue Harvest"),
        ("Blue\ud800", "Blue"),
        ("Cafe\u0301", "Café"),
        ("東京の海", "東京の海"),
    ],
    ids=["spaces", "tabs", "nul", "bidi", "line", "surrogate", "accent", "japanese"],
)
def test_clean_keeps_what_people_see(name: str, cleaned: str) -> None:
    assert clean(name) == cleaned


@pytest.mark.parametrize(
    ("title", "normal"),
    [
        ("The Long Harbour", "long harbour"),
        ("Long Harbour, The", "long harbour"),
        ("The A Harbour", "harbour"),
        ("The The", "the"),
        ("A", "a"),
        ("Tom & Anna", "tom and anna"),
        ("Ångström's Café", "angstroms cafe"),
        ("Łódź Straße Æon Øre", "lodz strasse aeon ore"),
        ("S.A.L.T.", "salt"),
        ("Agents.of.S.A.L.T.2017", "agents of salt 2017"),
        ("Plan.A.B.Harbour", "plan ab harbour"),
        ("Show.1.2.Harbour", "show 1 2 harbour"),
        ("Тихий Йод", "тихии иод"),
        ("Harbour ⅱ", "harbour ii"),
        ("...", ""),
    ],
    ids=str,
)
def test_normalise_gives_one_form(title: str, normal: str) -> None:
    assert normalise(title) == normal


@given(st.text(max_size=100))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.one_of(st.text(max_size=60), st.text("abthe .,'&", max_size=30)))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
