"""The main flow over HTTP: manifest, list, play, usage; with everything that a client tries."""

import asyncio

import pytest
from starlette.responses import JSONResponse, Response

from addon.playback import resolve
from addon.routes.stremio import manifest
from addon.search import cache_check, search
from tests.fakes.debrid import Fault
from tests.fakes.faults import Hang
from tests.flows.world import (
    CANARY,
    EPISODE,
    FILM,
    FILM_CACHED,
    FILM_SLOW,
    PACK,
    World,
    config_of,
)


class TestManifest:
    async def test_configured_one_can_be_installed(self, world: World) -> None:
        answer = await world.get(f"/stremio/torz/{await world.pooled()}/manifest.json")

        assert answer.status == 200
        assert len(answer.body) <= 8192
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.json["behaviorHints"]["configurationRequired"] is False
        assert answer.json["resources"][0]["idPrefixes"][0] == "tt"

    @pytest.mark.parametrize(
        "path",
        ["/manifest.json", "/stremio/torz/manifest.json", "/stremio/torz/%21broken/manifest.json"],
    )
    async def test_without_a_good_config_it_asks_to_be_configured(
        self, world: World, path: str
    ) -> None:
        answer = await world.get(path)

        assert answer.json == manifest("Chillproxy", is_configured=False)


class TestFilm:
    async def test_list_shows_cached_first_and_no_other_title(self, world: World) -> None:
        answer = await world.listing(await world.pooled())

        names = [text.partition("📄 ")[2].partition("\n")[0] for text in answer.texts]
        assert names[0] == FILM_CACHED.name
        assert FILM_SLOW.name in names
        assert "Another.Work.2021.1080p.WEB-DL-GRP" not in names
        assert answer.headers["cache-control"] == "no-store"

    async def test_entry_has_what_stremio_wants(self, world: World) -> None:
        stream = (await world.listing(await world.pooled())).streams[0]

        assert "title" not in stream
        assert stream["name"].startswith("[TB⚡] Chillproxy\n1080p")
        hints = stream["behaviorHints"]
        assert hints["filename"].endswith(".mkv")
        assert hints["bingeGroup"] == "chillproxy|1080p|web-dl|avc|grp"
        assert isinstance(hints["videoSize"], int)
        assert len(stream["url"]) < 1500

    async def test_play_leads_to_the_very_file_with_ranges(self, world: World) -> None:
        stream = (await world.listing(await world.pooled())).streams[0]

        whole = await world.follow(stream["url"])
        part = await world.follow(stream["url"], byte_range="2-5")

        content = FILM_CACHED.files[0][1]
        assert (whole.status, whole.body) == (200, content)
        assert (part.status, part.body) == (206, content[2:6])

    async def test_head_answers_like_get(self, world: World) -> None:
        url = (await world.listing(await world.pooled())).streams[0]["url"]

        get, head = await world.get(url), await world.get(url, method="HEAD")

        assert (get.status, head.status) == (302, 302)
        assert get.headers["location"] == head.headers["location"]
        assert get.headers["cache-control"] == "no-store"

    async def test_requests_of_one_tap_are_one_resolve_one_lease_and_one_event(
        self, world: World
    ) -> None:
        url = (await world.listing(await world.pooled())).streams[0]["url"]

        answers = await asyncio.gather(
            *(world.get(url, method=method) for method in ["HEAD", "GET"] * 10)
        )

        assert len({answer.headers["location"] for answer in answers}) == 1
        assert len(world.torbox.asked_for("/torrents/createtorrent")) == 1
        assert len(world.torbox.asked_for("/torrents/requestdl")) == 1
        assert len(await world.usage(1)) == 1
        assert await world.database.fetchval("select sum(plays) from pool_user_days") == 1

    async def test_usage_event_says_who_what_and_with_which_key(self, world: World) -> None:
        await world.get((await world.listing(await world.pooled())).streams[0]["url"])

        (row,) = await world.usage(1)

        assert (row["media"], row["info_hash"]) == (FILM, FILM_CACHED.info_hash)
        assert (row["store"], row["cached"]) == ("torbox", True)
        assert row["user_id"] == await world.database.fetchval("select max(id) from pool_users")
        assert row["key_id"] == await world.database.fetchval("select max(id) from pool_keys")
        assert row["device_id"] is not None
        assert row["day"] == row["at"].date()

    async def test_second_list_asks_neither_source_nor_store_again(self, world: World) -> None:
        config = await world.pooled()
        await world.listing(config)
        asked = len(world.torznab.requests), len(world.torbox.asked), len(world.cinemeta.requests)

        again = await world.listing(config)

        assert len(again.streams) == 3
        assert asked == (
            len(world.torznab.requests), len(world.torbox.asked), len(world.cinemeta.requests)
        )  # fmt: skip

    async def test_many_at_once_ask_each_source_and_store_once(self, world: World) -> None:
        config = await world.pooled()

        answers = await asyncio.gather(*(world.listing(config) for _ in range(20)))

        assert {len(answer.streams) for answer in answers} == {3}
        assert len(world.torznab.searches()) == 1
        assert len(world.torbox.asked_for("/torrents/checkcached")) == 1


