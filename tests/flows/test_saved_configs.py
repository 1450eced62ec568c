"""Saved configurations: made, used, changed and deleted over HTTP, by those who may."""

import hashlib
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.fakes.torbox import Account
from tests.flows.world import CANARY, FILM, Answer, World, config_of, open_world

PASSWORD = "correct horse"
BY_PASSWORD = {"X-Edit-Password": PASSWORD}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}

# What is sent as config, and what the refusal says of it.
UNREADABLE: tuple[tuple[object, str], ...] = (
    ({}, "$"),
    ([], "$"),
    (None, "$"),
    ({"stores": []}, "names no store"),
    ({"stores": [{"c": 1}]}, "$.stores[0].c"),
    ({"stores": [{"c": "tb", "auth": "x"}]}, "store 1: invalid auth format, expected UUID"),
    ({"stores": [{"c": "tb", "t": "a b"}]}, "$.stores[0].t"),
    ({"stores": [{"c": "tb", "t": "k"}], "filter": {"minSize": -1}}, "$.filter.minSize"),
    ({"stores": [{"c": "tb", "t": "k"}], "x": "y" * 4096}, "longer than 4096"),
)


def bearer(auth: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {auth}"}


async def call(
    world: World,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    url = f"{world.base}/api/configs{path}"
    async with world.client.request(method, url, json=body, headers=headers) as response:
        return Answer(response.status, dict(response.headers), await response.read())


async def save(world: World, config: object, password: str | None = None) -> Any:
    answer = await call(world, "POST", "", {"config": config, "password": password})
    assert answer.status == 201, answer.body
    return answer.json


def own_token(world: World) -> str:
    token = f"{CANARY}-{uuid4()}"
    world.torbox.accounts[token] = Account(token)
    return token


def with_token(token: str, **more: object) -> dict[str, object]:
    return {"stores": [{"c": "tb", "t": token}], **more}


async def with_user(world: World) -> tuple[dict[str, object], UUID]:
    """Return the config of a new user of a pool with one key."""
    await world.add_key()
    auth = await world.add_user()
    return {"stores": [{"c": "tb", "auth": str(auth)}]}, auth


async def is_configured(world: World, saved_id: str) -> bool:
    answer = await world.get(f"/stremio/torz/c.{saved_id}/manifest.json")
    return not answer.json["behaviorHints"]["configurationRequired"]


def is_unreadable(answer: Answer) -> bool:
    return answer.status == 200 and "Configuration cannot be read" in answer.texts[0]


class TestSaving:
    async def test_saved_config_is_a_short_link_that_lists_and_plays(self, world: World) -> None:
        config, _ = await with_user(world)

        saved = await save(world, config)
        listed = await world.listing(f"c.{saved['id']}")
        played = await world.get(listed.streams[0]["url"])

        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", saved["id"])
        assert saved["manifestUrl"] == f"{world.base}/stremio/torz/c.{saved['id']}/manifest.json"
        assert await is_configured(world, saved["id"])
        assert played.status == 302
        assert "/stremio/notice/" not in played.headers["location"]

    async def test_link_carries_neither_uuid_nor_key(self, world: World) -> None:
        token = own_token(world)

        saved = await save(world, with_token(token))
        listed = await world.listing(f"c.{saved['id']}")

        assert token not in repr(saved)
        assert token.encode() not in listed.body

    async def test_row_tells_neither_id_nor_content_nor_password(self, world: World) -> None:
        config, auth = await with_user(world)
        token = own_token(world)
        config["stores"] = [{"c": "tb", "auth": str(auth), "t": token}]

        saved = await save(world, config, PASSWORD)

        row = await world.database.fetchrow("select * from saved_configs")
        assert row is not None
        assert row["id_digest"] == hashlib.sha256(saved["id"].encode()).digest()
        kept = repr(tuple(row)) + repr(bytes(row["sealed"]).hex())
        for secret in (saved["id"], str(auth), auth.hex, token, token.encode().hex(), PASSWORD):
            assert secret not in kept

    async def test_row_opens_under_its_own_id_only(self, world: World) -> None:
        mine = await save(world, with_token(own_token(world)))
        other = await save(world, with_token(own_token(world)))

        await world.database.execute(
            "update saved_configs set sealed ="
            " (select sealed from saved_configs where id_digest = $1) where id_digest = $2",
            hashlib.sha256(mine["id"].encode()).digest(),
            hashlib.sha256(other["id"].encode()).digest(),
        )

        assert is_unreadable(await world.listing(f"c.{other['id']}"))
        assert not is_unreadable(await world.listing(f"c.{mine['id']}"))

    async def test_owner_is_the_pool_user_in_it(self, world: World) -> None:
        config, _ = await with_user(world)

        await save(world, config)
        await save(world, with_token(own_token(world)))

        owners = await world.database.fetch("select owner from saved_configs order by created_at")
        ref = await world.database.fetchval("select ref from pool_users")
        assert [row["owner"] for row in owners] == [str(ref), None]

    async def test_config_that_cannot_be_read_is_refused_with_its_place(self, world: World) -> None:
        for config, said in UNREADABLE:
            answer = await call(world, "POST", "", {"config": config})

            assert (answer.status, answer.json["error"]) == (400, "config_invalid")
            assert said in answer.json["message"]
        assert await world.database.fetchval("select count(*) from saved_configs") == 0

    async def test_password_that_no_header_carries_is_refused(self, world: World) -> None:
        for password in ("", "short", "x" * 129, " padded to eight", "pässword", "line\nbreak"):
            body = {"config": with_token("k"), "password": password}

            answer = await call(world, "POST", "", body)

            assert (answer.status, answer.json["error"]) == (400, "validation_error"), password
            assert "password" in answer.json["message"]

    async def test_page_of_another_site_saves_nothing(self, world: World) -> None:
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
        ):
            answer = await call(world, "POST", "", {"config": with_token("k")}, headers)

            assert answer.status == 403, headers
            assert "Access-Control-Allow-Origin" not in answer.headers
        assert await world.database.fetchval("select count(*) from saved_configs") == 0

    async def test_one_network_does_not_fill_the_database(self, world: World) -> None:
        body = {"config": with_token("k")}

        statuses = [(await call(world, "POST", "", body)).status for _ in range(32)]

        assert statuses == [201] * 30 + [429] * 2


class TestWhoMayChange:
    async def test_uuid_in_it_opens_it(self, world: World) -> None:
        config, auth = await with_user(world)
        saved = await save(world, config)

        answer = await call(world, "GET", f"/{saved['id']}", headers=bearer(str(auth).upper()))

        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json["config"] == config
        assert answer.json["manifestUrl"] == saved["manifestUrl"]
        assert answer.json["hasPassword"] is False

    async def test_password_opens_it_and_comes_back_as_it_was_given(self, world: World) -> None:
        config = with_token(own_token(world), indexers=[{"u": "https://x.example"}], note="ж")
        saved = await save(world, config, PASSWORD)

        answer = await call(world, "GET", f"/{saved['id']}", headers=BY_PASSWORD)

        assert answer.json["config"] == config
        assert answer.json["hasPassword"] is True

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 401),
            (bearer(uuid4()), 403),
            (bearer("x"), 403),
            (bearer(""), 403),
            ({"Authorization": "Basic eDp5"}, 403),
            ({"X-Edit-Password": "incorrect horse"}, 403),
            ({"X-Edit-Password": PASSWORD + "\xff"}, 403),
        ],
        ids=["none", "other-uuid", "no-uuid", "no-text", "basic", "wrong", "odd"],
    )
    async def test_nobody_else_reads_or_changes_it(
        self, world: World, headers: dict[str, str], status: int
    ) -> None:
        config, _ = await with_user(world)
        saved = await save(world, config, PASSWORD)
        path, body = f"/{saved['id']}", {"config": with_token("other")}

        read = await call(world, "GET", path, headers=headers)
        changed = await call(world, "PUT", path, body, headers)
        deleted = await call(world, "DELETE", path, headers=headers)

        assert [read.status, changed.status, deleted.status] == [status] * 3
        assert await is_configured(world, saved["id"])
        kept = await call(world, "GET", f"/{saved['id']}", headers=BY_PASSWORD)
        assert kept.json["config"] == config

    async def test_uuid_alone_is_no_password_where_none_was_chosen(self, world: World) -> None:
        saved = await save(world, with_token(own_token(world)))

        answers = [
            await call(world, "GET", f"/{saved['id']}", headers=headers)
            for headers in (BY_PASSWORD, bearer(uuid4()))
        ]

        assert [answer.status for answer in answers] == [403, 403]

    async def test_unknown_id_is_not_found_whatever_is_presented(self, world: World) -> None:
        body = {"config": with_token("k")}

        answers = [
            answer
            for saved_id in ("A" * 22, "A" * 21, "A" * 23, "A" * 21 + "é", "x")
            for answer in (
                await call(world, "GET", f"/{saved_id}"),
                await call(world, "GET", f"/{saved_id}", headers=BY_PASSWORD),
                await call(world, "PUT", f"/{saved_id}", body, bearer(uuid4())),
                await call(world, "DELETE", f"/{saved_id}", headers=bearer(uuid4())),
            )
        ]

        assert {answer.status for answer in answers} == {404}
        assert {answer.json["error"] for answer in answers} == {"not_found"}

    async def test_sixth_wrong_attempt_waits_and_the_right_one_with_it(self, world: World) -> None:
        config, auth = await with_user(world)
        saved, other = await save(world, config), await save(world, config)
        path = f"/{saved['id']}"

        wrong = [await call(world, "GET", path, headers=bearer(uuid4())) for _ in range(6)]
        right = await call(world, "GET", path, headers=bearer(auth))
        elsewhere = await call(world, "GET", f"/{other['id']}", headers=bearer(auth))

        assert [answer.status for answer in wrong] == [403] * 5 + [429]
        assert right.status == 429
        assert right.headers["Retry-After"] == "900"
        assert elsewhere.status == 200

    async def test_right_one_clears_the_count(self, world: World) -> None:
        config, auth = await with_user(world)
        saved = await save(world, config)
        path = f"/{saved['id']}"

        statuses = [
            (await call(world, "GET", path, headers=bearer(one))).status
            for one in [*[uuid4()] * 4, auth, *[uuid4()] * 5, auth]
        ]

        assert statuses == [403] * 4 + [200] + [403] * 5 + [429]

    async def test_change_needs_a_page_of_ours(self, world: World) -> None:
        config, auth = await with_user(world)
        saved = await save(world, config)
        foreign = {**bearer(auth), "Sec-Fetch-Site": "cross-site"}

        deleted = await call(world, "DELETE", f"/{saved['id']}", headers=foreign)
        changed = await call(world, "PUT", f"/{saved['id']}", {"config": config}, foreign)
        own = {**bearer(auth), **OWN_PAGE}
        from_own = await call(world, "PUT", f"/{saved['id']}", {"config": config}, own)

        assert (deleted.status, changed.status, from_own.status) == (403, 403, 200)


