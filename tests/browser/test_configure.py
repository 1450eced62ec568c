"""The configure page in a real browser, as people use it, under its content security policy."""

import json
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest
from playwright.async_api import BrowserContext

from addon.user_config import decode_user_config
from tests.browser.conftest import Visit, watched
from tests.flows.test_configure import AUTH, EVIL, HOSTILE, page_path
from tests.flows.test_saved_configs import PASSWORD, is_configured
from tests.flows.world import CANARY, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = f"{CANARY}-0123456789"
GIGABYTE = 2**30

# Field, what is typed, what mends it, and what is said.
MISTAKES = (
    ("store-tb-auth", "not-a-uuid", AUTH, "expected UUID"),
    ("store-tb-auth", AUTH[:-1], AUTH, "expected UUID"),
    ("store-tb-key", "two words", "one", "no blanks"),
    ("languages", "english", "en", "no language code"),
    ("onlyLanguages", "en, xx", "en", "“xx”"),
    ("maxSize", "-1", "1", "zero or more"),
    ("perResolution", "101", "100", "from 0 to 100"),
    ("maxStreams", "1.5", "1", "whole number"),
    ("excludeKeywords", "x" * 65, "x", "64 letters"),
)


def segment_in(url: str) -> str:
    return url.rsplit("/", 2)[-2]


def config_in(url: str) -> Any:
    text = segment_in(url)
    return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


async def fill_store(visit: Visit, code: str, *, auth: str = "", key: str = "") -> None:
    await visit.page.check(f"#store-{code}")
    await visit.page.fill(f"#store-{code}-auth", auth)
    await visit.page.fill(f"#store-{code}-key", key)