class TestEpisode:
    async def test_episode_plays_its_file_of_the_season_pack(self, world: World) -> None:
        answer = await world.listing(await world.pooled(), EPISODE)

        stream = answer.streams[0]
        assert len(answer.streams) == 1
        assert "S01E02" in stream["behaviorHints"]["filename"]
        content = dict(PACK.files)["Example.Show.S01.1080p/Example.Show.S01E02.1080p.mkv"]
        assert (await world.follow(stream["url"])).body == content

    async def test_episode_that_the_pack_does_not_hold_is_not_listed(self, world: World) -> None:
        answer = await world.listing(await world.pooled(), "tt7654321:1:9")

        assert answer.streams == []

    async def test_colons_may_be_percent_encoded(self, world: World) -> None:
        config = await world.pooled()

        answer = await world.get(f"/stremio/torz/{config}/stream/series/tt7654321%3A1%3A2.json")

        assert len(answer.streams) == 1


class TestUncached:
    async def test_play_starts_the_download_and_says_so(self, world: World) -> None:
        streams = (await world.listing(await world.pooled())).streams
        slow = next(one for one in streams if FILM_SLOW.name in one["description"])

        answer = await world.get(slow["url"])

        assert answer.headers["location"].endswith("/stremio/notice/downloading.mp4")
        clip = await world.follow(slow["url"], byte_range="0-99")
        assert (clip.status, clip.headers["content-type"]) == (206, "video/mp4")

    async def test_cached_only_hides_it(self, world: World) -> None:
        await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user())}, cached=True)

        assert len((await world.listing(config)).streams) == 1


class TestForgery:
    async def test_changed_halves_are_404(self, world: World) -> None:
        url = (await world.listing(await world.pooled())).streams[0]["url"]
        who, what, name = url.rpartition("/stremio/play/")[2].split("/")
        other = "B" if who[30] != "B" else "C"

        forged = [
            f"/stremio/play/{who[:30]}{other}{who[31:]}/{what}/{name}",
            f"/stremio/play/{what}/{who}/{name}",
            f"/stremio/play/{who}/{what}=/{name}",
            f"/stremio/play/{who}/x/{name}",
        ]

        assert [(await world.get(path)).status for path in forged] == [404] * 4

    async def test_other_persons_who_plays_on_that_persons_limits(self, world: World) -> None:
        config = await world.pooled()
        mine = (await world.listing(config)).streams[0]["url"]
        other_config = config_of({"c": "tb", "auth": str(await world.add_user())})
        theirs = (await world.listing(other_config)).streams[0]["url"]
        who = theirs.rpartition("/stremio/play/")[2].split("/")[0]
        _, what, name = mine.rpartition("/stremio/play/")[2].split("/")

        answer = await world.get(f"/stremio/play/{who}/{what}/{name}")

        assert answer.status == 302
        (row,) = await world.usage(1)
        assert row["user_id"] == await world.database.fetchval("select max(id) from pool_users")


class TestRecovery:
    async def test_torrent_that_vanished_from_the_account_is_added_again(
        self, world: World
    ) -> None:
        key = await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user())})
        url = (await world.listing(config)).streams[0]["url"]
        await world.get(url)
        world.torbox.lose(key.reveal(), FILM_CACHED.info_hash)
        other_device = (await world.listing(config, agent="Mozilla/5.0 Firefox/130.0")).streams[0]

        answer = await world.follow(other_device["url"])

        assert answer.status == 200

    async def test_key_that_the_store_refuses_gives_way_to_the_next(self, world: World) -> None:
        bad = await world.add_key()
        del world.torbox.accounts[bad.reveal()]
        good = await world.add_key()
        config = config_of({"c": "tb", "auth": str(await world.add_user())})
        await world.listing(config)
        url = (await world.listing(config)).streams[0]["url"]

        answer = await world.follow(url)

        assert answer.status == 200
        assert world.torbox.asked[-2].headers["authorization"].endswith(good.reveal())
        states = await world.database.fetch("select state from pool_keys order by id")
        assert [row["state"] for row in states] == ["quarantined", "active"]

    async def test_store_that_is_down_leaves_a_readable_list(self, world: World) -> None:
        world.torbox.script.fail(Fault.SERVER_ERROR, times=99)

        answer = await world.listing(await world.pooled())

        assert "The provider does not answer" in answer.texts[0]
        assert any(stream["name"].startswith("[TB?]") for stream in answer.streams)

    async def test_indexer_that_is_down_is_said(self, world: World) -> None:
        world.torznab.fault = lambda: Response(status_code=500)

        answer = await world.listing(await world.pooled())

        assert answer.status == 200
        assert "The sources of torrents do not answer" in answer.texts[0]
        assert len(answer.streams) == 1

    async def test_pack_whose_files_were_unknown_plays_each_episode_as_such(
        self, world: World
    ) -> None:
        config = await world.pooled()
        world.torbox.script.fail(Fault.SERVER_ERROR, path="/checkcached", times=99)

        played = {}
        for media in (EPISODE, "tt7654321:1:1"):
            stream = (await world.listing(config, media)).streams[-1]
            played[media] = (await world.follow(stream["url"])).body

        assert played[EPISODE].startswith(b"Example.Show.S01.1080p/Example.Show.S01E02")
        assert played["tt7654321:1:1"].startswith(b"Example.Show.S01.1080p/Example.Show.S01E01")

    async def test_cached_plays_spend_no_creation(self, world: World) -> None:
        config = await world.pooled()
        url = (await world.listing(config)).streams[0]["url"]

        await world.get(url)

        (created,) = world.torbox.asked_for("/torrents/createtorrent")
        assert b"add_only_if_cached=true" in created.body

    async def test_item_lost_between_look_and_link_is_added_anew(self, world: World) -> None:
        config = await world.pooled()
        url = (await world.listing(config)).streams[0]["url"]
        gone = JSONResponse(
            {"success": False, "error": "ITEM_NOT_FOUND", "detail": "gone", "data": None}, 404
        )
        world.torbox.script.fail(gone, path="/requestdl")

        answer = await world.follow(url)

        assert answer.status == 200

    async def test_play_ends_within_its_budget_when_the_database_hangs(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resolve, "RESOLVE_SECONDS", 0.5)
        url = (await world.listing(await world.pooled())).streams[0]["url"]

        async with world.database.transaction() as connection:
            await connection.execute("lock table account_items in access exclusive mode")
            answer = await world.get(url)

        assert answer.headers["location"].endswith("/stremio/notice/provider_down.mp4")