class TestChanging:
    async def test_change_is_seen_by_the_next_list(self, world: World) -> None:
        token = own_token(world)
        saved = await save(world, with_token(token), PASSWORD)
        before = await world.listing(f"c.{saved['id']}")
        only_720p = with_token(token, filter={"resolutions": ["720p"]})

        changed = await call(world, "PUT", f"/{saved['id']}", {"config": only_720p}, BY_PASSWORD)

        after = await world.listing(f"c.{saved['id']}")
        assert changed.status == 200
        assert changed.json["config"] == only_720p
        assert any("1080p" in text for text in before.texts)
        assert not any("1080p" in text for text in after.texts)

    async def test_password_stays_unless_a_new_one_is_given(self, world: World) -> None:
        config = with_token(own_token(world))
        saved = await save(world, config, PASSWORD)
        path = f"/{saved['id']}"
        new = {"X-Edit-Password": "another horse"}

        await call(world, "PUT", path, {"config": config}, BY_PASSWORD)
        kept = await call(world, "GET", path, headers=BY_PASSWORD)
        await call(world, "PUT", path, {"config": config, "password": "another horse"}, BY_PASSWORD)
        old = await call(world, "GET", path, headers=BY_PASSWORD)
        replaced = await call(world, "GET", path, headers=new)

        assert [kept.status, old.status, replaced.status] == [200, 403, 200]

    async def test_broken_change_changes_nothing(self, world: World) -> None:
        config = with_token(own_token(world))
        saved = await save(world, config, PASSWORD)

        answer = await call(world, "PUT", f"/{saved['id']}", {"config": {"stores": 1}}, BY_PASSWORD)

        kept = await call(world, "GET", f"/{saved['id']}", headers=BY_PASSWORD)
        assert answer.status == 400
        assert kept.json["config"] == config

    async def test_old_play_url_stops_with_the_credentials_it_was_made_from(
        self, world: World
    ) -> None:
        token = own_token(world)
        saved = await save(world, with_token(token), PASSWORD)
        url = (await world.listing(f"c.{saved['id']}")).streams[0]["url"]

        async def play_after(config: object) -> int:
            await call(world, "PUT", f"/{saved['id']}", {"config": config}, BY_PASSWORD)
            return (await world.get(url)).status

        assert await play_after(with_token(token, cached=True)) == 302
        assert await play_after(with_token(own_token(world))) == 404
        assert await play_after(with_token(token)) == 302


