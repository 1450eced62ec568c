"""What the server remembers of torrents, searches, caches, accounts and titles."""

import asyncio
from datetime import date, timedelta

import pytest

from addon.index.availability import CACHED_FOR, NOT_CACHED_FOR, Availability
from addon.index.items import Items
from addon.index.searches import Searches
from addon.index.titles import StoredTitle, Titles
from addon.index.torrents import Torrents
from addon.media import Episode, MediaId, Title
from addon.titles.parse import parse_release
from addon.torrent import Found, TorrentFile
from infra.db import Database
from tests.fakes.clock import FakeClock

FILM = MediaId("tt", "tt1234567")
EPISODE = MediaId("tt", "tt7654321", 2, 5)
OTHER_EPISODE = MediaId("tt", "tt7654321", 2, 6)
FILM_NAME = "Some.Film.2019.2160p.BluRay.HDR.x265.DTS-GROUP"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def hash_of(number: int) -> str:
    return f"{number:040x}"


def found(number: int = 1, name: str = FILM_NAME, **values: object) -> Found:
    return Found(info_hash=hash_of(number), name=name, **values)  # type: ignore[arg-type]


def file(path: str, size_bytes: int | None = 7) -> TorrentFile:
    return TorrentFile(path, size_bytes)


class TestTorrents:
    @pytest.fixture
    def torrents(self, database: Database) -> Torrents:
        return Torrents(database)

    async def names(self, torrents: Torrents, media: MediaId, *scopes: str) -> set[str]:
        return {one.name for one in await torrents.of_title(media, scopes)}

    async def test_torrent_comes_back_with_what_its_name_says(self, torrents: Torrents) -> None:
        one = found(size_bytes=9, seeders=3, tracker="site", by_id=True, trackers=("udp://t",))

        await torrents.store([one], FILM)

        (known,) = await torrents.of_title(FILM, ())
        assert known.release == parse_release(FILM_NAME)
        assert (known.info_hash, known.name) == (one.info_hash, FILM_NAME)
        assert (known.size_bytes, known.seeders, known.tracker) == (9, 3, "site")
        assert (known.by_id, known.scope, known.hint, known.files) == (True, "", None, ())
        assert await torrents.trackers(one.info_hash) == ("udp://t",)

    async def test_nothing_found_is_no_error(self, torrents: Torrents) -> None:
        await torrents.store([], FILM)

        assert await torrents.of_title(FILM, ()) == []

    async def test_torrents_of_another_title_do_not_come(self, torrents: Torrents) -> None:
        await torrents.store([found()], FILM)

        assert await self.names(torrents, EPISODE) == set()

    async def test_private_torrent_is_kept_from_everybody(
        self, torrents: Torrents, database: Database
    ) -> None:
        await torrents.store([found(1, private=True), found(2)], FILM)

        rows = await database.fetch("select info_hash from torrents")
        assert [row["info_hash"] for row in rows] == [hash_of(2)]

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param(found(1, "Nul\0.2019.1080p"), id="name"),
            pytest.param(found(1, tracker="nul\0"), id="tracker"),
            pytest.param(found(1, trackers=("udp://nul\0",)), id="announce URL"),
            pytest.param(found(1, file=file("nul\0.mkv")), id="file"),
        ],
    )
    async def test_torrent_that_cannot_be_kept_costs_no_other(
        self, torrents: Torrents, bad: Found
    ) -> None:
        await torrents.store([bad, found(2, "Good.Film.2019.1080p")], FILM)

        assert await self.names(torrents, FILM) == {"Good.Film.2019.1080p"}

    async def test_second_find_refreshes_seeders_and_keeps_the_name(
        self, torrents: Torrents
    ) -> None:
        await torrents.store([found(seeders=3)], FILM)

        await torrents.store([found(1, "Another.Name.2019", seeders=8, size_bytes=5)], FILM)

        (known,) = await torrents.of_title(FILM, ())
        assert (known.name, known.seeders, known.size_bytes) == (FILM_NAME, 8, 5)

    async def test_source_that_does_not_know_takes_nothing_away(self, torrents: Torrents) -> None:
        await torrents.store([found(seeders=3, size_bytes=5, by_id=True)], FILM)

        await torrents.store([found(seeders=None, size_bytes=None, by_id=False)], FILM)

        (known,) = await torrents.of_title(FILM, ())
        assert (known.seeders, known.size_bytes, known.by_id) == (3, 5, True)

    async def test_find_of_one_users_indexer_is_for_its_scope_only(
        self, torrents: Torrents
    ) -> None:
        await torrents.store([found()], FILM, scope="mine")

        everyone, mine, other = [
            await self.names(torrents, FILM, *scopes) for scopes in ((), ("mine",), ("other",))
        ]

        assert (everyone, mine, other) == (set(), {FILM_NAME}, set())

    async def test_hint_is_for_its_own_episode(self, torrents: Torrents) -> None:
        pack = found(1, "Show.S02.1080p", file=file("Show.S02E05.mkv"))

        await torrents.store([pack], EPISODE)

        (here,) = await torrents.of_title(EPISODE, ())
        (there,) = await torrents.of_title(OTHER_EPISODE, ())
        assert (here.hint, there.hint) == (file("Show.S02E05.mkv"), None)

    async def test_seasons_that_cannot_hold_the_episode_are_left_out(
        self, torrents: Torrents
    ) -> None:
        named = {
            "Show.S01.1080p", "Show.S02.1080p", "Show.S02E05.1080p", "Show.S03.1080p",
            "Show.Complete.1080p",
        }  # fmt: skip
        await torrents.store([found(n, name) for n, name in enumerate(sorted(named))], EPISODE)

        assert await self.names(torrents, EPISODE) == named - {"Show.S03.1080p"}

    async def test_first_file_list_stays_and_comes_with_the_torrent(
        self, torrents: Torrents
    ) -> None:
        await torrents.store([found()], FILM)
        await torrents.save_files({hash_of(1): (file("b.mkv"), file("a.mkv", None))})

        await torrents.save_files({hash_of(1): (file("c.mkv"),)})

        (known,) = await torrents.of_title(FILM, ())
        assert known.files == (file("a.mkv", None), file("b.mkv"))

    async def test_files_of_unknown_torrents_and_unkeepable_paths_are_passed_over(
        self, torrents: Torrents
    ) -> None:
        await torrents.store([found()], FILM)

        await torrents.save_files(
            {hash_of(1): (file("a.mkv"), file("nul\0.mkv")), hash_of(2): (file("b.mkv"),)}
        )
        await torrents.save_files({})

        assert await torrents.files([hash_of(1), hash_of(2)]) == {hash_of(1): (file("a.mkv"),)}

    async def test_two_lists_of_one_torrent_that_come_at_once_are_not_mixed(
        self, torrents: Torrents
    ) -> None:
        await torrents.store([found(n) for n in range(20)], FILM)
        lists = [
            {hash_of(n): (file(f"{who}/a.mkv"), file(f"{who}/b.mkv")) for n in range(20)}
            for who in ("one", "two", "three", "four")
        ]

        await asyncio.gather(*(torrents.save_files(each) for each in lists))

        kept = await torrents.files([hash_of(n) for n in range(20)])
        assert len(kept) == 20
        assert {len({one.path[:3] for one in files}) for files in kept.values()} == {1}

    async def test_sources_that_find_the_same_in_other_orders_do_not_block_each_other(
        self, torrents: Torrents, database: Database
    ) -> None:
        everything = [found(n, f"Film.{n}.2019", seeders=n, file=file("a.mkv")) for n in range(60)]

        for _ in range(3):
            results = await asyncio.gather(
                *(torrents.store(everything[:: 1 - 2 * (n % 2)], FILM) for n in range(8)),
                return_exceptions=True,
            )

            assert results == [None] * 8
            await database.execute("update torrents set seeders = null")

    async def test_announce_urls_of_an_unknown_torrent_are_none(self, torrents: Torrents) -> None:
        assert await torrents.trackers(hash_of(9)) == ()


