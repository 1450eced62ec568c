"""A film and two series that the tables of cases are about."""

from datetime import date

import msgspec

from addon.media import Episode, Title

FILM = Title(
    id="tt0000001",
    kind="movie",
    name="The Long Harbour",
    aliases=("Długa Przystań", "Долгая гавань"),
    year=2015,
)
SERIES = Title(
    id="tt0000002",
    kind="series",
    name="Quiet Engine",
    aliases=("Motor Callado",),
    year=2010,
    end_year=2013,
    country="United States",
    episodes=(
        Episode(0, 1, date(2010, 1, 1)),
        *(Episode(1, number, date(2010, 3, number)) for number in range(1, 13)),
        *(Episode(2, number, date(2011, 3, number)) for number in range(1, 11)),
        Episode(3, 1, date(2020, 5, 1)),
        Episode(3, 2),
    ),
)
ANIME = msgspec.structs.replace(SERIES, id="kitsu:7", is_anime=True, country="Japan")