class TestDeleting:
    async def test_deleted_config_is_over_at_once(self, world: World) -> None:
        config, auth = await with_user(world)
        saved = await save(world, config)
        url = (await world.listing(f"c.{saved['id']}")).streams[0]["url"]
        was_playable = (await world.get(url)).status == 302

        deleted = await call(world, "DELETE", f"/{saved['id']}", headers=bearer(auth))

        assert was_playable
        assert deleted.status == 204
        assert is_unreadable(await world.listing(f"c.{saved['id']}"))
        assert not await is_configured(world, saved["id"])
        assert (await world.get(url)).status == 404
        gone = await call(world, "GET", f"/{saved['id']}", headers=bearer(auth))
        assert gone.status == 404

    async def test_config_in_the_url_itself_plays_on(self, world: World) -> None:
        config, auth = await with_user(world)
        saved = await save(world, config)
        url = (await world.listing(config_of({"c": "tb", "auth": str(auth)}))).streams[0]["url"]

        await call(world, "DELETE", f"/{saved['id']}", headers=bearer(auth))

        assert (await world.get(url)).status == 302


async def test_segment_that_names_nothing_is_an_unreadable_config(world: World) -> None:
    for saved_id in ("", "A" * 22, "A" * 21, "A" * 21 + "%C3%A9", "c." + "A" * 20):
        manifest = await world.get(f"/stremio/torz/c.{saved_id}/manifest.json")

        assert manifest.json["behaviorHints"]["configurationRequired"] is True
        assert is_unreadable(await world.listing(f"c.{saved_id}"))


async def test_guessing_of_ids_is_held_to_the_lists_of_a_network(
    database_url: str, tmp_path: Path
) -> None:
    async with open_world(database_url, tmp_path, lists_per_network=3) as world:
        answers = [await world.listing("c." + f"{at:022}", FILM) for at in range(5)]

    texts = [answer.texts[0] for answer in answers]
    assert ["Too many requests" in text for text in texts] == [False] * 3 + [True] * 2