class TestSearches:
    @pytest.fixture
    def searches(self, database: Database, clock: FakeClock) -> Searches:
        return Searches(database, clock)

    async def test_source_that_was_never_asked_is_due(self, searches: Searches) -> None:
        assert await searches.due(FILM, {"one": HOUR, "two": HOUR}) == {"one", "two"}
        assert await searches.due(FILM, {}) == frozenset()

    async def test_source_is_due_again_when_its_time_is_over(
        self, searches: Searches, clock: FakeClock
    ) -> None:
        await searches.mark(FILM, [("one", 5), ("two", 5)])
        ttls = {"one": HOUR, "two": 2 * HOUR}
        clock.advance(HOUR - MINUTE)
        before = await searches.due(FILM, ttls)
        clock.advance(MINUTE)

        assert before == frozenset()
        assert await searches.due(FILM, ttls) == {"one"}

    async def test_empty_answer_is_good_for_minutes_only(
        self, searches: Searches, clock: FakeClock
    ) -> None:
        await searches.mark(FILM, [("one", 0), ("hasty", 0)])
        ttls = {"one": HOUR, "hasty": MINUTE}

        clock.advance(2 * MINUTE)
        soon = await searches.due(FILM, ttls)
        clock.advance(8 * MINUTE)

        assert soon == {"hasty"}
        assert await searches.due(FILM, ttls) == {"one", "hasty"}

    async def test_later_answer_replaces_the_mark(
        self, searches: Searches, clock: FakeClock
    ) -> None:
        await searches.mark(FILM, [("one", 0)])
        clock.advance(20 * MINUTE)

        await searches.mark(FILM, [("one", 3)])

        clock.advance(30 * MINUTE)
        assert await searches.due(FILM, {"one": HOUR}) == frozenset()

    async def test_each_episode_has_marks_of_its_own(self, searches: Searches) -> None:
        await searches.mark(EPISODE, [("one", 3)])

        assert await searches.due(OTHER_EPISODE, {"one": HOUR}) == {"one"}