class TestBuilding:
    async def test_filled_form_is_a_link_that_the_server_reads_the_same(
        self, world: World, visit: Visit
    ) -> None:
        page = visit.page
        await visit.open(f"{world.base}/configure")

        await fill_store(visit, "tb", auth=AUTH.upper(), key=KEY)
        await fill_store(visit, "demo", auth=AUTH)
        await page.click('[data-code="demo"] [data-move="-1"]')
        await page.check("#cached")
        await page.check('input[value="1080p"]')
        await page.uncheck('input[value="CAM"]')
        await page.fill("#languages", "de, EN")
        await page.fill("#excludeKeywords", "hdcam, x y")
        await page.select_option("#sort-1", "-size")
        await page.select_option("#sort-2", "language")
        await page.fill("#minSize", "0.5")
        await page.fill("#maxSize", "20")
        await page.fill("#perResolution", "3")

        url = await visit.url()
        config = decode_user_config(segment_in(url))
        assert [(one.code, one.auth) for one in config.stores] == [
            ("demo", UUID(AUTH)),
            ("tb", UUID(AUTH)),
        ]
        assert config.stores[1].token is not None
        assert config.stores[1].token.reveal() == KEY
        assert (config.cached_only, config.sort) == (True, ("-size", "language"))
        wanted = config.filter
        assert (wanted.resolutions, wanted.exclude_qualities) == (("1080p",), ())
        assert (wanted.languages, wanted.only_languages) == (("de", "en"), ())
        assert wanted.exclude_keywords == ("hdcam", "x y")
        assert (wanted.min_size, wanted.max_size) == (GIGABYTE // 2, 20 * GIGABYTE)
        assert (wanted.per_resolution, wanted.max_streams) == (3, 50)
        assert config.ignored == ()
        manifest = await world.get(url)
        assert manifest.json["behaviorHints"]["configurationRequired"] is False

    async def test_links_for_the_app_the_web_and_the_clipboard_are_of_one_url(
        self, world: World, context: BrowserContext, visit: Visit
    ) -> None:
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        await visit.open(f"{world.base}/configure")
        await fill_store(visit, "tb", auth=AUTH)

        await visit.page.click("#copy")

        url = await visit.url()
        install = await visit.page.get_attribute("#install", "href")
        web = await visit.page.get_attribute("#web", "href")
        assert config_in(url) == {"stores": [{"c": "tb", "auth": AUTH}]}
        assert install == url.replace("http:", "stremio:")
        assert web == f"https://web.stremio.com/#/addons?addon={quote(url, safe='')}"
        assert await visit.page.evaluate("navigator.clipboard.readText()") == url

    async def test_what_is_typed_is_in_no_request(self, world: World, visit: Visit) -> None:
        await visit.open(f"{world.base}/configure")

        await fill_store(visit, "tb", auth=AUTH, key=KEY)
        await visit.page.click("#copy")

        assert await visit.url()
        assert {method for method, _, _ in visit.requests} == {"GET"}
        assert not [url for _, url, _ in visit.requests if AUTH in url or KEY in url]
        hosts = [url for _, url, _ in visit.requests if not url.startswith((world.base, "data:"))]
        assert hosts == []

    @pytest.mark.deep
    async def test_second_store_takes_the_same_uuid(self, world: World, visit: Visit) -> None:
        await visit.open(f"{world.base}/configure")
        await fill_store(visit, "tb", auth=AUTH)

        await visit.page.check("#store-demo")

        stores = config_in(await visit.url())["stores"]
        assert stores == [{"c": "tb", "auth": AUTH}, {"c": "demo", "auth": AUTH}]


class TestMistakes:
    async def test_mistake_is_said_beside_its_field_until_it_is_mended(
        self, world: World, visit: Visit
    ) -> None:
        page = visit.page
        await visit.open(f"{world.base}/configure")
        await fill_store(visit, "tb", auth=AUTH)

        for field, typed, mended, said in MISTAKES:
            await page.fill(f"#{field}", typed)
            await page.locator(f"#{field}").blur()
            problem, url = await visit.problem(field), await visit.url()
            marked = await page.get_attribute(f"#{field}", "aria-invalid")
            await page.fill(f"#{field}", mended)

            assert said in problem, field
            assert (url, marked) == ("", "true"), field
            assert await visit.problem(field) == ""
            assert await visit.url(), field

    @pytest.mark.deep
    async def test_nothing_is_wrong_before_anything_is_typed(
        self, world: World, visit: Visit
    ) -> None:
        await visit.open(f"{world.base}/configure")
        await visit.page.check("#store-tb")

        shown = await visit.page.locator(".error:visible").count()

        assert (shown, await visit.url()) == (0, "")


class TestFilled:
    async def test_link_is_built_again_without_loss(self, world: World, visit: Visit) -> None:
        given: list[dict[str, object]] = [
            {"c": "demo", "auth": AUTH, "note": 1},
            {"c": "rd", "t": "kept"},
            {"c": "tb", "t": "own"},
            {"c": "tb", "t": "second"},
        ]
        config = {
            "cached": True,
            "sort": "-size,language",
            "filter": {"resolutions": ["1080p", "4k"], "maxSize": 12_345_678_901, "x": [1]},
            "indexers": [{"u": "https://indexer.example/api", "ak": "key"}],
            "other": {"ж": "é"},
        }

        await visit.open(world.base + page_path({"stores": given, **config}))

        rebuilt = config_in(await visit.url())
        stores = rebuilt.pop("stores")
        assert rebuilt == config
        assert all(one in stores for one in given)
        assert len(stores) == len(given)
        assert [one["c"] for one in stores if one["c"] != "rd"][:2] == ["demo", "tb"]
        assert "rd" in await visit.page.inner_text("#kept")
        assert await visit.page.locator("#qr").is_visible()

    async def test_bad_uuid_of_a_link_is_said_at_once(self, world: World, visit: Visit) -> None:
        config = {"stores": [{"c": "tb", "auth": "broken"}]}

        await visit.open(world.base + page_path(config))

        assert "expected UUID" in await visit.problem("store-tb-auth")
        assert await visit.page.input_value("#store-tb-auth") == "broken"
        assert await visit.url() == ""

    async def test_hostile_strings_are_shown_as_text(self, world: World, visit: Visit) -> None:
        stores = [{"c": "tb", "auth": EVIL[1], "t": "x"}, *HOSTILE["stores"]]

        await visit.open(world.base + page_path({**HOSTILE, "stores": stores}))
        await visit.page.fill("#store-tb-auth", AUTH)

        text = await visit.page.inner_text('[data-chips="resolutions"]')
        assert all(evil in text for evil in EVIL)
        assert EVIL[0][:16] in await visit.page.inner_text("#kept")
        assert await visit.page.locator("svg, img[src=x]").count() == 0
        assert config_in(await visit.url())["filter"] == HOSTILE["filter"]

    async def test_violation_of_the_policy_would_be_noticed(
        self, world: World, context: BrowserContext
    ) -> None:
        visit = await watched(context)
        await visit.open(f"{world.base}/configure")

        page = visit.page
        async with page.expect_console_message(lambda one: "CSP script-src" in one.text):
            await page.evaluate(
                "document.body.append(Object.assign(document.createElement('script'),"
                " { textContent: 'alert(1)' }))"
            )
        async with page.expect_console_message(lambda one: "CSP style-src" in one.text):
            await page.evaluate("document.body.setAttribute('style', 'color: red')")

        assert sum("CSP" in trouble for trouble in visit.troubles) == 2
        assert not any("dialog" in trouble for trouble in visit.troubles)


class TestShortLink:
    async def test_short_link_is_made_changed_and_deleted(self, world: World, visit: Visit) -> None:
        page = visit.page
        await visit.open(f"{world.base}/configure")
        await fill_store(visit, "tb", auth=AUTH, key=KEY)
        await page.fill("#password", PASSWORD)
        await page.click("#save")
        await page.wait_for_selector("#change-later", state="visible")
        url = await visit.url()
        saved_id = segment_in(url).removeprefix("c.")
        assert await page.locator("#qr").is_visible()
        assert await is_configured(world, saved_id)

        await page.click("#change-link")
        await page.wait_for_selector("#proof")
        assert await visit.url() == url
        assert not await page.locator("#settings").is_visible()
        await page.fill("#proof", "wrong password")
        await page.click("#unlock-button")
        await page.wait_for_selector("#proof-error", state="visible")
        await page.fill("#proof", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#settings", state="visible")
        assert await page.input_value("#store-tb-key") == KEY

        await page.check("#cached")
        await page.click("#save")
        await page.wait_for_selector("#save-status.good")
        row = await world.client.get(
            f"{world.base}/api/configs/{saved_id}", headers={"X-Edit-Password": PASSWORD}
        )
        assert (await row.json())["config"]["cached"] is True

        await page.click("#delete")
        assert await is_configured(world, saved_id)
        await page.click("#delete")
        await page.get_by_text("Deleted.", exact=True).wait_for()
        assert not await is_configured(world, saved_id)

        told = [url for _, url, _ in visit.requests if AUTH in url or KEY in url or "horse" in url]
        assert told == []
        assert {urls for _, urls, body in visit.requests if KEY in body} == {
            f"{world.base}/api/configs",
            f"{world.base}/api/configs/{saved_id}",
        }

    @pytest.mark.deep
    async def test_uuid_opens_it_too(self, world: World, visit: Visit) -> None:
        saved = await world.client.post(
            f"{world.base}/api/configs", json={"config": {"stores": [{"c": "tb", "auth": AUTH}]}}
        )
        await visit.open((await saved.json())["configureUrl"])

        await visit.page.fill("#proof", f" {AUTH.upper()} ")
        await visit.page.click("#unlock-button")

        await visit.page.wait_for_selector("#settings", state="visible")
        assert await visit.page.input_value("#store-tb-auth") == AUTH

    async def test_changed_form_takes_the_short_link_away(self, world: World, visit: Visit) -> None:
        page = visit.page
        await visit.open(f"{world.base}/configure")
        await fill_store(visit, "tb", auth=AUTH)
        await page.click("#save")
        await page.wait_for_selector("#change-later", state="visible")

        await page.check("#cached")

        assert config_in(await visit.url())["cached"] is True
        assert not await page.locator("#qr").is_visible()
        assert await page.locator("#save").is_visible()

    async def test_bad_password_is_said_beside_its_field(self, world: World, visit: Visit) -> None:
        await visit.open(f"{world.base}/configure")
        await fill_store(visit, "tb", auth=AUTH)

        for password in ("short", "pässword"):
            await visit.page.fill("#password", password)
            await visit.page.click("#save")

            assert "8 to 128" in await visit.problem("password")
        assert {method for method, _, _ in visit.requests} == {"GET"}

    @pytest.mark.deep
    async def test_refusal_of_the_server_is_told(self, world: World, visit: Visit) -> None:
        config = {"stores": [{"c": "tb", "auth": AUTH}], "x": "y" * 2900}
        assert len(json.dumps(config)) < 3_072
        await visit.open(world.base + page_path(config))
        await visit.page.route("**/api/configs", lambda route: route.fulfill(
            status=429, body='{"message": "Too many configurations in an hour"}'))  # fmt: skip

        await visit.page.click("#save")

        await visit.page.wait_for_selector("#save-status.bad")
        assert "Too many" in await visit.page.inner_text("#save-status")


async def test_page_fits_its_window(world: World, visit: Visit) -> None:
    config = {"stores": [{"c": "tb", "auth": AUTH}], "filter": {"resolutions": ["w" * 64]}}
    await visit.open(world.base + page_path(config))

    for width in (320, 390, 1280):
        await visit.page.set_viewport_size({"width": width, "height": 700})

        assert await visit.page.evaluate("document.documentElement.scrollWidth") <= width