class TestHangs:
    async def test_hung_store_leaves_what_was_known(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache_check, "_CHECK_SECONDS", 0.5)
        config = await world.pooled()
        await world.listing(config)
        await world.database.execute(
            "delete from availability where info_hash <> $1", FILM_CACHED.info_hash
        )
        world.torbox.script.fail(Fault.HANG, path="/checkcached", times=9)

        answer = await world.listing(config)

        assert "The provider does not answer" in answer.texts[0]
        assert answer.streams[1]["name"].startswith("[TB⚡]")

    async def test_slow_title_and_hung_source_leave_what_another_source_found(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "_LIVE_SECONDS", 1.0)
        monkeypatch.setattr(search, "_TITLE_SECONDS", 0.3)
        world.cinemeta.fault = Hang

        answer = await world.listing(await world.pooled())

        assert FILM_CACHED.name in answer.texts[0]

    async def test_bad_key_of_one_person_is_not_told_to_another(self, world: World) -> None:
        pooled = await world.pooled()
        broken = config_of({"c": "tb", "t": "token-that-nobody-knows"})

        answers = await asyncio.gather(
            world.listing(broken), world.listing(pooled), world.listing(pooled)
        )

        assert "Key or subscription problem" in answers[0].texts[0]
        for answer in answers[1:]:
            assert answer.streams[0]["name"].startswith("[TB⚡]")

    async def test_token_of_a_stranger_does_not_stop_the_links_of_others(
        self, world: World
    ) -> None:
        await world.listing(config_of({"c": "tb", "t": "http://127.0.0.1:"}))
        url = (await world.listing(await world.pooled())).streams[0]["url"]

        assert (await world.follow(url)).status == 200


class TestIds:
    @pytest.mark.parametrize(
        "path",
        [
            "series/tt7654321.json", "movie/nonsense.json", "movie/tt12.json",
            "series/tt7654321:1:x.json", "channel/tt1234567.json", "movie/kitsu:1:2.json",
        ],
    )  # fmt: skip
    async def test_what_we_do_not_serve_is_an_empty_list(self, world: World, path: str) -> None:
        answer = await world.get(f"/stremio/torz/{await world.pooled()}/stream/{path}")

        assert (answer.status, answer.json) == (200, {"streams": []})

    async def test_empty_extra_segment_is_taken(self, world: World) -> None:
        answer = await world.get(f"/stremio/torz/{await world.pooled()}/stream/movie/{FILM}/.json")

        assert len(answer.streams) == 3


class TestSecrets:
    async def test_no_reply_holds_a_key_and_the_database_only_ciphertext(
        self, world: World
    ) -> None:
        config = await world.pooled()
        for media in (FILM, EPISODE):
            for stream in (await world.listing(config, media)).streams:
                await world.get(stream["url"])
        await world.usage(1)

        assert CANARY.encode() not in b"".join(world.seen)
        tables = await world.database.fetch(
            "select tablename from pg_tables where schemaname = 'public'"
        )
        for row in tables:
            dump = await world.database.fetch(f'select t::text from "{row["tablename"]}" t')
            text = "".join(line["t"] for line in dump)
            assert CANARY not in text
            assert CANARY.encode().hex() not in text