class TestAvailability:
    @pytest.fixture
    def availability(self, database: Database, clock: FakeClock) -> Availability:
        return Availability(database, clock)

    async def test_what_a_store_said_is_known_for_that_store(
        self, availability: Availability
    ) -> None:
        await availability.remember("torbox", {hash_of(1): True, hash_of(2): False}, "native")

        asked = [hash_of(n) for n in (1, 2, 3)]
        assert await availability.known("torbox", asked) == {hash_of(1): True, hash_of(2): False}
        assert await availability.known("premiumize", asked) == {}

    @pytest.mark.parametrize(
        ("is_cached", "span"), [(True, CACHED_FOR), (False, NOT_CACHED_FOR)], ids=["yes", "no"]
    )
    async def test_answer_is_forgotten_after_its_time(
        self, availability: Availability, clock: FakeClock, is_cached: bool, span: timedelta
    ) -> None:
        await availability.remember("torbox", {hash_of(1): is_cached}, "native")
        clock.advance(span - MINUTE)
        before = await availability.known("torbox", [hash_of(1)])
        clock.advance(MINUTE)

        assert before == {hash_of(1): is_cached}
        assert await availability.known("torbox", [hash_of(1)]) == {}

    async def test_later_answer_counts(
        self, availability: Availability, database: Database
    ) -> None:
        await availability.remember("torbox", {hash_of(1): True}, "native")

        await availability.remember("torbox", {hash_of(1): False}, "observed")

        assert await availability.known("torbox", [hash_of(1)]) == {hash_of(1): False}
        assert await database.fetchval("select evidence from availability") == "observed"

    async def test_nothing_said_is_nothing_known(self, availability: Availability) -> None:
        await availability.remember("torbox", {}, "native")

        assert await availability.known("torbox", []) == {}

    async def test_answers_in_other_orders_do_not_block_each_other(
        self, availability: Availability
    ) -> None:
        states = {hash_of(n): True for n in range(300)}
        orders = [states, dict(reversed(states.items()))]

        results = await asyncio.gather(
            *(availability.remember("torbox", orders[n % 2], "native") for n in range(16)),
            return_exceptions=True,
        )

        assert results == [None] * 16


class TestItems:
    @pytest.fixture
    def items(self, database: Database) -> Items:
        return Items(database)

    async def test_item_is_found_in_its_own_account_only(self, items: Items) -> None:
        await items.remember("torbox", "key:1", hash_of(1), "77")

        found = [
            await items.find(store, account, info_hash)
            for store, account, info_hash in (
                ("torbox", "key:1", hash_of(1)),
                ("torbox", "key:2", hash_of(1)),
                ("premiumize", "key:1", hash_of(1)),
                ("torbox", "key:1", hash_of(2)),
            )
        ]

        assert found == ["77", None, None, None]

    async def test_item_that_was_added_again_has_its_new_id(self, items: Items) -> None:
        await items.remember("torbox", "key:1", hash_of(1), "77")

        await items.remember("torbox", "key:1", hash_of(1), "78")

        assert await items.find("torbox", "key:1", hash_of(1)) == "78"

    async def test_forgotten_item_is_gone_and_no_other(self, items: Items) -> None:
        await items.remember("torbox", "key:1", hash_of(1), "77")
        await items.remember("torbox", "key:2", hash_of(1), "78")

        await items.forget("torbox", "key:1", hash_of(1))
        await items.forget("torbox", "key:1", hash_of(1))

        assert await items.find("torbox", "key:1", hash_of(1)) is None
        assert await items.find("torbox", "key:2", hash_of(1)) == "78"


class TestTitles:
    SHOW = Title(
        id="tt7654321",
        kind="series",
        name="Show",
        aliases=("Le Show",),
        year=2019,
        episodes=(Episode(1, 1, date(2019, 1, 2)), Episode(1, 2)),
    )

    @pytest.fixture
    def titles(self, database: Database) -> Titles:
        return Titles(database)

    async def test_title_comes_back_as_it_was(self, titles: Titles, clock: FakeClock) -> None:
        await titles.put(self.SHOW, clock.now())

        stored = await titles.get("tt7654321")

        assert stored == StoredTitle(self.SHOW, clock.now(), is_seeded=False)
        assert await titles.get("tt1234567") is None

    async def test_later_answer_replaces_the_former(self, titles: Titles, clock: FakeClock) -> None:
        await titles.put(self.SHOW, clock.now(), is_seeded=True)
        clock.advance(HOUR)

        await titles.put(Title(id="tt7654321", kind="series", name="New"), clock.now())

        stored = await titles.get("tt7654321")
        assert stored is not None
        assert (stored.title.name, stored.is_seeded) == ("New", False)
        assert stored.fetched_at == clock.now()

    async def test_title_in_the_form_of_another_release_is_asked_for_anew(
        self, titles: Titles, database: Database
    ) -> None:
        await database.execute(
            "insert into titles (id, body) values ('tt7654321', $1)", {"id": "tt7654321"}
        )

        assert await titles.get("tt7654321") is None
