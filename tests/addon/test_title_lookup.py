"""Finding the title behind an id: memory, database, services; and what happens when they fail."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest

from addon.index.titles import Titles
from addon.media import Episode, MediaId, Title
from addon.search.title_lookup import TitleLookup
from infra.clock import Deadline
from infra.db import Database
from infra.errors import UpstreamTimeout, UpstreamUnavailable
from tests.fakes.clock import FakeClock

FILM_ID = MediaId("tt", "tt0000001")
FILM = Title(id="tt0000001", kind="movie", name="The Long Harbour", year=2015)
EPISODE_ID = MediaId("tt", "tt0000002", 1, 2)
UNKNOWN_EPISODE_ID = MediaId("tt", "tt0000002", 1, 9)
MINUTES = timedelta(minutes=1)
HOURS = timedelta(hours=1)


def series(*, aired: date | None = None, is_ended: bool = False) -> Title:
    """Return a series of two old episodes, and a third one if it has a date."""
    episodes = [Episode(1, 1, date(2020, 1, 1)), Episode(1, 2, date(2020, 1, 8))]
    if aired is not None:
        episodes.append(Episode(1, 3, aired))
    return Title(
        id="tt0000002",
        kind="series",
        name="Quiet Engine",
        episodes=tuple(episodes),
        is_ended=is_ended,
    )


RUNNING = series()


@dataclass
class FakeService:
    """A metadata service that knows some titles, until it is told to fail.

    Attributes:
        titles: by title id and whether an episode is asked for: services keep films apart.
        asked: every question.
        reached: set with the first question.
        gate: questions wait until it is open.
    """

    titles: dict[tuple[str, bool], Title] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[MediaId] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None

    @property
    def name(self) -> str:
        return "fake"

    async def title(self, media: MediaId, deadline: Deadline) -> Title | None:
        self.asked.append(media)
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.titles.get((media.title_id, media.is_episode))

    def knows(self, title: Title) -> None:
        self.titles[title.id, title.kind == "series"] = title


@dataclass
class Bench:
    """A lookup over a real database; `restart` is a process without memory."""

    stored: Titles
    clock: FakeClock
    services: list[FakeService]
    lookup: TitleLookup

    @property
    def service(self) -> FakeService:
        return self.services[0]

    async def get(self, media: MediaId) -> Title | None:
        return await self.lookup.get(media, Deadline.after(5))

    def restart(self) -> None:
        self.lookup = TitleLookup(self.stored, self.services, self.clock)


@pytest.fixture
def bench(database: Database, clock: FakeClock) -> Bench:
    services, stored = [FakeService()], Titles(database)
    services[0].knows(FILM)
    services[0].knows(RUNNING)
    return Bench(stored, clock, services, TitleLookup(stored, services, clock))


class TestMemory:
    async def test_title_is_asked_for_once(self, bench: Bench) -> None:
        found = [await bench.get(FILM_ID) for _ in range(3)]

        assert found == [FILM] * 3
        assert len(bench.service.asked) == 1

    async def test_title_outlives_the_process(self, bench: Bench) -> None:
        await bench.get(FILM_ID)
        bench.restart()

        assert await bench.get(FILM_ID) == FILM
        assert len(bench.service.asked) == 1

    async def test_all_episodes_share_one_answer(self, bench: Bench) -> None:
        await bench.get(EPISODE_ID)

        assert await bench.get(MediaId("tt", "tt0000002", 1, 1)) == RUNNING
        assert len(bench.service.asked) == 1

    async def test_unknown_title_is_remembered_for_a_while(self, bench: Bench) -> None:
        nobody = MediaId("tt", "tt9999999")
        assert [await bench.get(nobody) for _ in range(3)] == [None] * 3
        assert len(bench.service.asked) == 1

        bench.clock.advance(11 * MINUTES)
        bench.service.knows(Title(id="tt9999999", kind="movie", name="New"))

        found = await bench.get(nobody)
        assert found is not None
        assert found.name == "New"

    async def test_film_asked_for_by_the_id_of_a_series_hides_no_series(self, bench: Bench) -> None:
        assert await bench.get(MediaId("tt", "tt0000002")) is None

        assert await bench.get(EPISODE_ID) == RUNNING

    async def test_title_goes_by_the_id_that_was_asked_for(self, bench: Bench) -> None:
        bench.service.titles["kitsu:7", True] = RUNNING

        found = await bench.get(MediaId("kitsu", "7", None, 3))

        assert found is not None
        assert (found.id, found.name) == ("kitsu:7", RUNNING.name)
        assert await bench.stored.get("kitsu:7") is not None


class TestFailure:
    async def test_old_answer_stays_in_force(self, bench: Bench) -> None:
        await bench.get(FILM_ID)
        bench.clock.advance(timedelta(days=300))
        bench.service.error = UpstreamUnavailable("down")

        assert await bench.get(FILM_ID) == FILM
        assert len(bench.service.asked) == 2

    async def test_old_answer_stays_in_force_when_the_title_is_gone(self, bench: Bench) -> None:
        await bench.get(FILM_ID)
        bench.clock.advance(timedelta(days=300))
        bench.service.titles.clear()

        assert await bench.get(FILM_ID) == FILM

    async def test_failing_service_is_not_asked_for_each_request(self, bench: Bench) -> None:
        await bench.get(FILM_ID)
        bench.clock.advance(timedelta(days=300))
        bench.service.error = UpstreamUnavailable("down")

        for _ in range(5):
            await bench.get(FILM_ID)

        assert len(bench.service.asked) == 2

    async def test_failure_is_not_remembered_as_unknown(self, bench: Bench) -> None:
        bench.service.error = UpstreamTimeout("late")
        assert await bench.get(FILM_ID) is None
        bench.service.error = None

        assert await bench.get(FILM_ID) == FILM

    async def test_next_service_is_asked(self, bench: Bench) -> None:
        bench.service.error = UpstreamUnavailable("down")
        second = FakeService()
        second.knows(FILM)
        bench.services.append(second)

        assert await bench.get(FILM_ID) == FILM

    async def test_first_service_that_knows_is_believed(self, bench: Bench) -> None:
        second = FakeService()
        second.knows(Title(id=FILM.id, kind="movie", name="Other"))
        bench.services.append(second)

        assert await bench.get(FILM_ID) == FILM
        assert second.asked == []

    async def test_unknown_to_one_and_not_answered_by_another_is_not_unknown(
        self, bench: Bench
    ) -> None:
        bench.services.append(FakeService(error=UpstreamUnavailable("down")))
        nobody = MediaId("tt", "tt9999999")
        await bench.get(nobody)

        await bench.get(nobody)

        assert len(bench.service.asked) == 2

    async def test_without_any_service_what_is_stored_is_used(self, bench: Bench) -> None:
        await bench.stored.put(FILM, bench.clock.now())
        bench.services.clear()

        assert await bench.get(FILM_ID) == FILM
        assert await bench.get(EPISODE_ID) is None


class TestFreshness:
    @pytest.mark.parametrize(
        ("title", "hours"),
        [
            (FILM, 24),
            (series(is_ended=True), 24),
            (series(), 6),
            (series(aired=date(2025, 12, 29)), 1),
            (series(aired=date(2026, 1, 4)), 1),
            (series(aired=date(2026, 1, 1), is_ended=True), 1),
            (series(aired=date(2025, 12, 27)), 6),
            (series(aired=date(2026, 1, 6)), 6),
        ],
        ids=[
            "film", "ended", "running", "just-aired", "about-to-air", "finale-just-aired",
            "aired-a-while-ago", "airs-in-a-while",
        ],
    )  # fmt: skip
    async def test_title_is_good_for(self, bench: Bench, title: Title, hours: int) -> None:
        media = FILM_ID if title is FILM else EPISODE_ID
        await bench.stored.put(title, bench.clock.now())

        bench.clock.advance(hours * HOURS - MINUTES)
        await bench.get(media)
        asked_before = len(bench.service.asked)
        bench.restart()
        bench.clock.advance(2 * MINUTES)
        await bench.get(media)

        assert (asked_before, len(bench.service.asked)) == (0, 1)

    async def test_episode_that_is_not_in_the_list_is_asked_for_after_an_hour(
        self, bench: Bench
    ) -> None:
        await bench.stored.put(RUNNING, bench.clock.now())

        bench.clock.advance(59 * MINUTES)
        await bench.get(UNKNOWN_EPISODE_ID)
        asked_before = len(bench.service.asked)
        bench.clock.advance(11 * MINUTES)
        await bench.get(UNKNOWN_EPISODE_ID)

        assert (asked_before, len(bench.service.asked)) == (0, 1)

    async def test_answer_that_was_fetched_anew_is_fresh_again(self, bench: Bench) -> None:
        await bench.stored.put(RUNNING, bench.clock.now())
        bench.clock.advance(7 * HOURS)
        await bench.get(EPISODE_ID)
        bench.restart()
        bench.clock.advance(5 * HOURS)

        await bench.get(EPISODE_ID)

        assert len(bench.service.asked) == 1

    async def test_seeded_title_is_never_asked_for(self, bench: Bench) -> None:
        await bench.stored.put(RUNNING, bench.clock.now(), is_seeded=True)
        bench.clock.advance(timedelta(days=3_000))

        found = [await bench.get(media) for media in (EPISODE_ID, UNKNOWN_EPISODE_ID)]

        assert found == [RUNNING, RUNNING]
        assert bench.service.asked == []


class TestCrowd:
    async def test_simultaneous_callers_are_one_call(self, bench: Bench) -> None:
        bench.service.gate = asyncio.Event()
        callers = [asyncio.ensure_future(bench.get(EPISODE_ID)) for _ in range(50)]
        await bench.service.reached.wait()
        bench.service.gate.set()

        found = await asyncio.gather(*callers)

        assert found == [RUNNING] * 50
        assert len(bench.service.asked) == 1

    async def test_caller_that_leaves_takes_nothing_from_the_others(self, bench: Bench) -> None:
        bench.service.gate = asyncio.Event()
        leaver, stayer = (asyncio.ensure_future(bench.get(FILM_ID)) for _ in range(2))
        await bench.service.reached.wait()
        leaver.cancel()
        bench.service.gate.set()

        assert await stayer == FILM
        assert len(bench.service.asked) == 1

    async def test_different_titles_do_not_wait_for_each_other(self, bench: Bench) -> None:
        await bench.stored.put(FILM, bench.clock.now())
        bench.service.gate = asyncio.Event()
        waiting = asyncio.ensure_future(bench.get(EPISODE_ID))
        await bench.service.reached.wait()

        assert await bench.get(FILM_ID) == FILM

        bench.service.gate.set()
        assert await waiting == RUNNING
